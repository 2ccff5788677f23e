"""EventEncoder: every spike an event, in order, then the marker, at the pace it promises."""

from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.encoder import EventEncoder
from quant.formats import Format
from tests.hw.exchange import exchange

STEPS = 6
MEMBRANE = Format(5, 2, signed=True)


def _neurons(beat: dict[str, Any], events: int) -> list[int]:
    """The neurons whose spikes are in a beat."""
    if events == 1:
        assert beat["value"] == 1
        return [beat["index"]]
    return sorted(events * event["index"] + k for k, event in enumerate(beat["events"]) if event["value"])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), stall=st.sampled_from([0.0, 0.5]))
def test_events(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 20))
    lanes = int(rng.integers(1, n + 1))
    events = int(rng.choice([k for k in range(1, lanes + 1) if lanes % k == 0]))
    dut = EventEncoder(n=n, lanes=lanes, membrane=MEMBRANE, events=events)
    spikes = rng.random((STEPS, n)) < rng.choice([0, 0.2, 0.7, 1], (STEPS, 1))
    frames = np.pad(spikes, ((0, 0), (0, -n % lanes))).reshape(STEPS, -1, lanes)
    beats = [
        [{"v": int(rng.integers(MEMBRANE.min, MEMBRANE.max + 1)), "spike": int(s)} for s in beat]
        for frame in frames
        for beat in frame
    ]
    expected: list[list[int] | str] = []
    for frame in frames:
        for b, beat in enumerate(frame):
            lit = [[int(j) for j in np.flatnonzero(beat) + b * lanes if j % events == part] for part in range(events)]
            expected += [sorted(j for j in sent if j is not None) for sent in zip_longest(*lit)]
        expected.append("marker")
    result = exchange(dut, beats, len(expected), seed=seed, stall=stall)
    got = ["marker" if beat["last"] else _neurons(beat, events) for beat in result.outputs]
    assert got == expected, f"seed {seed}"
    if not stall:
        markers = [cycle for cycle, event in zip(result.received, result.outputs, strict=True) if event["last"]]
        most = frames.reshape(STEPS, -1, lanes // events, events).sum(2).max(2)
        cycles = [EventEncoder.cycles([int(k) for k in step]) for step in most]
        assert [b - a for a, b in pairwise(markers)] == cycles[1:], f"seed {seed}"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), stall=st.sampled_from([0.0, 0.5]))
def test_groups(seed: int, stall: float) -> None:
    """To maps a beat that has spikes goes as it is."""
    rng = np.random.default_rng(seed)
    lanes, count = (int(n) for n in rng.integers((2, 1), (6, 7)))
    dut = EventEncoder(n=count * lanes, lanes=lanes, membrane=MEMBRANE, events=lanes, grouped=True)
    spikes = (rng.random((STEPS, count, lanes)) < rng.choice([0, 0.2, 1], (STEPS, 1, 1))).astype(int)
    beats = [[{"v": 0, "spike": int(s)} for s in beat] for frame in spikes for beat in frame]
    expected: list[tuple[int, list[int]] | None] = []
    for frame in spikes.tolist():
        expected += [(index, beat) for index, beat in enumerate(frame) if any(beat)]
        expected.append(None)
    result = exchange(dut, beats, len(expected), seed=seed, stall=stall)
    assert [None if o["last"] else (o["index"], o["value"]) for o in result.outputs] == expected, f"seed {seed}"
    if not stall:
        markers = [cycle for cycle, beat in zip(result.received, result.outputs, strict=True) if beat["last"]]
        cycles = [EventEncoder.cycles([int(beat.any()) for beat in frame]) for frame in spikes]
        assert [b - a for a, b in pairwise(markers)] == cycles[1:], f"seed {seed}"


def test_groups_are_whole_beats() -> None:
    with pytest.raises(ValueError, match="must be its lanes, 2, more than one, and divide 5, not 2"):
        EventEncoder(n=5, lanes=2, membrane=MEMBRANE, events=2, grouped=True)


def test_lanes_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"lanes of the event encoder must be 1\.\.3, not 4"):
        EventEncoder(n=3, lanes=4, membrane=MEMBRANE)


def test_events_out_of_range() -> None:
    with pytest.raises(ValueError, match="events of the event encoder must divide 3, and 2 does not"):
        EventEncoder(n=3, lanes=3, membrane=MEMBRANE, events=2)
