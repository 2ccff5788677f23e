"""The report of ``make verify``: what failed is said first, and an old result is not taken for a new one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests import verify
from tests.verify import CHECKS, Check, Outcome, report_of, run

MUTANTS = next(check for check in CHECKS if check.result == "mutants.json")
RESULT = {"killed": 0.9625, "seed": 1, "mutants": [{}] * 80}


def test_a_failure_is_said_first() -> None:
    good = [Outcome(check, 0, 1.0, "x") for check in CHECKS]
    assert "**Everything is as asked.**" in report_of(good, "c")
    text = report_of([*good[:1], replace(good[1], code=1), *good[2:]], "c")
    assert f"**Not as asked: {CHECKS[1].what}.**" in text.splitlines()[2]
    assert all(f"python -m {' '.join(check.module)}" in text for check in CHECKS)


@pytest.mark.parametrize("source", ["raise SystemExit(3)", ""])
def test_an_old_result_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr(verify, "FOLDER", tmp_path)
    (tmp_path / "mutants.json").write_text(json.dumps(RESULT))
    (tmp_path / "check_of_a_test.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(verify.time, "time", lambda: 4e9)
    outcome = run(replace(MUTANTS, module=("check_of_a_test",)))
    assert outcome.found.startswith("no result") and bool(outcome.code) == bool(source)


def test_a_new_result_is_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "FOLDER", tmp_path)
    (tmp_path / "check_of_a_test.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'mutants.json')!r}).write_text({json.dumps(RESULT)!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = run(Check("x", "y", ("check_of_a_test",), MUTANTS.result, MUTANTS.found))
    assert (outcome.code, outcome.found) == (0, "96.2 % of 80 (seed 1)")
