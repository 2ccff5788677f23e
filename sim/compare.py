"""Comparing what a design did with the golden model, one shard of samples at a time."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quant.errors import ChandelierError
from quant.formats import Format
from sim.beats import tap_values
from sim.harness import Tap
from sim.report import Difference
from sim.runs import Recording

__all__ = ["Comparison", "Signals", "compare"]

#: Integers of each (layer, signal): (samples, steps or 1, neurons).
Signals = Mapping[tuple[int, str], np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """Outcome for one shard.

    Parameters
    ----------
    compared : Counter
        Values of each (layer, signal) that were compared.
    mismatches : int
        How many of them were different.
    first : Difference, optional
        The first of those: of the earliest sample, there of the earliest stage, there of the earliest step.
    faults : list of str
        What was wrong beside values, the earliest stage first.
    """

    compared: Counter[tuple[int, str]]
    mismatches: int
    first: Difference | None
    faults: list[str]


def compare(
    taps: Sequence[Tap],
    recording: Recording,
    golden: Signals,
    signals: Collection[str] | None = None,
    formats: Mapping[tuple[int, str], Format] | None = None,
) -> Comparison:
    """Compares a recording with the golden model of the same samples.

    Parameters
    ----------
    taps : sequence of Tap
        Of the design, in dataflow order.
    recording : Recording
    golden : Signals
        What is not in there is not compared.
    signals : collection of str, optional
        Compares only these.
    formats : mapping, optional
        Format of each (layer, signal) whose values should be named beside the integers.

    Raises
    ------
    ChandelierError
        If the golden model's array of a signal has another shape than the design's.
    """
    compared: Counter[tuple[int, str]] = Counter()
    mismatches, first = 0, None
    for tap, words in zip(taps, recording.words, strict=True):
        for signal, got in tap_values(tap, words).items():
            key = tap.layer, signal
            if key not in golden or (signals is not None and signal not in signals):
                continue
            expected = _sets(key, golden[key], tap.sets, got.shape[1])
            different = expected[: len(got)] != got
            compared[key] += different.size
            mismatches += int(different.sum())
            if different.any():
                at = np.unravel_index(int(different.argmax()), different.shape)
                sample, step = divmod(int(at[0]), tap.sets)
                if first is None or recording.start + sample < first.sample:
                    first = Difference(
                        sample=recording.start + sample,
                        step=step if tap.sets > 1 else None,
                        layer=tap.layer,
                        neuron=int(at[1]),
                        signal=signal,
                        expected=int(expected[at]),
                        got=int(got[at]),
                        format=(formats or {}).get(key),
                    )
    return Comparison(compared, mismatches, first, list(_faults(taps, recording)))


def _sets(key: tuple[int, str], golden: np.ndarray, sets: int, neurons: int) -> np.ndarray:
    """The golden model's array, (samples * sets, neurons)."""
    if golden.shape[1:] != (sets, neurons):
        raise ChandelierError(
            f"layer {key[0]}, {key[1]}: the design has ({sets}, {neurons}) values a sample, "
            f"the golden model {golden.shape[1:]}: they are not of the same network"
        )
    return golden.reshape(-1, neurons)


def _faults(taps: Sequence[Tap], recording: Recording) -> Iterator[str]:
    if recording.deadlock:
        yield f"deadlock: nothing moved for {recording.deadlock} cycles, after {len(recording.finished)} results"
    columns = zip(taps, recording.missing, recording.surplus, recording.violations, strict=True)
    for tap, missing, surplus, (violations, cycle) in columns:
        if missing:
            yield f"stream {tap.name}: {missing} beats are missing"
        if surplus:
            yield f"stream {tap.name}: {surplus} beats too many"
        if violations:
            yield (
                f"stream {tap.name}: an offered beat changed before it was taken, {violations} times, "
                f"first in cycle {cycle}"
            )
