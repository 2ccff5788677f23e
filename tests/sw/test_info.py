"""What is shown of a network, of every kind."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from quant.maps import NETWORK_INPUT, Wiring
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
