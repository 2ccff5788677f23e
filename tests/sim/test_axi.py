"""The AXI shell as Verilog, driven by cocotbext-axi with random pauses, against the golden model; and faults in it."""

import json
import random
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from hw.axi_rtl import AXI, write_axi
from hw.protocol import pack_codes
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import save_network
from sim.bench import JOB_VARIABLE
from sim.verilator import Simulator, build
from tests.hw.test_network import random_foldings
from tests.random_networks import random_codes, random_map_network, random_network

BENCH = Path(__file__).with_name("axi_bench.sv")
#: Networks whose results differ from sample to sample: dense, with several events at once, of maps.
NETWORKS = {"dense": random_network(293, largest=16), "maps": random_map_network(5)}


def _packets(network: IntegerNetwork, good: np.ndarray, rng: random.Random) -> list[list[int]]:
    """Packets of all samples, and between them wrong ones: too short, or too long."""
    packets = []
    for words in pack_codes(good, network.input.bits, 4).view("<u4").tolist():
        while rng.random() < 0.2:
            length = rng.choice(
                [rng.randrange(1, max(2, len(words))), len(words) + rng.randrange(1, 2 * len(words) + 2)]
            )
            if length != len(words):
                packets.append([rng.getrandbits(32) for _ in range(length)])
        packets.append(words)
    return packets


def _run(folder: Path, network: IntegerNetwork, samples: int, seed: int, stall: float) -> tuple[dict[str, str], str]:
    """What failed in the simulation of the design in ``folder``, test by test, and the end of the log."""
    codes, rng = random_codes(network, samples, seed), random.Random(seed)
    trace = GoldenModel(network).run(codes)
    expected = [
        [int(c), *(int(v) % (1 << 32) for v in logits)] for c, logits in zip(trace.classes, trace.logits, strict=True)
    ]
    job = {
        "seed": seed,
        "stall": stall,
        "packets": _packets(network, codes, rng),
        "expected": expected,
        "codes": codes[:20].tolist(),
        "words": pack_codes(codes[:1], network.input.bits, 4).size // 4,
        "resets": max(4, samples // 10),
        "longest": 400,
    }
    run = folder / "run"
    run.mkdir()
    (run / "job.json").write_text(json.dumps(job))
    save_network(network, run / "network.safetensors")
    program = build([folder / "chandelier_top.v", folder / f"{AXI}.v"], BENCH.read_text(), optimise=samples > 100)
    program.run(Simulator(program.toolchain), folder, run, {JOB_VARIABLE: str(run)}, module="tests.sim.axi_bench")
    log = (run / "log").read_text(errors="replace")
    results = run / "results.xml"
    if not results.exists():
        return {"simulator": "died"}, log
    cases = ET.parse(results).iter("testcase")
    return {
        case.attrib["name"]: str(bad.attrib) for case in cases for bad in [*case.iter("failure"), *case.iter("error")]
    }, log


@pytest.mark.parametrize("kind", NETWORKS)
def test_results_are_those_of_the_network(kind: str, tmp_path: Path, axi_samples: int) -> None:
    network, seed = NETWORKS[kind], random.randrange(1 << 32)
    write_axi(network, tmp_path, foldings=random_foldings(network, 1))
    failed, log = _run(tmp_path, network, axi_samples, seed, 0.3)
    print(log)
    assert not failed, f"seed {seed}: {failed}; {log[-1000:]}"
