"""The sample gate: lets a design come to rest between two samples."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of

__all__ = ["SampleGate"]


class SampleGate(wiring.Component):
    """Passes beats on at no cost; while ``hold`` is high no sample begins, but those that have begun are finished.

    A beat that is offered is a sample that has begun. ``rest`` says that none is under way: all that came have
    a result that was taken.

    Parameters
    ----------
    beat : Layout
        Of an input beat: its field ``last`` ends a time step.
    markers : int, >= 1
        Such beats in a sample.
    """

    #: Samples that may be under way: more than the queues of any design have room for.
    MOST = (1 << 16) - 2

    i: stream.Interface
    o: stream.Interface
    hold: Signal
    finished: Signal
    rest: Signal

    def __init__(self, *, beat: Any, markers: int) -> None:
        self._markers = markers
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "o": Out(stream.Signature(beat)),
                "hold": In(1),
                #: A result is taken.
                "finished": In(1),
                "rest": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Closed after a reset, when nobody knows yet what the design holds.
        open_, inside, next_inside = Signal(), Signal(), Signal()
        marker, count = Signal(index_of(self._markers)), Signal(range(self.MOST + 2))
        passed, ends, begins = Signal(), Signal(), Signal()
        last_marker = marker == self._markers - 1
        m.d.comb += [
            self.o.p.eq(self.i.p),
            self.o.valid.eq(self.i.valid & open_),
            self.i.ready.eq(self.o.ready & open_),
            passed.eq(self.o.valid & self.o.ready),
            ends.eq(passed & self.i.p.last & last_marker),
            begins.eq(passed & ~inside),
            next_inside.eq((inside | passed) & ~ends),
            self.rest.eq(~open_ & (count == 0)),
        ]
        m.d.sync += [inside.eq(next_inside), count.eq(count + begins - self.finished)]
        with m.If(passed & self.i.p.last):
            m.d.sync += marker.eq(Mux(last_marker, 0, marker + 1))
        waits = self.o.valid & ~self.o.ready
        m.d.sync += open_.eq(~(self.hold | (count >= self.MOST)) | (open_ & (next_inside | waits)))
        return m
