"""Stages of fully spatial designs: lanes that divide for several neurons."""

from typing import Any

import numpy as np
import pytest
import torch
from amaranth.sim import Simulator

from hw.global_inhibition import is_global
from hw.spatial_stages import SpatialDivision
from quant.exact import divide
from quant.network import Layer
from quant.widths import LayerWidths, network_widths
from tests.random_networks import random_network

#: Networks whose first layer divides: by denominators of their own, and by one for all neurons.
OWN, ALIKE = 20, 17


def _frames(layer: Layer, widths: LayerWidths, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Balances and denominators (count, n_e) of all magnitudes, for which the product has its proven width."""
    assert widths.d and widths.product and layer.neurons and layer.neurons.reciprocal
    shape = (count, layer.n_e)
    most = widths.product.max // (layer.neurons.g_e.astype(np.int64) * max(layer.neurons.reciprocal.table) + 1)
    low, high = np.maximum(widths.bal.min, -most), np.minimum(widths.bal.max, most)
    bal = rng.integers(low, high + 1, shape) >> rng.integers(0, widths.bal.width, shape)
    d = rng.integers(0, widths.d.max + 1, shape) >> rng.integers(0, widths.d.width + 1, shape)
    return bal, np.repeat(d[:, :1], layer.n_e, 1) if is_global(layer) else d


def _divided(stage: SpatialDivision, bal: np.ndarray, d: np.ndarray, pauses: np.ndarray) -> list[list[int]]:
    """What comes out, where beats come ``pauses`` cycles apart."""
    found = []

    async def send(context: Any) -> None:
        for balances, denominators, pause in zip(bal.tolist(), d.tolist(), pauses.tolist(), strict=True):
            for k, (b, x) in enumerate(zip(balances, denominators, strict=True)):
                context.set(stage.i.p[k], {"bal": b, "d": x})
            context.set(stage.i.valid, 1)
            await context.tick()
            context.set(stage.i.valid, 0)
            for k in range(len(balances)):  # what comes without a beat means nothing
                context.set(stage.i.p[k], {"bal": k, "d": 1})
            if pause > 1:
                await context.tick().repeat(pause - 1)
        await context.tick().repeat(stage.latency)

    async def receive(context: Any) -> None:
        async for _, _, valid, frame in context.tick().sample(stage.o.valid, stage.o.p):
            if valid:
                found.append([frame[k].current for k in range(bal.shape[1])])

    simulator = Simulator(stage)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    return found


@pytest.mark.parametrize("interval", [1, 2, 3])
@pytest.mark.parametrize("seed", [OWN, ALIKE])
def test_lanes_divide_for_as_many_neurons_as_there_are_cycles(seed: int, interval: int) -> None:
    network = random_network(seed)
    layer, widths, rng = network.layers[0], network_widths(network)[0], np.random.default_rng(seed)
    neurons = layer.neurons
    assert neurons and neurons.reciprocal and is_global(layer) == (seed == ALIKE)
    assert layer.n_e % 2 and layer.n_e % 3  # some lane has no neuron in the last turn
    bal, d = _frames(layer, widths, 30, rng)
    stage = SpatialDivision(layer, widths, interval=interval)
    found = _divided(stage, bal, d, interval + rng.integers(0, 3, len(bal)))
    balances, denominators = (torch.from_numpy(values).double() for values in (bal, d))
    g_e, b_e = (torch.from_numpy(values.astype(np.int64)) for values in (neurons.g_e, neurons.b_e))
    expected = divide(balances, denominators, g_e, b_e, neurons.shift, neurons.reciprocal, neurons.membrane)
    assert found == expected.long().tolist()
