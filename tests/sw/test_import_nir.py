"""Import of NIR graphs: of snnTorch and Norse with the same spikes, down to the Verilog; and what is refused."""

from collections.abc import Callable
from itertools import pairwise
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
from sw.import_nir import NIROptions, chain_of, import_nir
from sw.nir_file import read_graph

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
    x = _inputs(1, 20)
    spikes: list[list[Tensor]] = [[], []]
    with torch.no_grad():
        for step in x:
            spikes[0].append(net[1](net[0](step)).double())
            spikes[1].append(net[3](net[2](spikes[0][-1])).double())
    _check(graph, x, [torch.stack(s) for s in spikes], dt=1e-4, reset=reset, folder=tmp_path)
    other: Reset = "subtract" if reset == "delayed" else "delayed"
    _, layers = chain_of(graph, dt=1e-4, reset=other)
    assert not torch.equal(next(chain_spikes(layers, x.unflatten(-1, (1, 1, 20)))).flatten(2), torch.stack(spikes[0]))


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
    x, states = _inputs(2, 20), [None, None]
    spikes: list[list[Tensor]] = [[], []]
    with torch.no_grad():
        for step in x:
            z = step
            for i in range(2):
                z, states[i] = cells[i](linear[i](z), states[i])
                spikes[i].append(z)
    _check(graph, x, [torch.stack(s) for s in spikes], dt=0.001, reset="zero", folder=tmp_path)


def _lif(n: int, **changes: Any) -> Any:
    values = {"tau": 4e-4, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: np.broadcast_to(value, (n,)).astype(float) for name, value in values.items()})


def _graph(*nodes: Any, shape: tuple[int, ...] = (6,)) -> Any:
    """A chain of nodes that are called n0, n1, ..."""
    named = {"input": nir.Input({"input": np.array(shape)}), **{f"n{k}": node for k, node in enumerate(nodes)}}
    named["output"] = nir.Output({"output": np.array([4])})
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), type_check=False)


def _weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def _convolution(**changes: Any) -> Any:
    values = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "bias": _weights(3), "input_shape": (4, 5)}
    return nir.Conv2d(weight=_weights(3, 2, 3, 3), **(values | changes))


def test_a_map_is_reordered_and_pooled_as_in_torch(tmp_path: Path) -> None:
    """Conv2d, AvgPool2d, Flatten and Affine against torch's own, channels first; down to the golden model."""
    dense, bias = _weights(4, 12, seed=1), _weights(4)
    two = np.array([2, 2])
    pool = nir.AvgPool2d(kernel_size=two, stride=two, padding=np.array([0, 0]))
    theta = np.arange(1.0, 4).reshape(3, 1, 1)
    neurons = nir.IF(r=np.full((3, 4, 5), 0.5), v_threshold=np.broadcast_to(theta, (3, 4, 5)))
    flatten = nir.Flatten({"input": np.array([3, 2, 2])}, 0)
    nodes = (_convolution(), neurons, pool, flatten, nir.Affine(dense, bias), _lif(4))
    nir.write(tmp_path / "g.nir", _graph(*nodes, shape=(2, 4, 5)))
    shape, layers = chain_of(read_graph(tmp_path / "g.nir"), dt=1e-4, reset="zero")
    assert shape == (4, 5, 2)
    x = torch.rand(STEPS, SAMPLES, 2, 4, 5, dtype=torch.float64)
    ours = list(chain_spikes(layers, x.permute(0, 1, 3, 4, 2)))
    w, b = torch.from_numpy(_weights(3, 2, 3, 3)), torch.from_numpy(_weights(3))
    v, u = torch.zeros(SAMPLES, 3, 4, 5).double(), torch.zeros(SAMPLES, 4).double()
    for t in range(STEPS):
        v = v + 0.5 * torch.conv2d(x[t], w, b, padding=1)
        spikes = (v > torch.from_numpy(theta)).double()
        v = v * (1 - spikes)
        assert torch.equal(ours[0][t], spikes.permute(0, 2, 3, 1)), t
        flat = torch.nn.functional.avg_pool2d(spikes, 2).flatten(1)
        u = u + 0.25 * (4 * (flat @ torch.from_numpy(dense).T + torch.from_numpy(bias)) - u)
        fired = (u > 1).double()
        u = u * (1 - fired)
        assert torch.equal(ours[1][t].flatten(1), fired), t
    assert 0.02 < ours[1].mean() < 0.98
    network = import_nir(tmp_path / "g.nir", "maps", NIROptions(STEPS))
    codes = network.input.encode(x.transpose(0, 1).permute(0, 1, 3, 4, 2).flatten(2).float().numpy())
    counts = ours[1].sum(0).flatten(1).numpy()
    assert np.abs(GoldenModel(network).run(codes).logits - counts).mean() < 0.05 * STEPS


def test_a_chain_may_end_in_weights(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", _graph(nir.Linear(_weights(5, 6)), _lif(5), nir.Linear(_weights(3, 5))))
    network = import_nir(tmp_path / "g.nir", "ends", NIROptions(STEPS))
    x = _inputs(3, 6)
    _, layers = chain_of(read_graph(tmp_path / "g.nir"), dt=1e-4, reset="zero")
    *_, currents = chain_spikes(layers, x.unflatten(-1, (1, 1, 6)))
    logits = GoldenModel(network).run(network.input.encode(x.transpose(0, 1).float().numpy())).logits
    assert np.abs(logits * network.logit_scale - currents.mean(0).flatten(1).numpy()).max() < 0.3


@pytest.mark.parametrize(
    ("decay", "code"), [(0.0, (0, 1)), (1.0, (2, 1)), (0.5, (1, 1)), (0.1, (205, 11)), (0.001, (1, 10))]
)
def test_leak_code(decay: float, code: tuple[int, int]) -> None:
    assert leak_code(decay) == code


def test_a_leak_too_small_is_refused() -> None:
    with pytest.raises(ChandelierError, match=r"a leak of 1e-05 a time step is less than 2\*\*-13"):
        leak_code(1e-5)


LINEAR = nir.Linear(_weights(4, 6))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: _graph(LINEAR, nir.LI(*[np.ones(4)] * 3)), "node n1 is of type LI, and only Linear, Affine"),
        (lambda: _graph(LINEAR, nir.CubaLIF(*[np.ones(4)] * 5)), "node n1 is of type CubaLIF"),
        (lambda: _graph(nir.Scale(np.ones(6))), "node n0 is of type Scale"),
        (lambda: _graph(_graph(LINEAR)), "node n0 is of type NIRGraph"),
        (lambda: _graph(_lif(6)), "node n0 of type LIF needs a Linear, Affine or Conv2d right before it"),
        (lambda: _graph(LINEAR, LINEAR), "node n1 of type Linear follows n0 without neurons between them"),
        (lambda: _graph(nir.Linear(_weights(4, 5))), r"n0.weight must be \(n, 6\), not \(4, 5\)"),
        (lambda: _graph(nir.Linear(np.full((4, 6), np.nan))), "n0.weight holds nan"),
        (lambda: _graph(nir.Linear(np.full((4, 6), 1j))), "n0.weight must hold numbers, not complex128"),
        (lambda: _graph(nir.Affine(_weights(4, 6), _weights(3))), r"n0.bias must have shape \(4,\), not \(3,\)"),
        (lambda: _graph(nir.Affine(_weights(4, 6), _weights(4))), "n0 ends the chain and has a bias"),
        (lambda: _graph(LINEAR, _lif(3)), r"n1.r must have shape \(4,\) or one value, not shape \(3,\)"),
        (lambda: _graph(LINEAR, _lif(4, v_leak=0.1)), "node n1 of type LIF: v_leak must be 0, not 0.1"),
        (lambda: _graph(LINEAR, _lif(4, v_reset=-1)), "node n1 of type LIF: v_reset must be 0, not -1"),
        (lambda: _graph(LINEAR, _lif(4, v_threshold=0)), "r and v_threshold must be positive"),
        (lambda: _graph(LINEAR, _lif(4, tau=[1, 1, 1, 2])), "tau must be the same for all neurons"),
        (lambda: _graph(LINEAR, _lif(4, tau=1e-5)), "tau is 1e-05, less than the time step dt of 0.0001"),
        (lambda: _graph(LINEAR, _lif(4, tau=np.inf)), "n1.tau holds inf"),
        (lambda: _graph(LINEAR, _lif(4, tau=10)), "layers.0: a leak of 1e-05"),
        (lambda: _graph(nir.Linear(np.zeros((4, 6))), _lif(4)), "layers.0: w_ee is zero everywhere"),
        (lambda: _graph(LINEAR), "number of layers must be 2"),
        (lambda: _graph(LINEAR, shape=(2, 3)), "the input must be a vector or a map"),
        (lambda: _graph(LINEAR, shape=(6, 0)), "the shape of the input must be a shape of"),
        (lambda: _graph(LINEAR, shape=(1 << 40,)), "the shape of the input must be a shape of"),
        (lambda: _graph(LINEAR, shape=(1, 2, 3)), "node n0 of type Linear: it takes a vector, not a map"),
        (lambda: _graph(_convolution(groups=2), shape=(2, 4, 5)), "dilation and groups must be 1"),
        (lambda: _graph(_convolution(padding=3), shape=(2, 4, 5)), "padding must be smaller than the kernel"),
        (lambda: _graph(_convolution(padding=0), shape=(2, 2, 2)), "does not fit on a map"),
        (lambda: _graph(_convolution(), shape=(3, 4, 5)), "does not fit on an input of shape"),
        (lambda: _graph(nir.SumPool2d(*[np.array([2, 2])] * 3), shape=(2, 4, 4)), "windows must be side by side"),
        (lambda: _graph(nir.SumPool2d(*[np.array([9, 9])] * 2, np.zeros(2)), shape=(2, 4, 4)), "pooling by"),
        (lambda: _graph(nir.Flatten({"input": np.array([2, 4, 4])}, 1), shape=(2, 4, 4)), "must flatten everything"),
        (lambda: nir.NIRGraph({}, [], type_check=False), "a graph needs one Input node, and this one has 0"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name_and_type(
    graph: Callable[[], Any], message: str, tmp_path: Path
) -> None:
    nir.write(tmp_path / "g.nir", graph())
    with pytest.raises(ChandelierError, match=message) as caught:
        import_nir(tmp_path / "g.nir", "n", NIROptions(STEPS))
    assert "\n" not in str(caught.value) and str(tmp_path / "g.nir") in str(caught.value)


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (("n1", "n0"), "only chains are supported"),
        (("input", "n1"), "only chains are supported"),
        (("output", "nowhere"), "an edge leads to nowhere, which is not a node"),
    ],
)
def test_branches_and_loops_are_refused(edge: tuple[str, str], message: str) -> None:
    graph = _graph(LINEAR, _lif(4))
    graph.edges.append(edge)
    with pytest.raises(ChandelierError, match=message):
        chain_of(graph, dt=1e-4, reset="zero")
    with pytest.raises(ChandelierError, match="the chain from input breaks off at n0"):
        chain_of(nir.NIRGraph(graph.nodes, [("input", "n0")], type_check=False), dt=1e-4, reset="zero")


def test_options_out_of_range() -> None:
    with pytest.raises(ChandelierError, match="dt must be positive, not 0"):
        NIROptions(3, dt=0)
    with pytest.raises(ChandelierError, match=r"steps must be 1\.\.65536, not 0"):
        NIROptions(0)
    with pytest.raises(ChandelierError, match="a network is called by letters"):
        import_nir(Path("g.nir"), "../etc", NIROptions(3))
    with pytest.raises(ChandelierError, match="reset must be one of subtract, zero, delayed, not none"):
        NIROptions(3, reset="none")  # type: ignore[arg-type]


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="is not there"):
        read_graph(tmp_path / "nothing.nir")
    (tmp_path / "text.nir").write_text("hello")
    nir.write(tmp_path / "node.nir", LINEAR)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "linked.nir", "w") as file:
        file["node"] = h5py.ExternalLink("/etc/hostname", "/")
    with h5py.File(tmp_path / "huge.nir", "w") as file:
        file.create_dataset("node/weight", (1 << 20, 1 << 20), compression="gzip")
    for name, message in (
        ("text", "is not a NIR graph, or is damaged"),
        ("node", "is not a NIR graph, or is damaged"),
        ("linked", "node is a link"),
        ("huge", "it holds more than 268435456 values"),
    ):
        with pytest.raises(ChandelierError, match=message):
            read_graph(tmp_path / f"{name}.nir")


@pytest.mark.parametrize("seed", range(100))
def test_fuzz_a_damaged_file_never_raises_anything_else(tmp_path: Path, seed: int) -> None:
    rng, path = np.random.default_rng(seed), tmp_path / "g.nir"
    nir.write(path, _graph(nir.Affine(_weights(4, 6), _weights(4)), _lif(4)))
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data))) :]
    else:
        for position in rng.integers(0, len(data), int(rng.integers(1, 30))):
            data[position] = int(rng.integers(256))
    path.write_bytes(data)
    try:
        network = import_nir(path, "fuzzed", NIROptions(2))
    except ChandelierError as error:
        assert "\n" not in str(error), f"seed {seed}"
    else:
        GoldenModel(network).run(np.zeros((1, 2, 6), np.uint8))
