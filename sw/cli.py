"""The command line: one verb for each thing that a user does. ``chandelier --help`` is the way in."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from quant.errors import ChandelierError
from quant.export import FORMATS
from quant.files import replacing, write_json
from quant.network import IntegerNetwork
from quant.network_file import check_network_path, load_network, save_network
from sw.console import (
    console,
    exit_on_error,
    ignore_unused_components,
    key_value_table,
    progress_bars,
    progress_line,
)
from sw.shipped import shipped_configs, shipped_studies

# Torch, Amaranth and cocotb are imported by the verbs that need them: --help takes no second.
if TYPE_CHECKING:
    from hw.cycles import Prediction
    from hw.folding import Foldings
    from sw.cluster import Cluster

__all__ = ["app", "main"]


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


def _names(find: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell completes where a name is wanted; ``find`` is called, and imports, only when a shell asks."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in find() if name.startswith(incomplete)]

    return complete


def _boards() -> Iterable[str]:
    from hw.boards import BOARDS

    return BOARDS


def _data_sets() -> Iterable[str]:
    from sw.data import DATASETS

    return DATASETS


def _devices() -> Iterable[str]:
    from hw.devices import DEVICES

    return DEVICES


def _resets() -> Iterable[str]:
    from quant.arithmetic import Reset

    return get_args(Reset)


JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")]
TestData = Annotated[
    str,
    typer.Option(
        help="A data set (see *chandelier data list*) or a .npz; its test half is used.",
        autocompletion=_names(_data_sets),
    ),
]
Samples = Annotated[
    str | None, typer.Option(help="How many test samples, from the first on, or *all*. [default: 100 at most]")
]
NetworkFile = Annotated[Path, typer.Argument(metavar="NAME.safetensors", help="An integer network, from *quantize*.")]


@app.command("train")
def train_command(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG.toml",
            help="See configs/ and docs/tutorial.md; or the name of one that comes along, like *digits*.",
            autocompletion=_names(shipped_configs),
        ),
    ],
    runs: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="In place of the configuration's; the run is NAME-seedN.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write runs/NAME/tensorboard: figures, weights and spikes.")
    ] = False,
) -> None:
    """Train a network: floating point, then quantisation-aware, into *runs/NAME*.

    Interrupt it at any time: the same command goes on after the last epoch, to the same result.
    *runs/NAME/metrics.jsonl* has a line for every epoch.
    """
    from sw.config import load_config, with_seed
    from sw.data import load
    from sw.parallel import is_first
    from sw.training import train

    chosen = load_config(shipped_configs().get(str(config), config))
    chosen = chosen if seed is None else with_seed(chosen, seed)
    run = runs / chosen.name
    dataset = load(chosen.data.name)
    for note in dataset.notes if is_first() else ():
        progress_line(f"note: {note}")
    with ExitStack() as stack:
        observers = []
        if tensorboard and is_first():
            from sw.tensorboard import TensorBoard

            observers.append(stack.enter_context(closing(TensorBoard(chosen, dataset, run))).epoch)
        metrics = train(chosen, dataset, run, stack.enter_context(progress_bars()), *observers)
    if not is_first():
        return
    last = metrics[-1]
    rows = {f"{m['phase']} accuracy": f"{100 * m['test_accuracy']:.2f} %" for m in metrics}  # type: ignore[operator]
    rows |= {"epochs": str(len(metrics)), "training loss": f"{last['loss']:.4f}", "run": str(run)}
    console.print(key_value_table(f"{chosen.name} on {chosen.data.name}", rows))
    console.print(f"next: chandelier quantize {run}", soft_wrap=True)


@app.command("quantize")
def quantize_command(
    run: Annotated[Path, typer.Argument(metavar="runs/NAME", help="The folder of a run, from *train*.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="[default: runs/NAME/NAME.safetensors]")] = None,
    post_training: Annotated[
        bool, typer.Option("--post-training", help="From the floating-point weights, though there are better ones.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Write the integer network of a run, having checked it against the trained network on the whole test set.

    The bits are those of the configuration's [quantisation] section. A run without quantisation-aware epochs is
    quantised after training.
    """
    from sw.quantise import quantise_run

    result = quantise_run(run, output, post_training=post_training)
    rows: dict[str, object] = {
        "from": "floating-point weights, after training" if result.phase == "float" else "quantisation-aware training",
        "accuracy": f"{100 * result.accuracy:.2f} % (golden model, whole test set)",
        "floating point": "-" if result.float_accuracy is None else f"{100 * result.float_accuracy:.2f} %",
        "file": result.path,
    }
    if json_file is not None:
        write_json(json_file, result.as_json())
    console.print(key_value_table(result.network.name, rows))
    console.print(f"next: chandelier info|export|rtl|cosim {result.path}", soft_wrap=True)


@app.command("import")
def import_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A checkpoint (.pth), or the folder of a network.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="runs/NAME", help="The folder of the run.")],
    data: Annotated[
        str,
        typer.Option(
            help="The data set that it is for: see *chandelier data list*; or a .npz.",
            autocompletion=_names(_data_sets),
        ),
    ],
) -> None:
    """Make a run of a network that was trained with DeepEISNN, the paper's reference implementation.

    PATH is a checkpoint of its training (*ckpt-best.pth*) or a released folder with *model.safetensors* and
    *config.json*; MLP, VGG and ResNet of any width and depth. It is read as data: nothing in it is run. Then:
    *chandelier quantize runs/NAME* as it is, or *chandelier train runs/NAME/config.json* to fine-tune it first.
    """
    from sw.import_deepeisnn import import_deepeisnn

    config = import_deepeisnn(path, output, data)
    network = config.network
    rows: dict[str, object] = {"layers": ", ".join(map(str, network.hidden)), "time steps": network.steps}
    rows |= {"E per I neuron": network.ratio, "tau": 2**network.tau_shift, "run": output}
    console.print(key_value_table(f"{config.name} for {data}", rows))
    runs = "" if output.parent == Path("runs") else f" --runs {output.parent}"
    console.print(f"next: chandelier quantize {output}", soft_wrap=True)
    console.print(f"or:   chandelier train {output / 'config.json'}{runs}", soft_wrap=True)


@app.command("import-nir")
def import_nir_command(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH.nir", help="A chain of layers, from snnTorch, Norse, ...")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="NAME.safetensors", help="The integer network.")],
    steps: Annotated[int, typer.Option(help="Time steps a sample.")],
    dt: Annotated[float, typer.Option(help="The time step, in the unit of the graph's tau.")] = 1e-4,
    reset: Annotated[
        str, typer.Option(help="What a spike does: zero | subtract | delayed.", autocompletion=_names(_resets))
    ] = "zero",
    static: Annotated[bool, typer.Option("--static", help="The same input at every step, not a sequence.")] = False,
    input_bits: Annotated[int, typer.Option(help="Of an input code; codes stand for 0..1.")] = 8,
    synapse_bits: Annotated[int, typer.Option(help="2..8, signed.")] = 8,
) -> None:
    """Make the integer network of a NIR graph, quantised as it is: without inhibition, with signed synapses.

    What the nodes mean at a discrete time step, and which option fits which library: docs/nir.md.
    """
    from quant.quantisers import Scheme
    from sw.import_nir import NIROptions, import_nir

    check_network_path(output)
    kind = "static" if static else "sequence"
    options = NIROptions(steps, dt, reset, kind, input_bits, Scheme(synapse_bits=synapse_bits))  # type: ignore[arg-type]
    network = import_nir(graph, output.stem, options)
    save_network(network, output)
    layers = ", ".join(f"{layer.n_e}" for layer in network.layers)
    console.print(key_value_table(f"{graph}", {"layers": layers, "time steps": steps, "file": output}))
    console.print(f"next: chandelier info|export|rtl|cosim {output}", soft_wrap=True)


def _export_nir(network: IntegerNetwork, path: Path) -> None:
    from sw.export_nir import export_nir

    export_nir(network, path)


#: The exports of ``quant``, and the one that needs a package of its own. ``load`` is for a design, and of its own.
_EXPORTS = FORMATS | {"nir": (".nir", _export_nir)}


def _export_load(network: IntegerNetwork, design: Path | None, path: Path) -> None:
    from hw.load_image import load_image
    from hw.manifest import FILE_NAME, Manifest

    if design is None:
        raise ChandelierError("--format load needs --for, the folder of the design: 'chandelier rtl' writes one")
    folder = design.parent if design.name == FILE_NAME else design
    image = load_image(network, Manifest.read(folder))
    with replacing(path) as temporary:
        temporary.write_bytes(image)


@app.command("export")
def export_command(
    network: NetworkFile,
    fmt: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help=" | ".join([*_EXPORTS, "load"]),
            autocompletion=_names(lambda: [*_EXPORTS, "load"]),
        ),
    ] = "npz",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="[default: beside the network]")] = None,
    design: Annotated[
        Path | None, typer.Option("--for", metavar="build", help="Of *load*: the design, its folder or manifest.")
    ] = None,
) -> None:
    """Export the integers: *mem* (a folder of $readmemh images), *npz*, *c-header*, or *json*; or a graph: *nir*.

    *load* is what fills a design of the same or a larger shape, made by *rtl --weights loadable*, with the network.
    """
    exports = _EXPORTS | {"load": (".load", lambda network, path: _export_load(network, design, path))}
    if fmt not in exports:
        raise ChandelierError(f"--format must be one of {', '.join(exports)}, not {fmt}")
    if design is not None and fmt != "load":
        raise ChandelierError(f"--for {design} goes with --format load only, not with {fmt}")
    suffix, write = exports[fmt]
    integers = load_network(network)
    path = output or network.with_name(integers.name + suffix)
    if path.resolve() == network.resolve():
        raise ChandelierError(f"--output is the network file {network} itself: choose another path")
    write(integers, path)
    console.print(f"{path}", soft_wrap=True)


class Weights(StrEnum):
    """Where the weights of a design are."""

    FIXED = "fixed"
    LOADABLE = "loadable"


class Fold(StrEnum):
    """What a design is made of: lanes that take event by event, or a wire for each synapse."""

    EVENTS = "events"
    SPATIAL = "spatial"


class ShellKind(StrEnum):
    """What a design is put into."""

    NONE = "none"
    AXI = "axi"


def _activity(
    network: IntegerNetwork, target: int | None, device: str | None, data: str | None
) -> "list[float] | None":
    """What ``--target-cycles`` and ``--device`` reckon with: the activity on a data set; unknown without one."""
    if data is None or (target is None and device is None):
        return None
    from sw.activity import activity_of

    return activity_of(network, data)


def _foldings(
    network: IntegerNetwork,
    target: int | None,
    synapse_lanes: str | None,
    population_lanes: str | None,
    neuron_lanes: str | None,
    *,
    fold: Fold = Fold.EVENTS,
    activity: "list[float] | None" = None,
) -> "Foldings":
    """The default folding of each layer, or one for ``target``, with what ``--synapse-lanes 160,8`` and the like say.

    One number stands for all layers. A fully spatial design has no foldings.
    """
    from hw.folding import check_foldings, default_foldings, foldings_for

    lanes = {"synapse_lanes": synapse_lanes, "population_lanes": population_lanes, "neuron_lanes": neuron_lanes}
    if fold is Fold.SPATIAL:
        for name, value in {"target_cycles": target, **lanes}.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise ChandelierError(f"{option} {value} does not go with --fold spatial, which has all lanes")
        return "spatial"
    foldings = list(default_foldings(network) if target is None else foldings_for(network, target, activity))
    for name, text in lanes.items():
        if text is None:
            continue
        counts = text.split(",")
        counts = counts * len(foldings) if len(counts) == 1 else counts
        if len(counts) != len(foldings) or not all(re.fullmatch(r"\s*\d{1,9}\s*", count) for count in counts):
            option = f"--{name.replace('_', '-')}"
            raise ChandelierError(f"{option} takes one number, or one for each of {len(foldings)} layers, not {text}")
        foldings = [replace(f, **{name: int(count)}) for f, count in zip(foldings, counts, strict=True)]
    check_foldings(network, foldings)
    return foldings


TargetCycles = Annotated[
    int | None,
    typer.Option(min=1, help="The fewest lanes for so many cycles a sample, as active as on --data; else 15 %."),
]
FoldOption = Annotated[
    Fold,
    typer.Option(
        help="*events*: cycles follow the non-zero inputs, in so many lanes; *spatial*: a wire for each synapse, a "
        "time step a cycle, for small networks (needs the extra *spatial*)."
    ),
]
WeightsOption = Annotated[
    Weights,
    typer.Option(
        help="*fixed*: in the design; *loadable*: other networks of the same or a smaller shape can be loaded into it "
        "(*export --format load*, *run --load*)."
    ),
]
SynapseLanes = Annotated[str | None, typer.Option(help="Synapses a cycle; one number, or one for each layer: 160,8.")]
PopulationLanes = Annotated[str | None, typer.Option(help="I neurons a cycle in the population unit.")]
Baud = Annotated[int | None, typer.Option(min=1, help="Bits a second of the serial port. [default: 1000000]")]
NeuronLanes = Annotated[str | None, typer.Option(help="E neurons a cycle from the population unit on.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes of this machine, by Dask (needs the extra *cluster*).")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:8786", help="A Dask scheduler, whose workers take part: your own only."),
]


def _workers(workers: int | None, scheduler: str | None) -> "AbstractContextManager[Cluster | None]":
    """Workers of a cluster, if any are asked for."""
    from sw.cluster import cluster

    return nullcontext() if workers is None and scheduler is None else cluster(workers, scheduler)


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
            autocompletion=_names(_devices),
        ),
    ] = None,
    clock: Annotated[float, typer.Option(min=1e-3, help="MHz, for the images/s that --device prints.")] = 100.0,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set, or .npz: measures the activity for --target-cycles or --device there.",
            autocompletion=_names(_data_sets),
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
    activity = _activity(integers, target_cycles, device, data)
    lanes, fit = (synapse_lanes, population_lanes, neuron_lanes), None
    if device is None:
        foldings = _foldings(integers, target_cycles, *lanes, fold=fold, activity=activity)
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
    rows = {name: f"{(output / name).stat().st_size} bytes" for name in manifest.files}
    if fit is not None:
        rows |= {kind: str(usage) for kind, usage in fit.usage.items()}
        rows["limit"] = fit.limit
        rows["speed"] = f"{clock * 1e6 / fit.cycles:,.0f} images/s at {clock:g} MHz"
    if manifest.load is not None:
        rows["weights"] = f"loadable: an image has {4 * manifest.load.image_words} bytes"
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
    activity = _activity(integers, target_cycles, None, data)
    foldings = _foldings(
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
            help="ecp5-25f | ecp5-85f | ice40-up5k | ...: see docs/synthesis.md.", autocompletion=_names(_devices)
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for design, logs and report; made, or replaced.")
    ] = Path("synthesis"),
    seeds: Annotated[str, typer.Option(help="Placements: a number of them, or their seeds: 1,2,3.")] = "1",
    clock: Annotated[float, typer.Option(help="MHz that the router aims at.")] = 100.0,
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
            help="Data set, or .npz: measures the activity, and gives images/s.", autocompletion=_names(_data_sets)
        ),
    ] = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
) -> None:
    """Synthesise, place and route the generated Verilog: area, clock and worst path on a device.

    yosys and nextpnr are taken from the PATH, or from the wheels of the extra *synth*. Minutes for a large network.
    """
    from sw.synth import REPORT_FILE, parse_seeds, synthesis_table, synthesise_network, write_json

    integers = load_network(network)
    activity = _activity(integers, target_cycles, None, data)
    foldings = _foldings(
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
            progress=progress,
        )
    for path in (output / REPORT_FILE, json_file):
        if path is not None:
            write_json(report, prediction, path)
    console.print(synthesis_table(report, prediction))


@app.command("bitstream")
def bitstream_command(
    network: NetworkFile,
    board: Annotated[
        str,
        typer.Option(
            help="ulx3s-85f | orangecrab-25f | icebreaker | ...: see docs/board.md.", autocompletion=_names(_boards)
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for bitstream, design, logs and report; made, or replaced.")
    ] = Path("bitstream"),
    weights: WeightsOption = Weights.FIXED,
    clock: Annotated[float | None, typer.Option(help="MHz of the design. [default: the board's]")] = None,
    baud: Baud = None,
    seeds: Annotated[str, typer.Option(help="Placements to try: a number of them, or their seeds: 1,2,3.")] = "3",
    target_cycles: TargetCycles = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
    json_file: JsonFile = None,
) -> None:
    """Make the file that a board's loader takes: the network behind its serial port, for *chandelier run*.

    yosys, nextpnr and the packers are taken from the PATH, or from the wheels of the extra *board*. Placements are
    tried until one holds the clock; if none does, the error names the worst path.
    """
    from hw.protocol import BAUD
    from sw.synth import bitstream_table, make_network_bitstream, parse_seeds

    integers = load_network(network)
    foldings = _foldings(integers, target_cycles, synapse_lanes, population_lanes, neuron_lanes)
    chosen = parse_seeds(seeds)
    with progress_bars() as progress:
        made = make_network_bitstream(
            *(integers, output, board, foldings),
            loadable=weights is Weights.LOADABLE,
            clock=clock,
            baud=baud or BAUD,
            seeds=chosen,
            progress=progress,
        )
    if json_file is not None:
        write_json(json_file, made.as_json())
    console.print(bitstream_table(made, output))
    console.print(f"next: {made.loader}", soft_wrap=True)
    console.print(f"then: chandelier run {network} --port PORT --data SET", soft_wrap=True)


@app.command("simulate-board")
def simulate_board_command(
    network: NetworkFile,
    weights: WeightsOption = Weights.FIXED,
    target_cycles: TargetCycles = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
) -> None:
    """Simulate a board with the network behind a serial port, whose name is printed: for *run*, in another terminal.

    The design is what *bitstream* puts on a board, its UART's pins included. Ends when it is interrupted (Ctrl-C).
    """
    from sw.run import simulate_board

    integers = load_network(network)
    foldings = _foldings(integers, target_cycles, synapse_lanes, population_lanes, neuron_lanes)
    progress_line("building the simulator, unless it has been built before")

    def ready(port: str) -> None:
        console.print(port, soft_wrap=True)
        progress_line(f"next: chandelier run {network} --port {port} --data SET; Ctrl-C ends the board")

    simulate_board(integers, foldings, ready, loadable=weights is Weights.LOADABLE)


@app.command("run")
def run_command(
    network: NetworkFile,
    port: Annotated[str, typer.Option(help="The board's serial port, like /dev/ttyUSB0.")],
    data: TestData,
    samples: Samples = None,
    load: Annotated[
        bool, typer.Option("--load", help="Load the network first, into a board with loadable weights.")
    ] = False,
    baud: Baud = None,
    json_file: JsonFile = None,
) -> None:
    """Send test samples to a board, and compare class and logits of each with the golden model.

    The board, real or from *simulate-board*, has to hold this network; or, made with *--weights loadable*, it takes it
    with *--load*. Ends with exit code 1 if there is a difference.
    """
    from hw.protocol import BAUD
    from sw.run import report_rows, run_network

    integers = load_network(network)
    with progress_bars() as progress:
        report = run_network(integers, port, baud or BAUD, data, samples, progress, loads=load)
    if json_file is not None:
        report.write(json_file)
    console.print(key_value_table(f"{integers.name} on {data}, board on {port}", report_rows(report)))
    if report.mismatches:
        raise typer.Exit(1)


@app.command("info")
def info_command(
    network: NetworkFile,
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set, or a .npz: shows what its test samples make the network do.",
            autocompletion=_names(_data_sets),
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

    With *--data*, also the activity, the cycles of every sample, which are exact for networks without maps, operations,
    memory reads and an estimate of energy, from the golden model: nothing is simulated.
    """
    from sw.info import network_tables

    integers = load_network(network)
    for option, value in (("--samples", samples), ("--energy", energy), ("--json", json_file)):
        if value is not None and data is None:
            raise ChandelierError(f"{option} needs --data")
    lanes = (synapse_lanes, population_lanes, neuron_lanes)
    chosen = data is not None or target_cycles is not None or any(lanes)
    activity = _activity(integers, target_cycles, None, data)
    foldings = _foldings(integers, target_cycles, *lanes, activity=activity) if chosen else None
    assert foldings != "spatial"
    measured = None
    if data is not None and foldings is not None:
        from sw.activity import measure, parse_energies

        measured = measure(integers, data, samples, foldings=foldings, energies=parse_energies(energy))
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
    from sw.optional import optional

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
            autocompletion=_names(shipped_studies),
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
    from sw.front import as_json, front_table, write_front
    from sw.study import Study

    chosen, begun = loaded(Study, shipped_studies().get(str(study), study)), time.monotonic()
    folder = output or Path("studies") / chosen.name
    processes = os.cpu_count() if workers is None and scheduler is None else workers
    with progress_bars() as progress, cluster(processes, scheduler) as machines:
        trials, front = explore(chosen, folder, machines, progress, url=storage)
    write_front(chosen, folder, trials, front)
    if json_file is not None:
        write_json(json_file, as_json(chosen, trials, front, time.monotonic() - begun))
    console.print(front_table(chosen, trials, front))
    console.print(f"next: chandelier train {folder}/front/{chosen.name}-N.toml; or look at {folder}/front.svg")


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
    name: Annotated[str, typer.Argument(help="See *chandelier data list*.", autocompletion=_names(_data_sets))],
) -> None:
    """Fetch a data set, verify it, and keep it in the cache."""
    from sw.data import get

    path = get(name, progress=progress_line)
    console.print(f"{path or f'{name} is bundled: nothing to fetch'}", soft_wrap=True)


@data_app.command("import")
def data_import_command(
    name: Annotated[str, typer.Argument(help="See *chandelier data list*.", autocompletion=_names(_data_sets))],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder or archive, as published.")],
) -> None:
    """Read a data set that has to be brought from its files, verify it, and keep it in the cache."""
    from sw.data import bring

    console.print(f"{bring(name, path, progress=progress_line)}", soft_wrap=True)


def main() -> None:
    """Entry point of the ``chandelier`` command."""
    ignore_unused_components()
    app(prog_name="chandelier")


if __name__ == "__main__":
    main()
