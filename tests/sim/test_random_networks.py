"""Co-simulation of random networks, with random stalls, against the golden model; and of networks with a wrong bit."""

from pathlib import Path

import numpy as np
import pytest

from hw.folding import Folding, Foldings
from hw.global_inhibition import is_global
from hw.rtl import write_rtl
from quant.golden import SIGNALS, GoldenModel
from quant.maps import Window
from quant.network import IntegerNetwork
from sim.cosim import Subject, cosimulate, cosimulate_many
from sim.runs import Stall
from tests.random_networks import random_codes, random_map_network, random_network
from tests.sim.lively_cycles import CYCLES
from tests.sim.random_designs import (
    KINDS,
    LIVELY,
    SAMPLES,
    TRIALS,
    Choice,
    cycles_of,
    design_network,
    lively_design,
    lively_subject,
    random_stall,
    random_subject,
)

#: Seed of three layers, the second without inhibition, the third with global inhibition.
VICTIM = 206
#: Seed whose first layer has a window of 1x2 on a pooled map of 1x7x2: where all inputs are lit, every weight
#: matters.
WINDOW_VICTIM = 205


def _subject(network: IntegerNetwork, codes: np.ndarray, foldings: Foldings, folder: Path) -> Subject:
    write_rtl(network, folder, foldings=foldings, name=network.name)
    model = GoldenModel(network)
    return Subject(folder, codes, lambda start, stop: model.run(codes[start:stop], SIGNALS).signals)


@pytest.mark.parametrize("kind", KINDS)
def test_random_networks(seeds: range, kind: str, tmp_path: Path) -> None:
    subjects = [random_subject(seed, kind, tmp_path) for seed in seeds]
    stall = random_stall(seeds)
    reports = cosimulate_many(subjects, stall_probability=stall, seed=seeds.start, optimise=False)
    for seed, report in zip(seeds, reports, strict=True):
        assert report.passed, f"seed {seed}: {report}"
        assert _compared(design_network(seed, kind)) <= report.compared.keys(), (
            f"seed {seed}: not everything was compared"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("choose", "samples", "stall"), TRIALS)
def test_lively_networks(choose: Choice, samples: int, stall: Stall, tmp_path: Path) -> None:
    subjects = []
    for name in LIVELY:
        network, foldings = lively_design(name)
        write_rtl(network, tmp_path / name, foldings=foldings, name=name)
        subjects.append(lively_subject(network, tmp_path / name, samples, 1, choose))
    reports = dict(zip(LIVELY, cosimulate_many(subjects, stall_probability=stall, optimise=False), strict=True))
    for name, report in reports.items():
        assert report.passed, f"{name}: {report}"
    # Pauses are those of a seed. Where they should come to other cycles, this is what to write down.
    assert {name: cycles_of(report) for name, report in reports.items()} == CYCLES[samples, stall]


def _compared(network: IntegerNetwork) -> set[tuple[int, str]]:
    """What there is to be compared at least."""
    names = set()
    for i, layer in enumerate(network.layers):
        own = ["i_ee", "bal", *(("current", "v", "spike") if layer.neurons else ("logits", "class"))]
        own += ["i_ie", *(["d" if is_global(layer) else "divisor"] if layer.neurons else [])] if layer.n_i else []
        names |= {(i, name) for name in own}
    return names


def _memory_path(folder: Path, network: IntegerNetwork, layer: int, stage: str, memory: str) -> Path:
    return folder / f"{network.name}.layer{layer}.{stage}.{memory}.mem"


def _flip(path: Path, word: int, bit: int) -> None:
    lines = path.read_text().split()
    lines[word] = f"{int(lines[word], 16) ^ (1 << bit):0{len(lines[word])}x}"
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    network = random_network(VICTIM, largest=24)
    codes = random_codes(network, SAMPLES, VICTIM)
    return _subject(network, codes, [Folding(1, 1, 1)] * len(network.layers), tmp_path_factory.mktemp("victim"))


def _sensitive(network: IntegerNetwork, codes: np.ndarray, layer: int, memory: str) -> np.ndarray:
    """Words of a memory (one weight each) whose value some sample depends on: their input is not always zero."""
    signals = GoldenModel(network).run(codes, ["spike", "i_ie"]).signals
    shape = network.layers[layer]
    if memory == "w_ei":
        active = signals[layer, "i_ie"].reshape(-1, shape.n_i).any(0)
        return np.flatnonzero(np.broadcast_to(active, (1 if is_global(shape) else shape.n_e, shape.n_i)))
    x = codes if layer == 0 else signals[layer - 1, "spike"]
    active = x.reshape(-1, shape.d).any(0)
    return np.flatnonzero(np.repeat(active, shape.n_e + shape.n_i))


@pytest.mark.parametrize(
    ("layer", "stage", "memory"),
    [*((k, "accumulator.row", "weights") for k in range(3)), *((k, "population", "w_ei") for k in (0, 2))],
)
@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_weight_bit_is_found_in_its_layer(
    victim: Subject, tmp_path: Path, layer: int, stage: str, memory: str, seed: int
) -> None:
    network, rng = random_network(VICTIM, largest=24), np.random.default_rng(seed)
    for path in victim.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    words = _sensitive(network, victim.codes, layer, memory)
    bits = network.layers[layer].inhibition_bits if memory == "w_ei" else network.layers[layer].synapse_bits
    word, bit = int(rng.choice(words)), int(rng.integers(bits))
    _flip(_memory_path(tmp_path, network, layer, stage, memory), word, bit)
    report = cosimulate(tmp_path, victim.codes, victim.golden)
    assert report.first is not None, f"bit {bit} of word {word} of {memory} in layer {layer} went unnoticed"
    assert report.first.layer == layer, report
    assert report.first.signal in (("bal", "d") if memory == "w_ei" else ("i_ee", "i_ie")), report


@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_weight_bit_of_a_window_is_found(tmp_path: Path, seed: int) -> None:
    network, rng = random_map_network(WINDOW_VICTIM), np.random.default_rng(seed)
    first = network.layers[0]
    assert first.wiring.window == Window((1, 2)) and network.maps[0][0] == (1, 7, 2)
    codes = rng.integers(1, network.input.format.max + 1, (SAMPLES, network.input.features)).astype(np.uint8)
    subject = _subject(network, codes, [Folding(1, 1, 1)] * len(network.layers), tmp_path)
    assert cosimulate(tmp_path, codes, subject.golden).passed
    word = int(rng.integers(first.d * (first.n_e + first.n_i)))
    # The lowest bit: higher ones may be beyond the width that the right weights need.
    _flip(_memory_path(tmp_path, network, 0, "accumulator.row", "weights"), word, 0)
    report = cosimulate(tmp_path, codes, subject.golden)
    assert report.first is not None, f"the lowest bit of word {word} went unnoticed"
    assert report.first.layer == 0 and report.first.signal in ("i_ee", "i_ie"), report
