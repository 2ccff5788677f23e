"""The test samples of a data set as input codes of a network."""

import re

import numpy as np

from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from sw.data import Dataset

__all__ = ["dataset_codes"]

#: Samples that are taken if nobody says how many.
DEFAULT_SAMPLES = 100


def _count(samples: str | None, available: int) -> int:
    if samples is None:
        return min(DEFAULT_SAMPLES, available)
    if samples == "all":
        return available
    if not re.fullmatch(r"\d{1,9}", samples) or not 1 <= int(samples) <= available:
        raise ChandelierError(f"--samples must be 1..{available} or all, not {samples}")
    return int(samples)


def dataset_codes(network: IntegerNetwork, dataset: Dataset, samples: str | None) -> np.ndarray:
    """Input codes of the first ``samples`` test samples: a number, ``all``, or by default a few.

    Raises
    ------
    ChandelierError
        If the data are not what the network takes.
    """
    spec = network.input
    kind, steps = ("static", network.steps) if dataset.steps is None else ("sequence", dataset.steps)
    if (dataset.features, kind, steps) != (spec.features, spec.kind, network.steps):
        raise ChandelierError(
            f"{dataset.name} has {kind} samples of {dataset.features} features"
            f"{f' and {steps} steps' if kind == 'sequence' else ''}, and {network.name} takes {spec.kind} samples of "
            f"{spec.features} features{f' and {network.steps} steps' if spec.kind == 'sequence' else ''}"
        )
    if dataset.classes != network.classes:
        raise ChandelierError(f"{dataset.name} has {dataset.classes} classes, and {network.name} has {network.classes}")
    return spec.encode(dataset.x_test[: _count(samples, len(dataset.x_test))])
