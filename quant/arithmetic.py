"""Rounding, saturation and leak, once: on Python integers, numpy arrays, torch tensors and Amaranth values alike.

Each function is written with operators only, so that the very same line computes the golden model and
elaborates to hardware.
"""

from collections.abc import Callable
from typing import Any

from quant.formats import Format

__all__ = ["leak", "round_shift", "saturate"]


def round_shift(x: Any, shift: Any) -> Any:
    """``x / 2**shift`` rounded to the nearest integer, halves upwards: ``floor((x + 2**shift / 2) / 2**shift)``.

    ``shift`` is not negative; right shifts are arithmetic (towards minus infinity). Written so that nothing is wider
    than ``x`` and two bits, however large the shift.
    """
    return (((x << 1) >> shift) + 1) >> 1


def _choose(condition: Any, then: Any, otherwise: Any) -> Any:
    return then if condition else otherwise


def saturate(x: Any, fmt: Format, select: Callable[[Any, Any, Any], Any] = _choose) -> Any:
    """The code of ``fmt`` nearest to ``x``.

    ``select(condition, then, otherwise)`` is the choice of the number system at hand: ``numpy.where``,
    ``torch.where``, Amaranth's ``Mux``, or, by default, Python's own.
    """
    return select(x < fmt.min, fmt.min, select(x > fmt.max, fmt.max, x))


def leak(v: Any, tau_shift: int) -> Any:
    """``(1 - 1/tau) * v`` for ``tau = 2**tau_shift``: ``v - (v >> tau_shift)``, the shift arithmetic."""
    return v - (v >> tau_shift)
