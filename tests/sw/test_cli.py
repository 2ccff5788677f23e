"""The command line as a user types it: each verb, and each mistake, in a process of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from quant.network_file import save_network
from sw.cli import app
from sw.doctor import _EXTRAS
from tests.deepeisnn import mlp
from tests.random_networks import random_network

ROOT = Path(__file__).parents[2]
CONFIG = """
name = "t"
[data]
name = "digits"
bits = 4
[network]
hidden = [16]
steps = 2
[training]
epochs = 2
[quantisation]
epochs = 2
"""


#: What the project's folder may hold, whichever tests have been run.
LEFT = {"t.toml", "runs", "t.safetensors", "t.cosim.json"}


def _run(*arguments: object, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sw.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | (env or {})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def _fails(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 2, one line on standard error that has all parts, no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    line = result.stderr.strip()
    assert line.startswith("error: "), result.stderr
    for part in parts:
        assert part in line, line


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which train and quantize have been run."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "t.toml").write_text(CONFIG)
    for arguments in (("train", "t.toml"), ("quantize", "runs/t", "-o", "t.safetensors")):
        result = _run(*arguments, cwd=folder)
        assert result.returncode == 0, result.stderr
        assert "next: chandelier" in result.stdout
    return folder


@pytest.fixture
def network(tmp_path: Path) -> Path:
    save_network(random_network(4, largest=8), tmp_path / "n.safetensors")
    return tmp_path / "n.safetensors"


@pytest.mark.parametrize(
    "verb",
    [
        "train",
        "quantize",
        "import",
        "import-nir",
        "export",
        "rtl",
        "cosim",
        "synth",
        "bitstream",
        "simulate-board",
        "run",
        "info",
        "report",
        "explore",
        "demo",
        "doctor",
        "data",
    ],
)
def test_every_verb_has_a_help_page(tmp_path: Path, verb: str) -> None:
    result = _run(verb, "--help", cwd=tmp_path)
    assert result.returncode == 0 and "Usage:" in result.stdout
    assert verb in _run("--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, tmp_path: Path) -> None:
    script = _run(cwd=tmp_path, env={"_CHANDELIER_COMPLETE": f"source_{shell}"})
    assert script.returncode == 0 and f"_CHANDELIER_COMPLETE=complete_{shell}" in script.stdout
    words = {
        "COMP_WORDS": "chandelier rtl --fold ",
        "COMP_CWORD": "3",
        "_TYPER_COMPLETE_ARGS": "chandelier rtl --fold ",
    }
    words |= {"_CHANDELIER_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert set(re.findall(r"events|spatial", _run(cwd=tmp_path, env=words).stdout)) == {"events", "spatial"}


def test_train_and_quantize_leave_what_they_say(project: Path) -> None:
    assert len((project / "runs/t/metrics.jsonl").read_text().splitlines()) == 4
    assert {"t.toml", "runs", "t.safetensors"} <= {p.name for p in project.iterdir()} <= LEFT


@pytest.mark.slow
def test_a_network_of_the_reference_goes_all_the_way(tmp_path: Path) -> None:
    network = mlp(64, (12, 8), 10)
    torch.save({"model_state_dict": network.state, "config": network.config}, tmp_path / "c.pth")
    first = _run("import", "c.pth", "-o", "all/n", "--data", "digits", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "next: chandelier quantize all/n" in first.stdout
    assert "or:   chandelier train all/n/config.json --runs all" in first.stdout
    for phase in ("after training", "quantisation-aware training"):
        for arguments in (("quantize", "all/n"), ("export", "all/n/n.safetensors"), ("info", "all/n/n.safetensors")):
            result = _run(*arguments, cwd=tmp_path)
            assert result.returncode == 0, result.stderr
            assert arguments[0] != "quantize" or phase in result.stdout
        result = _run("train", "all/n/config.json", "--runs", "all", cwd=tmp_path)
        assert result.returncode == 0 and "quantised accuracy" in result.stdout, result.stderr


def test_a_seed_of_its_own(project: Path) -> None:
    assert _run("train", "t.toml", "--seed", "5", cwd=project).returncode == 0
    assert json.loads((project / "runs/t-seed5/config.json").read_text())["seed"] == 5
    shutil.rmtree(project / "runs/t-seed5")


def test_names_are_printed_as_they_are(network: Path) -> None:
    for name in ("x[red]y.json", "a:smile:.json"):
        result = _run("export", network, "-f", "json", "-o", name, cwd=network.parent)
        assert result.returncode == 0 and result.stdout.strip() == name


@pytest.mark.parametrize(("fmt", "output"), [("mem", "-mem"), ("npz", ".npz"), ("c-header", ".h"), ("json", ".json")])
def test_export(network: Path, fmt: str, output: str) -> None:
    result = _run("export", network, "--format", fmt, cwd=network.parent)
    path = network.parent / f"random4{output}"
    assert result.returncode == 0 and result.stdout.strip() == str(path) and path.exists()


def test_export_for_a_design_with_loadable_weights(network: Path) -> None:
    assert _run("rtl", network, "-o", "loadable", "--weights", "loadable", cwd=network.parent).returncode == 0
    for design in ("loadable", "loadable/manifest.json"):
        result = _run("export", network, "-f", "load", "--for", design, cwd=network.parent)
        path = network.parent / "random4.load"
        assert result.returncode == 0 and result.stdout.strip() == str(path), result.stderr
        assert path.read_bytes()[:4] == b"CHDL"
        path.unlink()


@pytest.mark.parametrize("fold", ["events", "spatial"])
def test_rtl_is_reproducible_and_listed(network: Path, fold: str) -> None:
    for folder in ("a", "b"):
        assert _run("rtl", network, "-o", folder, "--fold", fold, cwd=network.parent).returncode == 0
    a, b = (sorted((network.parent / name).iterdir()) for name in ("a", "b"))
    assert [p.name for p in a] == [p.name for p in b]
    assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]
    assert {"manifest.json", "chandelier_top.v", "chandelier_top.f"} <= {p.name for p in a}


def test_rtl_in_a_shell(network: Path) -> None:
    result = _run("rtl", network, "-o", "soc", "--shell", "axi", cwd=network.parent)
    assert result.returncode == 0 and "top module chandelier_axi" in result.stdout, result.stderr
    names = {path.name for path in (network.parent / "soc").iterdir()}
    assert {"chandelier_axi.v", "chandelier_axi.f", "chandelier_axi.h", "registers.md", "package_ip.tcl"} <= names


def test_info(network: Path) -> None:
    result = _run("info", network, cwd=network.parent)
    assert result.returncode == 0, result.stderr
    for part in ("predicted interval", "memory bits", "reciprocal table", "proven formats"):
        assert part in result.stdout


def test_info_of_samples_says_what_cosim_measures(project: Path, tmp_path: Path) -> None:
    options = (project / "t.safetensors", "--data", "digits", "--samples", "20", "--neuron-lanes", "4,2")
    said = _run("info", *options, "--json", "measured.json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert measured["samples"] == 20 and measured["interval"]["min"] > 0 and measured["energy_pj"] > 0
    simulated = _run("cosim", *options, "--json", "cosim.json", cwd=tmp_path).stdout
    record = (tmp_path / "cosim.json").read_text()
    assert (project / "t.cosim.json").read_text() == record and json.loads(record)["mismatches"] == 0
    for row in ("cycles between results", "cycles to a result"):
        (cosim,), (info,) = ([line for line in out.splitlines() if row in line] for out in (simulated, said.stdout))
        assert re.findall(r"[\d.,]+ \(\d+\.\.\d+\)", cosim) == re.findall(r"[\d.,]+ \(\d+\.\.\d+\)", info) != []
    doubled = _run("info", *options, "--energy", "0.2,0.4,6.2,0.3125", "--json", "doubled.json", cwd=tmp_path)
    assert doubled.returncode == 0, doubled.stderr
    assert json.loads((tmp_path / "doubled.json").read_text())["energy_pj"] == pytest.approx(2 * measured["energy_pj"])


def test_a_report_has_it_all(project: Path, tmp_path: Path) -> None:
    """Of a run, with its data set; what is not there is named on the page and on the screen."""
    shutil.copytree(project / "runs", tmp_path / "runs")
    shutil.copy(project / "t.safetensors", tmp_path / "runs" / "t" / "t.safetensors")
    result = _run("report", "runs/t", "-o", "out/page.html", "--sample", "7", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "out/page.html").read_text()
    for part in ("accuracy, float", "accuracy, quantised", "Test sample 7", "4 epochs", "cycles between results"):
        assert part in page
    for command in ("rtl", "synth", "cosim"):
        assert f"chandelier {command} runs/t/t.safetensors" in page and f"chandelier {command}" in result.stdout


def test_target_cycles_with_the_activity_of_a_data_set(project: Path, tmp_path: Path) -> None:
    said = _run(
        "rtl", project / "t.safetensors", "--target-cycles", "90", "--data", "digits", "-o", "active", cwd=tmp_path
    )
    assert said.returncode == 0 and "with the activity on digits" in said.stdout, said.stderr
    unknown = _run("rtl", project / "t.safetensors", "--target-cycles", "90", "-o", "unknown", cwd=tmp_path)
    assert unknown.returncode == 0 and "with 15 % of all inputs not zero" in unknown.stdout, unknown.stderr
    lanes = [
        json.loads((tmp_path / folder / "manifest.json").read_text())["layers"][0]["folding"]["synapse_lanes"]
        for folder in ("active", "unknown")
    ]
    assert lanes[0] > lanes[1]  # half of all pixels of a digit are not zero


def test_doctor(tmp_path: Path) -> None:
    result = _run("doctor", "--json", "found.json", cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    found = {finding["what"]: finding for finding in json.loads((tmp_path / "found.json").read_text())}
    for part in ("torch", "verilator", "C++ compiler", "perl", "matplotlib"):
        assert part in result.stdout and found[part]["ok"]
    assert "\x1b" not in result.stdout  # no colours in a pipe
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == {extra for _, extra in _EXTRAS.values()}


def test_a_shipped_configuration_by_name(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()  # not what was meant
    _fails(_run("train", "digits", "--seed", "-5", cwd=tmp_path), "digits with --seed -5: seed: Input should be")


_VALUES = [
    ("", "train"),
    ("data ", "import"),
    ("train mnist-1", "mnist-128"),
    ("rtl n.safetensors --fold ", "spatial"),
    ("rtl n.safetensors --weights ", "loadable"),
    ("rtl n.safetensors --device ice", "ice40-up5k"),
    ("synth n.safetensors --device e", "ecp5-25f"),
    ("bitstream n.safetensors --board ", "ulx3s-85f"),
    ("export n.safetensors -f c", "c-header"),
    ("import-nir n.nir --reset ", "delayed"),
    ("cosim n.safetensors --data dig", "digits"),
    ("cosim n.safetensors --sta", "--stalls"),
    ("data get fash", "fashion-mnist"),
]


@pytest.mark.parametrize(("typed", "offered"), _VALUES)
def test_shells_complete_verbs_options_and_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, offered: str
) -> None:
    words = f"chandelier {typed}"
    monkeypatch.setenv("_CHANDELIER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words.replace(" ", "\n"))
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    with pytest.raises(SystemExit):
        app(prog_name="chandelier")
    assert offered in capsys.readouterr().out.split()


def test_the_completion_script_works_in_a_shell(tmp_path: Path) -> None:
    """In bash itself, as a user has it: the script is read, and its function is called as the Tab key does."""
    program = tmp_path / "chandelier"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sw.cli "$@"\n')
    program.chmod(0o755)
    script = """
        source <(_CHANDELIER_COMPLETE=source_bash chandelier)
        COMP_WORDS=(chandelier rtl n.safetensors --fold "") COMP_CWORD=4
        _chandelier_completion chandelier
        printf "%s " "${COMPREPLY[@]}"
    """
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    said = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.stdout.split() == ["events", "spatial"], said


def test_data_list(tmp_path: Path) -> None:
    result = _run("data", "list", cwd=tmp_path, env={"CHANDELIER_CACHE": str(tmp_path)})
    assert "digits" in result.stdout and "chandelier data get mnist" in result.stdout
    assert "chandelier data import cifar10" in result.stdout


def test_importing_says_what_it_reads_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "c.tar.gz").write_bytes(b"rubbish")
    result = _run("data", "import", "cifar10", "c.tar.gz", cwd=tmp_path, env={"CHANDELIER_CACHE": str(tmp_path)})
    assert result.returncode == 2 and "Traceback" not in result.stderr
    said = result.stderr.splitlines()
    assert said[0] == "reading cifar10: c.tar.gz" and said[1].startswith("error: c.tar.gz is not a readable .tar.gz: ")
    assert len(said) == 2 and [p.name for p in tmp_path.iterdir()] == ["c.tar.gz"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("train", "nothing.toml"), ("nothing.toml is not there", "mnist-128")),
        (("explore", "nothing.toml"), ("nothing.toml is not there", "one of digits, mnist")),
        (("explore", "good.toml"), ("good.toml: hardware: Field required",)),
        (("train", "bad.toml"), ("bad.toml: unknown key network.depth",)),
        (("train", "mnist.toml"), ("data set mnist is not here", "chandelier data get mnist")),
        (("train", "nan.toml"), ("nan.npz", "x_test[1, 2] is nan")),
        (("train", "labels.toml"), ("y_test holds the label 7",)),
        (("quantize", "runs/nothing"), ("runs/nothing is not there",)),
        (("quantize", "n.safetensors"), ("n.safetensors is a file", "chandelier train")),
        *(((verb, "n" * 300), ("File name too long",)) for verb in ("train", "quantize", "report", "info")),
        (("export", "."), (". is not a network file", "it is a folder")),
        (
            ("import", "nothing.pth", "-o", "runs/n", "--data", "digits"),
            ("nothing.pth is not there: give a checkpoint",),
        ),
        (("import", "bad.toml", "-o", "runs/n", "--data", "digits"), ("bad.toml is not a checkpoint as torch.save",)),
        (("export", "nothing.safetensors"), ("nothing.safetensors is not there",)),
        (("export", "bad.toml"), ("bad.toml is not a network file",)),
        (("export", "n.safetensors", "--format", "vhdl"), ("--format must be one of mem, npz, c-header, json",)),
        (("export", "n.safetensors", "-f", "load"), ("--format load needs --for, the folder of the design",)),
        (("export", "n.safetensors", "--for", "build"), ("--for build goes with --format load only, not with npz",)),
        (("export", "n.safetensors", "-f", "load", "--for", "nothing"), ("cannot read nothing/manifest.json",)),
        (
            ("rtl", "n.safetensors", "--fold", "spatial", "--weights", "loadable"),
            ("a fully spatial design cannot be loadable, as its synapses are wires",),
        ),
        (("info", "half.safetensors"), ("half.safetensors is not a network file, or is damaged",)),
        (("rtl", "n.safetensors", "--shell", "axi", "--fold", "spatial"), ("a fully spatial design takes a whole",)),
        (("rtl", "n.safetensors", "--synapse-lanes", "1,2,3,4,5,6"), ("--synapse-lanes takes one number",)),
        (("rtl", "n.safetensors", "--neuron-lanes", "1000"), ("neuron_lanes of layer 0 must be 1..", "not 1000")),
        (("rtl", "n.safetensors", "--target-cycles", "1"), ("no folding takes 1 cycles a sample: ", "in all lanes")),
        (("rtl", "n.safetensors", "--device", "z80"), ("--device must be one of ecp5-25f, ", "not z80")),
        (
            ("rtl", "n.safetensors", "--device", "ecp5-25f", "--neuron-lanes", "2"),
            ("--device ecp5-25f chooses the lanes",),
        ),
        (("rtl", "n.safetensors", "--fold", "origami"), ("'--fold'", "'events', 'spatial'")),
        (
            ("rtl", "n.safetensors", "--fold", "spatial", "--synapse-lanes", "8"),
            ("--synapse-lanes 8 does not go with --fold spatial",),
        ),
        (
            ("synth", "n.safetensors", "--device", "xilinx", "--fold", "spatial", "--events", "3,4"),
            ("--events does not go with --fold spatial",),
        ),
        (("rtl", "n.safetensors", "-o", "bad.toml/x"), ("cannot write",)),
        (("synth", "n.safetensors", "--device", "z80"), ("--device must be one of ecp5-25f, ", "not z80")),
        (("synth", "n.safetensors", "--device", "xilinx", "--seeds", "1,1"), ("--seeds must be 1..100", "not 1,1")),
        (("synth", "n.safetensors", "--device", "xilinx", "--seeds", "x"), ("--seeds takes a number of seeds",)),
        (("synth", "n.safetensors", "--device", "xilinx", "--events", "many"), ("--events takes a number for each",)),
        (("synth", "n.safetensors", "--device", "xilinx", "--clock", "0"), ("--clock must be greater than 0",)),
        (("synth", "n.safetensors", "--device", "xilinx", "--events", "1", "--data", "digits"), ("give one of them",)),
        (("rtl", "n.safetensors", "--data", "digits"), ("--data needs --target-cycles",)),
        (("info", "n.safetensors", "--samples", "5"), ("--samples needs --data",)),
        (("report", "nothing.safetensors"), ("nothing.safetensors is not there",)),
        (("report", "mine"), ("mine is no run, as it has no config.json: give runs/NAME or NAME.safetensors",)),
        (("report", "n.safetensors", "--sample", "1"), ("type 'chandelier report n.safetensors --data SET'",)),
        (("report", "n.safetensors", "--data", "fits.npz", "--sample", "4"), ("--sample must be 0..3", "not 4")),
        (("report", "n.safetensors", "--data", "digits"), ("digits has static samples of 64 features",)),
        (("report", "n.safetensors", "--rtl", "mine"), ("cannot read mine/manifest.json",)),
        (("report", "n.safetensors", "--synthesis", "mine"), ("cannot read mine/manifest.json",)),
        (("info", "n.safetensors", "--data", "digits"), ("digits has static samples of 64 features",)),
        (("info", "n.safetensors", "--data", "digits", "--energy", "1,2"), ("--energy takes 4 numbers",)),
        (("bitstream", "n.safetensors", "--board", "z80"), ("--board must be one of ulx3s-85f, ", "not z80")),
        (("bitstream", "n.safetensors", "--board", "icebreaker", "--clock", "0"), ("--clock must be greater than 0",)),
        (
            ("bitstream", "n.safetensors", "--board", "icebreaker", "--clock", "5"),
            ("PLL does not make 5 MHz of 12 MHz",),
        ),
        (
            ("bitstream", "n.safetensors", "--board", "icebreaker", "--baud", "7000000"),
            ("--baud 7000000 is too fast for a clock of 12 MHz",),
        ),
        (("bitstream", "n.safetensors", "--board", "icebreaker", "--seeds", "x"), ("--seeds takes a number of seeds",)),
        (("run", "n.safetensors", "--port", "none", "--data", "fits.npz"), ("there is no serial port none: ",)),
        (("run", "n.safetensors", "--port", "bad.toml", "--data", "fits.npz"), ("cannot open bad.toml: ",)),
        (("cosim", "n.safetensors", "--data", "digits"), ("digits has static samples of 64 features",)),
        (("cosim", "n.safetensors", "--data", "fits.npz", "--samples", "0"), ("--samples must be 1..4 or all, not 0",)),
        (("cosim", "n.safetensors", "--data", "fits.npz", "--workers", "2", "--scheduler", "tcp://h:1"), ("not both",)),
        (("cosim", "n.safetensors", "--data", "fits.npz", "--stalls", "1.5"), ("stall probability", "1.5")),
        (("export", "n.safetensors", "-o", "n.safetensors"), ("--output is the network file",)),
        (("export", "n.safetensors", "-f", "mem", "-o", "mine"), ("mine holds thesis.txt, which would be lost",)),
        (("rtl", "n.safetensors", "-o", "mine"), ("mine holds thesis.txt, which would be lost",)),
        (("export", "n.safetensors", "-f", "mem", "-o", "n.safetensors"), ("--output is the network file",)),
        (("train", "good.toml", "--seed", "-5"), ("t with --seed -5: seed: Input should be greater",)),
        (("train", "float.toml"), ("name = 'float' is what a file of training is called",)),
        (("info", "a\\[/x]"), ("a\\[/x] is not there",)),
        (("info", "a\nb.safetensors"), ("a b.safetensors is not there",)),
        (("cosim", "n.safetensors", "--data", "fits.npz", "--samples", "9" * 5000), ("--samples must be 1..4",)),
        (("data", "get", "nothing"), ("there is no data set nothing",)),
        (("data", "get", "cifar10"), ("cifar10 cannot be fetched", "type 'chandelier data import cifar10 PATH'")),
        (("data", "import", "cifar10", "nowhere"), ("nowhere is not there: get cifar-10-python.tar.gz",)),
    ],
)
def test_a_mistake_is_one_line_and_loses_nothing(
    network: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    folder = network.parent
    good = network.read_bytes()
    spec = random_network(4, largest=8).input
    x = np.zeros(
        (12, spec.features) if spec.kind == "static" else (12, random_network(4, largest=8).steps, spec.features)
    )
    y = np.arange(12) % random_network(4, largest=8).classes
    y[0] = random_network(4, largest=8).classes - 1
    sets = {"x_train": x[:8], "y_train": y[:8], "x_test": x[8:], "y_test": y[8:] * 0}
    np.savez(folder / "fits.npz", **sets)  # type: ignore[arg-type]
    x = np.zeros((4, 9))
    x[1, 2] = np.nan
    flat = {"x_train": np.zeros((8, 9)), "y_train": np.arange(8) % 2, "x_test": x, "y_test": np.zeros(4, int)}
    np.savez(folder / "nan.npz", **flat)  # type: ignore[arg-type]
    np.savez(folder / "labels.npz", **(flat | {"x_test": np.ones((4, 9)), "y_test": np.full(4, 7)}))  # type: ignore[arg-type]
    (folder / "half.safetensors").write_bytes(good[: len(good) // 2])
    (folder / "bad.toml").write_text(CONFIG.replace("steps", "depth"))
    for name in ("mnist", "nan.npz", "labels.npz"):
        text = CONFIG.replace('"digits"', f'"{name}"')
        (folder / f"{name.removesuffix('.npz')}.toml").write_text(text)
    (folder / "good.toml").write_text(CONFIG)
    (folder / "float.toml").write_text(CONFIG.replace('"t"', '"float"'))
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    _fails(_run(*arguments, cwd=folder, env={"CHANDELIER_CACHE": str(folder / "cache")}), *parts)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("arguments", "said", "help_page"),
    [
        (("frobnicate",), "no such command 'frobnicate'", "chandelier --help"),
        (("trian", "t.toml"), "no such command 'trian'. Did you mean 'train'?", "chandelier --help"),
        (("--frob",), "no such option: --frob", "chandelier --help"),
        (("train", "--epoch", "3"), "no such option: --epoch", "chandelier train --help"),
        (("train",), "missing argument 'CONFIG.toml'", "chandelier train --help"),
        (("train", "a.toml", "b.toml"), "unexpected extra argument", "chandelier train --help"),
        (("train", "t.toml", "--seed", "abc"), "invalid value for '--seed'", "chandelier train --help"),
        (("train", "t.toml", "--seed"), "'--seed' requires an argument", "chandelier train --help"),
        (("cosim", "n.safetensors"), "missing option '--data'", "chandelier cosim --help"),
        (("cosim", "n", "--data", "d", "--stalls", "x"), "invalid value for '--stalls'", "chandelier cosim --help"),
        (("data", "frob"), "no such command 'frob'", "chandelier data --help"),
        (("data", "get"), "missing argument 'name'", "chandelier data get --help"),
        (("info", "a", "b\nc"), "unexpected extra argument", "chandelier info --help"),
    ],
)
@pytest.mark.parametrize("columns", ["40", "200"])
def test_a_wrong_usage_is_one_line_that_says_what_to_type(
    tmp_path: Path, arguments: tuple[str, ...], said: str, help_page: str, columns: str
) -> None:
    result = _run(*arguments, cwd=tmp_path, env={"COLUMNS": columns})
    _fails(result, said, f"(type: {help_page})")
    assert not result.stdout


@pytest.mark.parametrize("arguments", [(), ("data",)])
def test_without_a_verb_the_help_page_is_shown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = _run(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "")
    assert " ".join(["Usage: chandelier", *arguments]) in result.stdout


def test_a_full_disk_is_one_line_and_loses_nothing(project: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: writing past it fails like a full one."""
    network = project / "t.safetensors"
    before = network.read_bytes()
    script = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    script += "resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)); from sw.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for arguments in (("quantize", "runs/t", "-o", "t.safetensors"), ("export", "t.safetensors", "-f", "json")):
        command = [sys.executable, "-c", script, *arguments]
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
        _fails(result, "cannot write")
    assert network.read_bytes() == before
    assert {"t.toml", "runs", "t.safetensors"} <= {p.name for p in project.iterdir()} <= LEFT


@pytest.mark.parametrize("tool", ["perl", "c++"])
def test_a_missing_tool_is_one_line(project: Path, tmp_path: Path, tool: str) -> None:
    for other in ("perl", "make", "c++", "g++", "sh", "bash", "uname", "env"):
        path = shutil.which(other)
        if path and other != tool and not (tool == "c++" and other == "g++"):
            (tmp_path / other).symlink_to(path)
    environment = {"PATH": str(tmp_path), "CHANDELIER_CACHE": str(tmp_path / "cache")}
    _fails(
        _run("cosim", "t.safetensors", "--data", "digits", cwd=project, env=environment), f"{tool} is not on the PATH"
    )
    result = _run("doctor", cwd=project, env=environment)
    assert result.returncode == 1 and "apt-get install" in result.stdout


def _interrupted(arguments: tuple[str, ...], cwd: Path, after: float) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "sw.cli", *arguments],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Where the tests run in a shell's background, they and their children would ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.mark.parametrize("after", [1.0, 3.0])
@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "t.toml", "--seed", "9"),
        ("quantize", "runs/t", "-o", "new.safetensors"),
        ("export", "t.safetensors", "-f", "mem"),
        ("rtl", "t.safetensors", "-o", "build"),
        ("cosim", "t.safetensors", "--data", "digits", "--samples", "all", "--stalls", "0.5"),
        ("info", "t.safetensors"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_interrupt_leaves_nothing_half_written(
    project: Path, tmp_path: Path, arguments: tuple[str, ...], after: float
) -> None:
    for name in ("t.toml", "t.safetensors"):
        shutil.copy(project / name, tmp_path)
    shutil.copytree(project / "runs", tmp_path / "runs")
    (tmp_path / "t.toml").write_text(CONFIG.replace("epochs = 2", "epochs = 2000"))
    result = _interrupted(arguments, tmp_path, after)
    assert result.returncode in (0, 130, -signal.SIGINT), result.stderr
    if result.returncode == 130:
        assert "Traceback" not in result.stderr and "interrupted" in result.stderr
    leftovers = [p for p in tmp_path.rglob("*") if p.name.startswith(".")]
    assert not leftovers, leftovers


def test_the_reference_has_every_option(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for verb in (
        "train",
        "quantize",
        "export",
        "rtl",
        "cosim",
        "bitstream",
        "simulate-board",
        "run",
        "info",
        "demo",
        "doctor",
        "data get",
        "data import",
        "data list",
    ):
        assert f"chandelier {verb}" in page
        shown = _run(*verb.split(), "--help", cwd=tmp_path).stdout
        for option in set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help"}:
            assert f"`{option}`" in page, f"{verb} {option}"
