"""The ready views of a waveform: all that they name is there, and says what the golden model says."""

import re
from pathlib import Path

import numpy as np
import pytest
import pywellen

from hw.folding import Folding
from hw.rtl import write_rtl
from quant.formats import Format
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from sim.cosim import cosimulate
from sim.waves import SHOWN
from tests.random_networks import random_codes, random_network, random_row_network
from tests.sim import toy

#: A time at which everything is over.
_END = 10**9
#: Seed of a network whose first two layers work in row-major order, of 32 neurons and less.
ROWS = 12


class _Waves:
    """The signals of a waveform by their names."""

    def __init__(self, path: Path) -> None:
        self._signals = {var.full_name: var.signal for var in pywellen.Waveform(str(path)).all_vars()}

    def __contains__(self, name: str) -> bool:
        return name in self._signals

    def last(self, name: str) -> float:
        """The value at the end, read as a signed number."""
        return self._number(self._signals[name].value_at(_END))

    def rising(self, name: str, valid: str, ready: str, cycles: int) -> list[float]:
        """What a signal is in each cycle in which a beat passes. The clock rises at every other time step."""
        ends = [self._signals[end] for end in (valid, ready)]
        times = [2 * cycle - 1 for cycle in range(1, cycles)]
        passing = [time for time in times if all(end.value_at(time) for end in ends)]
        return [self._number(self._signals[name].value_at(time)) for time in passing]

    @staticmethod
    def _number(value: float | int) -> float:
        return value - (1 << 32) if isinstance(value, int) and value >> 31 else value


def _named(waves: Path) -> list[set[str]]:
    """What the two views show."""
    gtkwave, surfer = (waves.with_suffix(suffix).read_text() for suffix in (".gtkw", ".sucl"))
    return [
        set(re.findall(r"^(bench\.\S+)$", gtkwave, re.MULTILINE)),
        set(re.findall(r"^variable_add (bench\.\S+)$", surfer, re.MULTILINE)),
    ]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[IntegerNetwork, np.ndarray, Path]:
    """A network whose first layer takes two events at once, samples of it, and their waves."""
    network, folder = random_network(6, largest=12), tmp_path_factory.mktemp("waves")
    first, last = network.layers
    foldings = [Folding(2 * (first.n_e + first.n_i), 1, 3), Folding(4, 1, 2)]
    write_rtl(network, folder / "rtl", foldings=foldings)
    rng, model, waves = np.random.default_rng(3), GoldenModel(network), folder / "first.fst"
    shape = (3, network.steps, network.input.features)
    codes = (rng.integers(0, network.input.format.max + 1, shape) * (rng.random(shape) < 0.7)).astype(np.uint8)
    assert first.neurons is not None and last.n_e > 1
    formats = {(0, signal): first.neurons.membrane for signal in ("current", "v")}
    report = cosimulate(
        folder / "rtl",
        codes,
        lambda start, stop: model.run(codes[start:stop], SIGNALS).signals,
        formats=formats,
        waves=waves,
        optimise=False,
    )
    assert report.passed, report
    return network, codes, waves


def test_every_signal_of_the_views_is_in_the_waveform(simulated: tuple[IntegerNetwork, np.ndarray, Path]) -> None:
    network, _, path = simulated
    waves, (gtkwave, surfer) = _Waves(path), _named(path)
    assert gtkwave == surfer
    assert not {name for name in gtkwave if name not in waves}
    stages = {name.removeprefix("bench.view0.").rpartition(".")[0] for name in gtkwave}
    layer = {f"layer0.{stage}" for stage in ("accumulator", "population", "divisive", "lif", "events")}
    assert {"inputs", "result", "layer1.accumulator", "layer1.population", *layer} <= stages
    assert sum("layer0.lif.v_" in name for name in gtkwave) == network.layers[0].n_e < SHOWN
    text = path.with_suffix(".gtkw").read_text()
    assert (
        text.count("@c00200\n")
        == text.count("@1401200\n")
        == path.with_suffix(".sucl").read_text().count("divider_add")
    )
    assert f'[dumpfile] "{path}"' in text


def test_the_views_say_what_the_golden_model_says(simulated: tuple[IntegerNetwork, np.ndarray, Path]) -> None:
    network, codes, path = simulated
    waves, signals = _Waves(path), GoldenModel(network).run(codes, SIGNALS).signals
    neurons = network.layers[0].neurons
    assert neurons is not None
    for signal, step in (("v", neurons.membrane.step), ("current", neurons.membrane.step), ("spike", 1), ("bal", 1)):
        stage = {"v": "lif", "spike": "lif", "current": "divisive", "bal": "population"}[signal]
        shown = [waves.last(f"bench.view0.layer0.{stage}.{signal}_{k}") for k in range(network.layers[0].n_e)]
        assert shown == [step * code for code in signals[0, signal][-1, -1].tolist()], signal
    logits = [waves.last(f"bench.view0.result.logits_{k}") for k in range(network.classes)]
    assert logits == signals[len(network.layers) - 1, "logits"][-1].ravel().tolist()


def test_the_indices_of_events_are_those_of_inputs(simulated: tuple[IntegerNetwork, np.ndarray, Path]) -> None:
    network, codes, path = simulated
    waves, view = _Waves(path), "bench.view0.inputs"
    events = []
    for lane in range(2):
        values = (
            waves.rising(f"{view}.{name}_{lane}", f"{view}.valid", f"{view}.ready", 1500) for name in ("index", "value")
        )
        events += [(int(index), int(value)) for index, value in zip(*values, strict=True) if index >= 0]
    steps = codes.reshape(-1, network.input.features)
    sent = [(index, int(step[index])) for step in steps for index in np.flatnonzero(step).tolist()]
    assert sorted(events) == sorted(sent) and sent


def test_values_and_events_in_row_major_order(tmp_path: Path) -> None:
    network = random_row_network(ROWS)
    (height, width, channels), steps = network.maps[0][1], network.steps
    codes, model, waves = random_codes(network, 2, 1), GoldenModel(network), tmp_path / "rows.fst"
    signals = model.run(codes, SIGNALS).signals
    write_rtl(network, tmp_path / "rtl")
    report = cosimulate(tmp_path / "rtl", codes, lambda start, stop: signals, waves=waves, optimise=False)
    assert report.passed, report
    shown, view = _Waves(waves), "bench.view0.layer0"
    last = [shown.last(f"{view}.lif.v_{k}") for k in range(height * width * channels)]
    assert last == signals[0, "v"][-1, -1].tolist()
    for layer, lanes in ((0, 1), (1, 6)):  # the second layer sends all of a beat at once
        view = f"bench.view0.layer{layer}.events"
        passing = f"{view}.valid", f"{view}.ready"
        step = shown.rising(f"{view}.step", *passing, 3000)
        events = [
            (int(t), int(n))
            for k in range(lanes)
            for t, n in zip(step, shown.rising(f"{view}.index_{k}", *passing, 3000), strict=True)
            if n >= 0
        ]
        spikes = np.argwhere(signals[layer, "spike"]).tolist()
        assert steps > 1 and sorted(events) == sorted((t, n) for _, t, n in spikes) and spikes, f"layer {layer}"


def test_a_design_that_says_nothing_of_events_between_layers(tmp_path: Path) -> None:
    folder, codes, waves = toy.write_toy(tmp_path / "toy"), toy.random_codes(3, seed=1), tmp_path / "toy.fst"
    golden = toy.golden(codes)
    formats = {(0, "sum"): Format(8, 3)}
    assert cosimulate(folder, codes, lambda start, stop: golden, formats=formats, waves=waves).passed
    gtkwave, surfer = _named(waves)
    assert gtkwave == surfer and not {name for name in gtkwave if name not in _Waves(waves)}
    assert _Waves(waves).last("bench.view0.layer0.adder.sum_0") == golden[0, "sum"][-1, 0, 0] / 8
