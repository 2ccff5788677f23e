"""Random networks after synthesis: their netlists, simulated cell by cell, give the golden model's results."""

from pathlib import Path

import pytest

from hw.rtl import write_rtl
from hw.tools import find_tool
from quant.golden import GoldenModel
from sim.cosim import Subject, cosimulate_many
from sim.formal.netlist import write_netlist
from tests.random_networks import random_codes, random_network
from tests.sim.random_designs import design_foldings

SAMPLES = 12
#: The largest population: a netlist has a line for each look-up table.
LARGEST = 8


def _netlist(seed: int, folder: Path) -> Subject:
    network = random_network(seed, largest=LARGEST, depth=2)
    rtl = folder / f"rtl{seed}"
    write_rtl(network, rtl, foldings=design_foldings(network, seed), name=network.name)
    write_netlist(rtl, folder / str(seed), find_tool("yosys"))
    model = GoldenModel(network)
    codes = random_codes(network, SAMPLES, seed)
    return Subject(
        folder / str(seed), codes, lambda start, stop: model.run(codes[start:stop], ["logits", "class"]).signals
    )


@pytest.mark.slow
def test_netlists_of_random_networks(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    subjects = [_netlist(seed, tmp_path) for seed in range(request.config.getoption("--netlists"))]
    reports = cosimulate_many(subjects, stall_probability=0.3, seed=1, optimise=False)
    for seed, report in enumerate(reports):
        print(f"netlist of random{seed}: {sum(report.compared.values())} values, {report.mismatches} mismatches")
        assert report.passed, f"seed {seed}: {report}"
        assert {name for _, name in report.compared} == {"logits", "class"}
