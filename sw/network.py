"""The spiking network: E-I layers (or normalised ones) and LIF neurons, E-I Init in one pass, and its integers."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from quant.errors import ChandelierError
from quant.exact import sum_pool
from quant.maps import NETWORK_INPUT
from quant.network import Input, IntegerNetwork
from quant.quantisers import LayerQuantiser, Scheme
from sw.architectures import Stage, stages
from sw.layers import LIF, EILayer, EIProp, EISynapses, Readout, SpikingLayer
from sw.signed import SignedLayer, SignedSynapses

__all__ = ["Inhibition", "SpikingNetwork"]

#: What keeps currents in range: E-I inhibition, also in the form in which all E neurons of a layer are inhibited alike;
#: or, in the normalised twin, batch normalisation, or nothing.
Inhibition = Literal["divisive", "global", "batch-norm", "none"]


class SpikingNetwork(nn.Module):
    """Layers and LIF neurons as ``hidden`` says (:mod:`sw.architectures`), then the readout.

    Parameters
    ----------
    spec : Input
        What comes in: codes, static or one map a time step.
    hidden : name or formula
    classes : int
    steps : int
        Time steps a sample.
    ratio : int
        E neurons per I neuron.
    tau_shift : int
        ``tau = 2**tau_shift``.
    prop : EIProp
    inhibition : "divisive", "global", "batch-norm" or "none"
        The E-I layers of the paper; the same with ``w_ei`` as it is at first; their normalised twin, with signed
        synapses and no I neurons; neither.
    dropout : float, 0 <= dropout < 1
        Fraction of spikes that are dropped in training.

    Raises
    ------
    ChandelierError
        If ``hidden`` means nothing, or does not fit the input.
    """

    def __init__(
        self,
        spec: Input,
        hidden: str | Sequence[int | str],
        classes: int,
        *,
        steps: int,
        ratio: int = 4,
        tau_shift: int = 1,
        prop: EIProp = EIProp(),  # noqa: B008 - frozen
        inhibition: Inhibition = "divisive",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input, self.steps, self.tau_shift, self.dropout = spec, steps, tau_shift, dropout
        self.stages = stages(hidden, spec.map, spec.format.max, classes)

        def synapses(stage: Stage) -> EISynapses | SignedSynapses:
            shape = (stage.shape, stage.neurons, stage.wiring)
            if inhibition in ("divisive", "global"):
                alike = inhibition == "global"
                return EISynapses(*shape, ratio=ratio, x_max=stage.x_max, prop=prop, global_inhibition=alike)
            return SignedSynapses(*shape, x_max=stage.x_max)

        def layer(stage: Stage) -> SpikingLayer:
            made = synapses(stage)
            if isinstance(made, EISynapses):
                return EILayer(made)
            return SignedLayer(made, normalised=inhibition == "batch-norm")

        self.hidden = nn.ModuleList(layer(stage) for stage in self.stages[:-1])
        self.lif = LIF(tau_shift)
        self.readout = Readout(synapses(self.stages[-1]), self.stages[-1].x_scale)
        sources = enumerate(stage.wiring.sources for stage in self.stages)
        self._last_use = {source: i for i, row in sources for source in row}

    @property
    def device(self) -> torch.device:
        """Where the parameters are, and inputs have to be."""
        return self.readout.synapses.w_ee.device

    def layers(self) -> list[SpikingLayer | Readout]:
        """All layers in the order in which they are computed."""
        return [*self.hidden, self.readout]

    def _inputs(self, x: Tensor) -> Iterator[tuple[int, Tensor, dict[int, Tensor]]]:
        """Of every layer its index, its input maps (steps, samples, h, w, c), and where its spikes are to be left.

        A static input has one step here: its currents are computed once.
        """
        x = x.unsqueeze(0) if self.input.kind == "static" else x.transpose(0, 1)
        maps = {NETWORK_INPUT: x.unflatten(-1, self.input.map)}
        for i, stage in enumerate(self.stages):
            first, *others = (maps[j] for j in stage.wiring.sources)
            yield i, sum_pool(sum(others, first), stage.wiring.pool), maps
            for j in [j for j in maps if self._last_use.get(j, 0) <= i]:
                del maps[j]

    def _spikes(self, layer: SpikingLayer, x: Tensor) -> Tensor:
        spikes = self.lif(layer(x).expand(self.steps, -1, -1, -1, -1))
        if self.training and self.dropout:
            # Divisive inhibition cancels a common factor, and so only the readout has to make up for what is dropped.
            spikes = spikes * (torch.rand_like(spikes) >= self.dropout)
        return spikes

    def spike_trains(self, x: Tensor) -> Iterator[Tensor]:
        """The input of every layer, one after the other, as maps (steps, samples, h, w, c): pooled sums of spikes."""
        for i, maps_in, maps in self._inputs(x):
            yield maps_in
            if i < len(self.hidden):
                maps[i] = self._spikes(self.hidden[i], maps_in)  # type: ignore[arg-type]

    def _last_spikes(self, x: Tensor) -> Tensor:
        for spikes in self.spike_trains(x):  # noqa: B007 - the last one is meant
            pass
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        """Logits (samples, classes) of input codes (samples, [steps,] features), floating point."""
        logits = self.readout(self._last_spikes(x))
        return logits / (1 - self.dropout) if self.training else logits

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
        for layer, maps_in in zip(self.layers(), self.spike_trains(x), strict=True):
            layer.initialise(maps_in, generator)

    def clamp(self) -> None:
        """Dale's law, in E-I layers: every parameter but the biases is clamped at zero. After each optimiser step."""
        for layer in self.layers():
            layer.clamp()

    def mix_precision(self) -> None:
        """From now on, currents are computed in bfloat16, in training and as long as there is no quantiser."""
        for layer in self.layers():
            layer.synapses.mixed_precision = True

    def quantise(self, scheme: Scheme) -> None:
        """Plugs a quantiser of ``scheme`` into every layer."""
        for layer in self.layers():
            layer.synapses.quantiser = LayerQuantiser(scheme).to(self.device)
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
                layers.append(
                    layer.integer_layer() if isinstance(layer, Readout) else layer.integer_layer(self.tau_shift)
                )
            except ChandelierError as error:
                raise ChandelierError(f"layers.{i}: {error}") from None
        silence = torch.zeros(self.steps, 1, *self.stages[-1].shape, device=self.device)
        with torch.no_grad():
            scale = float(self.readout.integer_logits(silence)[1])
        return IntegerNetwork(name=name, input=self.input, layers=tuple(layers), steps=self.steps, logit_scale=scale)
