"""Proofs of saturation and rounding, which every stage has from one file: without registers, for all values."""

from collections.abc import Callable
from typing import Any

from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.hdl import Elaboratable

from quant.arithmetic import round_shift, saturate
from quant.formats import Format
from sim.formal.proof import AnySeq, Bug, Proof, after_reset, claim
from sim.formal.wide import clamp, rounded, wide

__all__ = ["PROOFS"]

#: Bits that a number has beyond those of the format that it is saturated to.
BEYOND = 12
#: Of a number that is rounded, and of the shift.
ROUNDED, SHIFT = signed(24), unsigned(5)


class Free(Elaboratable):
    """What ``make`` claims in a module that has no registers."""

    def __init__(self, make: Callable[[Module], None]) -> None:
        self._make = make

    def elaborate(self, platform: object) -> Module:
        m = Module()
        after_reset(m)
        self._make(m)
        return m


def _saturated(subject: Any, fmt: Format) -> Free:
    def make(m: Module) -> None:
        x = Signal(signed(fmt.width + BEYOND))
        m.d.comb += x.eq(AnySeq(len(x)))
        result = subject(x, fmt, Mux)
        claim(m, (result >= fmt.min) & (result <= fmt.max), "the result is a code of the format")
        claim(m, result == clamp(wide(x), fmt), "it is the nearest one")

    return Free(make)


def _rounded(subject: Any) -> Free:
    def make(m: Module) -> None:
        x, shift = Signal(ROUNDED), Signal(SHIFT)
        m.d.comb += [x.eq(AnySeq(len(x))), shift.eq(AnySeq(len(shift)))]
        claim(m, subject(x, shift) == rounded(wide(x), shift), "it is the nearest integer, halves upwards")

    return Free(make)


def _saturation(name: str) -> Proof:
    return Proof(
        "never wraps: the nearest code, for every number",
        f"saturate to {name}",
        saturate,
        lambda subject: _saturated(subject, Format.parse(name)),
        Bug("select(beyond > 0, fmt.max, x)", "select(beyond > 1, fmt.max, x)"),
        depth=2,
    )


PROOFS = [
    *map(_saturation, ("s4.0", "s10.6", "s24.16", "u8.0")),
    Proof(
        "the nearest integer, halves upwards, for every number and shift",
        "round_shift of 24 bits",
        round_shift,
        _rounded,
        Bug("(((x << 1) >> shift) + 1) >> 1", "((x >> shift) + 1) >> 1"),
        depth=2,
    ),
]
