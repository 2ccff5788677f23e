"""The worked examples of the documentation are true."""

import doctest
from pathlib import Path

import pytest

PAGES = sorted(Path(__file__).parents[1].joinpath("docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples(page: Path) -> None:
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0
    assert result.attempted or ">>>" not in page.read_text()
