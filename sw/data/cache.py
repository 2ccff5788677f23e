"""The cache of named data sets: brought into it by fetching or from the user's files, verified, and loaded from it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from quant.errors import ChandelierError
from quant.files import cache_folder, replacing
from sw.data.dataset import Dataset, from_arrays, read_arrays, read_npz
from sw.data.formats import idx_bytes, sha256
from sw.data.sources import DATASETS, Census, Source

__all__ = ["bring", "get", "how", "is_available", "load"]


def _cached(name: str, cache: Path | None) -> Path:
    return (cache or cache_folder()) / "data" / f"{_known(name).of or name}.npz"


def is_available(name: str, cache: Path | None = None) -> bool:
    """Whether the data set can be loaded without fetching; ``cache`` as for :func:`get`.

    Raises
    ------
    ChandelierError
        If there is no such set.
    """
    return _known(name).bundled or _cached(name, cache).exists()


def how(name: str) -> str:
    """What to type so that the data set comes into the cache."""
    return f"chandelier data get {name}" if _known(name).read is None else f"chandelier data import {name} PATH"


def _check_half(half: str, arrays: Mapping[str, np.ndarray], census: Census) -> None:
    """Raises :class:`ChandelierError` if there are not as many samples as there have to be, of that shape."""
    x, y = arrays.get(f"x_{half}"), arrays.get(f"y_{half}")
    if x is None or y is None or x.dtype != np.uint8 or y.dtype != np.uint8 or y.ndim != 1:
        raise ChandelierError(f"x_{half} and y_{half} are not both there as bytes")
    if x.shape != (len(y), *census.shape):
        raise ChandelierError(f"x_{half} has the shape {x.shape}, not {(len(y), *census.shape)}")
    counts, each = np.bincount(y, minlength=census.classes), census.train if half == "train" else census.test
    if len(counts) > census.classes:
        raise ChandelierError(f"y_{half} holds the label {len(counts) - 1}, and there are {census.classes} classes")
    if (wrong := counts == 0 if each is None else counts != each).any():
        label = int(wrong.argmax())
        raise ChandelierError(
            f"class {label} has {counts[label]} samples in y_{half}, and must have {each or 'at least one'}: "
            "files are missing, or are not those that were published"
        )


def _verify(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises :class:`ChandelierError` if an array is not, to the bit, what ``hashes`` says, or the census is wrong."""
    if (census := DATASETS[name].census) is not None:
        for half in ("train", "test"):
            try:
                _check_half(half, arrays, census)
            except ChandelierError as error:
                raise ChandelierError(f"{name}: {error}") from None
    for key, expected in (DATASETS[name].hashes or {}).items():
        array = arrays.get(key)
        if array is None or array.dtype not in (np.uint8, np.float32) or sha256(idx_bytes(array)) != expected:
            raise ChandelierError(f"{name}: {key} is not what it should be (its SHA-256 differs): type '{how(name)}'")


def _known(name: str) -> Source:
    if name not in DATASETS:
        raise ChandelierError(f"there is no data set {name}: choose from {', '.join(DATASETS)}, or give a .npz file")
    return DATASETS[name]


def _silent(_: str) -> None:
    """Where progress goes if nobody asks for it."""


def get(name: str, cache: Path | None = None, progress: Callable[[str], object] = _silent) -> Path | None:
    """Fetches a data set, verifies it and keeps it in the cache; returns its file, or ``None`` if it is bundled.

    Parameters
    ----------
    cache : Path, optional
        In place of ``CHANDELIER_CACHE`` and the user's cache folder.
    progress : callable, optional
        Called with a line of text when something begins.

    Raises
    ------
    ChandelierError
        If there is no such set, it cannot be fetched or has to be brought, or it is not what it should be.
    """
    source = _known(name)
    if source.read is not None:
        raise ChandelierError(f"{name} cannot be fetched: get {source.origin}, and type '{how(name)}'")
    if source.fetch is None:
        return None
    progress(f"fetching {name}: {source.origin}")
    return _keep(name, source.fetch(), cache, progress)


def _keep(name: str, arrays: dict[str, np.ndarray], cache: Path | None, progress: Callable[[str], object]) -> Path:
    """Verifies the arrays, and writes them into the cache."""
    path = _cached(name, cache)
    progress(f"verifying {name}, and writing {path}")
    _verify(name, arrays)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return path


def bring(name: str, path: Path, cache: Path | None = None, progress: Callable[[str], object] = _silent) -> Path:
    """Reads a data set from the files that its publisher has, verifies it and keeps it in the cache; returns its file.

    Parameters
    ----------
    path : Path
        The folder or archive that ``Source.origin`` names.
    cache, progress
        As for :func:`get`.

    Raises
    ------
    ChandelierError
        If there is no such set, it is not one to be brought, a package that reads it is missing, or its files are
        missing, damaged or too few.
    """
    source = _known(name)
    if source.read is None:
        what = "bundled: nothing to import" if source.bundled else f"fetched: type '{how(name)}'"
        raise ChandelierError(f"{name} is {what}")
    if not path.exists():
        raise ChandelierError(f"{path} is not there: get {source.origin}")
    progress(f"reading {name}: {path}")
    try:
        arrays = source.read(path)
    except OSError as error:
        raise ChandelierError(f"cannot read {error.filename or path}: {error.strerror or error}") from None
    return _keep(name, arrays, cache, progress)


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        (images / 16).astype(np.float32), labels.astype(np.int64), test_size=0.2, stratify=labels, random_state=0
    )
    return Dataset("digits", x_train, y_train, x_test, y_test, image_shape=(8, 8, 1))


def load(spec: str, cache: Path | None = None) -> Dataset:
    """The data set called ``spec``, or in the file ``spec`` if that ends in ``.npz``; ``cache`` as for :func:`get`.

    Raises
    ------
    ChandelierError
        If there is no such set, it has not been fetched, or it is damaged.
    """
    if spec.endswith(".npz"):
        return read_npz(Path(spec))
    if _known(spec).bundled:
        return _digits()
    if not is_available(spec, cache):
        raise ChandelierError(f"data set {spec} is not here: type '{how(spec)}'")
    try:
        arrays = read_arrays(_cached(spec, cache))
    except ChandelierError as error:
        raise ChandelierError(f"{error}: type '{how(spec)}'") from None
    _verify(spec, arrays)
    derive = DATASETS[spec].derive
    return from_arrays(spec, derive(arrays) if derive else arrays)
