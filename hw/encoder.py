"""The event encoder: the spikes of a time step as events, one neuron after the other, and then the marker."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import event_layout, frame_layout, index_of
from hw.packing import ceil_div
from hw.skid import Skid
from quant.formats import Format

__all__ = ["EventEncoder", "index_bits"]


class EventEncoder(wiring.Component):
    """Sends an event for each spike, in the order of the neurons, and after the last beat of a frame the marker.

    An event a cycle. A beat without spikes takes one cycle, one with ``k`` spikes ``k`` cycles, and a
    frame one more for its marker, except that it replaces the cycle of a silent last beat: see ``cycles``.

    Parameters
    ----------
    n : int, >= 1
        Neurons.
    lanes : int, 1..n
        Neurons in a beat.
    membrane : Format
        Of the membrane potential, which comes along with the spike, and ends here.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, n: int, lanes: int, membrane: Format) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the event encoder must be 1..{n}, not {lanes}")
        self._n, self._lanes, self._beats = n, lanes, ceil_div(n, lanes)
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, v=membrane, spike=Format(1)))),
                "o": Out(stream.Signature(event_layout(n, 1))),
            }
        )

    @staticmethod
    def cycles(spikes_of_beats: list[int]) -> int:
        """Cycles that a frame takes whose beats have so many spikes."""
        *others, last = spikes_of_beats
        return sum(max(1, spikes) for spikes in others) + last + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Or the stages before would wait for all that a spike waits for, in the same cycle.
        m.submodules.skid = skid = Skid(self.i.p.shape())
        wiring.connect(m, wiring.flipped(self.i), skid.i)
        pending = Signal(self._lanes)  # spikes of the beat that are still to be sent
        closing = Signal()  # the beat was its frame's last, the marker is still to be sent
        first, next_first = Signal(index_of(self._n)), Signal(index_of(self._n))  # neuron of the beat, and of the next
        lowest, others = Signal(self._lanes), Signal(self._lanes)
        sent, done = Signal(), Signal()
        lane = [lowest_bit.any() for lowest_bit in index_bits(lowest)]
        out: Any = self.o.p
        m.d.comb += [
            lowest.eq(pending & -pending),
            others.eq(pending & (pending - 1)),
            out.last.eq(~pending.any()),
            out.value.eq(1),
            out.index.eq(first + Cat(*lane)),
            self.o.valid.eq(pending.any() | closing),
            sent.eq(self.o.valid & self.o.ready),
            done.eq(~self.o.valid | (sent & (out.last | ~(closing | others.any())))),
            skid.o.ready.eq(done),
        ]
        with m.If(sent):
            m.d.sync += pending.eq(others)
            with m.If(out.last):
                m.d.sync += closing.eq(0)
        with m.If(done & skid.o.valid):
            last_beat = next_first == (self._beats - 1) * self._lanes
            m.d.sync += [
                pending.eq(Cat(neuron.spike for neuron in skid.o.p)),
                closing.eq(last_beat),
                first.eq(next_first),
                next_first.eq(Mux(last_beat, 0, next_first + self._lanes)),
            ]
        return m


def index_bits(one_hot: Signal) -> list[Value]:
    """For each bit of an index, the places of ``one_hot`` whose index has it set."""
    places = range(len(one_hot))
    return [Cat(one_hot[k] for k in places if k >> bit & 1) for bit in range((len(one_hot) - 1).bit_length())]
