"""Training: floating point, then quantisation-aware; one loop, resumable at every epoch to the same result."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from quant.errors import ChandelierError, SetupError
from quant.files import replacing
from quant.golden import first_argmax
from quant.network import IntegerNetwork
from quant.widths import network_widths
from sw import parallel
from sw.batches import Batches, input_of
from sw.config import Config
from sw.data import Dataset
from sw.layers import EIProp
from sw.network import SpikingNetwork

__all__ = [
    "CONFIG_FILE",
    "PHASES",
    "Observer",
    "Progress",
    "accuracy",
    "build_network",
    "initial_network",
    "load_run_network",
    "train",
]

#: The phases of a run, in order; each leaves ``PHASE.safetensors`` in the run's folder.
PHASES = ("float", "quantised")

#: The configuration, in the run's folder.
CONFIG_FILE = "config.json"

#: Products of a batch with the largest weight matrix; below, threads wait for each other longer than they work.
_FEW_PRODUCTS = 2**26

_FIGURES = ("loss", "train_accuracy", "test_accuracy", "seconds")

#: Called after every batch with the phase, the batches done and to do in it, and a line of figures.
Progress = Callable[[str, int, int, str], None]
#: Called after every epoch with the network, in eval mode, and the figures of all epochs so far. It changes nothing.
Observer = Callable[[SpikingNetwork, Sequence[Mapping[str, object]]], None]


def build_network(config: Config, dataset: Dataset) -> SpikingNetwork:
    """The untrained network of a configuration, before E-I Init."""
    torch.manual_seed(config.seed)
    ei, network = config.ei, config.network
    return SpikingNetwork(
        input_of(config, dataset),
        network.hidden,
        dataset.classes,
        steps=dataset.steps or network.steps,
        ratio=network.ratio,
        tau_shift=network.tau_shift,
        prop=EIProp(ei.stabilisation, ei.straight_through, ei.gradient_scaling),
        inhibition=network.inhibition,
        dropout=network.dropout,
    )


class _Position(BaseModel):
    """What a checkpoint holds beside tensors."""

    model_config = ConfigDict(extra="forbid", strict=True)

    phase: int = Field(ge=0, lt=len(PHASES))
    epoch: int = Field(ge=0)
    metrics: list[dict[str, object]]
    config: str
    data: str

    @model_validator(mode="after")
    def _complete(self) -> "_Position":
        for line in self.metrics:
            if line.get("phase") not in PHASES or not all(isinstance(line.get(k), float) for k in _FIGURES):
                raise ValueError("a line of its metrics is incomplete")
        return self


@dataclass
class _State:
    """Everything that a resumed run needs: what the next epoch starts from."""

    network: SpikingNetwork
    generator: torch.Generator
    phase: int = 0
    epoch: int = 0
    momentum: dict[str, Tensor] = field(default_factory=dict)
    metrics: list[dict[str, object]] = field(default_factory=list)

    #: Of the data set, so that training does not go on with other data.
    data: str = ""

    def save(self, run: Path, config_text: str) -> None:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"momentum.{name}": m for name, m in self.momentum.items()}
        tensors["generator"] = self.generator.get_state()
        position = {"phase": self.phase, "epoch": self.epoch, "metrics": self.metrics, "config": config_text}
        position["data"] = self.data
        with replacing(run / "metrics.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self.metrics))
        with replacing(run / "checkpoint.safetensors") as temporary:
            save_file(tensors, temporary, metadata={"chandelier-run": json.dumps(position)})

    def restore(self, run: Path, config: Config) -> None:
        path = run / "checkpoint.safetensors"
        tensors, metadata = _read_tensors(path)
        try:
            position = _Position.model_validate_json(metadata["chandelier-run"])
            self.generator.set_state(tensors.pop("generator"))
        except ValidationError as error:
            raise SetupError(f"{path} is damaged ({error.errors()[0]['msg']}): remove {run} to start again") from None
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SetupError(f"{path} is damaged ({error}): remove {run} to start again") from None
        self.phase, self.epoch, self.metrics = position.phase, position.epoch, position.metrics
        same = position.config == config.model_dump_json()
        if not same:
            raise SetupError(
                f"{run} was trained with another configuration: change 'name', or remove the folder to start again"
            )
        if position.data != self.data:
            raise SetupError(
                f"{run} was trained on other data than {config.data.name} now is: change 'name', or remove the folder"
            )
        if self.phase > 0:
            self.network.quantise(config.quantisation.scheme())
        _set_tensors(self.network, {k[8:]: v for k, v in tensors.items() if k.startswith("network.")}, path)
        self.momentum = {k[9:]: v for k, v in tensors.items() if k.startswith("momentum.")}
        if self.momentum or self.epoch:
            _check_like(dict(self.network.named_parameters()), self.momentum, path)


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise SetupError(f"{path} is not there: 'chandelier train' writes it") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise SetupError(f"{path} is damaged: {error}") from None


def _check_like(own: dict[str, Tensor], tensors: dict[str, Tensor], path: Path) -> None:
    """Refuses tensors that are not one for each of ``own``, of its shape and type."""
    for name in sorted(own.keys() ^ tensors.keys()):
        raise SetupError(f"{path} and the configuration disagree about the parameter {name}")
    for name, tensor in own.items():
        if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
            raise SetupError(
                f"{path}: {name} is {tensors[name].dtype} of shape {tuple(tensors[name].shape)}, "
                f"expected {tensor.dtype} of shape {tuple(tensor.shape)}"
            )


def _set_tensors(network: SpikingNetwork, tensors: dict[str, Tensor], path: Path) -> None:
    """Sets all parameters and buffers."""
    _check_like(network.state_dict(), tensors, path)
    network.load_state_dict(tensors)


def _optimiser(network: SpikingNetwork, config: Config) -> torch.optim.SGD:
    """SGD in groups: synapses decay; gains, biases and steps do not; ``rate`` is relative to the learning rate."""
    groups: dict[str, dict[str, Any]] = {
        "synapses": {"params": [], "rate": 1.0, "weight_decay": config.training.weight_decay},
        # I goes with 1/g_i, and g_i starts near 0.1: at full rate a step of SGD would be a hundred times too
        # large relative to it, and clamping would leave the layer without inhibition.
        "g_i": {"params": [], "rate": 0.01},
        "others": {"params": [], "rate": 1.0},
    }
    for name, parameter in network.named_parameters():
        leaf = name.rsplit(".", 1)[-1]
        groups["synapses" if leaf.startswith("w_") else leaf if leaf == "g_i" else "others"]["params"].append(parameter)
    return torch.optim.SGD(groups.values(), lr=config.training.learning_rate, momentum=config.training.momentum)


def _learning_rate(peak: float, step: int, warmup: float, total: int) -> float:
    """Linear from zero to ``peak`` over ``warmup`` steps, then half a cosine down to zero at ``total``."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))


@torch.no_grad()
def accuracy(network: SpikingNetwork, codes: np.ndarray, labels: np.ndarray) -> float:
    """The fraction of samples that ``network`` classifies as labelled, in eval mode; 0 for no samples."""
    network.eval()
    # A step of a sequence takes the memory of a static sample, or more.
    right, size = 0, max(1, 250 // (codes.shape[1] if codes.ndim == 3 else 1))
    for start in range(0, len(codes), size):
        part = slice(start, start + size)
        logits = network(torch.from_numpy(parallel.share(codes[part])).float().to(network.device))
        right += int((first_argmax(logits).cpu().numpy() == parallel.share(labels[part])).sum())
    return int(parallel.total(torch.tensor(right, device=network.device))) / max(1, len(codes))


def _step(network: SpikingNetwork, optimiser: torch.optim.SGD, x: Tensor, y: Tensor, clip: float) -> tuple[float, int]:
    """One step on a batch; returns its mean loss and how many samples were classified right."""
    length = len(y)
    x, y = parallel.share(x).to(network.device), parallel.share(y).to(network.device)
    logits = network(x)
    loss = cross_entropy(logits, y, reduction="sum") / length
    optimiser.zero_grad()
    loss.backward()
    parallel.sum_gradients(network.parameters())
    if clip:
        clip_grad_norm_(network.parameters(), clip)
    optimiser.step()
    network.clamp()
    figures = torch.stack([loss.detach().double(), (logits.argmax(1) == y).sum()])
    batch_loss, right = parallel.total(figures).tolist()
    return batch_loss, int(right)


def _epoch(state: _State, config: Config, batches: Batches, progress: Progress) -> dict[str, object]:
    """One epoch; returns its figures."""
    network, phase = state.network.train(), PHASES[state.phase]
    torch.manual_seed(hash((config.seed, state.phase, state.epoch)) + parallel.rank())  # of dropout
    section = config.quantisation if state.phase else config.training
    optimiser = _optimiser(network, config)
    for name, parameter in network.named_parameters():
        if name in state.momentum:
            optimiser.state[parameter]["momentum_buffer"] = state.momentum[name].to(network.device)
    total, warmup = section.epochs * len(batches), config.training.warmup * len(batches)
    loss_sum, right, seen, rate = 0.0, 0, 0, 0.0
    for i, (x, y) in enumerate(batches):
        step = state.epoch * len(batches) + i
        rate = _learning_rate(section.learning_rate, step, warmup, total)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["rate"]
        batch_loss, batch_right = _step(network, optimiser, x, y, config.training.clip)
        loss_sum, right, seen = loss_sum + batch_loss * len(y), right + batch_right, seen + len(y)
        if not math.isfinite(loss_sum):
            raise ChandelierError(f"training diverged in the {phase} phase at step {step}: use a lower learning_rate")
        progress(phase, step + 1, total, f"loss {loss_sum / seen:.3f}, {100 * right / seen:.1f} % right")
    state.momentum = {
        name: optimiser.state[p]["momentum_buffer"] for name, p in network.named_parameters() if p in optimiser.state
    }
    return {"loss": loss_sum / seen, "train_accuracy": right / seen, "learning_rate": rate}


def _start(config: Config, dataset: Dataset, run: Path | None, device: torch.device) -> tuple[_State, Batches]:
    """A fresh state, E-I Init done or weights read, or the one that the run's folder holds, if there is one."""
    generator = torch.Generator().manual_seed(config.seed)
    state = _State(build_network(config, dataset).to(device), generator, data=dataset.sha256())
    batches = Batches(config, dataset, generator)
    if run is not None and (run / "checkpoint.safetensors").exists():
        state.restore(run, config)
    elif config.training.start is not None:
        _set_tensors(state.network, _read_tensors(path := Path(config.training.start))[0], path)
    elif config.ei.init:
        state.network.initialise(batches.first().to(device), generator)
    return state, batches


def _silent(*_: object) -> None:
    """Progress of the processes that do not show it, and what observes nothing."""


def initial_network(config: Config, dataset: Dataset) -> IntegerNetwork:
    """What training starts from, quantised: its shape and widths are about those of what comes of it.

    Raises
    ------
    ChandelierError
        If the data do not fit, or a number does not.
    """
    with parallel.device("cpu") as device:
        network = _start(config, dataset, None, device)[0].network
    network.quantise(config.quantisation.scheme())
    return network.integer_network(config.name)


@contextmanager
def _threads(network: SpikingNetwork, batch: int) -> Iterator[None]:
    """One thread for a small network without maps, unless ``OMP_NUM_THREADS`` says how many.

    Its tensors take microseconds each; several threads wait for each other after each of them, and if another program
    has one of their cores, for a time slice of the operating system.
    """
    before = torch.get_num_threads()
    dense = all(stage.wiring.window is None for stage in network.stages)
    few = batch * max(parameter.numel() for parameter in network.parameters()) < _FEW_PRODUCTS
    if dense and few and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    config: Config, dataset: Dataset, run: Path, progress: Progress, observe: Observer = _silent
) -> list[dict[str, object]]:
    """Trains, or goes on where the run's folder says; returns the figures of every epoch.

    Leaves in ``run``: ``config.json``, ``checkpoint.safetensors`` after every epoch, ``metrics.jsonl``, and a
    ``PHASE.safetensors`` for each phase that is through. Interrupted anywhere and started again, the result is
    that of an uninterrupted run on the same machine. Under ``torchrun``, all its processes call this.

    Raises
    ------
    ChandelierError
        If training diverges, the data do not fit, or the folder belongs to another configuration.
    """
    torch.set_flush_denormal(True)  # clamped weights decay into denormals, which are slow
    with parallel.device(config.training.device) as device:
        state, batches = _start(config, dataset, run, device)
        if config.training.mixed_precision:  # not before E-I Init
            parallel.require_bfloat16(device)
            state.network.mix_precision()
        with _threads(state.network, config.training.batch), parallel.processes(device):
            start = f"{config.model_dump_json()} {state.data} {state.phase} {state.epoch}"
            parallel.require_same(start, device, f"not all processes have the same configuration, data and {run}")
            parallel.copy_from_first(state.network.state_dict().values())
            if parallel.is_first():
                with replacing(run / CONFIG_FILE) as temporary:
                    temporary.write_text(config.model_dump_json(indent=2) + "\n")
            if not parallel.is_first():
                progress = observe = _silent
            _run_phases(state, config, dataset, batches, run, progress, observe)
    return state.metrics


def _run_phases(
    state: _State,
    config: Config,
    dataset: Dataset,
    batches: Batches,
    run: Path,
    progress: Progress,
    observe: Observer,
) -> None:
    """What is left to do of all phases."""
    codes = batches.spec.encode(dataset.x_test)
    phase_epochs = (config.training.epochs, config.quantisation.epochs)
    while state.phase < len(PHASES):
        if state.epoch >= phase_epochs[state.phase]:
            if phase_epochs[state.phase] and parallel.is_first():
                _save_phase(state, run)
            state.phase, state.epoch, state.momentum = state.phase + 1, 0, {}
            if state.phase < len(PHASES) and phase_epochs[state.phase]:
                state.network.quantise(config.quantisation.scheme())
                # Refuses now, and not when training is over, what does not fit the arithmetic.
                network_widths(state.network.integer_network(config.name))
            continue
        started = time.monotonic()
        figures = _epoch(state, config, batches, progress)
        figures["test_accuracy"] = accuracy(state.network, codes, dataset.y_test)
        seconds = round(time.monotonic() - started, 3)
        position: dict[str, object] = {"phase": PHASES[state.phase], "epoch": state.epoch}
        state.metrics.append(position | figures | {"seconds": seconds})
        state.epoch += 1
        if parallel.is_first():
            state.save(run, config.model_dump_json())
        observe(state.network, state.metrics)


def _save_phase(state: _State, run: Path) -> None:
    with replacing(run / f"{PHASES[state.phase]}.safetensors") as temporary:
        save_file(state.network.state_dict(), temporary)


def load_run_network(config: Config, dataset: Dataset, run: Path, phase: str) -> SpikingNetwork:
    """The trained network of a run, as the given phase left it.

    Raises
    ------
    ChandelierError
        If the file is missing, damaged, or of another network.
    """
    network = build_network(config, dataset)
    if phase == "quantised":
        network.quantise(config.quantisation.scheme())
    path = run / f"{phase}.safetensors"
    tensors, _ = _read_tensors(path)
    _set_tensors(network, tensors, path)
    return network.eval()
