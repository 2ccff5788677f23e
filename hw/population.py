"""The population unit: from the currents of the synapse stage to each E neuron's balance and denominator."""

from collections.abc import Sequence
from operator import add
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
from hw.product import multiple, narrow_product, reduce_levels, tree
from hw.shadow import shadow
from quant.formats import Format

__all__ = ["ROOM", "Gains", "InhibitorySums", "PopulationUnit", "equal_gain"]

#: Beats in the pipeline and in the queue behind it: more than are under way there, at a beat a cycle.
ROOM = 16


def equal_gain(g_i: np.ndarray) -> int | None:
    """What all gains of a layer are, if that is a power of two, or zero: a second sum is the first, shifted."""
    return int(g_i[0]) if len(set(g_i.tolist())) == 1 and int(g_i[0]).bit_count() <= 1 else None


class PopulationUnit(wiring.Component):
    """``bal = a * i_ee - w_ei i_ie`` and ``d = w_ei (g_i * i_ie)``, ``neuron_lanes`` E neurons at a time.

    For each group of E neurons the I population comes by, ``population_lanes`` of them a cycle: ``cycles`` cycles
    a time step in all, during which the synapse stage works on the next step. Currents are taken while the last
    word of the step before is under way, so steps follow each other without a gap. Latency from the currents to the
    first beat: ``latency`` cycles.

    Parameters
    ----------
    w_ei : (n_e, n_i) unsigned, ``inhibition_bits`` bits
    inhibition_bits : int, 1..8
    a : int, >= 1, or Register
        In a register, it can be filled anew, and so can ``w_ei`` and ``g_i`` (``hw.loadable``).
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
    """

    #: Registers that a product passes on its way, and two of the queue behind it: what they add to the latency.
    PIPELINE = 9

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
                raise ValueError(f"{name} of the population unit must be 1..{most}, not {lanes}")
        if (d is None) != (g_i is None):
            raise ValueError("the population unit takes d and g_i together, or neither of them")
        self.groups, self.chunks = ceil_div(n_e, neuron_lanes), ceil_div(n_i, population_lanes)
        self._a = a
        self._i_ee, self._i_ie, self._bal, self._d = shape_of(i_ee), shape_of(i_ie), shape_of(bal), d and shape_of(d)
        self._population_lanes, self._neuron_lanes = population_lanes, neuron_lanes
        #: Bits of the memory of ``w_ei``.
        self.memory_bits = self.cycles * neuron_lanes * population_lanes * inhibition_bits
        self._memory = packed_memory(self._words(w_ei), neuron_lanes * population_lanes, Format(inhibition_bits))
        loadable = isinstance(a, Register)
        self._gains = None if g_i is None else Gains(g_i, gain_i_bits, population_lanes, loadable=loadable)
        #: What can be filled anew.
        self.links = [self._memory, *(self._gains.links if self._gains else ()), a] if loadable else []
        fields = {"bal": bal} if d is None else {"bal": bal, "d": d}
        super().__init__(
            {
                "i": In(stream.Signature(accumulator_layout(i_ee, n_e, i_ie, n_i))),
                "o": Out(stream.Signature(frame_layout(neuron_lanes, **fields))),
                **load_ports(self.links),
            }
        )

    @property
    def cycles(self) -> int:
        """Cycles a time step."""
        return self.groups * self.chunks

    @property
    def latency(self) -> int:
        """Cycles from taking the currents to the first beat."""
        return self.chunks + self.PIPELINE

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The pipeline never stands still, or thousands of registers would hang on one signal: a group begins if there
        # is room for it behind the pipeline.
        m.submodules.beats = beats = CreditQueue(self.o.p.shape(), ROOM)
        wiring.connect(m, beats.o, wiring.flipped(self.o))

        delay = pipeline(m, Const(1))
        word, chunk = Signal(index_of(self.cycles)), Signal(index_of(self.chunks))
        i_ee, i_ie, issued = self._take(m, beats, word, chunk)
        m.submodules.w_ei = self._memory
        w_read: Any = self._memory.read_port()
        m.d.comb += w_read.addr.eq(word)

        # Step by step: currents and weights -> g_i * i_ie and a * i_ee -> three times that -> products -> sums of four
        # -> sums -> balance, denominator.
        sums = InhibitorySums(m, delay, i_ie=i_ie, chunk=chunk, gains=self._gains)
        chain_links(m, self)
        weights: Any = data.View(w_read.data.shape(), delay(w_read.data.as_value(), 2))
        flags: Any = data.View(issued.shape(), delay(issued.as_value(), sums.LATENCY, reset=True))
        for n, out in enumerate(beats.payload):
            row = [weights[n * self._population_lanes + k] for k in range(self._population_lanes)]
            inhibition, shunting = sums.of(row)
            base = delay(multiple(delay(i_ee[n]), value_of(self._a))[: self._bal.width], 5)
            bal = Signal(self._bal, name="bal", reset_less=True)
            m.d.comb += out.bal.eq(bal)
            with m.If(flags.valid):
                m.d.sync += bal.eq(Mux(flags.first, base, bal) - inhibition)
            if shunting is not None:
                assert self._d is not None
                d = Signal(self._d, name="d", reset_less=True)
                m.d.comb += out.d.eq(d)
                with m.If(flags.valid):
                    m.d.sync += d.eq(Mux(flags.first, 0, d) + shunting)
        m.d.comb += beats.arrived.eq(delay(flags.valid & flags.last, reset=True))
        return m

    def _take(self, m: Module, beats: CreditQueue, word: Signal, chunk: Signal) -> tuple[Any, Any, Any]:
        """Shadow registers of the currents, and the counters: a word of ``w_ei`` each cycle.

        Gives the ``i_ee`` of the group and the ``i_ie`` of the chunk whose turn it is, and whether there is one
        (``valid``), whether it is the group's ``first``, whether its ``last``.
        """
        issued: Any = Signal(data.StructLayout({"valid": 1, "first": 1, "last": 1}))
        busy, next_busy, next_word, next_chunk = Signal(), Signal(), Signal.like(word), Signal.like(chunk)
        next_ready, next_issued, next_last = Signal(), Signal(), Signal()
        m.d.comb += [
            issued.valid.eq(busy & beats.room),
            issued.first.eq(chunk == 0),
            issued.last.eq(chunk == self.chunks - 1),
            beats.begun.eq(issued.valid & issued.last),
            # All a cycle ahead: what stands before this unit waits for a register, and not for all that is behind it,
            # and the registers of the currents have copies of what moves them.
            next_word.eq(Mux(issued.valid, Mux(word == self.cycles - 1, 0, word + 1), word)),
            next_chunk.eq(Mux(issued.valid, Mux(issued.last, 0, chunk + 1), chunk)),
            next_busy.eq(Mux(self.i.ready, self.i.valid, busy)),
            next_issued.eq(next_busy & beats.next_room),
            next_last.eq(next_issued & (next_chunk == self.chunks - 1)),
            next_ready.eq(~next_busy | (next_issued & (next_word == self.cycles - 1))),
        ]
        ready = Signal(init=1)
        m.d.comb += self.i.ready.eq(ready)
        m.d.sync += [word.eq(next_word), chunk.eq(next_chunk), busy.eq(next_busy), ready.eq(next_ready)]
        i_ee, i_ie = self.i.p.i_ee.as_value(), self.i.p.i_ie.as_value()
        group = data.ArrayLayout(self._i_ee, self._neuron_lanes)
        head = shadow(m, i_ee, width=group.size, words=self.groups, load=next_ready, shift=next_last)
        part = data.ArrayLayout(self._i_ie, self._population_lanes)
        turn = shadow(m, i_ie, width=part.size, words=self.chunks, load=next_ready, shift=next_issued, rotate=True)
        return data.View(group, head), data.View(part, turn), issued

    def _words(self, w_ei: np.ndarray) -> np.ndarray:
        """A row for each chunk of each group: ``population_lanes`` weights of each neuron of the group."""
        n, p = self._neuron_lanes, self._population_lanes
        n_e, n_i = w_ei.shape
        filled = np.pad(w_ei, ((0, self.groups * n - n_e), (0, self.chunks * p - n_i)))
        words = filled.reshape(self.groups, n, self.chunks, p).transpose(0, 2, 1, 3)
        return words.reshape(self.cycles, n * p)


class Gains:
    """The gains of the I population: a memory, or, where they are equal and a power of two (or zero), that ``factor``.

    Parameters
    ----------
    g_i : (n_i,) unsigned, ``bits`` bits
    lanes : int, >= 1
        I neurons of a chunk.
    loadable : bool
        They can be filled anew, and so are in a memory.
    """

    def __init__(self, g_i: np.ndarray, bits: int, lanes: int, *, loadable: bool) -> None:
        self.factor = None if loadable else equal_gain(g_i)
        self.memory = None if self.factor is not None else packed_memory(g_i[None], lanes, Format(bits))
        #: What can be filled anew.
        self.links = [self.memory] if loadable else []


class InhibitorySums:
    """Of a chunk of the I population ``sum_k w[k] * i_ie[k]`` and ``sum_k w[k] * g_i[k] * i_ie[k]``, in a pipeline.

    Gains that are one factor need no second sum.

    Parameters
    ----------
    m : Module
        Gets the registers, and the memory of the gains.
    delay : Delay
        Of a pipeline that never stands still.
    i_ie : array of the currents of a chunk
    chunk : Value
        Which chunk they are of.
    gains : Gains, or None in a readout, which has no second sum
    """

    #: Cycles from the currents to their sums; the weights come half-way.
    LATENCY = 6

    def __init__(self, m: Module, delay: Delay, *, i_ie: Any, chunk: Value, gains: "Gains | None") -> None:
        self._delay = delay
        arrived = [delay(i) for i in i_ie]
        populations = [[delay(i) for i in arrived]]
        #: What the first sum, times this, is the second one; None if it is not so.
        self._factor = gains.factor if gains else None
        if gains is not None and gains.memory is not None:
            m.submodules.g_i = gains.memory
            read: Any = gains.memory.read_port()
            m.d.comb += read.addr.eq(chunk)
            gained = [narrow_product(g, i, multiple(i, 3)) for g, i in zip(read.data, arrived, strict=True)]
            populations.append([delay(value) for value in gained])
        self._multiples = [[(delay(i), delay(multiple(i, 3))) for i in population] for population in populations]

    def of(self, row: Sequence[Value]) -> tuple[Value, Value | None]:
        """The sums for one E neuron; of its ``row`` of weights those of the chunk, three cycles after the currents."""
        first, *second = (self._sum(row, population) for population in self._multiples)
        if self._factor is not None:
            return first, multiple(first, self._factor)
        return first, second[0] if second else None

    def _sum(self, row: Sequence[Value], population: Sequence[tuple[Value, Value]]) -> Value:
        delay = self._delay
        products = [delay(narrow_product(w, *multiples)) for w, multiples in zip(row, population, strict=True)]
        return delay(tree([delay(part) for part in reduce_levels(products, add, 2)], add))
