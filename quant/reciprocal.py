"""The reciprocal look-up table: what stands in the place of the one division of an E-I neuron."""

from dataclasses import dataclass
from functools import cached_property

__all__ = ["Reciprocal"]


@dataclass(frozen=True)
class Reciprocal:
    """``1/D`` as a table entry and an exponent: ``1/D ~ R * 2**-(bits + e)``.

    ``e`` is the place of the leading one of ``D``, the next ``index_bits`` bits of ``D`` (zeros below the last)
    choose the entry ``R = round(2**bits / (1 + (index + 1/2) / 2**index_bits))``, so that
    ``2**(bits-1) <= R < 2**bits``.

    Parameters
    ----------
    index_bits : int, 0..12
        The table has ``2**index_bits`` entries.
    bits : int, index_bits+2..24
        Bits of an entry. Fewer than ``index_bits + 2`` could not tell neighbouring entries apart.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    index_bits: int
    bits: int

    def __post_init__(self) -> None:
        if not 0 <= self.index_bits <= 12:
            raise ValueError(f"index_bits of the reciprocal must be 0..12, not {self.index_bits}")
        if not self.index_bits + 2 <= self.bits <= 24:
            raise ValueError(f"bits of the reciprocal must be {self.index_bits + 2}..24, not {self.bits}")

    @cached_property
    def table(self) -> tuple[int, ...]:
        """The entries, ``2**index_bits`` integers of ``bits`` bits."""
        numerator = 1 << (self.bits + self.index_bits + 1)
        denominators = range((2 << self.index_bits) + 1, 4 << self.index_bits, 2)
        return tuple((2 * numerator + d) // (2 * d) for d in denominators)

    @property
    def error_bound(self) -> float:
        """Largest relative error of ``R * 2**-(bits + e)`` against ``1/D``, over all ``D >= 1``.

        Half an index step is at most ``1 / (2**(index_bits+1) + 1)`` of the middle of its interval; rounding
        the entry adds at most ``2**-bits``.
        """
        return 1 / ((2 << self.index_bits) + 1) + 2.0**-self.bits

    def exponent(self, d: int) -> int:
        """Place of the leading one of ``d >= 1``: ``floor(log2(d))``."""
        return d.bit_length() - 1

    def index(self, d: int) -> int:
        """Table index of ``d >= 1``: the ``index_bits`` bits below its leading one."""
        return ((d << self.index_bits) >> self.exponent(d)) - (1 << self.index_bits)

    def entry(self, d: int) -> int:
        """``R`` of ``d >= 1``."""
        return self.table[self.index(d)]
