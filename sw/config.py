"""The configuration of a training run: TOML, validated, every key documented here."""

import json
import tomllib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from quant.errors import ChandelierError
from quant.formats import FormatName
from quant.quantisers import Scheme
from quant.reciprocal import Reciprocal
from sw.architectures import expanded
from sw.network import Inhibition
from sw.parallel import DeviceName

__all__ = [
    "Config",
    "DataConfig",
    "EIConfig",
    "NetworkConfig",
    "QuantisationConfig",
    "Section",
    "TrainingConfig",
    "load_config",
    "loaded",
    "parse_config",
    "parsed",
    "validated",
    "with_seed",
]

_Model = TypeVar("_Model", bound=BaseModel)


class Section(BaseModel):
    """A part of a configuration: no unknown keys, no other types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class DataConfig(Section):
    """``[data]``: which set, and how its values in [0, 1] become input codes."""

    #: One that ``chandelier data list`` names, or the path of a .npz file.
    name: str
    #: Bits of an input code.
    bits: int = Field(default=8, ge=1, le=8)
    #: ``floor(x * (2**bits - 1) + 1 - threshold)``: 0.5 rounds; with one bit, a pixel is 1 from there on.
    threshold: float = Field(default=0.5, gt=0, le=1)
    #: Of training images, at random: "affine" (10 degrees, 10 % scale, 5 % shift) suits digits, "crop" CIFAR,
    #: "resized-crop" Tiny-ImageNet, "events" CIFAR10-DVS, "gestures" DVS128 Gesture.
    augment: Literal["none", "affine", "crop", "resized-crop", "events", "gestures"] = "none"


class NetworkConfig(Section):
    """``[network]``: the shape; input and classes follow from the data."""

    #: The layers before the readout: a name such as ``"vgg8"``, or a list of widths, convolutions, poolings, residual
    #: blocks and names, such as ``["16C5", "P2", "32C5", "P2", 128]`` (docs/networks.md).
    hidden: str | list[int | str]
    #: Time steps a sample; a sequence brings its own number.
    steps: int = Field(default=4, ge=1, le=1024)
    #: E neurons per I neuron.
    ratio: int = Field(default=4, ge=1, le=1024)
    #: ``tau = 2**tau_shift`` of the leak.
    tau_shift: int = Field(default=1, ge=1, le=8)
    #: ``divisive`` is the E-I network; ``global`` is one whose layers inhibit all their E neurons alike, with ``w_ei``
    #: as E-I Init makes it, for less hardware; ``batch-norm`` is the normalised twin, without inhibition; ``none`` has
    #: neither.
    inhibition: Inhibition = "divisive"
    #: Fraction of spikes that are dropped in training.
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _means_something(self) -> "NetworkConfig":
        expanded(self.hidden)
        return self


class EIConfig(Section):
    """``[ei]``: the parts of E-I Init and E-I Prop, to switch off in an ablation."""

    init: bool = True
    #: What a denominator of zero becomes: ``adaptive``, the smallest non-zero one of the map; with ``floor``, all are
    #: kept above a constant of the layer; ``none``, an epsilon.
    stabilisation: Literal["adaptive", "floor", "none"] = "adaptive"
    straight_through: bool = True
    gradient_scaling: bool = True


class TrainingConfig(Section):
    """``[training]``: SGD with momentum; linear warm-up, then a cosine to zero, once per phase."""

    #: ``auto`` is CUDA where there is any. Several GPUs: docs/tutorial.md.
    device: DeviceName = "auto"
    #: Epochs in floating point, before quantisation-aware training; 0 goes there directly.
    epochs: int = Field(default=10, ge=0, le=10000)
    #: In the floating-point phase, products of synapses in bfloat16; everything else, and what is integer, is exact.
    mixed_precision: bool = False
    #: Weights to start from in place of E-I Init: a ``float.safetensors`` of a run with the same network.
    start: str | None = None
    #: Samples a step, of all processes together.
    batch: int = Field(default=128, ge=1, le=65536)
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    #: Gradients of a step that together are longer than this are shortened to it; 0 lets all through. Deep stacks need
    #: it: a small denominator of a single sample makes a gradient ten times as long as others.
    clip: float = Field(default=0.0, ge=0, le=1e6)
    #: Of synapses only; gains and biases do not decay.
    weight_decay: float = Field(default=1e-5, ge=0, le=1)
    #: Epochs of linear warm-up.
    warmup: float = Field(default=1.0, ge=0, le=1000)


class QuantisationConfig(Section):
    """``[quantisation]``: epochs of quantisation-aware training, and the bits of every tensor."""

    #: 0 stops after the floating-point phase.
    epochs: int = Field(default=10, ge=0, le=10000)
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    synapse_bits: int = Field(default=2, ge=1, le=8)
    inhibition_bits: int = Field(default=2, ge=1, le=8)
    gain_i_bits: int = Field(default=2, ge=1, le=8)
    gain_e_bits: int = Field(default=8, ge=1, le=16)
    #: The reciprocal table has ``2**reciprocal_index_bits`` entries of ``reciprocal_bits`` bits.
    reciprocal_index_bits: int = Field(default=4, ge=0, le=12)
    reciprocal_bits: int = Field(default=8, ge=2, le=24)
    #: Format of membrane potential, current and bias.
    membrane: FormatName = Field(default="s10.6", validate_default=True)
    step: Literal["calibrated", "learned", "wide"] = "calibrated"

    @model_validator(mode="after")
    def _fits(self) -> "QuantisationConfig":
        self.scheme()
        return self

    def scheme(self) -> Scheme:
        """The bits as the quantisers take them."""
        return Scheme(
            synapse_bits=self.synapse_bits,
            inhibition_bits=self.inhibition_bits,
            gain_i_bits=self.gain_i_bits,
            gain_e_bits=self.gain_e_bits,
            reciprocal=Reciprocal(self.reciprocal_index_bits, self.reciprocal_bits),
            membrane=self.membrane,
            step=self.step,
        )


class Config(Section):
    """A training run."""

    #: Of the run's folder and of the network.
    name: str = Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: DataConfig
    network: NetworkConfig
    ei: EIConfig = EIConfig()
    training: TrainingConfig = TrainingConfig()
    quantisation: QuantisationConfig = QuantisationConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if self.name in ("float", "quantised", "checkpoint"):
            raise ValueError(f"name = {self.name!r} is what a file of training is called: choose another name")
        if self.training.epochs + self.quantisation.epochs == 0:
            raise ValueError("training.epochs and quantisation.epochs are both 0: nothing to train")
        if self.training.mixed_precision and not self.training.epochs:
            raise ValueError("training.mixed_precision is for the floating-point phase, and training.epochs is 0")
        if self.quantisation.epochs and self.ei.stabilisation == "none":
            raise ValueError(
                'ei.stabilisation = "none" is a floating-point ablation (the integer network always stabilises): '
                "set quantisation.epochs = 0"
            )
        return self


def validated(model: type[_Model], values: object, where: str) -> _Model:
    """What ``values`` are as a configuration of that kind; ``where`` names them in errors.

    Raises
    ------
    ChandelierError
        With the key, the value and what is allowed, if something is unknown or out of range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ChandelierError(f"{where}: unknown key {key}") from None
        # Our own messages have the value in them.
        value = "" if first["type"] in ("missing", "value_error") or not key else f", not {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise ChandelierError(f"{where}: {key + ': ' if key else ''}{message}{value}") from None


def parsed(model: type[_Model], text: str, where: str) -> _Model:
    """What is in ``text``, TOML or, if ``where`` ends in ``.json``, JSON; errors as of :func:`validated`."""
    kind, parse = ("JSON", json.loads) if where.endswith(".json") else ("TOML", tomllib.loads)
    try:
        values = parse(text)
    except (ValueError, RecursionError) as error:
        raise ChandelierError(f"{where} is not {kind}: {error}") from None
    return validated(model, values, where)


def parse_config(text: str, where: str) -> Config:
    """The configuration in ``text``; ``where`` names it in errors, as of :func:`parsed`."""
    return parsed(Config, text, where)


def loaded(model: type[_Model], path: Path) -> _Model:
    """What is in the file ``path``; errors as of :func:`parsed`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ChandelierError(f"cannot read the configuration {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ChandelierError(f"cannot read the configuration {path}: {error}") from None
    return parsed(model, text, str(path))


def load_config(path: Path) -> Config:
    """The configuration in the file ``path``; errors as of :func:`parsed`."""
    return loaded(Config, path)


def with_seed(config: Config, seed: int) -> Config:
    """The same configuration with another seed, and a name that says so.

    Raises
    ------
    ChandelierError
        If the seed is out of range, or the name becomes too long.
    """
    changed = config.model_dump() | {"seed": seed, "name": f"{config.name}-seed{seed}"}
    return validated(Config, changed, f"{config.name} with --seed {seed}")
