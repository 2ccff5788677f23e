"""Co-simulation of what synthesis made of a network: its netlist, cell by cell, in the place of the Verilog."""

import shutil
from pathlib import Path

from hw.manifest import Manifest
from hw.synthesis import synthesis_commands
from hw.tools import Runner, Tool
from quant.errors import ChandelierError
from sim.formal.equivalence import CELLS, logic_only

__all__ = ["write_netlist"]


def write_netlist(rtl: Path, folder: Path, yosys: Tool) -> Manifest:
    """Synthesises the design in ``rtl`` for an ECP5, and writes ``folder``, which is simulated like a design.

    The file has a model for each cell: look-up tables, flip-flops, carry chains, distributed memories. Block memories
    and multipliers, of which yosys has no models, become such cells, too. Contents of memories are part of the netlist.
    What is inside has lost its names: only results can be compared.

    Raises
    ------
    ChandelierError
        If yosys refuses the design.
    """
    shutil.copytree(rtl, folder)
    manifest = Manifest.read(folder)
    top, log = manifest.top, folder / "yosys.log"
    script = [
        f"read_verilog {top}.v",
        *synthesis_commands(logic_only(), top),
        f"{CELLS}; opt_clean; rename -enumerate; write_verilog -noattr netlist.v",
    ]
    with Runner() as runner:
        if runner.run(yosys, ["-p", "; ".join(script)], folder, log):
            errors = [line for line in log.read_text(errors="replace").splitlines() if "ERROR" in line]
            raise ChandelierError(f"yosys refuses {top}; it says: {(errors or ['nothing'])[0]}")
    # Of a bus whose bits depend on each other Verilator says that it is a loop.
    text = "/* verilator lint_off UNOPTFLAT */\n" + (folder / "netlist.v").read_text()
    (folder / f"{top}.v").write_text(text)
    without = manifest.model_copy(update={"probes": []})
    without.write(folder)
    return without
