"""Options that several verbs take, and what the shell completes where a name is wanted."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from hw.devices import Placer

__all__ = [
    "Baud",
    "Fold",
    "FoldOption",
    "JsonFile",
    "NetworkFile",
    "NeuronLanes",
    "PlacerOption",
    "PopulationLanes",
    "RipUpOption",
    "Samples",
    "Scheduler",
    "ShellKind",
    "SynapseLanes",
    "TargetCycles",
    "TestData",
    "Weights",
    "WeightsOption",
    "Workers",
    "board_names",
    "completion",
    "data_set_names",
    "device_names",
    "reset_names",
]


def completion(find: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell completes where a name is wanted; ``find`` is called, and imports, only when a shell asks."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in find() if name.startswith(incomplete)]

    return complete


def board_names() -> Iterable[str]:
    from hw.boards import BOARDS

    return BOARDS


def data_set_names() -> Iterable[str]:
    from sw.data import DATASETS

    return DATASETS


def device_names() -> Iterable[str]:
    from hw.devices import DEVICES

    return DEVICES


def reset_names() -> Iterable[str]:
    from quant.arithmetic import Reset

    return get_args(Reset)


JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")]
TestData = Annotated[
    str,
    typer.Option(
        help="A data set (see *chandelier data list*) or a .npz; its test half is used.",
        autocompletion=completion(data_set_names),
    ),
]
Samples = Annotated[
    str | None, typer.Option(help="How many test samples, from the first on, or *all*. [default: 100 at most]")
]
NetworkFile = Annotated[Path, typer.Argument(metavar="NAME.safetensors", help="An integer network, from *quantize*.")]


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
PlacerOption = Annotated[
    Placer,
    typer.Option(
        "--placer",
        help="Of nextpnr: *static* leaves shorter wires on an ECP5, and routes large networks that *heap* does not.",
    ),
]
RipUpOption = Annotated[
    bool,
    typer.Option(
        "--rip-up",
        help="Route again what misses *--clock*, until nothing does: the last few MHz on an ECP5. Where many paths "
        "miss it, this takes long.",
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
