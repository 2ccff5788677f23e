"""``chandelier synth``: what a network takes on a device, how fast its clock is there, and what that makes of it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from hw.cycles import Prediction, predict_cycles
from hw.folding import Folding
from hw.synthesis import SynthesisReport, synthesise
from quant.errors import ChandelierError
from quant.files import replacing
from quant.network import IntegerNetwork
from sw.console import Update, key_value_table

__all__ = ["parse_events", "parse_seeds", "synthesise_network", "synthesis_json", "synthesis_table"]

#: More would run for days.
_MOST_SEEDS = 100


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
    """``103.5,28``: the mean number of events that each layer gets in a time step.

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
    foldings: Sequence[Folding],
    seeds: Sequence[int],
    clock: float,
    progress: Update,
) -> SynthesisReport:
    """As ``hw.synthesis.synthesise``, with a bar for each program."""
    if clock <= 0:
        raise ChandelierError(f"--clock must be greater than 0, not {clock:g}")

    def show(what: str, doing: str) -> None:
        progress(what, int(doing != "synthesising" and doing != "placing and routing"), 1, doing)

    return synthesise(
        network, directory, device=device, foldings=foldings, seeds=seeds, clock=clock, progress=show
    )


def synthesis_json(report: SynthesisReport, prediction: Prediction | None) -> dict[str, Any]:
    """The report, and what the cycle model makes of its median clock."""
    plain = report.as_json()
    if prediction is not None:
        plain["cycles"] = {"interval": prediction.interval, "latency": prediction.latency}
        if report.clocks:
            plain |= {
                "images_per_second": report.clocks[1] * 1e6 / prediction.interval,
                "latency_us": prediction.latency / report.clocks[1],
            }
    return plain
