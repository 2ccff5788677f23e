"""Cells of a netlist find the component that they belong to."""

import json
from pathlib import Path

from hw.netlist import OTHERS, cells_by_stage


def test_cells_are_counted_where_their_names_say(tmp_path: Path) -> None:
    names = {
        "design.layer0.accumulator.row.weights_DP16KD": "DP16KD",
        "design.layer0.accumulator__valid_LUT4_Z": "LUT4",
        "design.layer0.lif.v_TRELLIS_FF_Q_1": "TRELLIS_FF",
        "design.layer0.lif.v_TRELLIS_FF_Q_2": "TRELLIS_FF",
        "design.layer10.lif.v_LUT4_Z": "LUT4",
        "design.layer1.o__ready_TRELLIS_FF_Q": "TRELLIS_FF",
        "design.merge3.turn_LUT4_Z": "LUT4",
        "design.fork_input.left_LUT4_Z": "LUT4",
        "tail_TRELLIS_FF_Q": "TRELLIS_FF",
        "design.layer0": "$scopeinfo",
    }
    cells = {name: {"type": kind} for name, kind in names.items()}
    (tmp_path / "n.json").write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    found = cells_by_stage(tmp_path / "n.json", "top")
    assert list(found) == [OTHERS, "fork_input", "layer0.accumulator", "layer0.lif", "layer10.lif", "merge3"]
    assert found == {
        OTHERS: {"TRELLIS_FF": 2},
        "fork_input": {"LUT4": 1},
        "layer0.accumulator": {"DP16KD": 1, "LUT4": 1},
        "layer0.lif": {"TRELLIS_FF": 2},
        "layer10.lif": {"LUT4": 1},
        "merge3": {"LUT4": 1},
    }
