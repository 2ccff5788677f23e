"""Interval analysis: nothing that a network computes leaves its width, and the widths are reached."""

from dataclasses import replace

import numpy as np
import pytest

from quant.errors import ChandelierError
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from quant.widths import network_widths
from tests.random_networks import random_codes, random_network


@pytest.mark.parametrize("seed", range(30))
def test_no_value_leaves_its_width(seed: int) -> None:
    network = random_network(seed)
    trace = GoldenModel(network).run(random_codes(network, 60, seed), SIGNALS)
    for i, widths in enumerate(network_widths(network)):
        for name in ("i_ee", "i_ie", "bal", "d", "u"):
            fmt = getattr(widths, name)
            if fmt is not None and (name != "i_ie" or network.layers[i].n_i):
                values = trace.signals[i, name]
                assert values.min() in fmt and values.max() in fmt, f"seed {seed}, layer {i}, {name}: {fmt}"
        if (neurons := network.layers[i].neurons) is not None:
            membrane = neurons.membrane
            assert widths.u == replace(membrane, width=membrane.width + 1)
        if widths.logit is not None:
            assert trace.logits.min() in widths.logit and trace.logits.max() in widths.logit


@pytest.mark.parametrize("seed", range(30))
def test_the_widths_of_the_first_layer_are_tight(seed: int) -> None:
    """The input that the analysis says is the worst does need every bit."""
    network = random_network(seed)
    layer, widths = network.layers[0], network_widths(network)[0]
    coefficients = layer.a * layer.w_ee.astype(np.int64) - layer.w_ei.astype(np.int64) @ layer.w_ie.astype(np.int64)
    top = network.input.format.max
    worst = [top * (sign * coefficients > 0) for sign in (1, -1)]
    extremes = [(coefficients * x).sum(axis=1) for x in worst]
    low, high = int(extremes[1].min()), int(extremes[0].max())
    assert low in widths.bal and high in widths.bal
    bits = max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + (low < 0)
    assert widths.bal.width == max(1, bits)


def _with(network: IntegerNetwork, **changes: object) -> IntegerNetwork:
    return replace(network, layers=(replace(network.layers[0], **changes), *network.layers[1:]))  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused_with_layer_and_quantity() -> None:
    network = random_network(1)
    layer = network.layers[0]
    assert layer.neurons is not None and layer.neurons.reciprocal is not None
    full = {name: np.full_like(getattr(layer, name), 255) for name in ("w_ee", "w_ie", "w_ei")}
    neurons = replace(
        layer.neurons,
        g_e=np.full(layer.n_e, 65535, np.uint16),
        gain_e_bits=16,
        reciprocal=replace(layer.neurons.reciprocal, bits=24),
    )
    wide = _with(network, **full, synapse_bits=8, inhibition_bits=8, a=1 << 24, neurons=neurons)
    line = (
        r"^layers\.0\.product could need \d+ bits, and 62 is the limit: use fewer bits for inputs, synapses, .* gains$"
    )
    with pytest.raises(ChandelierError, match=line):
        network_widths(wide)
