"""Division by a constant is exact for every value of its width."""

from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hw.division import divide, reciprocal_of

BITS = 8


@pytest.mark.parametrize("bits", range(1, 12))
def test_reciprocals_are_exact_for_every_value_and_divisor(bits: int) -> None:
    x = np.arange(1 << bits)
    for divisor in range(1, 1 << bits):
        m, s = reciprocal_of(divisor, bits)
        assert np.array_equal(x * m >> s, x // divisor), divisor


def test_quotient_and_remainder_in_hardware() -> None:
    m, value = Module(), Signal(BITS)
    divisors = [1, 2, 3, 7, 16, 33, 100, 128, 255]
    results = []
    for divisor in divisors:
        quotient, remainder = Signal(BITS, name=f"quotient{divisor}"), Signal(BITS, name=f"remainder{divisor}")
        m.d.comb += [part.eq(by) for part, by in zip((quotient, remainder), divide(value, divisor), strict=True)]
        results.append((quotient, remainder))

    async def testbench(ctx: Any) -> None:
        for x in range(1 << BITS):
            ctx.set(value, x)
            for divisor, parts in zip(divisors, results, strict=True):
                assert tuple(map(ctx.get, parts)) == divmod(x, divisor), f"{x} by {divisor}"

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
