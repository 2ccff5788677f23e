"""The exact steps of a layer on torch tensors, shared by the golden model and quantisation-aware training.

Sums run as floating-point products of integers, which are exact as long as every partial sum is below 2**24
(float32) or 2**53 (float64); what multiplies by the reciprocal runs in 64-bit integers. Shapes are
``(..., neurons)`` throughout: any leading dimensions are samples and time steps.
"""

from functools import cache

import torch
from torch import Tensor

from quant.arithmetic import leak, round_shift, saturate
from quant.formats import Format
from quant.reciprocal import Reciprocal

__all__ = ["divisive_inhibition", "exact_dtype", "lif_step", "reciprocal", "stabilise"]


def exact_dtype(bound: int) -> torch.dtype:
    """The fastest floating-point type in which integer sums of magnitude up to ``bound`` are exact."""
    return torch.float32 if bound < 1 << 24 else torch.float64


def stabilise(d: Tensor) -> Tensor:
    """``d`` with its zeros replaced by the smallest non-zero of the last dimension (zero where there is none).

    Adaptive stabilisation of the paper; ``d`` is not negative, of any type.
    """
    top = torch.inf if d.is_floating_point() else torch.iinfo(d.dtype).max
    smallest = torch.where(d > 0, d, top).amin(-1, keepdim=True)
    return torch.where(d > 0, d, torch.where(smallest == top, 0, smallest))


@cache
def _table(r: Reciprocal, device: torch.device) -> Tensor:
    return torch.tensor(r.table, dtype=torch.int64, device=device)


def reciprocal(d: Tensor, r: Reciprocal) -> tuple[Tensor, Tensor]:
    """Table entry and exponent of every ``d``, int64.

    ``d`` is a floating-point tensor of integers 0 <= d < 2**53; as float64, its own exponent and leading fraction
    bits are the leading one and the index. Where ``d`` is 0 the results mean nothing.
    """
    bits = d.double().contiguous().view(torch.int64)
    exponent = ((bits >> 52) - 1023).clamp(min=0)
    index = (bits >> (52 - r.index_bits)) & ((1 << r.index_bits) - 1)
    return _table(r, d.device)[index], exponent


def divisive_inhibition(
    bal: Tensor, d: Tensor, g_e: Tensor, b_e: Tensor, shift: int, r: Reciprocal, membrane: Format
) -> Tensor:
    """``I = sat(round_shift(g_e * bal * R, shift + e) + b_e)``, and ``b_e`` where ``d`` is 0; int64.

    Parameters
    ----------
    bal, d : (..., n_e) floating-point tensors of integers
        ``d`` after :func:`stabilise`.
    g_e, b_e : (n_e,) int64
    """
    entry, exponent = reciprocal(d, r)
    product = g_e * bal.long() * entry
    # Past the width of the product every shift gives the same 0: 62 keeps it defined in 64 bits.
    current = round_shift(product, (exponent + shift).clamp(max=62))
    return torch.where(d > 0, saturate(current + b_e, membrane, torch.where), b_e)


def lif_step(v: Tensor, current: Tensor, membrane: Format, tau_shift: int, theta: int) -> tuple[Tensor, Tensor, Tensor]:
    """One step of the LIF neuron: ``u`` before the reset, the spike, and the next membrane potential; int64."""
    u = leak(v, tau_shift) + current
    spike = (u >= theta).long()
    return u, spike, saturate(u - theta * spike, membrane, torch.where)
