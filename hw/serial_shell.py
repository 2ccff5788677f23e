"""A design behind a serial port: requests in frames to events, results to answers (docs/board.md)."""

from typing import Any

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.frames import FrameReceiver, FrameTransmitter
from hw.layouts import index_of, result_layout
from hw.manifest import InputPort, Manifest
from hw.protocol import ANSWER, Greeting, Message, Refusal, code_bits, sample_bytes
from hw.uart import UARTReceiver, UARTTransmitter, line
from quant.errors import ChandelierError
from quant.formats import Format

__all__ = ["WINDOW", "SamplePlayer", "SerialDesign", "SerialShell", "leds_layout"]

#: Requests that have room in a shell: enough for a host to send the next while it waits for answers.
WINDOW = 4
_LONGEST_PAYLOAD = (1 << 16) - 1


def leds_layout() -> data.StructLayout:
    """What LEDs show: a request is being worked on; a frame was wrong or found no room since the last reset."""
    return data.StructLayout({"busy": 1, "fault": 1})


class SamplePlayer(wiring.Component):
    """The codes of a sample's payload as events, zeros left out, and a marker after each vector.

    Plays once for each ``go``, which comes when the payload can be read at ``address``: ``data`` is the byte at the
    address of the cycle before. A cycle a code, two for a code of a byte.

    Parameters
    ----------
    port : InputPort
        Of the design. Where it takes several events at once, one comes at a time.
    """

    go: Signal
    address: Signal
    data: Signal
    o: stream.Interface

    def __init__(self, port: InputPort) -> None:
        self._port = port
        super().__init__(
            {
                "go": In(1),
                "address": Out(index_of(sample_bytes(port))),
                "data": In(8),
                "o": Out(stream.Signature(port.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = code_bits(self._port.bits)
        index, value, last = self._port.fields
        codes, code = Signal(8), Signal(range(8 // width + 1))
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
                m.d.sync += [self.address.eq(0), vector.eq(0)]
                with m.If(self.go):
                    m.next = "VECTOR"
            with m.State("VECTOR"):
                m.d.sync += [feature.eq(0), place.eq(0), lane.eq(0)]
                m.next = "BYTE"
            with m.State("BYTE"):
                m.d.sync += [codes.eq(self.data), code.eq(0), self.address.eq(self.address + 1)]
                m.next = "CODES"
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


class SerialShell(wiring.Component):
    """Answers requests, one after the other, on a UART: ``events`` to the design, ``results`` from it.

    While a request is worked on, further ones are received, up to ``WINDOW`` with that one.

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

    def __init__(self, manifest: Manifest, *, divisor: int) -> None:
        if manifest.input.dense:
            raise ChandelierError(
                "a fully spatial design takes a whole input at once: a serial port is for --fold events"
            )
        self._port, self._divisor = manifest.input, divisor
        self._greeting = Greeting.of(manifest, WINDOW)
        self._sample_bytes = sample_bytes(manifest.input)
        if self._sample_bytes > _LONGEST_PAYLOAD:
            raise ChandelierError(
                f"a sample of this network takes {self._sample_bytes:,} bytes, and a frame holds {_LONGEST_PAYLOAD:,}: "
                "a serial port is for smaller inputs"
            )
        (logits,) = (field for field in manifest.output.fields if field.signal == "logits")
        result = result_layout(manifest.output.classes, Format(logits.width, signed=logits.signed))
        super().__init__(
            {
                "rx": line(In),
                "tx": line(Out),
                "leds": Out(leds_layout()),
                "events": Out(stream.Signature(manifest.input.width)),
                "results": In(stream.Signature(result)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.uart_receiver = uart_receiver = UARTReceiver(divisor=self._divisor)
        m.submodules.receiver = receiver = FrameReceiver(capacity=self._sample_bytes, window=WINDOW)
        m.submodules.player = player = SamplePlayer(self._port)
        m.submodules.transmitter = transmitter = FrameTransmitter()
        m.submodules.uart_transmitter = uart_transmitter = UARTTransmitter(divisor=self._divisor)
        wiring.connect(m, uart_receiver.o, receiver.i)
        wiring.connect(m, player.o, wiring.flipped(self.events))
        wiring.connect(m, transmitter.o, uart_transmitter.i)
        m.d.comb += [
            uart_receiver.rx.eq(self.rx),
            self.tx.eq(uart_transmitter.tx),
            receiver.address.eq(player.address),
            player.data.eq(receiver.data),
            self.leds.busy.eq(receiver.o.valid | transmitter.o.valid | ~uart_transmitter.i.ready),
        ]
        self._serve(m, receiver, player, transmitter, self._count(m, receiver))
        return m

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
        transmitter: FrameTransmitter,
        counters: dict[str, Signal],
    ) -> None:
        """Takes requests, and sends the answer to each."""
        header: Any = receiver.o.p
        cycles, result = Signal(32), self._result()
        greeting = Const(int.from_bytes(self._greeting.pack(), "little"), 8 * len(self._greeting.pack()))
        longest = 4 + max(len(text) // 8 for text in (greeting, Cat(cycles, result), Cat(*counters.values())))
        # The answer's bytes that are still to be sent, the next one lowest.
        text, left = Signal(8 * longest, reset_less=True), Signal(range(longest + 1))

        def answer(payload: Value, kind: int | Value = ANSWER | header.kind) -> None:
            m.d.sync += text.eq(Cat(Value.cast(kind)[:8], header.sequence, Const(len(payload) // 8, 16), payload))
            m.d.sync += left.eq(4 + len(payload) // 8)
            m.next = "ANSWER"

        def refuse(why: Refusal) -> None:
            answer(Const(why, 8), Const(Message.REFUSED, 8))

        def when_length(length: int) -> Any:
            with m.If(header.length != length):
                refuse(Refusal.WRONG_LENGTH)
            return m.Else()

        with m.FSM():
            with m.State("REQUEST"), m.If(receiver.o.valid), m.Switch(header.kind):
                m.d.sync += cycles.eq(0)
                with m.Case(Message.PING), when_length(0):
                    answer(greeting)
                with m.Case(Message.SAMPLE), when_length(self._sample_bytes):
                    m.d.comb += player.go.eq(1)
                    m.next = "RESULT"
                with m.Case(Message.COUNTERS), when_length(0):
                    answer(Cat(*counters.values()))
                with m.Case(Message.RESET), when_length(0):
                    m.d.sync += [*(counter.eq(0) for counter in counters.values()), self.leds.fault.eq(0)]
                    answer(Const(0, 0))
                with m.Default():
                    refuse(Refusal.UNKNOWN_TYPE)
            with m.State("RESULT"):
                m.d.sync += cycles.eq(cycles + 1)
                with m.If(self.results.valid):
                    m.d.comb += self.results.ready.eq(1)
                    m.d.sync += counters["samples"].eq(counters["samples"] + 1)
                    answer(Cat(result[:16], cycles, result[16:]))
            with m.State("ANSWER"):
                m.d.comb += [
                    transmitter.i.valid.eq(1),
                    transmitter.i.p.byte.eq(text[:8]),
                    transmitter.i.p.last.eq(left == 1),
                ]
                with m.If(transmitter.i.ready):
                    m.d.sync += [text.eq(text >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.d.comb += receiver.o.ready.eq(1)
                        m.next = "REQUEST"

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
        self._top = manifest.top
        self._shell = SerialShell(manifest, divisor=divisor)
        super().__init__({"rx": line(In), "tx": line(Out), "leds": Out(leds_layout())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shell = shell = self._shell
        m.submodules.design = Instance(
            self._top,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_i__valid=shell.events.valid,
            i_i__payload=shell.events.p,
            i_o__ready=shell.results.ready,
            o_i__ready=shell.events.ready,
            o_o__valid=shell.results.valid,
            o_o__payload=shell.results.p.as_value(),
        )
        m.d.comb += [shell.rx.eq(self.rx), self.tx.eq(shell.tx), self.leds.eq(shell.leds)]
        return m
