"""Packages that only some data sets and verbs need, imported when they are."""

import importlib
from types import ModuleType

from quant.errors import ChandelierError

__all__ = ["optional"]


def optional(module: str, what: str, *packages: str) -> ModuleType:
    """The module, which ``packages`` bring and ``what`` needs.

    Raises
    ------
    ChandelierError
        If it cannot be imported; the line says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        command = f"pip install {' '.join(packages)}"
        raise ChandelierError(f"{what} needs {module}, which is not here ({error}): type '{command}'") from None
