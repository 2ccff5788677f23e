"""The network file: what is written is read, and what is damaged is refused in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from quant.errors import ChandelierError
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import load_network, save_network
from tests.random_networks import random_codes, random_network


@pytest.mark.parametrize("seed", range(10))
def test_round_trip(tmp_path: Path, seed: int) -> None:
    network = random_network(seed)
    save_network(network, tmp_path / "n.safetensors")
    again = load_network(tmp_path / "n.safetensors")
    save_network(again, tmp_path / "m.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()
    codes = random_codes(network, 10, seed)
    assert np.array_equal(GoldenModel(network).run(codes).logits, GoldenModel(again).run(codes).logits)


def _rewrite(path: Path, change_header: object = None, **tensors: np.ndarray | None) -> None:
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["chandelier"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if change_header is not None:
        change_header(header)  # type: ignore[operator]
    arrays |= {name.replace("__", "."): array for name, array in tensors.items() if array is not None}
    for name in (name.replace("__", ".") for name, array in tensors.items() if array is None):
        del arrays[name]
    save_file(arrays, path, metadata={"chandelier": json.dumps(header)})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_network(_network(), tmp_path / "n.safetensors")
    return tmp_path / "n.safetensors"


def _network() -> IntegerNetwork:
    return next(n for n in map(random_network, range(100)) if n.layers[0].synapse_bits == 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(version=3), "is of version 3, this chandelier reads up to 2"),
        (lambda h: h.update(surprise=1), "header field surprise"),
        (lambda h: h.pop("steps"), "header field steps"),
        (lambda h: h.update(steps=0), "steps must be 1..65536, not 0"),
        (lambda h: h.update(logit_scale=-1.0), "logit_scale must be positive"),
        (lambda h: h["input"].update(bits=9), "input.bits must be 1..8, not 9"),
        (lambda h: h["input"].update(features=3000), "must have shape"),
        (lambda h: h["layers"].pop(), "must be a readout|number of layers|belongs to no layer"),
        (lambda h: h["layers"][0].update(synapse_bits=2), r"layers\.0\.w_ee holds [4-7], which u2\.0"),
        (lambda h: h["layers"][0].update(neurons=None), "must have neurons|belongs to no layer"),
        (lambda h: h["layers"][0]["neurons"].update(membrane="u8.4"), "must be a signed format"),
        (lambda h: h["layers"][0]["neurons"].update(membrane="wide"), "a format is written like"),
        (lambda h: h["layers"][0]["neurons"]["reciprocal"].update(bits=1), "bits of the reciprocal"),
        (lambda h: h.update(name="../../etc"), "header field name"),
    ],
)
def test_a_bad_header_is_refused(path: Path, change: object, message: str) -> None:
    _rewrite(path, change)
    with pytest.raises(ChandelierError, match=message) as caught:
        load_network(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_bad_tensors_are_refused(path: Path) -> None:
    layer = _network().layers[0]
    for tensors, message in (
        ({"layers__0__w_ee": None}, "tensor layers.0.w_ee is missing"),
        ({"layers__7__w_ee": layer.w_ee}, "belongs to no layer"),
        ({"layers__0__w_ee": layer.w_ee.astype(np.float32)}, "must hold integers, not float32"),
        ({"layers__0__w_ee": layer.w_ee[:, :0]}, "w_ee is empty"),
        ({"layers__0__w_ei": layer.w_ei[:-1]}, r"layers\.0\.w_ei must have shape"),
        ({"layers__0__w_ee": np.full_like(layer.w_ee, -1, dtype=np.int8)}, "holds -1"),
    ):
        save_network(_network(), path)
        _rewrite(path, **tensors)
        with pytest.raises(ChandelierError, match=message):
            load_network(path)


def test_a_file_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="is not there"):
        load_network(tmp_path / "nothing.safetensors")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ChandelierError, match="not a network file"):
        load_network(tmp_path / "text")
    save_file({"x": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(ChandelierError, match="without a chandelier header"):
        load_network(tmp_path / "other")
    with pytest.raises(ChandelierError, match="not a network file"):
        load_network(tmp_path)


def test_a_network_too_wide_is_not_written(tmp_path: Path) -> None:
    network = random_network(1)
    layer = network.layers[0]
    assert layer.neurons is not None and layer.neurons.reciprocal is not None
    reciprocal = replace(layer.neurons.reciprocal, bits=24)
    neurons = replace(layer.neurons, g_e=np.full(layer.n_e, 65535, np.uint16), gain_e_bits=16, reciprocal=reciprocal)
    full = {name: np.full_like(getattr(layer, name), 255) for name in ("w_ee", "w_ie", "w_ei")}
    wide = replace(layer, **full, synapse_bits=8, inhibition_bits=8, a=1 << 24, neurons=neurons)
    with pytest.raises(ChandelierError, match="62 is the limit"):
        save_network(replace(network, layers=(wide, *network.layers[1:])), tmp_path / "n.safetensors")
    assert list(tmp_path.iterdir()) == []
