"""What ``train --tensorboard`` writes for TensorBoard: figures, weights and spikes of every epoch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quant.errors import ChandelierError
from quant.optional import optional
from sw.batches import input_of
from sw.config import Config
from sw.data import Dataset
from sw.network import SpikingNetwork

__all__ = ["FOLDER", "TensorBoard"]

#: Folder of the event files in that of a run.
FOLDER = "tensorboard"
#: Most samples and neurons of a raster, and the pixels of a spike's side.
_SAMPLES, _NEURONS, _PIXELS = 16, 128, 4
#: Intervals of a histogram of floating-point numbers.
_BINS = 64


class TensorBoard:
    """Writes event files while a network trains, and leaves no trace in its training.

    The step of TensorBoard is the epoch, of all phases together.

    Parameters
    ----------
    config : Config
    dataset : Dataset
        The spikes are those of its first test samples.
    run : Path
        Of the run: the files are in ``FOLDER`` there.

    Raises
    ------
    ChandelierError
        If the package is not installed, or the folder cannot be written.
    """

    def __init__(self, config: Config, dataset: Dataset, run: Path) -> None:
        tensorboard = optional("torch.utils.tensorboard", "--tensorboard", "chandelier[tensorboard]")
        try:
            self._writer = tensorboard.SummaryWriter(str(run / FOLDER))
        except OSError as error:
            raise ChandelierError(f"cannot write {run / FOLDER}: {error}") from None
        codes = input_of(config, dataset).encode(dataset.x_test[:_SAMPLES])
        self._codes = torch.from_numpy(codes).float()

    def close(self) -> None:
        """No more is written."""
        self._writer.close()

    @torch.no_grad()
    def epoch(self, network: SpikingNetwork, metrics: Sequence[Mapping[str, object]]) -> None:
        """Writes what the last epoch of ``metrics`` has left; the network is in eval mode afterwards."""
        figures, epochs = metrics[-1], len(metrics)
        for name, value in figures.items():
            if isinstance(value, float):
                self._writer.add_scalar(f"{name}/{figures['phase']}", value, epochs)
        for name, values, bins in _weights(network, quantised=figures["phase"] == "quantised"):
            self._writer.add_histogram(name, values, epochs, bins=bins)
        network.eval()
        _, *trains = network.spike_trains(self._codes.to(network.device))
        for i, train in enumerate(trains):
            fired = train.clamp(max=1).flatten(2).cpu()
            self._writer.add_scalar(f"firing rate/layer {i}", fired.mean(), epochs)
            self._writer.add_image(f"spikes/layer {i}", _raster(fired), epochs, dataformats="HW")
        self._writer.flush()


def _weights(network: SpikingNetwork, *, quantised: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, values and borders of intervals of each tensor: codes, one an interval, once they are quantised."""
    if quantised:
        for i, layer in enumerate(network.integer_network("tensorboard").layers):
            tensors = {"w_ee": layer.w_ee, "w_ie": layer.w_ie, "w_ei": layer.w_ei}
            if layer.neurons is not None:
                tensors |= {"g_i": layer.neurons.g_i, "g_e": layer.neurons.g_e, "b_e": layer.neurons.b_e}
            for name, codes in tensors.items():
                if codes.size:
                    yield f"codes/layer {i}/{name}", codes, np.arange(int(codes.min()), int(codes.max()) + 2) - 0.5
        return
    for name, parameter in network.named_parameters():
        values = parameter.detach().float().cpu().numpy()
        yield f"weights/{name}", values, np.linspace(values.min(), values.max() + 1e-6, _BINS + 1)


def _raster(fired: Tensor) -> Tensor:
    """An image, a row for each neuron and a column for each time step of one sample after the other, of 0..1.

    Of (steps, samples, neurons).
    """
    rows = fired[..., :_NEURONS].permute(2, 1, 0).flatten(1)
    return rows.repeat_interleave(_PIXELS, 0).repeat_interleave(_PIXELS, 1)
