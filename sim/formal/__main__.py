"""Runs all proofs (``make proofs``): a table on the screen, and the same as JSON in ``build/verify/proofs.json``."""

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hw.tools import Runner
from quant.errors import ChandelierError
from quant.files import write_json
from sim.formal import arithmetic, equivalence, events, neurons, offers, queues, reciprocals, stabilisers, streams
from sim.formal.proof import Outcome, Proof, Tools, find_tools

__all__ = ["PROOFS", "main", "prove"]

#: All proofs, the quickest files first.
PROOFS: list[Proof | equivalence.Equivalence] = [
    *arithmetic.PROOFS,
    *queues.PROOFS,
    *streams.PROOFS,
    *events.PROOFS,
    *offers.PROOFS,
    *stabilisers.PROOFS,
    *reciprocals.PROOFS,
    *neurons.PROOFS,
    *equivalence.PROOFS,
]
#: Where the outcomes are written.
REPORT = Path("build/verify/proofs.json")


def prove(proof: Proof | equivalence.Equivalence, tools: Tools) -> Outcome:
    """The outcome of one proof, in a folder that is forgotten."""
    # Not below /tmp: the wheels see another folder there.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".proof-") as folder, Runner() as runner:
        return proof.check(tools, runner, Path(folder))


def table(outcomes: Iterable[Outcome]) -> Table:
    """Of outcomes, for people."""
    shown = Table("property", "component", "mode", "solver", "s", "proven", "planted bug refuted")
    for o in outcomes:
        where = f"yes: {o.detail}" if o.good else "no"
        proven = "yes" if o.proven else f"NO: {o.detail}"
        shown.add_row(o.promise, o.component, o.mode, o.solver, f"{o.seconds:.1f}", proven, where)
    return shown


def main(words: list[str]) -> int:
    """Proves what has one of the words in its component or property, or everything; 1 if something is not as it should.

    Raises
    ------
    ChandelierError
        If a program is missing or comes to no verdict, or the report cannot be written.
    """
    console, tools, outcomes = Console(width=200), find_tools(), list[Outcome]()
    start = time.monotonic()
    for proof in PROOFS:
        if not words or any(word in f"{proof.component} {proof.promise}" for word in words):
            outcomes.append(prove(proof, tools))
            o = outcomes[-1]
            verdict = "ok" if o.good else "FAILED"
            console.print(f"{len(outcomes)}: {o.component}: {o.promise}: {verdict}, {o.seconds:.1f} s", highlight=False)
    console.print(table(outcomes))
    good = sum(o.good for o in outcomes)
    seconds = time.monotonic() - start
    console.print(f"{good} of {len(outcomes)} proven, with the planted bug of each refuted, in {seconds:.0f} s")
    if not words:
        report = {
            "tools": [str(tools.yosys), tools.solver.name],
            "seconds": round(seconds, 1),
            "good": good == len(outcomes),
            "proofs": [asdict(o) | {"good": o.good} for o in outcomes],
        }
        write_json(REPORT, report)
        console.print(f"{REPORT} has the table")
    return int(good != len(outcomes) or not outcomes)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ChandelierError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
