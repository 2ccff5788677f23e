"""Mutants that yosys makes: one wrong bit at one cell, hundreds of them in one netlist, of which a file selects one."""

import re
import shlex
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.folding import Foldings
from hw.manifest import Manifest
from hw.network import Network
from hw.rtl import write_rtl
from hw.spatial import SpatialNetwork
from hw.tools import Runner, find_tool
from quant.network import IntegerNetwork

__all__ = ["NetlistMutant", "mutate_netlist", "proven_equivalent", "select"]

#: Width of the signal that selects a mutant; 0 selects none.
SELECT_BITS = 12
#: Flat, as the names of the probes are below the top module; memories with constant contents become logic.
_PREPARE = """
read_verilog {top}.v
hierarchy -check -top {top}
proc
flatten
setattr -set keep 1 {probed}
opt -full
memory_collect
memory_map -rom-only
opt_mem
wreduce
opt -full
opt_clean -purge
check -assert
write_rtlil original.il
"""
#: The end of a wrapper's name.
_WRAPPED = "_mutants"
#: yosys gives one wire to bits of which one may depend on another.
_WAIVER = "/* verilator lint_off UNOPTFLAT */\n"
_PROVE = """
read_rtlil original.il
copy {top} mutant
{command}
memory_map
opt_clean
equiv_make {top} mutant both
equiv_struct both
equiv_simple -short both
equiv_induct -seq 2 both
tee -o prove.status equiv_status both
"""
_WRAPPER = """
module {wrapper} (
    input clk, input rst,
    input i__valid, input [{i}:0] i__payload, output i__ready,
    output o__valid, output [{o}:0] o__payload, input o__ready
);
  reg [{bits}:0] selected [0:0];
  initial $readmemh("{wrapper}.mem", selected);
  {top} mutated (
      .mutant(selected[0]), .clk(clk), .rst(rst),
      .i__valid(i__valid), .i__payload(i__payload), .i__ready(i__ready),
      .o__valid(o__valid), .o__payload(o__payload), .o__ready(o__ready)
  );
endmodule
"""


@dataclass(frozen=True)
class NetlistMutant:
    """A mutant of a design.

    Parameters
    ----------
    number : int
        What selects it.
    component : str
        Class of the Amaranth component that the cell is of.
    kind : str
        What yosys calls it: ``inv``, ``const0``, ``const1``, or, if another bit of the port says so, ``cnot0``,
        ``cnot1``.
    command : str
        For yosys, on the design as it read it.
    """

    number: int
    component: str
    kind: str
    command: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        cell, port, bit = (_option(self.command, name) for name in ("cell", "port", "portbit"))
        wire = re.search(r"-wire (\S+)", self.command)
        return f"{cell}.{port}[{bit}]" + (f" of {wire[1]}" if wire else "")


def _option(command: str, name: str) -> str:
    words = shlex.split(command.replace("\\", "\\\\"))
    return words[words.index(f"-{name}") + 1]


def _yosys(folder: Path, script: str, name: str) -> None:
    """Runs yosys with a script in ``folder``; what it said is in ``NAME.log``."""
    (folder / f"{name}.ys").write_text(script)
    log = folder / f"{name}.log"
    with Runner() as runner:
        if runner.run(find_tool("yosys"), ["-q", "-s", f"{name}.ys"], folder, log):
            raise RuntimeError(log.read_text())


class _Components:
    """Of which component a cell is, by the line of the Verilog that it comes from."""

    def __init__(self, top: Network | SpatialNetwork, verilog: str) -> None:
        self._top = type(top).__name__
        engines: Sequence[Any] = top.engines
        self._stages = {
            f"layer{i}.{name}": type(stage).__name__
            for i, engine in enumerate(engines)
            for name, stage in engine.stages.items()
        }
        found = re.finditer(r"^module \\?(\S+?) ?\(", verilog, re.MULTILINE)
        self._modules = [(verilog.count("\n", 0, module.start()) + 1, module[1]) for module in found]

    def of(self, command: str) -> str:
        """The class of the component whose cell a command changes."""
        source = re.search(r"-src \S+?\.v:(\d+)", command)
        if source is None:
            return self._top
        name = self._modules[bisect(self._modules, int(source[1]), key=lambda module: module[0]) - 1][1]
        parts = name.split(".")[1:]
        kinds = {"fork": "EventFork", "merge": "EventMerge", "results": "CreditQueue", "layer": "LayerEngine"}
        return (
            self._stages.get(".".join(parts[:2])) or kinds[re.sub(r"(\d+|_input)$", "", parts[0])]
            if parts
            else self._top
        )


def mutate_netlist(
    network: IntegerNetwork, foldings: Foldings, folder: Path, *, count: int, seed: int
) -> list[NetlistMutant]:
    """Writes the design of ``network`` with up to ``count`` mutants into ``folder``, ready for co-simulation.

    A wrapper takes the place of the top module; :func:`select` says which mutant it is. The netlist is flat, and what
    cannot matter for this network's numbers is gone as far as yosys sees it. ``original.il`` is what the mutants'
    commands are for.
    """
    top = SpatialNetwork(network) if foldings == "spatial" else Network(network, foldings)
    manifest = write_rtl(network, folder, foldings=foldings, name=network.name)
    source = folder / f"{manifest.top}.v"
    components = _Components(top, source.read_text())
    probed = " ".join(f"w:{net}" for p in manifest.probes for net in (p.valid, p.ready, p.payload))
    script = _PREPARE.format(top=manifest.top, probed=probed) + f"mutate -list {2 * count} -seed {seed} -o list\n"
    _yosys(folder, script, "list")
    commands = [line for line in (folder / "list").read_text().splitlines() if _is_hardware(line)][:count]
    mutants = [
        NetlistMutant(number, components.of(command), _option(command, "mode"), command)
        for number, command in enumerate(commands, start=1)
    ]
    control = f"mutate -ctrl mutant {SELECT_BITS}"
    apply = [mutant.command.replace("mutate", f"{control} {mutant.number}", 1) for mutant in mutants]
    _yosys(folder, "\n".join(["read_rtlil original.il", *apply, f"write_verilog -noattr {source.name}\n"]), "apply")
    source.write_text(_WAIVER + source.read_text())
    _wrap(folder, manifest)
    select(folder, 0)
    return mutants


def _is_hardware(command: str) -> bool:
    """Whether a command changes logic that can be simulated: no clock, and of a memory only addresses and data."""
    port = _option(command, "port")
    return not port.endswith("CLK") and (port in ("RD_ADDR", "RD_DATA") or not port.startswith("RD_"))


def _wrap(folder: Path, manifest: Manifest) -> None:
    """Adds the module that selects the mutant, and makes it the top of the design."""
    wrapper = manifest.top + _WRAPPED
    text = _WRAPPER.format(
        wrapper=wrapper,
        top=manifest.top,
        i=manifest.input.width - 1,
        o=manifest.output.width - 1,
        bits=SELECT_BITS - 1,
    )
    (folder / f"{wrapper}.v").write_text(text)
    nets = ("valid", "ready", "payload")
    flat = [p.model_copy(update={net: f"mutated.\\{getattr(p, net)} " for net in nets}) for p in manifest.probes]
    files = dict.fromkeys((f"{manifest.top}.v", f"{wrapper}.v", f"{wrapper}.mem"), "0" * 64)
    manifest.model_copy(update={"top": wrapper, "probes": flat, "files": files}).write(folder)


def select(folder: Path, number: int) -> None:
    """Makes the design in ``folder`` the mutant of this number; 0 is the design as it was."""
    top = Manifest.read(folder).top
    (folder / f"{top}.mem").write_text(f"{number:x}\n")


def proven_equivalent(folder: Path, mutant: NetlistMutant) -> bool:
    """Whether yosys proves that all registers and outputs of the mutant are those of the design, whatever comes in.

    By induction over two cycles, each register assuming the others. A mutant that only differs in what nobody looks at
    is not proven.
    """
    top = Manifest.read(folder).top.removesuffix(_WRAPPED)
    command = mutant.command.replace(f"-module {top}", "-module mutant")
    _yosys(folder, _PROVE.format(top=top, command=command), "prove")
    return "Equivalence successfully proven" in (folder / "prove.status").read_text()
