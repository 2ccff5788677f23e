"""Packages and programs that only some verbs, options and data sets need: imported when they are, and what to type."""

import importlib
import shlex
from types import ModuleType

from quant.errors import SetupError

__all__ = ["not_installed", "optional"]


def _type(packages: tuple[str, ...]) -> str:
    return f"type: pip install {shlex.join(packages)}"  # shells take the brackets of an extra for a pattern


def not_installed(what: str, *packages: str) -> SetupError:
    """The error to raise where ``what`` is not there, which ``packages`` bring (as pip takes them)."""
    return SetupError(f"{what} is not installed; {_type(packages)}")


def optional(module: str, what: str, *packages: str) -> ModuleType:
    """The module, which ``packages`` bring (as pip takes them, like ``chandelier[explore]``) and ``what`` needs.

    Raises
    ------
    SetupError
        If it cannot be imported; the line says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SetupError(f"{what} needs {module}, which is not here ({error}); {_type(packages)}") from None
