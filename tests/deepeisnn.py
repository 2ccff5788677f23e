"""DeepEISNN networks with random numbers, in its layout of tensors, and their forward pass, written out in float64.

Independent of :mod:`sw`: channels first, time steps merged into the batch, average pooling, SEW residuals.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as f

State = dict[str, Tensor]


@dataclass
class Network:
    """Tensors and configuration; ``modules`` are those of ``layers``, a residual network has none.

    A forward pass leaves in ``rates`` the firing rate of every layer, and counts the denominators that it replaced.
    """

    state: State
    config: dict[str, Any]
    modules: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    replaced: int = 0

    def _population(self, name: str, i_ee: Tensor, i_ie: Tensor, *, readout: bool = False) -> Tensor:
        """Currents (n, ...) of E neurons from those of both populations, the channel in the second dimension."""
        w_ei, gain_i, gain_e, bias = (
            self.state[f"{name}.{t}"].double() for t in ("weight_ei", "gain_i", "gain_e", "bias")
        )
        balanced = i_ee - torch.einsum("ei,ni...->ne...", w_ei, i_ie)
        if readout:
            return balanced
        shunting = torch.einsum("ei,ni...->ne...", w_ei, gain_i * i_ie)
        smallest = torch.where(shunting == 0, torch.inf, shunting).flatten(1).min(1).values
        self.replaced += int((shunting == 0).sum())
        shunting = torch.where(shunting == 0, smallest.view(-1, *[1] * (shunting.ndim - 1)), shunting)
        return gain_e * balanced / shunting + bias

    def _lif(self, x: Tensor) -> Tensor:
        """Spikes (steps * samples, ...) of currents."""
        steps = self.config["T"]
        v, spikes = torch.zeros_like(x[: len(x) // steps]), []
        for current in x.unflatten(0, (steps, -1)):
            v = v - v / self.config["neuron"]["tau"] + current
            spikes.append((v >= 1).double())
            v = v - spikes[-1]
        self.rates.append(float(torch.stack(spikes).mean()))
        return torch.cat(spikes)

    def _convolution(self, synapses: str, norm: str, x: Tensor, stride: int = 1) -> Tensor:
        w_ee, w_ie = (self.state[f"{synapses}.conv_{kind}.weight"].double() for kind in ("ee", "ie"))
        padding = (w_ee.shape[2] // 2, w_ee.shape[3] // 2)
        i_ee, i_ie = (f.conv2d(x, w, stride=stride, padding=padding) for w in (w_ee, w_ie))
        return self._lif(self._population(norm, i_ee, i_ie))

    def _linear(self, synapses: str, norm: str, x: Tensor, *, readout: bool = False) -> Tensor:
        i_ee, i_ie = (x @ self.state[f"{synapses}.weight_{kind}"].double().T for kind in ("ee", "ie"))
        return self._population(norm, i_ee, i_ie, readout=readout)

    def _sequence(self, x: Tensor) -> Tensor:
        for k, module in enumerate(self.modules):
            match module:
                case "conv":
                    x = self._convolution(f"layers.{k}", f"layers.{k + 1}", x)
                case "pool":
                    x = f.avg_pool2d(x, 2, 2)
                case "flatten":
                    x = x.flatten(1)
                case "linear":
                    x = self._lif(self._linear(f"layers.{k}", f"layers.{k + 1}", x))
                case "readout":
                    x = self._linear(f"layers.{k}", f"layers.{k + 1}", x, readout=True)
        return x

    def _residual(self, x: Tensor) -> Tensor:
        x = self._convolution("conv1", "norm1", x)
        for stage in range(1, 5):
            for block in range(9):
                at = f"layer{stage}.{block}"
                if f"{at}.conv1.conv_ee.weight" not in self.state:
                    break
                stride = 2 if stage > 1 and block == 0 else 1
                out = self._convolution(f"{at}.conv1", f"{at}.norm1", x, stride)
                out = self._convolution(f"{at}.conv2", f"{at}.norm2", out)
                if f"{at}.downsample.0.conv_ee.weight" in self.state:
                    x = self._convolution(f"{at}.downsample.0", f"{at}.downsample.1", x, stride)
                x = out + x
        return self._linear("fc", "final_ei_norm", f.adaptive_avg_pool2d(x, 1).flatten(1), readout=True)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Logits (samples, classes) of (samples, [steps,] channels, height, width), or (samples, features)."""
        self.rates, self.replaced = [], 0
        steps, given = self.config["T"], torch.from_numpy(x).double()
        static = "DVS" not in self.config["dataset"]
        merged = given.repeat(steps, *[1] * (given.ndim - 1)) if static else given.transpose(0, 1).flatten(0, 1)
        if self.config["arch"] == "MLP":
            merged = merged.flatten(1)
        out = self._sequence(merged) if self.modules else self._residual(merged)
        return out.unflatten(0, (steps, -1)).mean(0).numpy()


class _Maker:
    """Adds the tensors of layer after layer to ``state``."""

    def __init__(self, seed: int, ratio: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.state: State = {}
        self.ratio = ratio

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def _synapses(self, n: int, inputs: tuple[int, ...]) -> Tensor:
        """Exponential; a few are zero, so that denominators are, too."""
        d = float(np.prod(inputs))
        return torch.where(self._random(n, *inputs) < 0.3, 0, -self._random(n, *inputs).log() / d**0.5)

    def _norm(self, name: str, n_e: int, d: float, *trailing: int) -> None:
        n_i = n_e // self.ratio
        shape = (lambda n: (n, 1, 1)) if trailing else (lambda n: (1, n))
        w_ei = (0.6 + 0.8 * self._random(n_e, n_i)) / n_i
        w_ei[0] = 0  # a neuron without inhibition, whose denominator is always replaced
        self.state |= {
            f"{name}.weight_ei": w_ei,
            f"{name}.gain_i": (1 + self._random(*shape(n_i))) / d**0.5,
            f"{name}.gain_e": 0.7 + self._random(*shape(n_e)),
            f"{name}.bias": self._random(*shape(n_e)) - 0.3,
        }

    def convolution(self, synapses: str, norm: str, n: int, channels: int, kernel: tuple[int, int] = (3, 3)) -> None:
        inputs = (channels, *kernel)
        self.state[f"{synapses}.conv_ee.weight"] = self._synapses(n, inputs)
        self.state[f"{synapses}.conv_ie.weight"] = self._synapses(n // self.ratio, inputs)
        self._norm(norm, n, float(np.prod(inputs)), 1)

    def linear(self, synapses: str, norm: str, n: int, d: int) -> None:
        self.state[f"{synapses}.weight_ee"] = self._synapses(n, (d,))
        self.state[f"{synapses}.weight_ie"] = self._synapses(n // self.ratio, (d,))
        self._norm(norm, n, d)


def _config(arch: str, depth: int, ratio: int, dataset: str, steps: int, **more: object) -> dict[str, Any]:
    """As of the reference's YAML files, what is of no concern to us included."""
    return {
        "dataset": dataset,
        "data_path": "/nowhere",
        "type": "EI-SNN",
        "arch": arch,
        "num_layers": depth,
        "T": steps,
        "ei_ratio": ratio,
        "neuron": {"tau": 2.0},
        "epochs": 300,
        "warmup_epochs": 10,
        "batch_size": 16,
        "learning_rate": 0.002,
        "optimizer": "SGD",
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "scheduler": "CosALR",
        "loss": "CE",
        "output_dir": "/nowhere",
    } | more


def mlp(d: int, widths: tuple[int, ...], classes: int, *, seed: int = 0, steps: int = 3, ratio: int = 4) -> Network:
    """A perceptron."""
    maker, modules = _Maker(seed, ratio), ["repeat", "merge"]
    for n in widths:
        maker.linear(f"layers.{len(modules)}", f"layers.{len(modules) + 1}", n, d)
        modules += ["linear", "norm", "split", "lif", "merge"]
        d = n
    maker.linear(f"layers.{len(modules)}", f"layers.{len(modules) + 1}", classes, d)
    config = _config("MLP", len(widths) + 1, ratio, "MNIST", steps)
    return Network(maker.state, config, [*modules, "readout", "norm", "split"])


def vgg(
    shape: tuple[int, int, int],
    plan: tuple[int | str, ...],
    dense: tuple[int, ...],
    classes: int,
    *,
    seed: int = 0,
    steps: int = 3,
    ratio: int = 4,
    sequence: bool = False,
    kernel: tuple[int, int] = (3, 3),
) -> Network:
    """A VGG on maps of (channels, height, width): widths and "P"; ``dense`` is the classifier before the readout."""
    (channels, height, width), maker = shape, _Maker(seed, ratio)
    modules = ["merge"] if sequence else ["repeat", "merge"]
    for token in plan:
        if token == "P":
            modules.append("pool")
            height, width = height // 2, width // 2
            continue
        n = int(token)
        maker.convolution(f"layers.{len(modules)}", f"layers.{len(modules) + 1}", n, channels, kernel)
        modules += ["conv", "norm", "split", "lif", "dropout", "merge"]
        channels = n
    modules.append("flatten")
    d = channels * height * width
    for n in dense:
        maker.linear(f"layers.{len(modules)}", f"layers.{len(modules) + 1}", n, d)
        modules += ["linear", "norm", "split", "lif", "dropout", "merge"]
        d = n
    maker.linear(f"layers.{len(modules)}", f"layers.{len(modules) + 1}", classes, d)
    depth = sum(token != "P" for token in plan) + 3
    more = {"light_classifier": not dense, "dropout": 0.0}
    config = _config("VGG", depth, ratio, "CIFAR10DVS" if sequence else "CIFAR10", steps, **more)
    return Network(maker.state, config, [*modules, "readout", "norm", "split"])


def resnet(
    channels: int, stem: int, stages: tuple[tuple[int, int], ...], classes: int, *, seed: int = 0, steps: int = 3
) -> Network:
    """A SEW-ResNet; ``stages`` are (width, blocks), all but the first at half the size of the one before."""
    maker = _Maker(seed, 4)
    maker.convolution("conv1", "norm1", stem, channels)
    before = stem
    for stage, (n, blocks) in enumerate(stages, 1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            maker.convolution(f"{at}.conv1", f"{at}.norm1", n, before)
            maker.convolution(f"{at}.conv2", f"{at}.norm2", n, n)
            if block == 0 and (stage > 1 or n != before):
                maker.convolution(f"{at}.downsample.0", f"{at}.downsample.1", n, before, (1, 1))
            before = n
    maker.linear("fc", "final_ei_norm", classes, before)
    depth = 2 * sum(blocks for _, blocks in stages) + 2
    return Network(maker.state, _config("ResNet", depth, 4, "CIFAR10", steps, zero_init_residual=False))
