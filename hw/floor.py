"""Stabilisation by a floor: no denominator is below a constant, and none has to wait."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout
from quant.formats import Format

__all__ = ["FloorStabiliser"]


class FloorStabiliser(wiring.Component):
    """``d' = max(d, floor)`` (numerics page, section 3); ``bal`` passes through. A beat a cycle, latency 1.

    Parameters
    ----------
    lanes : int, >= 1
        Neurons in a beat.
    bal, d : Format
        ``d`` unsigned; it must hold the floor.
    floor : int, >= 1

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out.
    LATENCY = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int, bal: Format, d: Format, floor: int) -> None:
        if lanes < 1:
            raise ValueError(f"lanes of the stabiliser must be at least 1, not {lanes}")
        if d.signed or not 1 <= floor <= d.max:
            raise ValueError(f"floor of the stabiliser must be 1..{d.max}, of an unsigned d, not {floor} and {d}")
        self._floor = floor
        layout = frame_layout(lanes, bal=bal, d=d)
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        advance = Signal()
        m.d.comb += [advance.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(advance)]
        source: Any = self.i.p
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for before, after in zip(source, self.o.p, strict=True):
                m.d.sync += [after.bal.eq(before.bal), after.d.eq(Mux(before.d < self._floor, self._floor, before.d))]
        return m
