"""The estimated area against what syntheses of yosys and nextpnr's packer gave."""

from pathlib import Path

import pytest

from hw.area import ERRORS, Area, estimate
from hw.folding import Folding, default_foldings
from quant.errors import ChandelierError
from tests.random_networks import random_map_network, random_network

ROOT = Path(__file__).parents[2]


def test_what_the_model_does_not_know_is_said() -> None:
    with pytest.raises(ChandelierError, match="fully spatial"):
        estimate(random_network(1), "spatial")
    with pytest.raises(ChandelierError, match=r"layer \d+ of maps0 has a map"):
        estimate(random_map_network(0), default_foldings(random_map_network(0)))
    with pytest.raises(ChandelierError, match="synapse_lanes of layer 0 must be"):
        estimate(random_network(1), [Folding(10**6, 1, 1)] * len(random_network(1).layers))


@pytest.mark.parametrize("seed", range(40))
def test_every_network_without_maps_has_an_area(seed: int) -> None:
    network = random_network(seed)
    area = estimate(network, default_foldings(network))
    assert isinstance(area, Area) and area.luts > 0 and area.ffs > 0 and area.brams >= 0 and area.dsps >= 0


def test_the_errors_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "synthesis.md").read_text(encoding="utf-8")
    for kind, (mean, largest) in zip(("LUT", "FF", "BRAM", "DSP"), ERRORS.values(), strict=True):
        assert f"\n| {kind} | {100 * mean:.1f} | {100 * largest:.1f} |" in page
