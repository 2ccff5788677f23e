"""What is constant in a design with loadable weights: as a fingerprint, and as the least network of that shape."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from hw.folding import Folding
from hw.global_inhibition import is_global
from hw.loader import VERSION
from hw.manifest import LoadPort, Manifest
from hw.order import orders_of
from quant.errors import ChandelierError
from quant.network import Array, IntegerNetwork
from quant.network_file import header_of, network_of
from quant.widths import shape_widths

__all__ = ["fingerprint", "least_network"]

#: Of a design with loadable weights, all of which are in its memories.
_MOST_SYNAPSES = 1 << 26


def fingerprint(shape: IntegerNetwork, foldings: Sequence[Folding]) -> int:
    """64 bits of the SHA-256 of all that is constant in a design for that shape: those that share it share images."""
    header = header_of(shape).model_dump(mode="json")
    layers, orders = [], orders_of(shape)
    for i, (layer, widths) in enumerate(zip(shape.layers, shape_widths(shape), strict=True)):
        constant = header["layers"][i]
        constant["wiring"]["sources"] = layer.wiring.sources_of(i)
        if (neurons := constant["neurons"]) is not None:
            neurons |= {"shift": 0, "floor": neurons["floor"] > 0}
        formats = {name: str(fmt) for name, fmt in vars(widths).items()}
        size = [layer.n_e, layer.n_i, layer.d]
        # Behind a row-major layer weights are in another order.
        order = ["row-major"] if orders[i].row_major else []
        layers.append([constant, formats, size, is_global(layer), asdict(foldings[i]), *order])
    spec = [shape.input.features, shape.input.bits, shape.input.kind, shape.input.map]
    text = json.dumps([VERSION, spec, shape.steps, layers], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def least_network(manifest: Manifest, load: LoadPort) -> IntegerNetwork:
    """A network of the shape that the design takes, with zeros; where rows of ``w_ei`` may differ, they do.

    Raises
    ------
    ChandelierError
        If it is too large, or is none.
    """
    synapses = sum(size.n_e * size.d + size.n_i * size.d + size.n_e * size.n_i for size in manifest.layers)
    if synapses > _MOST_SYNAPSES:
        raise ChandelierError(f"the manifest is of {synapses:,} synapses, and {_MOST_SYNAPSES:,} is the limit")
    tensors: dict[str, Array] = {}
    for i, (size, header, alike) in enumerate(zip(manifest.layers, load.shape.layers, load.alike, strict=True)):
        synapse = np.uint8 if size.n_i else np.int8
        w_ei = np.zeros((size.n_e, size.n_i), np.uint8)
        w_ei[:1, :1] = not alike
        tensors |= {
            f"layers.{i}.w_ee": np.zeros((size.n_e, size.d), synapse),
            f"layers.{i}.w_ie": np.zeros((size.n_i, size.d), synapse),
            f"layers.{i}.w_ei": w_ei,
        }
        if header.neurons is not None:
            sizes = {"g_i": size.n_i, "g_e": size.n_e, "b_e": size.n_e}
            tensors |= {f"layers.{i}.{name}": np.zeros(n, np.int32) for name, n in sizes.items()}
    return network_of(load.shape, tensors)
