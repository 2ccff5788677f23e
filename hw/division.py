"""Division by a constant, as a multiplication."""

from amaranth import Value

__all__ = ["divide", "reciprocal_of"]


def reciprocal_of(divisor: int, bits: int) -> tuple[int, int]:
    """``(m, s)`` with ``x // divisor == x * m >> s`` for every ``0 <= x < 2**bits`` (Granlund and Montgomery, 1994).

    ``m = 2**s // divisor + 1`` exceeds ``2**s / divisor`` by 1 at most, which ``s`` makes too little to matter.
    """
    s = bits + (divisor - 1).bit_length()
    return (1 << s) // divisor + 1, s


def divide(value: Value, divisor: int) -> tuple[Value, Value]:
    """Quotient and remainder of an unsigned ``value`` by a constant of 1 at least; of a power of two they are bits."""
    shift = divisor.bit_length() - 1
    if divisor == 1 << shift:
        return value >> shift, value[:shift]
    m, s = reciprocal_of(divisor, len(value))
    quotient = (value * m >> s)[: max(1, len(value) - shift)]
    return quotient, (value - quotient * divisor)[: (divisor - 1).bit_length()]
