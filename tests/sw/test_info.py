"""What is shown of a network, of every kind."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hw.folding import default_foldings
from quant.maps import NETWORK_INPUT, Wiring
from sw.activity import measure
from sw.info import network_tables
from tests.random_networks import random_map_network, random_network


def _text(tables: list[object]) -> str:
    console = Console(width=400, file=io.StringIO())
    for table in tables:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("seed", range(12))
def test_networks_of_maps_are_shown(seed: int) -> None:
    network = random_map_network(seed)
    text = _text(list(network_tables(network)))
    assert "predicted interval" in text
    assert all("x".join(map(str, output)) in text for _, output in network.maps)
    for layer in network.layers:
        if layer.wiring.window is not None:
            assert "stride" in text
        if layer.neurons is not None and layer.n_i and layer.neurons.floor:
            assert f"floor {layer.neurons.floor}" in text


def test_networks_that_do_not_become_hardware_are_shown() -> None:
    network = random_network(0, largest=4)
    first, *rest = network.layers
    unread = replace(network, layers=(first, replace(first, wiring=Wiring((NETWORK_INPUT,))), *rest))
    text = _text(list(network_tables(unread)))
    assert "none yet" in text and "layers.0 of random0 is read by no other layer" in text


def test_dense_networks_are_shown_with_their_hardware() -> None:
    text = _text(list(network_tables(random_network(3, largest=12))))
    assert "predicted interval" in text and "adaptive" in text


@pytest.mark.parametrize("maps", [False, True])
def test_what_was_measured_takes_the_place_of_predictions(maps: bool, tmp_path: Path) -> None:
    network = random_map_network(3) if maps else random_network(4, largest=12)
    foldings, rng = default_foldings(network), np.random.default_rng(0)
    time = () if network.input.kind == "static" else (network.steps,)
    x = rng.random((6, *time, network.input.features)).astype(np.float32)
    y = np.arange(6) % network.classes
    y[-1] = network.classes - 1
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    measured = measure(network, str(tmp_path / "d.npz"), "all", foldings=foldings)
    text = _text(list(network_tables(network, foldings, measured)))
    assert "predicted" not in text and "synaptic operations" in text and f"{measured.total.synaptic:,.0f}" in text
    assert str(measured.interval) in text and str(measured.latency) in text
    codes = network.input.encode(x)
    assert measured.events[0] == pytest.approx(np.count_nonzero(codes) / (6 * max(1, *time, 1)))
    assert all(0 <= busy <= 1 for busy in measured.busy)
