"""The E-I layer, the LIF neuron and the readout: the equations of the model in PyTorch (docs/model.md).

Shapes: inputs are (..., d), currents (..., n_e); leading dimensions are time steps and samples. With a
``LayerQuantiser`` plugged in, the same equations run on integer codes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from quant.errors import ChandelierError
from quant.exact import lif_step, stabilise
from quant.formats import Format
from quant.network import Layer
from quant.quantisers import LayerQuantiser, Scheme, straight_through

__all__ = ["LIF", "EILinear", "EIProp", "EISynapses", "Readout", "integer_layer", "plug_in"]


@dataclass(frozen=True)
class EIProp:
    """The parts of E-I Prop, each of which can be switched off for an ablation.

    Parameters
    ----------
    adaptive_stabilisation : bool
        Zero denominators become the smallest non-zero one of the layer; otherwise :data:`EPSILON`.
    straight_through : bool
        The gradient of a denominator is 1 whether adaptive stabilisation replaced it or not; without that
        part, an :data:`EPSILON` has no gradient, and this part makes no difference.
    gradient_scaling : bool
        The gradient of ``w_ei`` is divided by ``d``.
    """

    adaptive_stabilisation: bool = True
    straight_through: bool = True
    gradient_scaling: bool = True


#: E-I Prop as published.
ALL_PARTS = EIProp()
#: What replaces a zero denominator where adaptive stabilisation is off.
EPSILON = 1e-6


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


class _DivisiveCurrent(torch.autograd.Function):
    """``gain * bal / d + bias``, ``bias`` where ``d`` is 0; with ``exact``, its value and the same gradient.

    Written out for the reason that :class:`_Integrate` is.
    """

    @staticmethod
    def forward(
        ctx: Any, bal: Tensor, d: Tensor, gain: Tensor, bias: Tensor, exact: Callable[[Tensor, Tensor], Tensor] | None
    ) -> Tensor:
        inverse = torch.where(d > 0, 1 / d, 0)
        ratio = bal * inverse
        ctx.save_for_backward(ratio, inverse, gain)
        return ratio * gain + bias if exact is None else exact(bal, d).to(bias.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        ratio, inverse, gain = ctx.saved_tensors
        d_current = gradients[0].to(ratio.dtype)
        d_bal = d_current * gain * inverse
        leading = tuple(range(d_current.ndim - 1))
        return d_bal, -d_bal * ratio, (d_current * ratio).sum(leading), d_current.sum(leading), None


class EISynapses(nn.Module):
    """The synapses of a layer: ``bal = I_EE - W_EI I_IE`` with ``I_EE = W_EE x``, ``I_IE = W_IE x``.

    Parameters
    ----------
    d : int
        Inputs.
    n_e : int
        E neurons; there are ``n_i = max(1, n_e // ratio)`` I neurons.
    ratio : int
    x_max : int
        Largest input that can come: the largest code at the first layer, 1 for spikes.
    prop : EIProp
    """

    def __init__(self, d: int, n_e: int, *, ratio: int = 4, x_max: int = 1, prop: EIProp = ALL_PARTS) -> None:
        super().__init__()
        self.d, self.n_e, self.n_i = d, n_e, max(1, n_e // ratio)
        self.x_max, self.prop = x_max, prop
        self.w_ee = nn.Parameter(torch.rand(n_e, d) / d**0.5)
        self.w_ie = nn.Parameter(torch.rand(self.n_i, d) / d**0.5)
        self.w_ei = nn.Parameter(torch.rand(n_e, self.n_i) / self.n_i**0.5)
        self.quantiser: LayerQuantiser | None = None

    def initialise(self, x: Tensor, generator: torch.Generator | None) -> float:
        """E-I Init from inputs ``x`` (..., d); returns the value of ``g_I`` that belongs to it.

        Raises
        ------
        ChandelierError
            If the input is constant or silent, so that there are no statistics.
        """
        x = x.reshape(-1, self.d).to(self.w_ee.dtype)
        mean, square = x.mean().item(), x.square().mean().item()
        variance = x.var(0, correction=0).mean().item()
        if not (mean > 0 and variance > 0):
            raise ChandelierError(
                f"E-I Init needs inputs that vary, and those of a layer of {self.d} inputs have mean {mean} and "
                f"variance {variance}: use a larger batch, more time steps, or a lower input threshold"
            )
        spread = square + variance
        for w in (self.w_ee, self.w_ie):
            w.exponential_(1.0, generator=generator).mul_((variance / (self.d * spread)) ** 0.5)
        self.w_ei.fill_(1 / self.n_i)
        return float(spread**0.5 / (mean * self.d**0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | float]:
        """``I_IE``, ``bal``, the ``W_EI`` that was used, and the scale of ``bal``.

        Without a quantiser the scale is 1. With one, all three are integers: ``bal`` counts in units of the
        scale ``step / a``, relative to inputs in units of their code.
        """
        w_ei = _ScaleGradient.apply(self.w_ei, 1 / self.d) if self.prop.gradient_scaling else self.w_ei
        if self.quantiser is None:
            i_ie = x @ self.w_ie.T
            return i_ie, x @ self.w_ee.T - i_ie @ w_ei.T, w_ei, 1.0
        w_ee, w_ie, step, i_max = self.quantiser.synapses(self.w_ee, self.w_ie, self.x_max)
        w_ei, a = self.quantiser.inhibition(w_ei, i_max)
        x = x.to(w_ee.dtype)
        i_ee, i_ie = ((x @ w.T).to(w_ei.dtype) for w in (w_ee, w_ie))
        return i_ie, a * i_ee - i_ie @ w_ei.T, w_ei, step / a

    def integers(self) -> dict[str, object]:
        """The synapses of an integer layer, as arguments of :class:`quant.network.Layer`."""
        if self.quantiser is None:
            raise ChandelierError("a layer without a quantiser has no integers")
        w_ee, w_ie, _, i_max = self.quantiser.synapses(self.w_ee, self.w_ie, self.x_max)
        w_ei, a = self.quantiser.inhibition(self.w_ei, i_max)
        weights = {"w_ee": w_ee, "w_ie": w_ie, "w_ei": w_ei}
        scheme = self.quantiser.scheme
        return {name: w.to(torch.uint8).contiguous().numpy() for name, w in weights.items()} | {
            "a": a,
            "synapse_bits": scheme.synapse_bits,
            "inhibition_bits": scheme.inhibition_bits,
        }


class EILinear(nn.Module):
    """A fully connected E-I layer: ``I = g_E * (I_EE - I_EI) / D + b_E`` (paper, equations of section 3).

    ``D`` is ``I_sh = W_EI (g_I * I_IE)``, its zeros replaced by the smallest non-zero of the sample and time
    step; where the whole layer has none, ``I = b_E``. Parameters as of :class:`EISynapses`.
    """

    def __init__(self, d: int, n_e: int, *, ratio: int = 4, x_max: int = 1, prop: EIProp = ALL_PARTS) -> None:
        super().__init__()
        self.synapses = EISynapses(d, n_e, ratio=ratio, x_max=x_max, prop=prop)
        self.g_i = nn.Parameter(torch.ones(self.synapses.n_i))
        self.g_e = nn.Parameter(torch.ones(n_e))
        self.b_e = nn.Parameter(torch.zeros(n_e))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """E-I Init from one batch of inputs (..., d)."""
        self.g_i.fill_(self.synapses.initialise(x, generator))
        self.g_e.fill_(1)
        self.b_e.zero_()

    def _denominator(self, i_sh: Tensor) -> Tensor:
        """``D`` of the paper, zero only where a sample has no ``I_sh`` at all."""
        prop = self.synapses.prop
        if not prop.adaptive_stabilisation:
            return torch.where(i_sh > 0, i_sh, EPSILON)
        d = stabilise(i_sh)
        return straight_through(i_sh, d) if prop.straight_through else d

    def forward(self, x: Tensor) -> Tensor:
        """Currents (..., n_e) of inputs (..., d), in units of the threshold."""
        i_ie, bal, w_ei, _ = self.synapses(x)
        quantiser = self.synapses.quantiser
        if quantiser is None:
            d = self._denominator((self.g_i * i_ie) @ w_ei.T)
            return _DivisiveCurrent.apply(bal, d, self.g_e, self.b_e, None)
        g_i, gain_step = quantiser.gain_i(self.g_i)
        d = self._denominator((g_i.to(i_ie.dtype) * i_ie) @ w_ei.T)
        exact = quantiser.neurons(self.g_e, self.b_e, gain_step).current
        return _DivisiveCurrent.apply(bal, d, self.g_e / gain_step, self.b_e, exact)


class _Integrate(torch.autograd.Function):
    """Spikes of a LIF neuron over all time steps; backward through time with the slope-4 sigmoid's derivative.

    Written out because autograd's graph of many small operations takes longer than the arithmetic.
    """

    SLOPE = 4.0

    @staticmethod
    def forward(ctx: Any, current: Tensor, tau_shift: int, membrane: Format | None) -> Tensor:
        u, spikes = (_integrate if membrane is None else partial(_integrate_codes, membrane))(current, tau_shift)
        ctx.save_for_backward(u)
        ctx.decay = 1 - 2.0**-tau_shift
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        s = torch.sigmoid(_Integrate.SLOPE * (u - 1))
        d_u = gradients[0] * (_Integrate.SLOPE * s * (1 - s))
        for t in range(len(u) - 2, -1, -1):  # the reset is detached
            d_u[t] += ctx.decay * d_u[t + 1]
        return d_u, None, None


def _integrate(current: Tensor, tau_shift: int) -> tuple[Tensor, Tensor]:
    """``u`` before the reset and the spikes, of every step."""
    us, spikes, v = [], [], torch.zeros_like(current[0])
    for step in current.unbind(0):
        us.append(v * (1 - 2.0**-tau_shift) + step)
        spikes.append((us[-1] >= 1).to(current.dtype))
        v = us[-1] - spikes[-1]
    return torch.stack(us), torch.stack(spikes)


def _integrate_codes(membrane: Format, current: Tensor, tau_shift: int) -> tuple[Tensor, Tensor]:
    """The same in the golden model's integers, of currents that are multiples of the membrane format's step."""
    codes = (current * (1 << membrane.frac)).to(torch.int32)
    us, spikes, v = [], [], torch.zeros_like(codes[0])
    for step in codes.unbind(0):
        u, spike, v = lif_step(v, step, membrane, tau_shift, 1 << membrane.frac)
        us.append(u)
        spikes.append(spike)
    return torch.stack(us).to(current.dtype) * membrane.step, torch.stack(spikes).to(current.dtype)


class LIF(nn.Module):
    """Leaky integrate-and-fire: ``u = (1 - 1/tau) v + I``; ``s = u >= 1``; ``v = u - s`` (soft reset, detached).

    Parameters
    ----------
    tau_shift : int, 1..8
        ``tau = 2**tau_shift``.
    """

    def __init__(self, tau_shift: int = 1) -> None:
        super().__init__()
        if not 1 <= tau_shift <= 8:
            raise ValueError(f"tau_shift must be 1..8, not {tau_shift}")
        self.tau_shift = tau_shift
        #: Format of an integer membrane potential; ``None`` for floating point.
        self.membrane: Format | None = None

    def forward(self, current: Tensor) -> Tensor:
        """Spikes (steps, ..., n) of currents (steps, ..., n), from a membrane potential of zero."""
        return _Integrate.apply(current, self.tau_shift, self.membrane)


class Readout(nn.Module):
    """The layer without neurons: logits are the mean over time of ``bal``. Parameters as of :class:`EISynapses`."""

    def __init__(self, d: int, classes: int, *, ratio: int = 4, prop: EIProp = ALL_PARTS) -> None:
        super().__init__()
        self.synapses = EISynapses(d, classes, ratio=ratio, prop=prop)

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """E-I Init from one batch of inputs (..., d)."""
        self.synapses.initialise(x, generator)

    def forward(self, spikes: Tensor) -> Tensor:
        """Logits (..., classes) of spikes (steps, ..., d)."""
        logits, scale = self.integer_logits(spikes)
        return (logits * scale).to(self.synapses.w_ee.dtype)

    def integer_logits(self, spikes: Tensor) -> tuple[Tensor, Tensor | float]:
        """The sum of ``bal`` over time, exact integers with a quantiser, and the scale that makes them logits."""
        _, bal, _, scale = self.synapses(spikes)
        return bal.sum(0), scale / len(spikes)


def integer_layer(module: EILinear | Readout, tau_shift: int) -> Layer:
    """The integer layer of a module that has a quantiser."""
    quantiser = module.synapses.quantiser
    neurons = None
    with torch.no_grad():
        synapses = module.synapses.integers()
        if isinstance(module, EILinear) and quantiser is not None:
            neurons = quantiser.integer_neurons(module.g_i, module.g_e, module.b_e, tau_shift)
    return Layer(**synapses, neurons=neurons)  # type: ignore[arg-type]


def plug_in(module: EILinear | Readout, scheme: Scheme) -> None:
    """Gives a layer a quantiser of its own."""
    module.synapses.quantiser = LayerQuantiser(scheme)
