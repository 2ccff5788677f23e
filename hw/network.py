"""A whole network in hardware: its layers as engines, chained by streams of events."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cycles import layer_cycles
from hw.folding import Folding, check_foldings, default_foldings, gathered_at_once, is_grouped, sent_at_once
from hw.global_inhibition import is_global
from hw.layer import LayerEngine
from hw.layouts import result_layout
from hw.load_shape import fingerprint
from hw.loadable import chain_load, load_words
from hw.loader import LOAD_LAYOUT, VERSION, Loader, Status
from hw.manifest import (
    FoldingEntry,
    LayerEntry,
    LoadPort,
    Manifest,
    Probe,
    network_manifest,
    payload_fields,
    stage_probe,
)
from hw.order import walk_of
from hw.routing import EventFork, EventMerge
from hw.sample_gate import SampleGate
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork
from quant.network_file import header_of
from quant.widths import network_widths, shape_widths

__all__ = ["Network", "check_read"]

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


def check_read(network: IntegerNetwork) -> None:
    """Refuses layers that are there for nothing: nothing would wait for them."""
    read = {source for i, layer in enumerate(network.layers) for source in layer.wiring.sources_of(i)}
    for i in range(len(network.layers) - 1):
        if i not in read:
            raise ChandelierError(
                f"layers.{i} of {network.name} is read by no other layer: RTL is of networks without it"
            )


class Network(wiring.Component):
    """The engines of all layers; they work on different samples and time steps at the same time.

    Stream ``i`` takes the non-zero inputs of a time step as events, in any order, and then a marker
    (``hw.layouts.event_layout``, or ``window_layout`` with several at once); a static input has one marker a sample.
    Stream ``o`` gives one result a sample.

    Parameters
    ----------
    network : IntegerNetwork
    foldings : sequence of Folding, optional
        One for each layer; by default ``hw.folding.default_foldings``.
    shape : IntegerNetwork, optional
        The weights are loadable: the design then takes every network that fits into this one, as ``network`` has to
        (``quant.shape.fitted``), whose numbers it has at first. Stream ``c`` and ``status`` are those of
        ``hw.loader.Loader``.

    Raises
    ------
    ChandelierError
        If a folding does not fit its layer, or nobody reads a layer.
    """

    i: stream.Interface
    o: stream.Interface
    c: stream.Interface
    status: Signal

    def __init__(
        self,
        network: IntegerNetwork,
        foldings: Sequence[Folding] | None = None,
        *,
        shape: IntegerNetwork | None = None,
    ) -> None:
        check_read(network)
        self.network, self.shape = network, shape
        self.foldings = default_foldings(shape or network) if foldings is None else tuple(foldings)
        structure = shape or network
        check_foldings(structure, self.foldings)
        widths = network_widths(network) if shape is None else shape_widths(shape)
        self.engines = [
            LayerEngine(
                *parts,
                sets=network.layer_steps(i),
                steps=network.steps,
                walk=walk_of(structure, i),
                event_bits=network.input.bits if NETWORK_INPUT in network.layers[i].wiring.sources_of(i) else 1,
                gathered=gathered_at_once(structure, self.foldings, i),
                events=sent_at_once(structure, self.foldings, i),
                grouped=is_grouped(structure, self.foldings, i),
                shape=None if shape is None else shape.layers[i],
            )
            for i, parts in enumerate(zip(network.layers, widths, self.foldings, strict=True))
        ]
        takers = [e for i, e in enumerate(self.engines) if NETWORK_INPUT in network.layers[i].wiring.sources_of(i)]
        logit = widths[-1].logit
        assert logit is not None
        super().__init__(
            {
                "i": In(stream.Signature(takers[0].i.p.shape())),
                "o": Out(stream.Signature(result_layout(network.classes, logit))),
                **({"c": In(stream.Signature(LOAD_LAYOUT)), "status": Out(Status)} if shape else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i, engine in enumerate(self.engines):
            m.submodules[f"layer{i}"] = engine
        sinks = [self._sinks(m, i) for i in range(len(self.engines))]
        source = self._gated_input(m, self.shape) if self.shape else wiring.flipped(self.i)
        for j, events in enumerate([source, *(engine.o for engine in self.engines[:-1])], NETWORK_INPUT):
            self._distribute(m, j, events, [own[j] for own in sinks if j in own])
        wiring.connect(m, self.engines[-1].o, wiring.flipped(self.o))
        return m

    def _gated_input(self, m: Module, shape: IntegerNetwork) -> Any:
        """The loader, and the input stream, through the gate that it closes."""
        m.submodules.loader = loader = Loader(fingerprint=fingerprint(shape, self.foldings), words=self.load_length)
        markers = 1 if shape.input.kind == "static" else shape.steps
        m.submodules.gate = gate = SampleGate(beat=self.i.p.shape(), markers=markers)
        wiring.connect(m, wiring.flipped(self.i), gate.i)
        wiring.connect(m, wiring.flipped(self.c), loader.c)
        chain_load(m, loader.chain, self.engines, loader.tail)
        m.d.comb += [
            gate.hold.eq(loader.hold),
            gate.finished.eq(self.o.valid & self.o.ready),
            loader.rest.eq(gate.rest),
            self.status.eq(loader.status),
        ]
        return gate.o

    def _sinks(self, m: Module, index: int) -> dict[int, Any]:
        """The stream into a layer for each of its sources."""
        engine, sources = self.engines[index], self.network.layers[index].wiring.sources_of(index)
        if len(sources) == 1:
            return {sources[0]: engine.i}
        m.submodules[f"merge{index}"] = merge = EventMerge(event=engine.i.p.shape(), inputs=len(sources))
        wiring.connect(m, merge.o, engine.i)
        return dict(zip(sources, merge.i, strict=True))

    def _distribute(self, m: Module, source: int, stream_out: Any, takers: Sequence[Any]) -> None:
        """Connects the events of a layer, or of the input, with all who take them."""
        if len(takers) == 1:
            wiring.connect(m, stream_out, takers[0])
        else:
            name = "fork_input" if source == NETWORK_INPUT else f"fork{source}"
            m.submodules[name] = fork = EventFork(event=stream_out.p.shape(), outputs=len(takers))
            wiring.connect(m, stream_out, fork.i)
            for taker, end in zip(takers, fork.o, strict=True):
                wiring.connect(m, end, taker)

    @property
    def description(self) -> str:
        """Shape and folding in a line."""
        maps = [self.network.input.map, *(output for _, output in self.network.maps)]
        shape = "-".join("x".join(str(n) for n in shape if n > 1) or "1" for shape in maps)
        lanes = ", ".join(f"{f.synapse_lanes}/{f.population_lanes}/{f.neuron_lanes}" for f in self.foldings)
        return f"E-I network {shape}, {self.network.steps} steps, lanes {lanes}"

    @cached_property
    def load_length(self) -> int:
        """Words of an image's numbers, where the weights are loadable."""
        return len(load_words(self.engines))

    @property
    def memories(self) -> list[tuple[str, str]]:
        """(instance, memory) of each memory with contents, below the top module."""
        return [
            (f"layer{i}.{instance}", memory)
            for i, engine in enumerate(self.engines)
            for instance, memory in engine.memories
        ]

    def probes(self) -> Iterator[Probe]:
        """The streams whose values the golden model knows too, in the order of the dataflow."""
        for i, engine in enumerate(self.engines):
            for name, stage in engine.stages.items():
                if name not in _PROBED:
                    continue
                yield stage_probe(
                    i,
                    name,
                    stage.o.p.shape(),
                    per="step" if name == "lif" or engine.sets == engine.steps else "sample",
                    neurons=None if name == "accumulator" else engine.layer.n_e,
                    pixels=engine.pixels,
                    names=_PROBED[name],
                )

    def manifest(self, *, generator: str, name: str, network_sha256: str, files: Mapping[str, str]) -> Manifest:
        """The manifest of the design; the caller knows what its files are."""
        return network_manifest(
            self.network,
            generator=generator,
            name=name,
            network_sha256=network_sha256,
            files=files,
            input_fields=payload_fields(self.i.p.shape()),
            input_width=self.i.p.shape().size,
            output=self.o.p.shape(),
            layers=[
                LayerEntry(
                    n_e=engine.layer.n_e,
                    n_i=engine.layer.n_i,
                    d=engine.layer.d,
                    folding=FoldingEntry(**asdict(engine.folding)),
                    cycles=asdict(layer_cycles(engine.layer, engine.folding, engine.walk)),
                    memory_bits=engine.memory_bits,
                    rows=engine.rows,
                    events=payload_fields(engine.o.p.shape()) if engine.layer.neurons else [],
                )
                for engine in self.engines
            ],
            probes=list(self.probes()),
            load=self._load_port(self.shape) if self.shape else None,
        )

    def _load_port(self, shape: IntegerNetwork) -> LoadPort:
        return LoadPort(
            version=VERSION,
            fingerprint=f"{fingerprint(shape, self.foldings):016x}",
            words=self.load_length,
            shape=header_of(shape),
            alike=[is_global(layer) for layer in shape.layers],
        )
