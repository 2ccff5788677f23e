"""Functional coverage of the regression: every bin that its samples hit, and those that they do not.

``python -m tests.sim.coverage`` (``make coverage``) co-simulates the networks of ``make test``.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hw.manifest import Manifest
from quant.files import replacing
from quant.golden import SIGNALS, GoldenModel
from sim.cosim import cosimulate_many
from sim.coverage import BINS, stream_bins, value_bins
from tests.hw.loads import LOAD_BINS
from tests.hw.test_loading import check_reloads
from tests.random_networks import random_codes, random_network
from tests.sim.random_designs import KINDS, SAMPLES, batches, design_network, random_stall, random_subject

__all__ = ["regression_bins"]

REPORT = Path("build/verify/coverage.json")


def regression_bins(networks: int) -> Counter[tuple[str, str]]:
    """Bins hit by so many random networks of each kind, as ``tests/sim/test_random_networks.py`` co-simulates them."""
    counts: Counter[tuple[str, str]] = Counter()
    for kind in KINDS:
        for seeds in batches(networks):
            with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
                subjects = [random_subject(seed, kind, Path(scratch)) for seed in seeds]
                stall = random_stall(seeds)
                reports = cosimulate_many(subjects, stall_probability=stall, seed=seeds.start, optimise=False)
                for seed, subject, report in zip(seeds, subjects, reports, strict=True):
                    assert report.passed, f"{kind}, seed {seed}: {report}"
                    network = design_network(seed, kind)
                    codes = random_codes(network, SAMPLES, seed)
                    counts += value_bins(network, codes, GoldenModel(network).run(codes, SIGNALS).signals)
                    counts += stream_bins(Manifest.read(subject.folder), report)
            print(f"{kind}: networks {seeds.start}..{seeds.stop - 1}", file=sys.stderr, flush=True)
    return counts


def main() -> int:
    """Prints and writes all bins; 1 if one was not hit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=8, help="of each kind")
    counts = regression_bins(parser.parse_args().networks)
    counts += check_reloads(random_network(3, largest=6), 3, 0.2, smaller=True, good=20).bins
    rows = [(group, name, counts[group, name]) for group, names in (BINS | LOAD_BINS).items() for name in names]
    print("| what | bin | hit |\n| --- | --- | --- |")
    for group, name, hits in rows:
        print(f"| {group} | {name} | {hits:,} |")
    missed = [f"{group}: {name}" for group, name, hits in rows if not hits]
    with replacing(REPORT) as path:
        path.write_text(
            json.dumps({"bins": [dict(zip(("of", "bin", "hits"), row, strict=True)) for row in rows]}, indent=1)
        )
    print(f"\n{len(rows) - len(missed)} of {len(rows)} bins hit; {REPORT}")
    for name in missed:
        print(f"not hit: {name}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
