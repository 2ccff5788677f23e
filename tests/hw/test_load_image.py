"""Images for a design, made from its manifest alone: the format, what they hold, and what is refused."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw.global_inhibition import is_global
from hw.load_image import load_image
from hw.load_shape import fingerprint
from hw.loadable import load_words
from hw.manifest import Manifest
from hw.network import Network
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from quant.shape import fitted
from tests.hw.test_network import random_foldings
from tests.random_networks import other_numbers, random_map_network, random_network

# Images are made of designs that are not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


def _design(network: IntegerNetwork, folder: Path, seed: int) -> Manifest:
    write_rtl(network, folder, foldings=random_foldings(network, seed), loadable=True)
    return Manifest.read(folder)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("maps", [False, True])
def test_an_image_is_what_the_memories_of_a_design_of_that_network_hold(seed: int, maps: bool, tmp_path: Path) -> None:
    shape = random_map_network(seed) if maps else random_network(seed, largest=6)
    foldings = random_foldings(shape, seed)
    manifest = _design(shape, tmp_path, seed)
    small = other_numbers(shape, seed, smaller=True)
    image = load_image(small, manifest)
    words = np.frombuffer(image, "<u4").tolist()
    assert manifest.load is not None
    assert image[:4] == b"CHDL" and words[1] == 1
    assert words[2] | words[3] << 32 == int(manifest.load.fingerprint, 16)
    assert words[-1] == zlib.crc32(image[:-4])
    engines = Network(fitted(small, shape), foldings, shape=shape).engines
    assert words[4:-1] == load_words(engines) and len(words) == manifest.load.words + 5


def test_what_is_constant_decides_the_fingerprint() -> None:
    shape = random_network(1, largest=8)
    foldings = random_foldings(shape, 1)
    mark = fingerprint(shape, foldings)
    others = [replace(other_numbers(shape, k, smaller=False), name="x") for k in range(5)]
    same = [
        replace(o, layers=tuple(replace(own, a=of.a) for own, of in zip(o.layers, shape.layers, strict=True)))
        for o in others
    ]
    assert {fingerprint(network, foldings) for network in same} == {mark}
    first = shape.layers[0]
    assert first.neurons is not None
    changed = [
        replace(shape, steps=shape.steps + 1),
        replace(shape, layers=(replace(first, a=first.a + 1), *shape.layers[1:])),
        replace(shape, layers=(replace(first, neurons=replace(first.neurons, tau_shift=4)), *shape.layers[1:])),
        replace(shape, layers=(replace(first, neurons=replace(first.neurons, floor=1)), *shape.layers[1:])),
    ]
    marks = {fingerprint(network, foldings) for network in changed}
    marks.add(
        fingerprint(shape, [replace(foldings[0], synapse_lanes=foldings[0].synapse_lanes % 2 + 1), *foldings[1:]])
    )
    assert len(marks - {mark}) == len(changed) + 1


def test_refusals(tmp_path: Path) -> None:
    shape = next(
        n for n in (random_network(k, largest=8) for k in range(100)) if is_global(n.layers[0]) and n.layers[0].n_e > 1
    )
    manifest = _design(shape, tmp_path, 0)
    assert manifest.load is not None
    load_image(shape, manifest)
    fixed = manifest.model_copy(update={"load": None})
    with pytest.raises(ChandelierError, match="weights of the design chandelier_top are fixed: generate it with"):
        load_image(shape, fixed)
    strange = manifest.model_copy(update={"load": manifest.load.model_copy(update={"fingerprint": "0" * 16})})
    with pytest.raises(ChandelierError, match=r"was made by chandelier.*, which laid out images in another way"):
        load_image(shape, strange)
    with pytest.raises(ChandelierError, match=r"steps of .* is 9, and the design has"):
        load_image(replace(shape, steps=9), manifest)
    first = shape.layers[0]
    w_ei = first.w_ei.copy()
    w_ei[0, 0] ^= 1
    uneven = replace(shape, layers=(replace(first, w_ei=w_ei), *shape.layers[1:]))
    with pytest.raises(ChandelierError, match=r"layers\.0\.w_ei of .* has rows that differ"):
        load_image(uneven, manifest)


def test_a_fully_spatial_design_cannot_be_loadable(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="a fully spatial design cannot be loadable"):
        write_rtl(random_network(1, largest=4), tmp_path / "rtl", foldings="spatial", loadable=True)
    assert not (tmp_path / "rtl").exists()
