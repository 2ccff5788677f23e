"""Negative controls: planted faults are found where they are, and one that is not found fails the run."""

from pathlib import Path

import numpy as np
import pytest

from hw.folding import Foldings
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from sim.controls import Fault, WiredFault, faults, negative_controls
from sim.cosim import Golden
from sw.cosim import report_rows, require_caught
from tests.hw.test_network import random_foldings
from tests.random_networks import random_codes, random_map_network, random_network

KINDS = ["synapse", "bias (against the threshold)", "reciprocal"]
FIRST_SIGNALS = {KINDS[0]: {"i_ee"}, KINDS[1]: {"current"}, KINDS[2]: {"current"}}


def _golden(network: IntegerNetwork, codes: np.ndarray) -> Golden:
    model = GoldenModel(network)
    return lambda start, stop: model.run(codes[start:stop], SIGNALS).signals


def _planted(
    network: IntegerNetwork, seed: int, spatial: bool = False
) -> tuple[Foldings, np.ndarray, list[Fault | WiredFault]]:
    codes = random_codes(network, 20, seed)
    foldings: Foldings = "spatial" if spatial else random_foldings(network, seed)
    return foldings, codes, faults(network, foldings, codes, _golden(network, codes))


def _complete(maps: bool) -> tuple[int, IntegerNetwork]:
    """A seed and its network, for which there is a fault of each kind."""
    for seed in range(100):
        network = random_map_network(seed) if maps else random_network(seed, largest=24)
        if [fault.kind for fault in _planted(network, seed)[2]] == KINDS:
            return seed, network
    raise AssertionError("no such network")


@pytest.mark.parametrize("kind", ["dense", "maps", pytest.param("spatial", marks=pytest.mark.slow)])
def test_each_planted_fault_is_found_first_in_its_own_signal(tmp_path: Path, kind: str) -> None:
    seed, network = _complete(kind == "maps")
    foldings, codes, planted = _planted(network, seed, kind == "spatial")
    write_rtl(network, tmp_path / "rtl", foldings=foldings)
    before = {path.name: path.read_bytes() for path in (tmp_path / "rtl").iterdir()}
    controls = negative_controls(tmp_path / "rtl", codes, _golden(network, codes), planted)
    assert [control.fault for control in controls] == planted
    for control in controls:
        first = control.report.first
        assert control.caught and first is not None, f"seed {seed}: {control.fault} was not found"
        assert first.layer == control.fault.layer and first.signal in FIRST_SIGNALS[control.fault.kind], control
    require_caught(controls)
    assert {path.name: path.read_bytes() for path in (tmp_path / "rtl").iterdir()} == before


def test_a_fault_that_is_not_found_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, network = _complete(maps=False)
    foldings, codes, planted = _planted(network, seed)
    write_rtl(network, tmp_path / "rtl", foldings=foldings)
    monkeypatch.setattr(Fault, "plant", lambda *_: None)
    controls = negative_controls(tmp_path / "rtl", codes, _golden(network, codes), planted[:1])
    assert [control.caught for control in controls] == [False]
    with pytest.raises(ChandelierError, match=r"^a wrong synapse was planted .* found no difference"):
        require_caught(controls)
    assert "NOT FOUND" in str(report_rows(controls[0].report, controls)["planted: wrong synapse"])


def test_a_bit_is_turned_over_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "top.layer1.accumulator.row.weights.mem"
    path.write_text("00f\n0a0\n")
    Fault("synapse", "", 1, "accumulator.row.weights", 1, 4).plant(tmp_path, "top")
    assert path.read_text() == "00f\n0b0\n"
