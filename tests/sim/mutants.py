"""Mutation testing of the RTL: wrong designs by the hundred, each of which the regression's comparison has to notice.

``python -m tests.sim.mutants`` (``make mutants``) prints how many were killed, and which were not.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from amaranth.hdl import UnusedElaboratable

from quant.errors import ChandelierError
from quant.files import write_json
from quant.network import IntegerNetwork
from sim.cosim import Subject, cosimulate_many
from sim.report import CosimReport
from sim.runs import Stall
from tests.sim.netlist_mutants import NetlistMutant, mutate_netlist, proven_equivalent, reached, select
from tests.sim.planted_mutants import PLANTED, Planted, plant
from tests.sim.random_designs import TRIALS, Choice, cycles_of, lively_design, lively_subject

__all__ = ["DESIGNS", "Outcome", "netlist_outcomes", "planted_outcomes", "table"]

#: The lively designs whose netlists are mutated. Together they have every component.
DESIGNS = ("dense7", "dense55", "dense64", "maps0", "maps36", "maps42", "spatial55", "spatial64")
#: Mutants of each.
MUTANTS = 40
#: Planted designs in a bench.
TOGETHER = 8
#: Share of the mutants that are not equivalent which has to be killed.
REQUIRED = 0.95
REPORT = Path("build/verify/mutants.json")


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: what killed it; or, if nothing did, nothing, and perhaps why.

    ``equivalent`` is proven. That a mutant is not ``reached``, its bit having been no other one in any cycle of the
    last trial, is evidence.
    """

    design: str
    component: str
    kind: str
    place: str
    killed_by: str | None
    equivalent: bool = False
    reached: bool = True


def _said(report: CosimReport | None, original: CosimReport | None = None) -> str | None:
    """What a comparison found, or nothing. ``original`` is of a design that must take the same cycles."""
    if report is None:
        return "the simulator died"
    if not report.passed:
        return report.faults[0] if report.first is None else f"{report.first.signal} of layer {report.first.layer}"
    if original and cycles_of(report) != cycles_of(original):
        return "cycles"
    return None


def _simulate(subjects: Sequence[Subject], stall: Stall) -> list[CosimReport | None]:
    """Reports on designs; none where the simulator dies, which one by one shows whose fault that is."""
    try:
        return [*cosimulate_many(subjects, stall_probability=stall, optimise=False, jobs=1)]
    except ChandelierError as error:
        if "simulator died" not in str(error):
            raise
        return [None] if len(subjects) == 1 else [_simulate([one], stall)[0] for one in subjects]


def netlist_outcomes(
    folder: Path, designs: Sequence[str], count: int, seed: int, trials: Sequence[tuple[Choice, int, Stall]] = TRIALS
) -> list[Outcome]:
    """Tries up to ``count`` mutants of yosys of each design, one of each at a time, side by side in one bench."""
    networks: dict[str, IntegerNetwork] = {}
    left: dict[str, list[NetlistMutant]] = {}
    for name in designs:
        networks[name], foldings = lively_design(name)
        left[name] = mutate_netlist(networks[name], foldings, folder / name, count=count, seed=seed)
        tell(f"{name}: {len(left[name])} mutants of yosys")
    outcomes, ever = [], defaultdict[str, set[int]](set)
    for choose, samples, stall in trials:
        subjects = {name: lively_subject(networks[name], folder / name, samples, seed, choose) for name in designs}
        originals = _originals(subjects, stall)
        now = {name: reached(folder / name) for name in designs}
        told = {name: [mutant for mutant in own if mutant.number in now[name]] for name, own in left.items()}
        for name, mutant, report in _reports(subjects, told, stall):
            if found := _said(report, originals[name]):
                outcomes.append(_outcome(name, mutant, found))
                left[name].remove(mutant)
        for name in designs:
            ever[name] |= now[name]
        tell(f"{samples} {choose.__name__}, pauses {stall}: {sum(map(len, left.values()))} mutants left")
    for name, own in left.items():
        for mutant in own:
            known = mutant.number in ever[name]
            proven = proven_equivalent(folder / name, mutant, whole=not known)
            outcomes.append(_outcome(name, mutant, None, equivalent=proven, reached=known))
    return outcomes


def _outcome(name: str, mutant: NetlistMutant, found: str | None, **survived: bool) -> Outcome:
    return Outcome(name, mutant.component, mutant.kind, mutant.place, found, **survived)


def _originals(subjects: Mapping[str, Subject], stall: Stall) -> dict[str, CosimReport | None]:
    """The designs without a mutant, of which there must be nothing to find, or every mutant would count as killed.

    Their cycles are those that the regression has written down (``tests/sim/lively_cycles.py``).
    """
    for one in subjects.values():
        select(one.folder, 0)
    reports = dict(zip(subjects, _simulate(list(subjects.values()), stall), strict=True))
    for name, report in reports.items():
        if found := _said(report):
            raise ChandelierError(f"{name} is wrong without any mutant: {found}")
    return reports


def _reports(
    subjects: Mapping[str, Subject], mutants: Mapping[str, Sequence[NetlistMutant]], stall: Stall
) -> Iterator[tuple[str, NetlistMutant, CosimReport | None]]:
    """Of each mutant; all benches have the same designs, as a build serves for all."""
    for row in zip_longest(*[list(own) for own in mutants.values()]):
        for one, mutant in zip(subjects.values(), row, strict=True):
            select(one.folder, mutant.number if mutant else 0)
        for name, mutant, report in zip(subjects, row, _simulate(list(subjects.values()), stall), strict=True):
            if mutant:
                yield name, mutant, report


def planted_outcomes(folder: Path, planted: Sequence[Planted], seed: int) -> list[Outcome]:
    """Tries planted mistakes, some designs at a time in a bench."""
    outcomes = []
    for first in range(0, len(planted), TOGETHER):
        some = planted[first : first + TOGETHER]
        networks = {mutant.design: lively_design(mutant.design) for mutant in some}
        folders = [folder / f"{mutant.design}_{number}" for number, mutant in enumerate(some, start=first)]
        for mutant, own in zip(some, folders, strict=True):
            network, foldings = networks[mutant.design]
            plant(mutant, replace(network, name=own.name), foldings, own)
        found: list[str | None] = [None] * len(some)
        for choose, samples, stall in TRIALS:
            if None in found:
                asked = {
                    name: lively_subject(own, folder, samples, seed, choose) for name, (own, _) in networks.items()
                }
                subjects = [
                    replace(asked[mutant.design], folder=own) for mutant, own in zip(some, folders, strict=True)
                ]
                found = [old or _said(new) for old, new in zip(found, _simulate(subjects, stall), strict=True)]
        for mutant, by in zip(some, found, strict=True):
            place = f"hw/{mutant.module}.py: {mutant.old!r} -> {mutant.new!r}"
            outcomes.append(Outcome(mutant.design, mutant.component, mutant.kind, place, by))
        tell(f"{len(outcomes)} of {len(planted)} planted mistakes")
    return outcomes


def table(outcomes: Iterable[Outcome], key: Callable[[Outcome], str], title: str) -> str:
    """Killed and survived mutants of each ``key``, as Markdown."""
    rows = defaultdict(list)
    for outcome in outcomes:
        rows[key(outcome)].append(outcome)
    lines = [f"| {title} | mutants | killed | equivalent | survived |", "| --- | --- | --- | --- | --- |"]
    for name, own in [*sorted(rows.items()), ("all", list(chain.from_iterable(rows.values())))]:
        killed, equivalent = sum(o.killed_by is not None for o in own), sum(o.equivalent for o in own)
        lines.append(f"| {name} | {len(own)} | {killed} | {equivalent} | {len(own) - killed - equivalent} |")
    return "\n".join(lines)


def tell(line: str) -> None:
    """Says how far it has come."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Tries all mutants, prints the tables and writes the report; 1 if too few were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=MUTANTS, help="of yosys, of each design")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of mutants and of samples")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UnusedElaboratable)  # components are made for their names alone
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chandelier-mutants-") as scratch:
        outcomes = planted_outcomes(Path(scratch), PLANTED, arguments.seed)
        outcomes += netlist_outcomes(Path(scratch), DESIGNS, arguments.mutants, arguments.seed)
    print(table(outcomes, lambda outcome: outcome.component, "component"), end="\n\n")
    print(table(outcomes, lambda outcome: outcome.kind, "kind"), end="\n\n")
    survived = [outcome for outcome in outcomes if outcome.killed_by is None and not outcome.equivalent]
    for outcome in survived:
        how = "survived" if outcome.reached else "never reached"
        print(f"{how}: {outcome.design}, {outcome.component}, {outcome.kind}: {outcome.place}")
    real = sum(not outcome.equivalent for outcome in outcomes)
    share = 1 - len(survived) / real
    report = {
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - start),
        "killed": share,
        "mutants": [asdict(outcome) for outcome in outcomes],
    }
    write_json(REPORT, report)
    print(f"{real - len(survived)} of {real} killed: {100 * share:.1f} %, in {report['seconds']} s; {REPORT}")
    return int(share < REQUIRED)


if __name__ == "__main__":
    sys.exit(main())
