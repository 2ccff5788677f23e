"""The exact steps of a layer on torch tensors, shared by the golden model and quantisation-aware training.

Sums run as floating-point products of integers, which are exact as long as every partial sum is below 2**24
(float32) or 2**53 (float64); what multiplies by the reciprocal runs in float64 too, and in 64-bit integers where
that could round. Membranes are integers of as few bits as will do. Shapes are
``(..., height, width, channels)`` throughout: any leading dimensions are samples and time steps.
"""

from collections.abc import Callable
from functools import cache, reduce
from operator import add

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from quant.arithmetic import Reset, after_reset, integrate, round_shift, saturate
from quant.formats import Format
from quant.maps import Pair, Window
from quant.reciprocal import Reciprocal

__all__ = [
    "convolve",
    "divide",
    "exact_dtype",
    "lif_step",
    "magnitude",
    "narrow",
    "reciprocal",
    "scale",
    "stabilise",
    "state_dtype",
    "sum_pool",
    "windows_of",
]


def exact_dtype(bound: int) -> torch.dtype:
    """The fastest floating-point type in which integer sums of magnitude up to ``bound`` are exact."""
    return torch.float32 if bound < 1 << 24 else torch.float64


def _channels_first(x: Tensor) -> Tensor:
    """(samples, channels, height, width) of maps (..., height, width, channels): a view, no copy."""
    return x.flatten(end_dim=-4).permute(0, 3, 1, 2)


def windows_of(x: Tensor, window: Window) -> Tensor:
    """What each output of a convolution sees of maps (..., h, w, c): (..., h', w', d), a copy."""
    (top, left), (height, width) = window.padding, window.kernel
    padded = pad(x, (0, 0, left, left, top, top))
    rows = padded.unfold(-3, height, window.stride[0])
    return rows.unfold(-3, width, window.stride[1]).movedim(-3, -1).flatten(-3)


def convolve(x: Tensor, w: Tensor, window: Window | None) -> Tensor:
    """Currents (..., h', w', n) of maps (..., h, w, c) and weights (n, d); ``d`` in order (row, column, channel).

    On a GPU, of kernels of one pixel, and of outputs one column wide this is a product of matrices, since libraries'
    convolutions are wrong there. A GPU's may go through a transform, after which what no input reaches has a current of
    1e-15 or -1e-8 and not of zero: denominators that :func:`stabilise` would take for the smallest of a map. LeNet did
    not train with them. oneDNN, as of torch 2.13, reads beside a map of one channel if its only column of outputs has a
    stride of more than 1, and rows a stride of 1: any number comes out. And gradients of a kernel of one pixel with a
    stride write beside their memory (uxlfoundation/oneDNN#6035).
    """
    if window is None:
        return (x.flatten(-3) @ w.T)[..., None, None, :]
    height, width, channels = x.shape[-3:]
    if x.device.type == "cuda" or window.kernel == (1, 1) or window.output((height, width, channels))[1] == 1:
        return windows_of(x, window) @ w.T
    kernel = w.unflatten(1, (*window.kernel, x.shape[-1])).permute(0, 3, 1, 2)
    currents = conv2d(_channels_first(x), kernel, stride=window.stride, padding=window.padding)
    return currents.permute(0, 2, 3, 1).unflatten(0, x.shape[:-3])


def sum_pool(x: Tensor, pool: Pair) -> Tensor:
    """Sums of maps (..., h, w, c) over windows of ``pool`` side by side; the rest at the edge is dropped.

    The type stays: it has to hold the sums. Integers have no gradient, and take a third of the time.
    """
    if pool == (1, 1):
        return x
    if not x.is_floating_point():
        for dim, size in zip((-3, -2), pool, strict=True):
            windows = x.narrow(dim, 0, x.shape[dim] // size * size).unflatten(dim, (-1, size))
            x = reduce(add, windows.unbind(dim))
        return x
    sums = avg_pool2d(_channels_first(x), pool, divisor_override=1)
    return sums.permute(0, 2, 3, 1).unflatten(0, x.shape[:-3])


def _mask(compare: Callable[..., Tensor], x: Tensor, bound: float) -> Tensor:
    """Ones where ``compare(x, bound)`` and zeros elsewhere, in the type of ``x``.

    With it choices are products, which take a tenth of the time of booleans and ``torch.where``.
    """
    return compare(x.detach(), bound, out=torch.empty_like(x, requires_grad=False))


def stabilise(d: Tensor, floor: int | Tensor = 0) -> Tensor:
    """Denominators (..., h, w, n), not negative, without zeros.

    With a ``floor`` of 0, zeros are replaced by the smallest non-zero of the whole map (zero where there is none):
    adaptive stabilisation of the paper. Otherwise what is below ``floor`` becomes ``floor``: the streaming form.
    """
    if isinstance(floor, Tensor) or floor:
        return d.clamp(min=floor)
    if d.device.type == "cpu" and (d.numel() == 0 or d.amin() > 0):  # a look at values would make a GPU wait
        return d
    none = torch.finfo(d.dtype).max
    zero = _mask(torch.eq, d, 0)
    smallest = torch.add(d, zero, alpha=none).flatten(-3).amin(-1)[..., None, None, None]
    return torch.addcmul(d, zero, torch.where(smallest < none, smallest, 0))


#: Bits of the fraction, the exponent's bias and the integers of the same size, of each floating-point type.
_ENCODING = {torch.float32: (23, 127, torch.int32), torch.float64: (52, 1023, torch.int64)}


def _places(d: Tensor, r: Reciprocal) -> Tensor:
    """Exponent and index of every ``d`` side by side, ``(bias + e) << index_bits | index``; 0 where it is 0.

    Both are bits of ``d`` as a floating-point number: its exponent, and the leading ones of its fraction. There is no
    zero with a sign after :func:`stabilise`.
    """
    fraction, _, integer = _ENCODING[d.dtype]
    return d.contiguous().view(integer) >> (fraction - r.index_bits)


#: Values that stay in a processor's cache while arithmetic goes over them step by step.
CACHED = 1 << 18


@cache
def _table(r: Reciprocal, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of every place of that type the factor ``R / 2**e``, float64, which holds it exactly; 0 for a ``d`` of 0."""
    factors = [entry * 2.0**-exponent for exponent in range(53) for entry in r.table]
    below_one = torch.zeros(_ENCODING[dtype][1] << r.index_bits, dtype=torch.float64)
    return torch.cat([below_one, torch.tensor(factors, dtype=torch.float64)]).to(device)


def reciprocal(d: Tensor, r: Reciprocal) -> tuple[Tensor, Tensor]:
    """Table entry and exponent of every ``d``, int64, both 0 where ``d`` is 0.

    ``d`` is a floating-point tensor of integers 0 <= d < 2**53.
    """
    place = _places(d, r)
    exponent = ((place.long() >> r.index_bits) - _ENCODING[d.dtype][1]).clamp(min=0)
    factor = _table(r, d.dtype, d.device).index_select(0, place.flatten()).view_as(d)
    return torch.ldexp(factor, exponent).long(), exponent


def scale(product: Tensor, shift: int | Tensor, b_e: Tensor, membrane: Format) -> Tensor:
    """``sat(round_shift(product, shift) + b_e)``, int64: the current of a layer."""
    return saturate(round_shift(product, shift) + b_e, membrane)


def magnitude(x: Tensor) -> int:
    """The largest absolute value of integers; 0 of none."""
    least, most = x.aminmax() if x.numel() else (0, 0)
    return max(-int(least), int(most))


def narrow(product: int, shift: int, d: int, membrane: Format) -> bool:
    """Whether float64 divides exactly: ``g_e * bal * R`` of magnitude up to ``product``, by denominators up to ``d``.

    The quotient is a multiple of ``2**-(shift + e)``, and so is what is added to it, ``0.5 + b_e - membrane.min``; in
    these units each of them is at most ``2**52``, and their sum below ``2**53``.
    """
    return product < 1 << 52 and membrane.width + shift + max(d, 1).bit_length() - 1 <= 52


def divide(
    bal: Tensor,
    d: Tensor,
    g_e: Tensor,
    b_e: Tensor,
    shift: int,
    r: Reciprocal,
    membrane: Format,
    *,
    proven: bool = False,
) -> Tensor:
    """``I = sat(round_shift(g_e * bal * R, shift + e) + b_e)``, and ``b_e`` where ``d`` is 0; :func:`state_dtype`.

    Parameters
    ----------
    bal, d : (..., n_e) floating-point tensors of integers
        ``d`` after :func:`stabilise`.
    g_e, b_e : (n_e,) int64
    proven : bool
        All values are known to be :func:`narrow`; otherwise a look at them decides.
    """
    if not proven and not narrow(magnitude(bal) * int(g_e.amax()) << r.bits, shift, magnitude(d), membrane):
        entry, exponent = reciprocal(d, r)
        # Past the width of the product every shift gives the same 0: 63 keeps it defined in 64 bits.
        wide = scale(g_e * bal.long() * entry, (exponent + shift).clamp(max=63), b_e, membrane)
        return wide.to(state_dtype(membrane))
    table, gain = _table(r, d.dtype, d.device), g_e.double() * 2.0**-shift
    # Counted from the format's least code, nothing is negative, and the conversion to integers rounds down.
    bias, largest = (b_e - membrane.min).double() + 0.5, membrane.max - membrane.min
    current = torch.empty(bal.shape, dtype=state_dtype(membrane), device=d.device)
    rows = max(1, CACHED // bal.shape[-1]) if d.device.type == "cpu" else max(1, bal.numel())
    parts = (values.flatten(end_dim=-2).split(rows) for values in (bal, d, current))
    for part, divisor, result in zip(*parts, strict=True):
        factor = table.index_select(0, _places(divisor, r).flatten()).view_as(divisor)
        # Converted first: a product of two types takes ten times as long.
        quotient = part.to(torch.float64, copy=True).mul_(gain)
        result.copy_(torch.addcmul(bias, quotient, factor, out=quotient).clamp_(0, largest)).add_(membrane.min)
    return current


def state_dtype(membrane: Format, factor: int = 1) -> torch.dtype:
    """The narrowest type for :func:`lif_step`: two bits more than the membrane, or the leak's product."""
    bits = membrane.width + max(2, factor.bit_length())
    return torch.int16 if bits <= 16 else torch.int32 if bits <= 32 else torch.int64


def lif_step(
    v: Tensor,
    current: Tensor,
    membrane: Format,
    tau_shift: int,
    theta: int,
    factor: int = 1,
    reset: Reset = "subtract",
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of the LIF neuron: ``u`` before the reset, the spike, and the next membrane potential.

    All in the type of ``v`` and ``current``: :func:`state_dtype` or a wider one.
    """

    def select(condition: Tensor, then: int | Tensor, otherwise: int | Tensor) -> Tensor:
        chosen = condition.to(v.dtype) * (then - otherwise)
        return chosen if isinstance(otherwise, int) and otherwise == 0 else chosen + otherwise

    u = integrate(v, current, theta, tau_shift, factor, reset, select)
    spike = _mask(torch.ge, u, theta)
    # The common reset in one operation instead of four.
    left = u.sub(spike, alpha=theta) if reset == "subtract" else after_reset(u, spike, theta, reset, select)
    return u, spike, saturate(left, membrane)
