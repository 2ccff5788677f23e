"""A whole network in hardware: its layers as engines, chained by streams of events."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cycles import layer_cycles
from hw.folding import Folding, check_foldings, default_foldings
from hw.geometry import walk_of
from hw.layer import LayerEngine, chain
from hw.layouts import event_layout, result_layout
from hw.manifest import (
    FoldingEntry,
    InputPort,
    LayerEntry,
    Manifest,
    OutputPort,
    Probe,
    payload_fields,
)
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from quant.widths import network_widths

__all__ = ["Network"]

#: Stages whose output is watched, and what the fields are called that the golden model calls otherwise.
_PROBED: Mapping[str, Mapping[str, str]] = {
    "accumulator": {},
    "population": {},
    "serialiser": {},
    "stabiliser": {"d": "divisor"},
    "divisive": {},
    "scaling": {},
    "lif": {},
}


def _check_supported(network: IntegerNetwork) -> None:
    """Refuses what has a golden model, and no hardware yet."""
    for i, layer in enumerate(network.layers):
        if (sources := layer.wiring.sources_of(i)) != (i - 1,):
            wires = ", ".join(map(str, sources))
            raise ChandelierError(
                f"layers.{i} of {network.name} adds up layers {wires}, and there is no hardware for that yet: "
                "only networks whose layers follow each other, without residual sums, become RTL"
            )


class Network(wiring.Component):
    """The engines of all layers in a row; they work on different samples and time steps at the same time.

    Stream ``i`` takes the non-zero inputs of a time step as events, in any order, and then a marker
    (``hw.layouts.event_layout``); a static input has one marker a sample. Stream ``o`` gives one result a sample.

    Parameters
    ----------
    network : IntegerNetwork
    foldings : sequence of Folding, optional
        One for each layer; by default ``hw.folding.default_foldings``.

    Raises
    ------
    ChandelierError
        If a folding does not fit its layer, or there is no hardware for a layer.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, network: IntegerNetwork, foldings: Sequence[Folding] | None = None) -> None:
        _check_supported(network)
        self.network = network
        self.foldings = default_foldings(network) if foldings is None else tuple(foldings)
        check_foldings(network, self.foldings)
        widths = network_widths(network)
        self.engines = [
            LayerEngine(
                *parts,
                sets=network.layer_steps(i),
                steps=network.steps,
                walk=walk_of(network, i),
                event_bits=1 if i else network.input.bits,
            )
            for i, parts in enumerate(zip(network.layers, widths, self.foldings, strict=True))
        ]
        logit = widths[-1].logit
        assert logit is not None
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(network.input.features, network.input.bits))),
                "o": Out(stream.Signature(result_layout(network.classes, logit))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        return chain(self, {f"layer{i}": engine for i, engine in enumerate(self.engines)})

    @property
    def description(self) -> str:
        """Shape and folding in a line."""
        maps = [self.network.input.map, *(output for _, output in self.network.maps)]
        shape = "-".join("x".join(str(n) for n in shape if n > 1) or "1" for shape in maps)
        lanes = ", ".join(f"{f.synapse_lanes}/{f.population_lanes}/{f.neuron_lanes}" for f in self.foldings)
        return f"E-I network {shape}, {self.network.steps} steps, lanes {lanes}"

    @property
    def weight_memories(self) -> list[tuple[str, str]]:
        """(instance, memory) of each memory of weights, below the top module."""
        memories = {"accumulator": "weights", "population": "w_ei"}
        return [
            (f"layer{i}.{stage}", memories[stage])
            for i, engine in enumerate(self.engines)
            for stage in engine.stages
            if stage in memories
        ]

    def probes(self) -> Iterator[Probe]:
        """The streams whose values the golden model knows too, in the order of the dataflow."""
        for i, engine in enumerate(self.engines):
            for name, stage in engine.stages.items():
                if name not in _PROBED:
                    continue
                layout, path = stage.o.p.shape(), f"layer{i}.{name}"
                fields = payload_fields(layout, None if name == "accumulator" else engine.layer.n_e, engine.pixels)
                yield Probe(
                    layer=i,
                    name=name,
                    path=path,
                    stream="o",
                    valid=f"{path}__valid",
                    ready=f"{path}__ready",
                    payload=f"{path}__payload",
                    width=layout.size,
                    per="step" if name == "lif" or engine.sets == engine.steps else "sample",
                    beats=fields[0].beats,
                    fields=[f.model_copy(update={"signal": _PROBED[name].get(f.signal, f.signal)}) for f in fields],
                )

    def manifest(self, *, generator: str, name: str, network_sha256: str, files: Mapping[str, str]) -> Manifest:
        """The manifest of the design; the caller knows what its files are."""
        spec, i, o = self.network.input, self.i.p.shape(), self.o.p.shape()
        return Manifest(
            generator=generator,
            top=name,
            network_sha256=network_sha256,
            files=dict(files),
            input=InputPort(
                features=spec.features,
                bits=spec.bits,
                kind=spec.kind,
                steps=self.network.steps,
                fields=payload_fields(i),
                width=i.size,
            ),
            output=OutputPort(classes=self.network.classes, fields=payload_fields(o), width=o.size),
            layers=[
                LayerEntry(
                    n_e=engine.layer.n_e,
                    n_i=engine.layer.n_i,
                    d=engine.layer.d,
                    folding=FoldingEntry(**asdict(engine.folding)),
                    cycles=asdict(layer_cycles(engine.layer, engine.folding, engine.walk)),
                    memory_bits=engine.memory_bits,
                )
                for engine in self.engines
            ],
            probes=list(self.probes()),
        )
