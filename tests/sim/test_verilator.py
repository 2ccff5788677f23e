"""Tools that are missing, sources that do not build, and builds that are there already."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cocotb_tools.config
import pytest

import sim.verilator
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


@pytest.mark.slow
def test_a_build_is_not_taken_for_that_of_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built finds cocotb's library where it was then: an environment made anew may have it elsewhere."""
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "cache"))
    folder = toy.write_toy(tmp_path)
    bench = bench_verilog([Manifest.read(folder)])
    build([folder / "toy.v"], bench, optimise=False)
    (tmp_path / "python3.99").symlink_to(cocotb_tools.config.libs_dir)
    monkeypatch.setattr(cocotb_tools.config, "libs_dir", tmp_path / "python3.99")
    assert not build([folder / "toy.v"], bench, optimise=False).cached


@pytest.mark.slow
def test_the_cache_may_be_given_relative_to_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make, which is run in another folder, takes the second build's runtime from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHANDELIER_CACHE", "cache")
    folder = toy.write_toy(tmp_path)
    bench = bench_verilog([Manifest.read(folder)])
    for comment in ("// one\n", "// two\n"):
        (folder / "toy.v").write_text((folder / "toy.v").read_text() + comment)
        assert build([folder / "toy.v"], bench, optimise=False).folder.parent == tmp_path / "cache" / "builds"


def test_a_build_that_vanishes_while_old_ones_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process ends its build, or forgets one, at the same time."""
    for name in ("old", "vanishing", "new"):
        (tmp_path / name).mkdir()

    def listing(folder: Path) -> Iterator[Path]:
        yield from (folder / name for name in ("vanishing", "new", "old"))
        shutil.rmtree(folder / "vanishing")

    monkeypatch.setattr(Path, "iterdir", listing)
    monkeypatch.setattr(sim.verilator, "_KEEP", 2)
    sim.verilator._prune(tmp_path)
    assert (tmp_path / "new").exists()


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "file"))
    folder = toy.write_toy(tmp_path)
    with pytest.raises(ChandelierError, match=r"cannot write .*file/builds: Not a directory"):
        build([folder / "toy.v"], bench_verilog([Manifest.read(folder)]))


def test_a_path_that_make_cannot_take_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "my cache"))
    with pytest.raises(ChandelierError, match=r"my cache has a space in its name, .*: set CHANDELIER_CACHE"):
        find_toolchain()


def test_source_that_does_not_build(tmp_path: Path) -> None:
    folder = toy.write_toy(tmp_path)
    bench = bench_verilog([Manifest.read(folder)])
    (folder / "toy.v").write_text("module toy (input clk; endmodule\n")
    with pytest.raises(ChandelierError, match=r"the simulator does not build: %Error: .*toy\.v:1:.*syntax error"):
        build([folder / "toy.v"], bench)
