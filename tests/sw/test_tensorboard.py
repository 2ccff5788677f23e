"""What training writes for TensorBoard, read by TensorBoard itself; and that training does not notice."""

import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from quant.errors import ChandelierError
from sw.config import Config, parse_config
from sw.data import load
from sw.quantise import quantise_run
from sw.tensorboard import FOLDER, TensorBoard
from sw.training import train

TEXT = """
name = "t"
[data]
name = "digits"
bits = 4
[network]
hidden = [24, 12]
steps = 2
dropout = 0.1
[training]
epochs = 2
batch = 128
[quantisation]
epochs = 2
"""


def _quiet(*_: object) -> None:
    """No progress."""


def _run(config: Config, run: Path, *, watched: bool) -> Path:
    data = load("digits")
    if watched:
        with closing(TensorBoard(config, data, run)) as board:
            train(config, data, run, _quiet, board.epoch)
    else:
        train(config, data, run, _quiet)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same run, watched and not."""
    folder, config = tmp_path_factory.mktemp("tensorboard"), parse_config(TEXT, "test")
    return _run(config, folder / "watched", watched=True), _run(config, folder / "alone", watched=False)


def test_training_does_not_notice(runs: tuple[Path, Path]) -> None:
    watched, alone = runs
    for name in ("float.safetensors", "quantised.safetensors"):
        assert (watched / name).read_bytes() == (alone / name).read_bytes(), name


def test_what_is_written(runs: tuple[Path, Path]) -> None:
    events = EventAccumulator(str(runs[0] / FOLDER), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    losses = [event.value for phase in ("float", "quantised") for event in events.Scalars(f"loss/{phase}")]
    metrics = train(parse_config(TEXT, "test"), load("digits"), runs[0], _quiet)  # has been trained: only its figures
    assert losses == pytest.approx([line["loss"] for line in metrics])
    assert [event.step for event in events.Scalars("test_accuracy/quantised")] == [3, 4]
    assert all(0 <= event.value <= 1 for event in events.Scalars("firing rate/layer 1"))
    assert [event.step for event in events.Images("spikes/layer 0")] == [1, 2, 3, 4]
    first = events.Images("spikes/layer 0")[0]
    assert (first.height, first.width) == (4 * 24, 4 * 2 * 16)
    assert [event.step for event in events.Histograms("weights/hidden.0.synapses.w_ee")] == [1, 2]
    assert {"codes/layer 0/w_ee", "codes/layer 1/g_e", "codes/layer 2/w_ei"} <= set(tags["histograms"])


def test_codes_are_counted_one_by_one(runs: tuple[Path, Path]) -> None:
    watched, _ = runs
    network = quantise_run(watched, watched / "t.safetensors").network
    events = EventAccumulator(str(watched / FOLDER), size_guidance={"histograms": 0})
    events.Reload()
    histogram = events.Histograms("codes/layer 0/w_ee")[-1].histogram_value
    codes, counts = np.unique(network.layers[0].w_ee, return_counts=True)
    filled = [int(count) for count in histogram.bucket if count]
    assert filled == counts.tolist() and len(codes) > 1
    assert histogram.num == network.layers[0].w_ee.size


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        ChandelierError, match=r"^--tensorboard needs .*; type: pip install 'chandelier\[tensorboard\]'$"
    ):
        TensorBoard(parse_config(TEXT, "test"), load("digits"), tmp_path)
