"""Foldings: ranges, messages, and defaults that are balanced."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.cycles import predict_cycles
from hw.folding import (
    Folding,
    check_foldings,
    cycles_range,
    default_foldings,
    foldings_for,
    gathered_at_once,
    most_events,
    row_synapses,
    sent_at_once,
    slowest_stage,
)
from hw.order import walk_of
from quant.errors import ChandelierError
from quant.maps import Window, Wiring
from quant.network import Input, IntegerNetwork, Layer
from tests.hw.test_network import random_foldings
from tests.hw.test_order import plain_layer
from tests.random_networks import random_map_network, random_network, random_row_network


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
    last = len(network.layers) - 1
    synapses = row_synapses(layer) * most_events(network, last)
    most = {"synapse_lanes": synapses, "population_lanes": layer.n_i, "neuron_lanes": layer.n_e}[lanes]
    value = most + 1 if excess else 0
    good = [Folding(1, 1, 1)] * (last - 1) + [Folding(1, 1, 4)]  # whatever is taken at once behind it
    with pytest.raises(ChandelierError, match=rf"^{lanes} of layer {last} must be 1\.\.{most}, not {value}$"):
        check_foldings(network, [*good, replace(Folding(1, 1, 1), **{lanes: value})])


def test_lanes_that_do_not_fit_together_are_named() -> None:
    network = next(n for n in map(random_network, range(100)) if most_events(n, 1) == 4 and n.layers[0].n_e > 2)
    last, row = network.layers[1:], row_synapses(network.layers[1])
    rest = [Folding(1, 1, 1)] * (len(last) - 1)
    with pytest.raises(ChandelierError, match=rf"1\.\.{row}, or that times 2\.\.4, not {2 * row + 1}$"):
        check_foldings(network, [Folding(1, 1, 2), Folding(2 * row + 1, 1, 1), *rest])
    with pytest.raises(ChandelierError, match=r"neuron_lanes of layer 0 must be a multiple of the 2 events .* not 3"):
        check_foldings(network, [Folding(1, 1, 3), Folding(2 * row, 1, 1), *rest])


def test_fewer_multipliers_make_fewer_lanes() -> None:
    network = random_network(14, largest=60)
    least = default_foldings(network, multipliers=5)
    inhibited = [f for f, layer in zip(least, network.layers, strict=True) if layer.n_i]
    assert inhibited and all((f.population_lanes, f.neuron_lanes) == (1, 1) for f in inhibited)
    with pytest.raises(ChandelierError, match="multipliers of a layer must be at least 5, not 4"):
        default_foldings(network, multipliers=4)


def test_one_folding_for_each_layer() -> None:
    network = random_network(3)
    with pytest.raises(ChandelierError, match=f"{len(network.layers)} layers need as many foldings, not 1"):
        check_foldings(network, [Folding(1, 1, 1)])


@given(st.integers(0, 10_000))
def test_default_foldings_of_maps_fit(seed: int) -> None:
    network = random_map_network(seed)
    check_foldings(network, default_foldings(network))


def _network_of_maps(channels: int) -> tuple[IntegerNetwork, int]:
    """A network and its first layer with a window, so many neurons at a pixel, and more than one channel before it."""
    for seed in range(1000):
        network = random_map_network(seed)
        for i, layer in enumerate(network.layers):
            walk = walk_of(network, i)
            if layer.wiring.window and layer.n_e == channels and walk and walk.lanes == 3:
                return network, i
    raise AssertionError("no such network")


def test_lanes_that_do_not_fit_a_window_are_named() -> None:
    network, index = _network_of_maps(channels=4)
    row = row_synapses(network.layers[index])
    ones = [Folding(1, 1, 1)] * len(network.layers)

    def check(folding: Folding) -> None:
        check_foldings(network, [*ones[:index], folding, *ones[index + 1 :]])

    check(Folding(3 * row, 1, 2))
    with pytest.raises(ChandelierError, match=rf"^neuron_lanes of layer {index} must divide the 4 neurons of a pixel"):
        check(Folding(1, 1, 3))
    for lanes in (row + 1, 2 * row):
        with pytest.raises(ChandelierError, match=rf"must be 1\.\.{row}, or that times a divisor of 3, not {lanes}$"):
            check(Folding(lanes, 1, 1))
    with pytest.raises(ChandelierError, match=rf"^synapse_lanes of layer {index} must be 1\.\.{3 * row}, not"):
        check(Folding(4 * row, 1, 1))


@given(st.integers(0, 10_000), st.integers(1, 2000))
def test_a_folding_for_a_target_keeps_it_with_the_fewest_synapse_lanes(seed: int, target: int) -> None:
    network = random_network(seed, largest=60)
    if cycles_range(network)[0] > target:
        with pytest.raises(ChandelierError, match=f"^no folding takes {target} cycles a sample: "):
            foldings_for(network, target)
        return
    foldings = foldings_for(network, target)
    check_foldings(network, foldings)
    assert slowest_stage(network, foldings)[0] <= target
    for i, folding in enumerate(foldings):
        if folding.synapse_lanes > 1:
            fewer = [*foldings[:i], replace(folding, synapse_lanes=folding.synapse_lanes - 1), *foldings[i + 1 :]]
            assert slowest_stage(network, fewer)[0] > target


def test_activity_decides_the_lanes() -> None:
    network = random_network(14, largest=60)
    shares = [[share] * len(network.layers) for share in (0.05, 0.5)]
    target = int(slowest_stage(network, default_foldings(network), shares[1])[0])
    few, many = (foldings_for(network, target, share) for share in shares)
    assert sum(f.synapse_lanes for f in few) < sum(f.synapse_lanes for f in many)


@given(st.integers(0, 10_000), st.integers(100, 100_000))
def test_foldings_for_a_target_fit_maps(seed: int, target: int) -> None:
    network = random_map_network(seed)
    try:
        foldings = foldings_for(network, target)
    except ChandelierError as error:
        assert str(error).startswith(f"no folding takes {target} cycles")
        return
    check_foldings(network, foldings)
    assert slowest_stage(network, foldings)[0] <= target


def test_maps_get_what_all_their_sources_send_together() -> None:
    grouped = 0
    for seed in range(60):
        network = (random_map_network if seed % 2 else random_row_network)(seed)
        foldings = random_foldings(network, seed)
        for i, layer in enumerate(network.layers):
            sources = layer.wiring.sources_of(i)
            if walk_of(network, i) is not None:
                at_once = gathered_at_once(network, foldings, i)
                assert {sent_at_once(network, foldings, j) for j in sources} == {at_once}, f"seed {seed}, layer {i}"
                grouped += at_once > 1
    assert grouped > 20


def _wide(channels: int) -> IntegerNetwork:
    """A convolution of so many channels on a map of 12x12, two time steps, pooled by the readout."""
    wiring = Wiring((), (1, 1), Window((3, 3), (1, 1), (1, 1)))
    hidden = plain_layer(channels, wiring, 1, floor=0)
    w = np.ones((2, 36 * channels), np.uint8)
    readout = Layer(w, w[:1], np.ones((2, 1), np.uint8), 1, 1, 1, None, Wiring((), (2, 2)))
    return IntegerNetwork("wide", Input(144, 1, "sequence", shape=(12, 12, 1)), (hidden, readout), 2, 1.0)


@pytest.mark.parametrize(("channels", "target"), [(32, 1000), (40, 1450), (40, 3000)])
def test_a_target_is_kept_where_beats_go_to_maps_one_by_one(channels: int, target: int) -> None:
    """All 40 neurons of a pixel at once are not neighbours in a word of 32."""
    network = _wide(channels)
    foldings = foldings_for(network, target, [0.2, 0.5])
    events = [0.2 * 144, 0.5 * 144 * channels]
    assert predict_cycles(network, foldings, events).stages[0, "encoder"] <= target + network.steps
