"""The scanner: sums up the events of a step, or of several, in maps, and visits them window by window."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.geometry import Walk
from hw.layouts import index_of, place_layout, word_layout

__all__ = ["MapScanner"]


class MapScanner(wiring.Component):
    """Gathers a map of ``x``, then hands on its words in the order of ``walk``, while the next step's is gathered.

    With a walk over several steps, it gathers the maps of all of them, and a marker ends the last one.

    Values of events at the same place add up: this is what pooling and the sum of several layers are. Words come with
    their number in the column (``Walk.weight_rows``), also those that are zero. Each is zeroed
    with its last visit. Beats are taken at one a cycle; the marker takes 2 cycles, and waits until the step before
    is done with. Words leave at one a cycle, the first one ``LATENCY`` cycles after the marker came; they take
    ``cycles`` cycles. After a reset nothing is taken until both memories have been zeroed, a word of each a cycle.

    Parameters
    ----------
    walk : Walk
    value_bits : int, >= 1
        Bits of the value of an event.
    sum_bits : int, >= value_bits
        Bits of a sum.
    events : int, a divisor of the lanes of a word
        Neighbouring values that come at once.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from the marker's arrival to the first word of the map.
    LATENCY = 5

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, walk: Walk, value_bits: int, sum_bits: int, events: int = 1) -> None:
        if not 1 <= value_bits <= sum_bits:
            raise ValueError(f"value_bits of the scanner must be 1..{sum_bits}, not {value_bits}")
        if events < 1 or walk.lanes % events:
            raise ValueError(f"events of the scanner must divide {walk.lanes}, and {events} does not")
        self._walk, self._events = walk, events
        self._word = data.ArrayLayout(sum_bits, walk.lanes)
        super().__init__(
            {
                "i": In(stream.Signature(place_layout(walk.depth, walk.lanes // events, value_bits, events))),
                "o": Out(stream.Signature(word_layout(walk.column_words, walk.lanes, sum_bits))),
            }
        )

    @property
    def cycles(self) -> int:
        """Cycles from the first word of a visit to that of the next, if what it needs has been gathered."""
        return self._walk.steps * self._walk.visits + 3

    @property
    def memory_bits(self) -> int:
        """Bits of both memories."""
        return self.map_bits(self._walk, self._word.elem_shape)

    @staticmethod
    def map_bits(walk: Walk, sum_bits: int) -> int:
        """Bits of both memories for a walk."""
        return 2 * walk.depth * walk.lanes * sum_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.steps = steps = _Steps(self._walk)
        gathering, full, busy = Signal(), Signal(), Signal()  # which map; it waits to be visited; the other one is
        swap, scan_advance = full & ~busy, Signal()
        # A reset may have come while a map was in use.
        zeroed, zeroing = Signal(), Signal(index_of(self._walk.depth))
        with m.If(~zeroed):
            m.d.sync += [zeroing.eq(zeroing + 1), zeroed.eq(zeroing == self._walk.depth - 1)]
        m.d.comb += [steps.start.eq(swap), steps.advance.eq(scan_advance), busy.eq(steps.busy)]
        with m.If(swap):
            m.d.sync += gathering.eq(~gathering)

        # Gathering: read, and a cycle later add and write. A word that is just being written is read as it will be.
        adding: Any = Signal(self.i.p.shape())
        added, taken = Signal(), self.i.valid & self.i.ready
        m.d.comb += self.i.ready.eq(~full & zeroed)
        m.d.sync += [adding.eq(self.i.p), added.eq(taken & ~self.i.p.last)]
        with m.If(swap | taken):
            m.d.sync += full.eq(taken & self.i.p.last)

        # Visiting: address -> word, which is zeroed with the last visit -> out.
        visit: Any = Signal(steps.o.shape())
        visited, out_advance = Signal(), Signal()
        m.d.comb += [out_advance.eq(self.o.ready | ~self.o.valid), scan_advance.eq(out_advance | ~visited)]
        with m.If(scan_advance):
            m.d.sync += [visit.eq(steps.o), visited.eq(steps.valid)]

        halves = [self._map(m, name) for name in ("map0", "map1")]
        for half, (read, write) in enumerate(halves):
            gathers = gathering == half
            places = [divmod(k, self._events) for k in range(self._walk.lanes)]
            terms = [Mux(adding.group == group, adding.value[k], 0) for group, k in places]
            sums = [term + old for term, old in zip(terms, read.data, strict=True)]
            m.d.comb += [
                read.addr.eq(Mux(gathers, self.i.p.word, steps.o.word)),
                read.en.eq(Mux(gathers, taken, scan_advance)),
                write.addr.eq(Mux(zeroed, Mux(gathers, adding.word, visit.word), zeroing)),
                write.en.eq(Mux(gathers, added, visited & visit.clear & out_advance) | ~zeroed),
            ]
            m.d.comb += [new.eq(Mux(gathers & zeroed, total, 0)) for new, total in zip(write.data, sums, strict=True)]
        with m.If(out_advance):
            m.d.sync += [
                self.o.valid.eq(visited),
                self.o.p.word.eq(visit.number),
                self.o.p.last.eq(visit.last),
                self.o.p["values"].eq(Mux(gathering, halves[0][0].data.as_value(), halves[1][0].data.as_value())),
            ]
        return m

    def _map(self, m: Module, name: str) -> tuple[Any, Any]:
        """One of the two memories: its ports."""
        memory: Any = Memory(shape=self._word, depth=max(2, self._walk.depth), init=[])
        m.submodules[name] = memory
        write = memory.write_port()
        return memory.read_port(transparent_for=(write,)), write


class _Steps(wiring.Component):
    """The addresses of a walk, one each cycle in which ``advance`` is high, from the cycle after ``start`` on.

    ``busy`` falls when the last word has left the map.
    """

    start: Signal
    advance: Signal
    busy: Signal
    valid: Signal
    o: Any

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        super().__init__(
            {
                "start": In(1),
                "advance": In(1),
                "busy": Out(1),
                "valid": Out(1),
                "o": Out(
                    data.StructLayout(
                        {
                            "word": index_of(walk.depth),
                            "number": index_of(walk.column_words),
                            "last": 1,
                            "clear": 1,
                        }
                    )
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        walk = self._walk
        running, ending = Signal(), Signal(2)
        moved = running & self.advance
        ends, offsets = dict[str, Value](), list[Signal]()
        for level, (count, stride) in walk.levels.items():
            turn = Signal(index_of(count), name=level)
            offset = Signal(index_of(walk.depth), name=f"{level}_offset")
            ends[level] = end = turn == count - 1
            with m.If(moved):
                m.d.sync += [turn.eq(Mux(end, 0, turn + 1)), offset.eq(Mux(end, 0, offset + stride))]
            moved = moved & end
            offsets.append(offset)
            if level == "row":
                not_again = turn < walk.row_step if walk.row_step < walk.rows else Const(1)
        column_end = ends["group"] & ends["row"] & ends["phase"]
        all_ends = Cat(*ends.values()).all()
        number = Signal(self.o.number.shape())
        with m.If(running & self.advance):
            m.d.sync += number.eq(Mux(column_end, 0, number + 1))
            with m.If(all_ends):
                m.d.sync += running.eq(0)
        with m.If(self.advance):
            m.d.sync += [
                self.valid.eq(running),
                self.o.word.eq(sum(offsets[1:], offsets[0])),
                self.o.number.eq(number),
                self.o.last.eq(column_end),
                self.o.clear.eq(not_again | ends["output"]),
                ending.eq(ending << 1 | (running & all_ends)),
            ]
            with m.If(ending[1]):
                m.d.sync += self.busy.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), self.busy.eq(1)]
        return m
