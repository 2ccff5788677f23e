"""Random networks with random foldings, in batches that are built as one simulator."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hw.folding import Folding, Foldings, row_synapses
from hw.rtl import write_rtl
from quant.golden import SIGNALS, GoldenModel
from quant.network import IntegerNetwork
from sim.cosim import Subject
from sim.report import CosimReport
from sim.runs import Stall
from tests.hw.test_network import random_foldings
from tests.lively_networks import lively
from tests.random_networks import random_codes, random_map_network, random_network, random_row_network

__all__ = [
    "KINDS",
    "LIVELY",
    "SAMPLES",
    "TRIALS",
    "Choice",
    "batches",
    "cycles_of",
    "design_foldings",
    "design_network",
    "lively_design",
    "lively_subject",
    "random_stall",
    "random_subject",
    "telling_codes",
]

KINDS = ("dense", "maps", "rows", "spatial")
#: Kinds and seeds of small networks whose bits all move. Together they have every component, and what the random ones
#: leave out (``make coverage``).
LIVELY = (
    *("dense7", "dense12", "dense16", "dense28", "dense42", "dense55", "dense64", "dense176"),
    *("maps0", "maps26", "maps36", "maps42", "maps2591"),
    *("spatial4", "spatial28", "spatial55", "spatial57", "spatial64"),
    *("rows23", "rows27"),
)

#: Designs in a bench: side by side they need a single build.
TOGETHER = 8
#: Largest shapes. Small networks build faster and have corners of their own.
LARGEST = (64, 8, 16, 32)
#: Of each design.
SAMPLES = 20
#: The source never pauses, and the sink nearly always does, which fills all queues.
SLOW_SINK = (0.0, 0.99)
#: The same, and so seldom that queues of hundreds of events, as maps have, fill as well.
STUCK_SINK = (0.0, 0.999)
#: Random samples of which the telling ones are chosen, and those with the rarest values, of which that is tried.
POOL, LIKELY = 20_000, 2000
#: ``choose(network, samples, seed)`` gives so many samples.
Choice = Callable[[IntegerNetwork, int, int], np.ndarray]


def batches(count: int) -> list[range]:
    """The seeds below ``count``."""
    return [range(k, min(count, k + TOGETHER)) for k in range(0, count, TOGETHER)]


def design_network(seed: int, kind: str = "dense") -> IntegerNetwork:
    """The network of a seed: dense, of maps, also in row-major order, or one that becomes spatial."""
    if kind in ("maps", "rows"):
        return random_map_network(seed) if kind == "maps" else random_row_network(seed)
    # A wire for each synapse: large ones take long to build.
    return random_network(seed, largest=min(LARGEST[seed // 4 % 4], 16 if kind == "spatial" else 64))


def design_foldings(network: IntegerNetwork, seed: int) -> list[Folding]:
    """One lane everywhere, all lanes everywhere, or any."""
    if seed % 4 == 0:
        return [Folding(1, 1, 1)] * len(network.layers)
    if seed % 4 == 1:
        return [Folding(row_synapses(layer), max(1, layer.n_i), layer.n_e) for layer in network.layers]
    return random_foldings(network, seed)


def random_subject(seed: int, kind: str, folder: Path) -> Subject:
    """The design of a seed, written below ``folder``, and its samples."""
    network = design_network(seed, kind)
    foldings: Foldings = "spatial" if kind == "spatial" else design_foldings(network, seed)
    write_rtl(network, folder / str(seed), foldings=foldings, name=network.name)
    codes, model = random_codes(network, SAMPLES, seed), GoldenModel(network)
    return Subject(folder / str(seed), codes, lambda start, stop: model.run(codes[start:stop], SIGNALS).signals)


def random_stall(seeds: range) -> Stall:
    """The chance of a pause for a batch."""
    return (0.3, 0.0, 0.6, SLOW_SINK)[seeds.start // len(seeds) % 4]


def lively_design(name: str) -> tuple[IntegerNetwork, Foldings]:
    """A network like one of :data:`LIVELY`, of that name, and its foldings."""
    kind, seed = name.rstrip("0123456789"), int(name.lstrip("".join(KINDS)))
    network = random_network(seed, largest=6) if kind in ("dense", "spatial") else design_network(seed, kind)
    network = replace(lively(network, seed), name=name)
    return network, "spatial" if kind == "spatial" else design_foldings(network, seed)


def telling_codes(network: IntegerNetwork, samples: int, seed: int) -> np.ndarray:
    """Of :data:`POOL` random samples those that show most values of each signal of each neuron, rare ones first.

    All pixels of a map count as one neuron for each channel. Which neurons of a step or pixel fire together counts
    as well: it is all that the next layer sees.
    """
    codes = random_codes(network, POOL, seed)
    shown = list(_shown(network, codes))
    rarity = sum((1 / np.bincount(which.ravel()))[which].sum(axis=1) for which in shown)
    likely = np.argsort(-np.asarray(rarity), kind="stable")[:LIKELY]
    tables = []
    for which in shown:
        table = np.zeros((LIKELY, which.max() + 1), np.float32)
        table[np.arange(LIKELY)[:, None], which[likely]] = 1
        tables.append(table[:, table.any(axis=0)])
    values = np.concatenate(tables, axis=1)
    left, chosen = 1 / values.sum(axis=0), []
    for _ in range(samples):
        chosen.append(int((values @ left).argmax()))
        left[values[chosen[-1]] > 0] = 0
    return codes[likely[chosen]]


def _shown(network: IntegerNetwork, codes: np.ndarray) -> Iterator[np.ndarray]:
    """Of each signal of each neuron, and of all spikes of a layer at once, which of its values a sample shows."""
    for (i, name), values in GoldenModel(network).run(codes, SIGNALS).signals.items():
        n_e, columns = network.layers[i].n_e, values.shape[-1]
        if not columns:  # there are no I neurons
            continue
        neurons = values.reshape(len(codes), -1, columns if columns % n_e else n_e)
        together = [neurons @ (1 << np.arange(n_e))] if name == "spike" else []
        for neuron in [*np.moveaxis(neurons, -1, 0), *together]:
            _, which = np.unique(neuron, return_inverse=True)
            yield which.reshape(neuron.shape)


def lively_subject(
    network: IntegerNetwork, folder: Path, samples: int, seed: int, choose: Choice = random_codes
) -> Subject:
    """The design in ``folder`` with samples that are chosen so, of which the golden model is asked once."""
    codes = choose(network, samples, seed)
    signals = GoldenModel(network).run(codes, SIGNALS).signals
    return Subject(folder, codes, lambda start, stop: {key: values[start:stop] for key, values in signals.items()})


def cycles_of(report: CosimReport) -> tuple[float, float]:
    """Clock cycles between two results, and from a sample's first input to its result, in the mean; 0 if none came."""
    return (
        round(report.interval.mean, 3) if report.interval else 0.0,
        round(report.latency.mean, 3) if report.latency else 0.0,
    )


#: What lively designs go through: how samples are chosen, how many, and the chance of a pause.
TRIALS: tuple[tuple[Choice, int, Stall], ...] = (
    (random_codes, SAMPLES, 0.3),
    (telling_codes, 5 * SAMPLES, STUCK_SINK),
    (telling_codes, 5 * SAMPLES, 0.0),
)
