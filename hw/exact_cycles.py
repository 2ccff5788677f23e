"""The exact cycle model: when each of a sequence of samples passes through a network without maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.floor import FloorStabiliser
from hw.folding import Folding, check_foldings, sent_at_once
from hw.geometry import walk_of
from hw.global_inhibition import is_global
from hw.packing import ceil_div
from hw.scaling import Scaling
from hw.timing import (
    DivisiveTiming,
    EncoderTiming,
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
from quant.network import IntegerNetwork, Layer

__all__ = ["Cycles", "is_exact", "simulate_cycles"]


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


def is_exact(network: IntegerNetwork) -> bool:
    """Whether ``simulate_cycles`` takes the network: its layers are a chain, and none has a map."""
    wirings = [layer.wiring.sources_of(i) for i, layer in enumerate(network.layers)]
    return all(own == (i - 1,) and walk_of(network, i) is None for i, own in enumerate(wirings))


def _check_counts(network: IntegerNetwork, events: Sequence[np.ndarray], zeros: Sequence[np.ndarray]) -> None:
    if not is_exact(network):
        raise ChandelierError(
            f"the cycles of {network.name} are not modelled exactly: it is no chain of layers without maps"
        )
    if len(events) != len(network.layers):
        raise ChandelierError(f"{len(network.layers)} layers need as many arrays of events, not {len(events)}")
    for i, (layer, own) in enumerate(zip(network.layers, events, strict=True)):
        shape = (len(events[0]), network.layer_steps(i), layer.d)
        if own.shape != shape:
            raise ChandelierError(f"events of layer {i} must be {shape}, not {own.shape}")
    if len(zeros) != len(network.layers) - 1:
        raise ChandelierError(f"{len(network.layers)} layers have one less with denominators, not {len(zeros)}")
    for i, own in enumerate(zeros):
        shape = (len(events[0]), network.layer_steps(i), network.layers[i].n_e)
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


def _neurons(layer: Layer, folding: Folding, replays: int, zeros: np.ndarray, taker: Take) -> Take:
    """What takes balances, and gives spikes to ``taker``, ``replays`` frames for each; ``zeros`` are denominators."""
    assert layer.neurons is not None
    beats = folding.groups(layer)
    currents: Take = LIFTiming(beats, taker).take
    if replays > 1:
        currents = ReplayTiming(beats, replays, currents).take
    if not layer.n_i:
        return RigidTiming(Scaling.LATENCY, currents).take
    currents = DivisiveTiming(currents).take
    if layer.neurons.floor:
        return RigidTiming(FloorStabiliser.LATENCY, currents).take
    if is_global(layer):
        return currents
    waits = _beats(zeros, folding.neuron_lanes).any(3)
    return StabiliserTiming(beats, iter(waits.ravel().tolist()), currents).take


def _hidden(
    network: IntegerNetwork,
    foldings: Sequence[Folding],
    index: int,
    spikes: np.ndarray,
    zeros: np.ndarray,
    taker: SynapseTiming,
) -> Take:
    """What takes the balances of a layer whose ``spikes`` go to the next one."""
    layer, folding = network.layers[index], foldings[index]
    events = _event_beats(spikes, folding.neuron_lanes, sent_at_once(network, foldings, index))
    encoder = EncoderTiming(folding.groups(layer), iter(events.ravel().tolist()), taker)
    return _neurons(layer, folding, network.steps // network.layer_steps(index), zeros, encoder.take)


def _network(
    network: IntegerNetwork, foldings: Sequence[Folding], events: Sequence[np.ndarray], zeros: Sequence[np.ndarray]
) -> tuple[SynapseTiming, ReadoutTiming]:
    """Where the events of the input go, and where the results come out; what is behind is made first."""
    last = len(network.layers) - 1
    beats = network.layer_steps(last) * foldings[last].groups(network.layers[last])
    readout = ReadoutTiming(beats, foldings[last].neuron_lanes)
    taker: Take = readout.take
    for i in range(last, -1, -1):
        layer, folding = network.layers[i], foldings[i]
        synapses = SynapseTiming(folding.words(layer), folding.events(layer), _balances(layer, folding, taker))
        if i:
            taker = _hidden(network, foldings, i - 1, events[i], zeros[i - 1], synapses)
    return synapses, readout


def _feed(synapses: SynapseTiming, beats: list[list[int]]) -> list[int]:
    """Offers one sample after the other, of each its beats of events of every time step; gives when each began."""
    started, cycle = [], -1
    for sample in beats:
        passed = []
        for events in sample:
            for _ in range(events):
                cycle = synapses.event(cycle + 1)
                passed.append(cycle)
            cycle = synapses.marker(cycle + 1)
            passed.append(cycle)
        started.append(passed[0])
    return started


def simulate_cycles(
    network: IntegerNetwork, foldings: Sequence[Folding], events: Sequence[np.ndarray], zeros: Sequence[np.ndarray]
) -> Cycles:
    """The cycles of a sequence of samples, those of the generated hardware, of which nothing but time is simulated.

    Parameters
    ----------
    foldings : sequence of Folding
        One for each layer.
    events : sequence of (samples, steps, inputs)
        For each layer, what of its input is not zero; ``steps`` is 1 where that is static (``GoldenModel.events``).
    zeros : sequence of (samples, steps, neurons)
        For each layer but the last, which denominators are zero, so that they wait (``GoldenModel.zeros``).

    Raises
    ------
    ChandelierError
        If foldings or events do not fit, or the network is not of the kind (see ``is_exact``).
    """
    check_foldings(network, foldings)
    _check_counts(network, events, zeros)
    synapses, readout = _network(network, foldings, events, zeros)
    at_once, inputs = foldings[0].events(network.layers[0]), network.input.features
    beats = _event_beats(events[0], at_once * ceil_div(inputs, at_once), at_once)[:, :, 0]
    started = _feed(synapses, beats.tolist())
    return Cycles(np.array(started, np.int64), np.array(readout.results, np.int64))
