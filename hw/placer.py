"""The placer: finds out where in a map's memory an event belongs."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.division import divide
from hw.geometry import Walk
from hw.layouts import event_layout, group_layout, index_of, place_layout

__all__ = ["EventPlacer"]

#: Beats that can wait in front of the stage: steps are unequal, and a sender should not stand still while a map is
#: in use. A memory block of 18 kbit holds so many, of up to 18 bits.
MOST_WAITING = 1024


class EventPlacer(wiring.Component):
    """From the index ``(y * width + x) * channels + channel`` of an event to the word and group of lanes of its input.

    Of a row-major source the index is ``((y * steps + step) * width + x) * channels + channel``. Where other sources'
    time steps are gathered together, their markers are counted, and only the last one goes on.

    Several values at once are neighbouring channels of a pixel, and come with one index, of so many.

    What no window sees, and what pooling drops at the edge, ends here. A beat a cycle, ``LATENCY`` cycles: a queue,
    division by the channels, and a table of the pixels.

    Parameters
    ----------
    walk : Walk
    value_bits : int, 1..8
        Bits of the value of an event.
    events : int, a divisor of the channels of the source and of the lanes of a word
        Values that come at once.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out: 2 in the queue, 1 each for division and table.
    LATENCY = 4

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, walk: Walk, value_bits: int, events: int = 1) -> None:
        if not 1 <= value_bits <= 8:
            raise ValueError(f"value_bits of the placer must be 1..8, not {value_bits}")
        if events < 1 or walk.source[2] % events or walk.lanes % events:
            raise ValueError(f"events of the placer must divide {walk.source[2]} and {walk.lanes}, not {events}")
        self._walk, self._events = walk, events
        indices, parts = walk.events // events, walk.lanes // events
        event = event_layout(indices, value_bits) if events == 1 else group_layout(indices, value_bits, events)
        super().__init__(
            {
                "i": In(stream.Signature(event)),
                "o": Out(stream.Signature(place_layout(walk.depth, parts, value_bits, events))),
            }
        )

    @staticmethod
    def depth(walk: Walk, events: int) -> int:
        """Beats that the queue holds."""
        return min(max(walk.events // events, 4), MOST_WAITING)

    @property
    def memory_bits(self) -> int:
        """Bits of the table of pixels."""
        return self.table_bits(self._walk)

    @staticmethod
    def table_bits(walk: Walk) -> int:
        """Bits of the table of pixels for a walk."""
        return walk.events // walk.source[2] * _entry(walk).size

    def elaborate(self, platform: object) -> Module:
        m = Module()
        walk, out = self._walk, self.o.p
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(
            width=self.i.p.shape().size, depth=self.depth(walk, self._events)
        )
        event: Any = data.View(self.i.p.shape(), queue.r_data)
        places = [{"word": place or 0, "kept": place is not None} for place in walk.places()]
        table: Any = Memory(shape=_entry(walk), depth=max(2, len(places)), init=places)
        m.submodules.pixels = table
        read = table.read_port()
        channels, lanes = walk.source[2] // self._events, walk.lanes // self._events
        pixel, channel = divide(event.index, channels)
        split: Any = Signal(data.StructLayout({"pixel": index_of(len(places)), "channel": index_of(channels)}))
        values = [Signal(len(Value.cast(event.value)), name=f"value{k}") for k in range(2)]
        valid, last = (Signal(2, name=name) for name in ("valid", "last"))
        found = Signal(split.channel.shape())
        word, group = divide(found, lanes) if walk.groups > 1 else (0, found)
        advance = Signal()
        step, ends = self._step(m, advance & valid[1] & last[1])
        m.d.comb += [
            self.o.valid.eq(valid[1] & Mux(last[1], ends, read.data.kept)),
            advance.eq(self.o.ready | ~self.o.valid),
            queue.w_data.eq(self.i.p),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            queue.r_en.eq(advance),
            read.addr.eq(split.pixel),
            read.en.eq(advance),
            out.word.eq(read.data.word + word + step),
            out.group.eq(group),
            out.value.eq(values[1]),
            out.last.eq(last[1]),
        ]
        with m.If(advance):
            m.d.sync += [
                valid.eq(valid << 1 | queue.r_rdy),
                last.eq(last << 1 | event.last),
                split.pixel.eq(pixel),
                split.channel.eq(Mux(event.last, 0, channel)),
                found.eq(split.channel),
                values[0].eq(event.value),
                values[1].eq(values[0]),
            ]
        return m

    def _step(self, m: Module, marker: Value) -> tuple[Value, Value]:
        """Where the maps of the time step begin whose marker has not passed, and whether it is the last one."""
        walk = self._walk
        if walk.markers == 1:
            return Const(0), Const(1)
        first = Signal(index_of(walk.depth))
        ends = first == walk.depth - walk.map_words
        with m.If(marker):
            m.d.sync += first.eq(Mux(ends, 0, first + walk.map_words))
        return first, ends


def _entry(walk: Walk) -> data.StructLayout:
    """What the table has of a pixel: the first word that it belongs to, if some window sees it."""
    return data.StructLayout({"word": index_of(walk.depth), "kept": 1})
