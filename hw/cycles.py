"""An estimate of how long a network takes for a sample, from its foldings and the mean number of its events.

What is exact, from the events of each sample, is in ``hw/exact_cycles.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod

from hw.accumulator import synapse_latency
from hw.divisive import DivisiveInhibition
from hw.folding import Folding, check_foldings, population_cycles, sent_at_once
from hw.geometry import Walk
from hw.global_inhibition import GlobalInhibition, is_global
from hw.lif import LIFCore
from hw.order import walk_of
from hw.packing import ceil_div
from hw.population import PopulationUnit
from hw.readout import readout_latency
from hw.scaling import Scaling
from hw.serialiser import Serialiser
from hw.stabiliser import Stabiliser
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer

__all__ = ["LayerCycles", "Prediction", "layer_cycles", "predict_cycles", "sources"]


@dataclass(frozen=True)
class LayerCycles:
    """The terms of a layer's cycle count, in clock cycles.

    Parameters
    ----------
    event : int
        Of an input event in the synapse stage, or of several that come at once.
    events : int
        How many come at once.
    marker : int
        Of an end-of-step marker there: without a map, until the currents have left.
    population : int
        Of a time step in the population unit, or, without inhibition, in the serialiser.
    beats : int
        Beats of a frame: what every stage behind it takes for it at least.
    """

    event: int
    events: int
    marker: int
    population: int
    beats: int


@dataclass(frozen=True)
class Prediction:
    """What the model says of a sample.

    Parameters
    ----------
    interval : float
        Cycles from one result to the next when samples come without a pause: the longest of ``stages``.
    latency : float
        Cycles from the first input beat to the result, on an idle network.
    stages : dict
        (layer, stage) -> cycles that the stage works on a sample.
    """

    interval: float
    latency: float
    stages: dict[tuple[int, str], float]

    @property
    def slowest(self) -> tuple[int, str]:
        """Layer and name of the stage that decides the interval."""
        return max(self.stages, key=lambda stage: self.stages[stage])


def sources(network: IntegerNetwork) -> list[int]:
    """Most events of a time step, of the network's input and of each layer but the last."""
    return [network.input.features, *(prod(output) for _, output in network.maps[:-1])]


def _arriving(network: IntegerNetwork, events: Sequence[float]) -> list[float]:
    """Events that each layer gets in a time step, of all its sources, as if none were at the same place."""
    wirings = [layer.wiring.sources_of(i) for i, layer in enumerate(network.layers)]
    return [sum(events[source + 1] for source in own) for own in wirings]


def layer_cycles(layer: Layer, folding: Folding, walk: Walk | None = None) -> LayerCycles:
    """The terms of one layer; with a walk an estimate, as if every input were seen by as many rows of outputs."""
    words, population, beats = folding.words(layer), population_cycles(layer, folding), folding.groups(layer)
    if walk is None:
        events = folding.events(layer)
        marker = synapse_latency(events) - 1
        return LayerCycles(event=words, events=events, marker=marker, population=population, beats=beats)
    return LayerCycles(
        event=ceil_div(words * ceil_div(walk.rows, walk.row_step), folding.events(layer)),
        events=1,
        marker=walk.output[0] * walk.columns,
        population=population * prod(walk.output),
        beats=beats * prod(walk.output),
    )


def _balance_delay(layer: Layer) -> int:
    """Cycles that the pipeline of the population unit, or of the serialiser, adds to its work."""
    if is_global(layer):
        return GlobalInhibition.PIPELINE - 1
    return PopulationUnit.PIPELINE if layer.n_i else Serialiser.LATENCY - 1


def _neuron_delay(layer: Layer, terms: LayerCycles) -> int:
    """Cycles from the last balance of a step to the first spike, as if no denominator were zero."""
    currents = DivisiveInhibition if layer.n_i else Scaling
    stabiliser = Stabiliser.PASSING if layer.n_i and not is_global(layer) else 0
    return stabiliser + currents.LATENCY + LIFCore.LATENCY - (terms.beats - 1)


def _encoder_cycles(folding: Folding, neurons: int, beats: int, spikes: float, at_once: int) -> float:
    """Of a frame: a cycle for each spike, or for all of a beat, for each silent one (as likely as independent spikes
    make it), and one.
    """
    silent = (1 - spikes / neurons) ** folding.neuron_lanes
    return max(spikes / at_once, neurons / folding.neuron_lanes * (1 - silent)) + (beats - 1) * silent + 1


def _stages(
    network: IntegerNetwork, foldings: Sequence[Folding], events: Sequence[float], inputs: Sequence[float]
) -> dict[tuple[int, str], float]:
    stages: dict[tuple[int, str], float] = {}
    for i, (layer, folding) in enumerate(zip(network.layers, foldings, strict=True)):
        walk = walk_of(network, i)
        terms, sets, steps = layer_cycles(layer, folding, walk), network.layer_steps(i), network.steps
        if walk:
            stages[i, "map"] = sets * walk.visits
        stages[i, "synapses"] = sets * (inputs[i] / terms.events * terms.event + terms.marker)
        stages[i, "population" if layer.n_i else "serialiser"] = sets * terms.population
        if layer.neurons is None:
            stages[i, "readout"] = steps * terms.beats + readout_latency(folding.neuron_lanes)
        else:
            neurons = prod(network.maps[i][1])
            rows = walk.bands if walk else 1
            stages[i, "neurons"] = steps * rows * max(terms.beats / rows, LIFCore.LATENCY)
            stages[i, "encoder"] = steps * _encoder_cycles(
                folding, neurons, terms.beats, events[i + 1], sent_at_once(network, foldings, i)
            )
    return stages


def _latency(
    network: IntegerNetwork, foldings: Sequence[Folding], events: Sequence[float], inputs: Sequence[float]
) -> float:
    """Follows the time steps of one sample through an idle network, from stage to stage and from layer to layer.

    ``arrivals`` are, for each step, the cycles in which its first event and its marker reach the layer. A stage takes
    a step when it has come and the stage is through with the step before.
    """
    pace = events[0] + 1
    arrivals = [(step * pace, step * pace + events[0]) for step in range(network.layer_steps(0))]
    for i, (layer, folding) in enumerate(zip(network.layers, foldings, strict=True)):
        walk = walk_of(network, i)
        terms = layer_cycles(layer, folding, walk)
        if walk is not None and walk.steps > 1:  # nothing is visited before all steps have come
            arrivals = [(arrivals[-1][1],) * 2] * len(arrivals)
        work, delay = inputs[i] / terms.events * terms.event, synapse_latency(terms.events)
        frames, taken = [], -inf
        for first, marker in arrivals:
            added = max(marker + delay, first + work + delay, taken + work + terms.marker)
            taken = max(added, taken + terms.population)
            frames.append(taken + terms.population + _balance_delay(layer))
        if layer.neurons is None:
            break
        arrivals, fires, sent = [], -inf, -inf
        pace = _encoder_cycles(
            folding, prod(network.maps[i][1]), terms.beats, events[i + 1], sent_at_once(network, foldings, i)
        )
        for step in range(network.steps):
            fires = max(
                frames[min(step, len(frames) - 1)] + _neuron_delay(layer, terms),
                fires + max(terms.beats, LIFCore.LATENCY),
                sent,
            )
            sent = fires + pace
            arrivals.append((fires + pace / (events[i + 1] + 1), sent))
    return frames[-1] + readout_latency(foldings[-1].neuron_lanes)


def predict_cycles(
    network: IntegerNetwork,
    foldings: Sequence[Folding],
    events_per_step: Sequence[float],
    inputs_per_step: Sequence[float] | None = None,
) -> Prediction:
    """An estimate from the mean number of events in a time step, also of networks with maps.

    The interval is exact to the cycle where a synapse stage, a population unit or the neurons decide it, every step has
    the same number of events, no layer has a map, and samples come without a pause; where an encoder decides it, as
    exact as the spikes are independent. Several events at once are taken to be spread evenly over their parts.

    Parameters
    ----------
    foldings : sequence of Folding
        One for each layer.
    events_per_step : sequence of float
        Of the network's input, and of each layer but the last; the mean over the time steps, 0 to ``sources``.
    inputs_per_step : sequence of float, optional
        Of each layer, what is not zero of its input, after pooling; without it, as many as there are events.

    Raises
    ------
    ChandelierError
        If foldings or numbers of events do not fit.
    """
    check_foldings(network, foldings)
    if len(events_per_step) != len(network.layers):
        raise ChandelierError(
            f"{len(network.layers)} layers need as many numbers of events, not {len(events_per_step)}"
        )
    for source, (events, most) in enumerate(zip(events_per_step, sources(network), strict=True), NETWORK_INPUT):
        if not 0 <= events <= most:
            name = "the input" if source == NETWORK_INPUT else f"layer {source}"
            raise ChandelierError(f"events of {name} must be 0..{most}, not {events}")
    inputs = _arriving(network, events_per_step) if inputs_per_step is None else inputs_per_step
    stages = _stages(network, foldings, events_per_step, inputs)
    return Prediction(max(stages.values()), _latency(network, foldings, events_per_step, inputs), stages)
