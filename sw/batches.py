"""The training data as batches of input codes, shuffled and augmented; and the input that they are for."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from quant.errors import ChandelierError
from quant.network import MOST_INPUTS, Input
from sw.augment import augment
from sw.config import Config
from sw.data import Dataset

__all__ = ["Batches", "input_of"]


def input_of(config: Config, dataset: Dataset) -> Input:
    """The network's input for that data."""
    kind = "static" if dataset.steps is None else "sequence"
    for what, count in ("features", dataset.features), ("steps", dataset.steps or 1):
        if count > MOST_INPUTS:
            raise ChandelierError(f"{dataset.name} has {count} {what}, and {MOST_INPUTS} are the most")
    return Input(dataset.features, config.data.bits, kind, config.data.threshold)  # type: ignore[arg-type]


class Batches:
    """The training data as encoded batches, shuffled (and augmented) from the run's generator."""

    def __init__(self, config: Config, dataset: Dataset, generator: torch.Generator) -> None:
        self.spec, self.size, self.generator = input_of(config, dataset), config.training.batch, generator
        self.labels = torch.from_numpy(dataset.y_train)
        self.image_shape = dataset.image_shape if config.data.augment else None
        if config.data.augment and self.image_shape is None:
            raise ChandelierError(f"data.augment = true needs images, and {dataset.name} has none")
        x = dataset.x_train if self.image_shape else self.spec.encode(dataset.x_train)
        self.x = torch.from_numpy(x)

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.size)

    def first(self) -> Tensor:
        """A batch for E-I Init, of at least 512 samples where there are as many."""
        order = torch.randperm(len(self.labels), generator=self.generator)[: max(512, self.size)]
        return self._encode(self.x[order])

    def _encode(self, x: Tensor) -> Tensor:
        if self.image_shape is not None:
            x = torch.from_numpy(self.spec.encode(augment(x, self.image_shape, self.generator).numpy()))
        return x.float()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in torch.randperm(len(self.labels), generator=self.generator).split(self.size):
            yield self._encode(self.x[indices]), self.labels[indices]
