"""The loader: takes images of networks at the configuration port, and says whether the design holds one as a whole."""

from enum import IntEnum
from typing import Any

from amaranth import Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of
from hw.loadable import CHAIN, WORD

__all__ = ["LOAD_LAYOUT", "MAGIC", "VERSION", "Loader", "Status", "header"]

#: A beat of the configuration port; ``first`` is set in the first one of an image.
LOAD_LAYOUT = data.StructLayout({"word": WORD, "first": 1})
#: The first word of an image: ``CHDL`` as bytes.
MAGIC = int.from_bytes(b"CHDL", "little")
#: Version of the format of images; a design refuses any other.
VERSION = 1


class Status(IntEnum):
    """What the design holds: a network; what it had and a part of one that is on its way; nothing that is of use."""

    READY = 0
    LOADING = 1
    REFUSED = 2


def header(fingerprint: int) -> list[int]:
    """The words that an image for designs of this shape begins with; the fingerprint has 64 bits."""
    return [MAGIC, VERSION, fingerprint & (1 << WORD) - 1, fingerprint >> WORD]


class Loader(wiring.Component):
    """Checks an image (docs/loading.md) while it passes it on to the ``chain``; samples begin only in ``READY``.

    The first word of an image waits until the design is at ``rest``. What begins again is refused up to there. The
    numbers are complete when the word behind them, the CRC, comes out of the chain's end ``tail``. A reset breaks off
    what is being loaded, and otherwise leaves the status as it is, like the numbers.

    Parameters
    ----------
    fingerprint : int, 64 bits
        Of the shape.
    words : int, >= 1
        Of all numbers.
    """

    c: stream.Interface
    chain: Any
    tail: Any
    rest: Signal
    hold: Signal
    status: Signal

    def __init__(self, *, fingerprint: int, words: int) -> None:
        self._header, self._words = header(fingerprint), words
        super().__init__(
            {
                "c": In(stream.Signature(LOAD_LAYOUT)),
                "chain": Out(CHAIN),
                "tail": In(CHAIN),
                "rest": In(1),
                "hold": Out(1),
                "status": Out(Status),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = crc = CRC32_ISO_HDLC(WORD).create()
        state = Signal(Status, init=Status.READY, reset_less=True)
        length = len(self._header) + self._words + 1
        index, place = Signal(index_of(length)), Signal(index_of(length))  # of the next word, and of this one
        checking, awaited, taken, first = Signal(), Signal(), Signal(), Signal()
        word, reset = self.c.p.word, ResetSignal()
        m.d.comb += [
            awaited.eq(self.c.valid & self.c.p.first),
            self.hold.eq(awaited | (state != Status.READY)),
            self.status.eq(Mux(awaited, Status.LOADING, state)),
            self.c.ready.eq(~reset & ~checking & (self.rest | ~self.c.p.first)),
            taken.eq(self.c.valid & self.c.ready),
            first.eq(taken & self.c.p.first),
            place.eq(Mux(first, 0, index)),
            crc.start.eq(first),
            crc.data.eq(word),
            crc.valid.eq(taken),
        ]
        loading = first | (taken & (state == Status.LOADING))
        right: Any = Const(1)
        for number, expected in enumerate(self._header):
            right &= (place != number) | (word == expected)
        m.d.sync += [
            self.chain.start.eq(first),
            self.chain.valid.eq(loading & (place >= len(self._header))),
            self.chain.word.eq(word),
        ]
        with m.If(loading):
            m.d.sync += [
                index.eq(place + 1),
                state.eq(Mux(right, Status.LOADING, Status.REFUSED)),
                checking.eq(place == length - 1),
            ]
        with m.If(checking & self.tail.valid):
            m.d.sync += [checking.eq(0), state.eq(Mux(crc.match_detected, Status.READY, Status.REFUSED))]
        with m.If(reset & (state == Status.LOADING)):
            m.d.sync += state.eq(Status.REFUSED)
        return m
