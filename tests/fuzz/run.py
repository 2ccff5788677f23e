"""``make fuzz``: each reader for some minutes, led by coverage (Atheris); a table, and build/verify/fuzz.json.

Each reader has a process of its own, with a bound on memory and on the time of an input. If it dies, the input that it
died of is a crash, and another process goes on.
"""

import argparse
import base64
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Seconds of processor time that an input may take.
MOST_SECONDS = 20
#: Bytes of an input.
_LONGEST = 1 << 16
_ROOT = Path(__file__).parents[2]


@dataclass
class Tally:
    """What came of a reader's inputs; ``crashes`` has an input, in base64, for each kind."""

    executions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    memory: float = 0.0
    begun: int = 0
    features: int = 0

    def add(self, other: "Tally") -> None:
        """What another process of the same reader found."""
        self.executions += other.executions
        self.outcomes += other.outcomes
        self.crashes |= other.crashes
        self.slowest, self.memory = max(self.slowest, other.slowest), max(self.memory, other.memory)
        self.begun, self.features = self.begun or other.begun, max(self.features, other.features)


def _kind(error: BaseException) -> str:
    """What tells one crash from another: the type, and the line of ours that it came from."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if _ROOT in Path(f.filename).parents]
    where = f"{Path(ours[-1].filename).relative_to(_ROOT)}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} at {where}: {str(error).partition(chr(10))[0][:120]}"


def _mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _fuzz(name: str, seconds: float, folder: Path, corpus: Path) -> None:
    """The process of a reader: does not return."""
    import atheris

    with atheris.instrument_imports(include=["quant", "hw", "sw", "nir", "tomllib", "json", "pickle", "tarfile"]):
        from tests.fuzz.readers import READERS, outcome

    reader, tally = READERS[name], Tally()
    for i, seed in enumerate(reader.seeds(folder)):
        (corpus / f"seed{i}").write_bytes(seed)
    before, written, end = _mebibytes(), 0.0, time.monotonic() + seconds

    def one(data: bytes) -> None:
        nonlocal written
        (folder / "current").write_bytes(data)
        started = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(started) + MOST_SECONDS, resource.RLIM_INFINITY))
        try:
            tally.outcomes[outcome(reader, data, folder)] += 1
        except Exception as error:
            tally.crashes.setdefault(_kind(error), base64.b64encode(data).decode())
        tally.executions += 1
        tally.slowest = max(tally.slowest, time.process_time() - started)
        tally.memory = _mebibytes() - before
        if time.monotonic() > min(end, written + 1):
            written = time.monotonic()
            (folder / "tally.new").write_text(json.dumps(vars(tally)))
            (folder / "tally.new").replace(folder / "tally.json")
        if written >= end:
            os._exit(0)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.2:
            return bytes(atheris.Mutate(data, longest))
        return reader.mutate(rng, data)[:longest]

    (pages,) = re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    most = int(pages) * 1024 + (reader.memory << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    quiet = ["-rss_limit_mb=0", "-malloc_limit_mb=0", "-timeout=100000", "-detect_leaks=0", "-len_control=0"]
    atheris.Setup(
        [sys.argv[0], f"-max_len={_LONGEST}", f"-artifact_prefix={folder}/", *quiet, str(corpus)],
        one,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


def _process(name: str, seconds: float, folder: Path, corpus: Path) -> Tally:
    """What a process found until its time was over, or it died."""
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.run",
        "--child",
        str(folder),
        str(corpus),
        "--minutes",
        str(seconds / 60),
        name,
    ]
    with (folder / "log").open("w") as log:
        code = subprocess.run(command, cwd=_ROOT, stdout=log, stderr=log, check=False).returncode
    tally, log_text = Tally(), (folder / "log").read_text(errors="replace")
    if (folder / "tally.json").exists():
        found = json.loads((folder / "tally.json").read_text())
        tally = Tally(**(found | {"outcomes": Counter(found["outcomes"])}))
    features = [int(number) for number in re.findall(r"\bft: (\d+)", log_text)]
    tally.begun, tally.features = (features[0], features[-1]) if features else (0, 0)
    if code:
        if not (folder / "current").exists():
            raise SystemExit(f"the process of {name} did not begin; it says: {log_text[-2000:]}")
        what = f"over {MOST_SECONDS} s" if code == -signal.SIGXCPU else f"its process died ({code})"
        tally.crashes[what] = base64.b64encode((folder / "current").read_bytes()).decode()
    return tally


def _fuzz_reader(name: str, seconds: float, corpus: Path) -> Tally:
    tally, end = Tally(), time.monotonic() + seconds
    corpus.mkdir(parents=True, exist_ok=True)
    while (left := end - time.monotonic()) > 0 and len(tally.crashes) < 20:
        with tempfile.TemporaryDirectory() as folder:
            tally.add(_process(name, left, Path(folder), corpus))
    return tally


def _row(name: str, tally: Tally) -> str:
    new = f"{tally.features - tally.begun:,} ({tally.begun:,})"
    cells = (
        f"{tally.executions:,}",
        new,
        f"{len(tally.outcomes)}",
        f"{tally.outcomes['read']:,}",
        f"{len(tally.crashes)}",
    )
    return f"| {name} | {' | '.join(cells)} | {1000 * tally.slowest:,.0f} | {tally.memory:,.0f} |"


def main() -> int:
    """All readers, or those that are named; exit code 1 if one crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each reader")
    parser.add_argument("--output", type=Path, default=_ROOT / "build" / "verify" / "fuzz.json")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _fuzz(given.readers[0], 60 * given.minutes, *given.child)
    from quant.files import write_json
    from tests.fuzz.readers import READERS

    if unknown := set(given.readers) - READERS.keys():
        parser.error(f"there is no reader {', '.join(sorted(unknown))}: choose from {', '.join(READERS)}")
    tallies: dict[str, Tally] = {}
    print("| reader | executions | new paths (begun with) | outcomes | read | crashes | slowest, ms | memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in given.readers or READERS:
        tallies[name] = _fuzz_reader(name, 60 * given.minutes, given.output.parent / "corpus" / name.replace(" ", "-"))
        print(_row(name, tallies[name]), flush=True)
    report: dict[str, Any] = {"minutes": given.minutes, "readers": {name: vars(t) for name, t in tallies.items()}}
    write_json(given.output, report)
    for name, tally in tallies.items():
        for what, data in tally.crashes.items():
            print(f"{name}: {what}: {data[:300]}")
    return int(any(tally.crashes for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
