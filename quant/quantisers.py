"""Quantisers with straight-through gradients: they plug into the E-I layers of ``sw`` and give them integers.

Codes are floating-point tensors that hold integers. A layer that computes with codes computes exactly what the
golden model computes, since the steps of a layer are those of ``quant/exact.py``.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from quant.errors import ChandelierError
from quant.exact import divide, exact_dtype, scale
from quant.formats import Format
from quant.network import Neurons
from quant.reciprocal import Reciprocal

__all__ = ["LayerQuantiser", "NeuronCodes", "Scheme", "straight_through"]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, surrogate: Tensor, value: Tensor) -> Tensor:
        return value.to(surrogate.dtype)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(surrogate: Tensor, value: Tensor) -> Tensor:
    """``value``, bit for bit, with the gradient of ``surrogate`` (same shape)."""
    return _StraightThrough.apply(surrogate, value.detach())


#: Largest code of signed synapses over their mean magnitude, by bits: least square error for a normal distribution
#: (J. Max, Quantizing for Minimum Distortion, 1960, table of uniform quantisers).
_SIGNED_SPREAD = {2: 1.53, 3: 2.45, 4: 3.1, 5: 3.5, 6: 4.05, 7: 4.5, 8: 4.9}
#: Largest code of unsigned synapses over their mean; and, by bits, of those that were trained without bits. That leaves
#: a few far above the others: with more bits, cutting them off costs more than rounding the small ones
#: (docs/results.md, "After training").
_SPREAD = 5
_WIDE_SPREAD = {1: 5, 2: 5, 3: 10, 4: 14, 5: 17, 6: 20, 7: 22, 8: 24}
_RECIPROCAL = Reciprocal(4, 8)
_MEMBRANE = Format(10, 6, signed=True)


@dataclass(frozen=True)
class Scheme:
    """Bits of every tensor of a layer; the defaults are the smallest that lose nothing (docs/numerics.md).

    Parameters
    ----------
    synapse_bits : int, 1..8
        ``w_ee`` and ``w_ie``, which share one step.
    inhibition_bits : int, 1..8
        ``w_ei``.
    gain_i_bits : int, 1..8
    gain_e_bits : int, 1..16
    reciprocal : Reciprocal
    membrane : Format, signed, 4..24 bits
        Of membrane potential, current and bias.
    step : "calibrated", "learned" or "wide"
        The step of the synapses: five times their mean over the largest code; or a trained parameter that starts there
        (LSQ, Esser et al., ICLR 2020); or, for synapses that were trained without bits, 5 (of one and two) to 24 times
        (of eight).

    Raises
    ------
    ChandelierError
        If a parameter is out of its range.
    """

    synapse_bits: int = 2
    inhibition_bits: int = 2
    gain_i_bits: int = 2
    gain_e_bits: int = 8
    reciprocal: Reciprocal = _RECIPROCAL
    membrane: Format = _MEMBRANE
    step: Literal["calibrated", "learned", "wide"] = "calibrated"

    def __post_init__(self) -> None:
        limits = {"synapse_bits": 8, "inhibition_bits": 8, "gain_i_bits": 8, "gain_e_bits": 16}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise ChandelierError(f"{name} must be 1..{most}, not {getattr(self, name)}")
        # Above 24 bits a float32 current could not hold the integer.
        if not (self.membrane.signed and 4 <= self.membrane.width <= 24):
            raise ChandelierError(f"membrane must be a signed format of 4..24 bits, not {self.membrane}")
        if self.membrane.max < 1 << self.membrane.frac:
            raise ChandelierError(f"membrane {self.membrane} cannot hold the threshold 1.0: use fewer fractional bits")


@dataclass(frozen=True)
class NeuronCodes:
    """Gain and bias codes, int64 of shape (n_e,), with the shift that belongs to them."""

    g_e: Tensor
    b_e: Tensor
    shift: int
    scheme: Scheme

    def divided(self, bal: Tensor, d: Tensor) -> Tensor:
        """The exact current of integers ``bal`` and ``d`` (..., n_e), in units of the threshold, floating point."""
        scheme = self.scheme
        codes = divide(bal, d, self.g_e, self.b_e, self.shift, scheme.reciprocal, scheme.membrane)
        return codes * scheme.membrane.step

    def scaled(self, bal: Tensor) -> Tensor:
        """The same in a layer without I neurons, where nothing divides."""
        codes = scale(self.g_e * bal.long(), self.shift, self.b_e, self.scheme.membrane)
        return codes * self.scheme.membrane.step


class _Codes(torch.autograd.Function):
    """``round(x / step)`` in least..most of every ``x``; the gradient passes where it did not saturate.

    Written out because the gradient of ``clamp`` takes longer than the rest of a small layer.
    """

    @staticmethod
    def forward(ctx: Any, step: Tensor, most: int, least: int, *xs: Tensor) -> tuple[Tensor, ...]:
        scaled = [x / step for x in xs]
        codes = [ratio.clamp(least, most) for ratio in scaled]
        inside = [torch.eq(*pair, out=torch.empty_like(pair[0])) for pair in zip(codes, scaled, strict=True)]
        ctx.save_for_backward(step, *scaled, *inside)
        return tuple(code.round_() for code in codes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        step, *saved = ctx.saved_tensors
        scaled, inside = saved[: len(gradients)], saved[len(gradients) :]
        d_xs = [(gradient * mask).div_(step) for gradient, mask in zip(gradients, inside, strict=True)]
        d_step = None
        if ctx.needs_input_grad[0]:
            d_step = -torch.stack([(d_x * ratio).sum() for d_x, ratio in zip(d_xs, scaled, strict=True)]).sum()
        return d_step, None, None, *d_xs


def _codes(x: Tensor, step: Tensor, most: int, least: int = 0) -> Tensor:
    """Codes of ``x``: see :class:`_Codes`."""
    return _Codes.apply(step, most, least, x)[0]


def _require_finite(name: str, x: Tensor) -> None:
    # The sum is one quick operation; only if it is not finite is it worth looking for the value.
    if not math.isfinite(x.sum().item()) and not bool(torch.isfinite(x).all()):
        raise ChandelierError(f"{name} holds {x[~torch.isfinite(x)][0].item()}, which has no integer code")


class LayerQuantiser(nn.Module):
    """Turns the parameters of one E-I layer into the integers of ``scheme``.

    Without a learned step it has no state: the codes are a function of the weights alone.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme
        self.log_step = nn.Parameter(torch.tensor(math.nan)) if scheme.step == "learned" else None

    def _calibrated_step(self, mean: Tensor) -> Tensor:
        if not 0 < mean.item() < math.inf:
            raise ChandelierError(f"w_ee and w_ie have the mean {mean}: there is nothing to quantise")
        bits = self.scheme.synapse_bits
        spread = _WIDE_SPREAD[bits] if self.scheme.step == "wide" else _SPREAD
        return spread * mean / ((1 << bits) - 1)

    def _step(self, mean: Tensor, weights: int) -> Tensor:
        """The step of so many synapses of that mean, a scalar."""
        if self.log_step is None:
            return self._calibrated_step(mean)
        if self.log_step.isnan():
            with torch.no_grad():
                self.log_step.copy_(self._calibrated_step(mean).log())
        # As LSQ does with the step's gradient, that of its logarithm, which keeps it positive, is scaled by
        # 1/sqrt(weights * largest code).
        scale = (weights * ((1 << self.scheme.synapse_bits) - 1)) ** -0.5
        return straight_through(self.log_step * scale, self.log_step).exp()

    def synapses(self, w_ee: Tensor, w_ie: Tensor, x_max: int) -> tuple[Tensor, Tensor, Tensor, int]:
        """Codes of ``w_ee`` and ``w_ie``, their common step, and the largest current of inputs up to ``x_max``.

        The codes have the floating-point type in which such currents are exact.
        """
        weights = w_ee.numel() + w_ie.numel()
        mean = (w_ee.detach().sum() + w_ie.detach().sum()) / weights
        if not math.isfinite(mean.item()):
            _require_finite("w_ee", w_ee)
            _require_finite("w_ie", w_ie)
        step = self._step(mean, weights)
        most = (1 << self.scheme.synapse_bits) - 1
        i_max = w_ee.shape[1] * x_max * most
        w_ee, w_ie = (codes.to(exact_dtype(i_max)) for codes in _Codes.apply(step, most, 0, w_ee, w_ie))
        return w_ee, w_ie, step, i_max

    def signed_synapses(self, w: Tensor, x_max: int) -> tuple[Tensor, Tensor]:
        """Codes of the signed synapses ``w`` (n, d) of a layer without I neurons, and their step.

        Codes are symmetric, ``-(2**(bits-1) - 1)`` to ``2**(bits-1) - 1``, in the floating-point type in which
        currents of inputs up to ``x_max`` are exact; the step is so many times their mean magnitude.
        """
        _require_finite("w_ee", w)
        if self.scheme.synapse_bits < 2:
            raise ChandelierError(
                "synapses of a network without inhibition are signed: synapse_bits must be 2..8, not 1"
            )
        most = (1 << (self.scheme.synapse_bits - 1)) - 1
        mean = w.detach().abs().mean()
        if mean <= 0:
            raise ChandelierError("w_ee is zero everywhere: there is nothing to quantise")
        step = _SIGNED_SPREAD[self.scheme.synapse_bits] * mean / most
        dtype = exact_dtype(w.shape[1] * x_max * most)
        return _codes(w, step, most, -most).to(dtype), step

    def inhibition(self, w_ei: Tensor, i_max: int) -> tuple[Tensor, int]:
        """Codes of ``w_ei`` and ``a``, the inverse of their step.

        ``a = n_i * 2**(bits-1)``: the initial ``1/n_i`` is in the middle of the range. The codes have the
        floating-point type in which balance and denominator are exact for currents up to ``i_max``.
        """
        _require_finite("w_ei", w_ei)
        bits, n_i = self.scheme.inhibition_bits, w_ei.shape[1]
        a, most = n_i << (bits - 1), (1 << bits) - 1
        dtype = exact_dtype(i_max * max(a, n_i * most * ((1 << self.scheme.gain_i_bits) - 1)))
        return _codes(w_ei.double(), w_ei.new_tensor(1 / a, dtype=torch.float64), most).to(dtype), a

    def gain_i(self, g_i: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of ``g_i`` (float64) and their step; a common factor of the codes goes into the step."""
        _require_finite("g_i", g_i)
        most = (1 << self.scheme.gain_i_bits) - 1
        top = g_i.detach().double().max()
        if top <= 0:
            raise ChandelierError("g_i is zero everywhere: divisive inhibition needs at least one gain above zero")
        step = top / most
        codes = _codes(g_i.double(), step, most)
        factor = math.gcd(*(int(code) for code in codes.tolist()))
        return codes / factor, step * factor

    def neurons(self, g_e: Tensor, b_e: Tensor, gain_step: Tensor, table_bits: int) -> NeuronCodes:
        """Codes of ``g_e / gain_step``, with as many fractional bits as fit, and of ``b_e``.

        ``table_bits`` are those of the reciprocal's entries, 0 where nothing divides.
        """
        _require_finite("g_e", g_e)
        _require_finite("b_e", b_e)
        scheme, frac = self.scheme, self.scheme.membrane.frac
        gain = g_e.detach().double() / gain_step
        most = (1 << scheme.gain_e_bits) - 1
        gain_frac = math.floor(math.log2(most / top)) if (top := float(gain.max())) > 0 else 0
        gain_frac = min(max(gain_frac, frac - table_bits), 40 + frac - table_bits)
        return NeuronCodes(
            g_e=(gain * 2.0**gain_frac).round().clamp(0, most).long(),
            b_e=(b_e.detach().double() * 2.0**frac).round().clamp(scheme.membrane.min, scheme.membrane.max).long(),
            shift=table_bits + gain_frac - frac,
            scheme=scheme,
        )

    def integer_neurons(self, codes: NeuronCodes, tau_shift: int, g_i: Tensor | None = None, floor: int = 0) -> Neurons:
        """The neurons of an integer layer; ``g_i`` are the codes of its I neurons, ``None`` if it has none."""
        scheme = self.scheme
        return Neurons(
            g_i=np.empty(0, np.uint8) if g_i is None else g_i.to(torch.uint8).cpu().numpy(),
            g_e=codes.g_e.cpu().to(torch.uint16).numpy(),
            b_e=codes.b_e.to(torch.int32).cpu().numpy(),
            gain_i_bits=scheme.gain_i_bits,
            gain_e_bits=scheme.gain_e_bits,
            shift=codes.shift,
            reciprocal=None if g_i is None else scheme.reciprocal,
            membrane=scheme.membrane,
            tau_shift=tau_shift,
            theta=1 << scheme.membrane.frac,
            floor=floor,
        )
