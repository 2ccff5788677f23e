"""One layer as an engine of its own: events in, events out, or, of the readout, results."""

import math
from collections.abc import Mapping
from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import SynapseAccumulator
from hw.divisive import DivisiveInhibition
from hw.encoder import EventEncoder
from hw.floor import FloorStabiliser
from hw.folding import Folding
from hw.geometry import Walk
from hw.global_inhibition import GlobalInhibition, is_global
from hw.lif import LIFCore
from hw.loadable import Register, chain_links, load_ports
from hw.placer import EventPlacer
from hw.population import PopulationUnit
from hw.readout import Readout
from hw.replay import Replay
from hw.scaling import Scaling
from hw.scanner import MapScanner
from hw.serialiser import Serialiser
from hw.splitter import WordSplitter
from hw.stabiliser import Stabiliser
from hw.window_accumulator import WindowAccumulator
from quant.network import MOST_SHIFT, Layer
from quant.widths import LayerWidths

__all__ = ["LayerEngine", "chain"]

_MEMORIES = {"placer": "pixels", "scanner": "maps", "accumulator": "synapses", "population": "inhibition"}
#: Any component with streams ``i`` and ``o``.
Stage = Any


def chain(whole: Stage, stages: Mapping[str, Stage]) -> Module:
    """A module in which the stages are in a row, the first fed by ``whole.i``, the last feeding ``whole.o``.

    What stage ``NAME`` gives are the signals ``NAME__valid``, ``NAME__ready`` and ``NAME__payload``, for probes.
    """
    m = Module()
    for name, stage in stages.items():
        m.submodules[name] = stage
    sources = [wiring.flipped(whole.i), *(stage.o for stage in stages.values())]
    sinks = [*(stage.i for stage in stages.values()), wiring.flipped(whole.o)]
    for source, sink in zip(sources, sinks, strict=True):
        wiring.connect(m, source, sink)
    # Names for the streams between the stages that are the same in every design: a stage's own names for its ports
    # depend on what is inside of it.
    for name, stage in stages.items():
        for part, value in ("valid", stage.o.valid), ("ready", stage.o.ready), ("payload", stage.o.p.as_value()):
            m.d.comb += Signal(value.shape(), name=f"{name}__{part}").eq(value)
    return m


def _number(value: int, most: int, *, loadable: bool) -> int | Register:
    """A constant, or a register for numbers up to ``most``."""
    return Register(value, max(1, most.bit_length())) if loadable else value


def _population(layer: Layer, widths: LayerWidths, folding: Folding, shape: Layer | None) -> Stage:
    """The population unit, or what serves instead where all E neurons are inhibited alike."""
    neurons = layer.neurons
    shunting: dict[str, Any] = (
        {} if neurons is None else {"d": widths.d, "g_i": neurons.g_i, "gain_i_bits": neurons.gain_i_bits}
    )
    unit = GlobalInhibition if is_global(shape or layer) else PopulationUnit
    return unit(
        w_ei=layer.w_ei,
        inhibition_bits=layer.inhibition_bits,
        a=_number(layer.a, (shape or layer).a, loadable=shape is not None),
        i_ee=widths.i_ee,
        i_ie=widths.i_ie,
        bal=widths.bal,
        population_lanes=folding.population_lanes,
        neuron_lanes=folding.neuron_lanes,
        **shunting,
    )


def _synapse_stages(
    layer: Layer,
    widths: LayerWidths,
    folding: Folding,
    walk: Walk | None,
    gathering: dict[str, int],
    *,
    loadable: bool,
) -> dict[str, Stage]:
    """From events to currents; a layer that sees its sources through a window first gathers them in a map."""
    shared: dict[str, Any] = {
        "w_ee": layer.w_ee,
        "w_ie": layer.w_ie,
        "synapse": layer.synapse,
        "value_bits": widths.x.width,
        "i_ee": widths.i_ee,
        "i_ie": widths.i_ie,
        "lanes": folding.synapse_lanes,
        "loadable": loadable,
    }
    if walk is None:
        return {"accumulator": SynapseAccumulator(**shared)}
    sum_bits = widths.x.width
    splitter = WordSplitter(
        words=walk.column_words, lanes=walk.lanes, value_bits=sum_bits, events=folding.events(layer)
    )
    return {
        "placer": EventPlacer(walk=walk, **gathering),
        "scanner": MapScanner(walk=walk, sum_bits=sum_bits, **gathering),
        "splitter": splitter,
        "accumulator": WindowAccumulator(walk=walk, **shared),
    }


def _balance_stages(layer: Layer, widths: LayerWidths, folding: Folding, shape: Layer | None) -> dict[str, Stage]:
    """From currents to balance and denominator."""
    if layer.n_i:
        return {"population": _population(layer, widths, folding, shape)}
    a = _number(layer.a, (shape or layer).a, loadable=shape is not None)
    lanes = folding.neuron_lanes
    return {"serialiser": Serialiser(n=layer.n_e, lanes=lanes, a=a, i_ee=widths.i_ee, bal=widths.bal)}


def _current_stages(layer: Layer, widths: LayerWidths, lanes: int, n: int, shape: Layer | None) -> dict[str, Stage]:
    """From balance, and denominator if there is one, to the current, of ``n`` neurons."""
    neurons = layer.neurons
    assert neurons is not None and widths.product is not None
    shared: dict[str, Any] = {
        "g_e": neurons.g_e,
        "b_e": neurons.b_e,
        "gain_e_bits": neurons.gain_e_bits,
        "shift": _number(neurons.shift, MOST_SHIFT, loadable=shape is not None),
        "membrane": neurons.membrane,
        "bal": widths.bal,
        "product": widths.product,
        "lanes": lanes,
    }
    if neurons.reciprocal is None:
        return {"scaling": Scaling(**shared)}
    assert widths.d is not None
    alike = is_global(shape or layer)
    stages: dict[str, Stage] = {}
    if neurons.floor:
        floor = _number(neurons.floor, widths.d.max, loadable=shape is not None)
        stages["stabiliser"] = FloorStabiliser(lanes=lanes, bal=widths.bal, d=widths.d, floor=floor)
    elif not alike:  # of equal denominators the smallest that is not zero is each of them
        stages["stabiliser"] = Stabiliser(n=n, lanes=lanes, bal=widths.bal, d=widths.d)
    stages["divisive"] = DivisiveInhibition(reciprocal=neurons.reciprocal, d=widths.d, alike=alike, **shared)
    return stages


def _hidden_stages(
    layer: Layer,
    widths: LayerWidths,
    folding: Folding,
    n: int,
    rows: int,
    replays: int,
    steps: int,
    sending: dict[str, Any],
    shape: Layer | None,
) -> dict[str, Stage]:
    """From balances to the events of the layer's ``n`` neurons, all pixels together.

    All time steps of each of ``rows`` parts of them come in a row, and events then are of all time steps.
    """
    neurons, lanes, sent = layer.neurons, folding.neuron_lanes, steps if rows > 1 else 1
    assert neurons is not None
    stages = _current_stages(layer, widths, lanes, n, shape)
    if replays > 1:
        stages["replay"] = Replay(n=n // rows, lanes=lanes, current=neurons.membrane, times=replays)
    return stages | {
        "lif": LIFCore(
            n=n // rows,
            lanes=lanes,
            steps=steps,
            membrane=neurons.membrane,
            tau_shift=neurons.tau_shift,
            theta=neurons.theta,
            leak=neurons.leak,
            reset=neurons.reset,
        ),
        "encoder": EventEncoder(n=n * sent, lanes=lanes, membrane=neurons.membrane, **sending),
    }


class LayerEngine(wiring.Component):
    """A layer: a chain of ``stages``, each a component with streams ``i`` and ``o``, working at the same time.

    A convolution computes its pixels one after the other; what they all are of a time step is a frame. In row-major
    order a frame is what a row of pixels is of a time step, and events are sent for all steps together.

    Parameters
    ----------
    layer : Layer
    widths : LayerWidths
    folding : Folding
    sets : int, 1 or steps
        Time steps of a sample whose input arrives: one, where the input is static.
    steps : int, >= 1
        Time steps of a sample.
    walk : Walk, optional
        How the layer sees the map of its sources; without it, all neurons see all of one source.
    event_bits : int, 1..8
        Bits of the value of an input event.
    gathered : int
        Neighbouring values that come at once, to a map.
    events : int, a divisor of the folding's ``neuron_lanes``
        Spikes sent at once.
    grouped : bool
        These are all of a beat, and go to maps.
    shape : Layer, optional
        The engine can be filled anew (``hw.loadable``) with any layer that fits into this one, as ``layer`` does.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        layer: Layer,
        widths: LayerWidths,
        folding: Folding,
        *,
        sets: int,
        steps: int,
        walk: Walk | None = None,
        event_bits: int,
        gathered: int = 1,
        events: int = 1,
        grouped: bool = False,
        shape: Layer | None = None,
    ) -> None:
        self.layer, self.folding, self.walk, self.sets, self.steps = layer, folding, walk, sets, steps
        #: Pixels of the layer's map.
        self.pixels = math.prod(walk.output) if walk else 1
        #: Parts of the map of which all time steps are done in a row (``hw.order``).
        self.rows = walk.bands if walk else 1
        #: Neighbouring values that come at once.
        self.gathered = gathered
        gathering = {"value_bits": event_bits, "events": gathered}
        self.stages = _synapse_stages(layer, widths, folding, walk, gathering, loadable=shape is not None)
        self.stages |= _balance_stages(layer, widths, folding, shape)
        n = self.pixels * layer.n_e
        if layer.neurons is not None:
            sending = {"events": events, "grouped": grouped}
            self.stages |= _hidden_stages(layer, widths, folding, n, self.rows, steps // sets, steps, sending, shape)
        else:
            assert widths.logit is not None
            self.stages["readout"] = Readout(
                n=n, lanes=folding.neuron_lanes, steps=sets, bal=widths.bal, logit=widths.logit
            )
        #: What can be filled anew.
        self.links = [stage for stage in self.stages.values() if getattr(stage, "links", None)]
        first, *_, last = self.stages.values()
        super().__init__(
            {
                "i": In(stream.Signature(first.i.p.shape())),
                "o": Out(stream.Signature(last.o.p.shape())),
                **load_ports(self.links),
            }
        )

    @property
    def memories(self) -> list[tuple[str, str]]:
        """(instance, memory) of each memory with contents, below the engine: weights, gains and biases, reciprocals."""
        accumulator = self.stages["accumulator"]
        found = [("accumulator.row", name) for name in accumulator.weight_names]
        found += [("population", "w_ei")] if self.layer.n_i else []
        found += [(f"{stage}.parameters", "neurons") for stage in ("divisive", "scaling") if stage in self.stages]
        return found + ([("divisive.reciprocal", "entries")] if "divisive" in self.stages else [])

    @property
    def memory_bits(self) -> dict[str, int]:
        """Bits of each memory, without queues of events and pipelines. The reciprocal's is read by every lane."""
        bits = {name: self.stages[stage].memory_bits for stage, name in _MEMORIES.items() if stage in self.stages}
        neurons = self.layer.neurons
        if neurons is not None:
            slots, width = self.folding.groups(self.layer) * self.folding.neuron_lanes, neurons.membrane.width
            bits |= {"gains_and_biases": slots * (neurons.gain_e_bits + width)}
            bits |= {"potentials": self.pixels // self.rows * slots * width}
            if (table := neurons.reciprocal) is not None:
                bits["reciprocal"] = len(table.table) * table.bits
            if isinstance(
                stabiliser := self.stages.get("stabiliser"), Stabiliser
            ):  # a frame that comes, one that leaves
                beat = stabiliser.i.p.shape().size
                bits["frames"] = 2 * self.pixels * self.folding.groups(self.layer) * beat
        if "replay" in self.stages:
            bits["currents"] = self.pixels // self.rows * slots * width
        return bits

    def elaborate(self, platform: object) -> Module:
        m = chain(self, self.stages)
        chain_links(m, self)
        return m
