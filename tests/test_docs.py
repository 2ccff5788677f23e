"""The documentation is true: its examples run, its commands exist and work, its links lead somewhere."""

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sw.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.joinpath("docs").glob("*.md"))
PROSE = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples(page: Path) -> None:
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0
    assert result.attempted or ">>>" not in page.read_text()


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def _commands(page: Path) -> Iterator[list[str]]:
    """What a reader is told to type: each `chandelier` command, in a line of its own or within a sentence."""
    text = page.read_text().replace("\\\n", " ")
    for found in re.findall(r"^    (chandelier [^\n#]*)|`(chandelier [^`]*)`", text, re.MULTILINE):
        yield shlex.split(" ".join(found).replace("...", ""))[1:]


def _meant(command: Any, words: list[str]) -> list[tuple[Any, list[str]]]:
    """The verbs that the words begin with (``rtl|cosim`` are two, ``VERB`` is any), and what follows."""
    if not hasattr(command, "commands") or not words or words[0] == "VERB" or words[0].startswith("-"):
        return [(command, words)]
    return [found for verb in words[0].split("|") for found in _meant(command.commands[verb], words[1:])]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    for words in _commands(page):
        for command, rest in _meant(typer.main.get_command(app), words):
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            for word in rest:
                options = {each.split("=")[0] for each in word.split("|")} if re.match("-[a-z-]", word) else set()
                assert options <= known, f"{command.name} {word}"


@pytest.mark.parametrize("package", ["quant", "hw", "sim", "sw"])
def test_what_docstrings_refer_to_is_on_the_site(package: str) -> None:
    for path in ROOT.joinpath(package).rglob("*.py"):
        text = path.read_text()
        known = set(re.findall(r'"(\w+)"', (re.search(r"^__all__ = \[(.*?)\]", text, re.M | re.S) or [""])[0]))
        for name in re.findall(r":(?:func|data):`([A-Za-z]\w*)`", text):
            assert name in known, f"{path}: {name}"


#: Verbs of the tutorial that need a board, or minutes; their own tests run them.
ELSEWHERE = ("bitstream", "run", "simulate-board")


@pytest.mark.slow
def test_the_tutorial_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    saved = re.search(r"Save this as `(.*)`:\n\n((?:    .*\n|\n)+)", page)
    assert saved
    monkeypatch.chdir(tmp_path)
    Path(saved[1]).write_text(re.sub(r"^    ", "", saved[2], flags=re.MULTILINE))
    lines = re.findall(r"^    chandelier (.*)$", page, re.MULTILINE)
    commands = [words for words in map(shlex.split, lines) if words[0] not in ELSEWHERE]
    verbs = ["doctor", "train", "train", "quantize", "info", "export", "rtl", "cosim"]  # the second for TensorBoard
    assert [words[0] for words in commands] == verbs
    for words in commands:
        with pytest.raises(SystemExit) as end:
            app(words, prog_name="chandelier")
        assert not end.value.code, words
    assert {"runs", "build", "first.fst"} <= {path.name for path in tmp_path.iterdir()}
    for name in re.findall(r"^\| `(\w+\.\w+)` \|", page, re.MULTILINE):
        assert (tmp_path / "build" / name).exists()
