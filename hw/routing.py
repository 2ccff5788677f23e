"""Streams of events from a layer to several, and from several layers to one."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of

__all__ = ["EventFork", "EventMerge"]


class EventFork(wiring.Component):
    """Hands each beat on to all of ``outputs`` takers; the next one is taken when all have it. Latency 0.

    Parameters
    ----------
    event : StructLayout
        Of a beat.
    outputs : int, >= 2

    Raises
    ------
    ValueError
        If there are too few outputs.
    """

    i: stream.Interface
    o: Any

    def __init__(self, *, event: data.StructLayout, outputs: int) -> None:
        if outputs < 2:
            raise ValueError(f"outputs of the fork must be at least 2, not {outputs}")
        signature = stream.Signature(event)
        super().__init__({"i": In(signature), "o": Out(signature).array(outputs)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        had = Signal(len(self.o))  # takers that have the beat already
        has = Signal(len(self.o))
        m.d.comb += self.i.ready.eq(has.all())
        for k, taker in enumerate(self.o):
            m.d.comb += [taker.p.eq(self.i.p), taker.valid.eq(self.i.valid & ~had[k]), has[k].eq(had[k] | taker.ready)]
        with m.If(self.i.valid):
            m.d.sync += had.eq(Mux(self.i.ready, 0, has))
        return m


class EventMerge(wiring.Component):
    """The events up to a marker of one source after the other, and one marker for all of them. Latency 0.

    What adds them up comes behind it. Sources are taken in their order; a later one waits for the markers of those
    before it.

    Parameters
    ----------
    event : StructLayout
        Of a beat, of all sources.
    inputs : int, >= 2

    Raises
    ------
    ValueError
        If there are too few inputs.
    """

    i: Any
    o: stream.Interface

    def __init__(self, *, event: data.StructLayout, inputs: int) -> None:
        if inputs < 2:
            raise ValueError(f"inputs of the merge must be at least 2, not {inputs}")
        signature = stream.Signature(event)
        super().__init__({"i": In(signature).array(inputs), "o": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turn = Signal(index_of(len(self.i)))
        for k, source in enumerate(self.i):
            # The marker of the last source is that of the step; the others end here.
            ends_here = source.p.last if k < len(self.i) - 1 else 0
            with m.If(turn == k):
                m.d.comb += [
                    self.o.p.eq(source.p),
                    self.o.valid.eq(source.valid & ~ends_here),
                    source.ready.eq(self.o.ready | ends_here),
                ]
                with m.If(source.valid & source.ready & source.p.last):
                    m.d.sync += turn.eq(k + 1 if k < len(self.i) - 1 else 0)
        return m
