"""``make verify``: every check that takes long, two at a time, and one report on them: build/verify/report.md."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant.files import replacing

FOLDER = Path("build/verify")
REPORT = FOLDER / "report.md"


@dataclass(frozen=True)
class Check:
    """A command that ends with 0 if all is well.

    Parameters
    ----------
    what : str
    asked : str
        What has to come of it.
    module : tuple of str
        Of Python, and its arguments.
    result : str, optional
        The file below ``FOLDER`` that it writes.
    found : callable, optional
        What to say of the contents of that file.
    """

    what: str
    asked: str
    module: tuple[str, ...]
    result: str | None = None
    found: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a check ended; ``found`` is said of its result."""

    check: Check
    code: int
    seconds: float
    found: str


def _proofs(report: Mapping[str, Any]) -> str:
    return f"{sum(proof['good'] for proof in report['proofs'])} of {len(report['proofs'])}"


def _mutants(report: Mapping[str, Any]) -> str:
    return f"{100 * report['killed']:.1f} % of {len(report['mutants'])} (seed {report['seed']})"


def _bins(report: Mapping[str, Any]) -> str:
    return f"{sum(entry['hits'] > 0 for entry in report['bins'])} of {len(report['bins'])}"


def _fuzz(report: Mapping[str, Any]) -> str:
    readers = report["readers"].values()
    crashes = sum(len(reader["crashes"]) for reader in readers)
    return f"crashes: {crashes}; inputs: {sum(reader['executions'] for reader in readers):,}; readers: {len(readers)}"


CHECKS = (
    Check("proofs", "all, and each refutes its planted bug", ("sim.formal",), "proofs.json", _proofs),
    Check("mutants of the RTL", "95 % killed", ("tests.sim.mutants",), "mutants.json", _mutants),
    Check("coverage", "all bins hit", ("tests.sim.coverage",), "coverage.json", _bins),
    Check("mutants of the arithmetic", "95 % killed", ("tests.quant.mutants",), "mutants-python.json", _mutants),
    Check("fuzzing", "no crash", ("tests.fuzz.run", "--minutes", "0.3"), "fuzz.json", _fuzz),
    Check("determinism", "equal bits", ("pytest", "-q", "-n", "0", "tests/test_determinism.py")),
    Check(
        "random networks and pauses",
        "no mismatch",
        ("pytest", "-q", "-n", "0", "tests/sim/test_random_networks.py", "--networks", "40"),
    ),
)


def run(check: Check) -> Outcome:
    """Runs a check; what it says is kept in a log beside its result."""
    log = FOLDER / f"{check.what.replace(' ', '-')}.log"
    begun, start = time.time(), time.monotonic()
    with log.open("wb") as file:
        command = [sys.executable, "-m", *check.module]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    seconds = time.monotonic() - start
    print(f"{check.what}: {'ok' if code == 0 else f'FAILED, see {log}'}, {seconds:.0f} s", flush=True)
    found = "as asked" if code == 0 else f"see `{log}`"
    if check.result and check.found:
        path = FOLDER / check.result
        fresh = path.exists() and path.stat().st_mtime >= begun
        found = check.found(json.loads(path.read_text())) if fresh else f"no result: see `{log}`"
    return Outcome(check, code, seconds, found)


def report_of(outcomes: list[Outcome], commit: str) -> str:
    """The report, as Markdown: the verdict first."""
    failed = [outcome.check.what for outcome in outcomes if outcome.code]
    verdict = f"**Not as asked: {', '.join(failed)}.**" if failed else "**Everything is as asked.**"
    lines = [
        "# Verification report",
        "",
        verdict,
        "",
        f"Commit {commit}, {time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, {platform.platform()}.",
        "",
        "| check | asked | found | | s | again |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        check, mark = outcome.check, "FAILED" if outcome.code else "ok"
        cells = (check.what, check.asked, outcome.found, mark, f"{outcome.seconds:.0f}")
        lines.append(f"| {' | '.join(cells)} | `python -m {' '.join(check.module)}` |")
    return "\n".join([*lines, "", "What each check is, and what it does not show: docs/verification.md.", ""])


def _commit() -> str:
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def main() -> int:
    """Runs all checks, longest first, and writes the report; 1 if one failed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(run, CHECKS))
    with replacing(REPORT) as path:
        path.write_text(text := report_of(outcomes, _commit()))
    print(f"\n{text}\n{REPORT}")
    return int(any(outcome.code for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
