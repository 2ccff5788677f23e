"""Rounding, saturation and leak: one definition, four number systems, the same integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from amaranth import Module, Mux, Signal, signed
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.arithmetic import Reset, after_reset, integrate, leak, round_shift, saturate
from quant.formats import Format

integers = st.integers(-(1 << 40), 1 << 40)
formats = st.builds(Format, st.integers(1, 40), signed=st.booleans())


@given(x=integers, shift=st.integers(0, 60))
def test_round_shift_is_the_nearest_integer_halves_up(x: int, shift: int) -> None:
    expected = math.floor(Fraction(x, 2**shift) + Fraction(1, 2))
    assert round_shift(x, shift) == expected
    assert int(round_shift(np.int64(x), np.int64(shift))) == expected
    assert int(round_shift(torch.tensor(x), torch.tensor(shift))) == expected


@given(x=integers, fmt=formats)
def test_saturate_is_the_nearest_code(x: int, fmt: Format) -> None:
    expected = min(max(x, fmt.min), fmt.max)
    assert saturate(x, fmt) == expected
    assert int(saturate(np.array(x), fmt, np.where)) == expected
    assert int(saturate(torch.tensor(x), fmt, torch.where)) == expected


@given(v=integers, tau_shift=st.integers(1, 12), factor=st.integers(0, 1 << 12))
def test_leak(v: int, tau_shift: int, factor: int) -> None:
    expected = v - math.floor(Fraction(factor * v, 2**tau_shift))
    assert leak(v, tau_shift, factor) == expected
    assert int(leak(np.int64(v), tau_shift, factor)) == expected
    assert int(leak(torch.tensor(v), tau_shift, factor)) == expected


@pytest.mark.parametrize(
    ("reset", "potentials"),
    # Theta 10, of which a leak of 1/4 leaves 3/4: 16 -> 6 -> 4.5; 16 -> 0; 16 -> 12 - 10.
    [("subtract", [16, 6, 5, 5]), ("zero", [16, 0, 0, 0]), ("delayed", [16, 16, 2, 2])],
)
def test_resets(reset: Reset, potentials: list[int]) -> None:
    u = integrate(0, 16, 10, 2, 1, reset)
    v = after_reset(u, u >= 10, 10, reset)
    later = integrate(v, 0, 10, 2, 1, reset)
    assert [u, v, later, after_reset(later, later >= 10, 10, reset)] == potentials


def test_a_delayed_reset_follows_a_potential_that_has_reached_the_threshold() -> None:
    assert [integrate(v, 1, 10, 2, 0, "delayed") for v in (9, 10, 11)] == [10, 1, 2]


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.tuples(st.integers(-(1 << 15), (1 << 15) - 1), st.integers(0, 31)), min_size=20, max_size=20),
    width=st.integers(2, 14),
    tau_shift=st.integers(1, 8),
)
def test_amaranth_computes_the_same(values: list[tuple[int, int]], width: int, tau_shift: int) -> None:
    fmt = Format(width, signed=True)
    x, shift = Signal(signed(16)), Signal(5)
    rounded, saturated, leaked = (Signal(signed(18), name=name) for name in ("rounded", "saturated", "leaked"))
    m = Module()
    m.d.comb += [
        rounded.eq(round_shift(x, shift)),
        saturated.eq(saturate(x, fmt, Mux)),
        leaked.eq(leak(x, tau_shift)),
    ]

    async def testbench(ctx: object) -> None:
        for value, places in values:
            ctx.set(x, value)  # type: ignore[attr-defined]
            ctx.set(shift, places)  # type: ignore[attr-defined]
            got = [ctx.get(signal) for signal in (rounded, saturated, leaked)]  # type: ignore[attr-defined]
            assert got == [round_shift(value, places), saturate(value, fmt), leak(value, tau_shift)]

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
