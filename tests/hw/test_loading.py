"""Loadable weights: whole networks reloaded under way, and every way in which an image can be wrong."""

import random
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.global_inhibition import is_global
from hw.load_image import image_of_words
from hw.load_shape import fingerprint
from hw.loadable import load_words
from hw.loader import Status
from hw.network import Network
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.shape import fitted
from tests.hw.loads import Load, Loaded, drive, words_of
from tests.hw.test_network import input_beats, random_foldings
from tests.random_networks import other_numbers, random_codes, random_map_network, random_network, random_row_network

# Images are made of designs that are not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

#: Loads of good images in a run.
RELOADS = 20


def _damaged(words: list[int], rng: random.Random, network: int) -> Load:
    """The words of an image with something wrong."""
    words = list(words)
    match rng.randrange(6):
        case 0:  # a flip anywhere: magic, version, fingerprint, numbers, CRC
            words[rng.randrange(len(words))] ^= 1 << rng.randrange(32)
            return Load(words, network, Status.REFUSED)
        case 1:  # it breaks off, and the next image begins
            return Load(words[: rng.randrange(1, len(words))], network, None)
        case 2:  # a word twice: what is behind the last place is not taken
            k = rng.randrange(4, len(words) - 1)
            words[k] ^= words[k] == words[k + 1]
            return Load(words[:k] + words[k : k + 1] + words[k:], network, Status.REFUSED)
        case 3:  # two words exchanged
            j, k = rng.sample(range(len(words)), 2)
            if words[j] == words[k]:
                words[k] ^= 1 << 31
            words[j], words[k] = words[k], words[j]
            return Load(words, network, Status.REFUSED)
        case 4:  # a reset comes
            return Load(words[: rng.randrange(len(words))], network, None, reset=True)
        case _:  # of another shape, all else right
            image = image_of_words(rng.getrandbits(64), words[4:-1])
            return Load(words_of(image), network, Status.REFUSED)


def _images(shape: IntegerNetwork, foldings: list[Any], networks: list[IntegerNetwork]) -> list[list[int]]:
    mark = fingerprint(shape, foldings)
    engines = [Network(network, foldings, shape=shape).engines for network in networks]
    return [words_of(image_of_words(mark, load_words(own))) for own in engines]


def check_reloads(shape: IntegerNetwork, seed: int, stall: float, *, smaller: bool, good: int) -> Loaded:
    """Loads images, right and wrong ones, and compares each result with the network that its sample met."""
    rng = random.Random(seed)
    foldings = random_foldings(shape, seed)
    others = [fitted(other_numbers(shape, seed + k, smaller=smaller), shape) for k in range(1, 4)]
    networks = [shape, *others]
    images = _images(shape, foldings, networks)
    loads: list[Load] = []
    for _ in range(good):
        while rng.random() < 0.5:
            loads.append(_damaged(images[k := rng.randrange(len(images))], rng, k))
        if rng.random() < 0.4:  # a reset, whatever there is
            loads.append(Load([], 0, None, reset=True))
        loads.append(Load(images[k := rng.randrange(len(images))], k, Status.READY))
    dut = Network(shape, foldings, shape=shape)
    codes = random_codes(shape, 6, seed)
    samples = [input_beats(dut, code[None]) for code in codes]
    result = drive(dut, samples, loads, seed=seed, stall=stall)
    assert len(result.results) == len(result.met) > 3
    golden = [GoldenModel(network).run(codes) for network in networks]
    for number, (network, output) in enumerate(zip(result.met, result.results, strict=True)):
        trace, sample = golden[network], number % len(codes)
        assert output["logits"] == trace.logits[sample].tolist(), f"seed {seed}, result {number}, network {network}"
        assert output["class"] == trace.classes[sample], f"seed {seed}, result {number}, network {network}"
    return result


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 100_000), stall=st.sampled_from([0.0, 0.4]), smaller=st.booleans())
@example(seed=1063, stall=0.0, smaller=False)  # a reset while the products of a whole time step are on their way
def test_every_result_is_of_one_whole_network(seed: int, stall: float, smaller: bool) -> None:
    check_reloads(random_network(seed, largest=6), seed, stall, smaller=smaller, good=2)


def _of_kind(kind: str) -> IntegerNetwork:
    """A small network whose first layer is of a kind."""
    for seed in count():
        network = random_network(seed, largest=5)
        first, *rest = network.layers
        if first.n_e < 2 or (first.n_i > 0) != (kind != "signed") or is_global(first) != (kind == "global"):
            continue
        if kind == "floor":
            assert first.neurons is not None
            first = replace(first, neurons=replace(first.neurons, floor=9))
        return replace(network, layers=(first, *rest))
    raise AssertionError


@pytest.mark.parametrize("kind", ["population", "global", "floor", "signed"])
def test_every_kind_of_layer(kind: str) -> None:
    check_reloads(_of_kind(kind), 5, 0.3, smaller=True, good=3)


@pytest.mark.parametrize("shape", [random_map_network(5), random_row_network(23)], ids=lambda shape: shape.name)
def test_maps_are_loadable_too(shape: IntegerNetwork) -> None:
    check_reloads(shape, 5, 0.3, smaller=True, good=2)


def test_twenty_reloads() -> None:
    check_reloads(random_network(3, largest=6), 3, 0.2, smaller=True, good=RELOADS)
