"""What comes along with the packages: configurations, by name."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from quant.errors import ChandelierError

__all__ = ["chosen_file", "shipped_configs", "shipped_studies"]


def _shipped(pattern: str) -> dict[str, Path]:
    """Inside of this package when installed, beside it in the sources."""
    here = Path(__file__).parent
    folder = next(folder for folder in (here / "configs", here.parent / "configs") if folder.is_dir())
    return {path.stem: path for path in sorted(folder.glob(pattern))}


def shipped_configs() -> dict[str, Path]:
    """The configurations that come along, by name."""
    return _shipped("*.toml")


def shipped_studies() -> dict[str, Path]:
    """The studies that come along, by name."""
    return _shipped("studies/*.toml")


def chosen_file(given: Path, shipped: Mapping[str, Path]) -> Path:
    """The file that somebody chose by its path, or by the name of one that comes along.

    Raises
    ------
    ChandelierError
        If it is neither; the line has the names.
    """
    path = shipped.get(str(given), given)
    with suppress(OSError):  # of a path that is none: what reads the file refuses it
        if not path.exists():
            raise ChandelierError(f"{given} is not there: give the path of a .toml, or one of {', '.join(shipped)}")
    return path
