"""Verbs that make integer networks and write them in other forms: train, quantize, import, import-nir, export."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from quant.errors import ChandelierError
from quant.export import FORMATS
from quant.files import replacing, write_json
from quant.network import IntegerNetwork
from quant.network_file import check_network_path, load_network, save_network
from sw.cli.options import JsonFile, NetworkFile, completion, data_set_names, reset_names
from sw.cli.root import app
from sw.console import console, key_value_table, progress_bars, progress_line
from sw.shipped import chosen_file, shipped_configs


@app.command("train")
def train_command(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG.toml",
            help="See configs/ and docs/tutorial.md; or the name of one that comes along, like *digits*.",
            autocompletion=completion(shipped_configs),
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

    chosen = load_config(chosen_file(config, shipped_configs()))
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
            autocompletion=completion(data_set_names),
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
        str, typer.Option(help="What a spike does: zero | subtract | delayed.", autocompletion=completion(reset_names))
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
            autocompletion=completion(lambda: [*_EXPORTS, "load"]),
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
