"""Writing files so that nothing half-written is ever left where a good one was."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from quant.errors import ChandelierError

__all__ = ["replacing", "replacing_directory"]


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turns what an operating system says (full disk, no permission) into one clear line about ``path``."""
    try:
        yield
    except OSError as error:
        raise ChandelierError(f"cannot write {path}: {error.strerror or error}") from error
    except SafetensorError as error:  # what its writer makes of a full disk
        raise ChandelierError(f"cannot write {path}: {error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it takes the place of ``path`` in one step.

    On any exception, an interrupt included, the temporary file is removed and ``path`` stays as it was.

    Raises
    ------
    ChandelierError
        If the file system refuses (full disk, no permission, no such folder).
    """
    with _refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o644)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Like :func:`replacing`, for a folder: what is written under the yielded path replaces ``path`` as a whole."""
    with _refusing(path):
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
