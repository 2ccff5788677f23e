"""Tiny-ImageNet (200 classes, 64x64 JPEG) from its folder as published, made 32x32 as the paper does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quant.errors import ChandelierError
from quant.optional import optional

__all__ = ["read_tiny_imagenet"]

#: Published and resulting side in pixels.
_SIDE, SIDE = 64, 32
#: Largest size of a text or image file in bytes; the largest published one has 0.6 MB.
_MOST_BYTES = 1 << 22


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ChandelierError(f"{path} has more than {_MOST_BYTES:,} bytes")
        return path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError) as error:
        raise ChandelierError(f"{path} cannot be read ({error}): give the folder tiny-imagenet-200") from None


def _classes(folder: Path) -> list[str]:
    """WordNet names in alphabetical order: the place in it is the label."""
    names = sorted(set(filter(None, map(str.strip, _lines(folder / "wnids.txt")))))
    for name in names:
        if re.fullmatch(r"n\d{8}", name) is None:
            raise ChandelierError(f"{folder / 'wnids.txt'} has {name[:40]!r}, which is not like n01443537")
    return names


def _training(folder: Path, classes: list[str]) -> Iterator[tuple[Path, int]]:
    for label, name in enumerate(classes):
        for path in sorted((folder / "train" / name / "images").glob("*.JPEG")):
            yield path, label


def _validation(folder: Path, classes: list[str]) -> Iterator[tuple[Path, int]]:
    labels = {name: label for label, name in enumerate(classes)}
    annotations = folder / "val" / "val_annotations.txt"
    for number, line in enumerate(_lines(annotations), 1):
        file, _, rest = line.partition("\t")
        name = rest.partition("\t")[0]
        # The name goes into a path, and must not lead out of the folder.
        if re.fullmatch(r"[\w-]+\.JPEG", file) is None or name not in labels:
            raise ChandelierError(f"{annotations}, line {number}: no image and class: {line[:60]!r}")
        yield folder / "val" / "images" / file, labels[name]


def _image(pillow: Any, path: Path) -> np.ndarray:
    """(32, 32, 3) bytes; grey ones in three equal channels. Bilinear over all pixels that shrink into one."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ChandelierError(f"{path} has more than {_MOST_BYTES:,} bytes")
        with pillow.open(path, formats=["JPEG"]) as image:
            if image.size != (_SIDE, _SIDE):
                raise ChandelierError(f"{path} has {image.width} x {image.height} pixels, not {_SIDE} x {_SIDE}")
            return np.asarray(image.convert("RGB").resize((SIDE, SIDE), pillow.Resampling.BILINEAR))
    except ChandelierError:
        raise
    except Exception as error:  # damaged bytes raise whatever the decoder happens to run into
        raise ChandelierError(f"{path} is not a readable JPEG: {str(error)[:160]}") from None


def read_tiny_imagenet(path: Path) -> dict[str, np.ndarray]:
    """The arrays, bytes, in the folder ``path``; what is published as validation is the test half.

    Images are (samples, 32, 32, 3).

    Raises
    ------
    ChandelierError
        If Pillow is missing, or a file is missing, damaged, or of another size; the line names it.
    """
    pillow = optional("PIL.Image", "tiny-imagenet", "pillow")
    classes = _classes(path)
    arrays = {}
    for half, listed in (("train", _training), ("test", _validation)):
        pairs = list(listed(path, classes))
        arrays[f"x_{half}"] = np.empty((len(pairs), SIDE, SIDE, 3), np.uint8)
        for i, (file, _) in enumerate(pairs):
            arrays[f"x_{half}"][i] = _image(pillow, file)
        arrays[f"y_{half}"] = np.array([label for _, label in pairs], np.uint8)
    return arrays
