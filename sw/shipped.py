"""What comes along with the packages: configurations, by name."""

from pathlib import Path

__all__ = ["shipped_configs", "shipped_studies"]


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
