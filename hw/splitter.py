"""The splitter: from words of a map to events."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.encoder import index_bits
from hw.layouts import event_layout, word_layout

__all__ = ["WordSplitter"]

#: Words that wait, so that words of zeros pass by while events are sent.
QUEUE_DEPTH = 16


class WordSplitter(wiring.Component):
    """Sends an event for each non-zero input of a word, one a cycle, and a marker after the word that ends a column.

    A word of zeros costs a cycle at the input only, unless it ends a column: then also the one of its marker. From
    a word to its first event it takes ``LATENCY`` cycles.

    Parameters
    ----------
    inputs : int, >= lanes
        Of a column.
    lanes : int, >= 1
        Inputs in a word.
    value_bits : int, >= 1

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a word in to its first event: 2 in the queue, 1 in the register.
    LATENCY = 3

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, inputs: int, lanes: int, value_bits: int) -> None:
        if not 1 <= lanes <= inputs:
            raise ValueError(f"lanes of the splitter must be 1..{inputs}, not {lanes}")
        if value_bits < 1:
            raise ValueError(f"value_bits of the splitter must be at least 1, not {value_bits}")
        self._lanes, self._value_bits = lanes, value_bits
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(inputs, lanes, value_bits))),
                "o": Out(stream.Signature(event_layout(inputs, value_bits))),
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
        following = data.View(self.i.p.shape(), queue.r_data)
        pending, closing = Signal(self._lanes), Signal()  # inputs and marker of the word that are still to be sent
        lowest, others, sent, done = Signal(self._lanes), Signal(self._lanes), Signal(), Signal()
        out: Any = self.o.p
        m.d.comb += [
            lowest.eq(pending & -pending),
            others.eq(pending & (pending - 1)),
            out.last.eq(~pending.any()),
            out.value.eq(_select(lowest, word["values"])),
            out.index.eq(word.index + Cat(*(bit.any() for bit in index_bits(lowest)))),
            self.o.valid.eq(pending.any() | closing),
            sent.eq(self.o.valid & self.o.ready),
            done.eq(~self.o.valid | (sent & (out.last | ~(closing | others.any())))),
            queue.r_en.eq(done),
        ]
        with m.If(sent):
            m.d.sync += pending.eq(others)
            with m.If(out.last):
                m.d.sync += closing.eq(0)
        with m.If(done & queue.r_rdy):
            m.d.sync += [
                word.eq(following),
                pending.eq(Cat(value.any() for value in following["values"])),
                closing.eq(following.last),
            ]
        return m


def _select(one_hot: Value, values: Any) -> Value:
    """The value at the place of the only bit of ``one_hot``; 0 if there is none."""
    chosen = [Mux(one_hot[k], value, 0) for k, value in enumerate(values)]
    while len(chosen) > 1:
        chosen = [a | b for a, b in zip(chosen[::2], chosen[1::2], strict=False)] + chosen[len(chosen) & ~1 :]
    return chosen[0]
