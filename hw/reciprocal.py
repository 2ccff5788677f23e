"""The reciprocal of a denominator: a leading-one normaliser and a table."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout
from quant.formats import Format
from quant.reciprocal import Reciprocal

__all__ = ["ReciprocalUnit"]


def _normalise(m: Module, d: Value) -> tuple[Value, Value]:
    """``d`` shifted so that its leading one is the top bit, and the place where that was, in ``log2(width)`` steps."""
    halves = [1 << k for k in reversed(range((len(d) - 1).bit_length()))]
    x, width = d, 2 * halves[0] if halves else 1
    places = []
    for half in halves:
        shifted, any_above = Signal(width), Signal()
        m.d.comb += any_above.eq((x >> (width - half)).any())
        m.d.comb += shifted.eq(Mux(any_above, x, x << half))
        places.append(any_above)
        x = shifted
    return x, Cat(*reversed(places))


class ReciprocalUnit(wiring.Component):
    """``1/d ~ r / 2**(bits + e)`` for each lane (numerics page, section 3); ``bal`` comes along.

    ``r`` is 0 where ``d`` is 0. A beat a cycle; ``LATENCY`` cycles: normalise, look up.

    Parameters
    ----------
    lanes : int, >= 1
        Neurons in a beat.
    bal, d : Format
        ``d`` unsigned.
    reciprocal : Reciprocal
        The table.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out.
    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int, bal: Format, d: Format, reciprocal: Reciprocal) -> None:
        if lanes < 1:
            raise ValueError(f"lanes of the reciprocal must be at least 1, not {lanes}")
        if d.signed:
            raise ValueError(f"d of the reciprocal must be unsigned, not {d}")
        self._lanes, self._bal, self._reciprocal = lanes, bal, reciprocal
        #: Formats of the results.
        self.r, self.e = Format(reciprocal.bits), Format.for_range(0, d.width - 1)
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, bal=bal, d=d))),
                "o": Out(stream.Signature(frame_layout(lanes, bal=bal, r=self.r, e=self.e))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        table, index_bits = self._reciprocal.table, self._reciprocal.index_bits
        memory: Any = Memory(shape=self._reciprocal.bits, depth=max(2, len(table)), init=table)
        m.submodules.table = memory
        advance, normalised = Signal(), Signal()
        m.d.comb += [advance.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(advance)]
        with m.If(advance):
            m.d.sync += [normalised.eq(self.i.valid), self.o.valid.eq(normalised)]
        for source, result in zip(self.i.p, self.o.p, strict=True):
            port = memory.read_port()
            stage: Any = Signal.like(result)  # r is not used in it
            index, present = Signal(max(1, index_bits)), Signal()
            x, place = _normalise(m, source.d)
            below = Cat(Const(0, index_bits), x)[len(x) - 1 : len(x) - 1 + index_bits]
            m.d.comb += [port.en.eq(advance), port.addr.eq(index), result.r.eq(Mux(present, port.data, 0))]
            known = Signal()
            with m.If(advance):
                m.d.sync += [index.eq(below), known.eq(source.d.any()), stage.bal.eq(source.bal), stage.e.eq(place)]
                m.d.sync += [present.eq(known), result.bal.eq(stage.bal), result.e.eq(stage.e)]
        return m
