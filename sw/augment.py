"""Random augmentation of training images, a batch at a time; the same state of the generator gives the same images.

What is called :data:`AUGMENTATIONS` takes and returns samples as a data set has them: (samples, height * width *
channels) or (samples, steps, height * width * channels), float in [0, 1], channels last. They are made of parts, which
work on planes (samples, planes, height, width): a plane is a channel of a step, and all planes of a sample change
alike. Each sample draws an amount of its own, uniform in its range.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

__all__ = ["AUGMENTATIONS"]

Shape = tuple[int, int, int]


def to_planes(x: Tensor, image_shape: Shape) -> Tensor:
    """The planes of samples, those of a step together."""
    images = x.reshape(len(x), -1, *image_shape).permute(0, 1, 4, 2, 3)
    return images.flatten(1, 2)


def from_planes(planes: Tensor, x: Tensor, image_shape: Shape) -> Tensor:
    """The inverse of ``to_planes``, of the shape of ``x``; in [0, 1], whatever rounding did."""
    images = planes.unflatten(1, (-1, image_shape[2])).permute(0, 1, 3, 4, 2)
    return images.reshape(x.shape).clamp(0, 1)


def _uniform(count: int, samples: int, generator: Generator) -> Tensor:
    """``count`` amounts in [-1, 1) for each sample."""
    return torch.rand(count, samples, generator=generator) * 2 - 1


def _resampled(planes: Tensor, rows: tuple[Tensor, Tensor], padding: str) -> Tensor:
    """Bilinear, at the places that the two ``rows`` (samples, 3) of an affine map give."""
    grid = affine_grid(torch.stack(rows, dim=1), list(planes.shape), align_corners=False)
    return grid_sample(planes, grid, padding_mode=padding, align_corners=False)


def transformed(planes: Tensor, generator: Generator, degrees: float, scale: float, shift: float) -> Tensor:
    """Rotated, scaled and shifted by at most so much: ``scale`` is relative, ``shift`` a fraction of the side.

    Zero outside.
    """
    samples, _, height, width = planes.shape
    angle, size, right, down = _uniform(4, samples, generator)
    angle, size = angle * math.radians(degrees), 1 + size * scale
    right, down = right * 2 * shift, down * 2 * shift  # affine_grid measures a side as 2
    aspect = height / width  # and so both sides: without it, turning an oblong image would shear it
    rows = (
        torch.stack([angle.cos() / size, -angle.sin() / size * aspect, right], dim=1),
        torch.stack([angle.sin() / size / aspect, angle.cos() / size, down], dim=1),
    )
    return _resampled(planes, rows, "zeros")


def zoomed(planes: Tensor, generator: Generator, least: float, most: float = 1, oblong: float = 4 / 3) -> Tensor:
    """A part of each image, of ``least..most`` of its area, enlarged to all of it.

    The ratio of its sides is ``1 / oblong..oblong`` times that of the image.
    """
    samples = len(planes)
    area, stretch, right, down = _uniform(4, samples, generator)
    area, stretch = least + (most - least) * (area + 1) / 2, oblong**stretch
    across, along = (area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)
    zero = torch.zeros(samples)
    rows = (
        torch.stack([across, zero, right * (1 - across)], dim=1),
        torch.stack([zero, along, down * (1 - along)], dim=1),
    )
    return _resampled(planes, rows, "border")


def _picked(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The given ``rows`` (samples, height) and ``columns`` (samples, width) of each sample."""
    samples = torch.arange(len(planes))[:, None, None]
    return planes[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _offsets(most: int, samples: int, generator: Generator) -> Tensor:
    """Two whole numbers in ``-most..most`` for each sample, (2, samples, 1)."""
    return torch.randint(-most, most + 1, (2, samples, 1), generator=generator)


def shifted(planes: Tensor, generator: Generator, most: int) -> Tensor:
    """Moved by whole pixels, at most so many each way; zero comes in."""
    down, right = most + _offsets(most, len(planes), generator)
    height, width = planes.shape[2:]
    return _picked(pad(planes, [most] * 4), down + torch.arange(height), right + torch.arange(width))


def rolled(planes: Tensor, generator: Generator, most: int) -> Tensor:
    """Moved by whole pixels, at most so many each way; what leaves on one side comes in on the other."""
    down, right = _offsets(most, len(planes), generator)
    height, width = planes.shape[2:]
    return _picked(planes, (torch.arange(height) - down) % height, (torch.arange(width) - right) % width)


def mirrored(planes: Tensor, generator: Generator, probability: float = 0.5) -> Tensor:
    """With that probability, left and right change places."""
    chosen = torch.rand(len(planes), generator=generator) < probability
    return torch.where(chosen[:, None, None, None], planes.flip(3), planes)


def _inside(start: Tensor, length: Tensor | int, side: int) -> Tensor:
    """Which of ``side`` pixels are among the ``length`` from ``start`` (samples,) on: (samples, side)."""
    place = torch.arange(side) - start[:, None]
    return (place >= 0) & (place < (length if isinstance(length, int) else length[:, None]))


def erased(planes: Tensor, generator: Generator, probability: float = 0.5) -> Tensor:
    """Cutout: with that probability, one grey covers an upright rectangle.

    It has 0.02..0.4 of the area and 0.4..2.5 times as much height as width, and lies within the image.
    """
    samples, _, height, width = planes.shape
    chosen, area, ratio, top, left, grey = torch.rand(6, samples, generator=generator)
    area, ratio = (0.02 + 0.38 * area) * height * width, 0.4 + 2.1 * ratio
    along, across = (area * ratio).sqrt().floor().clamp(max=height), (area / ratio).sqrt().floor().clamp(max=width)
    top, left = (top * (height - along + 1)).floor(), (left * (width - across + 1)).floor()
    covered = _inside(top, along, height)[:, :, None] & _inside(left, across, width)[:, None, :]
    covered &= (chosen < probability)[:, None, None]
    return torch.where(covered[:, None], grey[:, None, None, None], planes)


def emptied(planes: Tensor, generator: Generator, side: int) -> Tensor:
    """Zero in a square that is centred anywhere, and may so reach beyond the border."""
    height, width = planes.shape[2:]
    top, left = torch.rand(2, len(planes), generator=generator)
    top, left = (top * height).floor() - side // 2, (left * width).floor() - side // 2
    covered = _inside(top, side, height)[:, :, None] & _inside(left, side, width)[:, None, :]
    return planes.masked_fill(covered[:, None], 0)


def _hue_matrix(turn: Tensor) -> Tensor:
    """Rotations (samples, 3, 3) of colours about the axis of greys, by ``turn`` (samples,) of a full turn."""
    angle = (2 * math.pi * turn)[:, None, None]
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    return angle.cos() * torch.eye(3) + (1 - angle.cos()) / 3 + angle.sin() * across


def recoloured(planes: Tensor, generator: Generator, amount: float = 0.4, hue: float = 0.1) -> Tensor:
    """Brightness, contrast and saturation times ``1 - amount..1 + amount``, in this order; then hue, in turns.

    The planes are red, green and blue, of one step after the other.
    """
    images = planes.unflatten(1, (-1, 3))
    drawn = _uniform(4, len(planes), generator)
    brightness, contrast, saturation = 1 + amount * drawn[:3, :, None, None, None, None]
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    images = (images * brightness).clamp(0, 1)
    mean = (images * weights).sum(2, keepdim=True).mean((1, 3, 4), keepdim=True)
    images = (mean + (images - mean) * contrast).clamp(0, 1)
    grey = (images * weights).sum(2, keepdim=True)
    images = (grey + (images - grey) * saturation).clamp(0, 1)
    return torch.einsum("nij,nsjhw->nsihw", _hue_matrix(hue * drawn[3]), images).clamp(0, 1).flatten(1, 2)


def affine(
    x: Tensor,
    image_shape: Shape,
    generator: Generator,
    *,
    degrees: float = 10,
    scale: float = 0.1,
    shift: float = 0.05,
) -> Tensor:
    """The cheapest accuracy there is for digits: a little rotation, scale and shift."""
    planes = transformed(to_planes(x, image_shape), generator, degrees, scale, shift)
    return from_planes(planes, x, image_shape)


def crop(x: Tensor, image_shape: Shape, generator: Generator) -> Tensor:
    """The paper's for CIFAR: a random crop of the image padded by 4, Cutout, mirrored or not."""
    planes = shifted(to_planes(x, image_shape), generator, 4)
    return from_planes(mirrored(erased(planes, generator), generator), x, image_shape)


def resized_crop(x: Tensor, image_shape: Shape, generator: Generator) -> Tensor:
    """The paper's for Tiny-ImageNet: 0.08..1 of the area, mirrored or not, other colours, Cutout; of three channels."""
    planes = mirrored(zoomed(to_planes(x, image_shape), generator, 0.08), generator)
    return from_planes(erased(recoloured(planes, generator), generator), x, image_shape)


def events(x: Tensor, image_shape: Shape, generator: Generator) -> Tensor:
    """The paper's for CIFAR10-DVS: 0.7..1 of the area, mirrored or not, and one of three changes.

    They are: rolled by at most 5 pixels, rotated by at most 30 degrees, a square of 16 pixels emptied.
    """
    planes = mirrored(zoomed(to_planes(x, image_shape), generator, 0.7), generator)
    change = torch.randint(3, (len(planes),), generator=generator)
    for which, changed in enumerate(
        (
            lambda some: rolled(some, generator, 5),
            lambda some: transformed(some, generator, 30, 0, 0),
            lambda some: emptied(some, generator, 16),
        )
    ):
        if (chosen := change == which).any():
            planes[chosen] = changed(planes[chosen])
    return from_planes(planes, x, image_shape)


def gestures(x: Tensor, image_shape: Shape, generator: Generator) -> Tensor:
    """The paper's for DVS128 Gesture: 0.5..1 of the area; but never mirrored, which would make left of right hands."""
    return from_planes(zoomed(to_planes(x, image_shape), generator, 0.5), x, image_shape)


#: By the name that ``[data] augment`` gives them.
AUGMENTATIONS: dict[str, Callable[[Tensor, Shape, Generator], Tensor]] = {
    "affine": affine,
    "crop": crop,
    "resized-crop": resized_crop,
    "events": events,
    "gestures": gestures,
}
