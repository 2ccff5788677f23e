"""The AXI shell as Verilog, driven by cocotbext-axi with random pauses, against the golden model; and faults in it.

``--axi-seed`` replays a run.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.axi_rtl import AXI, write_axi
from hw.protocol import pack_codes
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import save_network
from tests.hw.test_network import random_foldings
from tests.random_networks import other_numbers, random_codes, random_map_network, random_network
from tests.sim.benches import run_bench

HERE = Path(__file__).parent
#: Networks whose results differ from sample to sample, and a seed of foldings: the first takes three events at once.
NETWORKS = {
    "dense": (random_network(98, largest=40), 22),
    "maps": (random_map_network(10), 1),
    "loadable": (random_network(157, largest=9), 1),
}
#: Pauses in a cycle.
STALL = 0.3
#: What ``axi_broken.sv`` does wrong, and what has to be said about it.
FAULTS = {
    1: "m_axis: valid fell before the beat was taken",
    2: "m_axis: the payload changed before it was taken",
    3: "m_axis: valid is high in a reset",
    4: "outputs follow inputs within a cycle",
}


def _packets(network: IntegerNetwork, codes: np.ndarray, rng: random.Random) -> list[list[int]]:
    """Packets of all samples, and between them wrong ones: too short, or too long."""
    packets = []
    for words in pack_codes(codes, network.input.bits, 4).view("<u4").tolist():
        while rng.random() < 0.2:
            short, long = rng.randrange(1, max(2, len(words))), len(words) + rng.randrange(1, 2 * len(words) + 2)
            if (length := rng.choice([short, long])) != len(words):
                packets.append([rng.getrandbits(32) for _ in range(length)])
        packets.append(words)
    return packets


def _expected(network: IntegerNetwork, codes: np.ndarray) -> list[list[int]]:
    """Class and logits of each sample, as words."""
    trace = GoldenModel(network).run(codes)
    results = zip(trace.classes, trace.logits, strict=True)
    return [[int(predicted), *(int(v) % (1 << 32) for v in logits)] for predicted, logits in results]


def _simulate(
    folder: Path,
    sources: list[Path],
    network: IntegerNetwork,
    samples: int,
    seed: int,
    other: IntegerNetwork | None = None,
) -> str:
    """Runs the tests of ``axi_bench.py`` with a design; what it says if one fails, or nothing.

    With ``other``, a network that is loaded, weights have to be loadable.
    """
    codes, rng = random_codes(network, samples, seed), random.Random(seed)
    job: dict[str, Any] = {
        "seed": seed,
        "stall": STALL,
        "packets": _packets(network, codes, rng),
        "expected": _expected(network, codes),
        "codes": codes[:20].tolist(),
        "words": pack_codes(codes[:1], network.input.bits, 4).size // 4,
        "resets": max(4, samples // 10),
        "longest": 400,
    }
    run = folder / "run"
    run.mkdir()
    save_network(network, run / "network.safetensors")
    if other is not None:
        job["of_other"] = _expected(other, codes[:20])
        save_network(other, run / "other.safetensors")
    (run / "job.json").write_text(json.dumps(job))
    bench = ("`define LOADABLE\n" if other else "") + (HERE / "axi_bench.sv").read_text()
    return run_bench(sources, bench, folder, run, module="tests.sim.axi_bench", tests=4)


@pytest.mark.parametrize(
    "kind", ["dense", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("maps", "loadable"))]
)
def test_results_are_those_of_the_network(kind: str, tmp_path: Path, axi_samples: int, axi_seed: int) -> None:
    network, folding = NETWORKS[kind]
    other = other_numbers(network, 1, smaller=False) if kind == "loadable" else None
    write_axi(network, tmp_path, foldings=random_foldings(network, folding), loadable=other is not None)
    sources = [tmp_path / "chandelier_top.v", tmp_path / f"{AXI}.v"]
    said = _simulate(tmp_path, sources, network, axi_samples, axi_seed, other)
    print(f"{kind}: {axi_samples} samples, --axi-seed {axi_seed}")
    assert not said, f"--axi-seed {axi_seed}: {said}"


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found(fault: int, tmp_path: Path) -> None:
    (tmp_path / "fault.mem").write_text(f"{fault}\n")
    said = _simulate(tmp_path, [HERE / "axi_broken.sv"], NETWORKS["dense"][0], 10, 1)
    assert FAULTS[fault] in said, said


def test_a_wrong_weight_is_found(tmp_path: Path) -> None:
    network, folding = NETWORKS["maps"]
    write_axi(network, tmp_path, foldings=random_foldings(network, folding))
    last = tmp_path / f"chandelier_top.layer{len(network.layers) - 1}.accumulator.row.weights.mem"
    last.write_text("".join(f"{int(word, 16) ^ 1:0{len(word)}x}\n" for word in last.read_text().split()))
    said = _simulate(tmp_path, [tmp_path / "chandelier_top.v", tmp_path / f"{AXI}.v"], network, 30, 1)
    assert "seed 1, sample " in said and ": expected [" in said, said
