"""The serialiser: what stands in the place of the population unit in a layer without inhibition."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import accumulator_layout, frame_layout, index_of, shape_of
from hw.loadable import Register, chain_links, load_ports, value_of
from hw.packing import ceil_div
from quant.formats import Format

__all__ = ["Serialiser"]


class Serialiser(wiring.Component):
    """``bal = a * i_ee``, ``lanes`` neurons at a time.

    All currents of a time step come in one beat, and leave in ``cycles`` beats, a beat a cycle, during which the
    synapse stage works on the next step. Currents are taken while the last beat of the step before is under way,
    so steps follow each other without a gap. The first beat leaves ``LATENCY`` cycles after the currents were taken.

    Parameters
    ----------
    n : int, >= 1
        Neurons.
    lanes : int, 1..n
        Neurons in a beat.
    a : int, >= 1, or Register
        In a register, it can be filled anew (``hw.loadable``).
    i_ee, bal : Format

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from taking the currents to the first beat.
    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, n: int, lanes: int, a: int | Register, i_ee: Format, bal: Format) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the serialiser must be 1..{n}, not {lanes}")
        if isinstance(a, int) and a < 1:
            raise ValueError(f"a of the serialiser must be at least 1, not {a}")
        #: What can be filled anew.
        self.links = [a] if isinstance(a, Register) else []
        #: Cycles a time step.
        self.cycles = ceil_div(n, lanes)
        self._lanes, self._a, self._i_ee = lanes, a, shape_of(i_ee)
        super().__init__(
            {
                "i": In(stream.Signature(accumulator_layout(i_ee, n))),
                "o": Out(stream.Signature(frame_layout(lanes, bal=bal))),
                **load_ports(self.links),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chain_links(m, self)
        # Shadow registers of the currents, which shift by a beat a cycle.
        i_ee: Any = Signal(data.ArrayLayout(data.ArrayLayout(self._i_ee, self._lanes), self.cycles))
        beat, busy, advance = Signal(index_of(self.cycles)), Signal(), Signal()
        last = beat == self.cycles - 1
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(~busy | (last & advance))]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(busy)
            m.d.sync += [
                out.bal.eq(value_of(self._a) * current) for out, current in zip(self.o.p, i_ee[0], strict=True)
            ]
        with m.If(busy & advance):
            m.d.sync += [beat.eq(Mux(last, 0, beat + 1)), i_ee.eq(i_ee.as_value()[i_ee[0].shape().size :])]
        with m.If(self.i.ready):
            m.d.sync += [busy.eq(self.i.valid), i_ee.eq(self.i.p.i_ee.as_value())]
        return m
