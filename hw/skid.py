"""A register in a stream, for the payload, and for valid and ready alike."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Skid"]


class Skid(wiring.Component):
    """Cuts the path from the taker's ready to the giver's: what is offered while the taker pauses is put aside.

    A beat a cycle; ``LATENCY`` cycles.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.
    """

    #: Cycles from a beat in to the same beat out.
    LATENCY = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        aside, is_aside = Signal.like(self.i.p.as_value(), reset_less=True), Signal()
        m.d.comb += self.i.ready.eq(~is_aside)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | is_aside),
                self.o.p.as_value().eq(Mux(is_aside, aside, self.i.p.as_value())),
                is_aside.eq(0),
            ]
        with m.Elif(self.i.valid & ~is_aside):
            m.d.sync += [aside.eq(self.i.p.as_value()), is_aside.eq(1)]
        return m
