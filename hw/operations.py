"""What a network does for a sample, counted from its events: operations, bits of memory, and what they may cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.global_inhibition import is_global
from hw.layer import LayerEngine
from hw.network import Network
from hw.population import equal_gain
from quant.network import Layer

__all__ = ["Energies", "Operations", "count_operations"]


@dataclass(frozen=True)
class Operations:
    """Of a layer, or of several, for a sample on average.

    Parameters
    ----------
    inputs : float
        What is not zero of the input, after pooling.
    synaptic : float
        Weights that are added to a current: for each of these inputs, all its synapses.
    inhibitory : float
        Products of ``w_ei`` and a current, for balance and denominator.
    currents : float
        Currents made of a balance, each with two products where it is divided.
    divided : float
        How many of these are.
    updates : float
        Membrane potentials.
    read, written : float
        Bits of memories, those of queues and pipelines left out.
    """

    inputs: float = 0.0
    synaptic: float = 0.0
    inhibitory: float = 0.0
    currents: float = 0.0
    divided: float = 0.0
    updates: float = 0.0
    read: float = 0.0
    written: float = 0.0

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Energies:
    """What an operation costs, in pJ: by default in 45 nm at 0.9 V (Horowitz, ISSCC 2014, figure 1.1.9).

    Parameters
    ----------
    add : float
        An addition, of 32 bits.
    multiply_narrow : float
        A product of 8 by 8 bits.
    multiply : float
        A product of 32 by 32 bits.
    bit : float
        A bit of a memory of 8 KB that is read or written 64 at a time.
    """

    add: float = 0.1
    multiply_narrow: float = 0.2
    multiply: float = 3.1
    bit: float = 10 / 64

    def of(self, operations: Operations) -> float:
        """pJ of the operations: three additions for a potential, two in a current, and its products."""
        additions = operations.synaptic + operations.inhibitory + 2 * operations.currents + 3 * operations.updates
        products = operations.currents + operations.divided
        bits = operations.read + operations.written
        narrow = self.multiply_narrow * operations.inhibitory
        return self.add * additions + narrow + self.multiply * products + self.bit * bits


def _pooled(engine: LayerEngine, sources: Sequence[np.ndarray]) -> np.ndarray:
    """What a layer with a map sees that is not zero: (samples, steps, height, width, channels) bool."""
    walk = engine.walk
    assert walk is not None
    seen = np.logical_or.reduce(sources)
    maps = seen.reshape(*seen.shape[:2], *walk.source)
    (height, width, channels), (pool_y, pool_x) = walk.shape, walk.pool
    maps = maps[:, :, : height * pool_y, : width * pool_x]
    return maps.reshape(*seen.shape[:2], height, pool_y, width, pool_x, channels).any((3, 5))


def _visits(engine: LayerEngine, sources: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Inputs that are not zero, in a sample on average, how often a pixel sees one, and a row of weights is read.

    With a map, a row of weights serves all outputs of a row at once.
    """
    if engine.walk is None:
        events = float(np.count_nonzero(sources[0]) / len(sources[0]))
        return events, events, events
    rows, columns = engine.walk.views()
    lit = _pooled(engine, sources).sum((1, 4)).mean(0)
    return float(lit.sum()), float(rows @ lit @ columns), float(rows @ lit @ (columns > 0))


def _inhibitory(layer: Layer) -> int:
    """Products of ``w_ei`` for a pixel and time step."""
    neurons = layer.neurons
    sums = 1 if neurons is None or equal_gain(neurons.g_i) is not None else 2
    return sums * layer.n_i * (1 if is_global(layer) else layer.n_e) if layer.n_i else 0


def _bits(engine: LayerEngine, sources: Sequence[np.ndarray], rows: float) -> tuple[float, float]:
    """Bits of memory read and written, where ``rows`` rows of weights are read."""
    layer, folding, bits, sets = engine.layer, engine.folding, engine.memory_bits, engine.sets
    lanes = folding.synapse_lanes // folding.events(layer)
    read, written = rows * folding.words(layer) * lanes * layer.synapse.width, 0.0
    read += sets * engine.pixels * (bits.get("inhibition", 0) + bits.get("gains_and_biases", 0))
    if "reciprocal" in bits:
        assert layer.neurons is not None and layer.neurons.reciprocal is not None
        looks = folding.groups(layer) if is_global(layer) else layer.n_e
        read += sets * engine.pixels * looks * layer.neurons.reciprocal.bits
    # Of the store of the stabiliser one half is written, and one read. In row-major order there is a row of the others.
    frames, currents = sets * bits.get("frames", 0) / 2, sets * engine.rows * bits.get("currents", 0)
    potentials = engine.steps * engine.rows * bits.get("potentials", 0)
    read += frames + currents * (engine.steps // sets - 1) + potentials
    written += frames + currents + potentials
    if engine.walk:
        # Of two sets of maps one is visited, and cleared; in the other events are added.
        groups = [np.any(source.reshape(len(source), -1, engine.gathered), axis=2) for source in sources]
        events = sum(np.count_nonzero(own) / len(own) for own in groups)
        word, places = bits["maps"] / (2 * engine.walk.depth), len(engine.walk.places())
        read += events * (word + bits["pixels"] / places) + sets * engine.walk.visits * word
        written += events * word + sets * engine.walk.map_words * word
    return read, written


def _layer_operations(engine: LayerEngine, sources: Sequence[np.ndarray]) -> Operations:
    layer, neurons = engine.layer, engine.sets * engine.pixels * engine.layer.n_e
    hidden, divided = layer.neurons is not None, layer.neurons is not None and layer.n_i > 0
    inputs, visits, rows = _visits(engine, sources)
    read, written = _bits(engine, sources, rows)
    return Operations(
        inputs=inputs,
        synaptic=visits * (layer.n_e + layer.n_i),
        inhibitory=engine.sets * engine.pixels * _inhibitory(layer),
        currents=neurons if hidden else 0,
        divided=neurons if divided else 0,
        updates=engine.steps * engine.pixels * layer.n_e if hidden else 0,
        read=read,
        written=written,
    )


def count_operations(design: Network, events: Sequence[np.ndarray]) -> list[Operations]:
    """Of each layer, for a sample on average.

    Parameters
    ----------
    design : Network
    events : sequence of (samples, steps, values) bool
        What is not zero in the network's input, and in the spikes of each layer but the last; one step of a static
        input (``GoldenModel.events``).
    """
    wirings = [engine.layer.wiring for engine in design.engines]
    return [
        _layer_operations(engine, [events[source + 1] for source in wiring.sources_of(i)])
        for i, (engine, wiring) in enumerate(zip(design.engines, wirings, strict=True))
    ]
