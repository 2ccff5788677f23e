"""Operations and bits of memory of a sample, counted input by input."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Fragment

from hw.folding import Folding, default_foldings
from hw.network import Network
from hw.operations import Energies, Operations, count_operations
from hw.order import walk_of
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from tests.random_networks import random_codes, random_map_network, random_network, random_row_network

SAMPLES = 4


def _design(network: IntegerNetwork, foldings: Sequence[Folding]) -> Network:
    design = Network(network, foldings)
    Fragment.get(design, None)  # or Amaranth would remark that nothing came of it
    return design


def _pooled(network: IntegerNetwork, index: int, sources: list[np.ndarray]) -> np.ndarray:
    """Whether each input of a layer is zero, (height, width, channels), of one step of its sources."""
    height, width, channels = network.maps[index][0]
    pool_y, pool_x = network.layers[index].wiring.pool
    seen = np.zeros((height, width, channels), bool)
    for source in sources:
        for y, x, c in product(range(height), range(width), range(channels)):
            seen[y, x, c] |= source[y * pool_y : (y + 1) * pool_y, x * pool_x : (x + 1) * pool_x, c].any()
    return seen


def _met(network: IntegerNetwork, index: int, seen: np.ndarray) -> tuple[int, int]:
    """How often a pixel of outputs sees an input that is not zero, and how often a row of pixels does."""
    window, (rows, columns, _) = network.layers[index].wiring.window, network.maps[index][1]
    if window is None:
        return int(seen.sum()), int(seen.sum())
    pixels, of_rows = 0, set()
    for y, x in product(range(rows), range(columns)):
        for dy, dx in product(range(window.kernel[0]), range(window.kernel[1])):
            at = y * window.stride[0] + dy - window.padding[0], x * window.stride[1] + dx - window.padding[1]
            if 0 <= at[0] < seen.shape[0] and 0 <= at[1] < seen.shape[1]:
                pixels += int(seen[at].sum())
                of_rows |= {(y, *at, int(c)) for c in np.flatnonzero(seen[at])}
    return pixels, len(of_rows)


@pytest.mark.parametrize("seed", range(24))
def test_synapses_are_counted_input_by_input(seed: int) -> None:
    kinds = random_network, random_map_network, random_row_network
    network = kinds[seed % 3](seed)
    foldings = default_foldings(network)
    codes = random_codes(network, SAMPLES, seed)
    events = GoldenModel(network).events(codes)
    design = _design(network, foldings)
    counted = count_operations(design, events)
    for i, layer in enumerate(network.layers):
        sources, shape = layer.wiring.sources_of(i), network.maps[i][0]
        walk = walk_of(network, i)
        source_shape = walk.source if walk else shape
        inputs = pixels = rows = 0
        for sample, step in product(range(SAMPLES), range(network.layer_steps(i))):
            seen = _pooled(network, i, [events[j + 1][sample, step].reshape(source_shape) for j in sources])
            inputs += int(seen.sum())
            met, met_rows = _met(network, i, seen)
            pixels, rows = pixels + met, rows + met_rows
        assert counted[i].inputs * SAMPLES == inputs, f"seed {seed}, layer {i}"
        assert counted[i].synaptic * SAMPLES == pixels * (layer.n_e + layer.n_i), f"seed {seed}, layer {i}"
        # What else is read does not depend on the samples, but for the events of a map.
        silent = count_operations(design, [np.zeros_like(own) for own in events])[i]
        lanes = foldings[i].synapse_lanes // foldings[i].events(layer)
        bits = rows * foldings[i].words(layer) * lanes * layer.synapse.width
        if walk:
            memories, pixels = design.engines[i].memory_bits, walk.events // walk.source[2]
            gathered = memories["maps"] // (2 * walk.depth) + memories["pixels"] // pixels
            groups = [np.any(events[j + 1].reshape(-1, design.engines[i].gathered), axis=1) for j in sources]
            bits += sum(int(own.sum()) for own in groups) * gathered
        assert (counted[i].read - silent.read) * SAMPLES == pytest.approx(bits), f"seed {seed}, layer {i}"


def test_bits_and_products_of_a_small_network() -> None:
    """4-5-5 with two I neurons each, three steps, a static input; all inputs lit, and all neurons spike."""
    network = random_network(198, largest=5)
    design = _design(network, [Folding(3, 1, 2), Folding(14, 2, 5)])
    first, last = count_operations(design, [np.ones((1, 1, 4), bool), np.ones((1, 3, 5), bool)])
    assert first.inputs == 4 and first.synaptic == 4 * 7 and first.inhibitory == 2 * 5 * 2
    assert (first.currents, first.divided, first.updates) == (5, 5, 3 * 5)
    # Rows of three words of three bits; w_ei of one bit; gains and biases of 11 and 15; reciprocals of 4; and of three
    # beats of two neurons the frame (balance and d of 17 bits together), currents and potentials of 15.
    frame, currents = 3 * 2 * 17, 3 * 2 * 15
    assert first.read == 4 * 9 + 3 * 2 * 2 + 3 * 2 * (11 + 15) + 5 * 4 + frame + 2 * currents + 3 * currents
    assert first.written == frame + currents + 3 * currents
    # Two events at once, but a row of seven weights of eight bits each. No neurons: no denominator.
    assert last.inputs == 3 * 5 and last.synaptic == 3 * 5 * 7 and last.inhibitory == 3 * 5 * 2
    assert (last.currents, last.divided, last.updates, last.written) == (0, 0, 0, 0)
    assert last.read == 3 * 5 * 7 * 8 + 3 * 5 * 2 * 8


def test_energy_is_the_sum_of_what_is_counted() -> None:
    operations = Operations(synaptic=100, inhibitory=10, currents=4, divided=4, updates=8, read=640, written=64)
    additions, bits = 100 + 10 + 2 * 4 + 3 * 8, 640 + 64
    assert Energies().of(operations) == pytest.approx(0.1 * additions + 0.2 * 10 + 3.1 * 8 + 10 / 64 * bits)
    assert Energies(1, 0, 0, 0).of(operations) == additions
    assert Energies(0, 0, 0, 1).of(operations + operations) == 2 * bits
