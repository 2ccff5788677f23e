"""The synapse stage of a convolution: turns the events of a window's columns into the input of every neuron."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import LANES_A_RESET, QUEUE_DEPTH
from hw.credits import CreditQueue
from hw.geometry import Walk
from hw.layouts import accumulator_layout, index_of, window_layout
from hw.loadable import chain_links, load_ports
from hw.packing import ceil_div
from hw.pipeline import copies, pipeline
from hw.product import multiple
from hw.synapses import SynapseProducts
from quant.formats import Format

__all__ = ["WindowAccumulator"]

#: Finished pixels on their way, and waiting: more than are under way, at one a cycle. A layer of one pixel has one.
ROOM = 16


class WindowAccumulator(wiring.Component):
    """``i_ee[n] = sum_j w_ee[n, j] * x[j]`` and ``i_ie`` likewise, of the neurons of one pixel after the other.

    The ``walk.taps`` outputs that a column contributes to stand side by side, with accumulators for all their neurons.
    An event ``(j, x)`` of a column takes its row of weights to all of them through ``lanes`` products, a word a
    cycle: ``words`` cycles. With more lanes than a row has synapses, ``events`` events come in a beat, each
    from its own part of the inputs (``WordSplitter``). The marker that ends the column takes one cycle: the currents
    of the output that is finished leave in one beat, and what the others have moves up. A column of so many beats of
    events therefore takes ``cycles(beats)`` cycles, unless the taker of the currents is not ready. The first
    ``walk.discarded`` columns of a row finish nothing. Latency from marker to currents: ``latency`` cycles.

    Parameters
    ----------
    walk : Walk
    w_ee : (n_e, d), in the format ``synapse``
    w_ie : (n_i, d), likewise; ``n_i`` may be 0
    synapse : Format, 1..8 bits
        Signed in a layer without inhibition.
    value_bits : int, >= 1
        Bits of the value of an event: of the pooled input.
    i_ee, i_ie : Format
        Of the results; they must hold every sum that the weights allow.
    lanes : int, 1..taps*(n_e+n_i), or a multiple of that
        Synapses computed in a cycle; the multiple is a divisor of ``walk.lanes``.
    loadable : bool
        The weights can be filled anew (``hw.loadable``).

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        walk: Walk,
        w_ee: np.ndarray,
        w_ie: np.ndarray,
        synapse: Format,
        value_bits: int,
        i_ee: Format,
        i_ie: Format,
        lanes: int,
        loadable: bool = False,
    ) -> None:
        n_e, n_i = len(w_ee), len(w_ie)
        row = walk.taps * (n_e + n_i)
        self.events = max(1, lanes // row)
        if lanes < 1 or (lanes > row and (lanes % row or walk.lanes % self.events)):
            raise ValueError(
                f"lanes of the window's synapse stage must be 1..{row}, or times a divisor of {walk.lanes}, not {lanes}"
            )
        if not 1 <= synapse.width <= 8:
            raise ValueError(f"synapse bits of the window's synapse stage must be 1..8, not {synapse.width}")
        if value_bits < 1:
            raise ValueError(f"value_bits of the window's synapse stage must be at least 1, not {value_bits}")
        self.words = ceil_div(row, lanes)
        rows = walk.weight_rows(np.concatenate([w_ee, w_ie]))
        tables = [rows[walk.part_rows(part, self.events)] for part in range(self.events)]
        self._walk, self._lanes = walk, lanes // self.events
        self._products = SynapseProducts(
            tables=tables, lanes=self._lanes, synapse=synapse, value_bits=value_bits, loadable=loadable
        )
        #: What can be filled anew.
        self.links = [self._products] if loadable else []
        currents = accumulator_layout(i_ee, n_e, i_ie, n_i)
        self._finished = CreditQueue(currents, self.room(walk))
        #: Of the memories of weights, one for each event of a beat, in the submodule ``row``.
        self.weight_names = self._products.names
        #: Bits of these memories.
        self.memory_bits = len(rows) * self.words * self._lanes * synapse.width
        #: Cycles from a marker's arrival to the currents: 2 in the queue, the products, the queue behind them.
        self.latency = 2 + self._products.latency + self._finished.latency
        self._widths = [i_ee.width] * n_e + [i_ie.width] * n_i
        super().__init__(
            {
                "i": In(stream.Signature(window_layout(len(rows) // self.events, value_bits, self.events))),
                "o": Out(stream.Signature(currents)),
                **load_ports(self.links),
            }
        )

    @staticmethod
    def room(walk: Walk) -> int:
        """Pixels whose currents are on their way, or wait."""
        return 1 if walk.output == (1, 1) else ROOM

    def cycles(self, beats: int) -> int:
        """Cycles from one pixel's currents to the next pixel's, whose last column has that many beats of events."""
        return beats * self.words + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=self.i.p.shape().size, depth=QUEUE_DEPTH)
        m.d.comb += [
            queue.w_data.eq(self.i.p),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
        ]
        m.submodules.row = products = self._products
        chain_links(m, self)
        m.submodules.finished = finished = self._finished
        wiring.connect(m, finished.o, wiring.flipped(self.o))

        beat: Any = data.View(self.i.p.shape(), queue.r_data)
        word, issued, marker = Signal(index_of(self.words)), Signal(), Signal()
        last_word = word == self.words - 1
        counts, row_end = self._columns(m, marker)
        # The pipeline never stands still: a column ends if there is room for the currents that it finishes.
        may_end = finished.room if self._walk.discarded == 0 else finished.room | ~counts
        m.d.comb += [
            issued.eq(queue.r_rdy & ~beat.last),
            marker.eq(queue.r_rdy & beat.last & may_end),
            queue.r_en.eq(marker | (issued & last_word)),
            finished.begun.eq(marker & counts),
            *(
                address.eq(multiple(event.index, self.words) + word)
                for address, event in zip(products.addresses, beat.events, strict=True)
            ),
            *(value.eq(Mux(issued, event.value, 0)) for value, event in zip(products.values, beat.events, strict=True)),
        ]
        with m.If(issued):
            m.d.sync += word.eq(Mux(last_word, 0, word + 1))

        delay = pipeline(m, Const(1))
        turn, move, clear = (
            delay(flag, products.latency - 1, reset=True) for flag in (issued, marker, marker & row_end)
        )
        # A reset clears the accumulators in the way of the end of a row: it would have to reach all of them in a cycle.
        starting = Signal(init=1)
        m.d.sync += starting.eq(0)
        groups = ceil_div(self._lanes, LANES_A_RESET)
        flags = [copies(m, flag, groups) for flag in (turn, move, clear | starting)]
        totals = self._accumulate(m, products.products, *flags)
        currents = [current for population, _ in self.o.p.shape() for current in finished.payload[population]]
        m.d.comb += finished.arrived.eq(delay(marker & counts, products.latency, reset=True))
        m.d.comb += [current.eq(total) for current, total in zip(currents, totals, strict=True)]
        return m

    def _columns(self, m: Module, end: Value) -> tuple[Value, Value]:
        """Counts the columns of a row: whether this one finishes an output, and whether it is the last."""
        column = Signal(index_of(self._walk.columns))
        row_end = column == self._walk.columns - 1
        with m.If(end):
            m.d.sync += column.eq(Mux(row_end, 0, column + 1))
        # Not a comparison with zero, which linters remark.
        return column >= self._walk.discarded if self._walk.discarded else Const(1), row_end

    def _accumulate(
        self, m: Module, products: Any, turn: Sequence[Value], move: Sequence[Value], clear: Sequence[Value]
    ) -> list[Value]:
        """The accumulators, in a ring for each lane, at whose head the product is added as it turns.

        What they do has a copy for each ``LANES_A_RESET`` lanes.

        Between events the rings are home: accumulator ``k`` is element ``k // lanes`` of ring ``k % lanes``, and the
        first ones are those of the output that is finished: they are returned.
        """
        neurons = len(self._widths)
        total = self._walk.taps * neurons
        rings: list[Any] = []
        for lane in range(self._lanes):
            width = max(self._widths[k % neurons] for k in range(lane, total, self._lanes))
            rings.append(Signal(data.ArrayLayout(unsigned(width), self.words), name=f"ring_{lane}", reset_less=True))
        home = [rings[k % self._lanes][k // self._lanes] for k in range(self.words * self._lanes)]
        moved = [home[k + neurons] if k + neurons < total else 0 for k in range(len(home))]
        for lane, ring in enumerate(rings):
            width, group = ring[0].shape().width, lane // LANES_A_RESET
            with m.If(clear[group]):
                m.d.sync += ring.eq(0)
            with m.Elif(move[group]):
                m.d.sync += [ring[k].eq(moved[k * self._lanes + lane]) for k in range(self.words)]
            with m.Elif(turn[group]):
                m.d.sync += ring.eq(Cat(ring.as_value()[width:], (ring[0] + products[lane])[:width]))
        return home[:neurons]
