"""What specifications are written with: plain arithmetic on signed numbers that are wider than any result."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import reduce
from operator import and_
from typing import Any

from amaranth import Const, Mux, Value, signed

from quant.formats import Format
from quant.reciprocal import Reciprocal

__all__ = ["all_of", "clamp", "pick", "reciprocal_of", "rounded", "wide"]

#: Bits beyond those of the operand; no specification here makes a number so much longer.
MARGIN = 16


def wide(value: Any) -> Value:
    """The number as a signed one with room for whatever is computed of it."""
    number = Value.cast(value)
    return number + Const(0, signed(len(number) + MARGIN))


def clamp(number: Value, fmt: Format) -> Value:
    """The code of a format that is nearest to a number."""
    return Mux(number > fmt.max, fmt.max, Mux(number < fmt.min, fmt.min, number))


def rounded(number: Value, shift: Any) -> Value:
    """``number / 2**shift`` to the nearest integer, halves upwards: half of the divisor is added, the rest dropped."""
    one = Const(1, signed(2))
    return (number + ((one << shift) >> 1)) >> shift


def pick(values: Sequence[Any], index: Value) -> Value:
    """The value that has this index."""
    chosen: Value = Value.cast(values[-1])
    for k, value in reversed(list(enumerate(values[:-1]))):
        chosen = Mux(index == k, value, chosen)
    return chosen


def reciprocal_of(d: Value, table: Reciprocal) -> tuple[Value, Value]:
    """Entry and exponent of every ``d``, from their definition in rational numbers; the entry of 0 is 0."""
    r: Value = Const(0, table.bits)
    e: Value = Const(0, len(d))
    for number in range(1, 1 << len(d)):
        place = number.bit_length() - 1
        index = int(Fraction(number, 1 << place) * (1 << table.index_bits)) - (1 << table.index_bits)
        exact = Fraction(1 << table.bits) / (1 + (index + Fraction(1, 2)) / (1 << table.index_bits))
        r = Mux(d == number, int(exact + Fraction(1, 2)), r)
        e = Mux(d == number, place, e)
    return r, e


def all_of(conditions: Iterable[Any]) -> Any:
    """Whether all hold."""
    return reduce(and_, conditions)
