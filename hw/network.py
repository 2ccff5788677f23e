"""A whole network in hardware: its layers as engines, chained by streams of events."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.cycles import layer_cycles
from hw.folding import Folding, check_foldings, default_foldings, sent_at_once
from hw.geometry import walk_of
from hw.layer import LayerEngine
from hw.layouts import result_layout
from hw.manifest import (
    FoldingEntry,
    LayerEntry,
    Manifest,
    Probe,
    network_manifest,
    payload_fields,
    stage_probe,
)
from hw.routing import EventFork, EventMerge
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT
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


def _check_read(network: IntegerNetwork) -> None:
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

    Raises
    ------
    ChandelierError
        If a folding does not fit its layer, or nobody reads a layer.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, network: IntegerNetwork, foldings: Sequence[Folding] | None = None) -> None:
        _check_read(network)
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
                event_bits=network.input.bits if NETWORK_INPUT in network.layers[i].wiring.sources_of(i) else 1,
                events=sent_at_once(network, self.foldings, i),
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
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i, engine in enumerate(self.engines):
            m.submodules[f"layer{i}"] = engine
        sinks = [self._sinks(m, i) for i in range(len(self.engines))]
        for j in range(NETWORK_INPUT, len(self.engines) - 1):
            self._distribute(m, j, [own[j] for own in sinks if j in own])
        wiring.connect(m, self.engines[-1].o, wiring.flipped(self.o))
        return m

    def _sinks(self, m: Module, index: int) -> dict[int, Any]:
        """The stream into a layer for each of its sources."""
        engine, sources = self.engines[index], self.network.layers[index].wiring.sources_of(index)
        if len(sources) == 1:
            return {sources[0]: engine.i}
        m.submodules[f"merge{index}"] = merge = EventMerge(event=engine.i.p.shape(), inputs=len(sources))
        wiring.connect(m, merge.o, engine.i)
        return dict(zip(sources, merge.i, strict=True))

    def _distribute(self, m: Module, source: int, takers: Sequence[Any]) -> None:
        """Connects the events of a layer, or of the input, with all who take them."""
        stream_out = wiring.flipped(self.i) if source == NETWORK_INPUT else self.engines[source].o
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
                )
                for engine in self.engines
            ],
            probes=list(self.probes()),
        )
