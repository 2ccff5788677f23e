"""When beats pass: for each component of a layer without a map, the exact cycle of every transfer.

Each class stands for a component of the same name and repeats its choices, not its values. ``take(cycle)`` offers it a
beat from that cycle on, later than the beat before, and gives the cycle in which the beat passes. All that comes of the
beat has been offered to the next component by then: nothing that is behind a beat in a queue or pipeline changes what
becomes of it.
"""

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from hw.accumulator import QUEUE_DEPTH
from hw.credits import CreditQueue
from hw.divisive import DivisiveInhibition
from hw.floor import FloorStabiliser
from hw.folding import sent_at_once
from hw.global_inhibition import GlobalInhibition, is_global
from hw.lif import LIFCore
from hw.population import ROOM, PopulationUnit
from hw.readout import Readout
from hw.scaling import Scaling
from hw.skid import Skid
from hw.stabiliser import Stabiliser
from hw.synapses import products_latency

Take = Callable[[int], int]

#: Cycles from a beat's entry into ``SyncFIFOBuffered`` until it is offered.
FIFO = 2
#: Before all that happens.
_NEVER = -(1 << 62)


class Rigid:
    """A pipeline that stands still as a whole while what is at its end is not taken: gaps between beats stay."""

    def __init__(self, length: int, taker: Take) -> None:
        self._length, self._taker = length, taker
        self._stalls: deque[tuple[int, int]] = deque()
        self.appeared = _NEVER

    def take(self, offered: int) -> int:
        stalls = self._stalls
        while stalls and stalls[0][1] <= offered:
            stalls.popleft()
        if stalls and stalls[0][0] <= offered:
            offered = stalls.popleft()[1]
        appeared = offered + self._length
        for start, end in stalls:
            appeared += end - start
        self.appeared = appeared
        left = self._taker(appeared)
        if left > appeared:
            stalls.append((appeared, left))
        return offered


class Credits:
    def __init__(self, depth: int, taker: Take) -> None:
        self._taker, self._left = taker, deque([_NEVER] * depth, depth)
        self._last = _NEVER

    def room(self, cycle: int) -> int:
        return max(cycle, self._left[0] + 2)

    def put(self, offered: int) -> None:
        self._last = self._taker(max(offered, self._last + 1))
        self._left.append(self._last)


class Synapses:
    def __init__(self, words: int, latency: int, currents: Take) -> None:
        self._words, self._latency, self._currents = words, latency, currents
        self._read = deque([_NEVER] * QUEUE_DEPTH, QUEUE_DEPTH)
        self._free = _NEVER

    def event(self, offered: int) -> int:
        came = max(offered, self._read[0] + 1)
        read = max(came + FIFO, self._free) + self._words - 1
        self._read.append(read)
        self._free = read + 1
        return came

    def marker(self, offered: int) -> int:
        came = max(offered, self._read[0] + 1)
        read = max(came + FIFO, self._free)
        self._read.append(read)
        self._free = self._currents(read + self._latency) + 1
        return came


class Population:
    def __init__(self, chunks: int, groups: int, taker: Take) -> None:
        self._chunks, self._groups, self._beats = chunks, groups, Credits(ROOM, taker)
        self._free = _NEVER

    def take(self, offered: int) -> int:
        taken = max(offered, self._free)
        last = taken
        for _ in range(self._groups):
            last = self._beats.room(last + 1) + self._chunks - 1
            self._beats.put(last + PopulationUnit.PIPELINE)
        self._free = last
        return taken


class Global:
    def __init__(self, chunks: int, groups: int, taker: Take) -> None:
        self._chunks, self._groups, self._beats = chunks, groups, Credits(ROOM, taker)
        self._free = _NEVER

    def take(self, offered: int) -> int:
        taken = max(offered, self._free)
        group = taken + 1 + self._chunks + GlobalInhibition.SUM
        for _ in range(self._groups):
            group = self._beats.room(group)
            self._beats.put(group + GlobalInhibition.PIPELINE)
            group += 1
        self._free = group
        return taken


class Serial:
    def __init__(self, groups: int, taker: Take) -> None:
        self._groups, self._out = groups, Rigid(1, taker)
        self._free = _NEVER

    def take(self, offered: int) -> int:
        taken = max(offered, self._free)
        beat = taken
        for _ in range(self._groups):
            beat = self._out.take(beat + 1)
        self._free = beat
        return taken


class Stabilise:
    def __init__(self, beats: int, taker: Take) -> None:
        self._beats, self._out = beats, Rigid(2, taker)
        depth = max(3, 2 * beats)
        self._read = deque([_NEVER] * depth, depth)
        self._came = 0
        self._last = _NEVER

    def take(self, offered: int) -> int:
        came = max(offered, self._read[self._came] + 1)
        self._came += 1
        if self._came == self._beats:
            self._came = 0
            at = max(came + Stabiliser.LATENCY - 2, self._last + 1)
            for _ in range(self._beats):
                read = self._out.take(at)
                self._read.append(read)
                at = read + 1
            self._last = read
        return came


class Divisive:
    def __init__(self, taker: Take) -> None:
        self._beats = Credits(DivisiveInhibition.LATENCY + 2, taker)

    def take(self, offered: int) -> int:
        taken = self._beats.room(offered)
        self._beats.put(taken + DivisiveInhibition.LATENCY)
        return taken


class Replays:
    def __init__(self, beats: int, times: int, taker: Take) -> None:
        self._beats, self._again, self._taker = beats, beats * (times - 1), taker
        self._came, self._free = 0, _NEVER

    def take(self, offered: int) -> int:
        taken = given = self._taker(max(offered, self._free))
        self._came += 1
        if self._came == self._beats:
            self._came = 0
            for _ in range(self._again):
                given = self._taker(given + 1)
            self._free = given + 1
        return taken


class LIF:
    def __init__(self, beats: int, taker: Take) -> None:
        self._pipeline = Rigid(LIFCore.LATENCY, taker)
        self._written = deque([_NEVER] * beats, beats)

    def take(self, offered: int) -> int:
        taken = self._pipeline.take(max(offered, self._written[0]))
        self._written.append(self._pipeline.appeared)
        return taken


class Encoder:
    def __init__(self, beats: int, spikes: Iterator[int], synapses: Synapses) -> None:
        self._beats, self._spikes, self._synapses = beats, spikes, synapses
        self._loaded = deque([_NEVER] * 2, 2)
        self._beat, self._done = 0, _NEVER

    def take(self, offered: int) -> int:
        taken = max(offered, self._loaded[0] + 1)
        loaded = max(taken + Skid.LATENCY, self._done)
        self._loaded.append(loaded)
        sent = loaded
        for _ in range(next(self._spikes)):
            sent = self._synapses.event(sent + 1)
        self._beat += 1
        if self._beat == self._beats:
            self._beat = 0
            sent = self._synapses.marker(sent + 1)
        self._done = max(sent, loaded + 1)
        return taken


class Results:
    def __init__(self, beats: int, results: list[int]) -> None:
        self._beats, self._results = beats, results
        self._beat, self._free = 0, _NEVER

    def take(self, offered: int) -> int:
        taken = max(offered, self._free)
        self._beat += 1
        if self._beat == self._beats:
            self._beat = 0
            self._results.append(taken + Readout.LATENCY)
            self._free = taken + Readout.LATENCY + 1
        return taken



def _stages(network, foldings, i, after):
    """Takers of a layer from the currents on."""
    layer, folding = network.layers[i], foldings[i]
    beats, neurons = folding.groups(layer), layer.neurons
    if neurons is not None:
        after = LIF(beats, after).take
        replays = network.steps // network.layer_steps(i)
        if replays > 1:
            after = Replays(beats, replays, after).take
        if layer.n_i:
            after = Divisive(after).take
            if neurons.floor:
                after = Rigid(FloorStabiliser.LATENCY, after).take
            elif not is_global(layer):
                after = Stabilise(beats, after).take
        else:
            after = Rigid(Scaling.LATENCY, after).take
    if is_global(layer):
        currents = Global(folding.chunks(layer), beats, after).take
    elif layer.n_i:
        currents = Population(folding.chunks(layer), beats, after).take
    else:
        currents = Serial(beats, after).take
    return Synapses(folding.words(layer), products_latency(folding.events(layer)), currents)


def beats_of(nonzero, lanes, at_once):
    """(samples, steps, n) -> (samples, steps, groups): cycles of each group of lanes."""
    samples, steps, n = nonzero.shape
    padded = np.pad(nonzero, ((0, 0), (0, 0), (0, -n % lanes)))
    return padded.reshape(samples, steps, -1, lanes // at_once, at_once).sum(3).max(3)


def simulate_cycles(network, foldings, events):
    results = []
    last = len(network.layers) - 1
    taker = Results(foldings[last].groups(network.layers[last]) * network.layer_steps(last), results).take
    for i in range(last, -1, -1):
        synapses = _stages(network, foldings, i, taker)
        if i:
            layer = network.layers[i - 1]
            counts = beats_of(events[i], foldings[i - 1].neuron_lanes, sent_at_once(network, foldings, i - 1))
            taker = Encoder(foldings[i - 1].groups(layer), iter(counts.ravel().tolist()), synapses).take
    at_once = foldings[0].events(network.layers[0])
    d = -(-events[0].shape[2] // at_once) * at_once
    counts = beats_of(events[0], d, at_once)[:, :, 0]
    started, passed = [], -1
    for sample in counts.tolist():
        first = None
        for beats in sample:
            for _ in range(beats):
                passed = synapses.event(passed + 1)
                first = passed if first is None else first
            passed = synapses.marker(passed + 1)
            first = passed if first is None else first
        started.append(first)
    return np.array(started), np.array(results)
