"""Rounding, saturation, leak and reset, once: on Python integers, numpy arrays, torch tensors and Amaranth values.

Each function is written with operators only, so that the very same line computes the golden model and
elaborates to hardware.
"""

from collections.abc import Callable
from typing import Any, Literal

from quant.formats import Format

__all__ = ["Reset", "after_reset", "integrate", "leak", "round_shift", "saturate"]

#: What a spike does to the potential: it loses the threshold at once, or becomes zero, or loses the threshold with the
#: next step, after the leak.
Reset = Literal["subtract", "zero", "delayed"]
Select = Callable[[Any, Any, Any], Any]


def round_shift(x: Any, shift: Any) -> Any:
    """``x / 2**shift`` rounded to the nearest integer, halves upwards: ``floor((x + 2**shift / 2) / 2**shift)``.

    ``shift`` is not negative; right shifts are arithmetic (towards minus infinity). Written so that nothing is wider
    than ``x`` and two bits, however large the shift.
    """
    return (((x << 1) >> shift) + 1) >> 1


def _choose(condition: Any, then: Any, otherwise: Any) -> Any:
    return then if condition else otherwise


def saturate(x: Any, fmt: Format, select: Select = _choose) -> Any:
    """The code of ``fmt`` nearest to ``x``.

    ``select(condition, then, otherwise)`` is the choice of the number system at hand: Amaranth's ``Mux`` or, by
    default, Python's own. Arrays and tensors clip themselves.
    """
    if hasattr(x, "clip"):
        return x.clip(fmt.min, fmt.max)
    beyond = x >> (fmt.width - fmt.signed)  # of a code, nothing but its sign: a comparison of few bits
    return select(beyond < -fmt.signed, fmt.min, select(beyond > 0, fmt.max, x))


def leak(v: Any, tau_shift: int, factor: int = 1) -> Any:
    """``(1 - 1/tau) * v`` for ``tau = 2**tau_shift / factor``: ``v - (factor * v >> tau_shift)``, the shift arithmetic.

    With ``factor`` 0 nothing leaks; with ``2**tau_shift`` nothing is left.
    """
    return v - ((v if factor == 1 else factor * v) >> tau_shift)


def integrate(
    v: Any, current: Any, theta: int, tau_shift: int, factor: int, reset: Reset, select: Select = _choose
) -> Any:
    """``u = leak(v) + I``, from which a delayed reset takes ``theta`` where ``v`` has reached it."""
    u = leak(v, tau_shift, factor) + current
    return u - select(v >= theta, theta, 0) if reset == "delayed" else u


def after_reset(u: Any, spike: Any, theta: int, reset: Reset, select: Select = _choose) -> Any:
    """The potential that ``u`` leaves for the next step, before it is saturated."""
    match reset:
        case "subtract":
            return select(spike, u - theta, u)  # in hardware, the subtraction does not wait for the comparison
        case "zero":
            return select(spike, 0, u)
        case "delayed":
            return u
