"""A quantised network computes the golden model's integers, in training and in evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quant.errors import ChandelierError
from quant.formats import Format
from quant.golden import GoldenModel
from quant.network import Input
from quant.network_file import load_network, save_network
from quant.quantisers import Scheme
from quant.reciprocal import Reciprocal
from sw.layers import EIProp
from sw.network import SpikingNetwork


def _trained(seed: int, scheme: Scheme, kind: str = "static", bits: int = 4) -> tuple[SpikingNetwork, np.ndarray]:
    """A quantised network after a few real optimiser steps, and inputs for it."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 5))
    spec = Input(int(rng.integers(4, 40)), bits, kind)  # type: ignore[arg-type]
    shape = (64, spec.features) if kind == "static" else (64, steps, spec.features)
    codes = (rng.integers(0, spec.format.max + 1, shape) * (rng.random(shape) < 0.4)).astype(np.uint8)
    torch.manual_seed(seed)
    network = SpikingNetwork(
        spec, [int(n) for n in rng.integers(4, 40, 2)], 10, steps=steps, tau_shift=int(rng.integers(1, 4))
    )
    _train(network, codes, scheme, rng, seed)
    return network, codes


def _train(
    network: SpikingNetwork, codes: np.ndarray, scheme: Scheme, rng: np.random.Generator, seed: int
) -> torch.Tensor:
    """Initialises, quantises and trains a little; returns the inputs, and leaves the network in eval mode."""
    x = torch.from_numpy(codes).float()
    network.initialise(x, torch.Generator().manual_seed(seed))
    network.quantise(scheme)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(network(x), torch.from_numpy(rng.integers(0, 10, len(x))))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        network.clamp()
    network.eval()
    return x


SCHEMES = [
    Scheme(),
    Scheme(synapse_bits=1, inhibition_bits=1, gain_i_bits=1, gain_e_bits=4, reciprocal=Reciprocal(2, 4)),
    Scheme(synapse_bits=8, inhibition_bits=8, gain_i_bits=8, gain_e_bits=16, reciprocal=Reciprocal(8, 12)),
    Scheme(synapse_bits=3, membrane=Format(16, 10, signed=True), step="learned"),
    Scheme(membrane=Format(4, 1, signed=True)),
]


@pytest.mark.parametrize("kind", ["static", "sequence"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(4))
def test_logits_are_the_golden_models_integers(seed: int, scheme: Scheme, kind: str, tmp_path: object) -> None:
    network, codes = _trained(seed, scheme, kind, bits=8 if seed == 0 else 1 + seed)
    integers = network.integer_network("test")
    save_network(integers, tmp_path / "n.safetensors")  # type: ignore[operator]
    golden = GoldenModel(load_network(tmp_path / "n.safetensors")).run(codes)  # type: ignore[operator]
    x = torch.from_numpy(codes).float()
    with torch.no_grad():
        logits, scale = network.integer_logits(x)
        assert np.array_equal(logits.numpy(), golden.logits), f"seed {seed}"
        assert float(scale) == pytest.approx(integers.logit_scale, rel=1e-6)
        assert torch.equal(network(x), (torch.from_numpy(golden.logits).double() * scale).float())


VARIANTS: list[dict[str, Any]] = [
    {"hidden": ["6C3", "P2", "8C3s2", 12]},
    {"hidden": ["6C3", "P2", "8C3s2", 12], "prop": EIProp(stabilisation="floor")},
    {"hidden": ["8C3", "8R", "12Rs2", "12R", "PG"]},
    {"hidden": ["8C3", "8R", "12Rs2", "P2", 20], "inhibition": "batch-norm", "dropout": 0.2},
    {"hidden": [30, 20], "inhibition": "batch-norm"},
    {"hidden": [30, 20], "inhibition": "global"},
    {"hidden": ["6C1x5", "P1x2", 12], "inhibition": "none"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: " ".join(map(str, v.values())).replace("/", " "))
@pytest.mark.parametrize("seed", range(3))
def test_maps_and_twins_compute_the_golden_models_integers(seed: int, variant: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    spec = Input(9 * 9 * 2, 1 + 3 * seed, shape=(9, 9, 2))
    codes = (rng.integers(0, spec.format.max + 1, (32, 162)) * (rng.random((32, 162)) < 0.4)).astype(np.uint8)
    torch.manual_seed(seed)
    variant = dict(variant)
    network = SpikingNetwork(spec, variant.pop("hidden"), 10, steps=3, **variant)
    scheme = Scheme(synapse_bits=2 + seed, membrane=Format(12, 6 + seed, signed=True))
    x = _train(network, codes, scheme, rng, seed)
    if variant.get("inhibition") == "none":  # nothing has brought its currents near the threshold
        for layer in network.hidden:
            layer.get_parameter("g_e").data.fill_(20 / spec.format.max if layer is network.hidden[0] else 10)
    integers = network.integer_network("test")
    save_network(integers, tmp_path / "n.safetensors")
    golden = GoldenModel(load_network(tmp_path / "n.safetensors")).run(codes, ("spike",))
    with torch.no_grad():
        logits, scale = network.integer_logits(x)
    assert np.array_equal(logits.numpy(), golden.logits), f"seed {seed}"
    assert float(scale) == pytest.approx(integers.logit_scale, rel=1e-6)
    rates = [float(spikes.mean()) for (_, name), spikes in golden.signals.items() if name == "spike"]
    assert min(rates) > 0, rates  # a silent network would agree with anything


@pytest.mark.parametrize("hidden", ["vgg8", ["64C3", "64R", "128Rs2", "PG"]], ids=str)
def test_at_the_shape_of_cifar(hidden: str | list[int | str]) -> None:
    rng = np.random.default_rng(0)
    spec = Input(32 * 32 * 3, 8, shape=(32, 32, 3))
    codes = rng.integers(0, 256, (4, spec.features)).astype(np.uint8)
    network = SpikingNetwork(spec, hidden, 10, steps=4)
    x = torch.from_numpy(codes).float()
    network.initialise(x, torch.Generator().manual_seed(0))
    network.quantise(Scheme())
    network.eval()
    golden = GoldenModel(network.integer_network("cifar")).run(codes, ("spike",))
    with torch.no_grad():
        assert np.array_equal(network.integer_logits(x)[0].numpy(), golden.logits)
    assert min(spikes.mean() for spikes in golden.signals.values()) > 0


def test_a_learned_step_learns() -> None:
    network, _ = _trained(0, Scheme(step="learned"))
    step = network.readout.synapses.quantiser.log_step  # type: ignore[union-attr]
    assert step is not None and step.grad is not None and step.grad != 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("w_ee", float("nan"), "w_ee holds nan"),
        ("w_ie", float("inf"), "w_ie holds inf"),
        ("w_ei", float("nan"), "w_ei holds nan"),
    ],
)
def test_what_has_no_code_is_refused(name: str, value: float, message: str) -> None:
    network, _ = _trained(0, Scheme())
    with torch.no_grad():
        getattr(network.hidden[1].synapses, name)[0, 0] = value
    with pytest.raises(ChandelierError, match=rf"layers\.1: {message}"):
        network.integer_network("test")


def test_parameters_stay_non_negative_but_for_the_bias() -> None:
    network, _ = _trained(1, Scheme())
    for name, parameter in network.named_parameters():
        if not name.endswith("b_e"):
            assert float(parameter.detach().min()) >= 0, name


def test_global_inhibition_is_not_trained() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(Input(20, 4), [16], 10, steps=2, inhibition="global")
    rng = np.random.default_rng(0)
    _train(network, rng.integers(0, 16, (64, 20)).astype(np.uint8), Scheme(inhibition_bits=3), rng, 0)
    trained = {name: tensor for name, tensor in network.state_dict().items() if name.endswith("w_ei")}
    assert len(trained) == 2 and all((w_ei == 1 / w_ei.shape[1]).all() for w_ei in trained.values())
    for layer in network.integer_network("alike").layers:
        assert len(np.unique(layer.w_ei)) == 1
