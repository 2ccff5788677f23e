"""The golden model: an integer network in PyTorch, batched, exact, recording any intermediate on request.

What it computes is normative (docs/numerics.md); the RTL is compared with it bit by bit.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from quant.errors import ChandelierError
from quant.exact import convolve, divide, exact_dtype, lif_step, reciprocal, scale, stabilise, sum_pool
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer, Neurons
from quant.widths import LayerWidths, network_widths

__all__ = ["SIGNALS", "GoldenModel", "Trace"]

#: Everything that can be recorded. In dataflow order; ``r`` and ``e`` are the reciprocal's entry and exponent.
SIGNALS = ("i_ee", "i_ie", "bal", "d", "divisor", "r", "e", "current", "u", "v", "spike", "logits", "class")

#: Factor of a leak up to which a potential of 24 bits times it fits 32 bits.
_SMALL_LEAK = 64
#: Values of the largest map that a batch may have.
_BATCH_VALUES = 1 << 23


@dataclass
class Trace:
    """Results of a batch, as numpy arrays.

    ``logits`` is (samples, classes) int64, ``classes`` (samples,) int64; ``signals[layer, name]`` is
    (samples, steps, neurons) int64, where a static input gives its layer a single step of currents. The neurons of a
    convolution are in the order (row, column, channel).
    """

    logits: np.ndarray
    classes: np.ndarray
    signals: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)


def _float(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(array.astype(np.float64)).to(dtype)


class _LayerModel:
    """One layer's tensors, and its step on maps (samples, steps, h, w, c)."""

    def __init__(self, layer: Layer, widths: LayerWidths, x_max: int) -> None:
        self.layer = layer
        d = () if widths.d is None else (widths.d.max,)
        weights = np.concatenate([layer.w_ee, layer.w_ie]).astype(np.int64)
        self.dtype = exact_dtype(x_max * int(np.abs(weights).sum(1).max()))
        self.weights = _float(weights, self.dtype)
        self.balance_dtype = exact_dtype(max(widths.bal.max, -widths.bal.min, layer.a * widths.i_ee.max, *d))
        self.w_ei = _float(layer.w_ei, self.balance_dtype).T
        if layer.neurons is not None:
            self.g_i = _float(layer.neurons.g_i, self.balance_dtype)
            self.g_e = torch.from_numpy(layer.neurons.g_e.astype(np.int64))
            self.b_e = torch.from_numpy(layer.neurons.b_e.astype(np.int64))

    def balance(self, x: Tensor) -> dict[str, Tensor]:
        """``i_ee``, ``i_ie`` and ``bal`` of inputs (..., h, w, c), floating-point integers."""
        layer = self.layer
        # A library may convolve by a transform, exact only after rounding.
        currents = convolve(x.to(self.dtype), self.weights, layer.wiring.window).round().to(self.balance_dtype)
        i_ee, i_ie = currents.split((layer.n_e, layer.n_i), dim=-1)
        return {"i_ee": i_ee, "i_ie": i_ie, "bal": layer.a * i_ee - i_ie @ self.w_ei}

    def current(self, signals: dict[str, Tensor], neurons: Neurons, record: Collection[str]) -> dict[str, Tensor]:
        """``d`` to ``current``, from what :meth:`balance` gave; ``r`` and ``e`` only if they are to be recorded."""
        bal, table = signals["bal"], neurons.reciprocal
        if table is None:
            return {"current": scale(self.g_e * bal.long(), neurons.shift, self.b_e, neurons.membrane)}
        d = (self.g_i * signals["i_ie"]) @ self.w_ei
        divisor = stabilise(d, neurons.floor)
        current = divide(bal, divisor, self.g_e, self.b_e, neurons.shift, table, neurons.membrane)
        result = {"d": d, "divisor": divisor, "current": current}
        if not {"r", "e"}.isdisjoint(record):
            r, e = (torch.where(divisor > 0, value, 0) for value in reciprocal(divisor, table))  # undefined for D = 0
            result |= {"r": r, "e": e}
        return result


def _lif(currents: Tensor, steps: int, neurons: Neurons) -> dict[str, Tensor]:
    """``u``, ``v`` and ``spike`` of every step, from currents (samples, steps or 1, h, w, n)."""
    if neurons.leak <= _SMALL_LEAK:
        currents = currents.int()
    v = torch.zeros_like(currents[:, 0])
    record: dict[str, list[Tensor]] = {"u": [], "v": [], "spike": []}
    for current in currents.expand(-1, steps, -1, -1, -1).unbind(1):
        dynamics = (neurons.membrane, neurons.tau_shift, neurons.theta, neurons.leak, neurons.reset)
        u, spike, v = lif_step(v, current, *dynamics)
        for name, value in zip(record, (u, v, spike), strict=True):
            record[name].append(value)
    return {name: torch.stack(values, 1) for name, values in record.items()}


class GoldenModel:
    """The golden model of ``network``.

    Raises
    ------
    ChandelierError
        If the network does not fit the arithmetic.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        widths = network_widths(network)  # refuses what would not be exact
        self._layers = [_LayerModel(layer, widths[i], network.input_max(i)) for i, layer in enumerate(network.layers)]
        self._last_use = {source: i for i, layer in enumerate(network.layers) for source in layer.wiring.sources_of(i)}

    def check_codes(self, codes: np.ndarray) -> None:
        """Refuses inputs that are not codes of this network.

        Raises
        ------
        ChandelierError
            If type, shape or range do not fit.
        """
        spec = self.network.input
        shape = (spec.features,) if spec.kind == "static" else (self.network.steps, spec.features)
        if codes.dtype != np.uint8 or codes.shape[1:] != shape:
            raise ChandelierError(
                f"network {self.network.name} takes uint8 codes of shape (samples, {', '.join(map(str, shape))}), "
                f"not {codes.dtype} of {codes.shape}"
            )
        if codes.size and int(codes.max()) not in spec.format:
            raise ChandelierError(f"input code {int(codes.max())} does not fit the network's {spec.format}")

    @torch.no_grad()
    def run(self, codes: np.ndarray, record: Collection[str] = ()) -> Trace:
        """Runs a batch of input codes and records the signals named in ``record`` (of :data:`SIGNALS`).

        Parameters
        ----------
        codes : (samples, features) or, for a sequence, (samples, steps, features), uint8

        Raises
        ------
        ChandelierError
            If the codes do not fit the network.
        """
        self.check_codes(codes)
        trace = Trace(np.empty(0), np.empty(0))
        x = torch.from_numpy(np.ascontiguousarray(codes)).unflatten(-1, self.network.input.map)
        maps = {NETWORK_INPUT: x.unsqueeze(1) if self.network.input.kind == "static" else x}
        for i, model in enumerate(self._layers):
            sources = model.layer.wiring.sources_of(i)
            x = sum_pool(torch.stack([maps[j].to(model.dtype) for j in sources]).sum(0), model.layer.wiring.pool)
            maps = {j: spikes for j, spikes in maps.items() if self._last_use.get(j, 0) > i}
            signals = model.balance(x)
            neurons = model.layer.neurons
            if neurons is not None:
                signals |= model.current(signals, neurons, record)
                signals |= _lif(signals["current"], self.network.steps, neurons)
                maps[i] = signals["spike"].to(torch.uint8)
            else:
                logits = signals["bal"].sum(1).long()
                classes = first_argmax(logits.flatten(1))
                trace.logits, trace.classes = logits.flatten(1).numpy(), classes.numpy()
                signals |= {"logits": logits[:, None], "class": classes[:, None, None, None, None]}
            wanted = {(i, name): s.flatten(2).long().numpy() for name, s in signals.items() if name in record}
            trace.signals |= wanted
        return trace

    def batches(self, codes: np.ndarray, record: Collection[str] = ()) -> Iterator[Trace]:
        """Runs ``codes`` in batches of up to 1000 samples, fewer where maps are large, to take little memory."""
        largest = max(self.network.steps * math.prod(shape) for _, shape in self.network.maps)
        size = max(1, min(1000, _BATCH_VALUES // largest))
        for start in range(0, len(codes), size):
            yield self.run(codes[start : start + size], record)

    def classify(self, codes: np.ndarray) -> np.ndarray:
        """The class of every sample, (samples,) int64."""
        return np.concatenate([np.empty(0, np.int64), *(trace.classes for trace in self.batches(codes))])


def first_argmax(logits: Tensor) -> Tensor:
    """Index of the largest value of the last dimension; of equal ones the lowest."""
    return (logits == logits.amax(-1, keepdim=True)).long().argmax(-1)
