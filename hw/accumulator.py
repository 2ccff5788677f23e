"""The synapse stage: turns the events of a time step into the excitatory and inhibitory input of every neuron."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import accumulator_layout, event_layout, index_of, window_layout
from hw.loadable import chain_links, load_ports
from hw.packing import ceil_div
from hw.pipeline import copies, pipeline
from hw.product import multiple
from hw.synapses import SynapseProducts, products_latency
from quant.formats import Format

__all__ = ["SynapseAccumulator", "synapse_latency"]

#: Events that wait in front of the stage, so that bursts of the sender do not stall it.
QUEUE_DEPTH = 16
#: Cycles from a beat's arrival to its turn there, if nothing is before it.
QUEUE_LATENCY = 2
#: Lanes whose accumulators share a copy of what clears and turns them (see ``hw.shadow.BLOCK``).
LANES_A_RESET = 64


def synapse_latency(events: int) -> int:
    """Cycles from a marker's arrival to the currents, where so many events come at once: queue, products."""
    return QUEUE_LATENCY + products_latency(events)


class SynapseAccumulator(wiring.Component):
    """``i_ee[n] = sum_j w_ee[n, j] * x[j]`` and ``i_ie[m] = sum_j w_ie[m, j] * x[j]`` over the events of a step.

    An event ``(j, x)`` takes the row of weights of input ``j`` through ``lanes`` products, a word a cycle:
    ``words`` cycles. After the end-of-step marker the next event waits until all currents have left, in one beat, and
    then the accumulators start again at zero. A step of ``events`` events therefore takes ``cycles(events)``
    cycles, unless the taker of the currents is not ready. Latency from marker to currents: ``latency`` cycles.

    With more lanes than a row has synapses, a multiple, ``events`` events come in a beat, each of its own part of the
    inputs: lane ``k`` is input ``events * index + k``, and a value of 0 is no event.

    The accumulators are a ring of words that turns by one word a cycle, so that no multiplexer is as wide as a
    row: the word at the head is the one whose weights arrive.

    Parameters
    ----------
    w_ee : (n_e, d), in the format ``synapse``
    w_ie : (n_i, d), likewise; ``n_i`` may be 0
    synapse : Format, 1..8 bits
        Signed in a layer without inhibition.
    value_bits : int, 1..8
        Bits of the value of an event: the input's, or 1 for spikes.
    i_ee, i_ie : Format
        Of the results; they must hold every sum that the weights allow.
    lanes : int, 1..n_e+n_i, or a multiple of that
        Synapses computed in a cycle.
    loadable : bool
        The weights can be filled anew (``hw.loadable``).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        w_ee: np.ndarray,
        w_ie: np.ndarray,
        synapse: Format,
        value_bits: int,
        i_ee: Format,
        i_ie: Format,
        lanes: int,
        loadable: bool = False,
    ) -> None:
        self.n_e, self.d = w_ee.shape
        self.n_i = w_ie.shape[0]
        row = self.n_e + self.n_i
        #: Events that come at once.
        self.events = max(1, lanes // row)
        if lanes < 1 or (lanes > row and (lanes % row or self.events > self.d)):
            raise ValueError(f"lanes of the synapse stage must be 1..{row}, or 2..{self.d} times that, not {lanes}")
        if w_ie.shape[1] != self.d:
            raise ValueError(f"w_ee has {self.d} inputs and w_ie {w_ie.shape[1]}")
        for name, bits in ("synapse bits", synapse.width), ("value_bits", value_bits):
            if not 1 <= bits <= 8:
                raise ValueError(f"{name} of the synapse stage must be 1..8, not {bits}")
        self.words, self._lanes = ceil_div(row, lanes), lanes // self.events
        rows = np.concatenate([w_ee, w_ie]).T
        tables = [rows[k :: self.events] for k in range(self.events)]
        self._products = SynapseProducts(
            tables=tables, lanes=self._lanes, synapse=synapse, value_bits=value_bits, loadable=loadable
        )
        #: What can be filled anew.
        self.links = [self._products] if loadable else []
        #: Of the memories of weights, one for each event of a beat, in the submodule ``row``.
        self.weight_names = self._products.names
        #: Cycles from the marker's arrival to the currents.
        self.latency = synapse_latency(self.events)
        #: Bits of the weight memory.
        self.memory_bits = self.d * self.words * self._lanes * synapse.width
        self._widths = [i_ee.width] * self.n_e + [i_ie.width] * self.n_i
        several = window_layout(ceil_div(self.d, self.events), value_bits, self.events)
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(self.d, value_bits) if self.events == 1 else several)),
                "o": Out(stream.Signature(accumulator_layout(i_ee, self.n_e, i_ie, self.n_i))),
                **load_ports(self.links),
            }
        )

    def cycles(self, events: int) -> int:
        """Cycles from one step's currents to the next step's, where the step has that many beats of events."""
        return events * self.words + self.latency - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=self.i.p.shape().size, depth=QUEUE_DEPTH)
        m.submodules.row = products = self._products
        chain_links(m, self)
        beat: Any = data.View(self.i.p.shape(), queue.r_data)
        events = [beat] if self.events == 1 else list(beat.events)
        word, issued, marker = Signal(index_of(self.words)), Signal(), Signal()
        waiting, taken = Signal(), Signal()
        last_word = word == self.words - 1
        m.d.comb += [
            queue.w_data.eq(self.i.p),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            issued.eq(queue.r_rdy & ~beat.last & ~waiting),
            marker.eq(queue.r_rdy & beat.last & ~waiting),
            queue.r_en.eq(marker | (issued & last_word)),
        ]
        for address, value, event in zip(products.addresses, products.values, events, strict=True):
            m.d.comb += [
                address.eq(multiple(event.index, self.words) + word),
                value.eq(Mux(issued, event.value, 0)),
            ]
        with m.If(issued):
            m.d.sync += word.eq(Mux(last_word, 0, word + 1))

        # Nothing follows a marker into the pipeline before the currents have left: it could not stand still.
        delay = pipeline(m, Const(1))
        finished = delay(marker, products.latency - 1, reset=True)
        m.d.sync += taken.eq(self.o.valid & self.o.ready)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), waiting.eq(0)]
        with m.Elif(finished):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(marker):
            m.d.sync += waiting.eq(1)

        groups = ceil_div(self._lanes, LANES_A_RESET)
        clear = copies(m, taken, groups)
        turn = copies(m, delay(issued, products.latency - 1, reset=True), groups)
        rings = self._rings(m, products.products, turn=turn, clear=clear)
        currents = [current for population, _ in self.o.p.shape() for current in self.o.p[population]]
        m.d.comb += [current.eq(rings[n % self._lanes][n // self._lanes]) for n, current in enumerate(currents)]
        return m

    def _rings(self, m: Module, products: Any, *, turn: Sequence[Value], clear: Sequence[Value]) -> list[Any]:
        """The accumulators of each lane; element 0 is the head, to which the product is added as the ring turns.

        ``turn`` and ``clear`` have a copy for each ``LANES_A_RESET`` lanes. With a word a row nothing has to turn, and
        the product of no event is zero.
        """
        rings = []
        for lane in range(self._lanes):
            width = max(self._widths[lane :: self._lanes])
            ring: Any = Signal(data.ArrayLayout(unsigned(width), self.words), name=f"ring_{lane}")
            total = (ring[0] + products[lane])[:width]
            with m.If(clear[lane // LANES_A_RESET]):
                m.d.sync += ring.eq(0)
            with m.Elif(turn[lane // LANES_A_RESET] if self.words > 1 else 1):
                m.d.sync += ring.eq(Cat(ring.as_value()[width:], total))
            rings.append(ring)
        return rings
