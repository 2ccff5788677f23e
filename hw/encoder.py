"""The event encoder: the spikes of a time step as events, one neuron after the other, and then the marker."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import event_layout, frame_layout, group_layout, index_of, window_layout
from hw.packing import ceil_div
from hw.skid import Skid
from quant.formats import Format

__all__ = ["EventEncoder", "index_bits"]


class EventEncoder(wiring.Component):
    """Sends an event for each spike, in the order of the neurons, and after the last beat of a frame the marker.

    An event a cycle. A beat without spikes takes one cycle, one with ``k`` spikes ``k`` cycles, and a
    frame one more for its marker, except that it replaces the cycle of a silent last beat: see ``cycles``. Several
    events at once are of every ``events``-th neuron: lane ``k`` is neuron ``events * index + k``, and a value of 0 is
    none; ``k`` is then the most of any of these parts. To maps goes all of a beat at once, with one index
    (``group_layout``), if it has spikes.

    Parameters
    ----------
    n : int, >= 1
        Neurons.
    lanes : int, 1..n
        Neurons in a beat.
    membrane : Format
        Of the membrane potential, which comes along with the spike, and ends here.
    events : int, a divisor of ``lanes``
        Sent at once.
    grouped : bool
        To maps; ``events`` are ``lanes`` then, two or more, and a divisor of ``n``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, n: int, lanes: int, membrane: Format, events: int = 1, grouped: bool = False) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the event encoder must be 1..{n}, not {lanes}")
        if events < 1 or lanes % events:
            raise ValueError(f"events of the event encoder must divide {lanes}, and {events} does not")
        if grouped and (events != lanes or n % lanes or lanes == 1):
            raise ValueError(
                f"events of a grouped encoder must be its lanes, {lanes}, more than one, and divide {n}, not {events}"
            )
        self._n, self._lanes, self._beats, self._events = n, lanes, ceil_div(n, lanes), events
        self._grouped, indices = grouped, ceil_div(n, events)
        if grouped:
            event = group_layout(indices, 1, lanes)
        else:
            event = event_layout(n, 1) if events == 1 else window_layout(indices, 1, events)
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, v=membrane, spike=Format(1)))),
                "o": Out(stream.Signature(event)),
            }
        )

    @staticmethod
    def cycles(spikes_of_beats: list[int]) -> int:
        """Cycles that a frame takes whose beats have so many spikes, or so many in the part that has most."""
        *others, last = spikes_of_beats
        return sum(max(1, spikes) for spikes in others) + last + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Or the stages before would wait for all that a spike waits for, in the same cycle.
        m.submodules.skid = skid = Skid(self.i.p.shape())
        wiring.connect(m, wiring.flipped(self.i), skid.i)
        groups = self._lanes // self._events
        parts = [Signal(groups, name=f"pending{k}") for k in range(self._events)]  # spikes that are still to be sent
        others = [part & (part - 1) for part in parts]
        pending = Cat(parts).any()
        closing = Signal()  # the beat was its frame's last, the marker is still to be sent
        first, next_first = (
            Signal(index_of(ceil_div(self._n, self._events))) for _ in range(2)
        )  # of this and next beat
        sent, done = Signal(), Signal()
        out: Any = self.o.p
        if self._grouped:
            m.d.comb += [out.index.eq(first), out.value.eq(Cat(parts))]
        else:
            for part, event in zip(parts, [out] if self._events == 1 else out.events, strict=True):
                self._offer(m, part, first, event)
        m.d.comb += [
            out.last.eq(~pending),
            self.o.valid.eq(pending | closing),
            sent.eq(self.o.valid & self.o.ready),
            done.eq(~self.o.valid | (sent & (out.last | ~(closing | Cat(others).any())))),
            skid.o.ready.eq(done),
        ]
        with m.If(sent):
            m.d.sync += [part.eq(other) for part, other in zip(parts, others, strict=True)]
            with m.If(out.last):
                m.d.sync += closing.eq(0)
        with m.If(done & skid.o.valid):
            last_beat = next_first == (self._beats - 1) * groups
            spikes = [neuron.spike for neuron in skid.o.p]
            m.d.sync += [
                *(part.eq(Cat(spikes[k :: self._events])) for k, part in enumerate(parts)),
                closing.eq(last_beat),
                first.eq(next_first),
                next_first.eq(Mux(last_beat, 0, next_first + groups)),
            ]
        return m

    def _offer(self, m: Module, part: Signal, first: Signal, event: Any) -> None:
        """The event is the first spike of a part that is still to be sent."""
        lowest = Signal(len(part))
        lane = [lowest_bit.any() for lowest_bit in index_bits(lowest)]
        m.d.comb += [
            lowest.eq(part & -part),
            event.index.eq(first + Cat(*lane)),
            event.value.eq(1 if self._events == 1 else part.any()),
        ]


def index_bits(one_hot: Signal) -> list[Value]:
    """For each bit of an index, the places of ``one_hot`` whose index has it set."""
    places = range(len(one_hot))
    return [Cat(one_hot[k] for k in places if k >> bit & 1) for bit in range((len(one_hot) - 1).bit_length())]
