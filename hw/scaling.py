"""Scaling: from the balance to the current of neurons without inhibition, which nothing divides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, shape_of
from hw.loadable import Register, chain_links, load_ports, value_of
from hw.parameters import ParameterMemory
from hw.pipeline import pipeline
from quant.arithmetic import round_shift, saturate
from quant.formats import Format

__all__ = ["Scaling"]


class Scaling(wiring.Component):
    """``I = saturate(round_shift(g_e * bal, shift) + b_e)`` (numerics, section 3).

    A beat a cycle; ``latency`` cycles: ``g_e * bal``, and the rest, which is two where the shift is in a register.

    Parameters
    ----------
    lanes : int, 1..n
        Neurons in a beat; n is the length of ``g_e``.
    g_e : sequence of int
        Of ``gain_e_bits`` bits, unsigned.
    b_e : sequence of int
        In the format ``membrane``.
    gain_e_bits : int, 1..16
    shift : int, >= 0, or Register
        In a register, it can be filled anew, and so can gains and biases (``hw.loadable``).
    membrane : Format, signed
        Of the current.
    bal, product : Format
        ``product`` is the proven format of ``g_e * bal``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out, where the shift is a constant.
    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        lanes: int,
        g_e: Sequence[int] | np.ndarray,
        b_e: Sequence[int] | np.ndarray,
        gain_e_bits: int,
        shift: int | Register,
        membrane: Format,
        bal: Format,
        product: Format,
    ) -> None:
        self._parameters = ParameterMemory(
            "the scaling",
            lanes=lanes,
            g_e=g_e,
            b_e=b_e,
            gain_e_bits=gain_e_bits,
            membrane=membrane,
            loadable=isinstance(shift, Register),
        )
        #: What can be filled anew.
        self.links = [self._parameters, shift] if isinstance(shift, Register) else []
        #: Cycles from a beat in to the same beat out.
        self.latency = self.LATENCY + isinstance(shift, Register)
        if isinstance(shift, int) and shift < 0:
            raise ValueError(f"shift of the scaling must not be negative, and is {shift}")
        self._shift, self._membrane, self._product = shift, membrane, product
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, bal=bal))),
                "o": Out(stream.Signature(frame_layout(lanes, current=membrane))),
                **load_ports(self.links),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.parameters = memory = self._parameters
        chain_links(m, self)
        advance, taken = Signal(), Signal()
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(advance & memory.ready),
            taken.eq(self.i.valid & self.i.ready),
            memory.taken.eq(taken),
        ]
        delay, shift = pipeline(m, advance), value_of(self._shift)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(delay(taken, self.latency - 1, reset=True))
        parameters: Any = memory.data
        for source, own, result in zip(self.i.p, parameters, self.o.p, strict=True):
            product, b_e = Signal(shape_of(self._product)), delay(own.b_e, self.latency - 1)
            rounded = round_shift(product, shift)
            if isinstance(shift, Value):  # by a variable: all but one bit in a cycle, and rounding by that one
                rounded = round_shift(delay(product << 1 >> shift), 1)
            with m.If(advance):
                m.d.sync += [
                    product.eq(own.g_e * source.bal),
                    result.current.eq(saturate(rounded + b_e, self._membrane, Mux)),
                ]
        return m
