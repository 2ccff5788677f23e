"""Products and trees that become look-up tables: an FPGA has thousands of those, and a few dozen multipliers."""

from collections.abc import Callable, Sequence
from operator import add
from typing import TypeVar

from amaranth import Mux, Value

__all__ = ["NARROW", "multiple", "narrow_product", "reduce_levels", "tree"]

#: Codes up to this wide are multiplied by look-up tables; wider ones are left to the multipliers of the device.
NARROW = 4
T = TypeVar("T")


def multiple(value: Value, factor: Value | int) -> Value:
    """``value * factor``; of a constant >= 0 by shifts and sums: synthesis would take a multiplier for it."""
    if isinstance(factor, Value):
        return factor * value
    shifted = [value << k for k in range(factor.bit_length()) if factor >> k & 1]
    return tree(shifted, add) if shifted else Value.cast(0)


def narrow_product(code: Value, value: Value, thrice: Value) -> Value:
    """``code * value``, exact; ``thrice`` is ``3 * value``, which many products share.

    Two bits of an unsigned code choose one of 0, 1, 2 and 3 times the value; the sign bit of a signed one takes its
    share off.
    """
    if len(code) > NARROW:
        return code * value
    if len(value) == 1:
        return Mux(value, code, 0)
    magnitude = len(code) - code.shape().signed
    parts = [_digit(code[k : min(k + 2, magnitude)], value, thrice) << k for k in range(0, magnitude, 2)]
    if code.shape().signed:
        parts.append(-(Mux(code[-1], value, 0) << magnitude))
    return tree(parts, add)


def _digit(digit: Value, value: Value, thrice: Value) -> Value:
    once = Mux(digit[0], value, 0)
    return once if len(digit) == 1 else Mux(digit[1], Mux(digit[0], thrice, value << 1), once)


def tree(values: Sequence[T], join: Callable[[T, T], T]) -> T:
    """All values joined, as a balanced tree; of any two, the left one has come first."""
    return reduce_levels(values, join, (len(values) - 1).bit_length())[0]


def reduce_levels(values: Sequence[T], join: Callable[[T, T], T], levels: int) -> list[T]:
    """The lowest ``levels`` of that tree: ``2**levels`` neighbours become one."""
    for _ in range(levels):
        pairs = zip(values[::2], values[1::2], strict=False)
        odd = list(values[-1:]) if len(values) % 2 else []
        values = [join(a, b) for a, b in pairs] + odd
    return list(values)
