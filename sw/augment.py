"""Random affine augmentation of training images: the cheapest accuracy there is for digits."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

__all__ = ["augment"]


def augment(
    x: Tensor,
    image_shape: tuple[int, ...],
    generator: torch.Generator,
    *,
    degrees: float = 10,
    scale: float = 0.1,
    shift: float = 0.05,
) -> Tensor:
    """Rotates, scales and shifts each image of a batch by an amount of its own, uniform in its range.

    Parameters
    ----------
    x : (samples, height * width) float in [0, 1]
    image_shape : (height, width)
    generator : torch.Generator
        The same state gives the same images.
    degrees, scale, shift : float
        Largest rotation, largest relative change of size, largest shift as a fraction of the side.

    Returns
    -------
    Tensor
        Of the shape of ``x``, in [0, 1]; bilinear, zero outside.
    """
    samples, (height, width) = len(x), image_shape
    angle, size, right, down = torch.rand(4, samples, generator=generator) * 2 - 1
    angle, size = angle * math.radians(degrees), 1 + size * scale
    right, down = right * 2 * shift, down * 2 * shift  # affine_grid measures a side as 2
    aspect = height / width  # and so both sides: without it, turning an oblong image would shear it
    rows = (
        torch.stack([angle.cos() / size, -angle.sin() / size * aspect, right], dim=1),
        torch.stack([angle.sin() / size / aspect, angle.cos() / size, down], dim=1),
    )
    grid = affine_grid(torch.stack(rows, dim=1), [samples, 1, height, width], align_corners=False)
    images = grid_sample(x.view(samples, 1, height, width), grid, align_corners=False)
    return images.reshape(samples, -1).clamp(0, 1)
