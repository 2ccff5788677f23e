"""The files of DeepEISNN, the paper's reference implementation, read as data: nothing in them is run."""

import json
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import safe_globals

from quant.errors import ChandelierError

__all__ = ["Settings", "read"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
#: Tuples in a pickle. The largest reference network has some thousands; as a key of a dictionary, a hundred thousand
#: in one another are a crash.
_MOST_TUPLES = 1 << 14


class _Section(BaseModel):
    # A checkpoint's configuration has much that is of no concern here, such as paths.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class _Neuron(_Section):
    """The LIF neuron; only what ours can be."""

    tau: float = 2.0
    decay_input: Literal[False] = False
    v_threshold: float = Field(default=1.0, ge=1, le=1)
    #: ``None`` is the soft reset.
    v_reset: None = None

    @field_validator("tau")
    @classmethod
    def _is_a_shift(cls, tau: float) -> float:
        if tau not in [2.0**shift for shift in range(1, 9)]:
            raise ValueError("must be a power of two, 2..256: the leak is a shift")
        return tau


class Settings(_Section):
    """What a checkpoint's configuration says: what tensors cannot, what has to agree with them, and how to train."""

    type: Literal["EI-SNN"] = "EI-SNN"
    arch: Literal["MLP", "VGG", "ResNet"] | None = None
    num_layers: int | None = None
    ei_ratio: int | None = None
    light_classifier: bool | None = None
    dataset: str | None = None
    #: Time steps.
    T: int = Field(ge=1, le=1024)
    neuron: _Neuron = _Neuron()
    dropout: float = Field(default=0.0, ge=0, lt=1)
    batch_size: int | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None

    @property
    def tau_shift(self) -> int:
        """``tau = 2**tau_shift``."""
        return int(self.neuron.tau).bit_length() - 1


class _Skipped:
    """Stands for arrays and numbers of numpy, of which random states consist: numpy is given nothing of a file."""

    def __init__(self, *_: object) -> None:
        """Whatever it would have been made from."""

    def __setstate__(self, state: object) -> None:
        """Neither."""


_SKIPPED: list[Any] = [
    (_Skipped, name)
    for name in (
        "numpy.dtype",
        "numpy.ndarray",
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    )
]


def _check_archive(path: Path) -> None:
    """Refuses what would take more memory than the file has bytes, or be too deep for its reader."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its parts are larger than the file")
        for name in archive.namelist():
            if name.endswith(".pkl"):
                steps = (step.name for step, _, _ in pickletools.genops(archive.read(name)))
                if sum(step.startswith("TUPLE") for step in steps) > _MOST_TUPLES:
                    raise ValueError(f"it has more than {_MOST_TUPLES} tuples")


def _read_checkpoint(path: Path) -> tuple[Any, Any]:
    try:
        _check_archive(path)
        with safe_globals(_SKIPPED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ChandelierError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # on damaged bytes, an unpickler raises nearly anything
        if match := re.search(r"GLOBAL (\S{1,200})", str(error)):
            raise ChandelierError(
                f"{path} names {match[1]}, which is no data: a checkpoint of DeepEISNN has tensors, numbers and text, "
                f"and what a file asks to run is not run"
            ) from None
        said = str(error).partition("\n")[0]
        raise ChandelierError(f"{path} is not a checkpoint as torch.save writes it, or is damaged: {said}") from None
    for key in ("model_state_dict", "config"):
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise ChandelierError(f"{path} is not a training checkpoint of DeepEISNN: it has no dictionary {key!r}")
    return content["model_state_dict"], content["config"]


def _read_folder(path: Path) -> tuple[Any, Any]:
    weights, config = path / "model.safetensors", path / "config.json"
    for file in (weights, config):
        if not file.is_file():
            raise ChandelierError(f"{file} is not there: a released network is model.safetensors and config.json")
    try:
        with safe_open(weights, framework="pt") as tensors:
            state = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise ChandelierError(f"{weights} is damaged: {error}") from None
    try:
        return state, json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ChandelierError(f"{config} is not JSON: {error}") from None


def _checked(state: dict[Any, Any], path: Path) -> dict[str, Tensor]:
    """The tensors as float32; refuses by name what is none of plain finite numbers."""
    size = path.stat().st_size
    for name, tensor in state.items():
        plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
        if not plain or tensor.is_nested or tensor.device.type != "cpu" or tensor.dtype not in _FLOATS:
            raise ChandelierError(f"{path}: {name!r:.200} is not a tensor of floating-point numbers")
        # One stored number can be made to look like any number of them.
        size -= tensor.numel() * tensor.itemsize
        if size < 0:
            raise ChandelierError(f"{path}: {name!r:.200} of shape {tuple(tensor.shape)} is larger than the file")
        if not torch.isfinite(tensor.float()).all():
            raise ChandelierError(f"{path}: {name!r:.200} holds a number that is not finite in float32")
    return {str(name): tensor.detach().float() for name, tensor in state.items()}


def read(path: Path) -> tuple[dict[str, Tensor], Settings]:
    """Tensors, float32, and settings of a training checkpoint (.pth), or of a released folder.

    Raises
    ------
    ChandelierError
        If the file is not there, damaged, asks for anything to be run, has a tensor that is none or is not finite, or
        settings that ours cannot have.
    """
    if not path.exists():
        raise ChandelierError(f"{path} is not there: give a checkpoint (.pth) of DeepEISNN, or the folder of a network")
    state, config = (_read_folder if path.is_dir() else _read_checkpoint)(path)
    try:
        settings = Settings.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        value = "" if first["type"] == "missing" else f", not {first['input']!r:.200}"
        raise ChandelierError(f"the configuration in {path}: {key}: {message}{value}") from None
    return _checked(state, path / "model.safetensors" if path.is_dir() else path), settings
