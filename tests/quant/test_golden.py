"""The golden model against a plain-integer reference that shares nothing with it."""

import numpy as np
import pytest
import torch

from quant import golden
from quant.errors import ChandelierError
from quant.golden import SIGNALS, GoldenModel, first_argmax
from tests.random_networks import random_codes, random_map_network, random_network
from tests.reference import reference


@pytest.mark.parametrize("seed", range(40))
def test_every_signal_equals_the_reference(seed: int) -> None:
    network = random_network(seed, largest=24)
    codes = random_codes(network, 6, seed)
    trace = GoldenModel(network).run(codes, SIGNALS)
    for sample in range(len(codes)):
        for (layer, signal), expected in reference(network, codes[sample]).items():
            got = trace.signals[layer, signal][sample]
            assert np.array_equal(got, np.array(expected)), f"seed {seed}, sample {sample}, layer {layer}, {signal}"


@pytest.mark.parametrize("seed", range(60))
def test_every_signal_of_maps_equals_the_reference(seed: int) -> None:
    """Convolutions, pooling, residual sums, both stabilisers, and layers without inhibition."""
    network = random_map_network(seed)
    codes = random_codes(network, 4, seed)
    trace = GoldenModel(network).run(codes, SIGNALS)
    for sample in range(len(codes)):
        for (layer, signal), expected in reference(network, codes[sample]).items():
            got = trace.signals[layer, signal][sample]
            assert np.array_equal(got, np.array(expected)), f"seed {seed}, sample {sample}, layer {layer}, {signal}"


def test_a_batch_equals_its_samples_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "_BATCH_VALUES", 700)  # a few samples
    network = random_network(5)
    codes = random_codes(network, 25, 5)
    model = GoldenModel(network)
    whole = model.run(codes)
    parts = np.concatenate([trace.logits for trace in model.batches(codes)])
    assert np.array_equal(whole.logits, parts)
    assert np.array_equal(whole.classes, model.classify(codes))


def test_ties_go_to_the_lowest_index() -> None:
    assert first_argmax(torch.tensor([[1, 3, 3], [2, 2, 2], [-5, -7, -5]])).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[..., :-1], "takes uint8 codes of shape"),
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
    assert np.array_equal(events[0].reshape(codes.shape), codes != 0)
    expected = [reference(network, sample) for sample in codes]
    for i in range(len(network.layers) - 1):
        assert events[i + 1].dtype == bool
        assert events[i + 1].tolist() == [[[s != 0 for s in step] for step in e[i, "spike"]] for e in expected]
