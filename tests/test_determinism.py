"""Equal configurations give equal bits: weights, networks, exports, Verilog, and, on request, a bitstream.

Each is made twice, in processes with other hashes of strings, in other folders and at other times.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Trains, quantises, exports and generates in the current folder; only relative paths are given.
_MAKE = """
from pathlib import Path

import numpy as np

from hw.load_image import load_image
from hw.rtl import write_rtl
from quant.export import FORMATS
from sw.config import parse_config
from sw.data import read_npz
from sw.quantise import quantise_run
from sw.training import train
from tests.random_networks import random_map_network

rng = np.random.default_rng(0)
x, y = rng.random((60, 12)).astype(np.float32), np.arange(60) % 3
np.savez("own.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
config = parse_config(Path("c.toml").read_text(), "c.toml")
train(config, read_npz(Path("own.npz")), Path("run"), lambda *_: None)
network = quantise_run(Path("run"), None).network
for name, (suffix, write) in FORMATS.items():
    write(network, Path(f"export/{name}{suffix}"))
write_rtl(network, Path("rtl"))
Path("image").write_bytes(load_image(network, write_rtl(network, Path("loadable"), loadable=True)))
write_rtl(network, Path("spatial"), foldings="spatial")
write_rtl(random_map_network(3), Path("maps"))
"""
_BITSTREAM = """
from pathlib import Path

from hw.bitstream import make_bitstream
from hw.folding import Folding
from tests.hw.test_boards import NETWORK

foldings = [Folding(1, 1, 1)] * len(NETWORK.layers)
make_bitstream(NETWORK, Path("out"), board="icebreaker", foldings=foldings)
"""
_CONFIG = """name = "run"
seed = 5
[data]
name = "own.npz"
bits = 4
[network]
hidden = [8, 6]
steps = 2
inhibition = "global"
dropout = 0.2
[training]
epochs = 2
batch = 16
[quantisation]
epochs = 2
"""
#: They have the seconds of every epoch.
_TIMES = {"run/checkpoint.safetensors", "run/metrics.jsonl"}


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _made(folder: Path, hash_seed: int, program: str) -> dict[str, str]:
    folder.mkdir()
    (folder / "c.toml").write_text(_CONFIG)
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(root), "TZ": f"UTC+{hash_seed}"}
    environment |= {"OMP_NUM_THREADS": "1", "CHANDELIER_CACHE": str(folder.parent / "cache")}
    command = [sys.executable, "-W", "ignore", "-c", program]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return _hashes(folder)


def _twice(folder: Path, program: str) -> list[dict[str, str]]:
    return [_made(folder / (str(k) * k), k, program) for k in (1, 2)]


def test_equal_configurations_give_equal_files(tmp_path: Path) -> None:
    first, second = _twice(tmp_path, _MAKE)
    assert first.keys() == second.keys() and {"rtl/chandelier_top.v", "run/run.safetensors", "image"} <= first.keys()
    different = {name for name in first if first[name] != second[name]}
    assert different <= _TIMES, f"these differ: {sorted(different - _TIMES)}"


def test_equal_networks_give_equal_bitstreams(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Minutes, so that `make determinism` asks for it."""
    if not request.config.getoption("--bitstreams"):
        pytest.skip("make determinism runs it")
    first, second = _twice(tmp_path, _BITSTREAM)
    assert first["out/chandelier_board.bin"] == second["out/chandelier_board.bin"]
