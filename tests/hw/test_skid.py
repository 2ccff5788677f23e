"""Skid: the beats as they come, a beat a cycle, and a ready that does not hang on the taker's."""

from itertools import pairwise

import pytest

from hw.layouts import frame_layout
from hw.skid import Skid
from quant.formats import Format
from tests.hw.exchange import exchange


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.5), (2, 0.8)])
def test_beats_pass_in_order(seed: int, stall: float) -> None:
    dut = Skid(frame_layout(2, current=Format(8)))
    beats = [[{"current": (k + lane) % 256} for lane in range(2)] for k in range(60)]
    result = exchange(dut, beats, len(beats), seed=seed, stall=stall)
    assert result.outputs == beats
    if not stall:
        assert result.received[0] - result.sent[0] == Skid.LATENCY
        assert all(b - a == 1 for a, b in pairwise(result.received))
