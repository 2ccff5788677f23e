"""Smaller networks in larger shapes: the same results, and widths that hold for any numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.errors import ChandelierError
from quant.formats import Format
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork, Layer
from quant.shape import fitted
from quant.widths import network_widths, shape_widths
from tests.random_networks import other_numbers, random_codes, random_network

SEEDS = st.integers(0, 100_000)


@settings(max_examples=40, deadline=None)
@given(shape=SEEDS, numbers=SEEDS)
def test_no_numbers_of_a_shape_leave_its_widths(shape: int, numbers: int) -> None:
    network = random_network(shape, largest=12)
    other = other_numbers(network, numbers, smaller=False)
    for i, (own, most) in enumerate(zip(network_widths(other), shape_widths(network), strict=True)):
        for name, fmt in vars(own).items():
            if fmt is not None:
                wide: Format = getattr(most, name)
                assert fmt.min in wide and fmt.max in wide, (
                    f"seeds {shape}, {numbers}: layer {i}, {name}: {fmt}, {wide}"
                )


def _extreme(layer: Layer, *, excited: bool) -> Layer:
    """All numbers of a layer at the ends of their formats."""
    w_ee, inhibition = (layer.synapse.max, 0) if excited else (layer.synapse.min, Format(layer.inhibition_bits).max)
    neurons = layer.neurons and replace(
        layer.neurons,
        g_i=np.full_like(layer.neurons.g_i, Format(layer.neurons.gain_i_bits).max),
        g_e=np.full_like(layer.neurons.g_e, Format(layer.neurons.gain_e_bits).max),
    )
    tensors = {"w_ee": w_ee, "w_ie": layer.synapse.max, "w_ei": inhibition}
    filled = {name: np.full_like(getattr(layer, name), code) for name, code in tensors.items()}
    return replace(layer, **filled, neurons=neurons)


@pytest.mark.parametrize("seed", range(20))
def test_the_widths_of_a_shape_are_reached(seed: int) -> None:
    network = random_network(seed, largest=12)
    ends = [
        network_widths(replace(network, layers=tuple(_extreme(layer, excited=e) for layer in network.layers)))
        for e in (True, False)
    ]
    for i, most in enumerate(shape_widths(network)):
        for name, fmt in vars(most).items():
            if fmt is not None:
                reached = max(
                    getattr(end[i], name).width + (fmt.signed and not getattr(end[i], name).signed) for end in ends
                )
                assert reached == fmt.width, f"seed {seed}, layer {i}, {name}"


@settings(max_examples=60, deadline=None)
@given(shape=SEEDS, numbers=SEEDS)
def test_a_fitted_network_computes_the_same(shape: int, numbers: int) -> None:
    large = random_network(shape, largest=12)
    small = other_numbers(large, numbers, smaller=True)
    within = fitted(small, large)
    codes = random_codes(small, 8, numbers)
    more = [(0, 0)] * (codes.ndim - 1) + [(0, large.input.features - small.input.features)]
    own = GoldenModel(small).run(codes, SIGNALS)
    got = GoldenModel(within).run(np.pad(codes, more), SIGNALS)
    assert np.array_equal(got.logits[:, : small.classes], own.logits), f"seeds {shape}, {numbers}"
    assert np.array_equal(got.classes, own.classes), f"seeds {shape}, {numbers}"
    for i, layer in enumerate(small.layers[:-1]):
        spikes = got.signals[i, "spike"]
        assert np.array_equal(spikes[..., : layer.n_e], own.signals[i, "spike"]), f"seeds {shape}, {numbers}, layer {i}"
        assert not spikes[..., layer.n_e :].any()


def _first(network: IntegerNetwork, **changes: object) -> IntegerNetwork:
    layer = network.layers[0]
    assert layer.neurons is not None
    return replace(network, layers=(replace(layer, neurons=replace(layer.neurons, **changes)), *network.layers[1:]))  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused_by_name() -> None:
    shape = random_network(1, largest=12)
    first = shape.layers[0]
    assert first.neurons is not None
    theta = first.neurons.theta
    refusals = {
        rf"layers\.0\.theta of random1 is {theta + 1}, and the design has {theta}": _first(shape, theta=theta + 1),
        r"steps of random1 is 9, and the design has": replace(shape, steps=9),
        r"layers\.0: the presence of a floor of random1 is True, and the design has False": _first(shape, floor=3),
        rf"layers\.0\.a of random1 is {first.a + 1}, and the design has room for {first.a}": replace(
            shape, layers=(replace(first, a=first.a + 1), *shape.layers[1:])
        ),
        r"the number of layers of random4 is 3, and the design has 2": random_network(4, largest=8),
    }
    for line, network in refusals.items():
        with pytest.raises(ChandelierError, match=line):
            fitted(network, shape)
    larger = random_network(1, largest=40)
    with pytest.raises(ChandelierError, match=r"of random1 is \d+, and the design has room for \d+"):
        fitted(larger, shape)
