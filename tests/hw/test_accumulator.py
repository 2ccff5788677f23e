"""SynapseAccumulator: exact sums for random weights, lanes, events and stalls, and the cycles it promises."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.accumulator import SynapseAccumulator
from quant.formats import Format
from tests.hw.exchange import event_beats, exchange

STEPS = 5


def _accumulator(rng: np.random.Generator) -> tuple[SynapseAccumulator, np.ndarray, int]:
    """A random one, its rows of weights (n_e + n_i, d), and its largest input."""
    n_e, n_i, d = (int(v) for v in rng.integers((1, 0, 1), 9))
    synapse_bits, value_bits = (int(v) for v in rng.integers(1, 9, 2))
    synapse = Format(synapse_bits, signed=n_i == 0)
    row = n_e + n_i
    rows = rng.integers(synapse.min, synapse.max + 1, (row, d))
    largest = (1 << value_bits) - 1
    least, most = (part(rows, 0).sum(1) * largest for part in (np.minimum, np.maximum))
    dut = SynapseAccumulator(
        w_ee=rows[:n_e],
        w_ie=rows[n_e:],
        synapse=synapse,
        value_bits=value_bits,
        i_ee=Format.for_range(int(least[:n_e].min()), int(most[:n_e].max())),
        i_ie=Format.for_range(0, int(most[n_e:].max(initial=0))),
        lanes=int(rng.integers(1, row + 1)) if rng.random() < 0.5 else row * int(rng.integers(1, d + 1)),
    )
    return dut, rows, largest


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), stall=st.sampled_from([0.0, 0.5]))
def test_sums_and_cycles(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    dut, rows, largest = _accumulator(rng)
    inputs = rng.integers(0, largest + 1, (STEPS, dut.d)) * (rng.random((STEPS, dut.d)) < rng.random((STEPS, 1)))
    steps = [event_beats(x, dut.events, rng) for x in inputs]
    beats = [beat for step in steps for beat in step]
    result = exchange(dut, beats, STEPS, seed=seed, stall=stall)
    for step, (x, currents) in enumerate(zip(inputs, result.outputs, strict=True)):
        got = [*currents["i_ee"], *currents.get("i_ie", [])]
        assert got == [int(v) for v in rows @ x], f"seed {seed}, step {step}"
    if not stall:
        intervals = [b - a for a, b in pairwise(result.received)]
        assert intervals == [dut.cycles(len(step) - 1) for step in steps[1:]], f"seed {seed}"


def test_latency() -> None:
    dut, _, _ = _accumulator(np.random.default_rng(0))
    result = exchange(dut, [{"index": 0, "value": 0, "last": 1}], 1, seed=0, stall=0.0)
    assert result.received[0] - result.sent[0] == dut.latency


@pytest.mark.parametrize("lanes", [0, 6, 25])
def test_lanes_out_of_range(lanes: int) -> None:
    w = np.zeros((2, 4), int)
    with pytest.raises(
        ValueError, match=rf"lanes of the synapse stage must be 1\.\.5, or 2\.\.4 times that, not {lanes}"
    ):
        SynapseAccumulator(
            w_ee=np.zeros((3, 4), int),
            w_ie=w,
            synapse=Format(1),
            value_bits=1,
            i_ee=Format(4),
            i_ie=Format(4),
            lanes=lanes,
        )
