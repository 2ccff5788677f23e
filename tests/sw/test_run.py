"""``run`` and ``simulate-board`` as a user types them, in processes that talk over a pseudo-terminal."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quant.network_file import save_network
from tests.random_networks import other_numbers, random_network
from tests.sim.test_board import NETWORK

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}


def chandelier(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sw.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network, one of another shape, and data."""
    folder = tmp_path_factory.mktemp("project")
    save_network(NETWORK, folder / "n.safetensors")
    save_network(random_network(6, largest=9), folder / "other.safetensors")
    first, *others = NETWORK.layers
    assert first.neurons is not None
    first = replace(first, neurons=replace(first.neurons, theta=first.neurons.theta + 1))
    save_network(replace(NETWORK, name="changed", layers=(first, *others)), folder / "changed.safetensors")
    rng, spec = np.random.default_rng(1), NETWORK.input
    shape = (spec.features,) if spec.kind == "static" else (NETWORK.steps, spec.features)
    x, y = rng.random((150, *shape)), np.arange(150) % NETWORK.classes
    np.savez(folder / "d.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    return folder


@pytest.fixture(scope="module")
def port(project: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "sw.cli", "simulate-board", "n.safetensors", "--weights", "loadable"]
    with subprocess.Popen(
        command,
        cwd=project,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in a shell's background, it would ignore the interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        said = process.stderr.read()
        assert "next: chandelier run n.safetensors --port /dev/" in said
        assert "Traceback" not in said


def test_a_test_set_through_a_board(project: Path, port: str) -> None:
    result = chandelier(
        *("run", "n.safetensors", "--port", port, "--data", "d.npz", "--samples", "all", "--json", "r.json"),
        cwd=project,
    )
    assert result.returncode == 0, result.stderr
    assert "images/s" in result.stdout
    report = json.loads((project / "r.json").read_text())
    assert (report["samples"], report["mismatches"], report["first"]) == (130, 0, None)
    assert report["counters"] == {"good": 131, "bad": 0, "lost": 0, "samples": 130}
    assert report["cycles"][1] > 0
    assert report["images_per_second"] == pytest.approx(130 / report["seconds"])


def test_a_difference_is_found(project: Path, port: str, tmp_path: Path) -> None:
    """The negative control: a golden model with one weight more, of a network that calls itself the board's."""
    *layers, last = NETWORK.layers
    w_ee = last.w_ee.copy()
    w_ee[0, :] ^= 1
    wrong = replace(NETWORK, layers=(*layers, replace(last, w_ee=w_ee)))
    save_network(wrong, tmp_path / "wrong.safetensors")
    script = "import sw.host; from sw.cli import main; sw.host.Board.check = lambda *_: None; main()"
    arguments = ["run", f"{tmp_path}/wrong.safetensors", "--port", port, "--data", "d.npz"]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=project, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert result.returncode == 1, result.stderr
    assert "logit 0: expected " in result.stdout


def test_another_network_is_loaded(project: Path, port: str, tmp_path: Path) -> None:
    """A smaller one, and back; the golden model of each agrees with every result."""
    smaller, spec = other_numbers(NETWORK, 78, smaller=True), NETWORK.input
    assert (smaller.input.features, smaller.classes) < (spec.features, NETWORK.classes)
    save_network(smaller, tmp_path / "s.safetensors")
    rng, y = np.random.default_rng(2), np.arange(40) % smaller.classes
    x = rng.random((40, NETWORK.steps, smaller.input.features))
    np.savez(tmp_path / "s.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    arguments = ["run", f"{tmp_path}/s.safetensors", "--port", port, "--data", f"{tmp_path}/s.npz"]
    assert "load it with --load" in chandelier(*arguments, cwd=project).stderr
    for _ in range(2):  # the second time it is there
        result = chandelier(*arguments, "--load", cwd=project)
        assert result.returncode == 0, result.stderr
    back = chandelier("run", "n.safetensors", "--port", port, "--data", "d.npz", "--load", cwd=project)
    assert back.returncode == 0, back.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("other.safetensors", "--data", "d.npz"), "d has sequence samples of "),
        (("n.safetensors", "--data", "d.npz", "--samples", "131"), "--samples must be 1..130 or all, not 131"),
        (("n.safetensors", "--data", "d.npz", "--port", "/dev/nothing"), "there is no serial port /dev/nothing: "),
        (("half.safetensors", "--data", "d.npz"), "holds another network ("),
        (("changed.safetensors", "--data", "d.npz", "--load"), "layers.0.theta of changed is "),
    ],
)
def test_a_mistake_is_one_line(project: Path, port: str, arguments: tuple[str, ...], complaint: str) -> None:
    half = replace(NETWORK, name="half")
    save_network(half, project / "half.safetensors")
    given = arguments if "--port" in arguments else (*arguments, "--port", port)
    result = chandelier("run", *given, cwd=project)
    assert result.returncode == 2, result.stdout
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert complaint in result.stderr


def test_a_board_needs_a_compiler(project: Path, tmp_path: Path) -> None:
    for tool in ("perl", "make", "sh", "env"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "/bin/false")
    result = subprocess.run(
        [sys.executable, "-m", "sw.cli", "simulate-board", "n.safetensors"],
        cwd=project, env=ENVIRONMENT | {"PATH": str(tmp_path)}, capture_output=True, text=True
    )  # fmt: skip
    assert result.returncode == 2
    assert "error: c++ is not on the PATH: type 'apt-get install g++'" in result.stderr
