"""From the folder of a training run to its integer network, checked on the whole test set."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from quant.errors import SetupError
from quant.files import is_folder
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.network_file import check_network_path, save_network
from sw.batches import input_of
from sw.config import Config, load_config
from sw.data import Dataset, load
from sw.network import SpikingNetwork
from sw.training import CONFIG_FILE, accuracy, load_run_network

__all__ = ["Quantised", "phase_accuracy", "quantise_run"]


@dataclass(frozen=True)
class Quantised:
    """An integer network and what it does on the test set.

    ``float_accuracy`` is that of the floating-point phase, if the run had one.
    """

    network: IntegerNetwork
    path: Path
    phase: str
    accuracy: float
    float_accuracy: float | None

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        figures = {name: getattr(self, name) for name in ("phase", "accuracy", "float_accuracy")}
        return {"network": self.network.name, "path": str(self.path)} | figures


def _integer_classes(network: SpikingNetwork, integers: IntegerNetwork, codes: np.ndarray) -> np.ndarray:
    """Classes of the golden model, having seen that the trained network computes the same integer logits."""
    classes, start = [], 0
    for trace in GoldenModel(integers).batches(codes):
        with torch.no_grad():
            logits, _ = network.integer_logits(torch.from_numpy(codes[start : start + len(trace.logits)]).float())
        if (wrong := np.argwhere(logits.numpy() != trace.logits)).size:
            sample, label = wrong[0]
            raise AssertionError(f"sample {start + sample}, class {label}: training and golden model disagree")
        classes.append(trace.classes)
        start += len(trace.logits)
    return np.concatenate(classes)


def phase_accuracy(run: Path, config: Config, dataset: Dataset, phase: str) -> float | None:
    """Accuracy of a phase on the test set, in floating point; ``None`` if the run did not go through it."""
    if not (run / f"{phase}.safetensors").exists():
        return None
    network = load_run_network(config, dataset, run, phase)
    return accuracy(network, input_of(config, dataset).encode(dataset.x_test), dataset.y_test)


def quantise_run(run: Path, path: Path | None, *, post_training: bool = False) -> Quantised:
    """Writes the integer network of a run to ``path`` (by default ``run/NAME.safetensors``, or ``NAME-post-training``).

    It comes from quantisation-aware training, or, with ``post_training`` or where the run had no such phase or was
    only imported, from the floating-point weights. That the golden model and the trained network compute the same
    integer logits is checked on the whole test set.

    Raises
    ------
    ChandelierError
        If the run is not there or not through, or a number does not fit.
    """
    if not is_folder(run):
        wrong = "is a file" if run.exists() else "is not there"
        raise SetupError(f"{run} {wrong}: give the folder of a run, which 'chandelier train CONFIG' makes")
    config = load_config(run / CONFIG_FILE)
    path = path or run / f"{config.name}{'-post-training' if post_training else ''}.safetensors"
    check_network_path(path)
    dataset = load(config.data.name)
    untrained = not any((run / name).exists() for name in ("checkpoint.safetensors", "quantised.safetensors"))
    phase = "float" if post_training or untrained or config.quantisation.epochs == 0 else "quantised"
    network = load_run_network(config, dataset, run, phase)
    if phase == "float":
        network.quantise(replace(config.quantisation.scheme(), step="wide"))
    integers = network.integer_network(config.name)
    codes = integers.input.encode(dataset.x_test)
    right = float((_integer_classes(network, integers, codes) == dataset.y_test).mean())
    floating = phase_accuracy(run, config, dataset, "float")
    save_network(integers, path)
    return Quantised(integers, path, phase, right, floating)
