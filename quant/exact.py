"""The exact steps of a layer on torch tensors, shared by the golden model and quantisation-aware training.

Sums run as floating-point products of integers, which are exact as long as every partial sum is below 2**24
(float32) or 2**53 (float64); what multiplies by the reciprocal runs in 64-bit integers. Shapes are
``(..., height, width, channels)`` throughout: any leading dimensions are samples and time steps.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from quant.arithmetic import Reset, after_reset, integrate, round_shift
from quant.formats import Format
from quant.maps import Pair, Window
from quant.reciprocal import Reciprocal

__all__ = [
    "convolve",
    "divide",
    "exact_dtype",
    "lif_step",
    "reciprocal",
    "scale",
    "stabilise",
    "sum_pool",
]


def exact_dtype(bound: int) -> torch.dtype:
    """The fastest floating-point type in which integer sums of magnitude up to ``bound`` are exact."""
    return torch.float32 if bound < 1 << 24 else torch.float64


def _channels_first(x: Tensor) -> Tensor:
    """(samples, channels, height, width) of maps (..., height, width, channels): a view, no copy."""
    return x.flatten(end_dim=-4).permute(0, 3, 1, 2)


def convolve(x: Tensor, w: Tensor, window: Window | None) -> Tensor:
    """Currents (..., h', w', n) of maps (..., h, w, c) and weights (n, d); ``d`` in order (row, column, channel)."""
    if window is None:
        return (x.flatten(-3) @ w.T)[..., None, None, :]
    kernel = w.unflatten(1, (*window.kernel, x.shape[-1])).permute(0, 3, 1, 2)
    currents = conv2d(_channels_first(x), kernel, stride=window.stride, padding=window.padding)
    return currents.permute(0, 2, 3, 1).unflatten(0, x.shape[:-3])


def sum_pool(x: Tensor, pool: Pair) -> Tensor:
    """Sums of maps (..., h, w, c) over windows of ``pool`` side by side; the rest at the edge is dropped."""
    if pool == (1, 1):
        return x
    sums = avg_pool2d(_channels_first(x), pool, divisor_override=1)
    return sums.permute(0, 2, 3, 1).unflatten(0, x.shape[:-3])


def stabilise(d: Tensor, floor: int | Tensor = 0) -> Tensor:
    """Denominators (..., h, w, n), not negative, without zeros.

    With a ``floor`` of 0, zeros are replaced by the smallest non-zero of the whole map (zero where there is none):
    adaptive stabilisation of the paper. Otherwise what is below ``floor`` becomes ``floor``: the streaming form.
    """
    if isinstance(floor, Tensor) or floor:
        return d.clamp(min=floor)
    smallest = torch.where(d > 0, d, torch.inf).flatten(-3).amin(-1)[..., None, None, None]
    return torch.where(d > 0, d, torch.where(smallest == torch.inf, 0, smallest))


@cache
def _table(r: Reciprocal, device: torch.device) -> Tensor:
    return torch.tensor(r.table, dtype=torch.int64, device=device)


def reciprocal(d: Tensor, r: Reciprocal) -> tuple[Tensor, Tensor]:
    """Table entry (int64) and exponent of every ``d``.

    ``d`` is a floating-point tensor of integers; its own exponent and leading fraction bits are the leading one and
    the index. Where ``d`` is 0 the results mean nothing.
    """
    fraction, bias, kind = (23, 127, torch.int32) if d.dtype == torch.float32 else (52, 1023, torch.int64)
    bits = d.contiguous().view(kind)
    exponent = ((bits >> fraction) - bias).clamp(min=0)
    index = (bits >> (fraction - r.index_bits)) & ((1 << r.index_bits) - 1)
    return _table(r, d.device)[index], exponent


def _saturate(x: Tensor, fmt: Format) -> Tensor:
    """:func:`quant.arithmetic.saturate` in the one operation that torch has for it, four times as fast."""
    return x.clamp(fmt.min, fmt.max)


def scale(product: Tensor, shift: int | Tensor, b_e: Tensor, membrane: Format) -> Tensor:
    """``sat(round_shift(product, shift) + b_e)``, int64: the current of a layer."""
    return _saturate(round_shift(product, shift) + b_e, membrane)


def divide(bal: Tensor, d: Tensor, g_e: Tensor, b_e: Tensor, shift: int, r: Reciprocal, membrane: Format) -> Tensor:
    """``I = sat(round_shift(g_e * bal * R, shift + e) + b_e)``, and ``b_e`` where ``d`` is 0; int64.

    Parameters
    ----------
    bal, d : (..., n_e) floating-point tensors of integers
        ``d`` after :func:`stabilise`.
    g_e, b_e : (n_e,) int64
    """
    entry, exponent = reciprocal(d, r)
    # Past the width of the product every shift gives the same 0: 62 keeps it defined in 64 bits.
    current = scale(g_e * bal.long() * entry, (exponent + shift).clamp(max=62), b_e, membrane)
    return torch.where(d > 0, current, b_e)


def lif_step(
    v: Tensor,
    current: Tensor,
    membrane: Format,
    tau_shift: int,
    theta: int,
    factor: int = 1,
    reset: Reset = "subtract",
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of the LIF neuron: ``u`` before the reset, the spike, the next potential; all of the type of ``v``."""
    u = integrate(v, current, theta, tau_shift, factor, reset, torch.where)
    spike = u >= theta
    return u, spike.to(u.dtype), _saturate(after_reset(u, spike, theta, reset, torch.where), membrane)
