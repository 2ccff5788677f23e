"""AXI in Amaranth: signatures with the names of the AMBA specifications, and registers behind AXI4-Lite."""

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from hw.registers import ADDRESS_BITS, Register, RegisterField

__all__ = ["WORD", "RegisterBank", "axi_lite", "axi_stream", "packet_layout"]

#: Bits of all data.
WORD = 32
#: The only response: addresses without a register read as zero, and are written in vain.
_OKAY = 0


def packet_layout() -> data.StructLayout:
    """A beat of a packet."""
    return data.StructLayout({"data": WORD, "last": 1})


def axi_stream() -> Signature:
    """AXI4-Stream, seen from who sends."""
    return Signature({"tdata": Out(WORD), "tlast": Out(1), "tvalid": Out(1), "tready": In(1)})


def axi_lite() -> Signature:
    """AXI4-Lite, seen from who asks."""
    address = {"addr": Out(ADDRESS_BITS), "prot": Out(3), "valid": Out(1), "ready": In(1)}
    return Signature(
        {
            **{f"aw{name}": member for name, member in address.items()},
            "wdata": Out(WORD),
            "wstrb": Out(WORD // 8),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            **{f"ar{name}": member for name, member in address.items()},
            "rdata": In(WORD),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


class RegisterBank(wiring.Component):
    """Registers behind AXI4-Lite: an input for each ``state`` field, and an output for each ``pulse``, by its name.

    A pulse is high for a cycle after a 1 has been written to its bit. One access of each kind at a time, two or three
    cycles each; no output depends on an input of the same cycle.

    Parameters
    ----------
    registers : sequence of Register
    """

    bus: Any

    def __init__(self, registers: Sequence[Register]) -> None:
        self._registers = registers
        ports: dict[str, Any] = {"bus": In(axi_lite())}
        for field in (field for register in registers for field in register.fields):
            if field.kind != "constant":
                ports[field.name] = In(field.width) if field.kind == "state" else Out(field.width)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._read(m)
        self._write(m)
        m.d.comb += [self.bus.rresp.eq(_OKAY), self.bus.bresp.eq(_OKAY)]
        return m

    def _value(self, field: RegisterField) -> Value:
        """What the field reads as, in its place in the word."""
        value = Const(field.value, field.width) if field.kind == "constant" else getattr(self, field.name)
        return Cat(Const(0, field.lsb), Const(0, field.width) if field.kind == "pulse" else value)

    def _read(self, m: Module) -> None:
        bus = self.bus
        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += bus.rvalid.eq(1)
            with m.Switch(bus.araddr[2:]):
                for register in self._registers:
                    word: Any = Const(0, WORD)
                    for field in register.fields:
                        word |= self._value(field)
                    with m.Case(register.offset // 4):
                        m.d.sync += bus.rdata.eq(word)
                with m.Default():
                    m.d.sync += bus.rdata.eq(0)

    def _write(self, m: Module) -> None:
        bus = self.bus
        place, word, strobe = Signal(ADDRESS_BITS - 2), Signal(WORD), Signal(WORD // 8)
        addressed, filled = Signal(), Signal()
        m.d.comb += [bus.awready.eq(~addressed), bus.wready.eq(~filled)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), place.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [filled.eq(1), word.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        acts = addressed & filled & ~bus.bvalid
        with m.If(acts):
            m.d.sync += [bus.bvalid.eq(1), addressed.eq(0), filled.eq(0)]
        for register in self._registers:
            for field in register.fields:
                if field.kind == "pulse":
                    written = word[field.lsb] & strobe[field.lsb // 8]
                    m.d.sync += getattr(self, field.name).eq(acts & (place == register.offset // 4) & written)
