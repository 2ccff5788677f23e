"""Adaptive stabilisation: zero denominators become the smallest non-zero one of the layer and time step."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of
from hw.packing import ceil_div
from hw.pipeline import pipeline
from hw.product import reduce_levels, tree
from quant.formats import Format

__all__ = ["Stabiliser"]


class Stabiliser(wiring.Component):
    """``d' = d where d > 0, else the smallest non-zero d of the frame`` (numerics page, section 3).

    ``bal`` passes through. Where all of a frame's ``d`` are zero, they stay so. Beats leave in order. One without a
    zero does not wait: it leaves ``PASSING`` cycles after it came if nothing is before it. One with a zero waits for
    the smallest of the frame, and the last one always does, which so takes it along: ``LATENCY`` cycles after the last
    one came, five for the smallest of a beat and of the frame, one in the store, two to leave.

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

    #: Cycles from the last beat in to the first beat out that waited for it.
    LATENCY = 8
    #: The last of these, from the store to the output: they stand still while nobody takes what is there.
    LEAVING = 2
    #: Cycles from a beat without zeros to the same beat out: two in the store, and to leave.
    PASSING = 2 + LEAVING

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

    @staticmethod
    def depth(beats: int) -> int:
        """Beats that the store holds: a frame that leaves, and one that comes."""
        return max(3, 2 * beats)  # a FIFO of two would have an address of no bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # With each beat, which of its d are not zero. No more than three frames are in there: their minima find room.
        # Whether all are is kept apart, for small frames in look-up tables: a block memory gives it late in a cycle.
        stored = data.StructLayout({"beat": self._layout, "present": self._layout.length})
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=stored.size, depth=self.depth(self._beats))
        m.submodules.whole = whole = fifo.SyncFIFOBuffered(width=1, depth=beats.depth)
        m.submodules.minima = minima = fifo.SyncFIFOBuffered(width=self._d.width, depth=3)
        came: Any = stored(beats.w_data)
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(beats.w_rdy),
            beats.w_en.eq(taken),
            came.beat.eq(self.i.p),
            came.present.eq(Cat(neuron.d.any() for neuron in self.i.p)),
            whole.w_data.eq(came.present.all()),
            whole.w_en.eq(taken),
        ]
        m.d.comb += minima.w_data.eq(self._smallest(m, taken, came, valid=minima.w_en))

        left, advance = Signal(index_of(self._beats)), Signal()
        last_out, given = left == self._beats - 1, Signal()
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            given.eq(advance & beats.r_rdy & (minima.r_rdy | (whole.r_data & ~last_out))),
            beats.r_en.eq(given),
            whole.r_en.eq(given),
            minima.r_en.eq(given & last_out),
        ]
        with m.If(given):
            m.d.sync += left.eq(Mux(last_out, 0, left + 1))
        delay = pipeline(m, advance)
        m.d.comb += self.o.valid.eq(delay(given, self.LEAVING, reset=True))
        turn, smallest = stored(delay(beats.r_data)), delay(minima.r_data)
        for before, present, after in zip(turn.beat, turn.present, self.o.p, strict=True):
            m.d.comb += [after.bal.eq(delay(before.bal)), after.d.eq(delay(Mux(present, before.d, smallest)))]
        return m

    def _smallest(self, m: Module, taken: Value, came: Any, *, valid: Signal) -> Value:
        """The smallest non-zero ``d`` of a frame, five cycles after its last beat; 0 if there is none."""
        # A zero gets one more bit, on top, so that a plain minimum chooses it last.
        key_bits, lanes = self._d.width + 1, self._layout.length
        keys, pairs, fours = (
            [Signal(key_bits, name=f"of_{size}_{k}", reset_less=True) for k in range(ceil_div(lanes, size))]
            for size in (1, 2, 4)
        )
        of_beat, so_far = Signal(key_bits, reset_less=True), Signal(key_bits, init=-1)
        came_beats = Signal(index_of(self._beats))
        last, valids, lasts = came_beats == self._beats - 1, Signal(4), Signal(4)
        m.d.sync += [key.eq(Cat(n.d, ~there)) for key, n, there in zip(keys, came.beat, came.present, strict=True)]
        m.d.sync += [part.eq(value) for part, value in zip(pairs, reduce_levels(keys, _minimum, 1), strict=True)]
        m.d.sync += [part.eq(value) for part, value in zip(fours, reduce_levels(pairs, _minimum, 1), strict=True)]
        m.d.sync += of_beat.eq(tree(fours, _minimum))
        m.d.sync += [valids.eq(Cat(taken, valids)), lasts.eq(Cat(last, lasts))]
        smallest = _minimum(so_far, of_beat)
        with m.If(taken):
            m.d.sync += came_beats.eq(Mux(last, 0, came_beats + 1))
        with m.If(valids[-1]):
            m.d.sync += so_far.eq(Mux(lasts[-1], -1, smallest))
        m.d.comb += valid.eq(valids[-1] & lasts[-1])
        return smallest[: self._d.width]


def _minimum(a: Any, b: Any) -> Any:
    return Mux(b < a, b, a)
