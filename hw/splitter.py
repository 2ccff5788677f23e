"""The splitter: from words of a map to events."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.encoder import index_bits
from hw.layouts import event_layout, index_of, window_layout, word_layout
from hw.product import tree

__all__ = ["WordSplitter"]

#: Words that wait, so that words of zeros pass by while events are sent.
QUEUE_DEPTH = 16


class WordSplitter(wiring.Component):
    """Sends an event for each non-zero input of a column's words, ``events`` of them a cycle, and then a marker.

    Lane ``k`` of a word is of part ``(k + word) % events``, so that a busy channel is of another part in every row,
    and input ``word * lanes / events + k // events`` of it (``Walk.part_rows``). Each part sends an event a cycle, and
    they wait for each other at the end of a column only: it takes as many cycles as the part with the most non-zero
    inputs has, and one for the marker. A word of zeros costs a cycle at the input only. From a word to its first event
    it takes ``LATENCY`` cycles.

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

    #: Cycles from a word in to its first event: 2 in the queue, 2 in registers.
    LATENCY = 4

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, words: int, lanes: int, value_bits: int, events: int = 1) -> None:
        for name, value in ("words", words), ("lanes", lanes), ("value_bits", value_bits):
            if value < 1:
                raise ValueError(f"{name} of the splitter must be at least 1, not {value}")
        if not 1 <= events <= lanes or lanes % events:
            raise ValueError(f"events of the splitter must divide its {lanes} lanes, and {events} does not")
        self._words, self._lanes, self._value_bits, self._events = words, lanes // events, value_bits, events
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(words, lanes, value_bits))),
                "o": Out(stream.Signature(window_layout(words * self._lanes, value_bits, events))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parts = [_Part(self._words, self._lanes, self._value_bits) for _ in range(self._events)]
        advance, ready = Signal(), Signal()
        ended = Cat(part.o.valid & part.o.p.last for part in parts)
        offered = Cat(part.o.valid & ~part.o.p.last for part in parts)
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            ready.eq(Cat(part.i.ready for part in parts).all()),
            self.i.ready.eq(ready),
        ]
        # Lane k of a word is of part (k + word) % events: the values of each part come turned.
        turns = Cat(Const(word % self._events, index_of(self._events)) for word in range(self._words))
        turn = turns.word_select(self.i.p.word, len(turns) // self._words)
        for k, part in enumerate(parts):
            m.submodules[f"part{k}"] = part
            m.d.comb += [
                part.i.valid.eq(self.i.valid & ready),
                part.i.p.word.eq(self.i.p.word),
                part.i.p.last.eq(self.i.p.last),
                part.o.ready.eq(advance & (~part.o.p.last | ended.all())),
                part.i.p["values"].eq(self._values_of(k, turn)),
            ]
            with m.If(advance):
                event = self.o.p.events[k]
                m.d.sync += [event.index.eq(part.o.p.index), event.value.eq(Mux(offered[k], part.o.p.value, 0))]
        with m.If(advance):
            m.d.sync += [self.o.valid.eq(offered.any() | ended.all()), self.o.p.last.eq(~offered.any())]
        return m

    def _values_of(self, part: int, turn: Value) -> Value:
        """The values of a part, in words that are turned by so many lanes."""
        values = self.i.p["values"]
        turned = [
            Cat(values[n * self._events + (part - by) % self._events] for n in range(self._lanes))
            for by in range(self._events)
        ]
        result: Value = turned[0]
        for by in range(1, self._events):
            result = Mux(turn == by, turned[by], result)
        return result


class _Part(wiring.Component):
    """A part's events, one a cycle, in order, and a marker after the word that ends a column."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, words: int, lanes: int, value_bits: int) -> None:
        self._lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(words, lanes, value_bits))),
                "o": Out(stream.Signature(event_layout(words * lanes, value_bits))),
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
        pending, closing = Signal(self._lanes), Signal()  # inputs and marker of the word that are still to be sent
        lowest, others, sent, done = Signal(self._lanes), Signal(self._lanes), Signal(), Signal()
        chosen = [Mux(lowest[k], value, 0) for k, value in enumerate(word["values"])]
        m.d.comb += [
            lowest.eq(pending & -pending),
            others.eq(pending & (pending - 1)),
            self.o.p.last.eq(~pending.any()),
            self.o.p.value.eq(tree(chosen, lambda a, b: a | b)),
            self.o.p.index.eq(word.word * self._lanes + Cat(*(bit.any() for bit in index_bits(lowest)))),
            self.o.valid.eq(pending.any() | closing),
            sent.eq(self.o.valid & self.o.ready),
            done.eq(~self.o.valid | (sent & (self.o.p.last | ~(closing | others.any())))),
            queue.r_en.eq(done),
        ]
        with m.If(sent):
            m.d.sync += pending.eq(others)
            with m.If(self.o.p.last):
                m.d.sync += closing.eq(0)
        with m.If(done & queue.r_rdy):
            m.d.sync += [
                word.eq(following),
                pending.eq(Cat(value.any() for value in following["values"])),
                closing.eq(following.last),
            ]
        return m
