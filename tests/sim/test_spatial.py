"""Fully spatial designs in simulation: their cycles are those of the manifest, and what cannot be one is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from hw.manifest import Manifest
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.golden import SIGNALS, GoldenModel
from quant.network import Input
from sim.cosim import cosimulate
from tests.random_networks import random_codes, random_map_network, random_network


@pytest.mark.parametrize("kind", ["static", "sequence"])
def test_cycles_are_those_of_the_manifest(kind: str, tmp_path: Path) -> None:
    network = random_network(7, largest=12)
    network = replace(
        network,
        steps=3,
        input=Input(network.input.features, network.input.bits, kind),  # type: ignore[arg-type]
    )
    codes = random_codes(network, 20, 7)
    write_rtl(network, tmp_path / "rtl", foldings="spatial")
    model = GoldenModel(network)
    report = cosimulate(tmp_path / "rtl", codes, lambda start, stop: model.run(codes[start:stop], SIGNALS).signals)
    timing = Manifest.read(tmp_path / "rtl").timing
    assert report.passed and timing is not None and report.interval is not None and report.latency is not None
    assert timing.interval == network.steps
    assert report.interval.min == report.interval.max == timing.interval, report
    assert report.latency.min == report.latency.max == timing.latency, report


def test_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match=r"layers\.0 of .* is no fully connected one"):
        write_rtl(random_map_network(3), tmp_path / "rtl", foldings="spatial")
    assert not (tmp_path / "rtl").exists()
