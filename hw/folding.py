"""The folding: how many lanes each stage of each layer has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hw.geometry import Walk
from hw.global_inhibition import GlobalInhibition, is_global
from hw.order import walk_of, walks_of
from hw.packing import ceil_div
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer

__all__ = [
    "Folding",
    "Foldings",
    "Spatial",
    "check_foldings",
    "cycles_range",
    "default_foldings",
    "foldings_for",
    "gathered_at_once",
    "is_grouped",
    "most_events",
    "population_cycles",
    "row_synapses",
    "sent_at_once",
    "slowest_stage",
]

#: In place of foldings: a fully spatial design (``hw.spatial``), which has a wire for each synapse and no lanes.
Spatial = Literal["spatial"]
#: How a design of a network is folded, by whole layers.
Foldings = Sequence["Folding"] | Spatial
#: A row of weights up to this wide is read in one cycle.
ROW_BITS = 1024
#: Share of the inputs of a layer that is expected to be non-zero.
DENSITY = 0.15
#: Most events that come at once where there is no map.
EVENTS = 4
#: Multipliers that the population unit and the neurons of a layer may have together, by default.
MULTIPLIERS = 128


@dataclass(frozen=True)
class Folding:
    """The lanes of one layer: what its stages compute in one cycle. They decide its throughput and its area.

    Parameters
    ----------
    synapse_lanes : int, 1..n_e+n_i
        Synapses; of a convolution up to as many times that as there are outputs of a row that an input contributes to;
        with a map, a multiple of all those takes several inputs at once (``events``), and so it does in a layer that is
        the only one to take the events of its source, whose ``neuron_lanes`` are a multiple of ``events``.
    population_lanes : int, 1..n_i
        I neurons per E neuron in the population unit; 1 in a layer without inhibition, which has none.
    neuron_lanes : int, 1..n_e
        E neurons, in the population unit and all that follows; of a convolution a divisor of ``n_e``.
    """

    synapse_lanes: int
    population_lanes: int
    neuron_lanes: int

    def words(self, layer: Layer) -> int:
        """Weight words of an input's row: cycles of an event in the synapse stage."""
        return ceil_div(row_synapses(layer), self.synapse_lanes)

    def events(self, layer: Layer) -> int:
        """Input events that the synapse stage takes at once."""
        return max(1, self.synapse_lanes // row_synapses(layer))

    def chunks(self, layer: Layer) -> int:
        """Cycles of a group of E neurons in the population unit, or in the serialiser."""
        return max(1, ceil_div(layer.n_i, self.population_lanes))

    def groups(self, layer: Layer) -> int:
        """Groups of E neurons: beats of a frame."""
        return ceil_div(layer.n_e, self.neuron_lanes)


def population_cycles(layer: Layer, folding: Folding) -> int:
    """Cycles of a pixel, or of a whole layer without pixels, in the population unit, or in the serialiser."""
    chunks, groups = folding.chunks(layer), folding.groups(layer)
    return 1 + chunks + GlobalInhibition.SUM + groups if is_global(layer) else groups * chunks


def row_synapses(layer: Layer) -> int:
    """Synapses of an input: to all neurons, and in a convolution to those of all outputs of a row that it reaches."""
    window = layer.wiring.window
    taps = ceil_div(window.kernel[1], window.stride[1]) if window else 1
    return taps * (layer.n_e + layer.n_i)


def _takers(network: IntegerNetwork, source: int) -> list[int]:
    """The layers that take the events of a layer, or of the input."""
    return [i for i, layer in enumerate(network.layers) if source in layer.wiring.sources_of(i)]


def most_events(network: IntegerNetwork, index: int) -> int:
    """Most events that a layer can take at once: inputs of a word of its map, or ``EVENTS`` of a source of its own."""
    walk, sources = walk_of(network, index), network.layers[index].wiring.sources_of(index)
    if walk is not None:
        return walk.lanes
    alone = len(sources) == 1 and _takers(network, sources[0]) == [index]
    return min(EVENTS, network.layers[index].d) if alone else 1


def sent_at_once(network: IntegerNetwork, foldings: Sequence[Folding], index: int) -> int:
    """Events that a layer sends at once: as many as the layer behind takes; to maps all of a beat (``is_grouped``)."""
    if is_grouped(network, foldings, index):
        return foldings[index].neuron_lanes
    takers = [i for i in _takers(network, index) if walk_of(network, i) is None]
    return foldings[takers[0]].events(network.layers[takers[0]]) if len(takers) == 1 else 1


def gathered_at_once(network: IntegerNetwork, foldings: Sequence[Folding], index: int) -> int:
    """Values that a layer with a map gets at once from each of its sources."""
    source = network.layers[index].wiring.sources_of(index)[0]
    return foldings[source].neuron_lanes if source != NETWORK_INPUT and is_grouped(network, foldings, source) else 1


def is_grouped(network: IntegerNetwork, foldings: Sequence[Folding], index: int) -> bool:
    """Whether a layer sends all of a beat of neurons at once: to maps, where these are neighbours in a word.

    All that takes its events, or is added up with it there, has to do the same.
    """
    sources, takers = {index}, set[int]()
    while not takers >= (found := {i for source in sources for i in _takers(network, source)}):
        takers |= found
        sources |= {source for i in takers for source in network.layers[i].wiring.sources_of(i)}
    if NETWORK_INPUT in sources or len({foldings[source].neuron_lanes for source in sources}) > 1:
        return False
    walks = walks_of(network)
    return _neighbours([walks[i] for i in takers], foldings[index].neuron_lanes)


def _neighbours(walks: Sequence[Walk | None], lanes: int) -> bool:
    """Whether so many neurons of a beat are neighbours in a word of all the maps that they go to."""
    fits = [walk is not None and walk.source[2] % lanes == 0 == walk.lanes % lanes for walk in walks]
    return lanes > 1 and bool(fits) and all(fits)


def check_foldings(network: IntegerNetwork, foldings: Sequence[Folding]) -> None:
    """Refuses foldings that do not fit the network.

    Raises
    ------
    ChandelierError
        If there is not one for each layer, or a lane count is out of its range; the line names layer, parameter and
        range.
    """
    if len(foldings) != len(network.layers):
        raise ChandelierError(f"{len(network.layers)} layers need as many foldings, not {len(foldings)}")
    for i, (layer, folding) in enumerate(zip(network.layers, foldings, strict=True)):
        row, most_at_once, walk = row_synapses(layer), most_events(network, i), walk_of(network, i)
        limits = {
            "synapse_lanes": row * most_at_once,
            "population_lanes": max(1, layer.n_i),
            "neuron_lanes": layer.n_e,
        }
        for name, most in limits.items():
            lanes = getattr(folding, name)
            if not 1 <= lanes <= most:
                raise ChandelierError(f"{name} of layer {i} must be 1..{most}, not {lanes}")
        events = folding.events(layer)
        if folding.synapse_lanes > row and (folding.synapse_lanes % row or (walk and walk.lanes % events)):
            times = f"a divisor of {most_at_once}" if walk else f"2..{most_at_once}"
            raise ChandelierError(
                f"synapse_lanes of layer {i} must be 1..{row}, or that times {times}, not {folding.synapse_lanes}"
            )
        at_once = sent_at_once(network, foldings, i)
        if folding.neuron_lanes % at_once:
            raise ChandelierError(
                f"neuron_lanes of layer {i} must be a multiple of the {at_once} events that the layer behind it takes "
                f"at once, not {folding.neuron_lanes}"
            )
        if layer.wiring.window and layer.n_e % folding.neuron_lanes:
            raise ChandelierError(
                f"neuron_lanes of layer {i} must divide the {layer.n_e} neurons of a pixel, and {folding.neuron_lanes} "
                "does not"
            )


def _multipliers(folding: Folding, layer: Layer) -> int:
    """Two for each weight of ``w_ei`` in a cycle, one for each ``g_i * i_ie``, two for each current.

    Where all E neurons are inhibited alike, one row of ``w_ei`` serves all of them.

    Without inhibition there is one for each current.
    """
    neurons, population = folding.neuron_lanes, folding.population_lanes
    if not layer.n_i:
        return neurons
    return 2 * population * (1 if is_global(layer) else neurons) + population + 2 * neurons


class _Search:
    """The foldings of a layer, where so many of its inputs are non-zero, and so many of its neurons fire.

    Parameters
    ----------
    network : IntegerNetwork
    index : int
        Of the layer.
    activity : (layers,)
        Share of non-zeros in the network's input, and then in the spikes of each layer.
    """

    def __init__(self, network: IntegerNetwork, index: int, activity: Sequence[float]) -> None:
        walks = walks_of(network)
        self.layer, self.walk = network.layers[index], walks[index]
        own = self.walk is not None or self.layer.wiring.sources_of(index) == (NETWORK_INPUT,)
        #: Not of a layer before: its lanes would have to be a multiple.
        self.most_events = most_events(network, index) if own else 1
        self.sets, self.steps = network.layer_steps(index), network.steps
        self.pixels = math.prod(network.maps[index][1][:2])
        silent = 1 - activity[self.layer.wiring.sources_of(index)[0] + 1]
        density = 1 - silent ** math.prod(self.layer.wiring.pool)
        # An input of a map is seen by as many rows of outputs.
        inputs = math.prod(self.walk.shape) * self.walk.rows / self.walk.row_step if self.walk else self.layer.d
        #: Rows of weights that a time step takes.
        self.events = max(1, round(density * inputs))
        self.firing = activity[index + 1] if index + 1 < len(activity) else 0.0
        takers = _takers(network, index)
        #: How its events are gathered; what is added up with others may have to go one by one (``is_grouped``).
        self.alone = all(len(network.layers[i].wiring.sources_of(i)) == 1 for i in takers)
        self.gathering = [walks[i] for i in takers]

    def synapse_cycles(self, lanes: int) -> float:
        """Cycles of a sample in the synapse stage."""
        walk, folding = self.walk, Folding(lanes, 1, 1)
        beats, markers = self.events / folding.events(self.layer), walk.output[0] * walk.columns if walk else 1
        return self.sets * max(beats * folding.words(self.layer) + markers, walk.visits if walk else 0)

    def neuron_cycles(self, folding: Folding, slack: int = 1) -> float:
        """Cycles of a sample in the population unit, ``slack`` times, or where its spikes become events."""
        beats, neurons = self.pixels * folding.groups(self.layer), self.pixels * self.layer.n_e
        one_by_one = self.firing * neurons + beats * (1 - self.firing) ** folding.neuron_lanes
        grouped = self.alone and _neighbours(self.gathering, folding.neuron_lanes)
        encoder = 1 + (beats if grouped else one_by_one)
        population = self.pixels * population_cycles(self.layer, folding)
        return max(slack * self.sets * population, self.steps * encoder)

    def sensible_lanes(self) -> list[int]:
        """Synapse lanes for a row of weights in as few words of ``ROW_BITS`` as it needs, or several rows in one."""
        row, bits = row_synapses(self.layer), self.layer.synapse_bits
        several = self._rows() if self.walk else []  # of an input, only if a target asks for them
        return [ceil_div(row, ceil_div(row * bits, ROW_BITS)), *(n for n in several if n * bits <= ROW_BITS)]

    def all_lanes(self) -> list[int]:
        """Synapse lanes that differ in cycles, from 1 on."""
        row = row_synapses(self.layer)
        return [*sorted({ceil_div(row, words) for words in range(1, row + 1)}), *self._rows()]

    def _rows(self) -> list[int]:
        """Synapse lanes of several rows at once, which a map allows, and the network's input."""
        at_once = range(2, self.most_events + 1)
        return [row_synapses(self.layer) * k for k in at_once if not self.walk or self.walk.lanes % k == 0]

    def balanced(self, synapse_lanes: Sequence[int], target: float, budget: int) -> Folding:
        """The cheapest folding whose stages take at most ``target`` cycles a sample.

        If the lanes or the multipliers of the budget do not suffice, the fastest that there is.
        """
        layer = self.layer
        # Only one pixel can wait for its neurons, and some have few events: without slack the synapses would wait, too.
        slack = 1 if self.pixels == 1 else 2
        synapses = next((s for s in synapse_lanes if self.synapse_cycles(s) <= target), synapse_lanes[-1])
        candidates = [
            Folding(synapses, population, neurons)
            for neurons in range(1, min(layer.n_e, budget) + 1)
            for population in range(1, min(max(1, layer.n_i), budget) + 1)
            if not (layer.wiring.window and layer.n_e % neurons)
        ]
        affordable = [f for f in candidates if _multipliers(f, layer) <= budget]
        fast = [f for f in affordable if self.neuron_cycles(f, slack) <= target]
        if fast:
            return min(fast, key=lambda f: (_multipliers(f, layer), self.neuron_cycles(f, slack)))
        return min(affordable, key=lambda f: (self.neuron_cycles(f, slack), _multipliers(f, layer)))


def _searches(network: IntegerNetwork, activity: Sequence[float] | None) -> list[_Search]:
    layers = len(network.layers)
    if activity is None:
        activity = [DENSITY] * layers
    if len(activity) != layers or not all(0 <= share <= 1 for share in activity):
        raise ValueError(f"activity must be {layers} shares of 0..1, not {activity}")
    return [_Search(network, i, activity) for i in range(layers)]


def default_foldings(network: IntegerNetwork, *, multipliers: int = MULTIPLIERS) -> tuple[Folding, ...]:
    """A folding for each layer: rows of weights as wide as is sensible, and the rest just fast enough.

    "Fast enough" is that no stage of any layer takes longer than the slowest synapse stage, when ``DENSITY`` of
    all inputs are non-zero.

    Parameters
    ----------
    multipliers : int, >= 5 (1 if no layer has inhibition)
        What the population unit and the neurons of a layer may have together; fewer make it slower.

    Raises
    ------
    ChandelierError
        If there are too few multipliers for a single lane.
    """
    least = max(_multipliers(Folding(1, 1, 1), layer) for layer in network.layers)
    if multipliers < least:
        raise ChandelierError(f"multipliers of a layer must be at least {least}, not {multipliers}")
    searches = _searches(network, None)
    target = max(min(map(search.synapse_cycles, search.sensible_lanes())) for search in searches)
    return tuple(search.balanced(search.sensible_lanes(), target, multipliers) for search in searches)


def foldings_for(network: IntegerNetwork, target: int, activity: Sequence[float] | None = None) -> tuple[Folding, ...]:
    """The cheapest folding of each layer in which no stage takes more than ``target`` cycles a sample, on average.

    Parameters
    ----------
    target : int, >= 1
    activity : (layers,), optional
        Share of non-zeros, 0..1, in the network's input and then in the spikes of each layer; by default ``DENSITY``.

    Raises
    ------
    ChandelierError
        If there is no such folding: the line names layer, stage and the fewest cycles.
    """
    foldings = []
    for search in _searches(network, activity):
        every = _multipliers(Folding(1, max(1, search.layer.n_i), search.layer.n_e), search.layer)
        foldings.append(search.balanced(search.all_lanes(), target, every))
    cycles, layer, stage = slowest_stage(network, foldings, activity)
    if cycles > target:
        raise ChandelierError(
            f"no folding takes {target} cycles a sample: {stage} of layer {layer} take {math.ceil(cycles)} in all lanes"
        )
    return tuple(foldings)


def cycles_range(network: IntegerNetwork, activity: Sequence[float] | None = None) -> tuple[int, int]:
    """Cycles a sample of the slowest stage, with all lanes that there are and with single ones."""
    searches = _searches(network, activity)
    every = [Folding(s.all_lanes()[-1], max(1, s.layer.n_i), s.layer.n_e) for s in searches]
    single = [Folding(1, 1, 1)] * len(searches)
    fewest, most = (
        max(max(s.synapse_cycles(f.synapse_lanes), s.neuron_cycles(f)) for s, f in zip(searches, foldings, strict=True))
        for foldings in (every, single)
    )
    return math.ceil(fewest), math.ceil(most)


def slowest_stage(
    network: IntegerNetwork, foldings: Sequence[Folding], activity: Sequence[float] | None = None
) -> tuple[float, int, str]:
    """What limits the rate: cycles a sample on average, the layer, and "synapses" or "neurons"."""
    stages = [
        stage
        for i, (search, folding) in enumerate(zip(_searches(network, activity), foldings, strict=True))
        for stage in (
            (search.synapse_cycles(folding.synapse_lanes), i, "synapses"),
            (search.neuron_cycles(folding), i, "neurons"),
        )
    ]
    return max(stages)
