"""Layers without inhibition: signed synapses, with batch normalisation (the normalised twin) or without."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from quant.errors import ChandelierError
from quant.maps import FULLY_CONNECTED, Shape, Wiring
from quant.network import Layer, signed_tensors
from quant.quantisers import LayerQuantiser, straight_through
from sw.layers import SpikingLayer, currents
from sw.parallel import batch_statistics, count

__all__ = ["SignedLayer", "SignedSynapses"]

#: Of batch normalisation: what is added to a variance, and how far running statistics move at each batch.
EPSILON, MOMENTUM = 1e-5, 0.1


class SignedSynapses(nn.Module):
    """The synapses of a layer without I neurons: ``bal = W x``. Parameters as of :class:`sw.layers.EISynapses`."""

    def __init__(self, shape: Shape, n_e: int, wiring: Wiring = FULLY_CONNECTED, *, x_max: int = 1) -> None:
        super().__init__()
        self.d, self.n_e = (d := wiring.inputs(shape)), n_e
        self.wiring, self.x_max = wiring, x_max
        self.w_ee = nn.Parameter((2 * torch.rand(n_e, d) - 1) / d**0.5)
        self.quantiser: LayerQuantiser | None = None
        self.mixed_precision = False

    def initialise(self, x: Tensor, generator: torch.Generator | None) -> None:
        """Uniform weights of variance ``1 / (3 d)``, as of :class:`torch.nn.Linear`, whatever the inputs are."""
        # Drawn where the generator is: the same on every device.
        draws = torch.empty(self.w_ee.shape, dtype=self.w_ee.dtype)
        self.w_ee.copy_(draws.uniform_(-(self.d**-0.5), self.d**-0.5, generator=generator))

    def balance(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """``bal`` (..., h', w', n_e) of inputs (..., h, w, c), integers with a quantiser, and the scale of it."""
        if self.quantiser is None:
            mixed = self.training and self.mixed_precision
            return currents(x, self.w_ee, self.wiring, exact=False, mixed=mixed), 1.0
        w, step = self.quantiser.signed_synapses(self.w_ee, self.x_max)
        return currents(x, w, self.wiring, exact=True), step

    def clamp(self) -> None:
        """Nothing: any sign is allowed."""

    def integers(self) -> dict[str, Any]:
        """The synapses of an integer layer, as arguments of :class:`quant.network.Layer`."""
        if self.quantiser is None:
            raise ChandelierError("a layer without a quantiser has no integers")
        w, _ = self.quantiser.signed_synapses(self.w_ee, self.x_max)
        codes = w.detach().to(torch.int8).cpu().numpy()
        return signed_tensors(codes) | {
            "a": 1,
            "synapse_bits": self.quantiser.scheme.synapse_bits,
            "inhibition_bits": self.quantiser.scheme.inhibition_bits,
            "wiring": self.wiring,
        }


class SignedLayer(SpikingLayer):
    """``I = g_E * (W x - mean) / sqrt(var + eps) + b_E`` with batch normalisation, ``I = g_E * W x + b_E`` without.

    Statistics are per channel, over time steps, samples (of all processes) and pixels; in eval mode the running ones,
    which quantisation folds into gain and bias (the sign of a gain into the synapses).
    """

    def __init__(self, synapses: SignedSynapses, *, normalised: bool) -> None:
        super().__init__()
        self.synapses: SignedSynapses = synapses
        self.g_e = nn.Parameter(torch.ones(synapses.n_e))
        self.b_e = nn.Parameter(torch.zeros(synapses.n_e))
        #: Running mean and variance of ``W x``; without normalisation 0 and 1.
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(synapses.n_e))
        self.register_buffer("variance", torch.ones(synapses.n_e))
        self.normalised = normalised

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Fresh parameters; running statistics from one batch of inputs (..., h, w, c)."""
        self.synapses.initialise(x, generator)
        if self.normalised:
            bal, _ = self.synapses.balance(x)
            variance, mean = torch.var_mean(bal.flatten(end_dim=-2), 0)
            self.mean.copy_(mean)
            self.variance.copy_(variance)

    def forward(self, x: Tensor) -> Tensor:
        """Currents (..., h', w', n_e) of inputs (..., h, w, c), in units of the threshold."""
        bal, scale = self.synapses.balance(x)
        wx = (bal * scale).to(self.g_e.dtype)
        statistics = self._statistics(wx.detach())
        scaled = self._normalise if self.normalised else self._scale
        current = scaled(wx.flatten(end_dim=-2)).view_as(wx)
        if self.synapses.quantiser is None:
            return current
        gain, bias = self._folded(*statistics)
        return straight_through(current, self._exact(bal.detach() * gain.sign(), gain.abs(), bias, scale))

    def _scale(self, wx: Tensor) -> Tensor:
        return wx * self.g_e + self.b_e

    def _normalise(self, wx: Tensor) -> Tensor:
        if self.training and count() > 1:
            _, whole_mean, whole_variance = batch_statistics(wx)
            return (wx - whole_mean) * (whole_variance + EPSILON).rsqrt() * self.g_e + self.b_e
        # Running statistics have been moved, and are not to be moved twice.
        mean, variance = (None, None) if self.training else (self.mean, self.variance)
        return batch_norm(wx, mean, variance, self.g_e, self.b_e, self.training, 0.0, EPSILON)

    def _statistics(self, wx: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance to normalise with; in training those of the batch, which move the running ones."""
        if not (self.normalised and self.training):
            return self.mean, self.variance
        rows, mean, variance = batch_statistics(wx.flatten(end_dim=-2))
        self.mean.lerp_(mean, MOMENTUM)
        self.variance.lerp_(variance * rows / max(1, rows - 1), MOMENTUM)
        return mean, variance

    def _folded(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and bias, float64, that normalisation by ``mean`` and ``variance`` amounts to."""
        gain, bias = self.g_e.detach().double(), self.b_e.detach().double()
        if self.normalised:
            gain = gain / (variance.double() + EPSILON).sqrt()
            bias = bias - gain * mean.double()
        return gain, bias

    def _exact(self, bal: Tensor, gain: Tensor, bias: Tensor, scale: Tensor | float) -> Tensor:
        quantiser = self.synapses.quantiser
        assert quantiser is not None and isinstance(scale, Tensor)
        return quantiser.neurons(gain, bias, 1 / scale.detach().double(), 0).scaled(bal)

    def clamp(self) -> None:
        """Nothing: any sign is allowed."""

    @torch.no_grad()
    def integer_layer(self, tau_shift: int) -> Layer:
        """The integers of the layer, with ``tau = 2**tau_shift``, once its synapses have a quantiser."""
        quantiser = self.synapses.quantiser
        assert quantiser is not None
        gain, bias = self._folded(self.mean, self.variance)
        _, step = quantiser.signed_synapses(self.synapses.w_ee, self.synapses.x_max)
        codes = quantiser.neurons(gain.abs(), bias, 1 / step.double(), 0)
        synapses = self.synapses.integers()
        synapses["w_ee"] = synapses["w_ee"] * gain.sign().to(torch.int8).cpu().numpy()[:, None]
        return Layer(**synapses, neurons=quantiser.integer_neurons(codes, tau_shift))
