"""Verbs to begin with: demo, doctor, data."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from quant.files import write_json
from sw.cli.options import JsonFile, completion, data_set_names
from sw.cli.root import app, data_app
from sw.console import console, key_value_table, progress_line


@app.command("demo")
def demo_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that it makes.")] = Path("demo"),
) -> None:
    """The whole path on the bundled digits: train, quantize, export, rtl, and cosim of every test image."""
    from sw.demo import demo

    demo(output)


@app.command("doctor")
def doctor_command(json_file: JsonFile = None) -> None:
    """Check that everything that each verb needs is here, and say what to type if not."""
    from sw.doctor import diagnose, doctor_table

    findings = diagnose()
    if json_file is not None:
        write_json(json_file, [asdict(finding) for finding in findings])
    console.print(doctor_table(findings))
    if not all(finding.ok or finding.extra for finding in findings):
        raise typer.Exit(1)


@data_app.command("list")
def data_list_command() -> None:
    """List the data sets, and whether they are here."""
    from sw.data import DATASETS, how, is_available

    rows: dict[str, object] = {}
    for name, record in DATASETS.items():
        here = "bundled" if record.bundled else "here" if is_available(name) else how(name)
        rows[name] = f"{record.description}; {record.licence} ({here})"
    rows["FILE.npz"] = "your own: x_train, y_train, x_test, y_test"
    console.print(key_value_table("data sets", rows))


@data_app.command("get")
def data_get_command(
    name: Annotated[str, typer.Argument(help="See *chandelier data list*.", autocompletion=completion(data_set_names))],
) -> None:
    """Fetch a data set, verify it, and keep it in the cache."""
    from sw.data import get

    path = get(name, progress=progress_line)
    console.print(f"{path or f'{name} is bundled: nothing to fetch'}", soft_wrap=True)


@data_app.command("import")
def data_import_command(
    name: Annotated[str, typer.Argument(help="See *chandelier data list*.", autocompletion=completion(data_set_names))],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder or archive, as published.")],
) -> None:
    """Read a data set that has to be brought from its files, verify it, and keep it in the cache."""
    from sw.data import bring

    console.print(f"{bring(name, path, progress=progress_line)}", soft_wrap=True)
