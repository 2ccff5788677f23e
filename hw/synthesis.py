"""Synthesis, placement and routing of a network: how large it becomes on a device, and how fast."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from amaranth.back import verilog

from hw.devices import DEFAULT_ROUTING, PINS_FILE, Device, Placer, Routing, find_device
from hw.folding import Foldings
from hw.manifest import Manifest, Timing
from hw.netlist import cells_by_stage
from hw.rtl import design_files, write_rtl
from hw.shell import Shell
from hw.tools import Runner, Tool, find_tool
from quant.errors import ChandelierError
from quant.files import replacing_directory
from quant.network import IntegerNetwork

__all__ = [
    "SHELL",
    "Progress",
    "Routed",
    "SynthesisReport",
    "Usage",
    "WorstPath",
    "check_memory",
    "packed_usage",
    "run_router",
    "run_yosys",
    "synthesis_commands",
    "synthesise",
]

#: ``progress(what, doing)``: a program has begun something.
Progress = Callable[[str, str], None]
#: Name of the shell's module, and of the files made of it.
SHELL = "chandelier_shell"
#: Fewest flip-flops that share an enable or a reset. yosys finds hundreds that serve one or two, in products above all;
#: flip-flops that stand side by side in a device must share them, and with hundreds of kinds the placer finds no end.
FEWEST = 10
#: All kinds of flip-flops that yosys knows, for its pass that takes rare enables and resets into the logic before them.
_FLIP_FLOPS = " ".join(
    f"-cell ${kind} 01"
    for kind in ("_DFF_?_", "_DFF_?P?_", "_DFFE_??_", "_DFFE_?P??_", "_SDFF_?P?_", "_SDFFE_?P??_", "_SDFFCE_?P??_")
)
#: Files that an earlier run may have left in the folder.
_OWN = (
    rf"{design_files()}|chandelier_shell\.(v|pins)"
    r"|yosys\.log|cells\.json|seed\d+\.(log|json)|synthesis\.json|vivado\.tcl"
)
#: A line of nextpnr's table of utilisation, as long as its numbers are not yet in a report.
_UTILISATION = re.compile(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%$", re.MULTILINE)
#: What yosys appends to a signal's name to name a cell that drives it.
_CELL_SUFFIX = re.compile(r"(_[A-Z][A-Z0-9]*(_[A-Z0-9]+)*)+(_\d+)?$|_[A-Z].*$")


@dataclass(frozen=True)
class Usage:
    """How many cells of a kind are used; ``available`` is ``None`` where no device was chosen."""

    used: int
    available: int | None = None

    @property
    def excess(self) -> int:
        """How many there are too many, if there are."""
        return 0 if self.available is None else max(0, self.used - self.available)

    def __str__(self) -> str:
        return f"{self.used:,}" if self.available is None else f"{self.used:,} of {self.available:,}"


@dataclass(frozen=True)
class WorstPath:
    """The path that limits the clock, from register to register.

    Parameters
    ----------
    source : str
        The signal where it begins.
    sink : str
        The cell where it ends, by the signal that it drives.
    logic, routing : float
        Nanoseconds in cells, setup included, and between them.
    cells : int
        Between the two registers.
    """

    source: str
    sink: str
    logic: float
    routing: float
    cells: int

    def __str__(self) -> str:
        nanoseconds = f"{self.logic:.1f} ns logic, {self.routing:.1f} ns routing"
        return f"{self.source} -> {self.sink}: {nanoseconds}, {self.cells} cells"


@dataclass(frozen=True)
class Routed:
    """What came of one seed: ``clock`` in MHz is the largest at which all paths between registers hold."""

    seed: int
    clock: float
    path: WorstPath


@dataclass(frozen=True)
class SynthesisReport:
    """What a network takes on a device, and the clocks that it reaches.

    Parameters
    ----------
    tools : list of str
        Name, version and origin of each program.
    resources : dict
        Kind -> usage, the shell's flip-flops and look-up tables included.
    shell_flip_flops : int
    runs : list of Routed
        One for each seed; none where there is no routing.
    foldings : list of Folding, or "spatial"
    loadable : bool
    placer, rip_up
        As of ``Routing``.
    timing : Timing, optional
        Cycles of a fully spatial design.
    stages : dict
        Cells of yosys' netlist, by component and type, before they are packed.
    """

    network: str
    device: str
    part: str
    foldings: Foldings
    tools: list[str]
    resources: dict[str, Usage]
    shell_flip_flops: int
    runs: list[Routed] = field(default_factory=list)
    timing: Timing | None = None
    loadable: bool = False
    placer: Placer = "heap"
    rip_up: bool = False
    stages: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def clocks(self) -> tuple[float, float, float] | None:
        """Least, median and largest clock of all seeds, MHz."""
        clocks = [run.clock for run in self.runs]
        return (min(clocks), median(clocks), max(clocks)) if clocks else None

    def as_json(self) -> dict[str, Any]:
        """Plain values; clocks in MHz, times in nanoseconds."""
        low, middle, high = self.clocks or (None, None, None)
        timing = self.timing.model_dump() if self.timing else None
        return asdict(self) | {"timing": timing, "clock": {"min": low, "median": middle, "max": high}}


def synthesise(
    network: IntegerNetwork,
    directory: Path,
    *,
    device: str,
    foldings: Foldings,
    loadable: bool = False,
    seeds: Sequence[int] = (1,),
    clock: float = 100.0,
    routing: Routing = DEFAULT_ROUTING,
    progress: Progress = lambda what, doing: None,
) -> SynthesisReport:
    """Generates the design, synthesises it in a shell of registers, and places and routes it once for each seed.

    ``directory`` then holds the design, the logs and what the programs reported; where something goes wrong, or is
    interrupted, no program runs on and an earlier folder stays as it was.

    Parameters
    ----------
    device : str
        One of ``hw.devices.DEVICES``.
    foldings : sequence of Folding, or "spatial"
        One for each layer, or none at all.
    loadable : bool
        As of ``hw.rtl.write_rtl``.
    seeds : sequence of int, >= 0
        Of the placement.
    clock : float
        MHz that the router aims at.
    routing : Routing
        Other than the default for nextpnr-ecp5 only.

    Raises
    ------
    ChandelierError
        If a program is missing or refuses the design, the design does not fit the device, the device's router cannot do
        that, or the folder cannot be written.
    """
    target = find_device(device).routed_by(routing)
    names = ["yosys", *target.route[:1]]
    tools = [find_tool(name) for name in names]
    with replacing_directory(directory, _OWN) as folder, Runner() as runner:
        manifest, shell = _write_design(network, folder, target, foldings, loadable=loadable)
        if not target.route:
            (folder / "vivado.tcl").write_text(_vivado_script(manifest, clock))
        cells = run_yosys(runner, tools[0], target, _reads(manifest), SHELL, folder, progress)
        resources, runs = _counted(target, cells), list[Routed]()
        if target.route:
            resources, runs = _route_all(runner, tools[1], target, device, folder, seeds, clock, progress)
        report = SynthesisReport(
            network=network.name,
            device=device,
            part=target.part,
            foldings=foldings,
            loadable=loadable,
            **asdict(routing),
            tools=[str(tool) for tool in tools],
            resources=resources,
            shell_flip_flops=shell.flip_flops,
            runs=runs,
            timing=manifest.timing,
            stages=cells_by_stage(folder / f"{SHELL}.json", SHELL),
        )
        (folder / f"{SHELL}.json").unlink()  # the netlist: large, and made again in a minute
    return report


def _write_design(
    network: IntegerNetwork, folder: Path, target: Device, foldings: Foldings, *, loadable: bool = False
) -> tuple[Manifest, Shell]:
    """The design, its shell and the shell's pins, as files in ``folder``."""
    manifest = write_rtl(network, folder, foldings=foldings, loadable=loadable)
    check_memory(network.name, manifest, target)
    shell = Shell(manifest)
    (folder / f"{SHELL}.v").write_text(verilog.convert(shell, name=SHELL, emit_src=False))
    if target.pins:
        (folder / PINS_FILE).write_text(target.pins)
    return manifest, shell


def check_memory(network: str, manifest: Manifest, device: Device) -> None:
    """Refuses, before hours of synthesis, a design whose memories hold more bits than the device.

    Raises
    ------
    ChandelierError
        With both numbers of bits.
    """
    bits = sum(sum(layer.memory_bits.values()) for layer in manifest.layers)
    if device.memory is not None and bits > device.memory:
        raise ChandelierError(
            f"the memories of {network} have {bits:,} bits, and {device.part} holds {device.memory:,} in block "
            "memories and look-up tables together: choose a larger device, or fewer or narrower synapses"
        )


def _reads(manifest: Manifest) -> str:
    """yosys' command that reads the design and its shell."""
    return f"read_verilog {manifest.top}.v {SHELL}.v"


def packed_usage(network: IntegerNetwork, folder: Path, *, device: str, foldings: Foldings) -> dict[str, Usage]:
    """What a design in the shell takes of a device, packed but neither placed nor routed, even if it does not fit.

    ``folder`` then holds the design and the logs.

    Raises
    ------
    ChandelierError
        If a program is missing, refuses the design, or does not know the device's size.
    """
    target = find_device(device)
    if not target.route:
        raise ChandelierError(f"--device {device} has no packer that knows its size: choose one that is routed")
    yosys, packer = find_tool("yosys"), find_tool(target.route[0])
    with Runner() as runner:
        manifest, _ = _write_design(network, folder, target, foldings)
        run_yosys(runner, yosys, target, _reads(manifest), SHELL, folder, lambda what, doing: None)
        log = folder / "pack.log"
        code = runner.run(packer, [*target.route[1:], "--json", f"{SHELL}.json", "--pack-only"], folder, log)
        table = parse_utilisation(log.read_text(errors="replace"), target)
        if code or not table:
            raise ChandelierError(f"{packer.name} refuses the design; it says: {_complaint(log)}")
    return table


def run_yosys(
    runner: Runner, tool: Tool, device: Device, reads: str, top: str, folder: Path, progress: Progress
) -> Mapping[str, int]:
    """Synthesises module ``top`` of what the command ``reads`` reads; the netlist is ``TOP.json``.

    Returns the number of cells of each type.

    Raises
    ------
    ChandelierError
        If yosys refuses the design.
    """
    progress("yosys", "synthesising")
    script = [reads, *synthesis_commands(device, top, f" -json {top}.json"), "tee -q -o cells.json stat -json"]
    log = folder / "yosys.log"
    if runner.run(tool, ["-p", "; ".join(script)], folder, log):
        raise ChandelierError(f"yosys refuses the design; it says: {_complaint(log)}")
    progress("yosys", "done")
    return parse_cells((folder / "cells.json").read_text())


def synthesis_commands(device: Device, top: str, netlist: str = "") -> list[str]:
    """yosys' commands from what has been read to cells of the device; ``netlist`` is an option of the last one."""
    return [
        # Aliases of the elements of arrays: yosys 0.70 takes their names for those of single bits, and ends.
        "rename -hide */w:*[[]*",
        # Copies of a register stay copies (hw.pipeline.copies): yosys looks at cells for that, and not at signals.
        "proc",
        "setattr -set keep 1 a:keep %ci1:+$dff[Q] t:$dff %i",
        # The table of reciprocals, which all lanes read at once, is a few gates in any case. Where it looks for block
        # memories with so many ports, yosys 0.70 takes a minute for twelve, and fails for sixteen.
        'setattr -set rom_style "logic" */m:entries',
        f"{device.synthesis} -top {top} -run begin:map_ffs",
        f"dfflegalize {_FLIP_FLOPS} -mince {FEWEST} -minsrst {FEWEST}",
        f"{device.synthesis} -top {top} -run map_ffs:{netlist}",
    ]


def parse_cells(text: str) -> Mapping[str, int]:
    """Cell type -> number, from what ``stat -json`` of yosys wrote."""
    design = json.loads(text)["design"]
    return {str(name): int(number) for name, number in design["num_cells_by_type"].items()}


def _counted(device: Device, cells: Mapping[str, int]) -> dict[str, Usage]:
    return {kind: Usage(sum(cells.get(name, 0) for name in names)) for kind, names in device.cells.items()}


def _route_all(
    runner: Runner,
    tool: Tool,
    device: Device,
    name: str,
    folder: Path,
    seeds: Sequence[int],
    clock: float,
    progress: Progress,
) -> tuple[dict[str, Usage], list[Routed]]:
    def route(seed: int) -> tuple[dict[str, Usage], Routed]:
        return run_router(runner, tool, device, name, SHELL, folder, seed, clock, progress)

    with ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        futures = [pool.submit(route, seed) for seed in seeds]
        try:
            results = [future.result() for future in futures]
        except BaseException:
            runner.stop()
            raise
    return results[0][0], [routed for _, routed in results]


def run_router(
    runner: Runner,
    tool: Tool,
    device: Device,
    name: str,
    top: str,
    folder: Path,
    seed: int,
    clock: float,
    progress: Progress,
    options: Sequence[str] = (),
) -> tuple[dict[str, Usage], Routed]:
    """Places and routes the netlist ``TOP.json`` for ``clock``, MHz, which may be missed.

    Raises
    ------
    ChandelierError
        If the design does not fit the device, which is called ``name``, or the router refuses it.
    """
    progress(f"seed {seed}", "placing and routing")
    log, report = folder / f"seed{seed}.log", f"seed{seed}.json"
    wanted = ["--json", f"{top}.json", "--report", report, "--seed", f"{seed}", "--freq", f"{clock}"]
    if runner.run(tool, [*device.route[1:], *wanted, "--timing-allow-fail", *options], folder, log):
        raise ChandelierError(_refusal(tool, device, name, log))
    usage, routed = parse_report((folder / report).read_text(), device, seed)
    progress(f"seed {seed}", f"{routed.clock:.1f} MHz")
    return usage, routed


def _complaint(log: Path) -> str:
    """The first error in a log, in one line."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return next((line for line in lines if re.search(r"ERROR|rror:|exhausted", line)), (lines or ["nothing"])[-1])


def _refusal(tool: Tool, device: Device, name: str, log: Path) -> str:
    """Why a design was not routed: what there is too much of, or what the program says."""
    over = parse_overflow(log.read_text(errors="replace"), device)
    if over:
        lacking = "; ".join(f"{kind}: {usage}, {usage.excess:,} too many" for kind, usage in over.items())
        return f"the design does not fit {name} ({lacking}): choose fewer lanes, or a larger device"
    return f"{tool.name} refuses the design; it says: {_complaint(log)}"


def parse_overflow(text: str, device: Device) -> dict[str, Usage]:
    """The kinds of which a design takes more than the device has, from nextpnr's log."""
    return {kind: usage for kind, usage in parse_utilisation(text, device).items() if usage.excess}


def parse_utilisation(text: str, device: Device) -> dict[str, Usage]:
    """What a design takes, from the table in nextpnr's log."""
    table = {name: (int(used), int(available)) for name, used, available in _UTILISATION.findall(text)}
    return _usages(device, table)


def _usages(device: Device, table: Mapping[str, tuple[int, int]]) -> dict[str, Usage]:
    found = {kind: [table[name] for name in names if name in table] for kind, names in device.cells.items()}
    return {kind: Usage(sum(u for u, _ in of), sum(a for _, a in of)) for kind, of in found.items() if of}


def parse_report(text: str, device: Device, seed: int) -> tuple[dict[str, Usage], Routed]:
    """Usage, and clock with its worst path, from the report of nextpnr.

    Raises
    ------
    ChandelierError
        If it names no clock.
    """
    report = json.loads(text)
    table = {name: (entry["used"], entry["available"]) for name, entry in report["utilization"].items()}
    clocks = {name: entry["achieved"] for name, entry in report["fmax"].items()}
    slowest = min(clocks, key=lambda name: clocks[name], default="")
    paths = [path for path in report["critical_paths"] if path["from"] == path["to"] and slowest in path["from"]]
    if not clocks or not paths:
        raise ChandelierError("the router's report names no clock")
    return _usages(device, table), Routed(seed, clocks[slowest], _worst_path(paths[0]["path"]))


def _worst_path(hops: Sequence[Mapping[str, Any]]) -> WorstPath:
    time: Counter[str] = Counter()
    for hop in hops:
        time["routing" if hop["type"] == "routing" else "logic"] += hop["delay"]
    nets = [hop["net"] for hop in hops if hop["type"] == "routing"]
    sink = _CELL_SUFFIX.sub("", hops[-1]["to"]["cell"])
    return WorstPath(
        source=_local(nets[0] if nets else hops[0]["from"]["cell"]),
        sink=_local(sink),
        logic=round(time["logic"], 2),
        routing=round(time["routing"], 2),
        cells=sum(hop["type"] == "logic" for hop in hops),
    )


def _local(name: str) -> str:
    """A name below the top module."""
    return name.removeprefix("design.")


def _vivado_script(manifest: Manifest, clock: float) -> str:
    """For those who have Vivado: the same design, out of context, to a routed report."""
    return "\n".join(
        [
            "# vivado -mode batch -source vivado.tcl",
            "set part xc7a35tcpg236-1",
            f"read_verilog {manifest.top}.v",
            f"synth_design -mode out_of_context -flatten_hierarchy rebuilt -top {manifest.top} -part $part",
            f"create_clock -name clk -period {1000 / clock:.3f} [get_ports clk]",
            "opt_design",
            "place_design",
            "phys_opt_design",
            "route_design",
            "report_utilization -file vivado_utilization.rpt",
            "report_timing_summary -file vivado_timing.rpt",
            "",
        ]
    )
