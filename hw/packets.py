"""Samples and results as packets of words (docs/axi.md): a store that keeps only good packets, and a sender."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.axi import WORD, packet_layout
from hw.layouts import index_of, word_layout
from hw.manifest import InputPort
from hw.packing import ceil_div
from hw.protocol import code_bits

__all__ = ["SLOTS", "PacketStore", "ResultSender", "logit_words", "vector_words"]

#: Packets that have room in a store: one is read while another one comes.
SLOTS = 2


def vector_words(port: InputPort) -> int:
    """Words of an input vector in a packet: its codes, as ``hw.protocol.pack_codes`` packs them."""
    return ceil_div(port.features * code_bits(port.bits), WORD)


def logit_words(width: int, *, signed: bool) -> int:
    """Words of a logit in a result, where it is signed."""
    return ceil_div(width + (not signed), WORD)


class PacketStore(wiring.Component):
    """Takes packets of samples, and hands on the words of those that have the right length; the others are dropped.

    A packet is right if ``last`` comes with the last word of a sample. A word a cycle on both sides; the first one
    leaves when its packet has come as a whole. ``i`` is ready as long as one of ``SLOTS`` slots is free.

    Ports: while ``hold`` is high no sample begins to leave; ``began`` is high when one does. While ``forget`` is high
    nothing is taken; it drops all that has come, and what is still to come of a packet that has begun. ``good`` and
    ``bad`` are high when a packet is kept or dropped; ``busy`` while one is there that has not left. The values of an
    output word are codes, those behind the last one of a vector 0; ``last`` is the vector's.

    Parameters
    ----------
    port : InputPort
        Of the design.
    """

    i: stream.Interface
    o: stream.Interface
    hold: Signal
    forget: Signal
    began: Signal
    good: Signal
    bad: Signal
    busy: Signal

    def __init__(self, port: InputPort) -> None:
        self._words, self._vectors = vector_words(port), port.markers
        self._bits, self._code_bits, self._features = port.bits, code_bits(port.bits), port.features
        self.lanes = WORD // self._code_bits
        super().__init__(
            {
                "i": In(stream.Signature(packet_layout())),
                "o": Out(stream.Signature(word_layout(self._words, self.lanes, port.bits))),
                **{name: In(1) for name in ("hold", "forget")},
                **{name: Out(1) for name in ("began", "good", "bad", "busy")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = self._words * self._vectors
        memory: Any = Memory(shape=WORD, depth=SLOTS * total, init=[])
        m.submodules.words = memory
        kept, left, filling, offered = Signal(range(SLOTS + 1)), Signal(), Signal(), Signal()
        m.d.sync += kept.eq(Mux(self.forget, 0, kept + self.good - left))
        m.d.comb += self.busy.eq(kept != 0)
        with m.If(self.forget):
            m.d.sync += offered.eq(filling)
        with m.Elif(left):
            m.d.sync += offered.eq(~offered)
        with m.If(self.good):
            m.d.sync += filling.eq(~filling)
        self._fill(m, memory.write_port(), kept, filling, total)
        m.d.comb += left.eq(self._empty(m, memory.read_port(), kept, offered, total))
        return m

    def _fill(self, m: Module, write: Any, kept: Signal, filling: Signal, total: int) -> None:
        place = Signal(range(total + 1))  # of the next word; ``total`` where the packet is wrong, up to its last word
        taken, ends = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq((kept != SLOTS) & ~self.forget),
            taken.eq(self.i.valid & self.i.ready),
            ends.eq(taken & self.i.p.last),
            self.good.eq(ends & (place == total - 1)),
            self.bad.eq(ends & ~self.good),
            write.addr.eq(Mux(filling, total, 0) + place),
            write.data.eq(self.i.p.data),
            write.en.eq(taken & (place != total)),
        ]
        with m.If(ends):
            m.d.sync += place.eq(0)
        with m.Elif(self.forget & (place != 0)):
            m.d.sync += place.eq(total)
        with m.Elif(taken & (place != total)):
            m.d.sync += place.eq(place + 1)

    def _empty(self, m: Module, read: Any, kept: Signal, offered: Signal, total: int) -> Any:
        """Reads the words of the offered slot; whether the last one of them is read."""
        place, word = Signal(index_of(total)), Signal(index_of(self._words))
        advance, reads, ends_vector, ends = Signal(), Signal(), word == self._words - 1, place == total - 1
        first, fetched, last = place == 0, Signal(), Signal()
        number = Signal(self.o.p.word.shape())
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            reads.eq(advance & (kept != 0) & ~(first & self.hold) & ~self.forget),
            self.began.eq(reads & first),
            read.addr.eq(Mux(offered, total, 0) + place),
            read.en.eq(advance),
            self.o.valid.eq(fetched),
            self.o.p.word.eq(number),
            self.o.p.last.eq(last),
        ]
        for k, value in enumerate(self.o.p["values"]):
            code = read.data[k * self._code_bits :][: self._bits]
            unused = (self._words - 1) * self.lanes + k >= self._features
            m.d.comb += value.eq(Mux(last, 0, code) if unused else code)
        with m.If(advance):
            m.d.sync += [fetched.eq(reads), number.eq(word), last.eq(ends_vector)]
        with m.If(reads):
            m.d.sync += [place.eq(Mux(ends, 0, place + 1)), word.eq(Mux(ends_vector, 0, word + 1))]
        with m.If(self.forget):
            m.d.sync += [place.eq(0), word.eq(0), fetched.eq(0)]
        return reads & ends


class ResultSender(wiring.Component):
    """Sends each result as a packet: the class, ``cycles``, and the logits, signed, each in whole words.

    A result is taken when the packet of the one before has left, with the ``cycles`` of that moment.

    Parameters
    ----------
    result : Layout
        Of ``hw.layouts.result_layout``.
    """

    i: stream.Interface
    o: stream.Interface
    cycles: Signal

    def __init__(self, result: data.StructLayout) -> None:
        super().__init__(
            {"i": In(stream.Signature(result)), "o": Out(stream.Signature(packet_layout())), "cycles": In(WORD)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        payload: Any = self.i.p
        shape, classes = payload.logits[0].shape(), len(payload.logits)
        words = logit_words(shape.width, signed=shape.signed)
        # A logit of one word is extended as it leaves, one of several as it comes.
        step, logits = (shape.width, payload.logits.as_value()) if words == 1 else (WORD, self._extended(words))
        total = 2 + classes * words
        left, text = Signal(range(total + 1)), Signal(len(logits), reset_less=True)
        predicted, cycles = Signal(len(payload["class"]), reset_less=True), Signal(WORD, reset_less=True)
        item = text[:step].as_signed() if shape.signed else text[:step]
        m.d.comb += [
            self.i.ready.eq(left == 0),
            self.o.valid.eq(left != 0),
            self.o.p.last.eq(left == 1),
            self.o.p.data.eq(Mux(left == total, predicted, Mux(left == total - 1, cycles, item))),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [left.eq(total), predicted.eq(payload["class"]), cycles.eq(self.cycles), text.eq(logits)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += left.eq(left - 1)
            with m.If(left < total - 1):
                m.d.sync += text.eq(text >> step)
        return m

    def _extended(self, words: int) -> Value:
        """All logits, each in so many words."""
        payload: Any = self.i.p

        def extended(logit: Any) -> Value:
            sign = logit[-1] if logit.shape().signed else Const(0, 1)
            return Cat(logit, sign.replicate(words * WORD - len(logit)))

        return Cat(*(extended(logit) for logit in payload.logits))
