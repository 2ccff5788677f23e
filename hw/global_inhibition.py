"""The population unit where all E neurons are inhibited alike: one sum over the I population serves all of them."""

from typing import Any

import numpy as np
from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.credits import CreditQueue
from hw.layouts import accumulator_layout, frame_layout, index_of, shape_of
from hw.loadable import Register, chain_links, load_ports, value_of
from hw.packing import ceil_div, packed_memory
from hw.pipeline import Delay, pipeline
from hw.population import ROOM, Gains, InhibitorySums
from hw.product import multiple
from hw.shadow import shadow
from quant.formats import Format
from quant.network import Layer

__all__ = ["GlobalInhibition", "is_global"]


def is_global(layer: Layer) -> bool:
    """Whether all E neurons of a layer are inhibited alike; not with many pixels, where one sum each takes longer."""
    return layer.n_i > 0 and layer.wiring.window is None and bool((layer.w_ei == layer.w_ei[0]).all())


class GlobalInhibition(wiring.Component):
    """``bal = a * i_ee - w i_ie`` and ``d = w (g_i * i_ie)``, ``neuron_lanes`` E neurons at a time, with one row ``w``.

    First the I population comes by, ``population_lanes`` of them a cycle, then the E neurons, a beat a cycle:
    ``cycles`` cycles a time step in all. Latency from the currents to the first beat: ``latency`` cycles.

    Parameters
    ----------
    w_ei : (n_e, n_i) unsigned, ``inhibition_bits`` bits
        All rows equal.
    inhibition_bits : int, 1..8
    a : int, >= 1, or Register
        In a register, it can be filled anew, and so can ``w`` and ``g_i`` (``hw.loadable``).
    n_e : int, >= 1
    i_ee, i_ie : Format
        Of the currents.
    bal : Format
        Of the balance. Partial sums wrap around in it, which is harmless, as the result fits.
    population_lanes : int, 1..n_i
    neuron_lanes : int, 1..n_e
    d : Format, optional
        Of the denominator. Without it, in a readout, there is none.
    g_i : (n_i,) unsigned, ``gain_i_bits`` bits
        With ``d`` only.
    gain_i_bits : int, 1..8
        With ``d`` only.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles that the last chunk of the population is ahead of the first beat of E neurons.
    SUM = InhibitorySums.LATENCY
    #: Cycles from a beat of E neurons to the same beat out: two registers, and the queue.
    PIPELINE = 4

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        w_ei: np.ndarray,
        inhibition_bits: int,
        a: int | Register,
        i_ee: Format,
        i_ie: Format,
        bal: Format,
        population_lanes: int,
        neuron_lanes: int,
        d: Format | None = None,
        g_i: np.ndarray | None = None,
        gain_i_bits: int = 1,
    ) -> None:
        n_e, n_i = w_ei.shape
        for name, lanes, most in (("population_lanes", population_lanes, n_i), ("neuron_lanes", neuron_lanes, n_e)):
            if not 1 <= lanes <= most:
                raise ValueError(f"{name} of global inhibition must be 1..{most}, not {lanes}")
        if (w_ei != w_ei[0]).any():
            raise ValueError("rows of w_ei must be equal for global inhibition")
        self.groups, self.chunks = ceil_div(n_e, neuron_lanes), ceil_div(n_i, population_lanes)
        #: Cycles a time step: one to take the currents, then the I population, then the E neurons.
        self.cycles = 1 + self.chunks + self.SUM + self.groups
        #: Cycles from taking the currents to the first beat.
        self.latency = 1 + self.chunks + self.SUM + self.PIPELINE
        #: Bits of the memory of ``w``.
        self.memory_bits = self.chunks * population_lanes * inhibition_bits
        self._n_e, self._a = n_e, a
        self._memory = packed_memory(w_ei[:1], population_lanes, Format(inhibition_bits))
        loadable = isinstance(a, Register)
        self._gains = None if g_i is None else Gains(g_i, gain_i_bits, population_lanes, loadable=loadable)
        #: What can be filled anew.
        self.links = [self._memory, *(self._gains.links if self._gains else ()), a] if loadable else []
        self._i_ee, self._i_ie, self._bal, self._d = shape_of(i_ee), shape_of(i_ie), shape_of(bal), d and shape_of(d)
        self._population_lanes, self._neuron_lanes = population_lanes, neuron_lanes
        fields = {"bal": bal} if d is None else {"bal": bal, "d": d}
        super().__init__(
            {
                "i": In(stream.Signature(accumulator_layout(i_ee, n_e, i_ie, n_i))),
                "o": Out(stream.Signature(frame_layout(neuron_lanes, **fields))),
                **load_ports(self.links),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # As in the population unit: nothing stands still, and a beat begins if there is room for it.
        bal: Any = data.ArrayLayout(self._bal, self._neuron_lanes)
        fields = {"bal": bal, "last": 1} if self._d is None else {"bal": bal, "last": 1, "d": self._d}
        m.submodules.beats = beats = CreditQueue(data.StructLayout(fields), ROOM)
        m.d.comb += [self.o.valid.eq(beats.o.valid), beats.o.ready.eq(self.o.ready)]
        for n, out in enumerate(self.o.p):
            nobody = beats.o.p.last & ((self.groups - 1) * self._neuron_lanes + n >= self._n_e)
            m.d.comb += out.bal.eq(Mux(nobody, 0, beats.o.p.bal[n]))
            if self._d is not None:
                m.d.comb += out.d.eq(Mux(nobody, 0, beats.o.p.d))

        delay = pipeline(m, Const(1))
        i_ee, i_ie, chunk, summing, emitting, last = self._turns(m, beats)
        inhibition, d = self._sums(m, i_ie, chunk, summing, delay)
        chain_links(m, self)
        for balance, current in zip(beats.payload.bal, i_ee, strict=True):
            m.d.comb += balance.eq(delay(delay(multiple(current, value_of(self._a))) - inhibition))
        if d is not None:
            m.d.comb += beats.payload.d.eq(d)
        m.d.comb += [
            beats.payload.last.eq(delay(last, 2)),
            beats.begun.eq(emitting),
            beats.arrived.eq(delay(emitting, 2, reset=True)),
        ]
        return m

    def _turns(self, m: Module, beats: CreditQueue) -> tuple[Any, Any, Value, Value, Value, Value]:
        """The currents of the group and of the chunk whose turn it is, its number, and what is going on.

        That is: whether a chunk is to be added up, whether a group leaves, and whether it is the last one.
        """
        chunk, group = Signal(index_of(self.chunks + self.SUM)), Signal(index_of(self.groups))
        ready, adding, leaving = Signal(init=1), Signal(), Signal()
        next_ready, next_adding, next_leaving = Signal(), Signal(), Signal()
        summed, left = adding & (chunk == self.chunks + self.SUM - 1), Signal()
        emitting, last = Signal(), group == self.groups - 1
        m.d.comb += [
            emitting.eq(leaving & beats.room),
            left.eq(emitting & last),
            # A cycle ahead, so that the registers of the currents have copies of what moves them.
            next_adding.eq(Mux(ready, self.i.valid, adding & ~summed)),
            next_leaving.eq(summed | (leaving & ~left)),
            next_ready.eq(~next_adding & ~next_leaving),
            self.i.ready.eq(ready),
        ]
        m.d.sync += [ready.eq(next_ready), adding.eq(next_adding), leaving.eq(next_leaving)]
        with m.If(adding):
            m.d.sync += chunk.eq(Mux(summed, 0, chunk + 1))
        with m.If(emitting):
            m.d.sync += group.eq(Mux(last, 0, group + 1))
        head = data.ArrayLayout(self._i_ee, self._neuron_lanes)
        part = data.ArrayLayout(self._i_ie, self._population_lanes)
        next_emitting = next_leaving & beats.next_room
        i_ee, i_ie = self.i.p.i_ee.as_value(), self.i.p.i_ie.as_value()
        e = shadow(m, i_ee, width=head.size, words=self.groups, load=next_ready, shift=next_emitting)
        i = shadow(m, i_ie, width=part.size, words=self.chunks, load=next_ready, shift=next_adding)
        summing = adding & (chunk < self.chunks)
        return data.View(head, e), data.View(part, i), chunk, summing, emitting, last

    def _sums(self, m: Module, i_ie: Any, chunk: Value, summing: Value, delay: Delay) -> tuple[Value, Value | None]:
        """Inhibition and denominator; they stay until the first chunk of the next step has been added up."""
        m.submodules.w_ei = self._memory
        read: Any = self._memory.read_port()
        m.d.comb += read.addr.eq(chunk)
        sums = InhibitorySums(m, delay, i_ie=i_ie, chunk=chunk, gains=self._gains)
        row: Any = data.View(read.data.shape(), delay(read.data.as_value(), 2))
        added, first = (delay(flag, sums.LATENCY, reset=True) for flag in (summing, summing & (chunk == 0)))
        totals: list[Value] = []
        for part, shape in zip(sums.of(list(row)), (self._bal, self._d), strict=True):
            if part is not None:
                assert shape is not None
                total = Signal(shape, reset_less=True)
                with m.If(added):
                    m.d.sync += total.eq(Mux(first, 0, total) + part)
                totals.append(total)
        return totals[0], totals[1] if self._d is not None else None
