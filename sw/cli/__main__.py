"""``python -m sw.cli`` is the command ``chandelier``."""

from sw.cli import main

main()
