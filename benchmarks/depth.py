"""MLP-2 to MLP-16 on MNIST, with E-I Init and E-I Prop and without each part: tables, and runs/depth/*.svg.

Interrupted, it goes on where it was. A run that guesses after two epochs is left there: its accuracy is that of then.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.figures import PARTS
from quant.errors import ChandelierError
from sw.batches import input_of
from sw.config import Config
from sw.console import exit_on_error, progress_bars
from sw.data import get, is_available, load
from sw.report.charts import lines, standalone
from sw.training import load_run_network, train

RUNS = Path(__file__).parents[1] / "runs" / "depth"
DEPTHS = (2, 4, 6, 8, 12, 16)
#: Epochs after which a run that is no better than GUESSING on either set is left; a tenth would be by chance.
PATIENCE = 2
GUESSING = 0.15
LABELS = {"none": "everything on"} | {part: f"without {part}" for part in PARTS if part != "none"}


def config(depth: int, part: str) -> Config:
    """The run of one depth with one part switched off: floating point, four time steps, eight epochs."""
    return Config.model_validate(
        {
            "name": f"mlp{depth}-{part}",
            "data": {"name": "mnist"},
            "network": {"hidden": f"mlp{depth}", "steps": 4},
            "ei": PARTS[part],
            "training": {"epochs": 8, "batch": 64, "clip": 1.0, "learning_rate": 0.02, "warmup": 0.5},
            "quantisation": {"epochs": 0},
        }
    )


class _NothingLearnedError(Exception):
    """A run has not learned anything."""


def _require_learning(_: object, metrics: Sequence[Mapping[str, object]]) -> None:
    """Of the figures of all epochs so far."""
    accuracies = ("train_accuracy", "test_accuracy")
    if len(metrics) == PATIENCE and all(metrics[-1][name] < GUESSING for name in accuracies):  # type: ignore[operator]
        raise _NothingLearnedError


def _metrics(run: Path) -> list[dict[str, float]]:
    """The figures of all epochs that a run went through."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(depth: int, part: str) -> tuple[float, list[float]]:
    """Test accuracy in percent, and the firing rate of each layer on 1000 test images, in spikes a neuron and step."""
    wanted = config(depth, part)
    data, run = load("mnist"), RUNS / wanted.name
    try:
        _require_learning(None, _metrics(run))
        with progress_bars() as progress:
            accuracy = float(train(wanted, data, run, progress, _require_learning)[-1]["test_accuracy"])  # type: ignore[arg-type]
    except ChandelierError as error:
        if "diverged" not in str(error):
            raise
        return float("nan"), []
    except _NothingLearnedError:
        return 100 * _metrics(run)[-1]["test_accuracy"], []
    network = load_run_network(wanted, data, RUNS / wanted.name, "float")
    codes = torch.from_numpy(input_of(wanted, data).encode(data.x_test[:1000])).float()
    with torch.no_grad():
        rates = [float(spikes.mean()) for spikes in network.spike_trains(codes)][1:]
    return 100 * accuracy, rates


def main() -> None:
    """Trains what is missing, prints the tables and writes the figure."""
    if not is_available("mnist"):
        get("mnist")
    quickest_first = sorted(
        ((part, depth) for part in LABELS for depth in DEPTHS), key=lambda p: (p[0] != "none", p[1])
    )
    found = {(part, depth): measure(depth, part) for part, depth in quickest_first}
    print(f"| test accuracy, % | {' | '.join(f'MLP-{d}' for d in DEPTHS)} |\n|{' --- |' * (1 + len(DEPTHS))}")
    for part, label in LABELS.items():
        print(f"| {label} | {' | '.join(f'{found[part, d][0]:.2f}' for d in DEPTHS)} |")
    deepest = DEPTHS[-1]
    print(f"\n| firing rate, MLP-{deepest}, layer | {' | '.join(str(i + 1) for i in range(deepest - 1))} |")
    print(f"|{' --- |' * deepest}")
    learned = {label: rates for part, label in LABELS.items() if (rates := found[part, deepest][1])}
    for label, rates in learned.items():
        print(f"| {label} | {' | '.join(f'{rate:.3f}' for rate in rates)} |")
    accuracies = {label: [(float(d), found[part, d][0]) for d in DEPTHS] for part, label in LABELS.items()}
    by_layer = {label: [(i + 1.0, r) for i, r in enumerate(rates)] for label, rates in learned.items()}
    accuracy = lines("MNIST test accuracy, %", "layers", accuracies, from_zero=True)
    for name, chart in (
        ("accuracy.svg", accuracy),
        ("rates.svg", lines(f"MLP-{deepest}: firing rate", "layer", by_layer, from_zero=True)),
    ):
        (RUNS / name).write_text(standalone(chart))
        print(f"figure: {RUNS / name}")


if __name__ == "__main__":
    with exit_on_error():
        main()
