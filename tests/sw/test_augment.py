"""Augmentation: in range, reproducible, and about as strong as it says."""

import torch

from sw.augment import augment


def _blob() -> torch.Tensor:
    image = torch.zeros(28, 28)
    image[10:18, 12:16] = 1
    return image.reshape(1, -1).repeat(200, 1)


def test_in_range_and_reproducible() -> None:
    first = augment(_blob(), (28, 28), torch.Generator().manual_seed(3))
    again = augment(_blob(), (28, 28), torch.Generator().manual_seed(3))
    other = augment(_blob(), (28, 28), torch.Generator().manual_seed(4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (200, 784) and first.min() >= 0 and first.max() <= 1


def test_nothing_to_do_changes_nothing() -> None:
    x = torch.rand(5, 784, generator=torch.Generator().manual_seed(0))
    same = augment(x, (28, 28), torch.Generator().manual_seed(0), degrees=0, scale=0, shift=0)
    assert torch.allclose(same, x, atol=1e-5)


def test_shifts_stay_within_the_fraction_of_the_side() -> None:
    images = augment(_blob(), (28, 28), torch.Generator().manual_seed(0), degrees=0, scale=0, shift=0.05)
    columns = images.view(-1, 28, 28).sum(1)
    centre = (columns * torch.arange(28)).sum(1) / columns.sum(1)
    assert (centre - 13.5).abs().max() <= 0.05 * 28 + 1e-3
    assert (centre - 13.5).abs().max() > 0.04 * 28


def test_turning_an_oblong_image_does_not_shear_it() -> None:
    rows, columns = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(60) - 29.5, indexing="ij")
    blob = torch.exp(-(rows**2 + columns**2) / 18).reshape(1, -1).repeat(50, 1)  # round, and smooth for the bilinear
    turned = augment(blob, (20, 60), torch.Generator().manual_seed(0), degrees=90, scale=0, shift=0)
    assert (turned - blob).abs().max() < 0.05  # 0.02; sheared, 0.65
