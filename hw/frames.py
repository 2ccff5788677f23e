"""Frames in hardware (docs/board.md): a receiver that keeps only good ones, and a transmitter."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of
from hw.protocol import END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE, LONGEST_PAYLOAD, OVERHEAD
from hw.uart import received_layout

__all__ = ["FrameReceiver", "FrameTransmitter", "SlipDecoder", "SlipEncoder", "header_layout", "part_layout"]

_HEADER_BYTES, _CRC_BYTES = 4, OVERHEAD - 4


def header_layout() -> data.StructLayout:
    """What a frame says before its payload, in the order of the line."""
    return data.StructLayout({"kind": 8, "sequence": 8, "length": 16})


def part_layout() -> data.StructLayout:
    """A byte of a frame; ``last`` marks its last."""
    return data.StructLayout({"byte": 8, "last": 1})


class SlipDecoder(wiring.Component):
    """Takes the escapes out: bytes of frames, and the ends of frames. Nothing waits; latency 0.

    ``o`` is a byte, or with ``end`` set the end of what came since the last one; ``error`` says that this is no frame.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        out = data.StructLayout({"byte": 8, "end": 1, "error": 1})
        super().__init__(
            {
                "i": In(stream.Signature(received_layout(), always_ready=True)),
                "o": Out(stream.Signature(out, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        escaped, i, o = Signal(), self.i.p, self.o.p
        m.d.comb += [self.o.valid.eq(self.i.valid), o.byte.eq(i.byte)]
        with m.If(i.error):
            m.d.comb += o.error.eq(1)
        with m.Elif(i.byte == END):
            m.d.comb += [o.end.eq(1), o.error.eq(escaped)]
        with m.Elif(escaped):
            m.d.comb += o.byte.eq(Mux(i.byte == ESCAPED_END, END, ESCAPE))
            m.d.comb += o.error.eq((i.byte != ESCAPED_END) & (i.byte != ESCAPED_ESCAPE))
        with m.Elif(i.byte == ESCAPE):
            m.d.comb += self.o.valid.eq(0)
        with m.If(self.i.valid):
            m.d.sync += escaped.eq(~escaped & (i.byte == ESCAPE) & ~i.error)
        return m


class FrameReceiver(wiring.Component):
    """A queue of good frames: ``o`` offers the header of the oldest, whose payload lies in memory until it is taken.

    A frame is offered after its end, when length and CRC were right, and not before. Everything else, whatever it is,
    is forgotten with the next END. Bytes come when they come: a frame for which there is no room is dropped.

    Parameters
    ----------
    capacity : int, >= 1
        Bytes of the longest payload.
    window : int, >= 2
        Frames that have room.

    Ports: ``data`` is the byte of the offered frame's payload at the ``address`` of the cycle before. ``good``,
    ``bad`` and ``lost`` are high for a cycle when a frame is kept, is wrong, or finds no room.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    o: stream.Interface
    address: Signal
    data: Signal
    good: Signal
    bad: Signal
    lost: Signal

    def __init__(self, *, capacity: int, window: int) -> None:
        if not 1 <= capacity <= LONGEST_PAYLOAD:
            raise ValueError(f"capacity of the frame receiver must be 1..{LONGEST_PAYLOAD}, not {capacity}")
        if window < 2:
            raise ValueError(f"window of the frame receiver must be at least 2, not {window}")
        self._capacity, self._window = capacity, window
        super().__init__(
            {
                "i": In(stream.Signature(received_layout(), always_ready=True)),
                "o": Out(stream.Signature(header_layout())),
                "address": In(index_of(capacity)),
                "data": Out(8),
                **{name: Out(1) for name in ("good", "bad", "lost")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = SlipDecoder()
        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        m.submodules.headers = headers = fifo.SyncFIFOBuffered(width=header_layout().size, depth=self._window)
        header: Any = Signal(header_layout())
        # Bytes before the payload, and from its first byte on; more than can be is one more, and wrong.
        ahead, place = Signal(range(_HEADER_BYTES + 1)), Signal(range(self._capacity + _CRC_BYTES + 2))
        spoilt, right, ends = Signal(), Signal(), Signal()
        crowded = Signal()  # a byte found no room, even if there is some by the end of the frame
        part: Any = decoder.o.p
        is_byte, in_payload, fits = Signal(), ahead == _HEADER_BYTES, place <= self._capacity + _CRC_BYTES
        m.d.comb += [
            is_byte.eq(decoder.o.valid & ~part.end),
            # An END right after another ends nothing.
            ends.eq(decoder.o.valid & part.end & ((ahead != 0) | spoilt | part.error)),
            right.eq(~spoilt & ~part.error & crc.match_detected & (place == header.length + _CRC_BYTES) & fits),
            crc.data.eq(part.byte),
            crc.valid.eq(is_byte),
            crc.start.eq(decoder.o.valid & part.end),
            headers.w_data.eq(header),
            headers.w_en.eq(ends & right & ~crowded),
            self.good.eq(headers.w_en & headers.w_rdy),
            self.lost.eq(ends & right & ~self.good),
            self.bad.eq(ends & ~right),
        ]
        with m.If(decoder.o.valid & part.end):
            m.d.sync += [ahead.eq(0), place.eq(0), spoilt.eq(0), crowded.eq(0)]
        with m.Elif(is_byte):
            m.d.sync += [spoilt.eq(spoilt | part.error), crowded.eq(crowded | ~headers.w_rdy)]
            with m.If(~in_payload):
                m.d.sync += [ahead.eq(ahead + 1), header.eq(Cat(header.as_value()[8:], part.byte))]
            with m.Elif(fits):
                m.d.sync += place.eq(place + 1)
        self._elaborate_memory(m, headers, is_byte & in_payload, place, part.byte)
        return m

    def _elaborate_memory(self, m: Module, headers: Any, write: Any, place: Any, byte: Any) -> None:
        """The payloads, each in a slot of its own; a frame that finds no room leaves the others alone."""
        slot_bits = len(self.address)
        memory: Any = Memory(shape=8, depth=self._window << slot_bits, init=[])
        m.submodules.payloads = memory
        writer, reader = memory.write_port(), memory.read_port()
        filling, offered = Signal(index_of(self._window)), Signal(index_of(self._window))

        def following(slot: Any) -> Any:
            return Mux(slot == self._window - 1, 0, slot + 1)

        m.d.comb += [
            writer.addr.eq(Cat(place[:slot_bits], filling)),
            writer.data.eq(byte),
            writer.en.eq(write & (place < self._capacity) & headers.w_rdy),
            reader.addr.eq(Cat(self.address, offered)),
            self.data.eq(reader.data),
            self.o.p.as_value().eq(headers.r_data),
            self.o.valid.eq(headers.r_rdy),
            headers.r_en.eq(self.o.ready),
        ]
        with m.If(self.good):
            m.d.sync += filling.eq(following(filling))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += offered.eq(following(offered))


class SlipEncoder(wiring.Component):
    """Puts END around frames, and escapes into them. A byte of the line a cycle; latency 0."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(part_layout())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i: Any = self.i.p
        special = (i.byte == END) | (i.byte == ESCAPE)
        sent = self.o.valid & self.o.ready
        m.d.comb += self.o.valid.eq(self.i.valid)
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += self.o.p.eq(END)
                with m.If(sent):
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += [self.o.p.eq(Mux(special, ESCAPE, i.byte)), self.i.ready.eq(self.o.ready & ~special)]
                with m.If(sent):
                    m.next = "BYTE"
                    with m.If(special):
                        m.next = "ESCAPED"
                    with m.Elif(i.last):
                        m.next = "END"
            with m.State("ESCAPED"):
                m.d.comb += self.o.p.eq(Mux(i.byte == END, ESCAPED_END, ESCAPED_ESCAPE))
                m.d.comb += self.i.ready.eq(self.o.ready)
                with m.If(sent):
                    m.next = "BYTE"
                    with m.If(i.last):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.p.eq(END), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "BEGIN"
        return m


class FrameTransmitter(wiring.Component):
    """Frames of header and payload, byte by byte, to bytes of the line: CRC behind, then escapes.

    A pause within a frame is a pause on the line; a frame that is not finished is not sent to its end.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(part_layout())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        m.submodules.encoder = encoder = SlipEncoder()
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        i: Any = self.i.p
        out: Any = encoder.i.p
        behind = Signal(range(_CRC_BYTES))
        m.d.comb += crc.data.eq(i.byte)
        with m.FSM():
            with m.State("BODY"):
                m.d.comb += [
                    out.byte.eq(i.byte),
                    encoder.i.valid.eq(self.i.valid),
                    self.i.ready.eq(encoder.i.ready),
                    crc.valid.eq(self.i.valid & self.i.ready),
                ]
                with m.If(crc.valid & i.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [
                    out.byte.eq(crc.crc.word_select(behind, 8)),
                    out.last.eq(behind == _CRC_BYTES - 1),
                    encoder.i.valid.eq(1),
                ]
                with m.If(encoder.i.ready):
                    m.d.sync += behind.eq(behind + 1)
                    with m.If(out.last):
                        m.d.comb += crc.start.eq(1)
                        m.next = "BODY"
        return m
