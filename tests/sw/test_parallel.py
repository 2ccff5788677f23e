"""Several processes train what one process trains; where one fails, all end, each with a line."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from quant.errors import ChandelierError
from quant.network import Input
from quant.quantisers import Scheme
from sw import parallel, training
from sw.config import Config, parse_config
from sw.data import Dataset, load
from sw.data.dataset import ARRAYS
from sw.network import SpikingNetwork

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
clip = 1.0
[quantisation]
epochs = 2
"""
SCRIPT = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.sw.test_parallel import train_in_float64
train_in_float64(sys.argv[1], Path(sys.argv[2]))
os._exit(0)  # as the command line ends
"""

# The command line, but the second process fails at its fifth step, once.
FAILING = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from quant.errors import ChandelierError
from sw import cli, training
step, calls = training._step, iter(range(10**6))
def failing(*arguments):
    if os.environ["RANK"] == "1" and next(calls) == 5:
        raise ChandelierError("something is wrong")
    return step(*arguments)
training._step = failing
cli.main()
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
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def _figures(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["divisive", pytest.param("batch-norm", marks=pytest.mark.slow)])
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


def test_a_failing_process_ends_the_others_and_the_run_goes_on(tmp_path: Path) -> None:
    """Four steps an epoch: the failure is in the second one, with one process or with two the run goes on there."""
    data = few()
    arrays = {name: getattr(data, name) for name in ARRAYS}
    images = {name: x.reshape(-1, 8, 8, 1) for name, x in arrays.items() if name.startswith("x")}
    np.savez(tmp_path / "few.npz", **(arrays | images))
    text = TEXT.replace("NAME", "divisive").replace('"digits"', f'"{tmp_path}/few.npz"').replace('"affine"', '"none"')
    (tmp_path / "t.toml").write_text(text)
    (tmp_path / "failing.py").write_text(FAILING)
    run, arguments = tmp_path / "divisive", ("train", tmp_path / "t.toml", "--runs", tmp_path)
    result = _torchrun(tmp_path / "failing.py", *arguments)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode != 0
    assert errors[0] == "error: something is wrong"
    assert all(line.startswith("error: process 0 lost another process") for line in errors[1:])
    assert [line["epoch"] for line in _figures(run)] == [0]
    result = _torchrun("-m", "sw.cli", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("next: chandelier quantize") == 1
    assert [line["epoch"] for line in _figures(run)] == [0, 1, 0, 1]
    assert not list(run.glob(".*"))  # no temporary file


def test_shares_are_all_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, parts = torch.arange(7), []
    monkeypatch.setattr(parallel, "count", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        parts.append(parallel.share(rows))
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert [len(part) for part in parts] == [3, 2, 2]


def test_a_missing_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ChandelierError, match=r"finds no GPU: set it to \"auto\" or \"cpu\""), parallel.device("cuda"):
        pass
    with parallel.device("auto") as device:
        assert device.type == "cpu"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_more_processes_than_gpus_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_RANK", "2")
    line = "more processes than this machine has GPUs: --nproc-per-node 2"
    with pytest.raises(ChandelierError, match=line), parallel.device("auto"):
        pass


def test_a_full_memory_is_one_line() -> None:
    line = r"memory of cpu is full: use a smaller training\.batch"
    with pytest.raises(ChandelierError, match=line), parallel.device("cpu"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


@pytest.mark.parametrize("inhibition", ["divisive", "global", "batch-norm", "none"])
def test_a_step_makes_no_tensor_that_is_not_on_the_networks_device(inhibition: Any) -> None:
    """On the device "meta", which has no values: products and sums with tensors of another device are refused."""
    spec, hidden = Input(192, 8, "static", 0.5, (8, 8, 3)), ["4C3", "4R", "P2", "12"]
    network = SpikingNetwork(spec, hidden, 10, steps=2, inhibition=inhibition, dropout=0.1).to("meta")
    network.mix_precision()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    loss = cross_entropy(network(torch.zeros(4, 192, device="meta")), torch.zeros(4, dtype=torch.int64, device="meta"))
    loss.backward()
    optimiser.step()
    network.clamp()
    assert network.device == loss.device == torch.device("meta")
    network.quantise(Scheme(step="learned"))
    assert {parameter.device for parameter in network.parameters()} == {torch.device("meta")}
