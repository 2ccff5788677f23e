"""Mutants are killed, and the design that they are made of is not: the harness of ``make mutants`` in small."""

from pathlib import Path

import pytest

from tests.random_networks import random_codes
from tests.sim.mutants import DESIGNS, Outcome, netlist_outcomes, planted_outcomes, table
from tests.sim.planted_mutants import PLANTED, planted
from tests.sim.random_designs import LIVELY

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


def test_mutants_of_a_netlist_are_tried(tmp_path: Path) -> None:
    outcomes = netlist_outcomes(tmp_path, ["dense28"], count=4, seed=1, trials=[(random_codes, 20, 0.3)])
    assert len(outcomes) == 4
    assert any(outcome.killed_by for outcome in outcomes), outcomes


def test_a_planted_mistake_is_found(tmp_path: Path) -> None:
    (mistake,) = (m for m in PLANTED if m.component == "FloorStabiliser")
    (outcome,) = planted_outcomes(tmp_path, [mistake], seed=1)
    assert outcome.killed_by == "divisor of layer 0"


@pytest.mark.parametrize("mistake", PLANTED, ids=lambda m: f"{m.component}-{m.kind}")
def test_every_mistake_can_still_be_planted(mistake: object) -> None:
    with planted(mistake):  # type: ignore[arg-type]
        pass


def test_the_regression_knows_every_design_with_a_mistake() -> None:
    assert {mistake.design for mistake in PLANTED} | set(DESIGNS) <= set(LIVELY)


def test_the_table_counts() -> None:
    outcomes = [
        Outcome("dense1", "LIFCore", "inv", "here", "v of layer 0"),
        Outcome("dense1", "LIFCore", "inv", "there", None),
        Outcome("dense1", "Replay", "const0", "there", None, equivalent=True),
    ]
    assert table(outcomes, lambda outcome: outcome.component, "component").splitlines()[2:] == [
        "| LIFCore | 2 | 1 | 0 | 1 |",
        "| Replay | 1 | 0 | 1 | 0 |",
        "| all | 3 | 1 | 1 | 1 |",
    ]
