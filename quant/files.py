"""Writing files so that nothing half-written is ever left where a good one was; and where the cache is."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path
from safetensors import SafetensorError

from quant.errors import SetupError

__all__ = ["cache_folder", "is_folder", "refusing", "replacing", "replacing_directory", "write_json"]


def cache_folder() -> Path:
    """Where data sets and simulator builds are kept: ``$CHANDELIER_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("CHANDELIER_CACHE")
    return Path(chosen).absolute() if chosen else user_cache_path("chandelier")


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; what cannot be a path at all is refused.

    Raises
    ------
    SetupError
        If the operating system does not take the path: a name that is too long, or no permission.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turns what an operating system says (full disk, no permission) into one clear line about ``path``."""
    try:
        yield
    except OSError as error:
        raise SetupError(f"cannot write {path}: {error.strerror or error}") from error
    except SafetensorError as error:  # what its writer makes of a full disk
        raise SetupError(f"cannot write {path}: {error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it takes the place of ``path`` in one step.

    On any exception, an interrupt included, the temporary file is removed and ``path`` stays as it was.

    Raises
    ------
    ChandelierError
        If the file system refuses (full disk, no permission, no such folder).
    """
    with refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)  # at the end: a writer may have made the file anew
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, plain: object) -> None:
    """Writes plain values as ``path``, as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def _refuse_foreign(path: Path, own: str) -> None:
    if path.exists() and not path.is_dir():
        raise SetupError(f"{path} is a file, and a folder is to be written: choose another path")
    for entry in sorted(path.iterdir()) if path.exists() else []:
        if not entry.is_file() or re.fullmatch(own, entry.name) is None:
            raise SetupError(f"{path} holds {entry.name}, which would be lost: choose a new or an empty folder")


@contextmanager
def replacing_directory(path: Path, own: str) -> Iterator[Path]:
    """Like :func:`replacing`, for a folder: what is written under the yielded path replaces ``path`` as a whole.

    Parameters
    ----------
    own : str
        Regular expression of the names of files that may be replaced.

    Raises
    ------
    ChandelierError
        If the file system refuses, ``path`` is a file, or it holds anything else.
    """
    path = path.resolve()  # of a link, the folder behind it
    with refusing(path):
        _refuse_foreign(path, own)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        temporary.chmod(0o755)
        previous = temporary.with_name(temporary.name + ".previous")
        try:
            yield temporary
            if path.exists():
                path.replace(previous)
            temporary.replace(path)
        finally:
            if previous.exists() and not path.exists():
                previous.replace(path)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(previous, ignore_errors=True)
