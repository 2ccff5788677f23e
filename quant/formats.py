"""Fixed-point formats with names: ``u4.0`` is unsigned, 4 bits; ``s12.6`` is signed, 12 bits, 6 of them fractional."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Format", "FormatName"]


@dataclass(frozen=True)
class Format:
    """A fixed-point number format: the integer ``n`` stands for the value ``n * 2**-frac``.

    Parameters
    ----------
    width : int, 1..64
        Bits in all, the sign included.
    frac : int, 0..63
        How many of the bits are fractional.
    signed : bool
        Two's complement if true.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    width: int
    frac: int = 0
    signed: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise ValueError(f"width must be 1..64, not {self.width}")
        if not 0 <= self.frac <= 63:
            raise ValueError(f"frac must be 0..63, not {self.frac}")

    @property
    def min(self) -> int:
        """Smallest integer code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest integer code."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def step(self) -> float:
        """Value of one unit in the last place."""
        return 2.0**-self.frac

    def __contains__(self, code: int) -> bool:
        return self.min <= code <= self.max

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}.{self.frac}"

    @classmethod
    def parse(cls, name: str) -> "Format":
        """The format called ``name``, such as ``s12.6``.

        Raises
        ------
        ValueError
            If the name is not of that form or a number in it is out of range.
        """
        match = re.fullmatch(r"([us])(\d{1,2})\.(\d{1,2})", name)
        if match is None:
            raise ValueError(f"a format is written like s12.6 or u4.0, not {name!r}")
        return cls(int(match[2]), int(match[3]), signed=match[1] == "s")

    @classmethod
    def for_range(cls, low: int, high: int) -> "Format":
        """The narrowest integer format that holds every integer from ``low`` to ``high``."""
        if low < 0:
            return cls(max((-low - 1).bit_length(), max(0, high).bit_length()) + 1, signed=True)
        return cls(max(1, high.bit_length()))


#: A :class:`Format` in a pydantic model, written and read by its name.
FormatName = Annotated[
    Format,
    BeforeValidator(lambda name: name if isinstance(name, Format) else Format.parse(str(name))),
    PlainSerializer(str),
]
