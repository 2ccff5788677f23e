"""The splitter: from words of a map to events."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.encoder import index_bits
from hw.layouts import window_layout, word_layout
from hw.product import tree

__all__ = ["WordSplitter"]

#: Words that wait, so that words of zeros pass by while events are sent.
QUEUE_DEPTH = 16


class WordSplitter(wiring.Component):
    """Sends an event for each non-zero input of a word, ``events`` of them a cycle, and a beat after a column's end.

    Lane ``k`` of a word is of part ``k % events``, of which one event is sent at a time: a word takes as many
    cycles as the part with the most non-zero inputs has, and is input ``word * lanes / events + k // events`` of its
    part. A word of zeros costs a cycle at the input only, unless it ends a column: then also the one of its marker.
    From a word to its first event it takes ``LATENCY`` cycles.

    Parameters
    ----------
    words : int, >= 1
        Of a column.
    lanes : int, >= 1
        Inputs in a word.
    value_bits : int, >= 1
    events : int
        A divisor of ``lanes``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a word in to its first event: 2 in the queue, 1 in the register.
    LATENCY = 3

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, words: int, lanes: int, value_bits: int, events: int = 1) -> None:
        for name, value in ("words", words), ("lanes", lanes), ("value_bits", value_bits):
            if value < 1:
                raise ValueError(f"{name} of the splitter must be at least 1, not {value}")
        if not 1 <= events <= lanes or lanes % events:
            raise ValueError(f"events of the splitter must divide its {lanes} lanes, and {events} does not")
        self._lanes, self._value_bits, self._events = lanes, value_bits, events
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(words, lanes, value_bits))),
                "o": Out(stream.Signature(window_layout(words * lanes // events, value_bits, events))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=self.i.p.shape().size, depth=QUEUE_DEPTH)
        matters = self.i.p.last | self.i.p["values"].as_value().any()
        m.d.comb += [
            queue.w_data.eq(self.i.p),
            queue.w_en.eq(self.i.valid & matters),
            self.i.ready.eq(queue.w_rdy),
        ]
        word: Any = Signal(self.i.p.shape())
        following: Any = data.View(self.i.p.shape(), queue.r_data)
        closing, sent, done = Signal(), Signal(), Signal()  # closing: the word's marker is still to be sent
        pending, others = [], []
        for part in range(self._events):
            mine, left = self._part(m, part, word, sent=sent, load=done & queue.r_rdy, following=following)
            pending.append(mine.any())
            others.append(left.any())
        any_pending, any_others = Cat(pending).any(), Cat(others).any()
        m.d.comb += [
            self.o.p.last.eq(~any_pending),
            self.o.valid.eq(any_pending | closing),
            sent.eq(self.o.valid & self.o.ready),
            done.eq(~self.o.valid | (sent & (~any_pending | ~(closing | any_others)))),
            queue.r_en.eq(done),
        ]
        with m.If(sent & ~any_pending):
            m.d.sync += closing.eq(0)
        with m.If(done & queue.r_rdy):
            m.d.sync += [word.eq(following), closing.eq(following.last)]
        return m

    def _part(
        self, m: Module, part: int, word: Any, *, sent: Value, load: Value, following: Any
    ) -> tuple[Value, Value]:
        """One part: its inputs that are still to be sent, and those of them behind the one that is offered now."""
        lanes = range(part, self._lanes, self._events)
        pending = Signal(len(lanes), name=f"pending{part}")
        lowest, others = Signal.like(pending, name=f"lowest{part}"), Signal.like(pending, name=f"others{part}")
        event = self.o.p.events[part]
        m.d.comb += [
            lowest.eq(pending & -pending),
            others.eq(pending & (pending - 1)),
            event.value.eq(
                tree([Mux(lowest[k], word["values"][n], 0) for k, n in enumerate(lanes)], lambda a, b: a | b)
            ),
            event.index.eq(word.word * len(lanes) + Cat(*(bit.any() for bit in index_bits(lowest)))),
        ]
        with m.If(sent):
            m.d.sync += pending.eq(others)
        with m.If(load):
            m.d.sync += pending.eq(Cat(following["values"][n].any() for n in lanes))
        return pending, others
