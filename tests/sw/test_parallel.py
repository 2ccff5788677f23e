"""Several processes train what one process trains; where one fails, all end, each with a line."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sw import training
from sw.config import Config, parse_config
from sw.data import Dataset, load

ROOT = Path(__file__).parents[2]

TEXT = """
name = "NAME"
[data]
name = "digits"
bits = 4
augment = "affine"
[network]
hidden = ["4C3", "P2", 12]
steps = 2
inhibition = "NAME"
[training]
device = "cpu"
epochs = 2
batch = 32
[quantisation]
epochs = 2
"""
SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.sw.test_parallel import train_in_float64
train_in_float64(sys.argv[1], Path(sys.argv[2]))
"""


def config(name: str) -> Config:
    return parse_config(TEXT.replace("NAME", name), "test")


def few() -> Dataset:
    """Digits such that the last batch of 32 has one sample, and the second process none of it."""
    data = load("digits")
    return replace(
        data, x_train=data.x_train[:97], y_train=data.y_train[:97], x_test=data.x_test[:51], y_test=data.y_test[:51]
    )


def quiet(*_: object) -> None:
    """No progress."""


def train_in_float64(name: str, run: Path) -> None:
    """So that what is left between one process and two is far from turning a spike over."""
    build = training.build_network
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build_network", lambda *arguments: build(*arguments).double())
        training.train(config(name), few(), run, quiet)


def _torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def _figures(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["divisive", "batch-norm"])
def test_two_processes_train_what_one_trains(name: str, tmp_path: Path) -> None:
    train_in_float64(name, tmp_path / "one")
    (tmp_path / "script.py").write_text(SCRIPT)
    result = _torchrun(tmp_path / "script.py", name, tmp_path / "two")
    assert result.returncode == 0, result.stderr
    for phase, tolerance in ("float", 1e-12), ("quantised", 1e-5):  # exact integers have float32 gradients
        a, b = (load_file(tmp_path / run / f"{phase}.safetensors") for run in ("one", "two"))
        for key in a:
            error = (a[key] - b[key]).abs().max() / a[key].abs().max().clamp(min=1)
            assert error < tolerance, f"{phase}, {key}: {error}"
    for a_line, b_line in zip(_figures(tmp_path / "one"), _figures(tmp_path / "two"), strict=True):
        assert {k: v for k, v in a_line.items() if k not in ("loss", "seconds")}.items() <= b_line.items()
        assert abs(a_line["loss"] - b_line["loss"]) < 1e-5
