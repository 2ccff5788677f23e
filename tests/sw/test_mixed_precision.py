"""bfloat16 where it is meant, and as good as it should be; the same bits as ever everywhere else."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from quant.errors import ChandelierError
from quant.maps import Window, Wiring
from quant.network import Input
from quant.quantisers import Scheme
from sw.config import parse_config
from sw.data import load
from sw.layers import EILayer, EISynapses
from sw.network import SpikingNetwork
from sw.training import train

TEXT = 'name = "t"\n[data]\nname = "digits"\nbits = 4\n[network]\nhidden = [24]\nsteps = 2\n'


def _network(inhibition: Any = "divisive") -> tuple[SpikingNetwork, torch.Tensor]:
    """An initialised network, and inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (64, 8 * 8 * 3), generator=generator).float()
    spec = Input(8 * 8 * 3, 8, "static", 0.5, (8, 8, 3))
    torch.manual_seed(0)
    network = SpikingNetwork(spec, ["16C3", "16R", "P2", 32], 10, steps=2, inhibition=inhibition)
    network.initialise(x, generator)
    return network, x


def _layer(wiring: Wiring, x: torch.Tensor) -> EILayer:
    layer = EILayer(EISynapses((x.shape[-3], x.shape[-2], x.shape[-1]), 64, wiring, x_max=255))
    layer.initialise(x, torch.Generator().manual_seed(1))
    return layer


@pytest.mark.parametrize("kernel", [None, 3])
def test_currents_of_large_codes_are_those_of_float32_to_one_percent_of_their_spread(kernel: int | None) -> None:
    window = None if kernel is None else Window((kernel, kernel), (1, 1), (1, 1))
    x = torch.randint(0, 256, (32, 12, 12, 16), generator=torch.Generator().manual_seed(0)).float()
    layer = _layer(Wiring(window=window), x)
    exact = layer(x)
    layer.synapses.mixed_precision = True
    mixed = layer(x)
    assert mixed.dtype == torch.float32
    error = (mixed - exact).square().mean().sqrt() / exact.std()
    assert 0 < error < 0.005, error  # 0.0025; were excitation and inhibition rounded each, 0.017 or more


@pytest.mark.parametrize("inhibition", ["divisive", "batch-norm"])
def test_gradients_point_where_those_of_float32_do(inhibition: str) -> None:
    gradients = []
    for mixed in False, True:
        network, x = _network(inhibition)
        if mixed:
            network.mix_precision()
        cross_entropy(network(x), torch.arange(64) % 10).backward()
        parts = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        assert len(parts) == len(list(network.parameters()))
        assert all(part.dtype == torch.float32 for part in parts)
        gradients.append(torch.cat(parts))
    # Some spikes turn over, as they do where weights change by a thousandth.
    assert cosine_similarity(gradients[0], gradients[1], dim=0) > 0.85
    assert not torch.equal(gradients[0], gradients[1])


@pytest.mark.parametrize("inhibition", ["divisive", "batch-norm"])
@pytest.mark.parametrize("quantised", [False, True])
def test_evaluation_and_integers_do_not_change_by_a_bit(inhibition: str, quantised: bool) -> None:
    network, x = _network(inhibition)
    if quantised:
        network.quantise(Scheme())
    network.train(quantised)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before = network(x)
    network.load_state_dict(state)  # running statistics have moved
    network.mix_precision()
    assert torch.equal(network(x), before)
    if not quantised:
        network.train()
        network.load_state_dict(state)
        assert not torch.equal(network(x), before)


def test_it_learns(tmp_path: Path) -> None:
    text = TEXT + "[training]\nepochs = 4\nbatch = 32\nmixed_precision = true\n[quantisation]\nepochs = 1\n"
    metrics = train(parse_config(text, "test"), load("digits"), tmp_path / "t", lambda *_: None)
    assert metrics[3]["test_accuracy"] > 0.8  # type: ignore[operator]


def test_without_a_floating_point_phase_it_is_refused() -> None:
    with pytest.raises(ChandelierError, match=r"mixed_precision is for the floating-point phase, and .* is 0"):
        parse_config(TEXT + "[training]\nepochs = 0\nmixed_precision = true\n", "test")
