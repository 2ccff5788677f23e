"""How the command line talks: progress bars with rate and time left, tables, and one clear line for an error."""

import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from quant.errors import ChandelierError

__all__ = [
    "Update",
    "console",
    "exit_on_error",
    "ignore_unused_components",
    "key_value_table",
    "progress_bars",
    "progress_line",
]

#: Results go to standard output, progress and errors to standard error.
# Names of files and data sets are in what is printed: none of it is markup.
console = Console(markup=False, emoji=False)
_stderr = Console(stderr=True, markup=False, emoji=False)

#: ``update(name, done, total, figures)``: one bar per name.
Update = Callable[[str, int, int, str], None]


class _Rate(TextColumn):
    """Units a second, from the start of the bar."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: object) -> object:  # type: ignore[override]
        speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
        return f"{speed:.3g}/s" if speed else ""


@contextmanager
def progress_bars() -> Iterator[Update]:
    """Yields a function that makes and moves bars by name."""
    # In a narrow terminal the bar becomes shorter, and nothing else.
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        _Rate(),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("left"),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[figures]}"),
    )
    progress, tasks = Progress(*columns, console=_stderr), dict[str, TaskID]()
    try:

        def update(name: str, done: int, total: int, figures: str = "") -> None:
            progress.start()  # not before there is something to show: an error is a single line
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total, figures="")
            progress.update(tasks[name], completed=done, total=total, figures=figures)

        yield update
    finally:
        if tasks:
            progress.stop()


def progress_line(text: str) -> None:
    """Says what begins now, on standard error."""
    _stderr.print(text, soft_wrap=True)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turns what a user can cause into one line on standard error: exit code 2, or 130 for an interrupt."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except ChandelierError as error:
        _stderr.print(f"error: {error}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        _stderr.print("interrupted: nothing half-written was left; the same command starts or goes on again")
        sys.exit(130)


def ignore_unused_components() -> None:
    """No more word of Amaranth, in this process, that a component was made and not elaborated: some verbs only look."""
    warnings.filterwarnings("ignore", message=r".* created but never used")


def key_value_table(title: str, rows: Mapping[str, object]) -> Table:
    """A table of two columns."""
    table = Table(title=Text(title), show_header=False, title_justify="left")
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(Text(key), Text(str(value)))
    return table
