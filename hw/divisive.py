"""Divisive inhibition: from balance and denominator to the current of the E neurons, without a divider."""

from collections.abc import Sequence
from operator import add

import numpy as np
from amaranth import Const, Module, Mux, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.credits import CreditQueue
from hw.layouts import frame_layout
from hw.loadable import Register, chain_links, load_ports, value_of
from hw.parameters import ParameterMemory
from hw.pipeline import Delay, pipeline
from hw.product import tree
from hw.reciprocal import ReciprocalUnit
from quant.arithmetic import round_shift, saturate
from quant.formats import Format
from quant.reciprocal import Reciprocal

__all__ = ["SHUNTED", "SHUNTED_EXTRA", "DivisiveInhibition", "shunted"]

#: Cycles of :func:`shunted`, and how many of them can be left out where a clock is slow.
SHUNTED, SHUNTED_EXTRA = 7, 4
#: Bits of ``bal`` that the multiplier of a device (18 by 18, signed) takes at once.
PART = 17


class DivisiveInhibition(wiring.Component):
    """``I = saturate(round_shift(g_e * bal * R, shift + e) + b_e)``, ``b_e`` where ``d`` is 0 (numerics, section 3).

    A beat a cycle; ``LATENCY`` cycles: the reciprocal, the parameters, ``g_e * R``, times each part of ``bal``, their
    sum, the shift in two, the rounding, the bias, saturation, and a queue.

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
    reciprocal : Reciprocal
    membrane : Format, signed
        Of the current.
    bal, d, product : Format
        ``product`` is the proven format of ``g_e * bal * R``.
    alike : bool
        All ``d`` of a beat are equal.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from reciprocal to current.
    PIPELINE = 4 + SHUNTED
    #: Cycles from a beat in to the same beat out, two of them in a queue.
    LATENCY = ReciprocalUnit.LATENCY + PIPELINE + 2
    #: Beats under way and waiting, enough for one a cycle.
    ROOM = LATENCY + CreditQueue.RETURN

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
        reciprocal: Reciprocal,
        membrane: Format,
        bal: Format,
        d: Format,
        product: Format,
        alike: bool = False,
    ) -> None:
        self._parameters = ParameterMemory(
            "divisive inhibition",
            lanes=lanes,
            g_e=g_e,
            b_e=b_e,
            gain_e_bits=gain_e_bits,
            membrane=membrane,
            loadable=isinstance(shift, Register),
        )
        if isinstance(shift, int) and shift < 0:
            raise ValueError(f"shift of divisive inhibition must not be negative, and is {shift}")
        #: What can be filled anew.
        self.links = [self._parameters, shift] if isinstance(shift, Register) else []
        self._shift, self._membrane, self._product = shift, membrane, product
        self._unit = ReciprocalUnit(lanes=lanes, bal=bal, d=d, reciprocal=reciprocal, alike=alike)
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, bal=bal, d=d))),
                "o": Out(stream.Signature(frame_layout(lanes, current=membrane))),
                **load_ports(self.links),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reciprocal = unit = self._unit
        m.submodules.parameters = memory = self._parameters
        chain_links(m, self)
        # Nothing stands still here: a beat begins if there is room for it behind the pipeline.
        m.submodules.beats = beats = CreditQueue(self.o.p.shape(), self.ROOM)
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        m.d.comb += [
            unit.i.p.eq(self.i.p),
            unit.i.valid.eq(self.i.valid & beats.room),
            self.i.ready.eq(beats.room),
            beats.begun.eq(unit.i.valid),
            unit.o.ready.eq(1),
            memory.taken.eq(unit.o.valid),  # never in the first cycle: the unit has a latency
        ]
        delay = pipeline(m, Const(1))
        m.d.comb += beats.arrived.eq(delay(unit.o.valid, self.PIPELINE, reset=True))
        shift = value_of(self._shift)
        loaded = isinstance(shift, Value)
        for source, own, result in zip(unit.o.p, memory.data, beats.payload, strict=True):
            current = shunted(
                delay(source.bal, 4),
                # Multipliers have registers of their own on both sides: they are where the device has them, and not
                # where their operands are.
                delay(delay(source.r, 2) * delay(own.g_e, 2), 2),
                delay(delay(source.e + shift), 5) if loaded else delay(source.e, 6),
                by=0 if loaded else shift,
                b_e=delay(own.b_e, 9),
                product=self._product,
                membrane=self._membrane,
                delay=delay,
                extra=delay,
            )
            m.d.comb += result.current.eq(current)
        return m


def shunted(
    bal: Value,
    factor: Value,
    places: Value,
    *,
    by: int,
    b_e: Value | int,
    product: Format,
    membrane: Format,
    delay: Delay,
    extra: Delay,
) -> Value:
    """The current of a neuron, ``SHUNTED`` cycles after ``bal`` and ``factor``, which is ``g_e * R``.

    The product is shifted by the constant ``by`` and by ``places``, which come 2 cycles after them; ``b_e`` comes 5.
    ``R`` is 0 where ``d`` is, and so is the product: what is left is ``b_e``. Four of the registers are those of
    ``extra``: where it makes none, the current comes that much sooner, ``places`` 1 cycle and ``b_e`` 2 after ``bal``.
    """
    parts = [bal] if len(bal) <= PART + 1 else [bal[:PART], bal >> PART]
    whole = extra(tree([delay(factor * part) << PART * k for k, part in enumerate(parts)], add))
    # Rounding by many bits is a plain shift by all but one, in two steps here, and rounding by that one.
    coarse = extra(_fitted(whole, product) << 1 >> by >> (places[3:] << 3))
    rounded = extra(round_shift(delay(coarse >> extra(places[:3])), 1))
    return delay(saturate(extra(rounded + b_e), membrane, Mux))


def _fitted(value: Value, fmt: Format) -> Value:
    """``value``, which fits the format, in no more bits than that."""
    return value[: fmt.width].as_signed() if fmt.signed else value[: fmt.width]
