"""Import of NIR graphs: of snnTorch and Norse with the same spikes, down to the Verilog; and what is refused, and how."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hw.rtl import write_rtl
from quant.arithmetic import Reset
from quant.errors import ChandelierError
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import load_network, save_network
from quant.quantisers import Scheme
from sim.cosim import cosimulate
from sw.chain import chain_spikes, leak_code
from sw.import_nir import NIROptions, chain_of, import_nir, read_graph
from tests.reference import reference

nir = pytest.importorskip("nir")

STEPS, SAMPLES = 12, 6


def _inputs(seed: int, features: int) -> Tensor:
    """(steps, samples, features) in [0, 1], float64, half of them zero."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(STEPS, SAMPLES, features, generator=generator, dtype=torch.float64)
    return x * (torch.rand(x.shape, generator=generator) < 0.5)


def _cosimulated(network: IntegerNetwork, x: Tensor, folder: Path) -> None:
    """Saves, loads, generates, and simulates with stalls: not a single mismatch, in every layer."""
    save_network(network, folder / "n.safetensors")
    network = load_network(folder / "n.safetensors")
    codes = network.input.encode(x.transpose(0, 1).float().numpy())
    write_rtl(network, folder / "rtl")
    model = GoldenModel(network)
    report = cosimulate(
        folder / "rtl",
        codes,
        lambda start, stop: model.run(codes[start:stop], SIGNALS).signals,
        stall_probability=0.3,
        optimise=False,
    )
    assert report.passed and not report.mismatches, report
    for i, layer in enumerate(network.layers):
        assert (i, "spike" if layer.neurons else "logits") in report.compared


def _check(graph: Any, x: Tensor, spikes: list[Tensor], *, dt: float, reset: Reset, folder: Path) -> None:
    """Every layer's spikes in floating point, step by step; then the integers, in golden model and RTL."""
    nir.write(folder / "graph.nir", graph)
    shape, layers = chain_of(read_graph(folder / "graph.nir"), dt=dt, reset=reset)
    assert shape == (1, 1, x.shape[-1])
    ours = [layer.flatten(2) for layer in chain_spikes(layers, x.unflatten(-1, shape))]
    for i, (mine, theirs) in enumerate(zip(ours, spikes, strict=True)):
        assert 0.02 < theirs.mean() < 0.98, f"layer {i} is silent or saturated: it shows nothing"
        assert torch.equal(mine, theirs), f"layer {i}: {int((mine != theirs).sum())} of {mine.numel()} spikes differ"
    options = NIROptions(steps=STEPS, dt=dt, reset=reset, scheme=Scheme(synapse_bits=8, gain_e_bits=16))
    network = import_nir(folder / "graph.nir", "imported", options)
    codes = network.input.encode(x.transpose(0, 1).float().numpy())
    logits = GoldenModel(network).run(codes).logits
    # Eight bits of synapses and six of the potential are not float64: but nearly every spike is the same.
    assert np.abs(logits - spikes[-1].sum(0).numpy()).mean() < 0.05 * STEPS
    _cosimulated(network, x, folder)


@pytest.mark.parametrize(("reset", "mechanism", "delay"), [("zero", "zero", True), ("delayed", "subtract", True)])
def test_snntorch(reset: Reset, mechanism: str, delay: bool, tmp_path: Path) -> None:
    snn = pytest.importorskip("snntorch")
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(1)

    def neurons(n: int, beta: float, threshold: float) -> Any:
        values = {"beta": torch.full((n,), beta), "threshold": torch.full((n,), threshold)}
        return snn.Leaky(**values, reset_mechanism=mechanism, reset_delay=delay, init_hidden=True)

    net: Any = torch.nn.Sequential(
        torch.nn.Linear(20, 16), neurons(16, 0.85, 0.4), torch.nn.Linear(16, 5, bias=False), neurons(5, 0.7, 0.15)
    )
    graph = export_to_nir(net, torch.rand(1, 20), ignore_dims=[0])
    # beta is of float32 in the graph, and so it has to be in the simulation.
    net = net.double()
    for cell in (net[1], net[3]):
        cell.reset_mem()
    x, spikes = _inputs(1, 20), [[], []]
    with torch.no_grad():
        for step in x:
            spikes[0].append(net[1](net[0](step)).double())
            spikes[1].append(net[3](net[2](spikes[0][-1])).double())
    _check(graph, x, [torch.stack(s) for s in spikes], dt=1e-4, reset=reset, folder=tmp_path)


def test_norse(tmp_path: Path) -> None:
    norse = pytest.importorskip("norse.torch")
    from norse.torch.utils.export_nir import to_nir

    torch.manual_seed(2)

    def neurons(n: int, tau_mem_inv: float, v_th: float) -> Any:
        values = {"tau_mem_inv": tau_mem_inv, "v_th": v_th, "v_leak": 0.0, "v_reset": 0.0}
        tensors = {name: torch.full((n,), value, dtype=torch.float64) for name, value in values.items()}
        return norse.LIFBoxCell(norse.LIFBoxParameters(**tensors), dt=0.001)

    cells = [neurons(16, 150.0, 0.07), neurons(5, 400.0, 0.1)]
    linear = [torch.nn.Linear(20, 16), torch.nn.Linear(16, 5, bias=False)]
    net = norse.SequentialState(linear[0], cells[0], linear[1], cells[1]).double()
    # Norse writes tau as dt / tau_mem_inv: dt=1 makes it a time constant in seconds.
    graph = to_nir(net, torch.rand(20, dtype=torch.float64), dt=1)
    x, states, spikes = _inputs(2, 20), [None, None], [[], []]
    with torch.no_grad():
        for step in x:
            z = step
            for i in range(2):
                z, states[i] = cells[i](linear[i](z), states[i])
                spikes[i].append(z)
    _check(graph, x, [torch.stack(s) for s in spikes], dt=0.001, reset="zero", folder=tmp_path)
