"""A whole network in hardware, fully spatial: a wire for each synapse, and a time step a cycle."""

from collections.abc import Iterator, Mapping
from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.credits import CreditQueue
from hw.global_inhibition import is_global
from hw.layer import chain
from hw.layouts import index_of
from hw.manifest import (
    FoldingEntry,
    LayerEntry,
    Manifest,
    PayloadField,
    Probe,
    Timing,
    network_manifest,
    stage_probe,
)
from hw.packing import ceil_div
from hw.spatial_stages import (
    SpatialDivision,
    SpatialInhibition,
    SpatialLIF,
    SpatialReadout,
    SpatialScaling,
    SpatialStabiliser,
    SpatialSynapses,
    steady,
)
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer
from quant.widths import LayerWidths, network_widths

__all__ = ["SpatialNetwork"]

Stage = Any


def _check_spatial(network: IntegerNetwork) -> None:
    """Refuses what is no row of fully connected layers."""
    for i, layer in enumerate(network.layers):
        wiring_, before = layer.wiring, i - 1 if i else NETWORK_INPUT
        if wiring_.window is not None or wiring_.sources_of(i) != (before,) or tuple(wiring_.pool) != (1, 1):
            raise ChandelierError(
                f"layers.{i} of {network.name} is no fully connected one behind the layer before it: a fully spatial "
                "design has no others; leave --fold at events"
            )


def _stages(layer: Layer, widths: LayerWidths, sets: int, steps: int) -> dict[str, Stage]:
    """The stages of a layer whose input comes ``sets`` times a sample."""
    stages: dict[str, Stage] = {
        "synapses": SpatialSynapses(layer, widths),
        "inhibition": SpatialInhibition(layer, widths),
    }
    if layer.neurons is None:
        assert widths.logit is not None
        stages["readout"] = SpatialReadout(classes=layer.n_e, steps=sets, bal=widths.bal, logit=widths.logit)
        return stages
    if layer.n_i:
        if layer.neurons.floor or not is_global(layer):  # of equal denominators the smallest is each of them
            stages["stabiliser"] = SpatialStabiliser(layer, widths)
        stages["division"] = SpatialDivision(layer, widths, interval=steps // sets)
    else:
        stages["scaling"] = SpatialScaling(layer, widths)
    stages["lif"] = SpatialLIF(layer, steps=steps, repeats=steps // sets)
    return stages


class _SpatialLayer(wiring.Component):
    """A layer: its stages in a row."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, layer: Layer, widths: LayerWidths, *, sets: int, steps: int) -> None:
        self.layer, self.sets = layer, sets
        self.stages = _stages(layer, widths, sets, steps)
        first, *_, last = self.stages.values()
        super().__init__({"i": In(steady(first.i.p.shape())), "o": Out(steady(last.o.p.shape()))})

    def elaborate(self, platform: object) -> Module:
        return chain(self, self.stages)


class SpatialNetwork(wiring.Component):
    """All layers as wires, adders and registers: a time step of every layer in each cycle, no weight memory.

    Stream ``i`` takes all inputs of a sample, or of a time step of a sequence, as one beat; stream ``o`` gives one
    result a sample. A static sample every ``steps`` cycles. In between nothing waits: a sample begins if there is room
    for its result.

    Parameters
    ----------
    network : IntegerNetwork
        Of fully connected layers, each behind the one before.

    Raises
    ------
    ChandelierError
        If it has others, or da4ml is missing.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, network: IntegerNetwork) -> None:
        _check_spatial(network)
        self.network = network
        widths = network_widths(network)
        self.engines = [
            _SpatialLayer(layer, own, sets=network.layer_steps(i), steps=network.steps)
            for i, (layer, own) in enumerate(zip(network.layers, widths, strict=True))
        ]
        #: Cycles between two input beats of different samples, at least.
        self.interval = network.steps // network.layer_steps(0)
        pipeline = sum(stage.latency for engine in self.engines for stage in engine.stages.values())
        result = self.engines[-1].o.p.shape()
        self._queue = CreditQueue(result, ceil_div(pipeline + network.steps, network.steps) + 3)
        #: Cycles from the first input beat of a sample to its result, where nothing pauses.
        self.latency = pipeline + network.steps - 1 + self._queue.latency
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(network.input.bits, network.input.features))),
                "o": Out(stream.Signature(result)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i, engine in enumerate(self.engines):
            m.submodules[f"layer{i}"] = engine
        self._begin(m)
        for before, after in zip(self.engines, self.engines[1:], strict=False):
            m.d.comb += after.i.valid.eq(before.o.valid)
            m.d.comb += [x.eq(neuron.spike) for x, neuron in zip(after.i.p, before.o.p, strict=True)]
        last = self.engines[-1]
        m.d.comb += [self._queue.arrived.eq(last.o.valid), self._queue.payload.eq(last.o.p)]
        wiring.connect(m, self._queue.o, wiring.flipped(self.o))
        return m

    def _begin(self, m: Module) -> None:
        """Lets an input in if there is room for the result of its sample, and its turn."""
        m.submodules.results = queue = self._queue
        first, sets = self.engines[0], self.network.layer_steps(0)
        step, wait = Signal(index_of(sets)), Signal(range(self.interval + 1))
        m.d.comb += [
            self.i.ready.eq(((step != 0) | queue.room) & (wait == 0)),
            first.i.valid.eq(self.i.valid & self.i.ready),
            first.i.p.eq(self.i.p),
            queue.begun.eq(first.i.valid & (step == 0)),
        ]
        with m.If(first.i.valid):
            m.d.sync += [step.eq(Mux(step == sets - 1, 0, step + 1)), wait.eq(self.interval - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)

    @property
    def adders(self) -> int:
        """Adders of all synapses."""
        return sum(engine.stages["synapses"].graph.adders for engine in self.engines)

    @property
    def description(self) -> str:
        """Shape in a line."""
        shape = "-".join(str(n) for n in (self.network.input.features, *(e.layer.n_e for e in self.engines)))
        return f"E-I network {shape}, {self.network.steps} steps, fully spatial, {self.adders} adders for its synapses"

    @property
    def memories(self) -> list[tuple[str, str]]:
        """(instance, memory) of each memory with contents, below the top module: the tables of reciprocals."""
        return [
            (f"layer{i}.division.reciprocal", "entries")
            for i, engine in enumerate(self.engines)
            if "division" in engine.stages
        ]

    def probes(self) -> Iterator[Probe]:
        """The streams whose values the golden model knows too, in the order of the dataflow."""
        for i, engine in enumerate(self.engines):
            for name, stage in engine.stages.items():
                if name != "readout":
                    yield stage_probe(
                        i,
                        name,
                        stage.o.p.shape(),
                        per="step" if name == "lif" or engine.sets == self.network.steps else "sample",
                        neurons=None if name == "synapses" else engine.layer.n_e,
                        names={"d": "divisor"} if name == "stabiliser" else {},
                    )

    def manifest(self, *, generator: str, name: str, network_sha256: str, files: Mapping[str, str]) -> Manifest:
        """The manifest of the design; the caller knows what its files are."""
        spec = self.network.input
        x = PayloadField(
            signal="x",
            offset=0,
            stride=spec.bits,
            width=spec.bits,
            signed=False,
            lanes=spec.features,
            neurons=spec.features,
        )
        return network_manifest(
            self.network,
            generator=generator,
            name=name,
            network_sha256=network_sha256,
            files=files,
            input_fields=[x],
            input_width=spec.bits * spec.features,
            output=self.o.p.shape(),
            layers=[_entry(engine.layer) for engine in self.engines],
            probes=list(self.probes()),
            timing=Timing(interval=self.network.steps, latency=self.latency),
        )


def _entry(layer: Layer) -> LayerEntry:
    """All lanes that there can be; no memory but a table."""
    table = layer.neurons.reciprocal if layer.neurons else None
    return LayerEntry(
        n_e=layer.n_e,
        n_i=layer.n_i,
        d=layer.d,
        folding=FoldingEntry(
            synapse_lanes=layer.d * (layer.n_e + layer.n_i),
            population_lanes=max(1, layer.n_i),
            neuron_lanes=layer.n_e,
        ),
        cycles={},
        memory_bits={"reciprocal": len(table.table) * table.bits} if table else {},
    )
