"""What the samples of a data set make a network do: events, cycles, operations, energy. No hardware is simulated."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from hw.cycles import Prediction, predict_cycles, sources
from hw.exact_cycles import Cycles, simulate_cycles
from hw.folding import Folding
from hw.network import Network
from hw.operations import Energies, Operations, count_operations
from quant.errors import ChandelierError
from quant.files import write_json
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from sim.report import Spread
from sw.data import load
from sw.samples import dataset_codes

__all__ = ["Measurement", "activity_of", "measure", "parse_energies"]

#: The prices of operations, if nobody gives others.
HOROWITZ = Energies()


@dataclass(frozen=True)
class Measurement:
    """What came of the samples.

    Parameters
    ----------
    data : str
        Name of the data set.
    samples : int
    foldings : sequence of Folding
    events : list of float
        Mean events of a time step, of the network's input and of each layer but the last.
    activity : list of float
        The same as shares of all that there could be.
    prediction : Prediction
        The estimate of each stage from these means; its interval and latency are the means of what is exact.
    cycles : Cycles
        When each sample passes, exact.
    operations : list of Operations
        Of each layer, for a sample on average.
    energy : float
        Of these, for a sample, in pJ.
    """

    data: str
    samples: int
    foldings: Sequence[Folding]
    events: list[float]
    activity: list[float]
    prediction: Prediction
    cycles: Cycles
    operations: list[Operations]
    energy: float

    @property
    def interval(self) -> Spread | None:
        """Cycles from one result to the next; ``None`` for a single sample."""
        return Spread.of(self.cycles.intervals)

    @property
    def latency(self) -> Spread | None:
        """Cycles from a sample's first input to its result; ``None`` without samples."""
        return Spread.of(self.cycles.latencies)

    @property
    def total(self) -> Operations:
        """Of all layers."""
        return reduce(add, self.operations)

    @property
    def busy(self) -> list[float]:
        """Of each layer the share of its synapse lanes that add something, on average."""
        pairs = zip(self.operations, self.foldings, strict=True)
        return [own.synaptic / (self.prediction.interval * folding.synapse_lanes) for own, folding in pairs]

    def write_json(self, path: Path) -> None:
        """Writes all of it."""
        plain: dict[str, Any] = asdict(self)
        del plain["cycles"]
        for name, spread in (("interval", self.interval), ("latency", self.latency)):
            plain[name] = spread and asdict(spread)
        plain["prediction"] = {"interval": self.prediction.interval, "latency": self.prediction.latency}
        plain |= {"energy_pj": plain.pop("energy"), "busy": self.busy}
        write_json(path, plain)


def _shares(network: IntegerNetwork, events: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """Mean events of a time step, and what share that is of all that there could be."""
    counts = [float(np.count_nonzero(own) / (own.shape[0] * own.shape[1])) for own in events]
    return counts, [count / most for count, most in zip(counts, sources(network), strict=True)]


def activity_of(network: IntegerNetwork, data: str) -> list[float]:
    """Share of non-zeros in the network's input, and in the spikes of each layer but the last, in a few samples.

    Raises
    ------
    ChandelierError
        If the data do not fit the network.
    """
    return _shares(network, GoldenModel(network).events(dataset_codes(network, load(data), None)))[1]


def measure(
    network: IntegerNetwork,
    data: str,
    samples: str | None,
    *,
    foldings: Sequence[Folding],
    energies: Energies = HOROWITZ,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measurement:
    """Runs the golden model on the first ``samples`` test samples (a number, ``all``, or a few), and counts.

    Raises
    ------
    ChandelierError
        If the data do not fit the network, or the network does not become hardware.
    """
    design = Network(network, foldings)
    golden, codes = GoldenModel(network), dataset_codes(network, load(data), samples)
    events = golden.events(codes)
    counts, activity = _shares(network, events)
    operations = count_operations(design, events)
    inputs = [own.inputs / network.layer_steps(i) for i, own in enumerate(operations)]
    prediction = predict_cycles(network, foldings, counts, inputs)
    cycles = simulate_cycles(network, foldings, events, golden.zeros(codes), progress)
    interval, latency = Spread.of(cycles.intervals), Spread.of(cycles.latencies)
    prediction = replace(
        prediction,
        interval=interval.mean if interval else prediction.interval,
        latency=latency.mean if latency else prediction.latency,
    )
    return Measurement(
        data=data,
        samples=len(events[0]),
        foldings=foldings,
        events=counts,
        activity=activity,
        prediction=prediction,
        cycles=cycles,
        operations=operations,
        energy=sum(energies.of(own) for own in operations),
    )


def parse_energies(text: str | None) -> Energies:
    """``0.1,0.2,3.1,0.156``: pJ of an addition, a narrow and a wide product, and a bit of memory; or the default.

    Raises
    ------
    ChandelierError
        If they are not four numbers.
    """
    if text is None:
        return HOROWITZ
    count = len(fields(Energies))
    if not re.fullmatch(rf"\d+(\.\d+)?(,\d+(\.\d+)?){{{count - 1}}}", text):
        raise ChandelierError(f"--energy takes {count} numbers, like 0.1,0.2,3.1,0.156, not {text}")
    return Energies(*map(float, text.split(",")))
