"""Payloads of a serial shell (docs/board.md), byte by byte: samples to events, images to the loader, texts to hosts."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.frames import part_layout
from hw.layouts import index_of
from hw.loadable import WORD
from hw.loader import LOAD_LAYOUT, Status
from hw.manifest import InputPort
from hw.protocol import NETWORK_BYTES, code_bits

__all__ = ["PIECE_HEADER", "PiecePlayer", "SamplePlayer", "TextSender"]

#: What a piece begins with, see ``hw.protocol.Piece``.
PIECE_HEADER = data.StructLayout({"network": 8 * NETWORK_BYTES, "place": 32})


def _payload_ports(capacity: int) -> dict[str, Any]:
    """What plays a payload of up to ``capacity`` bytes: ``data`` is the byte at the ``address`` of the cycle before."""
    return {"go": In(1), "length": In(range(capacity + 1)), "address": Out(range(capacity + 1)), "data": In(8)}


class SamplePlayer(wiring.Component):
    """The codes of a sample's payload as events, zeros left out, and a marker after each vector.

    Plays once for each ``go``, which comes when the payload can be read at ``address``: ``data`` is the byte at the
    address of the cycle before. A cycle a code, two for a code of a byte, and two more for a run of zeros.

    Parameters
    ----------
    port : InputPort
        Of the design. Where it takes several events at once, one comes at a time.
    capacity : int, >= 1
        Bytes of the longest payload.

    Ports: with ``sparse`` the payload is that of ``Message.SPARSE``, of ``length`` bytes: what is missing at its end is
    zeros, and what is too much is not played. Both stay as they are while it plays.
    """

    go: Signal
    sparse: Signal
    length: Signal
    address: Signal
    data: Signal
    o: stream.Interface

    def __init__(self, port: InputPort, *, capacity: int) -> None:
        self._port = port
        super().__init__(
            {
                **_payload_ports(capacity),
                "sparse": In(1),
                "o": Out(stream.Signature(port.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = code_bits(self._port.bits)
        index, value, last = self._port.fields
        codes, code = Signal(8), Signal(range(8 // width + 1))
        zeros = Signal(8)  # bytes of a run that are still to come
        feature, vector = Signal(index_of(self._port.features)), Signal(index_of(self._port.markers))
        place, lane = Signal(index.width), Signal(index_of(index.lanes))
        ends_vector, ends_sample = feature == self._port.features - 1, vector == self._port.markers - 1
        marks = Signal()
        m.d.comb += self.o.p[last.offset].eq(marks)
        for k in range(index.lanes):
            own = codes[: value.width] & (lane == k).replicate(value.width)
            m.d.comb += self.o.p[index.offset + k * index.stride :][: index.width].eq(place)
            m.d.comb += self.o.p[value.offset + k * value.stride :][: value.width].eq(Mux(marks, 0, own))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [self.address.eq(0), vector.eq(0), zeros.eq(0)]
                with m.If(self.go):
                    m.next = "VECTOR"
            with m.State("VECTOR"):
                m.d.sync += [feature.eq(0), place.eq(0), lane.eq(0)]
                m.next = "BYTE"
            with m.State("BYTE"):
                m.d.sync += [codes.eq(0), code.eq(0)]
                m.next = "CODES"
                with m.If(zeros != 0):
                    m.d.sync += zeros.eq(zeros - 1)
                with m.Elif(~self.sparse | (self.address != self.length)):
                    m.d.sync += [codes.eq(self.data), self.address.eq(self.address + 1)]
                    with m.If(self.sparse & (self.data == 0)):
                        m.next = "RUN"
            with m.State("RUN"):  # the memory is reading
                m.next = "ZEROS"
            with m.State("ZEROS"):
                m.next = "CODES"
                with m.If(self.address != self.length):
                    m.d.sync += [zeros.eq(self.data), self.address.eq(self.address + 1)]
            with m.State("CODES"):
                m.d.comb += self.o.valid.eq(codes[: value.width].any())
                with m.If(self.o.ready | ~self.o.valid):
                    m.d.sync += [codes.eq(codes >> width), code.eq(code + 1), feature.eq(feature + 1)]
                    m.d.sync += lane.eq(Mux(lane == index.lanes - 1, 0, lane + 1))
                    m.d.sync += place.eq(place + (lane == index.lanes - 1))
                    with m.If(ends_vector):
                        m.next = "MARKER"
                    with m.Elif(code == 8 // width - 1):
                        m.next = "BYTE"
            with m.State("MARKER"):
                m.d.comb += [marks.eq(1), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += vector.eq(vector + 1)
                    m.next = "VECTOR"
                    with m.If(ends_sample):
                        m.next = "IDLE"
        return m


class PiecePlayer(wiring.Component):
    """Hands the words of a piece to the loader if it is the one that has to come next; knows which that is.

    A piece is taken if its place is ``wanted``, and else changes nothing: one that comes twice, or behind one that was
    lost. The first piece of an image begins anew. The image of a network is not begun again while its pieces are
    under way, or when it is there, so that no piece that comes late undoes what has been loaded.

    Parameters
    ----------
    words : int, >= 6
        Of an image.
    network : int
        Which one the design holds at first, as in ``PIECE_HEADER``.
    capacity : int, >= 16
        Bytes of the longest payload.

    Ports: ``go``, ``length``, ``address`` and ``data`` are as in ``SamplePlayer``; the length is that of
    ``PIECE_HEADER`` and one or more whole words. ``done`` is high for a cycle when all is done that there is to do:
    after an image's last piece, when the loader has checked it. ``held`` is the network whose numbers are in the
    design, or on their way there. ``wanted`` is the place of the word that has to come next of the image that the
    last piece was of, see ``hw.protocol.Loaded``.
    """

    go: Signal
    length: Signal
    address: Signal
    data: Signal
    c: stream.Interface
    status: Signal
    done: Signal
    held: Signal
    wanted: Signal

    def __init__(self, *, words: int, network: int, capacity: int) -> None:
        self._words, self._network = words, network
        super().__init__(
            {
                **_payload_ports(capacity),
                "c": Out(stream.Signature(LOAD_LAYOUT)),
                "status": In(Status),
                "done": Out(1),
                "held": Out(8 * NETWORK_BYTES),
                "wanted": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header: Any = Signal(PIECE_HEADER)
        word, ends_word = Signal(WORD), self.address[:2] == 0
        # Like the numbers, it outlives a reset; the place does not, and the next piece has to be the first.
        held = Signal(8 * NETWORK_BYTES, init=self._network, reset_less=True)
        place, first = Signal(range(self._words + 1)), Signal()  # of the next word of the image of ``held``
        in_header = Signal()
        m.d.comb += [
            self.held.eq(held),
            self.wanted.eq(Mux((header.network == held) & (self.status != Status.REFUSED), place, 0)),
            self.c.p.word.eq(word),
            self.c.p.first.eq(first),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [self.address.eq(0), in_header.eq(1)]
                with m.If(self.go):
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.sync += [word.eq(Cat(word[8:], self.data)), self.address.eq(self.address + 1)]
                with m.If(in_header):
                    m.d.sync += header.eq(Cat(header.as_value()[8:], self.data))
                m.next = "READING"
            with m.State("READING"):  # the memory is
                m.next = "BYTE"
                with m.If(in_header & (self.address == PIECE_HEADER.size // 8)):
                    m.d.sync += [in_header.eq(0), first.eq(self.wanted == 0)]
                    with m.If((header.place != self.wanted) | (self.wanted == self._words)):
                        m.next = "DONE"
                with m.Elif(~in_header & ends_word):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.c.valid.eq(1)
                with m.If(self.c.ready):
                    m.d.sync += [held.eq(header.network), place.eq(Mux(first, 1, place + 1)), first.eq(0)]
                    m.next = "BYTE"
                    with m.If((self.address == self.length) | (~first & (place == self._words - 1))):
                        m.next = "DONE"
            with m.State("DONE"), m.If((place != self._words) | (self.status != Status.LOADING)):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m


class TextSender(wiring.Component):
    """The bytes of a text, and those of another one that never changes behind them if it ``appends``. One a cycle.

    Parameters
    ----------
    longest : int, >= 1
        Bytes of the longest text.
    appendix : bytes
        May be empty, if it is never appended.

    Ports: with ``go``, ``text`` is taken, its first byte lowest, of which ``length`` bytes, one at least, are sent.
    ``done`` is high in the cycle in which the last one passes.
    """

    go: Signal
    text: Signal
    length: Signal
    appends: Signal
    done: Signal
    o: stream.Interface

    def __init__(self, *, longest: int, appendix: bytes) -> None:
        self._appendix = appendix
        super().__init__(
            {
                "go": In(1),
                "text": In(8 * longest),
                "length": In(range(longest + 1)),
                "appends": In(1),
                "done": Out(1),
                "o": Out(stream.Signature(part_layout())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        text, left, more = Signal(len(self.text), reset_less=True), Signal.like(self.length), Signal()
        passes, out = self.o.valid & self.o.ready, self.o.p
        m.d.comb += self.done.eq(passes & out.last)
        with m.FSM():
            with m.State("IDLE"), m.If(self.go):
                m.d.sync += [text.eq(self.text), left.eq(self.length), more.eq(self.appends)]
                m.next = "TEXT"
            with m.State("TEXT"):
                m.d.comb += [self.o.valid.eq(1), out.byte.eq(text[:8]), out.last.eq((left == 1) & ~more)]
                with m.If(passes):
                    m.d.sync += [text.eq(text >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "IDLE"
                        if self._appendix:
                            with m.If(more):
                                m.next = "APPENDIX"
            if self._appendix:
                memory: Any = Memory(shape=8, depth=len(self._appendix), init=self._appendix)
                m.submodules.appendix = memory
                read, place = memory.read_port(), Signal(range(len(self._appendix)))
                m.d.comb += read.addr.eq(place)
                with m.State("APPENDIX"):
                    m.d.comb += [
                        self.o.valid.eq(1),
                        out.byte.eq(read.data),
                        out.last.eq(place == len(self._appendix) - 1),
                    ]
                    with m.If(passes):
                        following = Mux(out.last, 0, place + 1)
                        m.d.comb += read.addr.eq(following)
                        m.d.sync += place.eq(following)
                        with m.If(out.last):
                            m.next = "IDLE"
        return m
