"""More and more lanes for one network: cycles, clock, area, rate and how busy the lanes are, as a table and figures.

``python -m benchmarks.lanes NET.safetensors --data mnist --device ecp5-25f``; runs/lanes keeps what was synthesised.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import typer

from hw.folding import Folding, foldings_for, row_synapses
from hw.synthesis import synthesise
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from quant.network_file import load_network
from sw.activity import Measurement, activity_of, measure
from sw.console import exit_on_error, ignore_unused_components
from sw.report.charts import lines, standalone
from sw.synth import design_lanes, write_json

RUNS = Path(__file__).parents[1] / "runs" / "lanes"
#: Synapse lanes of the first layer, as shares of a row of its weights.
ROWS = (0.25, 0.5, 1, 2, 3)
#: Samples whose cycles are taken.
SAMPLES = "1000"


@dataclass(frozen=True)
class Point:
    """What one folding makes of the network."""

    foldings: Sequence[Folding]
    measured: Measurement
    report: dict[str, Any]

    @property
    def rate(self) -> float:
        """Images a second."""
        return float(self.report["clock"]["median"]) * 1e6 / self.measured.prediction.interval

    def row(self) -> str:
        """As a line of the table."""
        used = [f"{self.report['resources'][kind]['used']:,}" for kind in ("LUT", "FF", "BRAM", "DSP")]
        clock, cycles = float(self.report["clock"]["median"]), self.measured.prediction
        figures = [f"{cycles.interval:.1f}", f"{100 * max(self.measured.busy):.0f}", *used, f"{clock:.1f}"]
        figures += [f"{self.rate:,.0f}", f"{cycles.latency / clock:.2f}"]
        return f"| {design_lanes(self.foldings)} | {' | '.join(figures)} |"


def candidates(network: IntegerNetwork, activity: Sequence[float]) -> list[tuple[Folding, ...]]:
    """For each of :data:`ROWS` the cheapest folding whose other stages keep up with such lanes of the first layer."""
    row, events = row_synapses(network.layers[0]), activity[0] * network.input.features
    found = []
    for rows in ROWS:
        cycles = events * ceil(row / (rows * row)) if rows < 1 else events / rows
        found.append(foldings_for(network, ceil(cycles) + 1, activity))
    return list(dict.fromkeys(found))


def point(path: Path, network: IntegerNetwork, foldings: Sequence[Folding], data: str, device: str) -> Point:
    """Measured, and synthesised unless it has been."""
    name = "_".join(f"{f.synapse_lanes}-{f.population_lanes}-{f.neuron_lanes}" for f in foldings)
    folder = RUNS / f"{path.stem}-{device}-{name}"
    measured = measure(network, data, SAMPLES, foldings=foldings)
    if not (folder / "report.json").exists():
        report = synthesise(network, folder, device=device, foldings=foldings, clock=110.0)
        write_json(report, measured.prediction, folder / "report.json")
    return Point(foldings, measured, json.loads((folder / "report.json").read_text()))


def main(
    network: Annotated[Path, typer.Argument(metavar="NET.safetensors")], data: str = "mnist", device: str = "ecp5-25f"
) -> None:
    """Prints the table, line by line, and writes runs/lanes/*.svg."""
    ignore_unused_components()
    with exit_on_error():
        integers = load_network(network)
        print("| lanes | cycles an image | busiest synapse lanes, % | LUT | FF | BRAM | DSP | MHz | images/s | us |")
        print(f"|{' --- |' * 10}")
        points = []
        for foldings in candidates(integers, activity_of(integers, data)):
            try:
                points.append(point(network, integers, foldings, data, device))
            except ChandelierError as error:
                if "does not fit" not in str(error):
                    raise
                print(f"| {design_lanes(foldings)} | {error} |")
                break  # and what has more lanes does not, either
            print(points[-1].row(), flush=True)
        lanes = [float(p.foldings[0].synapse_lanes) for p in points]
        rates = [(x, p.rate / 1000) for x, p in zip(lanes, points, strict=True)]
        ideal = [(x, rates[0][1] * x / lanes[0]) for x in lanes]
        luts = [(x, float(p.report["resources"]["LUT"]["used"])) for x, p in zip(lanes, points, strict=True)]
        across = "synapse lanes of the first layer"
        curves = {"measured": rates, "in proportion to the first": ideal}
        for name, chart in (
            ("rate.svg", lines("1,000 images a second", across, curves, from_zero=True)),
            ("luts.svg", lines("look-up tables", across, {"LUT": luts}, from_zero=True)),
        ):
            (RUNS / name).write_text(standalone(chart))
            print(f"figure: {RUNS / name}")


if __name__ == "__main__":
    typer.run(main)
