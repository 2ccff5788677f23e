"""A UART of eight data bits, no parity, one stop bit: from a pin to bytes, and back."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["SMALLEST_DIVISOR", "UARTReceiver", "UARTTransmitter", "line", "received_layout"]

#: Clock cycles a bit, at least: the receiver's filter is three cycles wide.
SMALLEST_DIVISOR = 4


def line(flow: Any) -> Any:
    """The member of a signature for a line of a UART, which is high while nothing is sent."""
    return flow(1, init=1)


def received_layout() -> data.StructLayout:
    """A byte from a line; ``error`` says that its stop bit was missing, and that ``byte`` means nothing."""
    return data.StructLayout({"byte": 8, "error": 1})


def _check_divisor(divisor: int) -> None:
    if divisor < SMALLEST_DIVISOR:
        raise ValueError(f"divisor of a UART must be at least {SMALLEST_DIVISOR} cycles a bit, not {divisor}")


class UARTReceiver(wiring.Component):
    """Bytes from the pin ``rx``, which is idle high. They cannot wait: ``o.ready`` has to be high.

    Each sample is the majority of three in a row, so that a spike of a cycle passes unseen. A bit is sampled in its
    middle, counted from the falling edge before the start bit; a start bit that is over by its middle was none. After
    the middle of the stop bit the next start bit may come: the sender's clock may be off by 3 % from eight cycles a bit
    on, by 1 % below. After a byte without stop bit the line has to be high again first: a line that stays low is one
    error, not many.

    Parameters
    ----------
    divisor : int, >= SMALLEST_DIVISOR
        Clock cycles a bit.

    Raises
    ------
    ValueError
        If the divisor is too small.
    """

    rx: Signal
    o: stream.Interface

    def __init__(self, *, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__(
            {"rx": line(In), "o": Out(stream.Signature(received_layout(), always_ready=True))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pin, before, level = Signal(init=1), Signal(2, init=0b11), Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, pin, init=1)
        a, b, c = pin, before[0], before[1]
        m.d.sync += [before.eq(Cat(pin, before)), level.eq((a & b) | (a & c) | (b & c))]

        timer, bits, shift = Signal(range(self._divisor)), Signal(range(10)), Signal(8)
        out: Any = self.o.p
        m.d.comb += out.byte.eq(shift)
        m.d.sync += [self.o.valid.eq(0), timer.eq(Mux(timer == 0, self._divisor - 1, timer - 1))]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [timer.eq((self._divisor - 1) // 2 - 1), bits.eq(0)]
                with m.If(~level):
                    m.next = "BITS"
            with m.State("BITS"), m.If(timer == 0):
                m.d.sync += bits.eq(bits + 1)
                with m.If(bits == 9):
                    m.d.sync += [self.o.valid.eq(1), out.error.eq(~level)]
                    with m.If(level):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "RISE"
                with m.Elif((bits == 0) & level):
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += shift.eq(Cat(shift[1:], level))
            with m.State("RISE"), m.If(level):
                m.next = "IDLE"
        return m


class UARTTransmitter(wiring.Component):
    """Bytes to the pin ``tx``, low bit first: ten bits of ``divisor`` cycles each, without a pause between bytes.

    Parameters
    ----------
    divisor : int, >= SMALLEST_DIVISOR
        Clock cycles a bit.

    Raises
    ------
    ValueError
        If the divisor is too small.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, *, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": line(Out)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer, left, shift = Signal(range(self._divisor)), Signal(range(11)), Signal(9)
        m.d.comb += self.i.ready.eq((timer == 0) & (left == 0))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), left.eq(left - 1)]
            m.d.sync += timer.eq(self._divisor - 1)
        with m.Elif(self.i.valid):
            m.d.sync += [self.tx.eq(0), shift.eq(Cat(self.i.p, 1)), left.eq(9), timer.eq(self._divisor - 1)]
        return m
