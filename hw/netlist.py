"""Which component of a design the cells of its flattened netlist belong to."""

import json
import re
from collections import Counter
from pathlib import Path

__all__ = ["OTHERS", "cells_by_stage", "stage_of"]

#: What belongs to no stage of a layer, and to nothing between layers: the shell above all.
OTHERS = "elsewhere"
#: yosys names a cell by the instance it was in, or by the signal that it drives.
_STAGE = re.compile(r"(?:design\.)?(layer\d+\.[a-z]{2,}|merge\d+|fork_?\w+|loader|gate)[._]")


def stage_of(cell: str) -> str:
    """The component that a cell of a flattened netlist belongs to, by its name: ``layer0.accumulator`` and the like."""
    found = _STAGE.match(cell)
    return found[1] if found else OTHERS


def cells_by_stage(netlist: Path, top: str) -> dict[str, dict[str, int]]:
    """Cells of each type, by ``layer0.accumulator`` and the like, in the order of their names and numbers.

    Logic that stages share, or that was moved across their borders, is where yosys named it.

    Parameters
    ----------
    netlist : Path
        JSON that yosys wrote.
    top : str
        Name of the flattened module.
    """
    cells = json.loads(netlist.read_text(encoding="utf-8"))["modules"][top]["cells"]
    counts: dict[str, Counter[str]] = {}
    for name, cell in cells.items():
        if not cell["type"].startswith("$"):  # what says where a scope was is no cell
            counts.setdefault(stage_of(name), Counter())[cell["type"]] += 1
    return {stage: dict(sorted(counts[stage].items())) for stage in sorted(counts, key=_natural)}


def _natural(name: str) -> list[str | int]:
    """For sorting ``layer2`` before ``layer10``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
