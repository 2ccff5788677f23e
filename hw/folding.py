"""The folding: how many lanes each stage of each layer has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hw.geometry import walk_of
from hw.packing import ceil_div
from quant.errors import ChandelierError
from quant.network import IntegerNetwork, Layer

__all__ = ["Folding", "check_foldings", "default_foldings", "row_synapses"]

#: A row of weights up to this wide is read in one cycle.
ROW_BITS = 1024
#: Share of the inputs of a layer that is expected to be non-zero.
DENSITY = 0.15
#: Multipliers that the population unit and the neurons of a layer may have together, by default.
MULTIPLIERS = 128


@dataclass(frozen=True)
class Folding:
    """The lanes of one layer: what its stages compute in one cycle. They decide its throughput and its area.

    Parameters
    ----------
    synapse_lanes : int, 1..n_e+n_i
        Synapses; of a convolution up to as many times that as there are outputs of a row that an input contributes to;
        with a map, a multiple of all those takes several inputs at once (``events``).
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


def row_synapses(layer: Layer) -> int:
    """Synapses of an input: to all neurons, and in a convolution to those of all outputs of a row that it reaches."""
    window = layer.wiring.window
    taps = ceil_div(window.kernel[1], window.stride[1]) if window else 1
    return taps * (layer.n_e + layer.n_i)


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
        walk, row = walk_of(network, i), row_synapses(layer)
        limits = {
            "synapse_lanes": row * (walk.lanes if walk else 1),
            "population_lanes": max(1, layer.n_i),
            "neuron_lanes": layer.n_e,
        }
        for name, most in limits.items():
            lanes = getattr(folding, name)
            if not 1 <= lanes <= most:
                raise ChandelierError(f"{name} of layer {i} must be 1..{most}, not {lanes}")
        events = folding.events(layer)
        if walk and folding.synapse_lanes > row and (folding.synapse_lanes % row or walk.lanes % events):
            raise ChandelierError(
                f"synapse_lanes of layer {i} must be 1..{row}, or that times a divisor of {walk.lanes}, "
                f"not {folding.synapse_lanes}"
            )
        if layer.wiring.window and layer.n_e % folding.neuron_lanes:
            raise ChandelierError(
                f"neuron_lanes of layer {i} must divide the {layer.n_e} neurons of a pixel, and {folding.neuron_lanes} "
                "does not"
            )


def _multipliers(folding: Folding, layer: Layer) -> int:
    """Two for each weight of ``w_ei`` in a cycle, one for each ``g_i * i_ie``, two for each current.

    Without inhibition there is one for each current.
    """
    lanes = folding.neuron_lanes, folding.population_lanes
    return 2 * lanes[0] * lanes[1] + lanes[1] + 2 * lanes[0] if layer.n_i else lanes[0]


def _synapse_lanes(network: IntegerNetwork, index: int) -> list[int]:
    """What is sensible: a row of weights in as few words as it needs, or, with a map, several rows in one word."""
    layer, walk = network.layers[index], walk_of(network, index)
    row, bits = row_synapses(layer), layer.synapse_bits
    lanes = [ceil_div(row, ceil_div(row * bits, ROW_BITS))]
    events = range(2, walk.lanes + 1 if walk else 2)
    return lanes + [row * k for k in events if walk and walk.lanes % k == 0 and row * k * bits <= ROW_BITS]


def _synapse_cycles(network: IntegerNetwork, index: int, lanes: int) -> float:
    """Of a sample in the synapse stage, which each input passes as often as rows of outputs see it."""
    layer, walk, folding = network.layers[index], walk_of(network, index), Folding(lanes, 1, 1)
    inputs = math.prod(walk.shape) * walk.rows / walk.row_step if walk else layer.d
    beats, markers = (
        max(1, round(DENSITY * inputs)) / folding.events(layer),
        walk.output[0] * walk.columns if walk else 1,
    )
    return network.layer_steps(index) * max(beats * folding.words(layer) + markers, walk.visits if walk else 0)


def _balanced(network: IntegerNetwork, index: int, target: float, budget: int) -> Folding:
    """The cheapest folding whose stages take at most ``target`` cycles a sample.

    If the multipliers do not suffice, the fastest that they pay for.
    """
    layer, pixels = network.layers[index], math.prod(network.maps[index][1][:2])

    def cycles(folding: Folding) -> float:
        beats = pixels * folding.groups(layer)
        population = network.layer_steps(index) * beats * folding.chunks(layer)
        # Only one pixel can wait for this stage, and some have few events: without slack the synapses would wait, too.
        population *= 1 if pixels == 1 else 2
        return max(population, network.steps * encoder_cycles(folding, beats))

    def encoder_cycles(folding: Folding, beats: int) -> float:
        return DENSITY * layer.n_e * pixels + beats * (1 - DENSITY) ** folding.neuron_lanes + 1

    possible = _synapse_lanes(network, index)
    synapses = next((s for s in possible if _synapse_cycles(network, index, s) <= target), possible[-1])
    candidates = [
        Folding(synapses, population, neurons)
        for neurons in range(1, min(layer.n_e, budget) + 1)
        for population in range(1, min(max(1, layer.n_i), budget) + 1)
        if not (layer.wiring.window and layer.n_e % neurons)
    ]
    affordable = [f for f in candidates if _multipliers(f, layer) <= budget]
    fast = [f for f in affordable if cycles(f) <= target]
    if fast:
        return min(fast, key=lambda f: (_multipliers(f, layer), cycles(f)))
    return min(affordable, key=lambda f: (cycles(f), _multipliers(f, layer)))


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

    layers = range(len(network.layers))
    target = max(min(_synapse_cycles(network, i, s) for s in _synapse_lanes(network, i)) for i in layers)
    return tuple(_balanced(network, i, target, multipliers) for i in layers)
