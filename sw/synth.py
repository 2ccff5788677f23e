"""``chandelier synth`` and ``bitstream``: what a network takes on a device, and how fast its clock is there."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from rich.table import Table

from hw.bitstream import Bitstream, make_bitstream
from hw.cycles import Prediction
from hw.devices import Placer, Routing
from hw.folding import Folding, Foldings, Spatial
from hw.manifest import Timing
from hw.search import Fit, fastest_foldings
from hw.synthesis import Progress, Routed, SynthesisReport, Usage, synthesise
from quant import files
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from quant.strict import Strict
from sw.console import Update, key_value_table

__all__ = [
    "REPORT_FILE",
    "SynthesisRecord",
    "bitstream_table",
    "design_lanes",
    "fit_device",
    "make_network_bitstream",
    "parse_events",
    "parse_seeds",
    "synthesis_table",
    "synthesise_network",
    "write_json",
]

#: Name of the report in the folder of a synthesis.
REPORT_FILE = "synthesis.json"
#: More would run for days.
_MOST_SEEDS = 100


class _Clock(Strict):
    """MHz."""

    min: float | None
    median: float | None
    max: float | None


class _Cycles(Strict):
    """Of a sample: from one result to the next, and to a result."""

    interval: float
    latency: float


class SynthesisRecord(Strict):
    """What ``synth`` leaves: ``hw.synthesis.SynthesisReport``, and what the cycle model makes of its median clock."""

    network: str
    device: str
    part: str
    foldings: list[Folding] | Spatial
    tools: list[str]
    resources: dict[str, Usage]
    shell_flip_flops: int
    runs: list[Routed]
    timing: Timing | None
    loadable: bool
    placer: Placer = "heap"
    rip_up: bool = False
    stages: dict[str, dict[str, int]]
    clock: _Clock
    cycles: _Cycles | None = None
    images_per_second: float | None = None
    latency_us: float | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What an earlier ``synth`` left in ``folder``; a ``ChandelierError`` if it is missing or damaged."""
        return cls.read_json(folder / REPORT_FILE, writer="'chandelier synth' writes it", again="synthesise again")


def parse_seeds(text: str) -> list[int]:
    """``3`` are the seeds 1, 2, 3; ``4,7`` are 4 and 7.

    Raises
    ------
    ChandelierError
        If it is neither.
    """
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*,?", text):
        raise ChandelierError(f"--seeds takes a number of seeds, or seeds like 1,2,3, not {text}")
    seeds = list(range(1, int(text) + 1)) if "," not in text else [int(s) for s in text.rstrip(",").split(",")]
    if not 1 <= len(seeds) <= _MOST_SEEDS or len(set(seeds)) < len(seeds):
        raise ChandelierError(f"--seeds must be 1..{_MOST_SEEDS} different ones, not {text}")
    return seeds


def parse_events(text: str) -> list[float]:
    """``103.5,28``: the mean number of events in a time step, of the input and of each layer but the last.

    Raises
    ------
    ChandelierError
        If they are no numbers.
    """
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?(,\d{1,9}(\.\d{1,9})?)*", text):
        raise ChandelierError(f"--events takes a number for each layer, like 103.5,28, not {text}")
    return [float(number) for number in text.split(",")]


def synthesise_network(
    network: IntegerNetwork,
    directory: Path,
    *,
    device: str,
    foldings: Foldings,
    loadable: bool,
    seeds: Sequence[int],
    clock: float,
    routing: Routing,
    progress: Update,
) -> SynthesisReport:
    """As ``hw.synthesis.synthesise``, with a bar for each program."""
    _check_clock(clock)
    return synthesise(
        *(network, directory),
        device=device,
        foldings=foldings,
        loadable=loadable,
        seeds=seeds,
        clock=clock,
        routing=routing,
        progress=_bars(progress),
    )


def make_network_bitstream(
    network: IntegerNetwork,
    directory: Path,
    board: str,
    foldings: Foldings,
    *,
    loadable: bool,
    clock: float | None,
    baud: int,
    seeds: Sequence[int],
    routing: Routing,
    progress: Update,
) -> Bitstream:
    """As ``hw.bitstream.make_bitstream``, with a bar for each program."""
    if clock is not None:
        _check_clock(clock)
    return make_bitstream(
        *(network, directory),
        board=board,
        foldings=foldings,
        loadable=loadable,
        clock=clock,
        baud=baud,
        seeds=seeds,
        routing=routing,
        progress=_bars(progress),
    )


def _check_clock(clock: float) -> None:
    if clock <= 0:
        raise ChandelierError(f"--clock must be greater than 0, not {clock:g}")


def _bars(progress: Update) -> Progress:
    def show(what: str, doing: str) -> None:
        progress(what, int(doing != "synthesising" and doing != "placing and routing"), 1, doing)

    return show


def fit_device(network: IntegerNetwork, device: str, activity: Sequence[float] | None, progress: Update) -> Fit:
    """As ``hw.search.fastest_foldings``, with a bar for the trials."""
    return fastest_foldings(
        network, device, activity, lambda done, most, verdict: progress("trials", done, most, verdict)
    )


def write_json(report: SynthesisReport, prediction: Prediction | None, path: Path) -> None:
    """Writes the report, and what the cycle model makes of its median clock."""
    plain: dict[str, Any] = report.as_json()
    if (cycles := prediction or report.timing) is not None:
        plain["cycles"] = {"interval": cycles.interval, "latency": cycles.latency}
        if report.clocks:
            plain |= {
                "images_per_second": report.clocks[1] * 1e6 / cycles.interval,
                "latency_us": cycles.latency / report.clocks[1],
            }
    files.write_json(path, plain)


def synthesis_table(report: SynthesisReport, prediction: Prediction | None) -> Table:
    """The report for people."""
    rows: dict[str, object] = {
        "device": report.part,
        "tools": ", ".join(report.tools),
        "lanes": design_lanes(report.foldings),
        "weights": "loadable" if report.loadable else "fixed",
        "placer": report.placer + (", and rips up what misses the clock" if report.rip_up else ""),
        **report.resources,
        "of these, shell": f"{report.shell_flip_flops} flip-flops around the design",
    }
    for run in report.runs:
        rows[f"seed {run.seed}"] = f"{run.clock:.1f} MHz; {run.path}"
    if report.clocks and len(report.runs) > 1:
        rows["min, median, max"] = ", ".join(f"{clock:.1f}" for clock in report.clocks) + " MHz"
    if (cycles := prediction or report.timing) is not None:
        rows["cycles"] = f"{cycles.interval:.1f} from result to result, {cycles.latency:.1f} to a result"
        if report.clocks:
            median = report.clocks[1]
            rows["speed"] = f"{median * 1e6 / cycles.interval:,.0f} images/s, {cycles.latency / median:.2f} us"
    return key_value_table(f"{report.network} on {report.device}", rows)


def bitstream_table(made: Bitstream, directory: Path) -> Table:
    """What a bitstream is, for people."""
    rows: dict[str, object] = {
        "device": made.part,
        "tools": ", ".join(made.tools),
        "lanes": design_lanes(made.foldings),
        "weights": "loadable" if made.loadable else "fixed",
        **made.resources,
        "clock": f"{made.clock:g} MHz, and {made.routed.clock:.1f} would hold (seed {made.routed.seed})",
        "worst path": made.routed.path,
        "serial port": f"{made.baud:,.0f} baud, {made.serial}",
        "file": f"{directory / made.image}, {made.size:,} bytes",
    }
    return key_value_table(f"{made.network} for {made.board}", rows)


def design_lanes(foldings: Foldings) -> str:
    """The synapse, population and neuron lanes of each layer, for people."""
    if foldings == "spatial":
        return "fully spatial"
    return ", ".join(f"{f.synapse_lanes}/{f.population_lanes}/{f.neuron_lanes}" for f in foldings)
