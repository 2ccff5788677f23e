"""Tools that are missing, sources that do not build, and builds that are there already."""

from pathlib import Path

import pytest

from hw.manifest import Manifest
from quant.errors import ChandelierError
from sim.harness import bench_verilog
from sim.verilator import build, find_toolchain
from tests.sim import toy


def test_tools_are_found() -> None:
    assert (find_toolchain().verilator / "include" / "verilated.h").exists()


@pytest.mark.parametrize("tool", ["perl", "make", "c++"])
def test_missing_tool(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in {"perl", "make", "c++"} - {tool}:
        (tmp_path / other).write_text("#!/bin/sh\n")
        (tmp_path / other).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChandelierError, match=rf"^{tool.replace('+', '.')} is not on the PATH: type 'apt-get install "):
        find_toolchain()


def test_same_sources_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "cache"))
    folders = [toy.write_toy(tmp_path / name) for name in ("one", "two")]
    bench = bench_verilog([Manifest.read(folders[0])])
    builds = [build([folder / "toy.v"], bench) for folder in folders]
    assert [b.cached for b in builds] == [False, True]
    assert builds[0].folder == builds[1].folder
    (folders[1] / "toy.v").write_text((folders[1] / "toy.v").read_text() + "// changed\n")
    assert not build([folders[1] / "toy.v"], bench).cached


def test_source_that_does_not_build(tmp_path: Path) -> None:
    folder = toy.write_toy(tmp_path)
    bench = bench_verilog([Manifest.read(folder)])
    (folder / "toy.v").write_text("module toy (input clk; endmodule\n")
    with pytest.raises(ChandelierError, match=r"the simulator does not build: %Error: .*toy\.v:1:.*syntax error"):
        build([folder / "toy.v"], bench)
