"""A design behind a serial port: requests in frames to events, results to answers (docs/board.md)."""

from typing import Any

from amaranth import Cat, Const, Module, ResetSignal, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.frames import FrameReceiver, FrameTransmitter
from hw.instance import design_instance
from hw.layouts import result_layout
from hw.loadable import WORD
from hw.loader import LOAD_LAYOUT, Status
from hw.manifest import Manifest
from hw.players import PIECE_HEADER, PiecePlayer, SamplePlayer, TextSender
from hw.protocol import ANSWER, PIECE_WORDS, Greeting, Message, Refusal, sample_bytes
from hw.uart import UARTReceiver, UARTTransmitter, line
from quant.errors import ChandelierError
from quant.formats import Format

__all__ = ["WINDOW", "SerialDesign", "SerialShell", "leds_layout"]

#: Requests that have room in a shell: enough for a host to send the next while it waits for answers.
WINDOW = 4
_LONGEST_PAYLOAD = (1 << 16) - 1


def leds_layout() -> data.StructLayout:
    """What LEDs show: a request is being worked on; a frame was wrong or found no room since the last reset."""
    return data.StructLayout({"busy": 1, "fault": 1})


def _byte(status: Any) -> Value:
    """A status as a byte of an answer."""
    value = Value.cast(status)
    return Cat(value, Const(0, 8 - len(value)))


class SerialShell(wiring.Component):
    """Answers requests, one after the other, on a UART: ``events`` to the design, ``results`` from it.

    While a request is worked on, further ones are received, up to ``WINDOW`` with that one. Where the weights are
    loadable, images go to the loader through ``c``, and ``status`` is what it says of them.

    Parameters
    ----------
    manifest : Manifest
        Of the design.
    divisor : int, >= 4
        Clock cycles a bit.

    Raises
    ------
    ChandelierError
        If a sample does not fit a frame, or the design is fully spatial.
    ValueError
        If the divisor is too small.
    """

    rx: Signal
    tx: Signal
    leds: Any
    events: stream.Interface
    results: stream.Interface
    c: stream.Interface
    status: Signal

    def __init__(self, manifest: Manifest, *, divisor: int) -> None:
        if manifest.input.dense:
            raise ChandelierError(
                "a fully spatial design takes a whole input at once: a serial port is for --fold events"
            )
        self._port, self._divisor, self._load = manifest.input, divisor, manifest.load
        self._description = manifest.description() if manifest.load else b""
        self._greeting = Greeting.of(manifest, WINDOW)
        self._sample_bytes = sample_bytes(manifest.input)
        if self._sample_bytes > _LONGEST_PAYLOAD:
            raise ChandelierError(
                f"a sample of this network takes {self._sample_bytes:,} bytes, and a frame holds {_LONGEST_PAYLOAD:,}: "
                "a serial port is for smaller inputs"
            )
        piece = PIECE_HEADER.size // 8 + PIECE_WORDS * WORD // 8 if manifest.load else 0
        self._capacity = max(self._sample_bytes, piece)
        (logits,) = (field for field in manifest.output.fields if field.signal == "logits")
        result = result_layout(manifest.output.classes, Format(logits.width, signed=logits.signed))
        super().__init__(
            {
                "rx": line(In),
                "tx": line(Out),
                "leds": Out(leds_layout()),
                "events": Out(stream.Signature(manifest.input.width)),
                "results": In(stream.Signature(result)),
                **({"c": Out(stream.Signature(LOAD_LAYOUT)), "status": In(Status)} if manifest.load else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart_receiver = uart_receiver = UARTReceiver(divisor=self._divisor)
        m.submodules.receiver = receiver = FrameReceiver(capacity=self._capacity, window=WINDOW)
        m.submodules.player = player = SamplePlayer(self._port, capacity=self._capacity)
        m.submodules.transmitter = transmitter = FrameTransmitter()
        m.submodules.uart_transmitter = uart_transmitter = UARTTransmitter(divisor=self._divisor)
        wiring.connect(m, uart_receiver.o, receiver.i)
        wiring.connect(m, player.o, wiring.flipped(self.events))
        wiring.connect(m, transmitter.o, uart_transmitter.i)
        header: Any = receiver.o.p
        m.d.comb += [
            uart_receiver.rx.eq(self.rx),
            self.tx.eq(uart_transmitter.tx),
            receiver.address.eq(player.address),
            player.sparse.eq(header.kind == Message.SPARSE),
            player.length.eq(header.length),
            player.data.eq(receiver.data),
            self.leds.busy.eq(receiver.o.valid | transmitter.o.valid | ~uart_transmitter.i.ready),
        ]
        pieces = self._take_pieces(m, receiver) if self._load else None
        self._serve(m, receiver, player, pieces, transmitter, self._count(m, receiver))
        return m

    def _take_pieces(self, m: Module, receiver: FrameReceiver) -> PiecePlayer:
        """What takes the pieces of images out of requests."""
        m.submodules.pieces = pieces = PiecePlayer(
            words=self._greeting.image_words,
            network=int.from_bytes(self._greeting.network, "little"),
            capacity=self._capacity,
        )
        wiring.connect(m, pieces.c, wiring.flipped(self.c))
        header: Any = receiver.o.p
        m.d.comb += [pieces.status.eq(self.status), pieces.length.eq(header.length), pieces.data.eq(receiver.data)]
        with m.If(header.kind == Message.LOAD):
            m.d.comb += receiver.address.eq(pieces.address)
        return pieces

    def _count(self, m: Module, receiver: FrameReceiver) -> dict[str, Signal]:
        """The counters; ``samples`` is counted where results are sent."""
        counters = {name: Signal(32, name=name) for name in ("good", "bad", "lost", "samples")}
        for name in ("good", "bad", "lost"):
            with m.If(getattr(receiver, name)):
                m.d.sync += counters[name].eq(counters[name] + 1)
        with m.If(receiver.bad | receiver.lost):
            m.d.sync += self.leds.fault.eq(1)
        return counters

    def _serve(
        self,
        m: Module,
        receiver: FrameReceiver,
        player: SamplePlayer,
        pieces: PiecePlayer | None,
        transmitter: FrameTransmitter,
        counters: dict[str, Signal],
    ) -> None:
        """Takes requests, and sends the answer to each."""
        header: Any = receiver.o.p
        cycles, result = Signal(32), self._result()
        status = self.status if pieces else Const(Status.READY, Status)
        greeting = self._greeting_now(pieces, status)
        longest = 4 + max(len(text) // 8 for text in (greeting, Cat(cycles, result), Cat(*counters.values())))
        m.submodules.sender = sender = TextSender(longest=longest, appendix=self._description)
        wiring.connect(m, sender.o, transmitter.i)

        def answer(payload: Value, kind: int | Value = ANSWER | header.kind, *, appendix: bytes = b"") -> None:
            length = Const(len(payload) // 8 + len(appendix), 16)
            m.d.comb += [
                sender.go.eq(1),
                sender.text.eq(Cat(Value.cast(kind)[:8], header.sequence, length, payload)),
                sender.length.eq(4 + len(payload) // 8),
                sender.appends.eq(bool(appendix)),
            ]
            m.next = "ANSWER"

        def refuse(why: Refusal) -> None:
            answer(Const(why, 8), Const(Message.REFUSED, 8))

        def unless(wrong: Any) -> Any:
            with m.If(wrong):
                refuse(Refusal.WRONG_LENGTH)
            return m.Else()

        with m.FSM():
            with m.State("REQUEST"), m.If(receiver.o.valid), m.Switch(header.kind):
                m.d.sync += cycles.eq(0)
                with m.Case(Message.PING), unless(header.length != 0):
                    answer(greeting)
                with (
                    m.Case(Message.SAMPLE, Message.SPARSE),
                    unless(~player.sparse & (header.length != self._sample_bytes)),
                ):
                    with m.If(status != Status.READY):
                        refuse(Refusal.NO_NETWORK)
                    with m.Else():
                        m.d.comb += player.go.eq(1)
                        m.next = "RESULT"
                with m.Case(Message.COUNTERS), unless(header.length != 0):
                    answer(Cat(*counters.values()))
                with m.Case(Message.RESET), unless(header.length != 0):
                    m.d.sync += [*(counter.eq(0) for counter in counters.values()), self.leds.fault.eq(0)]
                    answer(Const(0, 0))
                if pieces:
                    words_begin = PIECE_HEADER.size // 8
                    with m.Case(Message.LOAD), unless((header.length <= words_begin) | (header.length[:2] != 0)):
                        m.d.comb += pieces.go.eq(1)
                        m.next = "PIECE"
                    with m.Case(Message.DESCRIBE), unless(header.length != 0):
                        answer(Const(0, 0), appendix=self._description)
                with m.Default():
                    refuse(Refusal.UNKNOWN_TYPE)
            with m.State("RESULT"):
                m.d.sync += cycles.eq(cycles + 1)
                with m.If(self.results.valid):
                    m.d.comb += self.results.ready.eq(1)
                    m.d.sync += counters["samples"].eq(counters["samples"] + 1)
                    answer(Cat(result[:16], cycles, result[16:]))
            if pieces:
                with m.State("PIECE"), m.If(pieces.done):
                    answer(Cat(_byte(status), pieces.wanted))
            with m.State("ANSWER"), m.If(sender.done):
                m.d.comb += receiver.o.ready.eq(1)
                m.next = "REQUEST"

    def _greeting_now(self, pieces: PiecePlayer | None, status: Value) -> Value:
        """The payload of the answer to ``PING``."""
        at_first = self._greeting.pack()
        fixed = Const(int.from_bytes(at_first, "little"), 8 * len(at_first))
        if pieces is None:
            return fixed
        network = 8 * Greeting.NETWORK_PLACE
        return Cat(fixed[:network], pieces.held, fixed[network + len(pieces.held) : -8], _byte(status))

    def _result(self) -> Value:
        """Class and logits of the result, in whole bytes."""
        payload: Any = self.results.p
        width = 8 * self._greeting.logit_bytes

        def wide(logit: Any) -> Value:
            sign = logit[-1] if logit.shape().signed else Const(0, 1)
            return Cat(logit, sign.replicate(width - len(logit)))

        predicted = payload["class"]
        return Cat(predicted, Const(0, 16 - len(predicted)), *(wide(logit) for logit in payload.logits))


class SerialDesign(wiring.Component):
    """The design of a manifest in its serial shell: a UART and LEDs. What a board's top, and a simulated board, is.

    Parameters
    ----------
    manifest : Manifest
    divisor : int, >= 4
        Clock cycles a bit.
    """

    rx: Signal
    tx: Signal
    leds: Any

    def __init__(self, manifest: Manifest, *, divisor: int) -> None:
        self._top, self._loadable = manifest.top, manifest.load is not None
        self._shell = SerialShell(manifest, divisor=divisor)
        super().__init__({"rx": line(In), "tx": line(Out), "leds": Out(leds_layout())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shell = shell = self._shell
        images = (shell.c.valid, shell.c.p.as_value(), shell.c.ready, shell.status) if self._loadable else None
        m.submodules.design = design_instance(self._top, ResetSignal(), shell.events, shell.results, images)
        m.d.comb += [shell.rx.eq(self.rx), self.tx.eq(shell.tx), self.leds.eq(shell.leds)]
        return m
