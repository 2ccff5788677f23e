"""Proofs: components with properties written in Amaranth, checked by SymbiYosys, and refuted with a bug in them."""

import inspect
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from amaranth import Module, ResetSignal, Signal
from amaranth.asserts import AnyConst, AnySeq, Initial  # type: ignore[attr-defined]  # the stubs lack them
from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import Assert, Assume, Elaboratable

from hw.tools import Runner, Tool, find_companion, find_tool
from quant.errors import ChandelierError
from quant.optional import not_installed

__all__ = [
    "AnyConst",
    "AnySeq",
    "Bug",
    "Inside",
    "Outcome",
    "Proof",
    "Tools",
    "after_reset",
    "claim",
    "find_tools",
    "plant",
]

#: The solver that smtbmc runs: of those in wheels it took a fifth of the time of Z3 for the first of these proofs.
SOLVER = "boolector"
#: Seconds that sby is given for a verdict.
_TIMEOUT = 600
#: What sby writes down first, and the counterexample's last step and assertion in its log.
_VERDICT = re.compile(r"PASS|FAIL|UNKNOWN|ERROR|TIMEOUT")
_STEP = re.compile(r"Checking assertions in step (\d+)")
_FAILED = re.compile(r"Assert failed in \S+ (\S+)")
#: A claim in RTLIL: where it was made, and what it says.
_CLAIM = re.compile(r'attribute \\src "([^"]+)"\n +cell \$check \S+\n +parameter \\FORMAT "([^"]*)"')


@dataclass(frozen=True)
class Bug:
    """An edit of the source file of a component: ``old``, which is there once, becomes ``new``."""

    old: str
    new: str


def plant(subject: Any, bug: Bug) -> Any:
    """A copy of ``subject``, a class or function, from its module as it would be with the bug in it.

    Raises
    ------
    ValueError
        If the source does not have ``old`` just once: then it has been edited, and the bug has to follow.
    """
    module = sys.modules[subject.__module__]
    source = inspect.getsource(module)
    if source.count(bug.old) != 1:
        raise ValueError(
            f"{module.__name__} has {bug.old!r} {source.count(bug.old)} times: a bug is planted in one place"
        )
    copy = ModuleType(module.__name__)
    exec(compile(source.replace(bug.old, bug.new), f"<{module.__name__} with a bug>", "exec"), vars(copy))
    return getattr(copy, subject.__name__)


@dataclass(frozen=True)
class Tools:
    """The programs: all of one origin, and a solver."""

    yosys: Tool
    sby: Path
    smtbmc: Path
    witness: Path
    solver: Path


def find_tools() -> Tools:
    """Yosys, SymbiYosys and the solver.

    Raises
    ------
    ChandelierError
        If one of them is missing; the line says what to type.
    """
    yosys = find_tool("yosys")
    programs = ("sby", "yosys-smtbmc", "yosys-witness")
    sby, smtbmc, witness = (find_companion(name, yosys, "verify").path for name in programs)
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    solver = shutil.which(SOLVER, path=folders) or shutil.which(f"yowasp-{SOLVER}", path=folders)
    if solver is None:
        raise not_installed(SOLVER, "chandelier[verify]")
    return Tools(yosys, sby, smtbmc, witness, Path(solver))


@dataclass(frozen=True)
class Inside:
    """A register inside of the subject that an invariant speaks about: ``path`` below ``dut``, as in the netlist."""

    path: str
    signal: Signal


@dataclass(frozen=True)
class Outcome:
    """What came of a proof and of its planted bug; ``seconds`` of both. ``detail`` says what went wrong, or where."""

    promise: str
    component: str
    mode: str
    solver: str
    seconds: float
    proven: bool
    refuted: bool
    detail: str

    @property
    def good(self) -> bool:
        """Whether the component has the property, and the one with the bug does not."""
        return self.proven and self.refuted


def claim(m: Module, condition: Any, says: str) -> None:
    """What has to hold in every cycle but the first, which is the reset's."""
    with m.If(~ResetSignal()):
        m.d.comb += Assert(condition, says, src_loc_at=1)


def after_reset(m: Module, cycles: int = 1) -> None:
    """A reset in the first cycles, whatever state it finds, and none later."""
    behind = Initial()
    for _ in range(cycles - 1):
        late = Signal(name="late", reset_less=True)
        m.d.sync += late.eq(behind)
        behind = behind | (late & ~Initial())
    m.d.comb += Assume(ResetSignal() == behind, "the reset comes first")


@dataclass(frozen=True)
class Proof:
    """One property of one component.

    Parameters
    ----------
    promise, component : str
        For people.
    subject : class or function
        Of which a copy has the bug.
    bench : callable
        ``bench(subject)`` makes the elaboratable that holds the subject as its submodule ``dut``, free inputs, and
        what is claimed of it. Its ``insides``, if it has any, are inputs that are tied to registers of the subject.
    bug : Bug
    mode : "bmc" or "induction"
        Bounded: for so many cycles after the reset. Induction: for ever, from any state that keeps the claims for
        ``depth`` cycles.
    depth : int
    bug_depth : int, optional
        Cycles in which the bug shows; ``depth`` if not given.
    any_state : bool
        The subject starts in any state whatever, before the reset; memories keep what they are filled with.
    """

    promise: str
    component: str
    subject: Any
    bench: Callable[[Any], Elaboratable]
    bug: Bug
    depth: int
    mode: Literal["bmc", "induction"] = "bmc"
    bug_depth: int | None = None
    any_state: bool = True

    def check(self, tools: Tools, runner: Runner, folder: Path) -> Outcome:
        """Proves it, and refutes the planted bug; ``folder`` is empty, and keeps what the programs wrote.

        Raises
        ------
        ChandelierError
            If sby comes to no verdict: the line says what it complains about.
        """
        start = time.monotonic()
        proven, detail = self._verdict(tools, runner, folder / "proof", self.subject, self.mode, self.depth)
        bugged = plant(self.subject, self.bug)
        passed, where = self._verdict(tools, runner, folder / "bug", bugged, "bmc", self.bug_depth or self.depth)
        return Outcome(
            self.promise,
            self.component,
            f"{self.mode} {self.depth}",
            SOLVER,
            time.monotonic() - start,
            proven,
            not passed,
            where if proven else detail,
        )

    def _verdict(
        self, tools: Tools, runner: Runner, folder: Path, subject: Any, mode: str, depth: int
    ) -> tuple[bool, str]:
        """Whether it was proven, and if not, which claim fails and when."""
        folder.mkdir()
        bench = self.bench(subject)
        insides: Sequence[Inside] = getattr(bench, "insides", ())
        text = rtlil.convert(bench, name="bench", ports=[inside.signal for inside in insides])
        (folder / "bench.il").write_text(text)
        (folder / "proof.sby").write_text(_configuration(mode, depth, insides, any_state=self.any_state))
        solvers = folder / "solver"
        solvers.mkdir()
        (solvers / SOLVER).symlink_to(tools.solver)
        programs = {"yosys": tools.yosys.path, "smtbmc": tools.smtbmc, "witness": tools.witness}
        options = [word for name, path in programs.items() for word in (f"--{name}", str(path))]
        sby = Tool("sby", tools.sby, tools.yosys.version, tools.yosys.origin)
        path = {"PATH": os.pathsep.join([str(solvers), os.environ.get("PATH", "")])}
        runner.run(sby, [*options, "-d", "work", "proof.sby"], folder, folder / "sby.log", path)
        return _read_verdict(folder / "sby.log", folder / "work" / "status", dict(_CLAIM.findall(text)))


def _configuration(mode: str, depth: int, insides: Sequence[Inside], *, any_state: bool) -> str:
    """What sby is to do. Names of registers stay, as the hierarchy is flattened."""
    lines = ["read_rtlil bench.il"]
    if any_state:
        lines += ["setattr -unset init bench.dut/w:* bench.dut.*/w:*"]
    # Before anything is optimised away.
    lines += ["hierarchy -top bench", "proc -noopt", "flatten", "cd bench"]
    for inside in insides:
        lines += [f"delete -input w:{inside.signal.name}", f"connect -set {inside.signal.name} dut.{inside.path}"]
    lines += ["cd ..", "prep -top bench"]
    script = "\n".join(lines)
    return f"""[options]
mode {"prove" if mode == "induction" else "bmc"}
depth {depth}
timeout {_TIMEOUT}

[engines]
smtbmc {SOLVER}

[script]
{script}

[files]
bench.il
"""


def _read_verdict(log: Path, status: Path, claims: Mapping[str, str]) -> tuple[bool, str]:
    said = log.read_text(errors="replace")
    verdict = _VERDICT.match(status.read_text()) if status.exists() else None
    if verdict and verdict[0] == "PASS":
        return True, ""
    failed, steps = [claims.get(place, place) for place in _FAILED.findall(said)], _STEP.findall(said)
    if verdict and verdict[0] == "FAIL" and failed:
        return False, f"cycle {steps[-1]}: not {failed[0]!r}"
    if verdict and verdict[0] == "UNKNOWN":
        return False, f"induction does not close: {failed[-1] if failed else 'no claim is named'}"
    errors = [line for line in said.splitlines() if re.search(r"ERROR|rror:", line)] or said.splitlines()[-1:]
    raise ChandelierError(f"sby comes to no verdict in {log.parent}; it says: {errors[0] if errors else 'nothing'}")
