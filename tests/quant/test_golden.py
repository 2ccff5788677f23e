"""The golden model against a plain-integer reference that shares nothing with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from quant import golden
from quant.errors import ChandelierError
from quant.golden import SIGNALS, GoldenModel, first_argmax
from quant.network import IntegerNetwork
from quant.widths import network_widths
from tests.random_networks import random_codes, random_map_network, random_network
from tests.reference import reference


def check(network: IntegerNetwork, samples: int, seed: int) -> None:
    """Compares every signal with the reference."""
    codes = random_codes(network, samples, seed)
    trace = GoldenModel(network).run(codes, SIGNALS)
    for sample in range(len(codes)):
        for (layer, signal), expected in reference(network, codes[sample]).items():
            got = trace.signals[layer, signal][sample]
            assert np.array_equal(got, np.array(expected)), f"seed {seed}, sample {sample}, layer {layer}, {signal}"


@pytest.mark.parametrize("seed", range(40))
def test_every_signal_equals_the_reference(seed: int) -> None:
    check(random_network(seed, largest=24), 6, seed)


@pytest.mark.parametrize("seed", range(60))
def test_every_signal_of_maps_equals_the_reference(seed: int) -> None:
    """Convolutions, pooling, residual sums, both stabilisers, and layers without inhibition."""
    check(random_map_network(seed), 4, seed)


def widened(network: IntegerNetwork) -> IntegerNetwork | None:
    """The network with a first layer whose ``bal`` leaves float32 and whose product leaves float64, if it can."""
    first = network.layers[0]
    if first.neurons is None or first.neurons.reciprocal is None:
        return None
    gains = {"g_e": (first.neurons.g_e.astype(np.uint16) << 8) | 0xFF, "gain_e_bits": 16, "shift": 40}
    neurons = replace(first.neurons, **gains, reciprocal=replace(first.neurons.reciprocal, bits=16))  # type: ignore[arg-type]
    wide = replace(network, layers=(replace(first, a=first.a << 12 | 0xFFF, neurons=neurons), *network.layers[1:]))
    try:
        widths = network_widths(wide)[0]
    except ChandelierError:
        return None
    assert widths.product is not None
    return wide if widths.bal.width > 25 and widths.product.width > 53 else None


def test_wide_balances_and_products_equal_the_reference() -> None:
    wide = [(seed, network) for seed in range(200) if (network := widened(random_network(seed, largest=24)))]
    assert len(wide) > 20
    for seed, network in wide:
        check(network, 6, seed)


def test_logits_that_leave_float32_where_balances_do_not_equal_the_reference() -> None:
    found = 0
    for seed in range(60):
        network = random_network(seed, largest=24)
        *hidden, readout = network.layers
        a = (1 << 24) // (network_widths(network)[-1].bal.max // readout.a + 1)
        network = replace(network, layers=(*hidden, replace(readout, a=a)), steps=7)
        widths = network_widths(network)[-1]
        assert widths.logit is not None
        if widths.bal.max < 1 << 24 <= widths.logit.max:
            found += 1
            check(network, 6, seed)
            codes = random_codes(network, 6, seed)
            model = GoldenModel(network)
            assert np.array_equal(model.run(codes).logits, model.run(codes, ["bal"]).logits), f"seed {seed}"
    assert found > 20


def test_a_batch_equals_its_samples_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "_BATCH_VALUES", 700)  # a few samples
    network = random_network(5)
    codes = random_codes(network, 25, 5)
    model = GoldenModel(network)
    whole = model.run(codes)
    parts = np.concatenate([trace.logits for trace in model.batches(codes)])
    assert np.array_equal(whole.logits, parts)
    assert np.array_equal(whole.classes, model.classify(codes)) and model.classify(codes).dtype == np.int64


def test_ties_go_to_the_lowest_index() -> None:
    assert first_argmax(torch.tensor([[1, 3, 3], [2, 2, 2], [-5, -7, -5]])).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[..., :-1], r"takes uint8 codes of shape \(samples, "),
        (lambda c: c.astype(np.int64), "takes uint8 codes"),
        (lambda c: np.full_like(c, 255), "input code 255 does not fit"),
    ],
)
def test_wrong_codes_are_refused(change: object, message: str) -> None:
    network = next(n for n in map(random_network, range(100)) if n.input.bits < 8)
    codes = random_codes(network, 2, 0)
    with pytest.raises(ChandelierError, match=message):
        GoldenModel(network).run(change(codes))  # type: ignore[operator]


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_events_are_what_is_not_zero(seed: int) -> None:
    network = random_network(seed, largest=16)
    codes = random_codes(network, 5, seed)
    events = GoldenModel(network).events(codes)
    steps = 1 if network.input.kind == "static" else network.steps
    assert events[0].tolist() == (codes != 0).reshape(5, steps, -1).tolist()
    expected = [reference(network, sample) for sample in codes]
    for i in range(len(network.layers) - 1):
        assert events[i + 1].dtype == bool
        assert events[i + 1].tolist() == [[[s != 0 for s in step] for step in e[i, "spike"]] for e in expected]


@pytest.mark.parametrize("seed", range(8))
def test_zeros_are_denominators_before_stabilisation(seed: int) -> None:
    network = random_network(seed, largest=16)
    codes = random_codes(network, 5, seed)
    codes[2] = 0  # a silent sample has no inhibition
    zeros = GoldenModel(network).zeros(codes)
    assert len(zeros) == len(network.layers) - 1
    expected = [reference(network, sample) for sample in codes]
    for i, own in enumerate(zeros):
        assert own.dtype == bool
        if network.layers[i].n_i:
            assert own.tolist() == [[[d == 0 for d in step] for step in e[i, "d"]] for e in expected]
            assert i or own[2].all()
        else:
            assert own.shape == (5, network.layer_steps(i), network.layers[i].n_e) and not own.any()
