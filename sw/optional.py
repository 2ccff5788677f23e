"""Packages that only some verbs, options and data sets need, imported when they are."""

import importlib
import shlex
from types import ModuleType

from quant.errors import SetupError

__all__ = ["optional"]


def optional(module: str, what: str, *packages: str) -> ModuleType:
    """The module, which ``packages`` bring (as pip takes them, like ``chandelier[explore]``) and ``what`` needs.

    Raises
    ------
    ChandelierError
        If it cannot be imported; the line says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        command = f"pip install {shlex.join(packages)}"
        raise SetupError(f"{what} needs {module}, which is not here ({error}); type: {command}") from None
