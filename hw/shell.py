"""A design between shift registers: four pins, whatever the width of its streams, and nothing that can be left out."""

from amaranth import Cat, Instance, Module, Shape, Signal
from amaranth.hdl import ClockSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.loader import LOAD_LAYOUT, Status
from hw.manifest import Manifest

__all__ = ["Shell"]


class Shell(wiring.Component):
    """The design of a manifest, every input from a register and every output into one, as in a system around it.

    The inputs, the reset included, are a shift register that ``i`` feeds; each output is added, modulo 2, to a bit of
    another one that ends in ``o``, so that no part of the design is without effect. This costs ``flip_flops``, and a
    look-up table for each output bit.
    """

    i: Signal
    o: Signal

    def __init__(self, manifest: Manifest) -> None:
        self._top = manifest.top
        self._payloads = manifest.input.width, manifest.output.width
        #: Inputs and outputs of the design, the clock not counted.
        self.inputs, self.outputs = manifest.input.width + 3, manifest.output.width + 2
        self._loadable = manifest.load is not None
        if self._loadable:
            self.inputs += LOAD_LAYOUT.size + 1
            self.outputs += Shape.cast(Status).width + 1
        super().__init__({"i": In(1), "o": Out(1)})

    @property
    def flip_flops(self) -> int:
        """Registers that are the shell's own."""
        return self.inputs + self.outputs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        into, out_of = self._payloads
        head, tail = Signal(self.inputs, reset_less=True), Signal(self.outputs, reset_less=True)
        payload, valid, ready = Signal(out_of), Signal(), Signal()
        results, extra = Cat(ready, valid, payload), {}
        if self._loadable:
            status, c_ready = Signal(Status), Signal()
            extra = {
                "i_c__valid": head[3 + into],
                "i_c__payload": head[4 + into :],
                "o_c__ready": c_ready,
                "o_status": status,
            }
            results = Cat(results, c_ready, status)
        m.submodules.design = Instance(
            self._top,
            i_clk=ClockSignal(),
            i_rst=head[0],
            i_i__valid=head[1],
            i_o__ready=head[2],
            i_i__payload=head[3 : 3 + into],
            o_i__ready=ready,
            o_o__valid=valid,
            o_o__payload=payload,
            **extra,
        )
        m.d.sync += [
            head.eq(Cat(self.i, head)),
            tail.eq((tail << 1) ^ results),
        ]
        m.d.comb += self.o.eq(tail[-1])
        return m
