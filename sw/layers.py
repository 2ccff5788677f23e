"""The E-I layer, the LIF neuron and the readout: the equations of the model in PyTorch (docs/model.md).

Everything is a map, channels last: inputs are (..., h, w, c), currents (..., h', w', n); leading dimensions are time
steps and samples, and a vector is (1, 1, n). With a ``LayerQuantiser`` plugged in, the same equations run on integer
codes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from quant.errors import ChandelierError
from quant.exact import convolve, lif_step, stabilise, state_dtype
from quant.formats import Format
from quant.maps import FULLY_CONNECTED, Shape, Wiring
from quant.network import Layer
from quant.quantisers import LayerQuantiser, straight_through

__all__ = ["LIF", "EILayer", "EIProp", "EISynapses", "Readout", "SpikingLayer", "Synapses", "currents"]


@dataclass(frozen=True)
class EIProp:
    """The parts of E-I Prop, each of which can be changed or switched off for an ablation.

    Parameters
    ----------
    stabilisation : "adaptive", "floor" or "none"
        What becomes of a denominator of zero. "adaptive": the smallest non-zero one of the map (the paper's). "floor":
        denominators are kept above a constant of the layer, set by E-I Init to ``FLOOR`` of their mean; hardware
        can do that while a map streams through. "none": it becomes ``EPSILON``.
    straight_through : bool
        The gradient of a denominator is 1 whether stabilisation replaced it or not; without stabilisation,
        an ``EPSILON`` has no gradient, and this part makes no difference.
    gradient_scaling : bool
        The gradient of ``w_ei`` is divided by ``d``.
    """

    stabilisation: Literal["adaptive", "floor", "none"] = "adaptive"
    straight_through: bool = True
    gradient_scaling: bool = True


#: E-I Prop as published.
ALL_PARTS = EIProp()
#: What replaces a zero denominator where there is no stabilisation.
EPSILON = 1e-6
#: The floor of a denominator, relative to the mean of the layer's denominators at E-I Init.
FLOOR = 0.1


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
        inverse = d.reciprocal().nan_to_num_(posinf=0.0)
        ratio = bal * inverse
        ctx.save_for_backward(ratio, inverse, gain)
        return torch.addcmul(bias, ratio, gain) if exact is None else exact(bal, d).to(bias.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        ratio, inverse, gain = ctx.saved_tensors
        d_current = gradients[0].to(ratio.dtype)
        d_bal = (d_current * gain).mul_(inverse)
        leading = tuple(range(d_current.ndim - 1))
        return d_bal, (d_bal * ratio).neg_(), (d_current * ratio).sum(leading), d_current.sum(leading), None


def currents(x: Tensor, w: Tensor, wiring: Wiring, *, exact: bool, mixed: bool = False) -> Tensor:
    """Currents (..., h', w', n) of maps ``x`` and weights ``w`` (n, d); ``exact`` integers stay integers.

    With ``mixed``, factors and result are bfloat16. Its 8 significant bits hold codes, and sums of spikes up to 256;
    it has the range of float32, so that neither inputs nor gradients need a scale, as they would in float16.
    """
    if mixed:
        return convolve(x.bfloat16(), w.bfloat16(), wiring.window).to(w.dtype)
    result = convolve(x.to(w.dtype), w, wiring.window)
    # A library may convolve by a transform, exact only after rounding.
    return straight_through(result, result.round()) if exact and wiring.window else result


def _row_major(w: Tensor) -> Tensor:
    """The transpose of ``w``, of which autograd takes the gradient the quick way round: five times as fast."""
    return w.T.contiguous()


def _balance(i_ee: Tensor, i_ie: Tensor, w_ei: Tensor, a: int = 1) -> Tensor:
    """``a * I_EE - W_EI I_IE`` as one product of matrices."""
    rows = (i_ee.flatten(end_dim=-2), i_ie.flatten(end_dim=-2))
    return torch.addmm(*rows, _row_major(w_ei), beta=a, alpha=-1).view_as(i_ee)


class Synapses(Protocol):
    """What a layer and the readout need of their synapses: :class:`EISynapses` or :class:`sw.signed.SignedSynapses`."""

    d: int
    x_max: int
    wiring: Wiring
    w_ee: nn.Parameter
    quantiser: LayerQuantiser | None
    #: Whether currents are computed in bfloat16, in training and without a quantiser.
    mixed_precision: bool

    def initialise(self, x: Tensor, generator: torch.Generator | None) -> object:
        """Weights from one batch of inputs."""

    def balance(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """``bal`` of inputs, and its scale."""

    def clamp(self) -> None:
        """Keeps what must not be negative from being so."""

    def integers(self) -> dict[str, Any]:
        """The synapses of an integer layer, as arguments of :class:`quant.network.Layer`."""


class EISynapses(nn.Module):
    """The synapses of a layer: ``bal = I_EE - W_EI I_IE`` with ``I_EE = W_EE x``, ``I_IE = W_IE x``.

    Parameters
    ----------
    shape : (h, w, c)
        Of the pooled input map.
    n_e : int
        E neurons (of a convolution, at every pixel); there are ``n_i = max(1, n_e // ratio)`` I neurons.
    wiring : Wiring
    ratio : int
    x_max : int
        Largest input that can come: the largest code at the first layer, a sum of spikes elsewhere.
    prop : EIProp
    global_inhibition : bool
        All E neurons are inhibited alike: ``w_ei`` stays ``1 / n_i``, which E-I Init makes of it, and is not trained.
    """

    w_ei: Tensor

    def __init__(
        self,
        shape: Shape,
        n_e: int,
        wiring: Wiring = FULLY_CONNECTED,
        *,
        ratio: int = 4,
        x_max: int = 1,
        prop: EIProp = ALL_PARTS,
        global_inhibition: bool = False,
    ) -> None:
        super().__init__()
        self.d, self.n_e, self.n_i = (d := wiring.inputs(shape)), n_e, max(1, n_e // ratio)
        self.wiring, self.x_max, self.prop = wiring, x_max, prop
        self.w_ee = nn.Parameter(torch.rand(n_e, d) / d**0.5)
        self.w_ie = nn.Parameter(torch.rand(self.n_i, d) / d**0.5)
        if global_inhibition:
            self.register_buffer("w_ei", torch.full((n_e, self.n_i), 1 / self.n_i))
        else:
            self.w_ei = nn.Parameter(torch.rand(n_e, self.n_i) / self.n_i**0.5)
        self.quantiser: LayerQuantiser | None = None
        self.mixed_precision = False

    def initialise(self, x: Tensor, generator: torch.Generator | None) -> float:
        """E-I Init from inputs ``x`` (..., h, w, c); returns the value of ``g_I`` that belongs to it.

        Raises
        ------
        ChandelierError
            If the input is constant or silent, so that there are no statistics.
        """
        x = x.flatten(end_dim=-4).to(self.w_ee.dtype)
        mean, square = x.mean().item(), x.square().mean().item()
        variance = x.var(0, correction=0).mean().item()
        if not (mean > 0 and variance > 0):
            raise ChandelierError(
                f"E-I Init needs inputs that vary, and those of a layer of {self.d} inputs have mean {mean} and "
                f"variance {variance}: use a larger batch, more time steps, or a lower input threshold"
            )
        spread = square + variance
        for w in (self.w_ee, self.w_ie):
            # Drawn where the generator is: the same on every device.
            draws = torch.empty(w.shape, dtype=w.dtype).exponential_(1.0, generator=generator)
            w.copy_(draws).mul_((variance / (self.d * spread)) ** 0.5)
        self.w_ei.fill_(1 / self.n_i)
        return float(spread**0.5 / (mean * self.d**0.5))

    def _currents(self, x: Tensor, w_ee: Tensor, w_ie: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """``I_EE`` and ``I_IE``, computed in the type of the weights; exact integers with a quantiser."""
        exact = self.quantiser is not None
        if self.wiring.window is None:  # two products take as long as one, and the weights need not be copied
            i_ee, i_ie = (currents(x, w, self.wiring, exact=exact) for w in (w_ee, w_ie))
        else:
            both = currents(x, torch.cat([w_ee, w_ie]), self.wiring, exact=exact)
            i_ee, i_ie = both.split((self.n_e, self.n_i), dim=-1)
        return i_ee.to(dtype), i_ie.to(dtype).contiguous()  # I_IE is a factor of several products

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | float]:
        """``I_IE``, ``bal``, the ``W_EI`` that was used, and the scale of ``bal``.

        Without a quantiser the scale is 1. With one, all three are integers: ``bal`` counts in units of the
        scale ``step / a``, relative to inputs in units of their code.
        """
        w_ei = _ScaleGradient.apply(self.w_ei, 1 / self.d) if self.prop.gradient_scaling else self.w_ei
        sizes = (self.n_e, self.n_i)
        if self.quantiser is None and self.training and self.mixed_precision:
            # Excitation and inhibition nearly cancel: of currents in bfloat16, mostly rounding would be left.
            w_bal = self.w_ee - w_ei @ self.w_ie
            both = currents(x, torch.cat([w_bal, self.w_ie]), self.wiring, exact=False, mixed=True)
            bal, i_ie = both.split(sizes, dim=-1)
            return i_ie, bal, w_ei, 1.0
        if self.quantiser is None:
            i_ee, i_ie = self._currents(x, self.w_ee, self.w_ie, w_ei.dtype)
            return i_ie, _balance(i_ee, i_ie, w_ei), w_ei, 1.0
        w_ee, w_ie, step, i_max = self.quantiser.synapses(self.w_ee, self.w_ie, self.x_max)
        w_ei, a = self.quantiser.inhibition(w_ei, i_max)
        i_ee, i_ie = self._currents(x, w_ee, w_ie, w_ei.dtype)
        return i_ie, _balance(i_ee, i_ie, w_ei, a), w_ei, step / a

    def balance(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """``bal`` (..., h', w', n_e) of inputs (..., h, w, c), and the scale of it, as of :meth:`forward`."""
        _, bal, _, scale = self(x)
        return bal, scale

    @torch.no_grad()
    def clamp(self) -> None:
        """Dale's law: no synapse is negative."""
        for w in (self.w_ee, self.w_ie, self.w_ei):
            w.clamp_(min=0)

    def integers(self) -> dict[str, Any]:
        """The synapses of an integer layer, as arguments of :class:`quant.network.Layer`."""
        if self.quantiser is None:
            raise ChandelierError("a layer without a quantiser has no integers")
        w_ee, w_ie, _, i_max = self.quantiser.synapses(self.w_ee, self.w_ie, self.x_max)
        w_ei, a = self.quantiser.inhibition(self.w_ei, i_max)
        weights = {"w_ee": w_ee, "w_ie": w_ie, "w_ei": w_ei}
        scheme = self.quantiser.scheme
        return {name: w.to(torch.uint8).cpu().contiguous().numpy() for name, w in weights.items()} | {
            "a": a,
            "synapse_bits": scheme.synapse_bits,
            "inhibition_bits": scheme.inhibition_bits,
            "wiring": self.wiring,
        }


class SpikingLayer(nn.Module):
    """What a layer before the readout offers: currents of inputs, its initial state, and its integers."""

    synapses: Synapses

    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Parameters from one batch of inputs (..., h, w, c)."""
        raise NotImplementedError

    def clamp(self) -> None:
        """Keeps what must not be negative from being so. Called after each optimiser step."""
        raise NotImplementedError

    def integer_layer(self, tau_shift: int) -> Layer:
        """The integers of the layer, with ``tau = 2**tau_shift``, once its synapses have a quantiser."""
        raise NotImplementedError


class EILayer(SpikingLayer):
    """An E-I layer: ``I = g_E * (I_EE - I_EI) / D + b_E`` (paper, equations of section 3).

    ``D`` is ``I_sh = W_EI (g_I * I_IE)``, its zeros replaced by the smallest non-zero of the map, sample and time
    step, or the whole kept above a floor; where the whole map has none, ``I = b_E``. Parameters as of
    :class:`EISynapses`.
    """

    def __init__(self, synapses: EISynapses) -> None:
        super().__init__()
        self.synapses: EISynapses = synapses
        self.g_i = nn.Parameter(torch.ones(synapses.n_i))
        self.g_e = nn.Parameter(torch.ones(synapses.n_e))
        self.b_e = nn.Parameter(torch.zeros(synapses.n_e))
        #: Least denominator where stabilisation is by a floor; 0 otherwise.
        self.floor: Tensor
        self.register_buffer("floor", torch.tensor(EPSILON if synapses.prop.stabilisation == "floor" else 0.0))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """E-I Init from one batch of inputs (..., h, w, c)."""
        self.g_i.fill_(self.synapses.initialise(x, generator))
        self.g_e.fill_(1)
        self.b_e.zero_()
        if self.synapses.prop.stabilisation == "floor":
            i_ie, _, w_ei, _ = self.synapses(x)
            self.floor.fill_(FLOOR * ((self.g_i * i_ie) @ w_ei.T).mean())

    def _denominator(self, i_sh: Tensor, floor: Tensor) -> Tensor:
        """``D`` of the paper, zero only where a sample has no ``I_sh`` at all."""
        prop = self.synapses.prop
        match prop.stabilisation:
            case "none":
                return torch.where(i_sh > 0, i_sh, EPSILON)
            case "adaptive" if prop.straight_through:
                with torch.no_grad():
                    d = stabilise(i_sh)
            case "adaptive":
                d = stabilise(i_sh.relu())  # a zero that is replaced has no gradient
            case "floor":
                d = stabilise(i_sh, floor)
        return straight_through(i_sh, d) if prop.straight_through and d is not i_sh else d

    def _integer_floor(self, unit: Tensor) -> Tensor:
        """The floor in units of an integer denominator; 0 if there is none."""
        if self.synapses.prop.stabilisation != "floor":
            return torch.zeros((), dtype=torch.float64)
        return (self.floor.double() / unit.detach()).round().clamp(1, 1 << 24)

    def forward(self, x: Tensor) -> Tensor:
        """Currents (..., h', w', n_e) of inputs (..., h, w, c), in units of the threshold."""
        i_ie, bal, w_ei, scale = self.synapses(x)
        quantiser = self.synapses.quantiser
        if quantiser is None:
            d = self._denominator(i_ie @ _row_major(w_ei * self.g_i), self.floor)
            return _DivisiveCurrent.apply(bal, d, self.g_e, self.b_e, None)
        g_i, gain_step = quantiser.gain_i(self.g_i)
        d = self._denominator(i_ie @ _row_major(w_ei * g_i.to(w_ei.dtype)), self._integer_floor(scale * gain_step))
        exact = quantiser.neurons(self.g_e, self.b_e, gain_step, quantiser.scheme.reciprocal.bits).divided
        return _DivisiveCurrent.apply(bal, d, self.g_e / gain_step, self.b_e, exact)

    @torch.no_grad()
    def clamp(self) -> None:
        """Dale's law: every parameter but the bias is clamped at zero."""
        self.synapses.clamp()
        self.g_i.clamp_(min=0)
        self.g_e.clamp_(min=0)

    @torch.no_grad()
    def integer_layer(self, tau_shift: int) -> Layer:
        """The integers of the layer, with ``tau = 2**tau_shift``, once its synapses have a quantiser."""
        quantiser = self.synapses.quantiser
        assert quantiser is not None
        g_i, gain_step = quantiser.gain_i(self.g_i)
        _, _, step, i_max = quantiser.synapses(self.synapses.w_ee, self.synapses.w_ie, self.synapses.x_max)
        _, a = quantiser.inhibition(self.synapses.w_ei, i_max)
        floor = int(self._integer_floor(step / a * gain_step))
        codes = quantiser.neurons(self.g_e, self.b_e, gain_step, quantiser.scheme.reciprocal.bits)
        return Layer(**self.synapses.integers(), neurons=quantiser.integer_neurons(codes, tau_shift, g_i, floor))


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
        s = u.sub(1).mul_(_Integrate.SLOPE).sigmoid_()
        d_u = torch.addcmul(s, s, s, value=-1).mul_(_Integrate.SLOPE).mul_(gradients[0])
        for t in range(len(u) - 2, -1, -1):  # the reset is detached
            d_u[t].add_(d_u[t + 1], alpha=ctx.decay)
        return d_u, None, None


def _integrate(current: Tensor, tau_shift: int) -> tuple[Tensor, Tensor]:
    """``u`` before the reset and the spikes, of every step."""
    us, spikes = (torch.empty(current.shape, dtype=current.dtype, device=current.device) for _ in range(2))
    v = torch.zeros_like(us[0])
    for step, u, spike in zip(current.unbind(0), us.unbind(0), spikes.unbind(0), strict=True):
        torch.add(step, v, alpha=1 - 2.0**-tau_shift, out=u)
        torch.ge(u, 1, out=spike)
        v = u - spike
    return us, spikes


def _integrate_codes(membrane: Format, current: Tensor, tau_shift: int) -> tuple[Tensor, Tensor]:
    """The same in the golden model's integers, of currents that are multiples of the membrane format's step."""
    codes = (current * (1 << membrane.frac)).to(state_dtype(membrane))
    us, spikes = (torch.empty(current.shape, dtype=current.dtype, device=current.device) for _ in range(2))
    v = torch.zeros_like(codes[0])
    for t, step in enumerate(codes.unbind(0)):
        us[t], spikes[t], v = lif_step(v, step, membrane, tau_shift, 1 << membrane.frac)
    return us.mul_(membrane.step), spikes


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
    """The layer without neurons: logits are the mean over time of ``bal``.

    Parameters
    ----------
    synapses : Synapses
    x_scale : float
        What one unit of an input stands for: where spikes are pooled, inputs are their sums, and the model's are means.
    """

    def __init__(self, synapses: Synapses, x_scale: float = 1.0) -> None:
        super().__init__()
        self.synapses = synapses
        self.x_scale = x_scale

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """E-I Init from one batch of inputs (..., h, w, c)."""
        self.synapses.initialise(x, generator)

    def clamp(self) -> None:
        """Dale's law: no synapse is negative."""
        self.synapses.clamp()

    def forward(self, spikes: Tensor) -> Tensor:
        """Logits (samples, classes) of spikes (steps, samples, h, w, c)."""
        bal, scale = self._balance(spikes)
        return (bal.sum(0).flatten(1) * scale).to(self.synapses.w_ee.dtype)

    def integer_logits(self, spikes: Tensor) -> tuple[Tensor, Tensor | float]:
        """The sum of ``bal`` over time (float64), exact integers with a quantiser, and the scale of logits."""
        bal, scale = self._balance(spikes)
        return bal.sum(0, dtype=torch.float64).flatten(1), scale

    def _balance(self, spikes: Tensor) -> tuple[Tensor, Tensor | float]:
        """``bal`` of each step, and the scale that makes its sum over time logits."""
        bal, scale = self.synapses.balance(spikes)
        return bal, scale * self.x_scale / len(spikes)

    @torch.no_grad()
    def integer_layer(self) -> Layer:
        """The integers of the layer, once its synapses have a quantiser."""
        return Layer(**self.synapses.integers())
