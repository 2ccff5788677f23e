"""Narrow products: every code with every value, signed and unsigned; trees keep the order."""

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hw.layouts import shape_of
from hw.product import narrow_product, reduce_levels, tree
from quant.formats import Format


@pytest.mark.parametrize("code", [Format(bits, signed=s) for s in (False, True) for bits in (1, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("value_bits", [1, 3])
def test_every_product(code: Format, value_bits: int) -> None:
    m, a, x, product = Module(), Signal(shape_of(code)), Signal(value_bits), Signal(Format(12, signed=True).width)
    m.d.comb += product.eq(narrow_product(a, x, 3 * x))
    got = {}

    async def testbench(ctx: object) -> None:
        for w in range(code.min, code.max + 1):
            for value in range(1 << value_bits):
                ctx.set(a, w)  # type: ignore[attr-defined]
                ctx.set(x, value)  # type: ignore[attr-defined]
                got[w, value] = ctx.get(product.as_signed())  # type: ignore[attr-defined]

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert got == {(w, value): w * value for w, value in got}
    assert len(got) == (code.max - code.min + 1) << value_bits


def test_trees_keep_the_order() -> None:
    words = list("abcdefg")
    assert tree(words, str.__add__) == "abcdefg"
    assert reduce_levels(words, str.__add__, 1) == ["ab", "cd", "ef", "g"]
    assert reduce_levels(words, str.__add__, 2) == ["abcd", "efg"]
