"""The training data as batches of input codes, shuffled and augmented; and the input that they are for."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from quant.errors import ChandelierError
from quant.network import MOST_INPUTS, Input
from sw.augment import AUGMENTATIONS
from sw.config import Config
from sw.data import Dataset

__all__ = ["Batches", "input_of"]


def input_of(config: Config, dataset: Dataset) -> Input:
    """The network's input for that data."""
    kind = "static" if dataset.steps is None else "sequence"
    for what, count in ("features", dataset.features), ("steps", dataset.steps or 1):
        if count > MOST_INPUTS:
            raise ChandelierError(f"{dataset.name} has {count} {what}, and {MOST_INPUTS} are the most")
    spec = dataset.features, config.data.bits, kind, config.data.threshold, dataset.image_shape
    return Input(*spec)  # type: ignore[arg-type]


def _augmentation(kind: str, dataset: Dataset) -> Callable[[Tensor, torch.Generator], Tensor] | None:
    """What ``[data] augment`` does to a batch of that data set; refuses what does not go together."""
    shape = dataset.image_shape
    if kind == "none":
        return None
    if shape is None:
        raise ChandelierError(f'data.augment = "{kind}" needs images, and {dataset.name} has none: set it to "none"')
    if kind == "resized-crop" and shape[2] != 3:
        raise ChandelierError(
            f'data.augment = "{kind}" changes colours, and images of {dataset.name} have {shape[2]} channels, not 3'
        )
    return lambda x, generator: AUGMENTATIONS[kind](x, shape, generator)


class Batches:
    """The training data as encoded batches, shuffled (and augmented) from the run's generator."""

    def __init__(self, config: Config, dataset: Dataset, generator: torch.Generator) -> None:
        self.spec, self.size, self.generator = input_of(config, dataset), config.training.batch, generator
        self.labels = torch.from_numpy(dataset.y_train)
        self.augment = _augmentation(config.data.augment, dataset)
        self.x = torch.from_numpy(dataset.x_train if self.augment else self.spec.encode(dataset.x_train))

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.size)

    def first(self) -> Tensor:
        """A batch for E-I Init, of at least 512 inputs (samples, or steps of them) where there are as many."""
        enough = 512 // (self.x.shape[1] if self.x.ndim == 3 else 1)
        order = torch.randperm(len(self.labels), generator=self.generator)[: max(enough, self.size)]
        return self._encode(self.x[order])

    def _encode(self, x: Tensor) -> Tensor:
        if self.augment is not None:
            x = torch.from_numpy(self.spec.encode(self.augment(x, self.generator).numpy()))
        return x.float()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in torch.randperm(len(self.labels), generator=self.generator).split(self.size):
            yield self._encode(self.x[indices]), self.labels[indices]
