"""EventEncoder: every spike an event, in order, then the marker, at the pace it promises."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.encoder import EventEncoder
from quant.formats import Format
from tests.hw.exchange import exchange

STEPS = 6
MEMBRANE = Format(5, 2, signed=True)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), stall=st.sampled_from([0.0, 0.5]))
def test_events(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 20))
    lanes = int(rng.integers(1, n + 1))
    dut = EventEncoder(n=n, lanes=lanes, membrane=MEMBRANE)
    spikes = rng.random((STEPS, n)) < rng.choice([0, 0.2, 0.7, 1], (STEPS, 1))
    frames = np.pad(spikes, ((0, 0), (0, -n % lanes))).reshape(STEPS, -1, lanes)
    beats = [
        [{"v": int(rng.integers(MEMBRANE.min, MEMBRANE.max + 1)), "spike": int(s)} for s in beat]
        for frame in frames
        for beat in frame
    ]
    expected = [e for step in spikes for e in [*(int(k) for k in np.flatnonzero(step)), "marker"]]
    result = exchange(dut, beats, len(expected), seed=seed, stall=stall)
    got = ["marker" if event["last"] else event["index"] for event in result.outputs]
    assert got == expected, f"seed {seed}"
    assert all(event["value"] == 1 for event in result.outputs if not event["last"])
    if not stall:
        markers = [cycle for cycle, event in zip(result.received, result.outputs, strict=True) if event["last"]]
        cycles = [EventEncoder.cycles([int(k) for k in frame.sum(1)]) for frame in frames]
        assert [b - a for a, b in pairwise(markers)] == cycles[1:], f"seed {seed}"


def test_lanes_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"lanes of the event encoder must be 1\.\.3, not 4"):
        EventEncoder(n=3, lanes=4, membrane=MEMBRANE)
