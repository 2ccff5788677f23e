"""The command ``chandelier`` itself: one line for each error, and what its verbs are registered with."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from quant.errors import ChandelierError
from sw.console import exit_on_error

__all__ = ["app", "data_app"]


# What all usage errors are; typer may bring its own click, so that it cannot be imported by name.
_UsageError: Any = typer.BadParameter.__base__


class _OneLineErrors(TyperGroup):
    """Runs a verb such that what a user can cause, wrong usage included, ends as one line, and an interrupt, too."""

    def main(self, *args: Any, **extra: Any) -> Any:
        with exit_on_error():
            try:
                code = super().main(*args, **(extra | {"standalone_mode": False}))
            except _UsageError as error:
                said = error.format_message().rstrip(".")
                if not said:  # the help page, which has been shown
                    sys.exit(error.exit_code)
                # An option without its value comes without a context, but never without a verb before it.
                path = error.ctx.command_path if error.ctx else " ".join(["chandelier", *sys.argv[1:2]])
                raise ChandelierError(f"{said[0].lower()}{said[1:]} (type: {path} --help)") from None
        if not code and "TORCHELASTIC_RUN_ID" in os.environ:
            # One of two processes was seen to abort at its end, all work done, where a native thread was torn down.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        with exit_on_error():
            return super().invoke(ctx)


app = typer.Typer(
    name="chandelier",
    cls=_OneLineErrors,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Spiking networks with real inhibition, on real FPGAs.

    **train** → **quantize** → **export** | **rtl** → **cosim**: each verb writes what the next one takes.
    Try *chandelier train digits*, or *chandelier demo* for everything at once.""",
)
data_app = typer.Typer(no_args_is_help=True, help="List data sets, and fetch or import those that are not bundled.")
app.add_typer(data_app, name="data")
