"""NIR graphs in HDF5 files, which are untrusted."""

import multiprocessing
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from quant.errors import ChandelierError
from quant.optional import optional

__all__ = ["read_graph", "require_nir"]

#: Most values that the arrays of a file may have together, and most levels of its groups.
_MOST_VALUES, _MOST_LEVELS = 1 << 28, 8
#: Seconds of processor time that reading may take.
_MOST_SECONDS = 10
#: What reading a damaged file may raise, in h5py and in nir.
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, RuntimeError)


def require_nir() -> Any:
    """The package nir.

    Raises
    ------
    SetupError
        If it is not installed.
    """
    return optional("nir", "a NIR graph", "chandelier[nir]")


def _count(group: Any, levels: int = 0) -> int:
    """Values of all arrays in a group of an HDF5 file. Links to other files and deep nests are refused."""
    import h5py

    if levels > _MOST_LEVELS:
        raise ValueError(f"its groups are nested deeper than {_MOST_LEVELS}")
    total = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
        item = group[name]
        if isinstance(item, h5py.Dataset) and item.external:
            raise ValueError(f"{name} is in another file")
        total += _count(item, levels + 1) if isinstance(item, h5py.Group) else int(item.size or 0)
        if total > _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES} values")
    return total


def _read(path: Path) -> Any:
    import h5py

    nir = require_nir()
    try:
        with h5py.File(path, "r") as file:
            _count(file)
        return nir.read(path, type_check=False)
    except _DAMAGED as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ChandelierError(f"{path} is not a NIR graph, or is damaged: {said}") from None


def _try(path: Path) -> None:
    """Reads and forgets; ends with this process, which is a copy of the one that wants to know."""
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    for deadly in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE):
        signal.signal(deadly, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with suppress(ChandelierError):  # what the reading itself will say
        _read(path)


def read_graph(path: Path) -> Any:
    """The ``nir.NIRGraph`` in the file ``path``.

    The library of HDF5, in C, ends its process on some damaged files, and takes for ever on others: a copy of the
    process reads the file first.

    Raises
    ------
    ChandelierError
        If the package nir is not installed, or the file is missing, damaged, too large, or something else.
    """
    require_nir()
    if not path.is_file():
        raise ChandelierError(f"{path} is not there")
    copy = multiprocessing.get_context("fork").Process(target=_try, args=(path,))
    copy.start()
    copy.join()
    if copy.exitcode:
        raise ChandelierError(f"{path} is not a NIR graph, or is damaged: HDF5's library does not come through it")
    return _read(path)
