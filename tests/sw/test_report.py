"""The page that ``chandelier report`` writes: what is there, what is missing and how to get it, and nothing else."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.area import estimate
from hw.folding import Folding, default_foldings
from hw.rtl import write_rtl
from hw.synthesis import SynthesisReport, Usage
from quant.errors import ChandelierError
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import save_network
from sim.report import CosimReport, Difference
from sw.cosim import CosimRecord, record_path
from sw.report import write_report
from sw.report.charts import lines, standalone
from sw.report.signals import layer_signals
from sw.synth import REPORT_FILE, write_json
from tests.random_networks import random_map_network, random_network
from tests.reference import reference

SECTIONS = ["training", "accuracy", "layers", "sample", "hardware", "cosim"]


class _Page(HTMLParser):
    """Tags, their attributes, and the text between them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text: str) -> None:
        self.text += text

    def attributes(self, name: str) -> list[str]:
        """The values of all attributes of that name."""
        return [str(found[name]) for _, found in self.tags if name in found]


def _data(path: Path, network: IntegerNetwork, samples: int = 12) -> str:
    """A data set for the network, as a file."""
    time = () if network.input.kind == "static" else (network.steps,)
    x = np.random.default_rng(0).random((samples, *time, network.input.features)).astype(np.float32)
    y = np.arange(samples) % network.classes
    y[-1] = network.classes - 1
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return str(path)


def _check(path: Path, most: int) -> _Page:
    """What is true of every page: complete, closed, one file, small, each name there once."""
    page = _Page(path)
    assert not page.open and path.stat().st_size < most
    assert "script" not in {tag for tag, _ in page.tags}
    places = [place for name in ("href", "src", "xlink:href") for place in page.attributes(name)]
    assert all(place.startswith(("#", "data:")) for place in places)
    names = page.attributes("id")
    assert len(names) == len(set(names))
    used = set(re.findall(r"url\(#([^)]+)\)", path.read_text()))
    assert used <= set(names)
    return page


@pytest.mark.parametrize("maps", [False, True])
def test_a_network_with_data_shows_everything_that_needs_no_other_verb(maps: bool, tmp_path: Path) -> None:
    network = random_map_network(3) if maps else random_network(4, largest=12)
    path = tmp_path / "n.safetensors"
    save_network(network, path)
    data = _data(tmp_path / "d.npz", network)
    write_rtl(network, tmp_path / "rtl")
    pages = []
    for name in ("a.html", "b.html"):
        missing = write_report(path, tmp_path / name, data=data, samples="all", sample=2, rtl=tmp_path / "rtl")
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    page = _check(tmp_path / "a.html", 1 << 20)
    assert [name for name in page.attributes("id") if name in SECTIONS] == SECTIONS
    codes, labels = network.input.encode(np.load(data)["x_test"]), np.load(data)["y_test"]
    accuracy = (GoldenModel(network).classify(codes) == labels).mean()
    assert f"{100 * accuracy:.2f} %" in page.text and "Test sample 2: label" in page.text
    assert [part.command for part in missing] == [
        "chandelier train CONFIG.toml",
        f"chandelier report {path} --data {data} --simulate",
        f"chandelier synth {path} --device ecp5-85f --data {data}",
        f"chandelier cosim {path} --samples all --data {data}",
    ]
    assert all(part.command in page.text for part in missing)


def test_a_network_alone_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_network(random_network(4, largest=8), Path("n.safetensors"))
    missing = write_report(Path("n.safetensors"), Path("r.html"))
    assert "chandelier report n.safetensors --data SET" in [part.command for part in missing]
    assert "weights at their codes" in _check(Path("r.html"), 1 << 18).text


def test_a_run_that_is_not_quantised_says_what_to_type(tmp_path: Path) -> None:
    run = tmp_path / "t"
    run.mkdir()
    config = {"name": "t", "data": {"name": "digits"}, "network": {"hidden": [8]}}
    (run / "config.json").write_text(json.dumps(config))
    figures = {"loss": 0.5, "train_accuracy": 0.8, "learning_rate": 0.1, "test_accuracy": 0.75, "seconds": 1.5}
    epochs = [{"phase": phase, "epoch": 0} | figures for phase in ("float", "quantised")]
    (run / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    (missing,) = write_report(run, tmp_path / "r.html")
    assert missing.command == f"chandelier quantize {run}"
    page = _check(tmp_path / "r.html", 1 << 17)
    assert "2 epochs in 3 s" in page.text and "quantised from here on" in page.text
    (run / "metrics.jsonl").write_text(json.dumps(epochs[0] | {"loss": "low"}) + "\n")
    with pytest.raises(ChandelierError, match=r"metrics\.jsonl is damaged in line 1"):
        write_report(run, tmp_path / "r.html")


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    network = random_network(4, largest=8)
    path = tmp_path / "<i>&'$(x)$.safetensors"
    save_network(network, path)
    data = _data(tmp_path / "<script>alert(1).npz", network)
    missing = write_report(path, tmp_path / "r.html", data=data)
    page = _check(tmp_path / "r.html", 1 << 19)
    assert "i" not in {tag for tag, _ in page.tags}
    assert "<i>&" in page.text and any("'\"'\"'" in part.command for part in missing)  # quoted for the shell


def test_a_co_simulation_is_shown_with_its_first_difference(tmp_path: Path) -> None:
    network = random_network(4, largest=8)
    path, data = tmp_path / "n.safetensors", _data(tmp_path / "d.npz", network)
    save_network(network, path)
    first = Difference(sample=5, step=1, layer=0, neuron=1, signal="v", expected=3, got=4)
    report = CosimReport("top", 12, {(0, "v"): 480}, 1, first, (), {}, None, None, 1000, 2.0, 0.0, True)
    record = CosimRecord.of(network, data, report, [], foldings=default_foldings(network), stalls=0.25, seed=7)
    record.write_json(record_path(path))
    assert CosimRecord.read(record_path(path)) == record and not record.passed
    write_report(path, tmp_path / "r.html", data=data)
    page = _check(tmp_path / "r.html", 1 << 19)
    for part in ("1 mismatches", str(first), "0.25 a cycle, seed 7", "Test sample 5: label"):
        assert part in page.text
    save_network(replace(network, logit_scale=2 * network.logit_scale), path)
    missing = write_report(path, tmp_path / "r.html", data=data)
    assert f"Not used: {record_path(path)} is of an earlier network." in _check(tmp_path / "r.html", 1 << 19).text
    assert any("cosim" in part.command for part in missing)
    record_path(path).write_text("{}")
    with pytest.raises(ChandelierError, match=r"n\.cosim\.json: network_sha256: Field required; co-simulate again"):
        write_report(path, tmp_path / "r.html", data=data)


def test_area_is_estimated_until_it_is_measured(tmp_path: Path) -> None:
    network = random_network(4, largest=8)
    path, lanes = tmp_path / "n.safetensors", [Folding(1, 1, 1)] * len(network.layers)
    save_network(network, path)

    def text(rtl: Path | None = None, synthesis: Path | None = None) -> str:
        write_report(path, tmp_path / "r.html", rtl=rtl, synthesis=synthesis)
        return _check(tmp_path / "r.html", 1 << 18).text

    area, single = estimate(network, default_foldings(network)), estimate(network, lanes)
    assert area.luts != single.luts
    shown = text()
    assert "Area, estimated" in shown and f"LUT{area.luts:,}5.6 %, 23.5 %\nFF{area.ffs:,}1.9 %" in shown
    write_rtl(network, tmp_path / "rtl", foldings=lanes)
    assert f"LUT{single.luts:,}5.6 %" in text(rtl=tmp_path / "rtl")
    record = SynthesisReport(
        network.name, "ecp5-25f", "LFE5U-25F", lanes, ["yosys"], {"LUT": Usage(1234, 24288)}, 9, stages={}
    )
    write_json(record, None, tmp_path / "rtl" / REPORT_FILE)
    measured = text(synthesis=tmp_path / "rtl")
    assert "Area, estimated" not in measured and "1,234 of 24,288" in measured
    write_rtl(network, tmp_path / "loadable", loadable=True)
    assert "Area, estimated" not in text(rtl=tmp_path / "loadable")
    save_network(random_map_network(3), path)
    assert "Area, estimated" not in text()


def test_a_design_of_another_network_is_not_taken_for_this_one(tmp_path: Path) -> None:
    network = random_network(4, largest=8)
    save_network(network, tmp_path / "n.safetensors")
    write_rtl(random_network(5, largest=8), tmp_path / "rtl")
    missing = write_report(tmp_path / "n.safetensors", tmp_path / "r.html", rtl=tmp_path / "rtl")
    assert "rtl holds the design of another network" in _check(tmp_path / "r.html", 1 << 18).text
    assert any(part.what.startswith("a generated design") for part in missing)


@pytest.mark.parametrize("seed", range(6))
def test_signals_are_those_of_the_naive_reference(seed: int) -> None:
    network = random_network(seed, largest=6) if seed < 4 else random_map_network(seed)
    rng, time = np.random.default_rng(seed), () if network.input.kind == "static" else (network.steps,)
    codes = rng.integers(0, network.input.format.max + 1, (3, *time, network.input.features)).astype(np.uint8)
    expected = [reference(network, sample.tolist()) for sample in codes]
    for i, own in enumerate(layer_signals(network, codes)):
        signals: dict[str, Any] = {
            name: np.array([sample[i, name] for sample in expected])
            for name in ("i_ee", "bal", "d", "divisor", "current", "u", "spike")
            if (i, name) in expected[0]
        }
        n_e, a = own.layer.n_e, own.layer.a
        inhibition = (a * signals["i_ee"] - signals["bal"]).reshape(-1, n_e).mean(0) / a
        assert own.samples == 3
        assert own.excitation == pytest.approx(signals["i_ee"].reshape(-1, n_e).mean(0))
        assert own.inhibition == pytest.approx(inhibition)
        neurons = own.layer.neurons
        if neurons is None:
            continue
        assert own.rates == pytest.approx(signals["spike"].mean((0, 1)))
        assert own.potentials.sum() == own.updates == signals["u"].size and own.currents == signals["current"].size
        membrane = neurons.membrane
        left = {"subtract": signals["u"] - neurons.theta * signals["spike"], "delayed": signals["u"]}
        left["zero"] = signals["u"] * (1 - signals["spike"])
        potentials = left[neurons.reset]
        assert own.saturated_potentials == ((potentials < membrane.min) | (potentials > membrane.max)).sum()
        # What saturates is at an end of the format, where little else is.
        ends = int(((signals["current"] == membrane.min) | (signals["current"] == membrane.max)).sum())
        assert own.saturated_currents <= ends and (own.saturated_currents > 0) == (ends > 0)
        if own.layer.n_i:
            assert own.raised == (signals["d"] != signals["divisor"]).sum()
            assert own.denominators.sum() == signals["d"].size and own.denominators[0] == (signals["d"] == 0).sum()


def test_a_chart_as_a_file_has_colours_of_its_own() -> None:
    svg = standalone(lines("title", "x", {"a": [(0, 1), (1, 2)], "b": [(0, 2), (1, 1)]}))
    assert svg.startswith("<?xml") and "var(" not in svg and "currentColor" not in svg and "#1f6fb5" in svg
