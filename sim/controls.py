"""Negative controls: one wrong bit in a copy of a design's memories, which its co-simulation has to find.

That nothing differed means something only if a difference would have been seen. Each fault is one that matters: the
golden model's own signals say where.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.folding import Folding
from hw.geometry import walk_of
from quant.network import IntegerNetwork, Neurons
from sim.cosim import Golden, cosimulate
from sim.report import CosimReport

__all__ = ["Control", "Fault", "faults", "negative_controls"]

#: Samples that a control takes: the first ones.
SAMPLES = 16
#: Steps of a current that a wrong reciprocal has to move: less could be lost in rounding.
LEAST_CURRENT = 4
#: A layer's signal among the golden model's: (samples, steps or 1, values).
_Signal = Callable[[int, str], np.ndarray]


@dataclass(frozen=True)
class Fault:
    """A bit of a memory file that is turned over.

    Parameters
    ----------
    kind : str
        Of what is wrong.
    place : str
        Where that is, for people.
    layer : int
    memory : str
        Instance and memory below the layer, as in the file's name.
    word, bit : int
    """

    kind: str
    place: str
    layer: int
    memory: str
    word: int
    bit: int

    def plant(self, folder: Path, top: str) -> None:
        """Turns the bit over in the memory file of the design ``top`` in ``folder``."""
        path = folder / f"{top}.layer{self.layer}.{self.memory}.mem"
        words = path.read_text().split()
        words[self.word] = f"{int(words[self.word], 16) ^ 1 << self.bit:0{len(words[self.word])}x}"
        path.write_text("\n".join(words) + "\n")


@dataclass(frozen=True)
class Control:
    """What became of a fault: the co-simulation of the design that has it."""

    fault: Fault
    report: CosimReport

    @property
    def caught(self) -> bool:
        """Whether the co-simulation found the fault, as it should."""
        return not self.report.passed


def _wrong_weight(
    network: IntegerNetwork, foldings: Sequence[Folding], codes: np.ndarray, signal: _Signal
) -> Iterator[Fault]:
    """The lowest set bit of an excitatory synapse of an input that is active in some sample."""
    for i, layer in sorted(enumerate(network.layers), key=lambda pair: -pair[1].w_ee.size):
        if walk_of(network, i):
            continue  # its weights are in the order of a window's walk
        source = layer.wiring.sources_of(i)[0]
        x = (codes if source < 0 else signal(source, "spike")).reshape(-1, layer.d)
        active = np.count_nonzero(x, 0)
        inputs = np.argsort(-active, kind="stable")[: np.count_nonzero(active)]
        for k, n in np.argwhere(layer.w_ee[:, inputs].T > 0).tolist():
            events = foldings[i].events(layer)  # several at once have a memory each, of every so many-th input
            j, (word, lane) = int(inputs[k]), divmod(n, foldings[i].synapse_lanes // events)
            weight = int(layer.w_ee[n, j])
            yield Fault(
                kind="synapse",
                place=f"layer {i}, from input {j} to E neuron {n}",
                layer=i,
                memory=f"accumulator.row.weights{j % events if events > 1 else ''}",
                word=j // events * foldings[i].words(layer) + word,
                bit=lane * layer.synapse.width + (weight & -weight).bit_length() - 1,
            )


def _hidden(network: IntegerNetwork, signal: _Signal) -> Iterator[tuple[int, Neurons, np.ndarray, np.ndarray]]:
    """Of each layer with neurons the currents (all, n_e), and where they are not saturated."""
    for i, layer in enumerate(network.layers):
        if (neurons := layer.neurons) is not None:
            current = signal(i, "current").reshape(-1, layer.n_e)
            yield i, neurons, current, (current > neurons.membrane.min) & (current < neurons.membrane.max)


def _wrong_bias(
    network: IntegerNetwork, foldings: Sequence[Folding], codes: np.ndarray, signal: _Signal
) -> Iterator[Fault]:
    """The lowest bit of a bias. It shifts what is compared with the threshold, which is a constant of the logic."""
    for i, neurons, _, free in _hidden(network, signal):
        for n in np.flatnonzero(free.any(0)):
            word, lane = divmod(int(n), foldings[i].neuron_lanes)
            bit = lane * (neurons.gain_e_bits + neurons.membrane.width) + neurons.gain_e_bits
            stage = "scaling" if neurons.reciprocal is None else "divisive"
            yield Fault(
                "bias (against the threshold)", f"layer {i}, neuron {n}", i, f"{stage}.parameters.neurons", word, bit
            )


def _wrong_reciprocal(
    network: IntegerNetwork, foldings: Sequence[Folding], codes: np.ndarray, signal: _Signal
) -> Iterator[Fault]:
    """The highest bit of the entry that most currents are made with, which are then less than half as large."""
    for i, neurons, current, free in _hidden(network, signal):
        if (table := neurons.reciprocal) is not None:
            divisors = signal(i, "divisor").reshape(current.shape)
            moved = free & (np.abs(current - neurons.b_e) >= LEAST_CURRENT) & (divisors > 0)
            entries, counts = np.unique([table.index(int(d)) for d in divisors[moved]], return_counts=True)
            for entry in entries[np.argsort(-counts, kind="stable")]:
                word = int(entry)
                yield Fault(
                    "reciprocal", f"layer {i}, entry {word}", i, "divisive.reciprocal.entries", word, table.bits - 1
                )


def faults(network: IntegerNetwork, foldings: Sequence[Folding], codes: np.ndarray, golden: Golden) -> list[Fault]:
    """A wrong synapse, bias and reciprocal, each of which some of the first samples depend on, where there is one.

    Parameters
    ----------
    foldings : one for each layer
    codes, golden : of a :class:`sim.cosim.Subject`
    """
    codes = codes[:SAMPLES]
    signals = golden(0, len(codes))

    def signal(layer: int, name: str) -> np.ndarray:
        return signals[layer, name]

    makers = (_wrong_weight, _wrong_bias, _wrong_reciprocal)
    first = (next(make(network, foldings, codes, signal), None) for make in makers)
    return [fault for fault in first if fault is not None]


def negative_controls(
    folder: Path,
    codes: np.ndarray,
    golden: Golden,
    planted: Sequence[Fault],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Control]:
    """Co-simulates copies of the design in ``folder`` with one fault each, on the first samples.

    Raises
    ------
    ChandelierError
        As of :func:`sim.cosim.cosimulate`.
    """
    controls = []
    for done, fault in enumerate(planted):
        progress(done, len(planted))
        with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
            copy = Path(scratch) / "rtl"
            shutil.copytree(folder, copy)
            top = next(copy.glob("*.v")).stem
            fault.plant(copy, top)
            controls.append(Control(fault, cosimulate(copy, codes[:SAMPLES], golden)))
    progress(len(planted), len(planted))
    return controls
