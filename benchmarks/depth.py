"""MLP-2 to MLP-16 on MNIST, with E-I Init and E-I Prop and without each part: a table, and runs/depth/depth.svg.

An interrupted session goes on where it was.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.figures import PARTS
from sw.batches import input_of
from sw.config import Config
from sw.console import exit_on_error, progress_bars
from sw.data import get, is_available, load
from sw.training import load_run_network, train

RUNS = Path(__file__).parents[1] / "runs" / "depth"
DEPTHS = (2, 4, 6, 8, 12, 16)
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


def measure(depth: int, part: str) -> tuple[float, list[float]]:
    """Test accuracy in percent, and the firing rate of each layer on 1000 test images, in spikes a neuron and step."""
    wanted = config(depth, part)
    data = load("mnist")
    try:
        with progress_bars() as progress:
            accuracy = float(train(wanted, data, RUNS / wanted.name, progress)[-1]["test_accuracy"])  # type: ignore[arg-type]
    except ValueError:  # diverged
        return float("nan"), []
    network = load_run_network(wanted, data, RUNS / wanted.name, "float")
    codes = torch.from_numpy(input_of(wanted, data).encode(data.x_test[:1000])).float()
    with torch.no_grad():
        rates = [float(spikes.mean()) for spikes in network.spike_trains(codes)][1:]
    return 100 * accuracy, rates


Curve = Sequence[tuple[float, float]]
COLOURS = ("#1b6ca8", "#c0392b", "#27824b", "#8e44ad", "#d68910", "#555555")


def _panel(left: int, title: str, across: str, x_max: float, y_max: float, curves: Mapping[str, Curve]) -> str:
    """One diagram of an SVG, 300 wide: curves in a frame, with a scale on both axes."""

    def at(x: float, y: float) -> tuple[float, float]:
        return left + 40 + 240 * x / x_max, 260 - 220 * y / y_max

    lines = [f'<text x="{left + 40}" y="22" font-weight="bold">{title}</text>']
    lines.append(f'<rect x="{left + 40}" y="40" width="240" height="220" fill="none" stroke="#999"/>')
    for i in range(5):
        (x, _), (_, y) = at(x_max * i / 4, 0), at(0, y_max * i / 4)
        lines.append(f'<text x="{x:.0f}" y="276" text-anchor="middle">{x_max * i / 4:g}</text>')
        lines.append(f'<text x="{left + 34}" y="{y + 4:.0f}" text-anchor="end">{y_max * i / 4:g}</text>')
    lines.append(f'<text x="{left + 160}" y="294" text-anchor="middle">{across}</text>')
    for colour, curve in zip(COLOURS, curves.values(), strict=False):
        points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in curve if np.isfinite(y))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join(lines)


def figure(accuracies: Mapping[str, Curve], rates: Mapping[str, Curve]) -> str:
    """The SVG: accuracy over depth, firing rate over the layers of the deepest network, and a legend."""
    top = max(max((y for _, y in curve), default=0) for curve in rates.values())
    panels = [
        _panel(0, "MNIST test accuracy, %", "layers", 16, 100, accuracies),
        _panel(310, "MLP-16: firing rate", "layer", 16, np.ceil(10 * top) / 10, rates),
    ]
    legend = [
        f'<text x="{40 + 200 * (i % 3)}" y="{318 + 18 * (i // 3)}" fill="{colour}">{LABELS[part]}</text>'
        for i, (part, colour) in enumerate(zip(accuracies, COLOURS, strict=False))
    ]
    body = "\n".join([*panels, *legend])
    style = 'font-family="sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 350" {style}>\n{body}\n</svg>\n'


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
    for part, label in LABELS.items():
        print(f"| {label} | {' | '.join(f'{rate:.3f}' for rate in found[part, deepest][1])} |")
    accuracies = {part: [(float(d), found[part, d][0]) for d in DEPTHS] for part in LABELS}
    rates = {part: [(i + 1.0, r) for i, r in enumerate(found[part, deepest][1])] for part in LABELS}
    (RUNS / "depth.svg").write_text(figure(accuracies, rates))
    print(f"\nfigure: {RUNS / 'depth.svg'}")


if __name__ == "__main__":
    with exit_on_error():
        main()
