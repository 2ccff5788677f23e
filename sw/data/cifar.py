"""CIFAR-10 and CIFAR-100 as published: folder or .tar.gz, python or binary format; nothing is unpacked or executed."""

import gzip
import io
import math
import pickle
import reprlib
import tarfile
import textwrap
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from quant.errors import ChandelierError

__all__ = ["read_cifar", "unpickle"]

#: Largest size of an unpacked archive, and of a file, in bytes; the published archives have 186 MB.
MOST_BYTES = 1 << 28
#: Bytes of an image: three planes, red, green and blue, of 32 rows of 32.
_PIXELS = 3 * 32 * 32
#: Files of each half, called so in the python format, and with .bin in the binary one.
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "cifar10": {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    "cifar100": {"train": ("train",), "test": ("test",)},
}
#: Key of the labels in the python format; bytes of labels in the binary one, of which the last is meant (the fine one).
_LABELS = {"cifar10": (b"labels", 1), "cifar100": (b"fine_labels", 2)}


class _Array:
    """Stands for a pickled array of bytes: keeps what it would be made from."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> np.ndarray:
        """The array; raises :class:`ValueError` or :class:`TypeError` if it is not one of bytes."""
        _, shape, dtype, fortran, data = self.state
        if not isinstance(dtype, _Type) or dtype.name not in (b"u1", "u1") or fortran or not isinstance(data, bytes):
            raise ValueError("an array in it is not one of bytes")
        if min(shape) < 0 or math.prod(shape) != len(data):
            raise ValueError(f"an array in it has the shape {reprlib.repr(shape)}, and {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape)


class _Type:
    """Stands for a pickled type of numbers."""

    def __init__(self, name: object, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: bytes have none."""


#: What pickled arrays name, and what stands for it; numpy itself is given nothing that a file says.
_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


def _shallow(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """The same step of the unpickler, which makes a tuple, but at most in two levels: a hash of many is a crash."""

    def checked(unpickler: Any) -> None:
        load(unpickler)
        for inner in unpickler.stack[-1]:
            if isinstance(inner, tuple) and any(isinstance(innermost, tuple) for innermost in inner):
                raise ValueError("tuples in tuples in tuples")

    return checked


def _steps() -> dict[int, Callable[[Any], None]]:
    """The unpickler's, by their byte."""
    steps: dict[int, Any] = dict(pickle._Unpickler.dispatch)
    del steps[pickle.BYTEARRAY8[0]]  # makes room of the size that a file says before the bytes are there
    tuples = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
    return steps | {step[0]: _shallow(steps[step[0]]) for step in tuples}


# The one in Python: that in C makes room for whatever number of memos a file says that it has.
class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar = _steps()

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _GLOBALS:
            raise ChandelierError(f"it asks for {reprlib.repr(f'{module}.{name}')}, and only arrays are read")
        return _GLOBALS[module, name]


def unpickle(data: bytes) -> dict[object, object]:
    """The dictionary in a pickle of plain values and arrays of bytes, which become :class:`_Array`.

    Raises
    ------
    ChandelierError
        If it is damaged, or names anything else than what such arrays are made of; nothing of it is executed.
    """
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except ChandelierError:
        raise
    except Exception as error:  # damaged bytes raise whatever the unpickler happens to run into
        what = textwrap.shorten(str(error) or type(error).__name__, 160, placeholder=" ...")
        raise ChandelierError(f"it is not a readable pickle: {what}") from None
    if not isinstance(found, dict):
        raise ChandelierError(f"it holds a {type(found).__name__}, not a dictionary")
    return found


def _from_python(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images (samples, 3072) and labels (samples,) of one file."""
    found, key = unpickle(data), _LABELS[name][0]
    pixels, labels = found.get(b"data"), found.get(key)
    if not isinstance(pixels, _Array):
        raise ChandelierError("it has no array 'data'")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise ChandelierError(f"it has no list '{key.decode()}' of labels in 0..255")
    try:
        return pixels.value().reshape(-1, _PIXELS), np.array(labels, np.uint8)
    except (TypeError, ValueError) as error:
        raise ChandelierError(textwrap.shorten(str(error), 160, placeholder=" ...")) from None


def _from_binary(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images (samples, 3072) and labels (samples,) of one file."""
    count = _LABELS[name][1]
    if len(data) % (count + _PIXELS):
        raise ChandelierError(f"it has {len(data)} bytes, and an image with its labels {count + _PIXELS}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, count + _PIXELS)
    return rows[:, count:], rows[:, count - 1]


def _check_size(path: object, size: int) -> None:
    if size > MOST_BYTES:
        raise ChandelierError(f"{path} has {size:,} bytes, and {MOST_BYTES:,} is the limit")


def _from_folder(folder: Path, names: set[str]) -> Iterable[tuple[str, bytes]]:
    """Those of the files ``names`` that are in the folder or in one of its folders."""
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.name in names and path.is_file():
            _check_size(path, path.stat().st_size)
            yield path.name, path.read_bytes()


def _from_archive(path: Path, names: set[str]) -> Iterable[tuple[str, bytes]]:
    """Those of the files ``names`` that are in a .tar.gz, in whatever folder of it; links are none."""
    try:
        with gzip.open(path) as file:
            data = file.read(MOST_BYTES + 1)
        _check_size(f"{path}, unpacked,", len(data))
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                if (name := PurePosixPath(member.name).name) in names and member.isreg():
                    _check_size(f"{path}: {name}", member.size)
                    yield name, archive.extractfile(member).read()  # type: ignore[union-attr]
    except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
        if isinstance(error, ChandelierError):
            raise
        raise ChandelierError(f"{path} is not a readable .tar.gz: {error}") from None


def _files(path: Path, names: set[str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, data in _from_folder(path, names) if path.is_dir() else _from_archive(path, names):
        if name in files:
            raise ChandelierError(f"{path} has two files {name}: give the folder or archive that has one")
        files[name] = data
    return files


def read_cifar(name: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of ``name`` ("cifar10" or "cifar100", fine labels), bytes, in the files at ``path``.

    Images are (samples, 32, 32, 3), in the order of the files.

    Raises
    ------
    ChandelierError
        If files are missing, damaged, or too large; the line names the file.
    """
    parts = _PARTS[name]
    stems = [stem for part in parts.values() for stem in part]
    files = _files(path, {*stems, *(f"{stem}.bin" for stem in stems)})
    suffix, parse = ("", _from_python) if stems[0] in files else (".bin", _from_binary)
    for stem in stems:
        if stem + suffix not in files:
            raise ChandelierError(f"{path} holds no file {stem}: give the folder or archive of {name} as published")
    arrays: dict[str, np.ndarray] = {}
    for half, part in parts.items():
        pairs = []
        for stem in part:
            try:
                pairs.append(parse(name, files[stem + suffix]))
            except ChandelierError as error:
                raise ChandelierError(f"{path}: {stem}{suffix}: {error}") from None
        planes = np.concatenate([pixels for pixels, _ in pairs]).reshape(-1, 3, 32, 32)
        arrays[f"x_{half}"] = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        arrays[f"y_{half}"] = np.concatenate([labels for _, labels in pairs])
    return arrays
