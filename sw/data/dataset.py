"""A data set in memory, and how arrays of unknown origin become one: checked, scaled to [0, 1], flattened."""

import hashlib
import math
import reprlib
import textwrap
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from quant.errors import ChandelierError

__all__ = ["ARRAYS", "Dataset", "from_arrays", "on_off", "read_arrays", "read_npz"]

#: Names of the arrays of a data set, in memory and in a file.
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
#: Largest number of classes.
MOST_CLASSES = 1000
#: Largest size of all arrays of a file together in bytes, uncompressed.
MOST_BYTES = 8 << 30


@dataclass(frozen=True)
class Dataset:
    """Training and test samples.

    Parameters
    ----------
    x_train, x_test : (samples, features) or, of sequences, (samples, steps, features), float32 in [0, 1]
    y_train, y_test : (samples,) int64, 0..classes-1
    image_shape : (height, width, channels) if the features of a sample, or of a step of one, are those of an image,
        flattened in this order
    notes : what was done to the data that a user might not expect
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    image_shape: tuple[int, int, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """One more than the largest label of the training set."""
        return int(self.y_train.max()) + 1

    @property
    def features(self) -> int:
        """Inputs at one time step."""
        return int(self.x_train.shape[-1])

    def sha256(self) -> str:
        """Digest of all samples and labels."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).data)
        return digest.hexdigest()

    @property
    def steps(self) -> int | None:
        """Time steps of a sequence; ``None`` if samples are static."""
        return int(self.x_train.shape[1]) if self.x_train.ndim == 3 else None


def _check_labels(name: str, y: np.ndarray, samples: int, classes: int) -> np.ndarray:
    if y.ndim != 1 or len(y) != samples:
        raise ChandelierError(f"{name} must have shape ({samples},) like its inputs, not {y.shape}")
    if y.dtype.kind not in "iu":
        raise ChandelierError(f"{name} must hold integer labels, not {y.dtype}")
    for value in (int(y.min()), int(y.max())):
        if not 0 <= value < classes:
            raise ChandelierError(f"{name} holds the label {value}, and 0..{classes - 1} are allowed")
    return y.astype(np.int64)


def _check_inputs(name: str, x: np.ndarray) -> None:
    if x.dtype.kind not in "buif":
        raise ChandelierError(f"{name} must hold numbers, not {x.dtype}")
    if x.ndim not in (2, 3, 4, 5) or x.size == 0:
        raise ChandelierError(
            f"{name} must have shape (samples, features), (samples, height, width[, channels]), (samples, steps, "
            f"features) or (samples, steps, height, width, channels), and not be empty; it has {x.shape}"
        )
    if x.dtype.kind == "f" and not (finite := np.isfinite(x)).all():
        first = tuple(int(i) for i in np.unravel_index(finite.argmin(), x.shape))
        raise ChandelierError(f"{name}[{', '.join(map(str, first))}] is {x[first]}: inputs must be finite numbers")


def _scale(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Both to float32 in [0, 1]: bytes by 255; other numbers outside of it by the range of the training set."""
    if train.dtype == test.dtype == np.uint8:
        scaled = [np.divide(x, np.float32(255), dtype=np.float32) for x in (train, test)]
        return scaled[0], scaled[1], ()
    low, high = float(train.min()), float(train.max())
    if min(low, float(test.min())) >= 0 and max(high, float(test.max())) <= 1:
        return train.astype(np.float32), test.astype(np.float32), ()
    span = (high - low) or 1.0
    if not math.isfinite(span):
        raise ChandelierError(f"inputs of {low:g}..{high:g} are too far apart to be scaled to 0..1")
    scaled = [((np.clip(x.astype(np.float64), low, high) - low) / span).astype(np.float32) for x in (train, test)]
    return scaled[0], scaled[1], (f"inputs were scaled from {low:g}..{high:g} (training set) to 0..1 and clipped",)


def _layout(x: np.ndarray, kind: str | None) -> tuple[tuple[int, ...], tuple[int, int, int] | None]:
    """Shape that a sample of ``x`` is flattened to, (features,) or (steps, features); and ``image_shape``."""
    if kind == "sequence" and x.ndim not in (3, 5):
        raise ChandelierError(
            f"sequences have shape (samples, steps, features) or (samples, steps, height, width, channels), and "
            f"x_train has {x.shape}"
        )
    if kind == "static" and x.ndim == 5:
        raise ChandelierError(f"static samples have at most height, width and channels, and x_train has {x.shape}")
    if x.ndim == 2 or (x.ndim == 3 and (kind == "sequence" or (kind is None and x.dtype != np.uint8))):
        return x.shape[1:], None
    *steps, height, width, channels = x.shape[1:] if x.ndim > 3 else (*x.shape[1:], 1)
    return (*steps, height * width * channels), (height, width, channels)


def from_arrays(
    name: str, arrays: Mapping[str, np.ndarray], kind: Literal["static", "sequence"] | None = None
) -> Dataset:
    """A data set from arrays called as :data:`ARRAYS` says.

    Two dimensions are (samples, features). Three are images if they are bytes (``uint8``), and otherwise sequences
    (samples, steps, features), unless ``kind`` says which. Four are images with channels, (samples, height, width,
    channels), and five are sequences of such images; images are flattened, channels last.
    Bytes are divided by 255. Other numbers stay as they are if all are in [0, 1]; otherwise the range of ``x_train``
    becomes [0, 1], what is beyond it in ``x_test`` is clipped, and ``Dataset.notes`` says so.

    Raises
    ------
    ChandelierError
        If an array is missing, empty, of another shape than its companions, not finite, or a label is out of range.
    """
    for key in ARRAYS:
        if key not in arrays:
            raise ChandelierError(f"the array {key} is missing: {', '.join(ARRAYS)} are needed")
    train, test = arrays["x_train"], arrays["x_test"]
    _check_inputs("x_train", train)
    _check_inputs("x_test", test)
    if train.shape[1:] != test.shape[1:]:
        raise ChandelierError(f"samples of x_train have shape {train.shape[1:]}, and those of x_test {test.shape[1:]}")
    if (train.dtype == np.uint8) != (test.dtype == np.uint8):
        raise ChandelierError(f"x_train is {train.dtype} and x_test {test.dtype}: both must be bytes, or neither")
    shape, image_shape = _layout(train, kind)
    y_train = _check_labels("y_train", arrays["y_train"], len(train), MOST_CLASSES)
    y_test = _check_labels("y_test", arrays["y_test"], len(test), int(y_train.max()) + 1)
    x_train, x_test, notes = _scale(train.reshape(-1, *shape), test.reshape(-1, *shape))
    return Dataset(name, x_train, y_train, x_test, y_test, image_shape, notes)


def on_off(x_train: np.ndarray, x_test: np.ndarray) -> dict[str, np.ndarray]:
    """Signals (samples, points) of any sign as maps (samples, 1, points, 2) in [0, 1]: positive and negative parts.

    As ON and OFF cells of a retina have it: scaled to [0, 1] as a whole, a signal would be a constant input with small
    variations. Both are divided by the largest magnitude of ``x_train``, and clipped.
    """
    top = max(float(np.abs(x_train).max()), np.finfo(np.float32).tiny)
    parts = {}
    for key, x in (("x_train", x_train), ("x_test", x_test)):
        x = np.clip(x / top, -1, 1).astype(np.float32)
        parts[key] = np.stack([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1)[:, None]
    return parts


def _size(archive: zipfile.ZipFile, key: str) -> int:
    """Bytes that an array would take, from its header; nothing else of it is unpacked."""
    with archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ChandelierError(f"{key} holds Python objects: only arrays of numbers are read")
    if min(shape, default=0) < 0:
        raise ChandelierError(f"{key} has the shape {shape}")
    return math.prod(shape) * dtype.itemsize


def _read_array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    with archive.open(f"{key}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        # The checksum is compared only at the end, which a damaged header may have moved away.
        if file.read(1):
            raise ValueError(f"{key} has more bytes than its shape needs")
    return array


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Those of :data:`ARRAYS` and ``kind`` that a .npz holds, their sizes checked first; never a pickle.

    Raises
    ------
    ChandelierError
        If the file is missing, damaged or too large; the line names it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [key for key in (*ARRAYS, "kind") if f"{key}.npy" in archive.namelist()]
            if (total := sum(_size(archive, key) for key in keys)) > MOST_BYTES:
                raise ChandelierError(f"the arrays would take {total:,} bytes, and {MOST_BYTES:,} is the limit")
            return {key: _read_array(archive, key) for key in keys}
    except ChandelierError as error:
        raise ChandelierError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise ChandelierError(f"{path} is not there: give the path of a .npz, or see 'chandelier data list'") from None
    except Exception as error:  # damaged bytes raise whatever the zip, npy and literal readers happen to run into
        what = textwrap.shorten(str(error) or type(error).__name__, 160, placeholder=" ...")
        raise ChandelierError(f"{path} is not a readable .npz: {what}") from None


def read_npz(path: Path) -> Dataset:
    """A data set of one's own: a .npz with the arrays of :data:`ARRAYS` and, if need be, ``kind``.

    For shapes and ``kind`` ("static" or "sequence") see :func:`from_arrays`.

    Raises
    ------
    ChandelierError
        If the file is missing, damaged, too large, or its arrays do not fit; the line names file and array.
    """
    arrays = read_arrays(path)
    kind = str(arrays.pop("kind")) if "kind" in arrays else None
    if kind not in (None, "static", "sequence"):
        raise ChandelierError(f"{path}: kind must be static or sequence, not {reprlib.repr(kind)}")
    try:
        return from_arrays(path.stem, arrays, kind)  # type: ignore[arg-type]
    except ChandelierError as error:
        raise ChandelierError(f"{path}: {error}") from None
