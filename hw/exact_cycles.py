"""The exact cycle model: when each of a sequence of samples passes through a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hw.cycles import sources
from hw.floor import FloorStabiliser
from hw.folding import Folding, check_foldings, gathered_at_once, sent_at_once
from hw.global_inhibition import is_global
from hw.map_timing import ForkTiming, MergeTiming, PlacerTiming, ScannerTiming, SplitterTiming, WindowTiming
from hw.map_words import kept_events, word_events
from hw.network import check_read
from hw.order import orders_of, row_major_order, walk_of
from hw.packing import ceil_div
from hw.scaling import Scaling
from hw.timing import (
    DivisiveTiming,
    EncoderTiming,
    EventTiming,
    GlobalTiming,
    LIFTiming,
    PopulationTiming,
    ReadoutTiming,
    ReplayTiming,
    RigidTiming,
    SerialiserTiming,
    StabiliserTiming,
    SynapseTiming,
    Take,
)
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer

__all__ = ["Cycles", "simulate_cycles"]

#: When the first input beat is offered: in the second cycle without reset, as by a sender with a register at its end.
FIRST_OFFER = 1


@dataclass(frozen=True)
class Cycles:
    """When samples pass through a network that is fed without a pause, and whose results are taken at once.

    Parameters
    ----------
    started, finished : (samples,) int64
        The cycles of each sample's first input beat, of the first sample 0, and of its result.
    """

    started: np.ndarray
    finished: np.ndarray

    @property
    def intervals(self) -> np.ndarray:
        """Cycles from each result to the next, (samples - 1,)."""
        return np.diff(self.finished)

    @property
    def latencies(self) -> np.ndarray:
        """Cycles from each sample's first input beat to its result, (samples,)."""
        return self.finished - self.started


def _check_counts(network: IntegerNetwork, events: Sequence[np.ndarray], zeros: Sequence[np.ndarray]) -> None:
    if len(events) != len(network.layers):
        raise ChandelierError(f"{len(network.layers)} layers need as many arrays of events, not {len(events)}")
    static = network.input.kind == "static"
    for i, (values, own) in enumerate(zip(sources(network), events, strict=True)):
        shape = (len(events[0]), 1 if static and i == 0 else network.steps, values)
        if own.shape != shape:
            source = f"layer {i - 1}" if i else "the input"
            raise ChandelierError(f"events of {source} must be {shape}, not {own.shape}")
    if len(zeros) != len(network.layers) - 1:
        raise ChandelierError(f"{len(network.layers)} layers have one less with denominators, not {len(zeros)}")
    for i, own in enumerate(zeros):
        shape = (len(events[0]), network.layer_steps(i), prod(network.maps[i][1]))
        if own.shape != shape:
            raise ChandelierError(f"zeros of layer {i} must be {shape}, not {own.shape}")


def _event_beats(events: np.ndarray, lanes: int, at_once: int) -> np.ndarray:
    """Beats of events that each beat of ``lanes`` neurons becomes, of which ``at_once`` leave at a time.

    Those are of one part each, every ``at_once``-th neuron, and the part with the most decides: from
    (samples, steps, neurons) to (samples, steps, beats).
    """
    beats = _beats(events != 0, lanes)
    return beats.reshape(*beats.shape[:3], lanes // at_once, at_once).sum(3).max(3)


def _beats(neurons: np.ndarray, lanes: int) -> np.ndarray:
    """(samples, steps, neurons) in beats of ``lanes``: (samples, steps, beats, lanes)."""
    filled = np.pad(neurons, ((0, 0), (0, 0), (0, -neurons.shape[2] % lanes)))
    samples, steps, neurons = filled.shape
    return filled.reshape(samples, steps, neurons // lanes, lanes)


def _balances(layer: Layer, folding: Folding, taker: Take) -> Take:
    """What takes the currents of the synapse stage, and gives balances to ``taker``."""
    chunks, groups = folding.chunks(layer), folding.groups(layer)
    if is_global(layer):
        return GlobalTiming(chunks, groups, taker).take
    return PopulationTiming(chunks, groups, taker).take if layer.n_i else SerialiserTiming(groups, taker).take


def _currents(layer: Layer, zeros: np.ndarray, currents: Take) -> Take:
    """What takes balances, and gives ``currents``; ``zeros`` are denominators, in beats."""
    assert layer.neurons is not None
    if not layer.n_i:
        return RigidTiming(Scaling.LATENCY, currents).take
    currents = DivisiveTiming(currents).take
    if layer.neurons.floor:
        return RigidTiming(FloorStabiliser.LATENCY, currents).take
    if is_global(layer):
        return currents
    return StabiliserTiming(zeros.shape[2], iter(zeros.any(3).ravel().tolist()), currents).take


class _Model:
    """The components of a network, made from the last one on: each needs the one behind it."""

    def __init__(
        self,
        network: IntegerNetwork,
        foldings: Sequence[Folding],
        events: Sequence[np.ndarray],
        zeros: Sequence[np.ndarray],
    ) -> None:
        self._network, self._foldings, self._events, self._zeros = network, foldings, events, zeros
        self._orders = orders_of(network)
        last = len(network.layers) - 1
        beats = network.layer_steps(last) * self._pixels(last) * foldings[last].groups(network.layers[last])
        self._readout = ReadoutTiming(beats, foldings[last].neuron_lanes)
        #: Of each source, what takes its events; of each layer, what works on a time step that has ended.
        self._takers: dict[int, list[EventTiming]] = {}
        self._stages: dict[int, SynapseTiming | ScannerTiming] = {}
        self._replays: dict[int, ReplayTiming] = {}
        for i in range(last, -1, -1):
            taker = self._synapses(i, self._readout.take if i == last else self._spikes(i, self._fork(i)))
            own = network.layers[i].wiring.sources_of(i)
            ends = [taker] if len(own) == 1 else MergeTiming(len(own), taker).inputs
            for source, end in zip(own, ends, strict=True):
                self._takers.setdefault(source, []).append(end)
        self._input = self._fork(NETWORK_INPUT)

    def _fork(self, source: int) -> EventTiming:
        """What takes the events of a source, for all its readers."""
        takers = self._takers[source]
        return takers[0] if len(takers) == 1 else ForkTiming(takers)

    def _pixels(self, index: int) -> int:
        return prod(self._network.maps[index][1][:2])

    def _synapses(self, index: int, balances: Take) -> EventTiming:
        """What takes the events of a layer's sources, and gives balances."""
        layer, folding, walk = self._network.layers[index], self._foldings[index], walk_of(self._network, index)
        words, events = folding.words(layer), folding.events(layer)
        currents = _balances(layer, folding, balances)
        if walk is None:
            self._stages[index] = synapses = SynapseTiming(words, events, currents)
            return synapses
        sources = [self._events[source + 1] for source in layer.wiring.sources_of(index)]
        window = WindowTiming(walk, words, events, currents)
        splitter = SplitterTiming(walk.column_words, word_events(walk, sources, events), events, window)
        self._stages[index] = scanner = ScannerTiming(walk, splitter.take)
        at_once = gathered_at_once(self._network, self._foldings, index)
        return PlacerTiming(walk, at_once, kept_events(walk, sources, at_once), scanner)

    def _spikes(self, index: int, taker: EventTiming) -> Take:
        """What takes the balances of a layer whose spikes go to ``taker``."""
        network, layer, folding = self._network, self._network.layers[index], self._foldings[index]
        beats, at_once = self._pixels(index) * folding.groups(layer), sent_at_once(network, self._foldings, index)
        events = _event_beats(self._events[index + 1], folding.neuron_lanes, at_once)
        frame, replays = beats, network.steps // network.layer_steps(index)
        row_major = self._orders[index].row_major
        if row_major:
            rows = network.maps[index][1][0]
            events, frame, beats = row_major_order(events, rows), beats // rows, beats * network.steps
        currents: Take = LIFTiming(frame, EncoderTiming(beats, iter(events.ravel().tolist()), taker).take).take
        if replays > 1 and row_major:
            currents = ReplayTiming(frame, currents, replays - 1).take
        elif replays > 1:
            self._replays[index] = replay = ReplayTiming(frame, currents)
            currents = replay.take
        return _currents(layer, _beats(self._zeros[index], folding.neuron_lanes), currents)

    def _work(self, step: int) -> None:
        """A time step that has come goes through the layers, one after the other: also residual sums want that order.

        A static input comes in the first one. What is row-major goes through a layer with the first one that it has.
        """
        for i, order in enumerate(self._orders):
            own = step - order.start
            if 0 <= own < (1 if order.row_major else self._network.layer_steps(i)):
                self._stages[i].work()
            elif 0 < own < self._network.steps and i in self._replays:
                self._replays[i].repeat()

    def _send(self, events: int, cycle: int) -> list[int]:
        """Offers the beats of a time step, as soon as the one before has passed, and gives when they pass."""
        passed = []
        for _ in range(events):
            cycle = self._input.event(cycle)
            passed.append(cycle)
            cycle += 1
        return [*passed, self._input.marker(cycle)]

    def run(self, progress: Callable[[int, int], None]) -> Cycles:
        """Sends one sample after the other."""
        inputs = self._network.input.features
        at_once = sent_at_once(self._network, self._foldings, NETWORK_INPUT)
        beats = _event_beats(self._events[0], at_once * ceil_div(inputs, at_once), at_once)[:, :, 0]
        started, passed = [], [FIRST_OFFER - 1]
        for done, sample in enumerate(beats.tolist(), start=1):
            for step in range(self._network.steps + max(order.start for order in self._orders)):
                if step < len(sample):
                    passed = self._send(sample[step], passed[-1] + 1)
                if step == 0:
                    started.append(passed[0])
                self._work(step)
            progress(done, len(beats))
        begin = started[0] if started else 0
        return Cycles(np.array(started, np.int64) - begin, np.array(self._readout.results, np.int64) - begin)


def simulate_cycles(
    network: IntegerNetwork,
    foldings: Sequence[Folding],
    events: Sequence[np.ndarray],
    zeros: Sequence[np.ndarray],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cycles:
    """The cycles of a sequence of samples, those of the generated hardware, of which nothing but time is simulated.

    Parameters
    ----------
    foldings : sequence of Folding
        One for each layer.
    events : sequence of (samples, steps, values)
        What is not zero of the network's input, and of the spikes of each layer but the last; ``steps`` is 1 of a
        static input (``GoldenModel.events``).
    zeros : sequence of (samples, steps, neurons)
        For each layer but the last, which denominators are zero, so that they wait (``GoldenModel.zeros``).
    progress : callable
        Told after each sample how many are done, and how many there are.

    Raises
    ------
    ChandelierError
        If foldings, events or zeros do not fit, or nobody reads a layer.
    """
    check_read(network)
    check_foldings(network, foldings)
    _check_counts(network, events, zeros)
    return _Model(network, foldings, events, zeros).run(progress)
