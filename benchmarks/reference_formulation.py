"""The paper's formulation in plain PyTorch, for comparison: every step of time is a sample, currents are computed anew.

Written from docs/model.md as the equations stand there; the parameters are those of a network of ours. NCHW, average
pooling, autograd through a loop over time.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from quant.maps import Window
from sw.layers import EILayer, EISynapses, Readout, SpikingLayer
from sw.network import SpikingNetwork

__all__ = ["ReferenceNetwork"]


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        s = torch.sigmoid(4 * ctx.saved_tensors[0])
        return gradients[0] * 4 * s * (1 - s)


def _lif(current: Tensor, steps: int) -> Tensor:
    """Spikes of (steps * samples, ...) currents, tau = 2, soft reset, detached."""
    v, spikes = torch.zeros_like(current[: len(current) // steps]), []
    for step in current.unflatten(0, (steps, -1)).unbind(0):
        u = v / 2 + step
        spikes.append(_Spike.apply(u - 1))
        v = u - spikes[-1].detach()
    return torch.cat(spikes)


def _stabilised(i_sh: Tensor) -> Tensor:
    """Zeros become the smallest non-zero of the sample; straight-through."""
    zero = i_sh == 0
    if not zero.any():
        return i_sh
    smallest = torch.where(zero, torch.inf, i_sh).flatten(1).amin(1)
    d = torch.where(zero, smallest.view(-1, *[1] * (i_sh.ndim - 1)), i_sh)
    return d.detach() + (i_sh - i_sh.detach())


class _Layer(nn.Module):
    """``I_EE``, ``I_IE``, inhibition and division, each on its own."""

    def __init__(self, layer: SpikingLayer | Readout, pool: tuple[int, int], shape: tuple[int, int, int]) -> None:
        super().__init__()
        synapses = layer.synapses
        assert isinstance(synapses, EISynapses)
        self.window: Window | None = synapses.wiring.window
        self.pool, self.shape = pool, shape
        self.w_ee, self.w_ie = (nn.Parameter(self._channels_first(w)) for w in (synapses.w_ee, synapses.w_ie))
        self.w_ei = nn.Parameter(synapses.w_ei.detach().clone())
        self.w_ei.register_hook(lambda gradient: gradient / synapses.d)
        if isinstance(layer, EILayer):
            tail = (1, 1) if self.window else ()
            self.g_i, self.g_e, self.b_e = (
                nn.Parameter(p.detach().clone().view(-1, *tail)) for p in (layer.g_i, layer.g_e, layer.b_e)
            )
        self.hidden = isinstance(layer, EILayer)

    def _channels_first(self, w: Tensor) -> Tensor:
        size = self.window.kernel if self.window else self.shape[:2]
        kernel = w.detach().unflatten(1, (*size, self.shape[2])).permute(0, 3, 1, 2)
        return (kernel if self.window else kernel.flatten(1)).clone(memory_format=torch.contiguous_format)

    def _synapse(self, x: Tensor, w: Tensor) -> Tensor:
        if self.window is None:
            return x.flatten(1) @ w.T
        return conv2d(x, w, stride=self.window.stride, padding=self.window.padding)

    def _pointwise(self, x: Tensor) -> Tensor:
        return x @ self.w_ei.T if self.window is None else torch.einsum("ei,nihw->nehw", self.w_ei, x)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name != "b_e":
                    parameter.clamp_(min=0)
        if self.pool != (1, 1):
            x = avg_pool2d(x, self.pool)
        i_ee, i_ie = self._synapse(x, self.w_ee), self._synapse(x, self.w_ie)
        balance = i_ee - self._pointwise(i_ie)
        if not self.hidden:
            return balance
        return self.g_e * balance / _stabilised(self._pointwise(self.g_i * i_ie)) + self.b_e


class ReferenceNetwork(nn.Module):
    """The same chain of layers as ``network``, with copies of its parameters, static input, tau = 2."""

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self.steps, self.input_map = network.steps, network.input.map
        pairs = zip(network.layers(), network.stages, strict=True)
        self.layers = nn.ModuleList(_Layer(layer, stage.wiring.pool, stage.shape) for layer, stage in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (samples, classes) of input codes (samples, features)."""
        x = x.unflatten(1, self.input_map).permute(0, 3, 1, 2).repeat(self.steps, 1, 1, 1)
        *hidden, readout = self.layers
        for layer in hidden:
            x = _lif(layer(x), self.steps)
        return readout(x).unflatten(0, (self.steps, -1)).mean(0)
