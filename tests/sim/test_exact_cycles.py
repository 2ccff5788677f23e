"""The exact cycle model against the simulated Verilog: the cycles of random networks in random foldings are equal."""

import os
from pathlib import Path

import pytest

from hw.exact_cycles import Cycles, simulate_cycles
from hw.manifest import Manifest
from hw.rtl import write_rtl
from quant.golden import GoldenModel
from sim.harness import bench_verilog
from sim.runs import Recording, Stimulus, record
from sim.verilator import build
from tests.random_networks import random_codes
from tests.sim.random_designs import SAMPLES, design_foldings, design_network


def _record(stimuli: list[Stimulus]) -> list[Recording]:
    """Simulates the designs side by side, without pauses."""
    verilog = [s.folder / file for s in stimuli for file in s.manifest.files if file.endswith(".v")]
    program = build(verilog, bench_verilog([s.manifest for s in stimuli]), optimise=False)
    options = {"stall_probability": 0.0, "seed": 0, "waves": None, "jobs": os.cpu_count() or 1}
    (recordings,) = record(program, stimuli, **options)  # type: ignore[arg-type]
    return recordings


@pytest.mark.parametrize("kind", ["dense", "maps"])
def test_random_networks(kind: str, seeds: range, tmp_path: Path) -> None:
    seeds = seeds if kind == "dense" else seeds[::2]  # which take longer to build; every other one in row-major order
    stimuli, models = list[Stimulus](), list[Cycles]()
    for seed in seeds:
        own = "rows" if kind == "maps" and seed % 4 == 2 else kind
        network, folder = design_network(seed, own), tmp_path / str(seed)
        foldings, codes = design_foldings(network, seed), random_codes(network, SAMPLES, seed)
        write_rtl(network, folder, foldings=foldings, name=network.name)
        stimuli.append(Stimulus(folder, Manifest.read(folder), codes))
        golden = GoldenModel(network)
        models.append(simulate_cycles(network, foldings, golden.events(codes), golden.zeros(codes)))
    for seed, recording, model in zip(seeds, _record(stimuli), models, strict=True):
        assert len(recording.finished) == SAMPLES, f"seed {seed}: {len(recording.finished)} results"
        zero = recording.started[0]  # the reset is before it
        for sample in range(SAMPLES):
            got = recording.started[sample] - zero, recording.finished[sample] - zero
            said = model.started[sample], model.finished[sample]
            assert got == said, f"seed {seed}, sample {sample}: input and result in {got}, and the model says {said}"
