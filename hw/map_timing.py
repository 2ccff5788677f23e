"""When beats pass: of the components of a layer with a map, and of those between layers (see ``hw.timing``).

The splitter keeps beats back: of a column's words, until the one that ends it has come, or until there is no room. A
later word can send with an earlier one of another part, but nothing goes past a column's end.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from hw.accumulator import QUEUE_LATENCY
from hw.credits import queue_latency
from hw.geometry import Walk
from hw.placer import EventPlacer
from hw.scanner import MapScanner
from hw.splitter import QUEUE_DEPTH as WORDS_WAITING
from hw.synapses import products_latency
from hw.timing import NEVER, CreditTiming, EventTiming, RigidTiming, SynapseQueueTiming, Take, history
from hw.window_accumulator import WindowAccumulator

__all__ = ["ForkTiming", "MergeTiming", "PlacerTiming", "ScannerTiming", "SplitterTiming", "WindowTiming"]


class PlacerTiming:
    """``EventPlacer``: a queue, and a pipeline that stands still with the scanner.

    Parameters
    ----------
    walk : Walk
    at_once : int
        Values that come together.
    kept : iterator of bool
        Of every event that will come, whether it goes on: what no window sees ends at the end of the pipeline.
    taker : EventTiming
    """

    def __init__(self, walk: Walk, at_once: int, kept: Iterator[bool], taker: EventTiming) -> None:
        self._kept, self._taker, self._left_queue = kept, taker, history(EventPlacer.depth(walk, at_once))
        self._markers, self._step = walk.markers, 0
        self._pipeline = RigidTiming(EventPlacer.LATENCY - QUEUE_LATENCY, self._leave)
        self._is_marker = False

    def _leave(self, offered: int) -> int:
        if self._is_marker:
            self._step = (self._step + 1) % self._markers
            return offered if self._step else self._taker.marker(offered)
        return self._taker.event(offered) if next(self._kept) else offered

    def _take(self, offered: int) -> int:
        came = max(offered, self._left_queue[0] + 1)
        self._left_queue.append(self._pipeline.take(max(came + QUEUE_LATENCY, self._left_queue[-1] + 1)))
        return came

    def event(self, offered: int) -> int:
        """An event."""
        self._is_marker = False
        return self._take(offered)

    def marker(self, offered: int) -> int:
        """The end of a time step."""
        self._is_marker = True
        return self._take(offered)


class ScannerTiming:
    """``MapScanner``: takes nothing from a marker until the map is free to be visited; then its words leave.

    Parameters
    ----------
    walk : Walk
    taker : Take
        Of the words.
    """

    def __init__(self, walk: Walk, taker: Take) -> None:
        self._words, self._turns, self._taker, self._turn = walk.steps * walk.visits // walk.turns, walk.turns, taker, 0
        self._free = walk.depth  # the first cycle in which both memories are zero
        #: When the last word was read from the map, and when it was taken.
        self._read = self._taken = NEVER

    def event(self, offered: int) -> int:
        """An event, into the map that is being gathered."""
        return max(offered, self._free)

    def marker(self, offered: int) -> int:
        """The end of a time step: the maps change places when the other one has been read."""
        came = max(offered, self._free)
        self._free = max(came, self._read) + 2
        return came

    def work(self) -> None:
        """A visit of what has been gathered: of a time step, or of all row by row; the next follows without a pause."""
        word = self._taken if self._turn else max(self._free + MapScanner.LATENCY - 3, self._taken)
        self._turn = (self._turn + 1) % self._turns
        for _ in range(self._words):
            self._read = word
            word = self._taker(word + 1)
        self._taken = word


class _PartTiming:
    """A part of the splitter: its words wait in a queue, and leave it when all of the one before has been sent."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int, bool]] = deque()
        self._left_queue = history(WORDS_WAITING)
        #: What is to be sent of the word that has left the queue last.
        self.events, self._closing = 0, False
        #: The cycle from which on this is offered, or, with nothing to send, from which on the next word may leave.
        self.ready = NEVER

    @property
    def full(self) -> bool:
        """Whether another word has to wait for something that has not been sent."""
        return len(self._waiting) == WORDS_WAITING

    @property
    def room(self) -> int:
        """When another word may come, if the part is not full."""
        return self._left_queue[len(self._waiting)] + 1

    def put(self, came: int, events: int, last: bool) -> None:
        """A word with so many events of the part; the last one of a column has the marker behind it."""
        self._waiting.append((came + QUEUE_LATENCY, events, last))
        if not (self.events or self._closing):
            self._load()

    def send(self, cycle: int) -> None:
        """An event or the marker leaves."""
        if self.events:
            self.events -= 1
        else:
            self._closing = False
        if self.events or self._closing:
            self.ready = cycle + 1
        else:
            self.ready = cycle
            if self._waiting:
                self._load()

    def _load(self) -> None:
        offered, self.events, self._closing = self._waiting.popleft()
        left = max(offered, self.ready)
        self._left_queue.append(left)
        self.ready = left + 1


class SplitterTiming:
    """``WordSplitter``: parts that each send an event a cycle into the register at the end.

    Parameters
    ----------
    words : int
        Of a column.
    counts : iterator of sequences of int
        Of every word that will come, its events of each part.
    parts : int
    taker : EventTiming
    """

    def __init__(self, words: int, counts: Iterator[Sequence[int]], parts: int, taker: EventTiming) -> None:
        self._words, self._counts, self._taker = words, counts, taker
        self._parts = [_PartTiming() for _ in range(parts)]
        self._word, self._taken = 0, NEVER

    def take(self, offered: int) -> int:
        """A word: it passes where no part is full."""
        counts, came = next(self._counts), offered
        for part in self._parts:
            while part.full:
                self._send()
            came = max(came, part.room)
        self._word += 1
        last = self._word == self._words
        for part, events in zip(self._parts, counts, strict=True):
            if events or last:
                part.put(came, events, last)
        if last:
            self._word = 0
            while self._send():
                pass
        return came

    def _send(self) -> bool:
        """The next beat: an event of each part that has one by then, and otherwise the marker, which gives false."""
        sending = [part for part in self._parts if part.events]
        if not sending:
            cycle = max(self._taken, *[part.ready for part in self._parts])
            for part in self._parts:
                part.send(cycle)
            self._taken = self._taker.marker(cycle + 1)
            return False
        cycle = max(self._taken, min([part.ready for part in sending]))
        for part in sending:
            if part.ready <= cycle:
                part.send(cycle)
        self._taken = self._taker.event(cycle + 1)
        return True


class WindowTiming(SynapseQueueTiming):
    """``WindowAccumulator``: a marker takes a cycle, but waits for room for its currents.

    Parameters
    ----------
    walk : Walk
    words : int
    events : int
        That come at once.
    currents : Take
    """

    def __init__(self, walk: Walk, words: int, events: int, currents: Take) -> None:
        super().__init__(words)
        self._columns, self._discarded, self._column = walk.columns, walk.discarded, 0
        room = WindowAccumulator.room(walk)
        self._currents, self._latency = CreditTiming(room, currents), products_latency(events) + queue_latency(room)

    def marker(self, offered: int) -> int:
        """The end of a column, which finishes an output, but for the first ones of a row."""
        came, begun = self._come(offered)
        if self._column >= self._discarded:
            begun = self._currents.room(begun)
            self._currents.put(begun + self._latency)
        self._leave(begun)
        self._column = (self._column + 1) % self._columns
        return came


class ForkTiming:
    """``EventFork``: a beat passes when all takers have it."""

    def __init__(self, takers: Sequence[EventTiming]) -> None:
        self._takers = takers

    def event(self, offered: int) -> int:
        """A beat of events."""
        return max([taker.event(offered) for taker in self._takers])

    def marker(self, offered: int) -> int:
        """The end of a time step."""
        return max([taker.marker(offered) for taker in self._takers])


class MergeTiming:
    """``EventMerge``: a beat passes when its source has its turn, which ends with the marker."""

    def __init__(self, inputs: int, taker: EventTiming) -> None:
        self._taker, self._turn, self._since = taker, 0, NEVER
        #: What takes the events of each source.
        self.inputs = [_MergeInput(self, k) for k in range(inputs)]

    def event(self, source: int, offered: int) -> int:
        """A beat of events of a source."""
        assert source == self._turn
        return self._taker.event(max(offered, self._since))

    def marker(self, source: int, offered: int) -> int:
        """The end of a time step of a source; that of the last source goes on."""
        assert source == self._turn
        passed = max(offered, self._since)
        self._turn += 1
        if self._turn == len(self.inputs):
            self._turn = 0
            passed = self._taker.marker(passed)
        self._since = passed + 1
        return passed


class _MergeInput:
    """One source's end of a merge."""

    def __init__(self, merge: MergeTiming, source: int) -> None:
        self._merge, self._source = merge, source

    def event(self, offered: int) -> int:
        return self._merge.event(self._source, offered)

    def marker(self, offered: int) -> int:
        return self._merge.marker(self._source, offered)
