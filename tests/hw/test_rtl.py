"""The generated design: reproducible, described truly by its manifest, and clean in the eyes of the tools."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from hw.folding import Folding
from hw.global_inhibition import is_global
from hw.lint import check_verilator, check_yosys
from hw.manifest import Manifest
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from tests.hw.test_network import random_foldings
from tests.random_networks import random_network

SEEDS = range(6)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _module(verilog: str, name: str) -> str:
    """The text of a module."""
    start = re.search(rf"^module \\?{re.escape(name)} \(", verilog, re.MULTILINE)
    assert start, f"no module {name}"
    return verilog[start.start() : verilog.index("\nendmodule", start.start())]


@pytest.mark.parametrize("seed", SEEDS)
def test_design_is_clean_and_as_the_manifest_says(seed: int, tmp_path: Path) -> None:
    network = random_network(seed, largest=12)
    manifest = write_rtl(network, tmp_path, foldings=random_foldings(network, seed), name="design")
    assert Manifest.read(tmp_path) == manifest
    files = _contents(tmp_path)
    del files["manifest.json"]
    assert manifest.files == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    verilog = files["design.v"].decode()
    assert str(Path.cwd()) not in verilog
    for probe in manifest.probes:
        *instances, _ = probe.payload.split(".")
        parent = "design"
        for instance in instances:
            assert f"  \\{parent}.{instance}  {instance} (" in _module(verilog, parent), probe.path
            parent += f".{instance}"
        for net, bits in ((probe.valid, 1), (probe.ready, 1), (probe.payload, probe.width)):
            shape = f"[{bits - 1}:0] " if bits > 1 else ""
            declaration = f"\n  wire {shape}{net.split('.')[-1]};\n"
            assert declaration in _module(verilog, parent), net
    check_verilator(tmp_path)


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_loadable_design_is_clean(seed: int, tmp_path: Path) -> None:
    network = random_network(seed, largest=6)
    write_rtl(network, tmp_path, foldings=random_foldings(network, seed), loadable=True)
    check_verilator(tmp_path)


def test_yosys_accepts_the_design(tmp_path: Path) -> None:
    write_rtl(random_network(1, largest=8), tmp_path)
    check_yosys(tmp_path)


def test_tools_complain_about_a_damaged_design(tmp_path: Path) -> None:
    manifest = write_rtl(random_network(1, largest=8), tmp_path)
    source = tmp_path / f"{manifest.top}.v"
    source.write_text(source.read_text().replace("endmodule", "", 1))
    with pytest.raises(ChandelierError, match="verilator refuses the design"):
        check_verilator(tmp_path)
    with pytest.raises(ChandelierError, match="yosys refuses the design"):
        check_yosys(tmp_path)


def test_reproducible_to_the_byte(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from hw.rtl import write_rtl; "
        "from tests.random_networks import random_network; write_rtl(random_network(5), Path(sys.argv[1]))"
    )
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program, tmp_path / seed], env=environment, check=True)
    assert _contents(tmp_path / "1") == _contents(tmp_path / "2")


def _memory(layer: int, stage: str, memory: str) -> str:
    return f"chandelier_top.layer{layer}.{stage}.{memory}.mem"


def test_memory_files_hold_the_weights(tmp_path: Path) -> None:
    networks = (random_network(seed, largest=20) for seed in count())
    network = next(n for n in networks if [layer.n_i > 0 for layer in n.layers] == [True, False, True])
    write_rtl(network, tmp_path, foldings=[Folding(1, 1, 1)] * len(network.layers))
    for i, layer in enumerate(network.layers):
        rows = np.concatenate([layer.w_ee, layer.w_ie]).T
        memories = {_memory(i, "accumulator.row", "weights"): (rows, layer.synapse_bits)}
        if layer.n_i:
            w_ei = layer.w_ei[:1] if is_global(layer) else layer.w_ei
            memories[_memory(i, "population", "w_ei")] = w_ei, layer.inhibition_bits
        for file, (weights, bits) in memories.items():
            words = [int(line, 16) for line in (tmp_path / file).read_text().splitlines()]
            assert words[: weights.size] == [int(w) % (1 << bits) for w in weights.ravel()], file


def _inputs_exchanged(network: IntegerNetwork) -> IntegerNetwork:
    """The same network with the inputs of layer 0 in reverse: other weights that need the same widths."""
    first, *rest = network.layers
    first = replace(first, w_ee=first.w_ee[:, ::-1], w_ie=first.w_ie[:, ::-1])
    return replace(network, layers=(first, *rest))


def test_other_weights_of_the_same_shape_change_only_memory_files(tmp_path: Path) -> None:
    network = random_network(10, largest=20)
    write_rtl(network, tmp_path / "a")
    write_rtl(_inputs_exchanged(network), tmp_path / "b")
    a, b = _contents(tmp_path / "a"), _contents(tmp_path / "b")
    assert {name for name in a | b if a.get(name) != b.get(name)} == {
        "manifest.json",
        _memory(0, "accumulator.row", "weights"),
    }


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "a.b"])
def test_a_name_that_is_no_identifier_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="the top module's name must be"):
        write_rtl(random_network(0, largest=4), tmp_path, name=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mine", ["cpu.v", "firmware.mem", "project.f", "chandelier_top.mem", "chandelier_top_tb.v"])
def test_what_somebody_else_wrote_in_the_folder_is_kept(mine: str, tmp_path: Path) -> None:
    write_rtl(random_network(1, largest=8), tmp_path)
    (tmp_path / mine).write_text("years of work\n")
    before = _contents(tmp_path)
    with pytest.raises(ChandelierError, match=rf"holds {re.escape(mine)}, which would be lost"):
        write_rtl(random_network(0, largest=4), tmp_path)
    assert _contents(tmp_path) == before


def test_an_earlier_design_is_replaced_as_a_whole(tmp_path: Path) -> None:
    deep, flat = (random_network(seed, largest=8) for seed in (4, 1))
    assert len(deep.layers) > len(flat.layers)
    write_rtl(deep, tmp_path)
    manifest = write_rtl(flat, tmp_path)
    assert set(_contents(tmp_path)) == {"manifest.json", *manifest.files}
