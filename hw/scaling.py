"""Scaling: from the balance to the current of neurons without inhibition, which nothing divides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, shape_of
from hw.parameters import ParameterMemory
from quant.arithmetic import round_shift, saturate
from quant.formats import Format

__all__ = ["Scaling"]


class Scaling(wiring.Component):
    """``I = saturate(round_shift(g_e * bal, shift) + b_e)`` (numerics, section 3).

    A beat a cycle; ``LATENCY`` cycles: ``g_e * bal``, and the rest.

    Parameters
    ----------
    lanes : int, 1..n
        Neurons in a beat; n is the length of ``g_e``.
    g_e : sequence of int
        Of ``gain_e_bits`` bits, unsigned.
    b_e : sequence of int
        In the format ``membrane``.
    gain_e_bits : int, 1..16
    shift : int, >= 0
    membrane : Format, signed
        Of the current.
    bal, product : Format
        ``product`` is the proven format of ``g_e * bal``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out.
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
        shift: int,
        membrane: Format,
        bal: Format,
        product: Format,
    ) -> None:
        self._parameters = ParameterMemory(
            "the scaling", lanes=lanes, g_e=g_e, b_e=b_e, gain_e_bits=gain_e_bits, membrane=membrane
        )
        if shift < 0:
            raise ValueError(f"shift of the scaling must not be negative, and is {shift}")
        self._shift, self._membrane, self._product = shift, membrane, product
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, bal=bal))),
                "o": Out(stream.Signature(frame_layout(lanes, current=membrane))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.parameters = memory = self._parameters
        advance, taken, product_valid = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(advance & memory.ready),
            taken.eq(self.i.valid & self.i.ready),
            memory.taken.eq(taken),
        ]
        with m.If(advance):
            m.d.sync += [product_valid.eq(taken), self.o.valid.eq(product_valid)]
        parameters: Any = memory.data
        for source, own, result in zip(self.i.p, parameters, self.o.p, strict=True):
            product, b_e = Signal(shape_of(self._product)), Signal(shape_of(self._membrane), name="b_e_held")
            with m.If(advance):
                m.d.sync += [
                    product.eq(own.g_e * source.bal),
                    b_e.eq(own.b_e),
                    result.current.eq(saturate(round_shift(product, self._shift) + b_e, self._membrane, Mux)),
                ]
        return m
