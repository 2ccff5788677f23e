"""Negative controls: one wrong bit in a copy of a design's memories, which its co-simulation has to find.

That nothing differed means something only if a difference would have been seen. Each fault is one that matters: the
golden model's own signals say where.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hw.folding import Folding, Foldings
from hw.order import walk_of
from hw.rtl import write_rtl
from quant.network import IntegerNetwork, Neurons
from sim.cosim import Golden, cosimulate
from sim.report import CosimReport

__all__ = ["Control", "Fault", "WiredFault", "faults", "negative_controls"]

#: Samples that a control takes: the first ones.
SAMPLES = 16
#: It shifts what is compared with the threshold, which is a constant of the logic.
_BIAS = "bias (against the threshold)"
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
class WiredFault:
    """A number that is wrong where it is wires: the design is generated once more, of a ``network`` with that number.

    Parameters
    ----------
    kind, place, layer
        As of :class:`Fault`.
    network : IntegerNetwork
    """

    kind: str
    place: str
    layer: int
    network: IntegerNetwork

    def plant(self, folder: Path, top: str) -> None:
        """Puts the wrong design in the place of ``top`` in ``folder``."""
        write_rtl(self.network, folder, foldings="spatial", name=top)


@dataclass(frozen=True)
class Control:
    """What became of a fault: the co-simulation of the design that has it."""

    fault: Fault | WiredFault
    report: CosimReport

    @property
    def caught(self) -> bool:
        """Whether the co-simulation found the fault, as it should."""
        return not self.report.passed


def _active_synapses(network: IntegerNetwork, codes: np.ndarray, signal: _Signal) -> Iterator[tuple[int, int, int]]:
    """(layer, E neuron, input) of excitatory synapses that are not zero, of inputs that are active in some sample."""
    for i, layer in sorted(enumerate(network.layers), key=lambda pair: -pair[1].w_ee.size):
        if walk_of(network, i):
            continue  # its weights are in the order of a window's walk
        source = layer.wiring.sources_of(i)[0]
        x = (codes if source < 0 else signal(source, "spike")).reshape(-1, layer.d)
        active = np.count_nonzero(x, 0)
        inputs = np.argsort(-active, kind="stable")[: np.count_nonzero(active)]
        for k, n in np.argwhere(layer.w_ee[:, inputs].T > 0).tolist():
            yield i, n, int(inputs[k])


def _free_currents(network: IntegerNetwork, signal: _Signal) -> Iterator[tuple[int, Neurons, np.ndarray, np.ndarray]]:
    """Of each layer with neurons the currents (all, n_e), and where they are not saturated."""
    for i, layer in enumerate(network.layers):
        if (neurons := layer.neurons) is not None:
            current = signal(i, "current").reshape(-1, layer.n_e)
            yield i, neurons, current, (current > neurons.membrane.min) & (current < neurons.membrane.max)


def _biases(network: IntegerNetwork, signal: _Signal) -> Iterator[tuple[int, int]]:
    """(layer, neuron) of biases that some current depends on."""
    for i, _, _, free in _free_currents(network, signal):
        yield from ((i, int(n)) for n in np.flatnonzero(free.any(0)))


def _entries(network: IntegerNetwork, signal: _Signal) -> Iterator[tuple[int, int, int]]:
    """(layer, entry, its bits) of reciprocals that currents are made with, the one of most currents first."""
    for i, neurons, current, free in _free_currents(network, signal):
        if (table := neurons.reciprocal) is not None:
            divisors = signal(i, "divisor").reshape(current.shape)
            moved = free & (np.abs(current - neurons.b_e) >= LEAST_CURRENT) & (divisors > 0)
            entries, counts = np.unique([table.index(int(d)) for d in divisors[moved]], return_counts=True)
            yield from ((i, int(entry), table.bits) for entry in entries[np.argsort(-counts, kind="stable")])


class _Stored:
    """Faults of a design whose numbers are in memories: the lowest set bit of a synapse, the lowest of a bias."""

    division = "divisive"

    def __init__(self, network: IntegerNetwork, foldings: Sequence[Folding]) -> None:
        self._network, self._foldings = network, foldings

    def synapse(self, place: str, i: int, n: int, j: int) -> Fault | WiredFault:
        layer, folding = self._network.layers[i], self._foldings[i]
        events = folding.events(layer)  # several at once have a memory each, of every so many-th input
        word, lane = divmod(n, folding.synapse_lanes // events)
        return Fault(
            kind="synapse",
            place=place,
            layer=i,
            memory=f"accumulator.row.weights{j % events if events > 1 else ''}",
            word=j // events * folding.words(layer) + word,
            bit=lane * layer.synapse.width + _lowest(int(layer.w_ee[n, j])).bit_length() - 1,
        )

    def bias(self, place: str, i: int, n: int) -> Fault | WiredFault:
        neurons = self._network.layers[i].neurons
        assert neurons is not None
        word, lane = divmod(n, self._foldings[i].neuron_lanes)
        bit = lane * (neurons.gain_e_bits + neurons.membrane.width) + neurons.gain_e_bits
        stage = "scaling" if neurons.reciprocal is None else self.division
        return Fault(_BIAS, place, i, f"{stage}.parameters.neurons", word, bit)


class _Wired:
    """The same of a fully spatial design."""

    division = "division"

    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network

    def synapse(self, place: str, i: int, n: int, j: int) -> Fault | WiredFault:
        w_ee = self._network.layers[i].w_ee.copy()
        w_ee[n, j] -= _lowest(int(w_ee[n, j]))
        return WiredFault("synapse", place, i, self._with(i, w_ee=w_ee))

    def bias(self, place: str, i: int, n: int) -> Fault | WiredFault:
        neurons = self._network.layers[i].neurons
        assert neurons is not None
        b_e = neurons.b_e.copy()
        b_e[n] ^= 1
        return WiredFault(_BIAS, place, i, self._with(i, neurons=replace(neurons, b_e=b_e)))

    def _with(self, index: int, **changes: Any) -> IntegerNetwork:
        layers = list(self._network.layers)
        layers[index] = replace(layers[index], **changes)
        return replace(self._network, layers=tuple(layers))


def _lowest(weight: int) -> int:
    """Its lowest set bit."""
    return weight & -weight


def faults(network: IntegerNetwork, foldings: Foldings, codes: np.ndarray, golden: Golden) -> list[Fault | WiredFault]:
    """A wrong synapse, bias and reciprocal, each of which some of the first samples depend on, where there is one.

    Parameters
    ----------
    foldings : of the design
    codes, golden : of a :class:`sim.cosim.Subject`
    """
    codes = codes[:SAMPLES]
    signals = golden(0, len(codes))

    def signal(layer: int, name: str) -> np.ndarray:
        return signals[layer, name]

    made = _Wired(network) if foldings == "spatial" else _Stored(network, foldings)
    planted: list[Fault | WiredFault] = []
    for i, n, j in islice(_active_synapses(network, codes, signal), 1):
        planted.append(made.synapse(f"layer {i}, from input {j} to E neuron {n}", i, n, j))
    for i, n in islice(_biases(network, signal), 1):
        planted.append(made.bias(f"layer {i}, neuron {n}", i, n))
    for i, entry, bits in islice(_entries(network, signal), 1):
        # Its highest bit: currents become less than half as large.
        memory = f"{made.division}.reciprocal.entries"
        planted.append(Fault("reciprocal", f"layer {i}, entry {entry}", i, memory, entry, bits - 1))
    return planted


def negative_controls(
    folder: Path,
    codes: np.ndarray,
    golden: Golden,
    planted: Sequence[Fault | WiredFault],
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
