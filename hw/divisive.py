"""Divisive inhibition: from balance and denominator to the current of the E neurons, without a divider."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, shape_of
from hw.parameters import ParameterMemory
from hw.reciprocal import ReciprocalUnit
from quant.arithmetic import round_shift, saturate
from quant.formats import Format
from quant.reciprocal import Reciprocal

__all__ = ["DivisiveInhibition"]


class DivisiveInhibition(wiring.Component):
    """``I = saturate(round_shift(g_e * bal * R, shift + e) + b_e)``, ``b_e`` where ``d`` is 0 (numerics, section 3).

    A beat a cycle; ``LATENCY`` cycles: the reciprocal, ``g_e * bal``, ``* R``, and the rest.

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
    reciprocal : Reciprocal
    membrane : Format, signed
        Of the current.
    bal, d, product : Format
        ``product`` is the proven format of ``g_e * bal * R``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out.
    LATENCY = ReciprocalUnit.LATENCY + 3

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
        reciprocal: Reciprocal,
        membrane: Format,
        bal: Format,
        d: Format,
        product: Format,
    ) -> None:
        self._parameters = ParameterMemory(
            "divisive inhibition", lanes=lanes, g_e=g_e, b_e=b_e, gain_e_bits=gain_e_bits, membrane=membrane
        )
        if shift < 0:
            raise ValueError(f"shift of divisive inhibition must not be negative, and is {shift}")
        self._shift, self._membrane, self._product = shift, membrane, product
        self._unit = ReciprocalUnit(lanes=lanes, bal=bal, d=d, reciprocal=reciprocal)
        # signed: |g_e * bal| is at most |g_e * bal * R|, which is proven
        self._gained = Format(min(product.width, bal.width + gain_e_bits), signed=bal.signed)
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, bal=bal, d=d))),
                "o": Out(stream.Signature(frame_layout(lanes, current=membrane))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reciprocal = unit = self._unit
        m.submodules.parameters = memory = self._parameters
        advance, gained_valid, product_valid = Signal(), Signal(), Signal()
        wiring.connect(m, wiring.flipped(self.i), unit.i)
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            unit.o.ready.eq(advance),
            memory.taken.eq(unit.o.valid & advance),  # never in the first cycle: the unit has a latency
        ]
        with m.If(advance):
            m.d.sync += [
                gained_valid.eq(unit.o.valid),
                product_valid.eq(gained_valid),
                self.o.valid.eq(product_valid),
            ]
        for source, parameters, result in zip(unit.o.p, memory.data, self.o.p, strict=True):
            self._lane(m, advance, source, parameters, result)
        return m

    def _lane(self, m: Module, advance: Signal, source: Any, parameters: Any, result: Any) -> None:
        """The three registers of one neuron."""
        gained, product = Signal(shape_of(self._gained)), Signal(shape_of(self._product))
        r, e = Signal(source.r.shape()), [Signal(source.e.shape(), name=f"e{k}") for k in range(2)]
        b_e = [Signal(shape_of(self._membrane), name=f"b_e{k}") for k in range(2)]
        rounded = round_shift(product, e[1] + self._shift)
        with m.If(advance):
            m.d.sync += [
                gained.eq(parameters.g_e * source.bal),
                r.eq(source.r),
                e[0].eq(source.e),
                b_e[0].eq(parameters.b_e),
                # R is 0 where d is, and so is the product: what is left is b_e.
                product.eq(gained * r),
                e[1].eq(e[0]),
                b_e[1].eq(b_e[0]),
                result.current.eq(saturate(rounded + b_e[1], self._membrane, Mux)),
            ]
