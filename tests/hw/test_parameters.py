"""ParameterMemory: gains and biases in the order of the beats, from the first cycle in which it is ready."""

from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.parameters import ParameterMemory
from quant.formats import Format


@pytest.mark.parametrize("lanes", [1, 2, 3, 7])
def test_words_come_round(lanes: int) -> None:
    g_e, b_e = [3, 1, 4, 1, 5, 9, 2], [-3, 5, -8, 7, 0, 1, -1]
    dut: Any = ParameterMemory(
        "the test", lanes=lanes, g_e=g_e, b_e=b_e, gain_e_bits=4, membrane=Format(4, signed=True)
    )
    beats = -(-len(g_e) // lanes)
    pairs = [*zip(g_e, b_e, strict=True), *[(0, 0)] * (beats * lanes - len(g_e))]
    got: list[list[tuple[int, int]]] = []

    async def testbench(ctx: Any) -> None:
        assert not ctx.get(dut.ready)
        await ctx.tick()
        for cycle in range(6 * beats):
            assert ctx.get(dut.ready)
            taken = cycle % 3 > 0
            ctx.set(dut.taken, taken)
            if taken:
                got.append([(ctx.get(word.g_e), ctx.get(word.b_e)) for word in dut.data])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert got == [pairs[k % beats * lanes :][:lanes] for k in range(4 * beats)]
