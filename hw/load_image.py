"""Load images: the bytes that fill a design with loadable weights with a network (docs/loading.md)."""

import zlib

import numpy as np

from hw.folding import Folding
from hw.global_inhibition import is_global
from hw.load_shape import fingerprint, least_network
from hw.loadable import load_words
from hw.loader import VERSION, header
from hw.manifest import Manifest
from hw.network import Network
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from quant.shape import fitted

__all__ = ["image_of_words", "load_image"]


def image_of_words(mark: int, words: list[int]) -> bytes:
    """Header, numbers and CRC-32 of an image for designs with that fingerprint; words are little-endian."""
    body = np.array([*header(mark), *words], "<u4").tobytes()
    return body + zlib.crc32(body).to_bytes(4, "little")


def load_image(network: IntegerNetwork, manifest: Manifest) -> bytes:
    """The image that makes the design of ``manifest`` compute ``network``, which may be smaller than the design.

    Raises
    ------
    ChandelierError
        If the weights of the design are fixed, it is of another version, or the network does not fit into it; the line
        names what does not.
    """
    load = manifest.load
    if load is None:
        raise ChandelierError(
            f"the weights of the design {manifest.top} are fixed: generate it with 'chandelier rtl --weights loadable'"
        )
    shape, foldings = least_network(manifest, load), [Folding(**vars(layer.folding)) for layer in manifest.layers]
    mark = fingerprint(shape, foldings)
    if load.version != VERSION or f"{mark:016x}" != load.fingerprint:
        raise ChandelierError(
            f"the design {manifest.top} was made by {manifest.generator}, which laid out images in another way: "
            "generate it again, or use that version"
        )
    within = fitted(network, shape)
    for i, (layer, of) in enumerate(zip(within.layers, shape.layers, strict=True)):
        if is_global(of) and not is_global(layer):
            raise ChandelierError(
                f"layers.{i}.w_ei of {network.name} has rows that differ, and the design has one row for all E "
                "neurons: generate a design for this network"
            )
    return image_of_words(mark, load_words(Network(within, foldings, shape=shape).engines))
