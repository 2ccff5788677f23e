"""Units of work for clusters to do: here, where nothing is imported that takes a worker long."""

import os
import signal
from pathlib import Path

from quant.errors import ChandelierError

__all__ = ["die", "die_once", "fail"]


def die(_shared: object) -> None:
    """Kills its worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(folder: str, number: int) -> int:
    """The number's square; the unit 1 kills its first worker, having left a file in ``folder``."""
    first = Path(folder) / f"{number}"
    if number == 1 and not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def fail(_shared: object, number: int) -> None:
    """Ends as what a user can cause does."""
    raise ChandelierError(f"unit {number} is not to be")
