"""The formulation that speed is compared with computes the same network."""

import pytest
import torch

from benchmarks.reference_formulation import ReferenceNetwork
from benchmarks.speed import CASES, sameness
from quant.errors import ChandelierError
from quant.network import Input
from sw.network import SpikingNetwork


@pytest.mark.parametrize("hidden", [[24, 16], ["4C5", "P2", "6C3s2", 12]])
def test_logits_and_gradients_are_ours(hidden: list[int | str]) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        x = torch.randint(0, 256, (20, 144), generator=torch.Generator().manual_seed(0)).double()
        x *= torch.rand(20, 144, generator=torch.Generator().manual_seed(1)) < 0.2
        network = SpikingNetwork(Input(144, 8, shape=(12, 12, 1)), hidden, 10, steps=3)
        network.initialise(x, torch.Generator().manual_seed(2))
        reference = ReferenceNetwork(network)
        ours, theirs = network(x), reference(x)
        torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)
        for logits in (ours, theirs):
            logits.square().sum().backward()
        for layer, other in zip(network.layers(), reference.layers, strict=True):
            for name in ("w_ee", "w_ie", "w_ei"):
                mine, its = (m.get_parameter(name).grad for m in (layer.get_submodule("synapses"), other))
                assert mine is not None and its is not None
                torch.testing.assert_close(its.norm(), mine.norm(), rtol=1e-7, atol=1e-9)
    finally:
        torch.set_default_dtype(torch.float32)


def test_losses_of_training_are_ours() -> None:
    assert sameness(CASES[0]).startswith("| 784-128-10")


def test_other_training_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = ReferenceNetwork.forward
    monkeypatch.setattr(ReferenceNetwork, "forward", lambda self, x: 2 * forward(self, x))
    with pytest.raises(ChandelierError, match=r"logits are .* apart and losses .*, where 1e-09 is allowed"):
        sameness(CASES[0])
