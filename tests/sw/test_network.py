"""A quantised network computes the golden model's integers, in training and in evaluation."""

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
from sw.network import EINetwork


def _trained(seed: int, scheme: Scheme, kind: str = "static", bits: int = 4) -> tuple[EINetwork, np.ndarray]:
    """A quantised network after a few real optimiser steps, and inputs for it."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 5))
    spec = Input(int(rng.integers(4, 40)), bits, kind)  # type: ignore[arg-type]
    shape = (64, spec.features) if kind == "static" else (64, steps, spec.features)
    codes = (rng.integers(0, spec.format.max + 1, shape) * (rng.random(shape) < 0.4)).astype(np.uint8)
    torch.manual_seed(seed)
    network = EINetwork(
        spec, [int(n) for n in rng.integers(4, 40, 2)], 10, steps=steps, tau_shift=int(rng.integers(1, 4))
    )
    x = torch.from_numpy(codes).float()
    network.initialise(x, torch.Generator().manual_seed(seed))
    network.quantise(scheme)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(network(x), torch.from_numpy(rng.integers(0, 10, 64)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        network.clamp()
    return network, codes


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
