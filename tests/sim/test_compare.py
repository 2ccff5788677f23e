"""Finding the first difference, and saying what is wrong."""

import numpy as np
import pytest

from hw.manifest import PayloadField
from quant.errors import ChandelierError
from quant.formats import Format
from sim.compare import compare
from sim.harness import Tap
from sim.runs import Recording


def _tap(layer: int, signal: str, sets: int) -> Tap:
    """A stream of 3 neurons, each in a word of its own, all in one beat."""
    field = PayloadField(signal=signal, offset=0, stride=64, width=64, signed=True, lanes=3, neurons=3)
    return Tap(layer, f"{signal}.o", "", "", "", width=192, beats=1, sets=sets, rows=1, fields=[field])


TAPS = [_tap(0, "current", 1), _tap(0, "v", 2), _tap(1, "logits", 1)]
SAMPLES = 4


def _golden() -> dict[tuple[int, str], np.ndarray]:
    rng = np.random.default_rng(5)
    return {(tap.layer, tap.fields[0].signal): rng.integers(-99, 99, (SAMPLES, tap.sets, 3)) for tap in TAPS}


def _recording(values: dict[tuple[int, str], np.ndarray], start: int = 0) -> Recording:
    none = [0] * len(TAPS)
    return Recording(
        start=start,
        stop=start + SAMPLES,
        words=[value.astype(np.int64).ravel().view(np.uint64) for value in values.values()],
        missing=none,
        surplus=none,
        waited=none,
        violations=[(0, 0)] * len(TAPS),
        deadlock=0,
        started=np.arange(SAMPLES),
        finished=np.arange(SAMPLES) + 9,
        cycles=100,
    )


def test_equal() -> None:
    outcome = compare(TAPS, _recording(_golden()), _golden())
    assert (outcome.mismatches, outcome.first, outcome.faults) == (0, None, [])
    assert outcome.compared == {(0, "current"): 12, (0, "v"): 24, (1, "logits"): 12}


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ([(0, "v", 1, 1, 2)], "sample 11, step 1, layer 0, neuron 2, v"),
        ([(0, "current", 3, 0, 1)], "sample 13, layer 0, neuron 1, current"),
        # The earliest sample, whatever the stage; of one sample the earliest stage, whatever the step.
        ([(0, "current", 3, 0, 1), (1, "logits", 2, 0, 0)], "sample 12, layer 1, neuron 0, logits"),
        ([(1, "logits", 2, 0, 0), (0, "v", 2, 1, 2), (0, "v", 2, 1, 1)], "sample 12, step 1, layer 0, neuron 1, v"),
    ],
)
def test_first_difference(changes: list[tuple[int, str, int, int, int]], first: str) -> None:
    values = _golden()
    for layer, signal, *place in changes:
        values[layer, signal][tuple(place)] += 1
    outcome = compare(TAPS, _recording(values, start=10), _golden())
    assert outcome.mismatches == len(changes)
    assert str(outcome.first).startswith(f"{first}: expected ")


def test_message_gives_the_value_of_a_fixed_point_number() -> None:
    golden, values = _golden(), _golden()
    golden[0, "v"][0, 1, 2], values[0, "v"][0, 1, 2] = -5, -6
    outcome = compare(TAPS, _recording(values), golden, formats={(0, "v"): Format(12, 4, signed=True)})
    assert str(outcome.first) == "sample 0, step 1, layer 0, neuron 2, v: expected -5 (-0.3125), got -6"


def test_only_chosen_signals_are_compared() -> None:
    values = _golden()
    values[0, "v"] += 1
    outcome = compare(TAPS, _recording(values), _golden(), signals=["current"])
    assert outcome.compared == {(0, "current"): 12}
    assert not outcome.mismatches


def test_golden_model_of_another_network() -> None:
    golden = _golden() | {(0, "v"): np.zeros((SAMPLES, 3, 3), np.int64)}
    with pytest.raises(ChandelierError, match=r"layer 0, v: the design has \(2, 3\) .* \(3, 3\): they are not"):
        compare(TAPS, _recording(_golden()), golden)
