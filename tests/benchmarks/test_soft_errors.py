"""The model of soft errors: the golden model without any, and one bit is one bit."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.soft_errors import Flips, classes, logits, wrapped
from quant.formats import Format
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from tests.random_networks import random_codes, random_network


def _network(seed: int) -> IntegerNetwork:
    """Of a static input, with inhibition in all layers."""
    networks = (random_network(k) for k in range(seed, seed + 100))
    return next(n for n in networks if n.input.kind == "static" and all(layer.n_i for layer in n.layers))


@pytest.mark.parametrize("seed", [0, 100, 200, 300])
def test_without_errors_it_is_the_golden_model(seed: int) -> None:
    network = _network(seed)
    codes = random_codes(network, 20, seed)
    trace = GoldenModel(network).run(codes)
    found = logits(network, codes, Flips({}, 0))
    assert np.array_equal(found, trace.logits) and np.array_equal(classes(found), trace.classes)


def test_a_bit_of_a_synapse_is_that_bit() -> None:
    """A one that becomes a zero makes no sum of currents larger; some of them change logits."""
    changes = 0
    for seed in range(0, 1000, 100):
        network, rng = _network(seed), np.random.default_rng(seed)
        first = network.layers[0]
        neuron, feature = (int(k) for k in rng.choice(np.argwhere(first.w_ee)))
        place = int(first.w_ee[neuron, feature]).bit_length() - 1
        w_ee = first.w_ee.copy()
        w_ee[neuron, feature] ^= 1 << place
        number = (neuron * first.d + feature) * first.synapse_bits + place
        flip, codes = Flips({}, 0, ("synapses", number)), random_codes(network, 50, seed)
        changed = replace(network, layers=(replace(first, w_ee=w_ee), *network.layers[1:]))
        found, expected = logits(network, codes, flip), GoldenModel(changed).run(codes).logits
        assert flip.flipped == {"synapses": 1}
        assert np.array_equal(found, expected), f"seed {seed}"
        changes += not np.array_equal(found, GoldenModel(network).run(codes).logits)
    assert changes


def test_as_many_bits_turn_over_as_the_rate_says() -> None:
    flip = Flips({"membranes": 0.01}, 3)
    for _ in range(10):
        flip("membranes", np.zeros((100, 100), np.int64), Format(10, 6, signed=True))
    assert flip.bits["membranes"] == 1_000_000
    assert abs(flip.flipped["membranes"] - 10_000) < 5 * 100  # five standard deviations


def test_sums_wrap_as_registers_do() -> None:
    sums = np.array([-9, -8, -1, 0, 7, 8, 15, 16])
    assert wrapped(sums, Format(4, signed=True)).tolist() == [7, -8, -1, 0, 7, -8, -1, 0]
    assert wrapped(sums, Format(4)).tolist() == [7, 8, 15, 0, 7, 8, 15, 0]
