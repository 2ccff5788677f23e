"""The parts that a report is made of, and the page that they become."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from itertools import count
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["Chart", "Charts", "Diagram", "Engine", "Missing", "Page", "Part", "Section", "Stage", "Table", "Tile"]


@dataclass(frozen=True)
class Chart:
    """An SVG of ``sw.report.charts``, which is put into the page as it is, and how to read it."""

    svg: str
    caption: str = ""

    def markup(self, number: int) -> Markup:
        """What the template takes for HTML; nothing else in a report is. Ids are those of the chart of that number."""
        return Markup(re.sub(r'( id="|url\(#|href="#)', rf"\1c{number}-", self.svg))


@dataclass(frozen=True)
class Charts:
    """Some charts side by side, under a heading."""

    kind: ClassVar = "charts"
    charts: Sequence[Chart]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of each is its name."""

    kind: ClassVar = "table"
    rows: Sequence[Sequence[object]]
    head: Sequence[object] = ()
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Missing:
    """What was not measured, and the command that does it."""

    kind: ClassVar = "missing"
    what: str
    command: str


@dataclass(frozen=True)
class Stage:
    """A component: its name, its lanes in words, and the bits of the stream that leaves it."""

    name: str
    lanes: str
    bits: int


@dataclass(frozen=True)
class Engine:
    """A layer of a block diagram."""

    name: str
    about: str
    stages: Sequence[Stage]


@dataclass(frozen=True)
class Diagram:
    """A network as its engines; ``bits`` are those of its input stream."""

    kind: ClassVar = "diagram"
    bits: int
    engines: Sequence[Engine]
    caption: str = ""


Part = Charts | Table | Missing | Diagram


@dataclass(frozen=True)
class Section:
    """A chapter of the page."""

    id: str
    title: str
    text: str = ""
    parts: Sequence[Part] = ()


@dataclass(frozen=True)
class Tile:
    """A figure at the head of the page."""

    name: str
    value: str
    note: str = ""
    bad: bool = False


@dataclass(frozen=True)
class Page:
    """A whole report; what it says about itself is in ``about``."""

    title: str
    lead: str
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = field(default=())
    about: Sequence[str] = ()

    @property
    def missing(self) -> list[Missing]:
        """What no section could show, once for each command."""
        by_command: dict[str, list[str]] = {}
        for part in (part for section in self.sections for part in section.parts):
            if isinstance(part, Missing):
                by_command.setdefault(part.command, []).append(part.what)
        return [Missing(", ".join(what), command) for command, what in by_command.items()]

    def html(self) -> str:
        """The page: a single file that refers to no other. Whatever is not a chart is escaped."""
        loader = PackageLoader("sw.report", "")
        environment = Environment(
            loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
        )
        style = Markup(files("sw.report").joinpath("style.css").read_text(encoding="utf-8"))
        return environment.get_template("page.html").render(page=self, style=style, number=partial(next, count()))
