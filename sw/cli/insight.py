"""Verbs that show what a network does, and search for the best one: info, report, explore."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from quant.errors import ChandelierError
from quant.files import write_json
from quant.network_file import load_network
from sw.cli.folding import chosen_activity, chosen_foldings
from sw.cli.options import (
    JsonFile,
    NetworkFile,
    NeuronLanes,
    PopulationLanes,
    Scheduler,
    SynapseLanes,
    TargetCycles,
    Workers,
    completion,
    data_set_names,
)
from sw.cli.root import app
from sw.console import console, key_value_table, progress_bars, progress_line
from sw.shipped import chosen_file, shipped_studies


@app.command("info")
def info_command(
    network: NetworkFile,
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set, or a .npz: shows what its test samples make the network do.",
            autocompletion=completion(data_set_names),
        ),
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="How many of them, from the first on, or *all*. [default: 100 at most]")
    ] = None,
    energy: Annotated[
        str | None, typer.Option(help="pJ of an addition, a narrow and a wide product, a bit: see docs/cli.md.")
    ] = None,
    json_file: JsonFile = None,
    target_cycles: TargetCycles = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
) -> None:
    """Show layers, formats of every intermediate, table, memory, and predicted cycles.

    With *--data*, also the activity, the exact cycles of every sample, operations, memory reads and an estimate of
    energy, from the golden model: nothing is simulated.
    """
    from sw.info import network_tables

    integers = load_network(network)
    for option, value in (("--samples", samples), ("--energy", energy), ("--json", json_file)):
        if value is not None and data is None:
            raise ChandelierError(f"{option} needs --data")
    lanes = (synapse_lanes, population_lanes, neuron_lanes)
    chosen = data is not None or target_cycles is not None or any(lanes)
    activity = chosen_activity(integers, target_cycles, None, data)
    foldings = chosen_foldings(integers, target_cycles, *lanes, activity=activity) if chosen else None
    assert foldings != "spatial"
    measured = None
    if data is not None and foldings is not None:
        from sw.activity import measure, parse_energies

        with progress_bars() as progress:
            measured = measure(
                *(integers, data, samples),
                foldings=foldings,
                energies=parse_energies(energy),
                progress=lambda done, total: progress("cycles", done, total, ""),
            )
        if json_file is not None:
            measured.write_json(json_file)
    for table in network_tables(integers, foldings, measured):
        console.print(table)


@app.command("report")
def report_command(
    target: Annotated[
        Path, typer.Argument(metavar="RUN-or-NET", help="The folder of a run, *runs/NAME*, or an integer network.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    data: Annotated[
        str | None, typer.Option(help="A data set, or a .npz; its test half is used. [default: the run's]")
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Test samples whose signals are looked at, or *all*. [default: 100 at most]")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="The test sample that is drawn. [default: where cosim found a difference, or 0]")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Also simulate the design with that sample.")] = False,
    rtl: Annotated[Path | None, typer.Option(help="What *rtl* wrote. [default: build, if it is there]")] = None,
    synthesis: Annotated[
        Path | None, typer.Option(help="What *synth* wrote. [default: synthesis, if it is there]")
    ] = None,
) -> None:
    """Put everything that is known of a network on one page: training, accuracy, spikes, cycles, area.

    The page is one file that opens without a network. What was not measured it names with the command that does it.
    Needs the extra *report*.
    """
    from quant.optional import optional

    for module in ("jinja2", "matplotlib"):
        optional(module, "'chandelier report'", "chandelier[report]")
    from sw.report import write_report

    missing = write_report(
        *(target, output),
        data=data,
        samples=samples,
        sample=sample,
        simulate=simulate,
        rtl=rtl,
        synthesis=synthesis,
        say=progress_line,
    )
    rows: dict[str, object] = {"page": output, "size": f"{output.stat().st_size:,} bytes"}
    rows |= {f"missing: {part.what}": part.command for part in missing}
    console.print(key_value_table(f"{target}", rows))


@app.command("explore")
def explore_command(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY.toml",
            help="See docs/explore.md; or the name of one that comes along, like *digits*.",
            autocompletion=completion(shipped_studies),
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="[default: studies/NAME]")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of several machines: postgresql+psycopg://USER@HOST/DB. [default: study.db in the folder]",
        ),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    json_file: JsonFile = None,
) -> None:
    """Search for the best designs: trade accuracy against area, speed and energy, and end with those that none beats.

    Interrupt it at any time: the same command goes on. *studies/NAME/front* then has a configuration for each design,
    with the commands that make it. Needs the extra *explore*.
    """
    from sw.cluster import cluster
    from sw.config import loaded
    from sw.explore import explore
    from sw.front import as_json, front_tables, write_front
    from sw.study import Study

    chosen, begun = loaded(Study, chosen_file(study, shipped_studies())), time.monotonic()
    folder = output or Path("studies") / chosen.name
    processes = os.cpu_count() if workers is None and scheduler is None else workers
    with progress_bars() as progress, cluster(processes, scheduler) as machines:
        trials, front = explore(chosen, folder, machines, progress, url=storage)
    write_front(chosen, folder, trials, front)
    if json_file is not None:
        write_json(json_file, as_json(chosen, trials, front, time.monotonic() - begun))
    console.print(*front_tables(chosen, trials, front), sep="")
    console.print(f"next: chandelier train {folder}/front/{chosen.name}-N.toml; or look at {folder}/front.svg")
