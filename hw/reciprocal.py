"""The reciprocal of a denominator: a leading-one normaliser and a table."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout
from hw.pipeline import Delay, pipeline
from quant.formats import Format
from quant.reciprocal import Reciprocal

__all__ = ["ReciprocalUnit"]


def _normalise(d: Value, turns: int, delay: Delay) -> tuple[Value, Value]:
    """``d`` shifted so that its leading one is the top bit, and the place where that was, ``turns`` cycles later.

    ``log2(width)`` shifts, each by half as many bits as the one before.
    """
    halves = [1 << k for k in reversed(range((len(d) - 1).bit_length()))]
    width = 2 * halves[0] if halves else 1
    x, place = d, Value.cast(Const(0, 0))
    for turn in range(turns):
        for half in halves[turn * len(halves) // turns : (turn + 1) * len(halves) // turns]:
            any_above = (x >> (width - half)).any()
            x, place = Mux(any_above, x, x << half)[:width], Cat(any_above, place)
        x, place = delay(x), delay(place)
    return x, place


class ReciprocalUnit(wiring.Component):
    """``1/d ~ r / 2**(bits + e)`` for each lane (numerics page, section 3); ``bal`` comes along.

    ``r`` is 0 where ``d`` is 0. A beat a cycle; ``latency`` cycles: normalise in some, look up in one.

    Parameters
    ----------
    lanes : int, >= 1
        Neurons in a beat.
    bal, d : Format
        ``d`` unsigned.
    reciprocal : Reciprocal
        The table.
    alike : bool
        All ``d`` of a beat are equal (but for lanes beyond the last neuron): one look at the table serves all lanes.
    turns : int, >= 1
        Cycles of the normaliser.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles of the normaliser for the highest clock, and from a beat in to the same beat out then.
    TURNS = 5
    LATENCY = TURNS + 1

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        lanes: int,
        bal: Format,
        d: Format,
        reciprocal: Reciprocal,
        alike: bool = False,
        turns: int = TURNS,
    ) -> None:
        if lanes < 1:
            raise ValueError(f"lanes of the reciprocal must be at least 1, not {lanes}")
        if turns < 1:
            raise ValueError(f"turns of the reciprocal must be at least 1, not {turns}")
        if d.signed:
            raise ValueError(f"d of the reciprocal must be unsigned, not {d}")
        self._lanes, self._bal, self._reciprocal, self._alike, self._turns = lanes, bal, reciprocal, alike, turns
        #: Cycles from a beat in to the same beat out.
        self.latency = turns + 1
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
        m.submodules.entries = memory
        advance, valids = Signal(), Signal(self.latency)
        m.d.comb += [advance.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(advance), self.o.valid.eq(valids[-1])]

        delay = pipeline(m, advance)
        with m.If(advance):
            m.d.sync += valids.eq(Cat(self.i.valid, valids))

        def entry(d: Value) -> tuple[Value, Value]:
            port = memory.read_port()
            x, place = _normalise(d, self._turns, delay)
            below = Cat(Const(0, index_bits), x)[len(x) - 1 : len(x) - 1 + index_bits]
            m.d.comb += [port.en.eq(advance), port.addr.eq(below)]
            return Mux(delay(d.any(), self.latency), port.data, 0), delay(place)

        entries = [entry(source.d) for source in list(self.i.p)[: 1 if self._alike else None]]
        for lane, (source, result) in enumerate(zip(self.i.p, self.o.p, strict=True)):
            r, e = entries[0 if self._alike else lane]
            m.d.comb += [result.r.eq(r), result.e.eq(e), result.bal.eq(delay(source.bal, self.latency))]
        return m
