"""The E-I network: E-I layers and LIF neurons from a configuration, E-I Init in one pass, and its integers."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from quant.errors import ChandelierError
from quant.network import Input, IntegerNetwork
from quant.quantisers import Scheme
from sw.layers import LIF, EILinear, EIProp, Readout, integer_layer, plug_in

__all__ = ["EINetwork"]


class EINetwork(nn.Module):
    """``EILinear -> LIF`` for every hidden width, then the readout.

    Parameters
    ----------
    spec : Input
        What comes in: codes, static or one vector a time step.
    hidden : widths of the hidden layers
    classes : int
    steps : int
        Time steps a sample.
    ratio : int
        E neurons per I neuron.
    tau_shift : int
        ``tau = 2**tau_shift``.
    prop : EIProp
    """

    def __init__(
        self,
        spec: Input,
        hidden: list[int],
        classes: int,
        *,
        steps: int,
        ratio: int = 4,
        tau_shift: int = 1,
        prop: EIProp = EIProp(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self.input, self.steps, self.tau_shift = spec, steps, tau_shift
        maxima = [spec.format.max] + [1] * (len(hidden) - 1)
        self.hidden = nn.ModuleList(
            EILinear(d, n, ratio=ratio, x_max=x_max, prop=prop)
            for (d, n), x_max in zip(pairwise([spec.features, *hidden]), maxima, strict=True)
        )
        self.lif = LIF(tau_shift)
        self.readout = Readout(hidden[-1], classes, ratio=ratio, prop=prop)

    def layers(self) -> list[EILinear | Readout]:
        """The E-I layers in forward order."""
        return [*self.hidden, self.readout]

    def _time_first(self, x: Tensor) -> Tensor:
        """(steps, samples, features) of a batch; a static input has one step here."""
        return x.unsqueeze(0) if self.input.kind == "static" else x.transpose(0, 1)

    def _spikes(self, layer: EILinear, x: Tensor) -> Tensor:
        """Spikes (steps, samples, n); the currents of a static input are computed once."""
        return self.lif(layer(x).expand(self.steps, -1, -1))

    def _last_spikes(self, x: Tensor) -> Tensor:
        x = self._time_first(x)
        for layer in self.hidden:
            x = self._spikes(layer, x)  # type: ignore[arg-type]
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits (samples, classes) of input codes (samples, [steps,] features), floating point."""
        return self.readout(self._last_spikes(x))

    def integer_logits(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """Integer logits of a quantised network, and the scale that makes them those of :meth:`forward`."""
        return self.readout.integer_logits(self._last_spikes(x))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """E-I Init: one pass over one batch of input codes, layer by layer in forward order.

        Raises
        ------
        ChandelierError
            If a layer's input is silent or constant.
        """
        x = self._time_first(x)
        for layer in self.hidden:
            layer.initialise(x, generator)  # type: ignore[operator]
            x = self._spikes(layer, x)  # type: ignore[arg-type]
        self.readout.initialise(x, generator)

    @torch.no_grad()
    def clamp(self) -> None:
        """Dale's law: every parameter but the biases is clamped at zero. Called after each optimiser step."""
        for name, parameter in self.named_parameters():
            if not name.endswith(("b_e", "log_step")):
                parameter.clamp_(min=0)

    def quantise(self, scheme: Scheme) -> None:
        """Plugs a quantiser of ``scheme`` into every layer."""
        for layer in self.layers():
            plug_in(layer, scheme)
        self.lif.membrane = scheme.membrane

    def integer_network(self, name: str) -> IntegerNetwork:
        """The integers of a quantised network.

        Raises
        ------
        ChandelierError
            If a number does not fit; the line names the layer, the tensor and the value.
        """
        layers = []
        for i, layer in enumerate(self.layers()):
            try:
                layers.append(integer_layer(layer, self.tau_shift))
            except ChandelierError as error:
                raise ChandelierError(f"layers.{i}: {error}") from None
        with torch.no_grad():
            synapses = self.readout.synapses
            assert synapses.quantiser is not None
            step = synapses.quantiser.synapses(synapses.w_ee, synapses.w_ie, 1)[2]
        scale = float(step) / layers[-1].a / self.steps
        return IntegerNetwork(name=name, input=self.input, layers=tuple(layers), steps=self.steps, logit_scale=scale)
