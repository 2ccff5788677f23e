"""A queue behind a pipeline that never stands still, with room for all that is under way there."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CreditQueue", "queue_latency"]


def queue_latency(depth: int) -> int:
    """Cycles from a beat's arrival in a queue of so many to the stream."""
    return min(2, depth)


class CreditQueue(wiring.Component):
    """Counts the beats that have begun and are not yet taken: ``room`` says whether one more may begin.

    A pipeline that stood still with its taker would hang with thousands of registers on one signal. ``next_room`` is
    ``room`` in the next cycle. From ``arrived`` to the stream: ``latency`` cycles.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload, which comes with ``arrived``.
    depth : int, 1 or >= 3
        Most beats under way and waiting; more than cycles from ``begun`` to the taker keep a pipeline busy. The FIFO
        of two beats that Amaranth makes would not take one in two cycles in a row.

    Raises
    ------
    ValueError
        If ``depth`` is out of its range.
    """

    #: Cycles from a beat's leaving until it leaves room for another to begin.
    RETURN = 2

    begun: Signal
    room: Signal
    next_room: Signal
    arrived: Signal
    payload: Any
    o: stream.Interface

    def __init__(self, shape: Any, depth: int) -> None:
        if depth < 1 or depth == 2:
            raise ValueError(f"depth of the queue must be 1, or at least 3, not {depth}")
        self._depth = depth
        #: Cycles from ``arrived`` to the stream.
        self.latency = queue_latency(depth)
        super().__init__(
            {
                "begun": In(1),
                "room": Out(1),
                "next_room": Out(1),
                "arrived": In(1),
                "payload": In(shape),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = beats = fifo.SyncFIFOBuffered(width=self.o.p.shape().size, depth=self._depth)
        full, taken = Signal(name="full"), Signal(name="taken")
        pending, next_pending = (Signal(range(self._depth + 1), name=name) for name in ("pending", "next_pending"))
        m.d.comb += [
            beats.w_data.eq(self.payload.as_value()),
            beats.w_en.eq(self.arrived),
            self.o.valid.eq(beats.r_rdy),
            self.o.p.as_value().eq(beats.r_data),
            beats.r_en.eq(self.o.ready),
            # What has left counts a cycle later, so that the taker's ready ends in a register.
            next_pending.eq(pending + self.begun - taken),
            self.next_room.eq(next_pending != self._depth),
            self.room.eq(~full),
        ]
        m.d.sync += [pending.eq(next_pending), full.eq(~self.next_room), taken.eq(self.o.valid & self.o.ready)]
        return m
