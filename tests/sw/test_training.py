"""Training: it learns, it resumes to the same bits, and what it leaves behind is what the next verb takes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from quant.errors import ChandelierError
from quant.golden import GoldenModel
from quant.network_file import load_network
from sw.batches import Batches
from sw.config import Config, parse_config
from sw.data import load
from sw.quantise import quantise_run
from sw.training import build_network, train

TEXT = """
name = "t"
[data]
name = "digits"
bits = 4
augment = "affine"
[network]
hidden = [24]
steps = 2
[training]
epochs = 5
batch = 32
[quantisation]
epochs = 3
"""


def _quiet(*_: object) -> None:
    """No progress."""


def _interrupt_at(count: int) -> object:
    calls = iter(range(10**9))

    def progress(*_: object) -> None:
        if next(calls) == count:
            raise KeyboardInterrupt

    return progress


def _config(**changes: object) -> Config:
    return parse_config(TEXT, "test").model_copy(update=changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "t"
    train(_config(), load("digits"), run, _quiet)
    return run


def test_it_learns(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [line["phase"] for line in lines] == ["float"] * 5 + ["quantised"] * 3
    assert [line["epoch"] for line in lines] == [*range(5), *range(3)]
    assert lines[4]["test_accuracy"] > 0.3 and lines[-1]["test_accuracy"] > 0.3  # tiny, augmented; chance is 0.1
    assert lines[-1]["loss"] < lines[0]["loss"]


@pytest.mark.parametrize("interruptions", [[5], [60, 20], [120, 60, 1]])
def test_interrupted_and_resumed_is_the_same_as_uninterrupted(
    whole: Path, tmp_path: Path, interruptions: list[int]
) -> None:
    run = tmp_path / "t"
    for count in interruptions:
        with pytest.raises(KeyboardInterrupt):
            train(_config(), load("digits"), run, _interrupt_at(count))  # type: ignore[arg-type]
    train(_config(), load("digits"), run, _quiet)
    for name in ("float.safetensors", "quantised.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(p.name for p in run.iterdir()) == sorted(p.name for p in whole.iterdir())


def test_a_finished_run_stays_as_it_is(whole: Path) -> None:
    before = (whole / "checkpoint.safetensors").read_bytes()
    assert len(train(_config(), load("digits"), whole, _quiet)) == 8
    assert (whole / "checkpoint.safetensors").read_bytes() == before


def test_a_clipped_step_is_no_longer_than_its_rate_allows(tmp_path: Path) -> None:
    training = {"epochs": 1, "batch": 2000, "learning_rate": 0.5, "warmup": 0.0, "momentum": 0.0, "weight_decay": 0.0}
    data = load("digits")
    lengths = []
    for clip in (1e-3, 0.0):
        config = Config.model_validate(
            _config().model_dump() | {"training": training | {"clip": clip}, "quantisation": {"epochs": 0}}
        )
        network, generator = build_network(config, data), torch.Generator().manual_seed(0)
        network.initialise(Batches(config, data, generator).first(), generator)
        train(config, data, run := tmp_path / str(clip), _quiet)
        after = load_file(run / "float.safetensors")
        squares = [(after[name] - before).detach().square().sum() for name, before in network.named_parameters()]
        lengths.append(float(sum(squares)) ** 0.5)
    assert 0 < lengths[0] < 0.5 * 1e-3 * 1.01 < lengths[1]


def test_another_configuration_in_the_same_folder_is_refused(whole: Path) -> None:
    with pytest.raises(ChandelierError, match="was trained with another configuration"):
        train(_config(seed=1), load("digits"), whole, _quiet)


def test_another_seed_gives_another_network(whole: Path, tmp_path: Path) -> None:
    train(_config(seed=1), load("digits"), tmp_path / "t", _quiet)
    assert (tmp_path / "t" / "float.safetensors").read_bytes() != (whole / "float.safetensors").read_bytes()


@pytest.mark.parametrize("post_training", [False, True])
def test_the_integer_network_computes_what_was_trained(whole: Path, tmp_path: Path, post_training: bool) -> None:
    result = quantise_run(whole, tmp_path / "n.safetensors", post_training=post_training)
    assert (tmp_path / "n.safetensors").stat().st_mode & 0o777 == 0o644
    data = load("digits")
    network = load_network(tmp_path / "n.safetensors")
    classes = GoldenModel(network).classify(network.input.encode(data.x_test))
    assert result.accuracy == np.mean(classes == data.y_test)
    if not post_training:
        last = json.loads((whole / "metrics.jsonl").read_text().splitlines()[-1])
        assert result.accuracy == last["test_accuracy"]  # to the bit: the same integers


def test_a_run_without_quantisation_aware_epochs_is_quantised_after_training(tmp_path: Path) -> None:
    config = _config(quantisation=_config().quantisation.model_copy(update={"epochs": 0}))
    train(config, load("digits"), tmp_path / "t", _quiet)
    assert quantise_run(tmp_path / "t", None).phase == "float"
    assert (tmp_path / "t" / "t.safetensors").exists()


def _damage(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    data = data[: int(rng.integers(len(data)))] if seed % 3 == 0 else data
    for position in rng.integers(0, max(1, min(len(data), 3000)), 4):
        if position < len(data):
            data[position] = int(rng.integers(256))
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(12))
def test_fuzz_damaged_checkpoints_and_weights_are_one_line(whole: Path, tmp_path: Path, seed: int) -> None:
    run = tmp_path / "t"
    run.mkdir()
    for path in whole.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    for name in ("checkpoint.safetensors", "quantised.safetensors"):
        _damage(run / name, seed)
    for action in (lambda: train(_config(), load("digits"), run, _quiet), lambda: quantise_run(run, None)):
        try:
            action()
        except ChandelierError as error:
            assert "\n" not in str(error), f"seed {seed}"


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "x"},
        {"phase": 7},
        {"epoch": "1"},
        {"epoch": -4},
        {"metrics": "abc"},
        {"metrics": [{"phase": "float"}]},
        {"data": None},
        {"momentum": torch.zeros(3, 3)},
        {"momentum": torch.zeros(24, dtype=torch.float64)},
    ],
)
def test_a_checkpoint_with_a_wrong_entry_is_refused(whole: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    with safe_open(whole / "checkpoint.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        position = json.loads(file.metadata()["chandelier-run"])
    if "momentum" in change:
        tensors["momentum.hidden.0.b_e"] = change["momentum"]
    else:
        position |= change
    (tmp_path / "t").mkdir()
    save_file(tensors, tmp_path / "t/checkpoint.safetensors", metadata={"chandelier-run": json.dumps(position)})
    with pytest.raises(ChandelierError, match=r"checkpoint\.safetensors"):
        train(_config(), load("digits"), tmp_path / "t", _quiet)


@pytest.mark.parametrize(("hidden", "asked", "threads"), [([24], None, 1), ([24], "2", 2), (["4C3"], None, 2)])
def test_small_dense_networks_train_on_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: list[int | str], asked: str | None, threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    config = parse_config(TEXT.replace("[24]", json.dumps(hidden)).replace("epochs = 5", "epochs = 1"), "test")
    config = config.model_copy(update={"quantisation": config.quantisation.model_copy(update={"epochs": 0})})
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        train(config, load("digits"), tmp_path / "t", _quiet, lambda *_: seen.append(torch.get_num_threads()))
        assert seen == [threads] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_training_does_not_go_on_with_other_data(whole: Path) -> None:
    data = load("digits")
    with pytest.raises(ChandelierError, match="was trained on other data than digits now is"):
        train(_config(), replace(data, y_train=data.y_train[::-1].copy()), whole, _quiet)


def test_missing_runs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ChandelierError, match="is not there: give the folder of a run, which 'chandelier train CONFIG' makes"
    ):
        quantise_run(tmp_path / "nothing", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ChandelierError, match="cannot read the configuration"):
        quantise_run(tmp_path / "empty", None)


def test_sequences_are_real_input(tmp_path: Path) -> None:
    """The order decides the class, and nothing else: the sum over time of both classes is the same."""
    rng = np.random.default_rng(0)
    which = np.array([[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]])  # the half of the features that is active at a step
    y = rng.integers(0, 2, 400)
    active = which[y][:, :, None] == np.repeat([0, 1], 4)
    x = (active & (rng.random((400, 6, 8)) < 0.8)).astype(np.float32)
    path = tmp_path / "order.npz"
    np.savez(path, x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    text = (
        TEXT.replace('"digits"', f'"{path}"')
        .replace('augment = "affine"', "")
        .replace("epochs = 5", "epochs = 20")
        .replace("epochs = 3", "epochs = 20")
    )
    config = parse_config(text, "test")
    metrics = train(config, load(str(path)), tmp_path / "t", _quiet)
    assert metrics[-1]["test_accuracy"] > 0.9  # type: ignore[operator]
    network = quantise_run(tmp_path / "t", None).network
    assert network.input.kind == "sequence" and network.steps == 6
