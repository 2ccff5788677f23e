"""Mutants that yosys makes: one wrong bit at one cell, hundreds of them in one netlist, of which a file selects one."""

import re
import shlex
from bisect import bisect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from hw.folding import Foldings
from hw.manifest import Manifest
from hw.network import Network
from hw.rtl import write_rtl
from hw.spatial import SpatialNetwork
from hw.tools import Runner, find_tool
from quant.network import IntegerNetwork

__all__ = ["NetlistMutant", "mutate_netlist", "proven_equivalent", "reached", "select"]

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
#: What chooses between a bit as it was and the mutant's, in the order of the mutants.
_CHOICE = re.compile(r"  cell \$mux \S*:mutate_ctrl_mux\S*\n.*\n    connect \\A (.*)\n    connect \\B (.*)\n")
#: The end of a wrapper's name.
_WRAPPED = "_mutants"
#: yosys gives one wire to bits of which one may depend on another.
_WAIVER = "/* verilator lint_off UNOPTFLAT */\n"
#: The design with an input ``mutant``, which makes it one; memories, enables and resets are registers and choices, and
#: all registers begin with 0.
_PREPARE_PROOF = """
read_rtlil original.il
setattr -unset keep w:*
{command}
memory_map
dffunmap
zinit -all
setattr -unset init w:*
setundef -init -zero
opt_clean
write_rtlil cut.il
"""
#: Design and mutant with the same inputs; of outputs, those that the mutant's bit can get to.
_BOTH = """
read_rtlil cut.il
select -set reached w:mutant %{cone}* o:* %i
delete -output o:* @reached %d
opt_clean
copy {top} original
cd original
delete -input mutant
connect -set mutant 1'0
cd ..
cd {top}
delete -input mutant
connect -set mutant 1'1
cd ..
miter -equiv -flatten original {top} both
hierarchy -top both
delete original {top}
opt -full
"""
#: No register is left in between: combinational.
_PROVE_STEP = (
    _BOTH
    + """
sat -prove trigger 0 -timeout 60 -verify both
"""
)
#: ABC finds registers that are always equal, by induction from their first state on, and tries its provers in turn on
#: what is left. It takes part in yosys as a mapper alone, and is given a gate to map.
_BOTH_FROM_START = (
    _BOTH
    + """
techmap
simplemap
opt
dfflegalize -cell $_DFF_P_ 01
aigmap
opt_clean
write_aiger -zinit both.aig
"""
)
_PROVE_FROM_START = """
read_verilog <<EOT
module gate(input a, input b, output c); assign c = a & b; endmodule
EOT
proc
techmap
abc -g AND -script +&r,both.aig;&scl;&lcorr;&scorr,-C,1000;&trim;&put;dprove,-T,{seconds};write_status,status
"""
#: For how long ABC tries its provers; and the registers, of both designs, of the largest layers that it is given.
_SECONDS, _MOST_REGISTERS = 20, 8000
#: A register, of which all are of one kind by then.
_REGISTER = re.compile(r"(?:^  attribute .*\n)*^  cell \$dff \S+\n((?:    .*\n)*)  end\n", re.MULTILINE)
_WRAPPER = """
module {wrapper} (
    input clk, input rst,
    input i__valid, input [{i}:0] i__payload, output i__ready,
    output o__valid, output [{o}:0] o__payload, input o__ready
);
  reg [{bits}:0] selected [0:0];
  initial $readmemh("{wrapper}.mem", selected);
  wire [{count}:0] other;
  reg [{count}:0] reached = 0;
  always @(posedge clk) reached <= reached | other;
  integer file;
  final begin
    file = $fopen("{wrapper}.reached.mem", "a");
    $fdisplay(file, "%h", reached);
    $fclose(file);
  end
  {top} mutated (
      .mutant(selected[0]), .other(other), .clk(clk), .rst(rst),
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
    component, stage : str
        Class of the Amaranth component that the cell is of, and with what names begin there.
    kind : str
        What yosys calls it: ``inv``, ``const0``, ``const1``, or, if another bit of the port says so, ``cnot0``,
        ``cnot1``.
    command : str
        For yosys, on the design as it read it.
    """

    number: int
    component: str
    stage: str
    kind: str
    command: str

    @property
    def layer(self) -> str:
        """With what the names begin in its layer, or what else is below the top module."""
        return self.stage[: self.stage.find(".") + 1]

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

    def module(self, line: str) -> str:
        """The name of the module that a line is in, below the top module, with a dot at its end if there is any."""
        name = self._modules[bisect(self._modules, int(line), key=lambda module: module[0]) - 1][1]
        return "".join(f"{part}." for part in name.split(".")[1:])

    def of(self, command: str) -> tuple[str, str]:
        """The class of the component whose cell a command changes, and with what names begin there."""
        source = re.search(r"-src \S+?\.v:(\d+)", command)
        if source is None:
            return self._top, ""
        parts = self.module(source[1]).split(".")[:-1]
        kinds = {"fork": "EventFork", "merge": "EventMerge", "results": "CreditQueue", "layer": "LayerEngine"}
        stage = ".".join(parts[:2])
        if stage in self._stages:
            return self._stages[stage], f"{stage}."
        return (kinds[re.sub(r"(\d+|_input)$", "", parts[0])], f"{parts[0]}.") if parts else (self._top, "")


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
    _name_sources(folder / "original.il", components)
    commands = [line for line in (folder / "list").read_text().splitlines() if _is_hardware(line)][:count]
    mutants = [
        NetlistMutant(number, *components.of(command), _option(command, "mode"), command)
        for number, command in enumerate(commands, start=1)
    ]
    control = f"mutate -ctrl mutant {SELECT_BITS}"
    apply = [mutant.command.replace("mutate", f"{control} {mutant.number}", 1) for mutant in mutants]
    _yosys(folder, "\n".join(["read_rtlil original.il", *apply, "write_rtlil mutants.il\n"]), "apply")
    _watch(folder / "mutants.il", count=len(mutants))
    _yosys(folder, f"read_rtlil mutants.il\nwrite_verilog -noattr {source.name}\n", "write")
    source.write_text(_WAIVER + source.read_text())
    _wrap(folder, manifest, count=len(mutants))
    select(folder, 0)
    return mutants


def _name_sources(netlist: Path, components: _Components) -> None:
    """Cells that come from a line of the Verilog say of which module it is, where they gave the file's name."""

    def named(attribute: re.Match[str]) -> str:
        return re.sub(r"\w+\.v:(\d+)", lambda line: f"{components.module(line[1])}:{line[1]}", attribute[0])

    netlist.write_text(re.sub(r"^ *attribute \\src .*$", named, netlist.read_text(), flags=re.MULTILINE))


def _is_hardware(command: str) -> bool:
    """Whether a command changes logic that can be simulated: no clock, and of a memory only addresses and data."""
    port = _option(command, "port")
    return not port.endswith("CLK") and (port in ("RD_ADDR", "RD_DATA") or not port.startswith("RD_"))


def _watch(netlist: Path, *, count: int) -> None:
    """Adds the output ``other``: of each mutant, by its number, whether its bit is another one now."""
    text = netlist.read_text()
    choices = _CHOICE.findall(text)
    if len(choices) != count:
        raise RuntimeError(f"{netlist} has {len(choices)} choices for {count} mutants")
    ports = len(re.findall(r"^  wire .*put \d+ ", text, re.MULTILINE))
    lines = [f"  wire width {count + 1} output {ports + 1} \\other", "  connect \\other [0] 1'0"]
    for number, (before, after) in enumerate(choices, start=1):
        lines += [f"  cell $xor $watch{number}", "    parameter \\A_SIGNED 0", "    parameter \\B_SIGNED 0"]
        lines += [f"    parameter \\{port}_WIDTH 1" for port in "ABY"]
        signals = {"A": before, "B": after, "Y": f"\\other [{number}]"}
        lines += [*(f"    connect \\{port} {signal}" for port, signal in signals.items()), "  end"]
    netlist.write_text("\n".join([text.rstrip().removesuffix("end").rstrip(), *lines, "end", ""]))


def _wrap(folder: Path, manifest: Manifest, *, count: int) -> None:
    """Adds the module that selects the mutant, and makes it the top of the design."""
    wrapper = manifest.top + _WRAPPED
    text = _WRAPPER.format(
        wrapper=wrapper,
        top=manifest.top,
        i=manifest.input.width - 1,
        o=manifest.output.width - 1,
        bits=SELECT_BITS - 1,
        count=count,
    )
    (folder / f"{wrapper}.v").write_text(text)
    nets = ("valid", "ready", "payload")
    flat = [p.model_copy(update={net: f"mutated.\\{getattr(p, net)} " for net in nets}) for p in manifest.probes]
    names = (f"{manifest.top}.v", f"{wrapper}.v", f"{wrapper}.mem", f"{wrapper}.reached.mem")
    files = dict.fromkeys(names, "0" * 64)
    manifest.model_copy(update={"top": wrapper, "probes": flat, "files": files}).write(folder)


def select(folder: Path, number: int) -> None:
    """Makes the design in ``folder`` the mutant of this number; 0 is the design as it was."""
    top = Manifest.read(folder).top
    (folder / f"{top}.mem").write_text(f"{number:x}\n")
    (folder / f"{top}.reached.mem").write_text("")


def reached(folder: Path) -> set[int]:
    """Numbers of the mutants whose bit would have been another one in some cycle, since the last :func:`select`.

    Of the design as it was, these are all that could have been noticed.
    """
    lines = (folder / f"{Manifest.read(folder).top}.reached.mem").read_text().split()
    every = reduce(or_, (int(line, 16) for line in lines), 0)
    return {number for number in range(every.bit_length()) if every >> number & 1}


def proven_equivalent(folder: Path, mutant: NetlistMutant, *, whole: bool) -> bool:
    """Whether it is proven that the mutant is no mistake: nothing but what it changes itself is another one, ever.

    First of one step from any state whatever: all registers and outputs are those of the design. Then of a part of the
    design from its first state on, whatever the rest does: all that leaves the part is the same. That is the mutant's
    stage, then its layer, then, if asked for, the ``whole`` design, which takes a minute. Each says nothing if it
    fails.
    """
    top = Manifest.read(folder).top.removesuffix(_WRAPPED)
    command = mutant.command.replace("mutate", "mutate -ctrl mutant 1 1", 1)
    _yosys(folder, _PREPARE_PROOF.format(command=command), "prepare")
    netlist = folder / "cut.il"
    text = netlist.read_text()
    netlist.write_text(_cut(text, keep=None))
    try:
        _yosys(folder, _PROVE_STEP.format(top=top, cone="coe"), "prove")
    except RuntimeError as error:
        if "proof did" not in str(error):
            raise
    else:
        return True
    parts = dict.fromkeys([mutant.stage, mutant.layer, *([""] if whole else [])])
    return any(
        _proven_from_start(folder, top, _cut(text, keep=part), most=_MOST_REGISTERS if part else None) for part in parts
    )


def _proven_from_start(folder: Path, top: str, netlist: str, *, most: int | None) -> bool:
    """Whether it is proven of this netlist, in which the registers begin with 0, if there are not too many of them."""
    (folder / "cut.il").write_text(netlist)
    _yosys(folder, _BOTH_FROM_START.format(top=top, cone="co"), "both")
    registers = int((folder / "both.aig").read_bytes().split(maxsplit=4)[3])
    if most is not None and registers > most:
        return False
    status = folder / "status"
    status.unlink(missing_ok=True)
    with suppress(RuntimeError):  # ABC, or its memory, may end before there is an answer
        _yosys(folder, _PROVE_FROM_START.format(seconds=_SECONDS), "prove")
    return status.exists() and status.read_text().startswith("snl_UNSAT")


def _cut(text: str, *, keep: str | None) -> str:
    """A netlist with states of registers as inputs, and what they become as outputs; some, or all (""), are kept."""
    ports = len(re.findall(r"^  wire .*put \d+ ", text, re.MULTILINE))
    wires, connections = list[str](), list[str]()

    def cut(register: re.Match[str]) -> str:
        width, d, q = (re.search(pattern, register[1]) for pattern in (r"WIDTH (\d+)", r"\\D (.*)", r"\\Q (.*)"))
        assert width and d and q
        if keep is not None and keep in register[0][: register.start(1) - register.start()] + q[1]:
            return register[0]
        number = len(connections)
        for kind, name in (("input", "was"), ("output", "becomes")):
            wires.append(f"  wire width {width[1]} {kind} {ports + len(wires) + 1} \\{name}{number}\n")
        connections.append(f"  connect {q[1]} \\was{number}\n  connect \\becomes{number} {d[1]}\n")
        return ""

    module, body = re.split(r"(?<=\n)(?=  wire )", _REGISTER.sub(cut, text), maxsplit=1)
    return "".join([module, *wires, body.rstrip().removesuffix("end"), *connections, "end\n"])
