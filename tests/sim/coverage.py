"""Functional coverage of the regression: every bin that its samples hit, and those that they do not.

``python -m tests.sim.coverage`` (``make coverage``) co-simulates the networks of ``make test``.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hw.manifest import Manifest
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.files import write_json
from quant.network import IntegerNetwork
from sim.cosim import Subject, cosimulate_many
from sim.coverage import BINS, stream_bins, value_bins
from sim.runs import Stall
from tests.hw.loads import LOAD_BINS
from tests.hw.test_loading import check_reloads
from tests.random_networks import random_network
from tests.sim.random_designs import (
    KINDS,
    LIVELY,
    SAMPLES,
    batches,
    design_network,
    lively_design,
    lively_subject,
    random_stall,
    random_subject,
)

__all__ = ["regression_bins"]

REPORT = Path("build/verify/coverage.json")


def regression_bins(networks: int) -> Counter[tuple[str, str]]:
    """Bins hit by the co-simulations of ``tests/sim/test_random_networks.py``, with so many networks of each kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for kind in KINDS:
        for seeds in batches(networks):
            own = [design_network(seed, kind) for seed in seeds]
            with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
                subjects = [random_subject(seed, kind, Path(scratch)) for seed in seeds]
                counts += _bins(own, subjects, random_stall(seeds), seeds.start)
    with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
        designs, subjects = [lively_design(name) for name in LIVELY], []
        for network, foldings in designs:
            write_rtl(network, folder := Path(scratch) / network.name, foldings=foldings, name=network.name)
            subjects.append(lively_subject(network, folder, SAMPLES, 1))
        counts += _bins([network for network, _ in designs], subjects, 0.3, 0)
    return counts


def _bins(
    networks: Sequence[IntegerNetwork], subjects: Sequence[Subject], stall: Stall, seed: int
) -> Counter[tuple[str, str]]:
    """Bins hit by co-simulating some designs side by side."""
    counts: Counter[tuple[str, str]] = Counter()
    reports = cosimulate_many(subjects, stall_probability=stall, seed=seed, optimise=False)
    for network, subject, report in zip(networks, subjects, reports, strict=True):
        if not report.passed:
            raise ChandelierError(f"{network.name} is not what its network says: {report}")
        counts += value_bins(network, subject.codes, subject.golden(0, len(subject.codes)))
        counts += stream_bins(Manifest.read(subject.folder), report)
        print(f"{network.name} is through", file=sys.stderr, flush=True)
    return counts


def main() -> int:
    """Prints and writes all bins; 1 if one was not hit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=8, help="of each kind")
    counts = regression_bins(parser.parse_args().networks)
    counts += check_reloads(random_network(3, largest=6), 3, 0.2, smaller=True, good=20).bins
    rows = [(group, name, counts[group, name]) for group, names in {**BINS, **LOAD_BINS}.items() for name in names]
    print("| what | bin | hit |\n| --- | --- | --- |")
    for group, name, hits in rows:
        print(f"| {group} | {name} | {hits:,} |")
    missed = [f"{group}: {name}" for group, name, hits in rows if not hits]
    write_json(REPORT, {"bins": [dict(zip(("of", "bin", "hits"), row, strict=True)) for row in rows]})
    print(f"\n{len(rows) - len(missed)} of {len(rows)} bins hit; {REPORT}")
    for name in missed:
        print(f"not hit: {name}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
