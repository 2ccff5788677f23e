"""One layer as an engine of its own: events in, events out, or, of the readout, results."""

from collections.abc import Mapping
from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import SynapseAccumulator
from hw.divisive import DivisiveInhibition
from hw.encoder import EventEncoder
from hw.folding import Folding
from hw.layouts import event_layout, result_layout
from hw.lif import LIFCore
from hw.population import PopulationUnit
from hw.readout import Readout
from hw.replay import Replay
from hw.scaling import Scaling
from hw.serialiser import Serialiser
from hw.stabiliser import Stabiliser
from quant.network import Layer
from quant.widths import LayerWidths

__all__ = ["LayerEngine", "chain"]

_WEIGHTS = {"accumulator": "synapses", "population": "inhibition"}
#: Any component with streams ``i`` and ``o``.
Stage = Any


def chain(whole: Stage, stages: Mapping[str, Stage]) -> Module:
    """A module in which the stages are in a row, the first fed by ``whole.i``, the last feeding ``whole.o``."""
    m = Module()
    for name, stage in stages.items():
        m.submodules[name] = stage
    sources = [wiring.flipped(whole.i), *(stage.o for stage in stages.values())]
    sinks = [*(stage.i for stage in stages.values()), wiring.flipped(whole.o)]
    for source, sink in zip(sources, sinks, strict=True):
        wiring.connect(m, source, sink)
    return m


def _population(layer: Layer, widths: LayerWidths, folding: Folding) -> PopulationUnit:
    neurons = layer.neurons
    shunting: dict[str, Any] = (
        {} if neurons is None else {"d": widths.d, "g_i": neurons.g_i, "gain_i_bits": neurons.gain_i_bits}
    )
    return PopulationUnit(
        w_ei=layer.w_ei,
        inhibition_bits=layer.inhibition_bits,
        a=layer.a,
        i_ee=widths.i_ee,
        i_ie=widths.i_ie,
        bal=widths.bal,
        population_lanes=folding.population_lanes,
        neuron_lanes=folding.neuron_lanes,
        **shunting,
    )


def _synapse_stages(layer: Layer, widths: LayerWidths, folding: Folding) -> dict[str, Stage]:
    accumulator = SynapseAccumulator(
        w_ee=layer.w_ee,
        w_ie=layer.w_ie,
        synapse=layer.synapse,
        value_bits=widths.x.width,
        i_ee=widths.i_ee,
        i_ie=widths.i_ie,
        lanes=folding.synapse_lanes,
    )
    if layer.n_i:
        return {"accumulator": accumulator, "population": _population(layer, widths, folding)}
    lanes = folding.neuron_lanes
    serialiser = Serialiser(n=layer.n_e, lanes=lanes, a=layer.a, i_ee=widths.i_ee, bal=widths.bal)
    return {"accumulator": accumulator, "serialiser": serialiser}


def _current_stages(layer: Layer, widths: LayerWidths, lanes: int) -> dict[str, Stage]:
    """From balance, and denominator if there is one, to the current."""
    neurons = layer.neurons
    assert neurons is not None and widths.product is not None
    shared: dict[str, Any] = {
        "g_e": neurons.g_e,
        "b_e": neurons.b_e,
        "gain_e_bits": neurons.gain_e_bits,
        "shift": neurons.shift,
        "membrane": neurons.membrane,
        "bal": widths.bal,
        "product": widths.product,
        "lanes": lanes,
    }
    if neurons.reciprocal is None:
        return {"scaling": Scaling(**shared)}
    assert widths.d is not None
    return {
        "stabiliser": Stabiliser(n=layer.n_e, lanes=lanes, bal=widths.bal, d=widths.d),
        "divisive": DivisiveInhibition(reciprocal=neurons.reciprocal, d=widths.d, **shared),
    }


def _hidden_stages(layer: Layer, widths: LayerWidths, folding: Folding, replays: int, steps: int) -> dict[str, Stage]:
    neurons, lanes = layer.neurons, folding.neuron_lanes
    assert neurons is not None
    stages = _current_stages(layer, widths, lanes)
    if replays > 1:
        stages["replay"] = Replay(n=layer.n_e, lanes=lanes, current=neurons.membrane, times=replays)
    return stages | {
        "lif": LIFCore(
            n=layer.n_e,
            lanes=lanes,
            steps=steps,
            membrane=neurons.membrane,
            tau_shift=neurons.tau_shift,
            theta=neurons.theta,
            leak=neurons.leak,
            reset=neurons.reset,
        ),
        "encoder": EventEncoder(n=layer.n_e, lanes=lanes, membrane=neurons.membrane),
    }


class LayerEngine(wiring.Component):
    """A layer: a chain of ``stages``, each a component with streams ``i`` and ``o``, working at the same time.

    Parameters
    ----------
    layer : Layer
    widths : LayerWidths
    folding : Folding
    sets : int, 1 or steps
        Time steps of a sample whose input arrives: one, where the input is static.
    steps : int, >= 1
        Time steps of a sample.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, layer: Layer, widths: LayerWidths, folding: Folding, *, sets: int, steps: int) -> None:
        self.layer, self.folding, self.sets, self.steps = layer, folding, sets, steps
        self.stages = _synapse_stages(layer, widths, folding)
        if layer.neurons is not None:
            self.stages |= _hidden_stages(layer, widths, folding, steps // sets, steps)
            result = event_layout(layer.n_e, 1)
        else:
            assert widths.logit is not None
            self.stages["readout"] = Readout(
                n=layer.n_e, lanes=folding.neuron_lanes, steps=steps, bal=widths.bal, logit=widths.logit
            )
            result = result_layout(layer.n_e, widths.logit)
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(layer.d, widths.x.width))),
                "o": Out(stream.Signature(result)),
            }
        )

    @property
    def memory_bits(self) -> dict[str, int]:
        """Bits of each memory, queues and pipelines not counted. The reciprocal's is read by every lane."""
        bits = {name: self.stages[stage].memory_bits for stage, name in _WEIGHTS.items() if stage in self.stages}
        neurons = self.layer.neurons
        if neurons is not None:
            slots, width = self.folding.groups(self.layer) * self.folding.neuron_lanes, neurons.membrane.width
            bits |= {"gains_and_biases": slots * (neurons.gain_e_bits + width), "potentials": slots * width}
            if (table := neurons.reciprocal) is not None:
                bits["reciprocal"] = len(table.table) * table.bits
        if "replay" in self.stages:
            bits["currents"] = slots * width
        return bits

    def elaborate(self, platform: object) -> Module:
        m = chain(self, self.stages)
        # Names for the streams between the stages that are the same in every design: a stage's own names for its ports
        # depend on what is inside of it.
        for name, stage in self.stages.items():
            for part, value in ("valid", stage.o.valid), ("ready", stage.o.ready), ("payload", stage.o.p.as_value()):
                m.d.comb += Signal(value.shape(), name=f"{name}__{part}").eq(value)
        return m
