"""What a co-simulation says at the end: how much was compared, the first difference, and how many cycles it took."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from quant.formats import Format

__all__ = ["CosimReport", "Difference", "Spread"]


@dataclass(frozen=True)
class Difference:
    """One value that is not the golden model's. ``step`` is ``None`` for what there is once a sample."""

    sample: int
    step: int | None
    layer: int
    neuron: int
    signal: str
    expected: int
    got: int
    format: Format | None = None

    def __str__(self) -> str:
        step = "" if self.step is None else f"step {self.step}, "
        value = "" if self.format is None or not self.format.frac else f" ({self.expected * self.format.step:g})"
        return (
            f"sample {self.sample}, {step}layer {self.layer}, neuron {self.neuron}, {self.signal}: "
            f"expected {self.expected}{value}, got {self.got}"
        )


@dataclass(frozen=True)
class Spread:
    """Smallest, mean and largest of a number of clock cycles."""

    min: int
    mean: float
    max: int

    @classmethod
    def of(cls, cycles: np.ndarray) -> Self | None:
        """Of all ``cycles``; ``None`` if there are none."""
        return cls(int(cycles.min()), float(cycles.mean()), int(cycles.max())) if cycles.size else None

    def __str__(self) -> str:
        return f"{self.mean:,.1f} ({self.min:,}..{self.max:,})"


@dataclass(frozen=True)
class CosimReport:
    """Outcome of the co-simulation of one design.

    Parameters
    ----------
    design : str
        Name of its top module.
    samples : int
    compared : dict
        How many values of each (layer, signal) were compared.
    mismatches : int
        How many of them were different.
    first : Difference, optional
        The first of these: of the earliest sample, there of the earliest stage, there of the earliest step.
    faults : tuple of str
        What else was wrong: beats missing or too many, a deadlock, a stream that broke the protocol.
    waited : dict
        Beats of each stream that were not taken in the cycle in which they were first offered.
    interval : Spread, optional
        Cycles between one result and the next.
    latency : Spread, optional
        Cycles from a sample's first input beat to its result.
    cycles : int
        Simulated, over all simulators.
    seconds : float
        The simulation took, comparison included.
    build_seconds : float
        Building the simulator took, or finding it in the cache.
    build_cached : bool
    """

    design: str
    samples: int
    compared: dict[tuple[int, str], int]
    mismatches: int
    first: Difference | None
    faults: tuple[str, ...]
    waited: dict[str, int]
    interval: Spread | None
    latency: Spread | None
    cycles: int
    seconds: float
    build_seconds: float
    build_cached: bool

    @property
    def passed(self) -> bool:
        """Whether the design did exactly what the golden model does."""
        return not self.mismatches and not self.faults

    @property
    def images_per_second(self) -> float:
        """Simulated samples per second of real time."""
        return self.samples / self.seconds

    @property
    def cycles_per_second(self) -> float:
        """Simulated clock cycles per second of real time."""
        return self.cycles / self.seconds

    def __str__(self) -> str:
        values = sum(self.compared.values())
        lines = [
            f"{self.design}: {self.samples:,} samples, {values:,} values of {len(self.compared)} signals compared, "
            + (f"{self.mismatches:,} of them different" if self.mismatches else "all equal")
        ]
        lines += [f"first difference: {self.first}"] if self.first else []
        lines += self.faults
        lines += [f"cycles between results: {self.interval}"] if self.interval else []
        lines += [f"cycles from first input to result: {self.latency}"] if self.latency else []
        lines.append(
            f"{self.cycles:,} cycles in {self.seconds:.1f} s: {self.cycles_per_second:,.0f} cycles/s, "
            f"{self.images_per_second:,.0f} samples/s; "
            + ("simulator from the cache" if self.build_cached else f"built in {self.build_seconds:.1f} s")
        )
        return "\n".join(lines)
