"""Equivalence after synthesis: the netlist of a unit, in the cells of an ECP5, is its RTL."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Module, Mux
from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import Elaboratable
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.devices import DEVICES, Device
from hw.layouts import shape_of
from hw.lif import LIFCore
from hw.reciprocal import ReciprocalUnit
from hw.synapses import SynapseProducts
from hw.synthesis import synthesis_commands
from hw.tools import Runner
from quant.arithmetic import saturate
from quant.errors import ChandelierError
from quant.formats import Format
from quant.reciprocal import Reciprocal
from sim.formal.proof import Bug, Outcome, Tools, plant

__all__ = ["CELLS", "PROOFS", "Equivalence", "logic_only"]

#: Replaces cells of an ECP5 by the models that yosys has of them.
CELLS = "techmap -wb -D EQUIV -autoproc -map +/ecp5/cells_sim.v"
#: The RTL without hierarchy and memories. Aliases of the elements of arrays lose their names first, as in synthesis.
_PREPARE = "hierarchy -top unit; proc; flatten; rename -hide */w:*[[]*; memory_map; opt_clean"
#: Words of memories, whose registers would lose their names in synthesis.
_WORDS = re.compile(r"(\\\S*)\[(\d+)\]")
#: Cycles in which a planted bug shows, from a reset on.
BUG_CYCLES = 8


def logic_only() -> Device:
    """The ECP5, without the blocks that yosys has no models of: memories and multipliers become logic, too."""
    device = DEVICES["ecp5-25f"]
    return replace(device, synthesis=f"{device.synthesis} -nobram -nolutram -nodsp", route=())


@dataclass(frozen=True)
class Equivalence:
    """The netlist of a unit is its RTL, register for register, by induction; that of a unit with a bug is not.

    Parameters
    ----------
    component : str
        For people.
    subject : class or function
        Of which a copy has the bug.
    unit : callable
        ``unit(subject)`` makes the elaboratable, whose ports are those of its signature.
    bug : Bug
    """

    component: str
    subject: Any
    unit: Callable[[Any], Elaboratable]
    bug: Bug
    promise: str = "the netlist for an ECP5 is the RTL"

    def check(self, tools: Tools, runner: Runner, folder: Path) -> Outcome:
        """Proves it, and refutes the netlist of a unit with a bug, against the RTL without.

        Raises
        ------
        ChandelierError
            If yosys refuses the unit.
        """
        start = time.monotonic()
        for name, subject in (("good", self.subject), ("bug", plant(self.subject, self.bug))):
            unit = folder / f"{name}.il"
            unit.write_text(rtlil.convert(self.unit(subject), name="unit"))
            self._yosys(tools, runner, folder, name, [f"read_rtlil {unit.name}; {_PREPARE}; write_rtlil {unit.name}"])
            unit.write_text(_WORDS.sub(r"\1_\2", unit.read_text()))
        resets = "".join(f" -set-at {cycle} in_rst {int(cycle == 1)}" for cycle in range(1, BUG_CYCLES + 1))
        prove = "equiv_make gold gate equiv; hierarchy -top equiv; equiv_induct equiv; equiv_status -assert equiv"
        refute = (
            "miter -equiv -flatten -ignore_gold_x gold gate miter; hierarchy -top miter; "
            f"sat -seq {BUG_CYCLES} -set-init-zero{resets} -prove trigger 0 -falsify miter"
        )
        proven = self._holds(tools, runner, folder, "good", prove, r"ERROR: Found \d+ unproven")
        refuted = self._holds(tools, runner, folder, "bug", refute, r"ERROR: Called with -falsify")
        detail = "a difference is found" if proven else "equiv_induct does not close"
        return Outcome(
            self.promise,
            self.component,
            "induction over registers",
            "yosys",
            time.monotonic() - start,
            proven,
            refuted,
            detail,
        )

    def _holds(self, tools: Tools, runner: Runner, folder: Path, name: str, command: str, negative: str) -> bool:
        """Whether a command on the RTL (``gold``) and on the netlist of a unit (``gate``) succeeds."""
        script = [
            "read_rtlil good.il; design -stash gold",
            f"read_rtlil {name}.il",
            *synthesis_commands(logic_only(), "unit"),
            "design -stash gate",
            "design -copy-from gold -as gold unit; design -copy-from gate -as gate unit",
            # Bits of registers that nothing depends on are not in the netlist: they leave the RTL, too.
            f"{CELLS}; async2sync; simplemap gold; opt_clean; {command}",
        ]
        return self._yosys(tools, runner, folder, name, script, negative)

    def _yosys(
        self, tools: Tools, runner: Runner, folder: Path, name: str, script: list[str], negative: str | None = None
    ) -> bool:
        """Whether yosys comes to the end of a script; if not, ``negative`` is what it may say."""
        said = folder / f"{name}.log"
        # A log of its own: of the standard output the wheel loses what comes after ABC9.
        options = ["-l", said.name, "-p", "; ".join(script)]
        if not runner.run(tools.yosys, options, folder, folder / f"{name}.out"):
            return True
        text = said.read_text(errors="replace")
        if negative is None or not re.search(negative, text):
            errors = [line for line in text.splitlines() if "ERROR" in line]
            raise ChandelierError(f"yosys refuses {self.component}; it says: {(errors or ['nothing'])[0]}")
        return False


class Saturation(wiring.Component):
    """``o = saturate(i)``, a register behind it."""

    i: Any
    o: Any

    def __init__(self, subject: Callable[..., Any], fmt: Format, bits: int) -> None:
        self._saturate, self._format = subject, fmt
        super().__init__({"i": In(shape_of(Format(bits, signed=True))), "o": Out(shape_of(fmt))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self._saturate(self.i, self._format, Mux))
        return m


S10_6 = Format.parse("s10.6")
#: Rows of synapses of 2 bits. A row that no address has would be any in the netlist.
ROWS = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [3, 3, 2, 1]])

PROOFS = [
    Equivalence(
        "saturate 16 bits to s10.6",
        saturate,
        lambda subject: Saturation(subject, S10_6, 16),
        Bug("select(beyond > 0, fmt.max, x)", "select(beyond > 1, fmt.max, x)"),
    ),
    Equivalence(
        "LIFCore s10.6, 2 neurons",
        LIFCore,
        lambda subject: subject(n=2, lanes=1, steps=3, membrane=S10_6, tau_shift=1, theta=64),
        Bug("u >= self._theta", "u > self._theta"),
    ),
    Equivalence(
        "ReciprocalUnit, 16 entries of 8 bits, d of 16 bits",
        ReciprocalUnit,
        lambda subject: subject(lanes=1, bal=Format(4, signed=True), d=Format(16), reciprocal=Reciprocal(4, 8)),
        Bug("any_above = (x >> (width - half)).any()", "any_above = (x >> (width - half))[1:].any()"),
    ),
    Equivalence(
        "SynapseProducts, 4 lanes of 2 by 8 bits",
        SynapseProducts,
        lambda subject: subject(tables=[ROWS], lanes=4, synapse=Format(2), value_bits=8),
        Bug("copies(m, delay(multiple(earlier, 3)), groups)", "copies(m, multiple(earlier, 3), groups)"),
    ),
]
