"""Runs the cocotb tests of a bench of their own, inside the simulator."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from sim.bench import JOB_VARIABLE
from sim.verilator import Simulator, build


def run_bench(sources: Sequence[Path], bench: str, memories: Path, run: Path, *, module: str, tests: int) -> str:
    """Runs the ``tests`` tests of a module with the job in the folder ``run``; the log if one fails, or nothing."""
    program = build(sources, bench, optimise=False)
    program.run(Simulator(program.toolchain), memories, run, {JOB_VARIABLE: str(run)}, module=module)
    log, results = (run / "log").read_text(errors="replace"), run / "results.xml"
    cases = list(ET.parse(results).iter("testcase")) if results.exists() else []
    passed = [case for case in cases if case.find("failure") is None and case.find("error") is None]
    return "" if len(passed) == len(cases) == tests else log
