"""The folding: how many lanes each stage of each layer has."""

from collections.abc import Sequence
from dataclasses import dataclass

from hw.packing import ceil_div
from quant.errors import ChandelierError
from quant.network import IntegerNetwork, Layer

__all__ = ["Folding", "check_foldings", "default_foldings"]

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
        Synapses.
    population_lanes : int, 1..n_i
        I neurons per E neuron in the population unit; 1 in a layer without inhibition, which has none.
    neuron_lanes : int, 1..n_e
        E neurons, in the population unit and all that follows.
    """

    synapse_lanes: int
    population_lanes: int
    neuron_lanes: int

    def words(self, layer: Layer) -> int:
        """Weight words of an input's row: cycles of an event in the synapse stage."""
        return ceil_div(layer.n_e + layer.n_i, self.synapse_lanes)

    def chunks(self, layer: Layer) -> int:
        """Cycles of a group of E neurons in the population unit, or in the serialiser."""
        return max(1, ceil_div(layer.n_i, self.population_lanes))

    def groups(self, layer: Layer) -> int:
        """Groups of E neurons: beats of a frame."""
        return ceil_div(layer.n_e, self.neuron_lanes)


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
        limits = {
            "synapse_lanes": layer.n_e + layer.n_i,
            "population_lanes": max(1, layer.n_i),
            "neuron_lanes": layer.n_e,
        }
        for name, most in limits.items():
            lanes = getattr(folding, name)
            if not 1 <= lanes <= most:
                raise ChandelierError(f"{name} of layer {i} must be 1..{most}, not {lanes}")


def _synapse_lanes(layer: Layer) -> int:
    synapses = layer.n_e + layer.n_i
    return ceil_div(synapses, ceil_div(synapses * layer.synapse_bits, ROW_BITS))


def _multipliers(folding: Folding, layer: Layer) -> int:
    """Two for each weight of ``w_ei`` in a cycle, one for each ``g_i * i_ie``, two for each current.

    Without inhibition there is one for each current.
    """
    lanes = folding.neuron_lanes, folding.population_lanes
    return 2 * lanes[0] * lanes[1] + lanes[1] + 2 * lanes[0] if layer.n_i else lanes[0]


def _balanced(layer: Layer, sets: int, steps: int, target: int, budget: int) -> Folding:
    """The cheapest folding whose population unit and neurons take at most ``target`` cycles a sample.

    If the multipliers do not suffice, the fastest that they pay for.
    """

    def cycles(folding: Folding) -> float:
        groups = folding.groups(layer)
        return max(sets * groups * folding.chunks(layer), steps * encoder_cycles(folding, groups))

    def encoder_cycles(folding: Folding, groups: int) -> float:
        return DENSITY * layer.n_e + groups * (1 - DENSITY) ** folding.neuron_lanes + 1

    candidates = [
        Folding(_synapse_lanes(layer), population, neurons)
        for neurons in range(1, min(layer.n_e, budget) + 1)
        for population in range(1, min(max(1, layer.n_i), budget) + 1)
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

    def synapse_cycles(i: int, layer: Layer) -> int:
        events = max(1, round(DENSITY * layer.d))
        return network.layer_steps(i) * (events * Folding(_synapse_lanes(layer), 1, 1).words(layer) + 1)

    target = max(synapse_cycles(i, layer) for i, layer in enumerate(network.layers))
    return tuple(
        _balanced(layer, network.layer_steps(i), network.steps, target, multipliers)
        for i, layer in enumerate(network.layers)
    )
