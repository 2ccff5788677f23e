"""The command line: one verb for each thing that a user does. ``chandelier --help`` is the way in.

Torch, Amaranth and cocotb are imported by the verbs that need them: --help takes no second.
"""

from sw.cli.root import app
from sw.console import ignore_unused_components

# Each registers its verbs, which --help shows in this order.
# isort: off
from sw.cli import networks, hardware, boards, insight, start  # noqa: F401

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the ``chandelier`` command."""
    ignore_unused_components()
    app(prog_name="chandelier")
