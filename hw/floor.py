"""Stabilisation by a floor: no denominator is below a constant, and none has to wait."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout
from hw.loadable import Register, chain_links, load_ports, value_of
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
    floor : int, >= 1, or Register
        In a register, it can be filled anew (``hw.loadable``).

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out.
    LATENCY = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int, bal: Format, d: Format, floor: int | Register) -> None:
        if lanes < 1:
            raise ValueError(f"lanes of the stabiliser must be at least 1, not {lanes}")
        least = floor.init if isinstance(floor, Register) else floor
        if d.signed or not 1 <= least <= d.max:
            raise ValueError(f"floor of the stabiliser must be 1..{d.max}, of an unsigned d, not {least} and {d}")
        #: What can be filled anew.
        self.links = [floor] if isinstance(floor, Register) else []
        self._floor = floor
        layout = frame_layout(lanes, bal=bal, d=d)
        streams = {"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))}
        super().__init__(streams | load_ports(self.links))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chain_links(m, self)
        floor = value_of(self._floor)
        advance = Signal()
        m.d.comb += [advance.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(advance)]
        source: Any = self.i.p
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i.valid)
            for before, after in zip(source, self.o.p, strict=True):
                m.d.sync += [after.bal.eq(before.bal), after.d.eq(Mux(before.d < floor, floor, before.d))]
        return m
