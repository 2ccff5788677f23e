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
from quant.exact import convolve, divide, exact_dtype, lif_step, reciprocal, scale, stabilise, state_dtype, sum_pool
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer, Neurons
from quant.widths import network_widths

__all__ = ["SIGNALS", "GoldenModel", "Trace"]

#: Everything that can be recorded. In dataflow order; ``r`` and ``e`` are the reciprocal's entry and exponent.
SIGNALS = ("i_ee", "i_ie", "bal", "d", "divisor", "r", "e", "current", "u", "v", "spike", "logits", "class")

#: Values of the largest map that a batch may have: more are slower, since every step of a layer goes through memory.
_BATCH_VALUES = 1 << 22


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
    return torch.from_numpy(array.astype(np.float64)).to(dtype).contiguous()


class _LayerModel:
    """One layer's tensors, and its step on maps (steps, samples, h, w, c)."""

    def __init__(self, layer: Layer, x_max: int) -> None:
        self.layer = layer
        weights = np.concatenate([layer.w_ee, layer.w_ie]).astype(np.int64)
        largest = x_max * np.abs(weights).sum(1).astype(np.float64)
        #: Of currents, and of balance and denominator, whose terms all have one sign up to ``a * i_ee - i_ei``.
        self.dtype = exact_dtype(int(largest.max()))
        i_ei = layer.w_ei.astype(np.float64) @ largest[layer.n_e :]
        gain = 1 if layer.neurons is None else int(layer.neurons.g_i.max(initial=1))
        self.wide = exact_dtype(int(max(layer.a * largest[: layer.n_e].max(), i_ei.max() * max(1, gain))))
        self.weights = _float(weights, self.dtype)
        self.w_ei = _float(layer.w_ei.T, self.wide)
        if layer.neurons is not None:
            self.w_sh = _float((layer.w_ei * layer.neurons.g_i.astype(np.int64)).T, self.wide)
            self.g_e = torch.from_numpy(layer.neurons.g_e.astype(np.int64))
            self.b_e = torch.from_numpy(layer.neurons.b_e.astype(np.int64))

    def balance(self, x: Tensor) -> dict[str, Tensor]:
        """``i_ee``, ``i_ie`` and ``bal`` of inputs (..., h, w, c), floating-point integers."""
        layer = self.layer
        currents = convolve(x.to(self.dtype), self.weights, layer.wiring.window)
        if layer.wiring.window:  # a library may convolve by a transform, exact only after rounding
            currents = currents.round_()
        i_ee, i_ie = currents.to(self.wide).split((layer.n_e, layer.n_i), dim=-1)
        i_ie = i_ie.contiguous()  # a factor of two products
        bal = torch.addmm(i_ee.flatten(end_dim=-2), i_ie.flatten(end_dim=-2), self.w_ei, beta=layer.a, alpha=-1)
        return {"i_ee": i_ee, "i_ie": i_ie, "bal": bal.view_as(i_ee)}

    def current(self, signals: dict[str, Tensor], neurons: Neurons) -> dict[str, Tensor]:
        """``d``, ``divisor`` and ``current`` from what :meth:`balance` gave; without I neurons only ``current``."""
        bal, table = signals["bal"], neurons.reciprocal
        if table is None:
            return {"current": scale(self.g_e * bal.long(), neurons.shift, self.b_e, neurons.membrane)}
        d = signals["i_ie"] @ self.w_sh
        divisor = stabilise(d, neurons.floor)
        current = divide(bal, divisor, self.g_e, self.b_e, neurons.shift, table, neurons.membrane)
        return {"d": d, "divisor": divisor, "current": current}


def _reciprocals(signals: dict[str, Tensor], neurons: Neurons) -> dict[str, Tensor]:
    """``r`` and ``e`` of the divisors, if there are any."""
    if neurons.reciprocal is None:
        return {}
    return dict(zip(("r", "e"), reciprocal(signals["divisor"], neurons.reciprocal), strict=True))


def _lif(currents: Tensor, steps: int, neurons: Neurons, record: Collection[str]) -> dict[str, Tensor]:
    """``spike`` of every step, and ``u`` and ``v`` on request, from currents (steps or 1, samples, h, w, n)."""
    currents = currents.to(state_dtype(neurons.membrane, neurons.leak)).expand(steps, -1, -1, -1, -1)
    signals = {name: currents.new_empty(currents.shape) for name in ("u", "v") if name in record}
    signals["spike"] = torch.empty(currents.shape)  # float32, as most products take them
    dynamics = (neurons.membrane, neurons.tau_shift, neurons.theta, neurons.leak, neurons.reset)
    v = torch.zeros_like(currents[0])
    for t, current in enumerate(currents):
        u, spike, v = lif_step(v, current, *dynamics)
        for name, values in signals.items():
            values[t] = {"u": u, "v": v, "spike": spike}[name]
    return signals


def _recorded(signal: Tensor) -> np.ndarray:
    """A signal (steps, samples, h, w, n) as a :class:`Trace` has it."""
    return signal.transpose(0, 1).flatten(2).long().contiguous().numpy()


class GoldenModel:
    """The golden model of ``network``.

    Raises
    ------
    ChandelierError
        If the network does not fit the arithmetic.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        network_widths(network)  # refuses what would not be exact
        self._layers = [_LayerModel(layer, network.input_max(i)) for i, layer in enumerate(network.layers)]
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
        maps = {NETWORK_INPUT: x.unsqueeze(0) if self.network.input.kind == "static" else x.transpose(0, 1)}
        for i, model in enumerate(self._layers):
            sources = model.layer.wiring.sources_of(i)
            first, *others = (maps[j].to(model.dtype) for j in sources)
            x = sum_pool(sum(others, first), model.layer.wiring.pool)
            maps = {j: spikes for j, spikes in maps.items() if self._last_use.get(j, 0) > i}
            signals = model.balance(x)
            neurons = model.layer.neurons
            if neurons is not None:
                signals |= model.current(signals, neurons)
                if "r" in record or "e" in record:
                    signals |= _reciprocals(signals, neurons)
                signals |= _lif(signals["current"], self.network.steps, neurons, record)
                maps[i] = signals["spike"]
            else:
                logits = signals["bal"].sum(0, keepdim=True).long()
                classes = first_argmax(logits)
                trace.logits, trace.classes = logits[0].flatten(1).numpy(), classes.flatten().numpy()
                signals |= {"logits": logits, "class": classes[..., None]}
            trace.signals |= {(i, name): _recorded(s) for name, s in signals.items() if name in record}
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
