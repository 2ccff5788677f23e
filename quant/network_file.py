"""The file of an integer network: safetensors with a versioned header. Read as untrusted, written in one step.

The integers are tensors called ``layers.K.w_ee`` and so on; everything else is JSON under the metadata key
``chandelier``. The format is described in ``docs/network-file.md``.
"""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from quant.arithmetic import Reset
from quant.errors import ChandelierError
from quant.files import replacing
from quant.formats import FormatName
from quant.maps import Window, Wiring
from quant.network import Array, Input, IntegerNetwork, Layer, Neurons
from quant.reciprocal import Reciprocal
from quant.widths import network_widths

__all__ = ["NAME", "VERSION", "Header", "check_network_path", "header_of", "load_network", "network_of", "save_network"]

#: Version of the file format; a reader refuses a newer one.
VERSION = 2
#: What a network may be called.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_SYNAPSES = ("w_ee", "w_ie", "w_ei")
_PER_NEURON = ("g_i", "g_e", "b_e")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)


class _InputHeader(_Strict):
    features: int
    bits: int
    kind: Literal["static", "sequence"]
    threshold: float
    shape: tuple[int, int, int] | None = None


class _ReciprocalHeader(_Strict):
    index_bits: int
    bits: int


class _NeuronsHeader(_Strict):
    gain_i_bits: int
    gain_e_bits: int
    shift: int
    reciprocal: _ReciprocalHeader | None
    membrane: FormatName
    tau_shift: int
    theta: int
    floor: int = 0
    leak: int = 1
    reset: Reset = "subtract"


class _WindowHeader(_Strict):
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


class _WiringHeader(_Strict):
    sources: tuple[int, ...] = Field(max_length=1000)
    pool: tuple[int, int]
    window: _WindowHeader | None


class _LayerHeader(_Strict):
    a: int
    synapse_bits: int
    inhibition_bits: int
    neurons: _NeuronsHeader | None
    #: Version 1 has none: every layer is fully connected to the one before.
    wiring: _WiringHeader = _WiringHeader(sources=(), pool=(1, 1), window=None)


class Header(_Strict):
    """All of a network but its tensors, as the file has it."""

    version: int = Field(ge=1, strict=True)
    name: str = Field(max_length=200, pattern=NAME)
    input: _InputHeader
    steps: int
    logit_scale: float
    layers: list[_LayerHeader] = Field(max_length=1000)


def _parameters(thing: object, *leave_out: str) -> dict[str, object]:
    return {key: value for key, value in vars(thing).items() if key not in leave_out}


def header_of(network: IntegerNetwork) -> Header:
    """The header of the network's file."""

    def neurons(n: Neurons | None) -> object:
        table = n and n.reciprocal
        return n and _parameters(n, *_PER_NEURON) | {"reciprocal": table and _parameters(table, "table")}

    def wiring(w: Wiring) -> object:
        return vars(w) | {"window": w.window and vars(w.window)}

    layers = [
        _parameters(layer, *_SYNAPSES) | {"neurons": neurons(layer.neurons), "wiring": wiring(layer.wiring)}
        for layer in network.layers
    ]
    rest = _parameters(network, "layers", "input", "maps")
    return Header.model_validate({"version": VERSION, "input": vars(network.input), "layers": layers, **rest})


def _tensors(network: IntegerNetwork) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    for i, layer in enumerate(network.layers):
        tensors |= {f"layers.{i}.{name}": getattr(layer, name) for name in _SYNAPSES}
        if layer.neurons is not None:
            tensors |= {f"layers.{i}.{name}": getattr(layer.neurons, name) for name in _PER_NEURON}
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def check_network_path(path: Path) -> None:
    """Refuses, before any work is done for it, a path that a network file should not have.

    Raises
    ------
    ChandelierError
        If it has another suffix.
    """
    if path.suffix != ".safetensors":
        raise ChandelierError(f"{path} must end in .safetensors, as network files do")


def save_network(network: IntegerNetwork, path: Path) -> None:
    """Writes ``network`` to ``path`` in one step; equal networks give equal bytes.

    Raises
    ------
    ChandelierError
        If the network does not fit the arithmetic, or the file cannot be written.
    """
    network_widths(network)
    with replacing(path) as temporary:
        metadata = {"chandelier": header_of(network).model_dump_json()}
        save_file(_tensors(network), temporary, metadata=metadata)


def _read(path: Path) -> tuple[Header, dict[str, Array]]:
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder, in which 'chandelier quantize' leaves one")
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("chandelier")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise ChandelierError(f"{path} is not there: 'chandelier quantize' writes a network file") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ChandelierError(f"{path} is not a network file, or is damaged: {error}") from None
    if text is None:
        raise ChandelierError(f"{path} is a safetensors file without a chandelier header: not an integer network")
    try:
        header = json.loads(text)
        version = header["version"]
        if isinstance(version, int) and version > VERSION:
            raise ChandelierError(
                f"{path} is of version {version}, this chandelier reads up to {VERSION}: use a newer chandelier"
            )
        return Header.model_validate(header), tensors
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ChandelierError(f"{path}: header field {where}: {first['msg']}") from None
    except ChandelierError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ChandelierError(f"{path}: the chandelier header is not what it should be") from None


def _layer(index: int, header: _LayerHeader, tensors: dict[str, Array]) -> Layer:
    def take(name: str) -> Array:
        key = f"layers.{index}.{name}"
        if key not in tensors:
            raise ChandelierError(f"tensor {key} is missing")
        return tensors.pop(key)

    neurons = None
    if (n := header.neurons) is not None:
        reciprocal = n.reciprocal and Reciprocal(n.reciprocal.index_bits, n.reciprocal.bits)
        per_neuron = {name: take(name) for name in _PER_NEURON}
        neurons = Neurons(**per_neuron, **(_parameters(n) | {"reciprocal": reciprocal}))  # type: ignore[arg-type]
    synapses = {name: take(name) for name in _SYNAPSES}
    wires = header.wiring
    window = None if wires.window is None else Window(**vars(wires.window))
    wiring = Wiring(wires.sources, wires.pool, window)
    rest = _parameters(header) | {"neurons": neurons, "wiring": wiring}
    return Layer(**synapses, **rest)  # type: ignore[arg-type]


def load_network(path: Path) -> IntegerNetwork:
    """The network in the file ``path``, checked in every shape, range and width.

    Raises
    ------
    ChandelierError
        If the file is missing, truncated, of a newer version, inconsistent, or holds a number out of range.
    """
    header, tensors = _read(path)
    try:
        network = network_of(header, tensors)
        network_widths(network)
    except ValueError as error:
        raise ChandelierError(f"{path}: {error}") from None
    return network


def network_of(header: Header, tensors: dict[str, Array]) -> IntegerNetwork:
    """The network of a header and the tensors ``layers.K.NAME``, which are taken out of ``tensors``.

    Raises
    ------
    ValueError
        If a tensor is missing or left over, or a shape or number is not what it should be.
    """
    layers = tuple(_layer(i, layer, tensors) for i, layer in enumerate(header.layers))
    if tensors:
        raise ChandelierError(f"tensor {min(tensors)} belongs to no layer")
    return IntegerNetwork(
        name=header.name,
        input=Input(**vars(header.input)),
        layers=layers,
        steps=header.steps,
        logit_scale=header.logit_scale,
    )
