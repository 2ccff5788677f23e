"""``chandelier run``: a test set through a board, every result against the golden model; ``simulate-board``."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hw.folding import Foldings
from hw.protocol import Counters, Result
from quant.errors import ChandelierError
from quant.files import write_json
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from sim.board import simulated_board
from sw.console import Update
from sw.cosim import dataset_codes
from sw.data import load
from sw.host import open_board

__all__ = ["RunReport", "report_rows", "run_network", "simulate_board"]


@dataclass(frozen=True)
class RunReport:
    """How a board did.

    Parameters
    ----------
    mismatches : int
        Samples whose class or logits are not those of the golden model.
    first : str, optional
        The first of them, in words.
    seconds : float
        From the first request to the last answer.
    cycles : (float, int, int)
        Mean, least and most clock cycles of a sample on the board, from its first byte read to its result.
    repeated : int
        Requests that were sent again.
    counters : Counters
        What the board counted meanwhile.
    """

    network: str
    data: str
    samples: int
    mismatches: int
    first: str | None
    seconds: float
    cycles: tuple[float, int, int]
    repeated: int
    counters: Counters

    @property
    def images_per_second(self) -> float:
        """Samples in a second, the line's time included."""
        return self.samples / self.seconds

    def write(self, path: Path) -> None:
        """As JSON."""
        plain = asdict(self) | {"images_per_second": self.images_per_second}
        write_json(path, plain)


def run_network(
    network: IntegerNetwork,
    port: str,
    baud: int,
    data: str,
    samples: str | None,
    progress: Update,
    *,
    loads: bool = False,
) -> RunReport:
    """Sends the first ``samples`` test samples (a number, ``all``, or a few) to the board on ``port``.

    Parameters
    ----------
    loads : bool
        A board that does not hold the network is loaded with it first.

    Raises
    ------
    ChandelierError
        If the data do not fit the network, or there is no board with that network, nor one that takes it.
    """
    codes = dataset_codes(network, load(data), samples)
    with open_board(port, baud) as board:
        if loads and not board.holds(network):
            board.load(network, lambda done, words: progress("load", done, words, "words"))
        board.check(network)
        traces = list(GoldenModel(network).batches(codes))
        logits = np.concatenate([trace.logits for trace in traces])
        classes = np.concatenate([trace.classes for trace in traces])
        board.reset()
        wrong, cycles, begun = dict[int, str](), list[int](), time.monotonic()
        for done, (k, result) in enumerate(board.infer(codes), 1):
            cycles.append(result.cycles)
            difference = _difference(result, int(classes[k]), logits[k])  # a smaller network's logits come first
            if difference:
                wrong[k] = f"sample {k}, {difference}"
            progress("run", done, len(codes), f"{len(wrong)} mismatches")
        seconds = time.monotonic() - begun
        return RunReport(
            network=network.name,
            data=data,
            samples=len(codes),
            mismatches=len(wrong),
            first=wrong[min(wrong)] if wrong else None,
            seconds=seconds,
            cycles=(float(np.mean(cycles)), min(cycles), max(cycles)),
            repeated=board.repeated,
            counters=board.counters(),
        )


def _difference(result: Result, expected: int, logits: np.ndarray) -> str | None:
    """The first difference from the golden model, if there is one."""
    for k, (got, wanted) in enumerate(zip(result.logits, logits, strict=False)):
        if got != wanted:
            return f"logit {k}: expected {wanted}, got {got}"
    return None if result.predicted == expected else f"class: expected {expected}, got {result.predicted}"


def report_rows(report: RunReport) -> dict[str, object]:
    """What the command line shows."""
    mean, least, most = report.cycles
    rows: dict[str, object] = {"samples": f"{report.samples:,}", "mismatches": report.mismatches}
    if report.first is not None:
        rows["first difference"] = report.first
    counters = report.counters
    return rows | {
        "speed": f"{report.images_per_second:,.1f} images/s, {report.seconds:.1f} s in all",
        "cycles on the board": f"{mean:,.1f} ({least:,}..{most:,}) from a sample in its buffer to its result",
        "line": f"{report.repeated} requests sent again; the board saw {counters.bad} bad frames, and lost "
        f"{counters.lost} for want of room",
    }


def simulate_board(
    network: IntegerNetwork, foldings: Foldings, ready: Callable[[str], None], *, loadable: bool = False
) -> None:
    """Simulates a board with the network; calls ``ready`` with its port, and returns when it is interrupted.

    Raises
    ------
    ChandelierError
        If it cannot be simulated, or its program ends by itself.
    """
    with simulated_board(network, foldings, loadable=loadable) as (port, board):
        ready(port)
        try:
            code = board.wait()
        except KeyboardInterrupt:
            return
        raise ChandelierError(f"the simulated board ended with code {code}")
