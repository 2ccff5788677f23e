"""Verbs that generate hardware, check it and measure it: rtl, cosim, synth."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from quant.network_file import load_network
from sw.cli.folding import chosen_activity, chosen_foldings
from sw.cli.options import (
    Fold,
    FoldOption,
    JsonFile,
    NetworkFile,
    NeuronLanes,
    PlacerOption,
    PopulationLanes,
    RipUpOption,
    Samples,
    Scheduler,
    ShellKind,
    SynapseLanes,
    TargetCycles,
    TestData,
    Weights,
    WeightsOption,
    Workers,
    completion,
    data_set_names,
    device_names,
)
from sw.cli.root import app
from sw.console import console, key_value_table, progress_bars

if TYPE_CHECKING:
    from hw.cycles import Prediction
    from hw.folding import Foldings
    from sw.cluster import Cluster


@app.command("rtl")
def rtl_command(
    network: NetworkFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder; made, or an earlier design in it replaced.")
    ] = Path("build"),
    shell: Annotated[
        ShellKind, typer.Option(help="*axi*: AXI4-Stream, AXI4-Lite and a packaging script around it: docs/axi.md.")
    ] = ShellKind.NONE,
    fold: FoldOption = Fold.EVENTS,
    weights: WeightsOption = Weights.FIXED,
    target_cycles: TargetCycles = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="The fastest lanes that fit it, found by synthesis in minutes: ecp5-25f | ecp5-85f | ...",
            autocompletion=completion(device_names),
        ),
    ] = None,
    clock: Annotated[float, typer.Option(min=1e-3, help="MHz, for the images/s that --device prints.")] = 100.0,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set, or .npz: measures the activity for --target-cycles or --device there.",
            autocompletion=completion(data_set_names),
        ),
    ] = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
) -> None:
    """Generate plain Verilog-2005 with its memory images, file list, and a manifest with hashes and the interface."""
    from hw.axi_rtl import AXI, write_axi
    from hw.folding import slowest_stage
    from hw.rtl import write_rtl

    integers = load_network(network)
    if data is not None and target_cycles is None and device is None:
        raise ChandelierError("--data needs --target-cycles or --device")
    activity = chosen_activity(integers, target_cycles, device, data)
    lanes, fit = (synapse_lanes, population_lanes, neuron_lanes), None
    if device is None:
        foldings = chosen_foldings(integers, target_cycles, *lanes, fold=fold, activity=activity)
    elif fold is Fold.SPATIAL or target_cycles is not None or any(lane is not None for lane in lanes):
        raise ChandelierError(f"--device {device} chooses the lanes: leave --fold, --target-cycles and lanes out")
    elif weights is Weights.LOADABLE:
        raise ChandelierError(f"--device {device} counts fixed weights: with --weights loadable, choose the lanes")
    else:
        from sw.synth import fit_device

        with progress_bars() as progress:
            fit = fit_device(integers, device, activity, progress)
        foldings = fit.foldings
    write = write_rtl if shell is ShellKind.NONE else write_axi
    manifest = write(integers, output, foldings=foldings, loadable=weights is Weights.LOADABLE)
    rows = {name: f"{(output / name).stat().st_size:,} bytes" for name in manifest.files}
    if fit is not None:
        rows |= {kind: str(usage) for kind, usage in fit.usage.items()}
        rows["limit"] = fit.limit
        rows["speed"] = f"{clock * 1e6 / fit.cycles:,.0f} images/s at {clock:g} MHz"
    if manifest.load is not None:
        rows["weights"] = f"loadable: an image has {4 * manifest.load.image_words:,} bytes"
    if manifest.timing is not None:
        rows["cycles"] = f"{manifest.timing.interval} from sample to sample, {manifest.timing.latency} to a result"
    if foldings != "spatial":
        rows["lanes"] = "; ".join(f"{f.synapse_lanes}, {f.population_lanes}, {f.neuron_lanes}" for f in foldings)
        cycles, layer, stage = slowest_stage(integers, foldings, activity)
        assumed = "15 % of all inputs not zero" if activity is None else f"the activity on {data}"
        rows["slowest stage"] = f"{stage} of layer {layer}, {cycles:.0f} cycles a sample with {assumed}"
    top = manifest.top
    if shell is ShellKind.AXI:
        top, rows["shell"] = AXI, f"{AXI}.v; for Vivado package_ip.tcl; registers.md"
    console.print(key_value_table(f"{output}: top module {top}", rows))


def _workers(workers: int | None, scheduler: str | None) -> "AbstractContextManager[Cluster | None]":
    """Workers of a cluster, if any are asked for."""
    from sw.cluster import cluster

    return nullcontext() if workers is None and scheduler is None else cluster(workers, scheduler)


@app.command("cosim")
def cosim_command(
    network: NetworkFile,
    data: TestData,
    samples: Samples = None,
    stalls: Annotated[float, typer.Option(help="Probability of a stall a cycle, at the source and at the sink.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the stalls.")] = 0,
    waves: Annotated[
        Path | None,
        typer.Option(help="Also write a waveform of the first sample, .fst or .vcd, and views for GTKWave and Surfer."),
    ] = None,
    fold: FoldOption = Fold.EVENTS,
    weights: WeightsOption = Weights.FIXED,
    target_cycles: TargetCycles = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    json_file: JsonFile = None,
) -> None:
    """Co-simulate the generated Verilog (cocotb, Verilator) against the golden model: every signal, bit by bit.

    Ends with exit code 1 and the first difference, if there is one. If there is none, a wrong synapse, bias and
    reciprocal are planted in copies of the design, each of which must make a difference. What came of it is kept in
    *NAME.cosim.json*, beside the network, for *chandelier report*.
    """
    from sw.cosim import CosimRecord, cosimulate_network, record_path, report_rows, require_caught

    integers = load_network(network)
    activity = chosen_activity(integers, target_cycles, None, data)
    foldings = chosen_foldings(
        integers, target_cycles, synapse_lanes, population_lanes, neuron_lanes, fold=fold, activity=activity
    )
    design: dict[str, Any] = {"foldings": foldings, "loadable": weights is Weights.LOADABLE}
    design |= {"stalls": stalls, "seed": seed}
    with _workers(workers, scheduler) as cluster, progress_bars() as progress:
        result, controls = cosimulate_network(
            integers, data, samples, waves=waves, cluster=cluster, progress=progress, **design
        )
    console.print(key_value_table(f"{integers.name} on {data}", report_rows(result, controls)))
    record = CosimRecord.of(integers, data, result, controls, **design)
    for path in (record_path(network), json_file):
        if path is not None:
            record.write_json(path)
    if not result.passed:
        raise typer.Exit(1)
    require_caught(controls)


def _prediction(
    network: IntegerNetwork, foldings: "Foldings", events: str | None, data: str | None
) -> "Prediction | None":
    """What the cycle models say of mean events, or of a few samples of a data set; nothing without either."""
    if events is None and data is None:
        return None
    if events is not None and data is not None:
        raise ChandelierError("--events and --data both say how active the network is: give one of them")
    if foldings == "spatial":
        option = "--events" if data is None else "--data"
        raise ChandelierError(f"{option} does not go with --fold spatial: its cycles are always the same")
    if events is not None:
        from hw.cycles import predict_cycles
        from sw.synth import parse_events

        return predict_cycles(network, foldings, parse_events(events))
    from sw.activity import measure

    return measure(network, str(data), None, foldings=foldings).prediction


@app.command("synth")
def synth_command(
    network: NetworkFile,
    device: Annotated[
        str,
        typer.Option(
            help="ecp5-25f | ecp5-85f | ice40-up5k | ...: see docs/synthesis.md.",
            autocompletion=completion(device_names),
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for design, logs and report; made, or replaced.")
    ] = Path("synthesis"),
    seeds: Annotated[str, typer.Option(help="Placements: a number of them, or their seeds: 1,2,3.")] = "1",
    clock: Annotated[float, typer.Option(help="MHz that the router aims at.")] = 100.0,
    placer: PlacerOption = "heap",
    rip_up: RipUpOption = False,
    events: Annotated[
        str | None, typer.Option(help="Mean events a time step, of the input and each layer: 103.5,28; gives images/s.")
    ] = None,
    json_file: JsonFile = None,
    fold: FoldOption = Fold.EVENTS,
    weights: WeightsOption = Weights.FIXED,
    target_cycles: TargetCycles = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set, or .npz: measures the activity, and gives images/s.",
            autocompletion=completion(data_set_names),
        ),
    ] = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
) -> None:
    """Synthesise, place and route the generated Verilog: area, clock and worst path on a device.

    yosys and nextpnr are taken from the PATH, or from the wheels of the extra *synth*. Minutes for a large network.
    """
    from hw.devices import Routing
    from sw.synth import REPORT_FILE, parse_seeds, synthesis_table, synthesise_network, write_json

    integers = load_network(network)
    activity = chosen_activity(integers, target_cycles, None, data)
    foldings = chosen_foldings(
        integers, target_cycles, synapse_lanes, population_lanes, neuron_lanes, fold=fold, activity=activity
    )
    prediction = _prediction(integers, foldings, events, data)
    chosen = parse_seeds(seeds)
    with progress_bars() as progress:
        report = synthesise_network(
            integers,
            output,
            device=device,
            foldings=foldings,
            loadable=weights is Weights.LOADABLE,
            seeds=chosen,
            clock=clock,
            routing=Routing(placer, rip_up),
            progress=progress,
        )
    for path in (output / REPORT_FILE, json_file):
        if path is not None:
            write_json(report, prediction, path)
    console.print(synthesis_table(report, prediction))
