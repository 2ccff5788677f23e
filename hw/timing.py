"""When beats pass: of each component of a layer, the exact cycles, given those of its neighbours.

``take(cycle)`` offers a component a beat from that cycle on, which is later than the beat before, and gives the cycle
in which it passes. All that comes of a beat has been offered to the next component by then: what comes behind it in a
queue or a pipeline changes nothing about it. Only what comes of a whole time step waits, for ``work`` or ``repeat``, so
that steps go through one layer after the other: sums of several layers take their sources in that order. When something
passes is the latest of a few cycles, each some constants of the components after an earlier passage: when the beat
came, the component was free, there was room behind.

Components of a layer with a map, and those between layers, are in ``hw.map_timing``.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from hw.accumulator import QUEUE_DEPTH, QUEUE_LATENCY
from hw.credits import CreditQueue
from hw.divisive import DivisiveInhibition
from hw.global_inhibition import GlobalInhibition
from hw.lif import LIFCore
from hw.population import ROOM, PopulationUnit
from hw.readout import readout_latency
from hw.serialiser import Serialiser
from hw.skid import Skid
from hw.stabiliser import Stabiliser
from hw.synapses import products_latency

__all__ = [
    "NEVER",
    "CreditTiming",
    "DivisiveTiming",
    "EncoderTiming",
    "EventTiming",
    "GlobalTiming",
    "LIFTiming",
    "PopulationTiming",
    "ReadoutTiming",
    "ReplayTiming",
    "RigidTiming",
    "SerialiserTiming",
    "StabiliserTiming",
    "SynapseQueueTiming",
    "SynapseTiming",
    "Take",
    "history",
]

Take = Callable[[int], int]


class EventTiming(Protocol):
    """What takes the events of a source: beats of two kinds."""

    def event(self, offered: int) -> int:
        """A beat of events."""

    def marker(self, offered: int) -> int:
        """The end of a time step."""


#: The cycle of what has not happened yet.
NEVER = -(1 << 62)


def history(beats: int) -> deque[int]:
    """The cycles of the last ``beats`` passages, the earliest first."""
    return deque([NEVER] * beats, beats)


class RigidTiming:
    """A pipeline that stands still as a whole while its last beat is not taken: gaps between beats stay gaps.

    ``FloorStabiliser``, ``Scaling``, and part of others.
    """

    def __init__(self, length: int, taker: Take) -> None:
        self._length, self._taker = length, taker
        #: In which cycles it stood still, from and to before, as far as that matters to what comes.
        self._stalls: deque[tuple[int, int]] = deque()
        #: When the last beat reached the end.
        self.offered = NEVER

    def take(self, offered: int) -> int:
        """A beat comes when nothing stands still, and reaches the end ``length`` cycles later in which nothing did."""
        stalls, taken = self._stalls, offered
        while stalls and stalls[0][1] <= taken:
            stalls.popleft()
        if stalls and stalls[0][0] <= taken:
            taken = stalls.popleft()[1]
        self.offered = taken + self._length
        for start, end in stalls:
            self.offered += end - start
        left = self._taker(self.offered)
        if left > self.offered:
            stalls.append((self.offered, left))
        return taken


class CreditTiming:
    """``CreditQueue`` with the pipeline before it."""

    def __init__(self, depth: int, taker: Take) -> None:
        self._taker, self._left = taker, history(depth)

    def room(self, cycle: int) -> int:
        """When one more beat may begin, from a cycle on."""
        return max(cycle, self._left[0] + CreditQueue.RETURN)

    def put(self, offered: int) -> None:
        """The beat that has begun comes out of the queue."""
        self._left.append(self._taker(max(offered, self._left[-1] + 1)))


class SynapseQueueTiming:
    """What synapse stages begin with: a queue; a beat of events is at its end for ``words`` cycles."""

    def __init__(self, words: int) -> None:
        self._words, self._left_queue = words, history(QUEUE_DEPTH)
        #: When the next beat may be at the end.
        self._free = NEVER

    def _come(self, offered: int) -> tuple[int, int]:
        """When a beat comes, and when it is at the end."""
        came = max(offered, self._left_queue[0] + 1)
        return came, max(came + QUEUE_LATENCY, self._free)

    def _leave(self, cycle: int) -> None:
        self._left_queue.append(cycle)
        self._free = cycle + 1

    def event(self, offered: int) -> int:
        """A beat of events."""
        came, begun = self._come(offered)
        self._leave(begun + self._words - 1)
        return came


class SynapseTiming(SynapseQueueTiming):
    """``SynapseAccumulator``: from a marker on nothing is taken from the queue until the currents have left."""

    def __init__(self, words: int, events: int, currents: Take) -> None:
        super().__init__(words)
        self._latency, self._currents = products_latency(events), currents

    def marker(self, offered: int) -> int:
        """The end of a time step."""
        came, begun = self._come(offered)
        self._leave(begun)
        return came

    def work(self) -> None:
        """The currents of the time step that has ended leave."""
        self._free = self._currents(self._left_queue[-1] + self._latency) + 1


class PopulationTiming:
    """``PopulationUnit``: a group of E neurons begins when there is room for it, and takes ``chunks`` cycles."""

    def __init__(self, chunks: int, groups: int, taker: Take) -> None:
        self._chunks, self._groups, self._beats = chunks, groups, CreditTiming(ROOM, taker)
        self._last_word = NEVER

    def take(self, offered: int) -> int:
        """The currents of a time step, not before the last word of the step before."""
        taken = word = max(offered, self._last_word)
        for _ in range(self._groups):
            word = self._beats.room(word + 1) + self._chunks - 1
            self._beats.put(word + PopulationUnit.PIPELINE)
        self._last_word = word
        return taken


class GlobalTiming:
    """``GlobalInhibition``: the I population first, then the E neurons, a group a cycle if there is room."""

    def __init__(self, chunks: int, groups: int, taker: Take) -> None:
        self._sum, self._groups, self._beats = chunks + GlobalInhibition.SUM, groups, CreditTiming(ROOM, taker)
        self._last_group = NEVER

    def take(self, offered: int) -> int:
        """The currents of a time step, after the last group of the step before."""
        taken = max(offered, self._last_group + 1)
        group = taken + self._sum
        for _ in range(self._groups):
            group = self._beats.room(group + 1)
            self._beats.put(group + GlobalInhibition.PIPELINE)
        self._last_group = group
        return taken


class SerialiserTiming:
    """``Serialiser``: a group a cycle into the register at its end."""

    def __init__(self, groups: int, taker: Take) -> None:
        self._groups, self._register = groups, RigidTiming(Serialiser.LATENCY - 1, taker)
        self._last_group = NEVER

    def take(self, offered: int) -> int:
        """The currents of a time step, not before the last group of the step before."""
        taken = group = max(offered, self._last_group)
        for _ in range(self._groups):
            group = self._register.take(group + 1)
        self._last_group = group
        return taken


class StabiliserTiming:
    """``Stabiliser``: a beat with a zero waits for the last one of the frame, as the last does; others do not.

    Parameters
    ----------
    beats : int
        Of a frame.
    zeros : iterator of bool
        Of every beat that will come, whether one of its denominators is zero.
    taker : Take
    """

    def __init__(self, beats: int, zeros: Iterator[bool], taker: Take) -> None:
        self._beats, self._zeros, self._leaving = beats, zeros, RigidTiming(Stabiliser.LEAVING, taker)
        self._left_store = history(Stabiliser.depth(beats))
        #: Of the beats in the store, when they could leave it, and whether they wait for the last one.
        self._stored: deque[tuple[int, bool]] = deque()
        self._beat = 0

    def take(self, offered: int) -> int:
        """A beat of a frame, if there is room in the store."""
        taken = max(offered, self._left_store[len(self._stored)] + 1)
        self._beat += 1
        last = self._beat == self._beats
        self._stored.append((taken + Stabiliser.PASSING - Stabiliser.LEAVING, next(self._zeros) or last))
        if last:
            self._beat = 0
        known = taken + Stabiliser.LATENCY - Stabiliser.LEAVING
        while self._stored and (last or not self._stored[0][1]):
            could, waits = self._stored.popleft()
            left = max(self._left_store[-1] + 1, known if waits else could)
            self._left_store.append(self._leaving.take(left))
        return taken


class DivisiveTiming:
    """``DivisiveInhibition``: never stands still; a beat comes when there is room behind it."""

    def __init__(self, taker: Take) -> None:
        self._beats = CreditTiming(DivisiveInhibition.ROOM, taker)

    def take(self, offered: int) -> int:
        """A beat."""
        taken = self._beats.room(offered)
        self._beats.put(taken + DivisiveInhibition.LATENCY)
        return taken


class ReplayTiming:
    """``Replay``: a frame passes as it comes, then again from memory; the next one waits for that.

    When is said, by ``repeat``, after the step before has gone through all layers; a frame of a row is repeated
    ``at_once`` times, since all time steps go to the next layer together.
    """

    def __init__(self, beats: int, taker: Take, at_once: int = 0) -> None:
        self._beats, self._taker, self._last = beats, taker, NEVER
        self._at_once, self._beat = at_once, 0

    def take(self, offered: int) -> int:
        """A beat of a frame."""
        taken = self._last = self._taker(max(offered, self._last + 1))
        self._beat = (self._beat + 1) % self._beats
        if self._beat == 0:
            for _ in range(self._at_once):
                self.repeat()
        return taken

    def repeat(self) -> None:
        """The frame that has come, once more."""
        for _ in range(self._beats):
            self._last = self._taker(self._last + 1)


class LIFTiming:
    """``LIFCore``: a potential is not read before that of the step before is written, as it reaches the end."""

    def __init__(self, beats: int, taker: Take) -> None:
        self._pipeline, self._written = RigidTiming(LIFCore.LATENCY, taker), history(beats)

    def take(self, offered: int) -> int:
        """A beat of a frame."""
        taken = self._pipeline.take(max(offered, self._written[0]))
        self._written.append(self._pipeline.offered)
        return taken


class EncoderTiming:
    """``EventEncoder``: a cycle for each beat of events, for a beat without spikes, and for the marker.

    Parameters
    ----------
    beats : int
        Of a frame.
    spikes : iterator of int
        Of every beat that will come, the beats of events that it becomes.
    taker : EventTiming
    """

    def __init__(self, beats: int, spikes: Iterator[int], taker: EventTiming) -> None:
        self._beats, self._spikes, self._taker = beats, spikes, taker
        self._left_skid = history(2)  # the skid has room for two
        self._beat, self._done = 0, NEVER

    def take(self, offered: int) -> int:
        """A beat of a frame."""
        taken = max(offered, self._left_skid[0] + 1)
        loaded = sent = max(taken + Skid.LATENCY, self._done)
        self._left_skid.append(loaded)
        for _ in range(next(self._spikes)):
            sent = self._taker.event(sent + 1)
        self._beat += 1
        if self._beat == self._beats:
            self._beat = 0
            sent = self._taker.marker(sent + 1)
        self._done = max(sent, loaded + 1)
        return taken


class ReadoutTiming:
    """``Readout``: nothing comes from the last of a sample's ``beats`` to its result, which is taken at once."""

    def __init__(self, beats: int, lanes: int) -> None:
        self._beats, self._latency = beats, readout_latency(lanes)
        self._beat, self._free = 0, NEVER
        #: The cycles of all results.
        self.results: list[int] = []

    def take(self, offered: int) -> int:
        """A beat of a frame."""
        taken = max(offered, self._free)
        self._beat += 1
        if self._beat == self._beats:
            self._beat = 0
            self.results.append(taken + self._latency)
            self._free = self.results[-1] + 1
        return taken
