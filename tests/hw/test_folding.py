"""Foldings: ranges, messages, and defaults that are balanced."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.folding import Folding, check_foldings, default_foldings
from quant.errors import ChandelierError
from tests.random_networks import random_network


@given(st.integers(0, 10_000))
def test_default_foldings_fit(seed: int) -> None:
    network = random_network(seed)
    foldings = default_foldings(network)
    check_foldings(network, foldings)
    for layer, folding in zip(network.layers, foldings, strict=True):
        assert folding.words(layer) == 1, "rows of these small layers fit a word"


@pytest.mark.parametrize("lanes", ["synapse_lanes", "population_lanes", "neuron_lanes"])
@pytest.mark.parametrize("excess", [False, True])
def test_lanes_out_of_range_are_named(lanes: str, excess: bool) -> None:
    network = random_network(3)
    layer = network.layers[-1]
    most = {"synapse_lanes": layer.n_e + layer.n_i, "population_lanes": layer.n_i, "neuron_lanes": layer.n_e}[lanes]
    value = most + 1 if excess else 0
    good = [Folding(1, 1, 1)] * (len(network.layers) - 1)
    last = len(network.layers) - 1
    with pytest.raises(ChandelierError, match=rf"^{lanes} of layer {last} must be 1\.\.{most}, not {value}$"):
        check_foldings(network, [*good, replace(Folding(1, 1, 1), **{lanes: value})])


def test_fewer_multipliers_make_fewer_lanes() -> None:
    network = random_network(14, largest=60)
    least = default_foldings(network, multipliers=5)
    assert all((f.population_lanes, f.neuron_lanes) == (1, 1) for f in least)
    with pytest.raises(ChandelierError, match="multipliers of a layer must be at least 5, not 4"):
        default_foldings(network, multipliers=4)


def test_one_folding_for_each_layer() -> None:
    network = random_network(3)
    with pytest.raises(ChandelierError, match=f"{len(network.layers)} layers need as many foldings, not 1"):
        check_foldings(network, [Folding(1, 1, 1)])
