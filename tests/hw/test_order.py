"""Which layers work row by row: those that may and save memory by it, in networks that do not stand still for it."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from hw import order
from hw.folding import default_foldings
from hw.load_shape import fingerprint
from hw.network import Network
from hw.order import orders_of, row_major_order, walk_of
from quant.formats import Format
from quant.golden import GoldenModel
from quant.maps import Window, Wiring
from quant.network import Input, IntegerNetwork, Layer, Neurons
from quant.reciprocal import Reciprocal
from tests.hw.exchange import exchange
from tests.hw.test_network import input_beats
from tests.random_networks import random_codes, random_map_network, random_row_network

#: Seeds of random networks: a static input, two row-major layers and their sum; a sequence, whose first layer has to
#: wait for all of its steps; a layer that does so behind one that works step by step.
SUM, SEQUENCE, LATER = 27, 23, 0


def _bits(network: IntegerNetwork) -> int:
    return sum(sum(engine.memory_bits.values()) for engine in Network(network).engines)


@pytest.mark.parametrize("seed", range(12))
def test_row_major_order_saves_memory(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_row_network(seed)
    saving = _bits(network)
    monkeypatch.setattr(order, "_may_be_row_major", lambda network, index: False)
    assert not any(own.row_major for own in orders_of(network))
    assert saving < _bits(network), f"seed {seed}"


@pytest.mark.parametrize(
    ("seed", "orders"),
    [
        (SUM, [(True, 0), (True, 0), (False, 0), (False, 0), (False, 0)]),
        (SEQUENCE, [(True, 1), (True, 1), (False, 1)]),
        (LATER, [(True, 0), (False, 0), (True, 2), (False, 2)]),
    ],
)
def test_layers_begin_when_what_they_need_is_there(seed: int, orders: list[tuple[bool, int]]) -> None:
    assert [(own.row_major, own.start) for own in orders_of(random_row_network(seed))] == orders


def plain_layer(n_e: int, wiring: Wiring, channels: int, floor: int) -> Layer:
    """A layer with a window whose synapses are all 1, one I neuron, and E neurons that are not inhibited alike."""
    ones = np.ones(n_e, np.uint8)
    neurons = Neurons(
        g_i=ones[:1],
        g_e=ones.astype(np.uint16),
        b_e=np.zeros(n_e, np.int32),
        gain_i_bits=1,
        gain_e_bits=1,
        shift=2,
        reciprocal=Reciprocal(2, 5),
        membrane=Format(20, 4, signed=True),
        tau_shift=1,
        theta=16,
        floor=floor,
    )
    assert wiring.window is not None
    w = np.ones((n_e + 1, wiring.window.inputs(channels)), np.uint8)
    w_ei = np.arange(n_e, dtype=np.uint8)[:, None] % 3
    return Layer(w[:n_e], w[n_e:], w_ei, 1, 1, 2, neurons, wiring)


def _stack(
    *layers: tuple[bool, tuple[int, ...]],
    summed: tuple[int, ...] = (),
    kind: Literal["static", "sequence"] = "sequence",
    steps: int = 2,
) -> IntegerNetwork:
    """Convolutions of 3x3 on a map of 9x4, with a floor or without, and sources; and a readout of some."""

    window = Window((3, 3), (1, 1), (1, 1))
    hidden = [
        plain_layer(3, Wiring(sources, (1, 1), window), 1 if sources == (-1,) or not i else 3, floor=int(floor))
        for i, (floor, sources) in enumerate(layers)
    ]
    w = np.ones((2, 9 * 4 * 3), np.uint8)
    readout = Layer(w, w[:1], np.ones((2, 1), np.uint8), 1, 1, 1, None, Wiring(summed))
    return IntegerNetwork("stack", Input(36, 1, kind, shape=(9, 4, 1)), (*hidden, readout), steps, 1.0)


def _row_major(network: IntegerNetwork) -> list[bool]:
    return [own.row_major for own in orders_of(network)]


def test_where_denominators_wait_for_each_other_a_layer_works_step_by_step() -> None:
    assert _row_major(_stack((True, ()), (False, ()), (True, ()))) == [True, False, True, False]


def test_where_the_maps_of_all_steps_would_be_larger_a_layer_works_step_by_step() -> None:
    network = _stack((True, ()), (True, ()))
    assert _row_major(network) == [True, True, False]
    assert _row_major(replace(network, steps=30)) == [False, False, False]


def test_sources_of_a_sum_are_of_one_order() -> None:
    assert _row_major(_stack((True, ()), (True, ()), (True, (0, 1)))) == [True, True, True, False]
    assert _row_major(_stack((True, ()), (False, ()), (True, (0, 1)))) == [False, False, True, False]
    assert _row_major(_stack((True, ()), (False, ()), (True, (1,)))) == [True, False, True, False]


def test_a_sum_is_of_no_step_that_waits_for_the_next_one_of_another_source() -> None:
    """Layer 1 would need both steps of layer 0, and the sum would not take the second one before one of layer 2."""
    assert _row_major(_stack((False, ()), (True, ()), (False, ()), (True, (2,)))) == [False, True, False, True, False]
    assert _row_major(_stack((False, ()), (True, ()), (False, ()), (True, (0, 2)))) == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_a_sum_takes_first_what_begins_first() -> None:
    """The readout would wait for layer 1, that for both steps of layer 0, whose second the other sum takes after the
    first of layer 3, and that waits for layer 2, which the readout does not take yet.
    """
    network = _crossed()
    assert _row_major(network) == [False] * 6
    later = _stack((True, ()), (False, ()), (True, ()), summed=(0, 2), kind="static")
    assert [(own.row_major, own.start) for own in orders_of(later)] == [(True, 0), (False, 0), (True, 1), (False, 1)]


def _crossed() -> IntegerNetwork:
    layers = (False, ()), (True, (0,)), (True, (-1,)), (False, (2,)), (True, (0, 3))
    return _stack(*layers, summed=(1, 2, 4), kind="static")


@pytest.mark.parametrize(
    "network",
    [
        _stack((False, ()), (True, ()), (False, ()), (True, (0, 2))),
        _stack((True, ()), (False, ()), (True, ()), summed=(0, 2), kind="static"),
        _crossed(),
    ],
)
def test_no_order_stands_still(network: IntegerNetwork) -> None:
    codes = random_codes(network, 2, 0)
    dut = Network(network)
    result = exchange(dut, input_beats(dut, codes), 2, seed=0, stall=0.0)
    assert [output["logits"] for output in result.outputs] == GoldenModel(network).run(codes).logits.tolist()


def test_with_one_time_step_there_is_nothing_to_gather() -> None:
    network = _stack((True, ()), (True, ()), steps=1)
    assert _row_major(network) == [True, True, False] and walk_of(network, 2) is None


def test_the_order_of_a_design_is_part_of_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are not: the weights of a layer behind a row-major one are in another order."""
    network = _stack((True, ()), (True, ()))
    foldings = default_foldings(network)
    mark = fingerprint(network, foldings)
    monkeypatch.setattr(order, "_may_be_row_major", lambda network, index: False)
    assert fingerprint(network, foldings) != mark


def test_order_of_values() -> None:
    values = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    turned = row_major_order(values, 4)
    assert turned.shape == (2, 4, 3, 2)
    assert turned[1].reshape(-1).tolist() == [
        24 + 8 * step + 2 * row + k for row in range(4) for step in range(3) for k in (0, 1)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_only_layers_that_see_one_source_as_it_is_need_no_walk(seed: int) -> None:
    network = random_row_network(seed) if seed % 2 else random_map_network(seed)
    orders = orders_of(network)
    for i, layer in enumerate(network.layers):
        wires = layer.wiring
        sources = wires.sources_of(i)
        plain = wires.window is None and wires.pool == (1, 1) and len(sources) == 1
        behind = sources[0] >= 0 and orders[sources[0]].row_major
        assert (walk_of(network, i) is None) == (plain and not behind), f"layer {i}"
