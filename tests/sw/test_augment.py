"""Augmentation: in range, reproducible, and as strong as it says; nothing where the amount is zero."""

import typing

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from quant.errors import ChandelierError
from sw import augment
from sw.augment import AUGMENTATIONS, Shape
from sw.batches import Batches
from sw.config import DataConfig, parse_config
from sw.data import Dataset

SHAPES: list[Shape] = [(32, 32, 3), (20, 28, 3)]


def _seed(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def _planes(*shape: int) -> Tensor:
    return torch.rand(shape, generator=_seed(99))


def _blob() -> Tensor:
    image = torch.zeros(28, 28)
    image[10:18, 12:16] = 1
    return image.reshape(1, -1).repeat(200, 1)


def test_the_configuration_knows_all_of_them() -> None:
    assert set(typing.get_args(DataConfig.model_fields["augment"].annotation)) == {"none", *AUGMENTATIONS}


@pytest.mark.parametrize("kind", AUGMENTATIONS)
@pytest.mark.parametrize("image_shape", SHAPES)
@pytest.mark.parametrize("steps", [(), (4,)])
def test_in_range_and_reproducible(kind: str, image_shape: Shape, steps: tuple[int, ...]) -> None:
    x = _planes(50, *steps, int(np.prod(image_shape)))
    before = x.clone()
    first, again, other = (AUGMENTATIONS[kind](x, image_shape, _seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other) and torch.equal(x, before)
    assert first.shape == x.shape and first.dtype == x.dtype and first.min() >= 0 and first.max() <= 1
    assert AUGMENTATIONS[kind](x[:1], image_shape, _seed()).shape == x[:1].shape  # the last batch may be small


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_the_steps_of_a_sequence_change_alike(kind: str) -> None:
    x = _planes(20, 1, 32 * 32 * 3).expand(-1, 3, -1)
    changed = AUGMENTATIONS[kind](x, (32, 32, 3), _seed())
    assert torch.equal(changed[:, 0], changed[:, 1]) and torch.equal(changed[:, 0], changed[:, 2])


@pytest.mark.parametrize("kind", ["affine", "crop", "events", "gestures"])
def test_the_channels_change_alike(kind: str) -> None:
    x = _planes(20, 32 * 32, 1).expand(-1, -1, 2).reshape(20, -1)
    changed = AUGMENTATIONS[kind](x, (32, 32, 2), _seed()).unflatten(1, (-1, 2))
    assert torch.equal(changed[..., 0], changed[..., 1])


def test_planes_and_back() -> None:
    x = _planes(2, 3, 4 * 5 * 2)
    planes = augment.to_planes(x, (4, 5, 2))
    assert planes.shape == (2, 6, 4, 5)
    assert torch.equal(planes[:, 3], x.reshape(2, 3, 4, 5, 2)[:, 1, :, :, 1])  # step 1, channel 1
    assert torch.equal(augment.from_planes(planes, x, (4, 5, 2)), x)


def test_nothing_to_do_changes_nothing() -> None:
    planes = _planes(8, 3, 20, 28)
    for same in (
        augment.shifted(planes, _seed(), 0),
        augment.rolled(planes, _seed(), 0),
        augment.mirrored(planes, _seed(), 0),
        augment.erased(planes, _seed(), 0),
        augment.emptied(planes, _seed(), 0),
    ):
        assert torch.equal(same, planes)
    for nearly in (
        augment.transformed(planes, _seed(), 0, 0, 0),
        augment.zoomed(planes, _seed(), 1, oblong=1),
        augment.recoloured(planes, _seed(), 0, 0),
    ):
        assert torch.allclose(nearly, planes, atol=1e-5)


def test_shifts_stay_within_the_fraction_of_the_side() -> None:
    images = augment.affine(_blob(), (28, 28, 1), _seed(), degrees=0, scale=0, shift=0.05)
    columns = images.view(-1, 28, 28).sum(1)
    centre = (columns * torch.arange(28)).sum(1) / columns.sum(1)
    assert (centre - 13.5).abs().max() <= 0.05 * 28 + 1e-3
    assert (centre - 13.5).abs().max() > 0.04 * 28


def test_turning_an_oblong_image_does_not_shear_it() -> None:
    rows, columns = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(60) - 29.5, indexing="ij")
    blob = torch.exp(-(rows**2 + columns**2) / 18).reshape(1, -1).repeat(50, 1)  # round, and smooth for the bilinear
    turned = augment.affine(blob, (20, 60, 1), _seed(), degrees=90, scale=0, shift=0)
    assert (turned - blob).abs().max() < 0.05  # 0.02; sheared, 0.65


def _moves(planes: Tensor, changed: Tensor, most: int, *, around: bool) -> set[tuple[int, int]]:
    """The (down, right) of every sample, each checked to be the whole explanation of its change."""
    height, width = planes.shape[2:]
    found = set()
    for before, after in zip(planes, changed, strict=True):
        for down in range(-most, most + 1):
            for right in range(-most, most + 1):
                expected = before.roll((down, right), (1, 2))
                if not around:
                    expected[:, : max(down, 0)] = expected[:, height + min(down, 0) :] = 0
                    expected[:, :, : max(right, 0)] = expected[:, :, width + min(right, 0) :] = 0
                if torch.equal(after, expected):
                    found.add((down, right))
                    break
    return found


def test_crops_are_the_image_moved_by_at_most_the_padding() -> None:
    planes = _planes(400, 2, 9, 7)
    for changed, around in ((augment.shifted(planes, _seed(), 2), False), (augment.rolled(planes, _seed(), 2), True)):
        moves = _moves(planes, changed, 2, around=around)
        assert len(moves) == 25  # every one of them, and nothing else, or a sample would be unexplained
        rebuilt = sum(len(_moves(p[None], c[None], 2, around=around)) for p, c in zip(planes, changed, strict=True))
        assert rebuilt == 400


def test_half_of_the_images_are_mirrored() -> None:
    planes = _planes(400, 2, 4, 6)
    changed = augment.mirrored(planes, _seed())
    mirrored = (changed == planes.flip(3)).flatten(1).all(1)
    assert 160 < mirrored.sum() < 240
    assert torch.equal(changed[~mirrored], planes[~mirrored])
    assert torch.equal(augment.mirrored(planes, _seed(), 1), planes.flip(3))


def test_cutout_covers_a_rectangle_of_one_grey() -> None:
    planes = _planes(1000, 3, 32, 24) / 2 + 2  # recognisable: beyond any grey
    changed = augment.erased(planes, _seed())
    covered = (changed != planes).any(1)
    areas = covered.sum((1, 2))
    hit = areas > 0
    assert 420 < hit.sum() < 580
    assert areas.max() <= 0.4 * 32 * 24 and areas[hit].float().mean() > 0.15 * 32 * 24
    assert torch.equal(areas, covered.any(2).sum(1) * covered.any(1).sum(1))  # rectangles
    for mask, image in zip(covered[hit], changed[hit], strict=True):
        assert len(image[:, mask].unique()) == 1 and image[:, mask].max() < 1


def test_the_emptied_square_has_its_side_or_leaves_the_image() -> None:
    covered = augment.emptied(torch.ones(1000, 1, 48, 48), _seed(), 16)[:, 0] == 0
    areas = covered.sum((1, 2))
    assert areas.max() == 256 and areas.min() >= 64 and (areas < 256).any()


@pytest.mark.parametrize(("least", "most"), [(0.25, 0.25), (0.08, 1)])
def test_a_zoom_shows_a_part_of_that_area(least: float, most: float) -> None:
    """A ramp tells by its slope how much of a side is seen, and by its values which part."""
    side = 32
    ramp = (torch.arange(side) + 0.5) / side
    planes = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side)]).expand(500, 2, side, side)
    changed = augment.zoomed(planes, _seed(), least, most)
    across = (changed[:, 0, 16, 20] - changed[:, 0, 16, 12]) * side / 8  # away from the border, which is held
    along = (changed[:, 1, 20, 16] - changed[:, 1, 12, 16]) * side / 8
    area = across * along
    assert area.min() > least - 0.01 and area.max() < most + 0.01
    stretched = across / along
    assert 3 / 4 - 0.01 < stretched.min() < 0.8 and 1.25 < stretched.max() < 4 / 3 + 0.01
    middle = changed[:, 0, :, 15:17].mean((1, 2))
    assert ((middle - across / 2) > -0.01).all() and ((middle + across / 2) < 1.01).all()


def test_a_third_of_a_turn_of_hue_exchanges_the_colours() -> None:
    matrix = augment._hue_matrix(torch.tensor([1 / 3]))
    assert torch.allclose(matrix @ torch.tensor([0.2, 0.5, 0.9]), torch.tensor([[0.9, 0.2, 0.5]]), atol=1e-6)


def test_recolouring_keeps_greys_grey_and_black_black_without_contrast() -> None:
    greys = _planes(100, 1, 6, 6).expand(-1, 3, -1, -1)
    changed = augment.recoloured(greys, _seed())
    assert torch.allclose(changed[:, 0], changed[:, 1], atol=1e-5)
    assert not torch.allclose(changed, greys, atol=0.05)
    flat = torch.full((100, 3, 4, 4), 0.5)
    brightness = augment.recoloured(flat, _seed())[:, 0, 0, 0] / 0.5
    assert 0.6 <= brightness.min() < 0.65 and 1.35 < brightness.max() <= 1.4


def test_events_are_changed_in_one_of_three_ways() -> None:
    x = torch.ones(300, 48 * 48 * 2)
    images = augment.events(x, (48, 48, 2), _seed()).view(300, 48, 48, 2)
    zeros = (images == 0).all(3)
    square = torch.tensor([bool(z.any()) and int(z.sum()) == int(z.any(1).sum() * z.any(0).sum()) for z in zeros])
    rolled = ~zeros.any(2).any(1)
    assert all(60 < int(n) < 140 for n in (rolled.sum(), square.sum(), (~rolled & ~square).sum()))


def test_gestures_are_never_mirrored() -> None:
    x = torch.linspace(0, 1, 48).expand(48, 48).reshape(1, -1).repeat(200, 1)  # brighter to the right
    images = augment.gestures(x, (48, 48, 1), _seed()).view(200, 48, 48)
    assert (images[:, :, -1] > images[:, :, 0]).all()


CONFIG = 'name = "n"\n[data]\nname = "d"\naugment = "{}"\n[network]\nhidden = [8]\n'


def _dataset(features: int, image_shape: Shape | None) -> Dataset:
    x, y = np.full((4, features), 0.5, np.float32), np.arange(4)
    return Dataset("d", x, y, x, y, image_shape)


@pytest.mark.parametrize(
    ("kind", "image_shape", "message"),
    [
        ("crop", None, r'^data.augment = "crop" needs images, and d has none: set it to "none"$'),
        ("resized-crop", (6, 6, 1), "changes colours, and images of d have 1 channels, not 3"),
    ],
)
def test_what_does_not_go_together_is_one_line(kind: str, image_shape: Shape | None, message: str) -> None:
    with pytest.raises(ChandelierError, match=message):
        Batches(parse_config(CONFIG.format(kind), "x.toml"), _dataset(36, image_shape), _seed())


def test_batches_are_codes_of_augmented_images() -> None:
    config, data = parse_config(CONFIG.format("resized-crop"), "x.toml"), _dataset(6 * 6 * 3, (6, 6, 3))
    (x, y), (again, _) = (next(iter(Batches(config, data, _seed()))) for _ in range(2))
    assert torch.equal(x, again) and x.shape == (4, 108) and sorted(y.tolist()) == [0, 1, 2, 3]
    assert torch.equal(x, x.round()) and x.max() <= 255 and len(x.unique()) > 2
