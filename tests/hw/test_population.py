"""PopulationUnit and GlobalInhibition: exact sums for random weights, lanes and stalls, and the cycles they promise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.global_inhibition import GlobalInhibition
from hw.loadable import Register
from hw.population import PopulationUnit
from quant.formats import Format
from tests.hw.exchange import exchange

STEPS = 5
CURRENT = Format(6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    stall=st.sampled_from([0.0, 0.5]),
    readout=st.booleans(),
    equal_gains=st.booleans(),
    equal_rows=st.booleans(),
    loadable=st.booleans(),
)
def test_sums_and_cycles(
    seed: int, stall: float, readout: bool, equal_gains: bool, equal_rows: bool, loadable: bool
) -> None:
    rng = np.random.default_rng(seed)
    n_e, n_i = (int(v) for v in rng.integers(1, 9, 2))
    w_ei, g_i, a = rng.integers(0, 8, (n_e, n_i)), rng.integers(0, 16, n_i), int(rng.integers(1, 20))
    if equal_gains:  # also one that is no power of two
        g_i[:] = rng.choice([0, 1, 2, 3, 8])
    if equal_rows:
        w_ei[:] = w_ei[0]
    i_ee, i_ie = rng.integers(0, CURRENT.max + 1, (STEPS, n_e)), rng.integers(0, CURRENT.max + 1, (STEPS, n_i))
    expected = {"bal": a * i_ee - i_ie @ w_ei.T, "d": (g_i * i_ie) @ w_ei.T}
    bal = Format.for_range(min(-1, int(expected["bal"].min())), max(0, int(expected["bal"].max())))
    lanes = int(rng.integers(1, n_e + 1))
    factor = Register(a, 5) if loadable else a
    currents = {"i_ee": CURRENT, "i_ie": CURRENT, "bal": bal}
    common: dict[str, Any] = {"w_ei": w_ei, "inhibition_bits": 3, "a": factor, **currents}
    shunting: dict[str, Any] = (
        {} if readout else {"d": Format.for_range(0, int(expected["d"].max())), "g_i": g_i, "gain_i_bits": 4}
    )
    unit = GlobalInhibition if equal_rows else PopulationUnit
    dut = unit(**common, **shunting, population_lanes=int(rng.integers(1, n_i + 1)), neuron_lanes=lanes)
    beats = [{"i_ee": e.tolist(), "i_ie": i.tolist()} for e, i in zip(i_ee, i_ie, strict=True)]
    result = exchange(dut, beats, STEPS * dut.groups, seed=seed, stall=stall)
    for name in ("bal",) if readout else ("bal", "d"):
        padded = np.pad(expected[name], ((0, 0), (0, dut.groups * lanes - n_e)))
        got = np.array([[neuron[name] for neuron in beat] for beat in result.outputs])
        assert np.array_equal(got, padded.reshape(-1, lanes)), f"seed {seed}, {name}"
    if not stall:
        first_beats = result.received[:: dut.groups]
        assert first_beats[0] - result.sent[0] == dut.latency
        assert set(np.diff(first_beats)) == {dut.cycles}, f"seed {seed}"


@pytest.mark.parametrize(
    ("lanes", "message"),
    [
        ({"population_lanes": 3, "neuron_lanes": 1}, "population_lanes of the population unit must be 1..2, not 3"),
        ({"population_lanes": 1, "neuron_lanes": 0}, "neuron_lanes of the population unit must be 1..4, not 0"),
    ],
)
def test_lanes_out_of_range(lanes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PopulationUnit(
            w_ei=np.zeros((4, 2), int), inhibition_bits=1, a=1, i_ee=CURRENT, i_ie=CURRENT, bal=CURRENT, **lanes
        )


def test_global_inhibition_takes_equal_rows_only() -> None:
    with pytest.raises(ValueError, match="rows of w_ei must be equal for global inhibition"):
        GlobalInhibition(
            w_ei=np.eye(2, dtype=int),
            inhibition_bits=1,
            a=1,
            i_ee=CURRENT,
            i_ie=CURRENT,
            bal=CURRENT,
            population_lanes=1,
            neuron_lanes=1,
        )
