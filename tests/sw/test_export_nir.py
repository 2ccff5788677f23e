"""Export to NIR: what comes back from a graph spikes like the network that went."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from quant.errors import ChandelierError
from quant.formats import Format
from quant.golden import GoldenModel
from quant.maps import Shape, Window, Wiring, pooled
from quant.network import Input, IntegerNetwork, Layer, Neurons
from sw.chain import chain_spikes
from sw.export_nir import DT, export_nir
from sw.import_nir import chain_of
from sw.nir_file import read_graph
from tests.random_networks import random_network

pytest.importorskip("nir")

STEPS, SAMPLES = 10, 5


def _layer(rng: np.random.Generator, d: int, n: int, wiring: Wiring, theta: int, *, last: bool, leak: int) -> Layer:
    """Integers without rounding, and currents that are even, so that none stops at the odd threshold."""
    w = 2 * rng.integers(-3, 4, (n, d)).astype(np.int8)
    neurons = Neurons(
        g_i=np.empty(0, np.uint8),
        g_e=rng.integers(1, 4, n).astype(np.uint8),
        b_e=2 * rng.integers(0, 5, n).astype(np.int32),
        gain_i_bits=1,
        gain_e_bits=4,
        shift=0,
        reciprocal=None,
        membrane=Format(24, 6, signed=True),
        tau_shift=1,
        theta=theta,
        leak=leak,
        reset="zero",
    )
    return Layer(w, w[:0], w[:, :0].view("u1"), 1, 4, 1, None if last else neurons, wiring)


def _network(seed: int, maps: bool, leak: int) -> IntegerNetwork:
    rng = np.random.default_rng(seed)
    shape: Shape = (6, 5, 2) if maps else (1, 9, 1)
    convolution = Wiring((), (1, 1), Window((3, 2), (1, 2), (1, 0)))
    wirings = [convolution, Wiring((), (2, 1)), Wiring()] if maps else [Wiring(), Wiring(), Wiring()]
    layers, current = [], shape
    for i, wiring in enumerate(wirings):
        current = pooled(current, wiring.pool)
        layers.append(_layer(rng, wiring.inputs(current), 7, wiring, 15 if i else 65, last=i == 2, leak=leak))
        current = wiring.output(current, 7)
    spec = Input(int(np.prod(shape)), 3, "sequence", shape=shape)
    return IntegerNetwork("out", spec, tuple(layers), STEPS, 0.25)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("leak", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_a_round_trip_spikes_alike(seed: int, leak: int, maps: bool, tmp_path: Path) -> None:
    network = _network(seed, maps, leak)
    export_nir(network, tmp_path / "g.nir")
    _, layers = chain_of(read_graph(tmp_path / "g.nir"), dt=DT, reset="zero")
    codes = np.random.default_rng(seed).integers(0, 8, (SAMPLES, STEPS, network.input.features)).astype(np.uint8)
    trace = GoldenModel(network).run(codes, ["spike"])
    shape = network.input.map if maps else (1, 1, 9)
    x = torch.from_numpy(codes / 7).transpose(0, 1).unflatten(-1, shape)
    *hidden, currents = chain_spikes(layers, x)
    for i, spikes in enumerate(hidden):
        assert 0.02 < spikes.mean() < 0.98, i
        assert np.array_equal(spikes.transpose(0, 1).flatten(2).numpy(), trace.signals[i, "spike"]), i
    logits = trace.logits * network.logit_scale
    assert np.allclose(currents.mean(0).flatten(1).numpy(), logits)


def test_a_readout_that_counts_is_left_out(tmp_path: Path) -> None:
    network = _network(0, False, 0)
    counter = replace(network.layers[2], w_ee=np.eye(7, dtype=np.int8))
    export_nir(replace(network, layers=(*network.layers[:2], counter)), tmp_path / "g.nir")
    _, layers = chain_of(read_graph(tmp_path / "g.nir"), dt=DT, reset="zero")
    assert len(layers) == 2 and layers[-1].neurons is not None


def test_what_a_graph_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match=r"layers\.0 of random0 has I neurons"):
        export_nir(random_network(0), tmp_path / "g.nir")
    network = _network(0, False, 0)
    first = network.layers[0]
    assert first.neurons is not None
    first = replace(first, neurons=replace(first.neurons, reset="delayed"))
    with pytest.raises(ChandelierError, match=r"layers\.0 of out resets by 'delayed'"):
        export_nir(replace(network, layers=(first, *network.layers[1:])), tmp_path / "g.nir")
    assert not list(tmp_path.iterdir())
