"""The command line: one verb for each thing that a user does. ``chandelier --help`` is the way in.

Torch, Amaranth and cocotb are imported by the verbs that need them: --help takes no second.
"""

import warnings

from sw.cli.root import app

# Each registers its verbs, which --help shows in this order.
# isort: off
from sw.cli import networks, hardware, boards, insight, start  # noqa: F401

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the ``chandelier`` command."""
    # Of Amaranth, for those who write components: that one was made, and not elaborated. Some verbs only look at them.
    warnings.filterwarnings("ignore", message=r".* created but never used")
    app(prog_name="chandelier")
