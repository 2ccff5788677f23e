"""Adaptive stabilisation: zero denominators become the smallest non-zero one of the layer and time step."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of
from hw.packing import ceil_div
from quant.formats import Format

__all__ = ["Stabiliser"]


class Stabiliser(wiring.Component):
    """``d' = d where d > 0, else the smallest non-zero d of the frame`` (numerics page, section 3).

    ``bal`` passes through. Where all of a frame's ``d`` are zero, they stay so. A frame is stored until its last beat
    has come, while the frame before it leaves: a beat a cycle, the first one ``LATENCY`` cycles after the frame's last.

    Parameters
    ----------
    n : int, >= 1
        Neurons.
    lanes : int, 1..n
        Neurons in a beat.
    bal, d : Format
        ``d`` unsigned.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from the last beat in to the first beat out.
    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, n: int, lanes: int, bal: Format, d: Format) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the stabiliser must be 1..{n}, not {lanes}")
        if d.signed:
            raise ValueError(f"d of the stabiliser must be unsigned, not {d}")
        self._beats, self._d = ceil_div(n, lanes), d
        self._layout = frame_layout(lanes, bal=bal, d=d)
        super().__init__({"i": In(stream.Signature(self._layout)), "o": Out(stream.Signature(self._layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One frame that leaves, one that comes; three at least, as a FIFO of two would have an address of no bits.
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=self._layout.size, depth=max(3, 2 * self._beats))
        m.submodules.minima = minima = fifo.SyncFIFOBuffered(width=self._d.width, depth=3)
        frames_in, frames_out = Signal(index_of(self._beats)), Signal(index_of(self._beats))
        last_in, last_out = frames_in == self._beats - 1, frames_out == self._beats - 1
        taken, given = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        source: Any = self.i.p
        # One less, modulo the width: then a zero is the largest, and a plain minimum never chooses it.
        so_far, smallest = Signal(self._d.width, init=-1), Signal(self._d.width)
        m.d.comb += [
            smallest.eq(_minimum([so_far, *((neuron.d - 1)[: self._d.width] for neuron in source)])),
            self.i.ready.eq(beats.w_rdy & minima.w_rdy),
            beats.w_data.eq(source),
            beats.w_en.eq(taken),
            minima.w_data.eq(smallest + 1),
            minima.w_en.eq(taken & last_in),
        ]
        with m.If(taken):
            m.d.sync += [frames_in.eq(Mux(last_in, 0, frames_in + 1)), so_far.eq(Mux(last_in, -1, smallest))]
        stored: Any = self._layout(beats.r_data)
        m.d.comb += [
            self.o.valid.eq(beats.r_rdy & minima.r_rdy),
            beats.r_en.eq(given),
            minima.r_en.eq(given & last_out),
        ]
        for before, after in zip(stored, self.o.p, strict=True):
            m.d.comb += [after.bal.eq(before.bal), after.d.eq(Mux(before.d.any(), before.d, minima.r_data))]
        with m.If(given):
            m.d.sync += frames_out.eq(Mux(last_out, 0, frames_out + 1))
        return m


def _minimum(values: list[Value]) -> Value:
    """The smallest of unsigned values of one width, by a tree."""
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        odd = values[-1:] if len(values) % 2 else []
        values = [Mux(a < b, a, b) for a, b in pairs] + odd
    return values[0]
