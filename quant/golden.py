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
from quant.exact import (
    CACHED,
    convolve,
    divide,
    exact_dtype,
    lif_step,
    magnitude,
    narrow,
    reciprocal,
    scale,
    stabilise,
    state_dtype,
    sum_pool,
)
from quant.formats import Format
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork, Layer, Neurons
from quant.widths import LayerWidths, network_widths

__all__ = ["SIGNALS", "GoldenModel", "Trace"]

#: Everything that can be recorded. In dataflow order; ``r`` and ``e`` are the reciprocal's entry and exponent.
SIGNALS = ("i_ee", "i_ie", "bal", "d", "divisor", "r", "e", "current", "u", "v", "spike", "logits", "class")

#: Values of the largest map that a batch may have: more are slower, since every step of a layer goes through memory.
_BATCH_VALUES = 3 << 20

#: What the readout has of each step; its logits alone need no more than the sums of its inputs over the steps.
_OF_STEPS = {"i_ee", "i_ie", "bal"}


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


def _largest(*formats: Format) -> int:
    """The largest magnitude in these formats."""
    return max(max(-f.min, f.max) for f in formats)


def _tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(array).to(dtype).contiguous()


class _LayerModel:
    """One layer's tensors, and its step on maps (steps, samples, h, w, c).

    ``bal`` is linear in the inputs, like ``i_ie``, and one product gives both. The extremes that a sum's format is made
    of bound its partial sums, too. Only where ``bal`` needs a wider type than the currents is it computed from them.
    """

    def __init__(self, layer: Layer, widths: LayerWidths, x_max: int, steps: int) -> None:
        self.layer, neurons = layer, layer.neurons
        w_ee, w_ie, w_ei = (w.astype(np.float64) for w in (layer.w_ee, layer.w_ie, layer.w_ei))
        #: Of pooled sums of spikes.
        self.sum_dtype = torch.int16 if x_max < 1 << 15 else torch.int64
        self.added = added = steps if neurons is None else 1  # a logit is a sum over the steps
        self.dtype = exact_dtype(added * _largest(widths.i_ee, widths.i_ie))
        # Where products are rounded, the larger of them is to have some bits of room.
        needed = exact_dtype(added * _largest(widths.bal) << (6 if layer.wiring.window else 0))
        self.direct = needed in (torch.float32, self.dtype)
        first = layer.a * w_ee - w_ei @ w_ie if self.direct else w_ee
        self.weights, self.w_ee = _tensor(np.concatenate([first, w_ie]), self.dtype), _tensor(w_ee, self.dtype)
        self.w_ei, self.inhibition = _tensor(w_ei.T, torch.float64), int(w_ei.sum(1).max())
        if neurons is not None:
            self.g_e, self.b_e = (torch.from_numpy(codes.astype(np.int64)) for codes in (neurons.g_e, neurons.b_e))
            self.narrow = (widths.product is not None and widths.d is not None) and narrow(
                _largest(widths.product), neurons.shift, widths.d.max, neurons.membrane
            )
            self.w_sh = _tensor((w_ei * neurons.g_i).T, exact_dtype(_largest(widths.i_ie, widths.d or widths.i_ie)))

    def _product(self, x: Tensor, weights: Tensor) -> Tensor:
        """Sums of inputs (..., h, w, c), integers in the type of the weights."""
        sums = convolve(x, weights, self.layer.wiring.window)
        # A library may convolve by a transform, exact only after rounding.
        return sums.round_() if self.layer.wiring.window else sums

    def balance(self, x: Tensor, record: Collection[str]) -> dict[str, Tensor]:
        """``bal`` and ``i_ie``, and ``i_ee`` on request, of inputs (..., h, w, c), integers in the layer's type."""
        bal, i_ie = self._product(x, self.weights).split((self.layer.n_e, self.layer.n_i), dim=-1)
        if not self.direct:
            most = self.layer.a * magnitude(bal) + self.inhibition * magnitude(i_ie)
            dtype = exact_dtype(self.added * most)
            rows_ee, rows_ie = (sums.to(dtype).flatten(end_dim=-2) for sums in (bal, i_ie))
            bal = torch.addmm(rows_ee, rows_ie, self.w_ei.to(dtype), beta=self.layer.a, alpha=-1).view_as(bal)
        signals = {"bal": bal, "i_ie": i_ie}
        return signals | {"i_ee": self._product(x, self.w_ee)} if "i_ee" in record else signals

    def current(self, signals: dict[str, Tensor], neurons: Neurons) -> dict[str, Tensor]:
        """``d``, ``divisor`` and ``current`` from what :meth:`balance` gave; without I neurons only ``current``."""
        bal, table = signals["bal"], neurons.reciprocal
        if table is None:
            return {"current": scale(self.g_e * bal.long(), neurons.shift, self.b_e, neurons.membrane)}
        d = signals["i_ie"].to(self.w_sh.dtype) @ self.w_sh
        divisor = stabilise(d, neurons.floor)
        codes = (self.g_e, self.b_e, neurons.shift, table, neurons.membrane)
        return {"d": d, "divisor": divisor, "current": divide(bal, divisor, *codes, proven=self.narrow)}


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
    size = max(1, CACHED // max(1, currents[0, :1].numel()))
    for part, *results in zip(*(values.split(size, dim=1) for values in (currents, *signals.values())), strict=True):
        v = torch.zeros_like(part[0])
        for t, current in enumerate(part):
            u, spike, v = lif_step(v, current, *dynamics)
            for name, values in zip(signals, results, strict=True):
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
        widths = network_widths(network)  # refuses what would not be exact
        layers = enumerate(zip(network.layers, widths, strict=True))
        self._layers = [_LayerModel(*each, network.input_max(i), network.steps) for i, each in layers]
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
            first, *others = (maps[j].to(model.sum_dtype) for j in sources)
            x = sum_pool(sum(others, first), model.layer.wiring.pool).to(model.dtype)
            maps = {j: spikes for j, spikes in maps.items() if self._last_use.get(j, 0) > i}
            neurons = model.layer.neurons
            if neurons is None and _OF_STEPS.isdisjoint(record):
                x = x.sum(0, keepdim=True)
            signals = model.balance(x, record)
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

    def events(self, codes: np.ndarray) -> list[np.ndarray]:
        """What is not zero, and so travels: of the network's input, and of each layer but the last.

        Each is (samples, steps, values) bool, with one step of a static input.
        """
        inputs = codes[:, None] if self.network.input.kind == "static" else codes
        layers = range(len(self.network.layers) - 1)
        spikes: list[list[np.ndarray]] = [[] for _ in layers]
        for trace in self.batches(codes, ["spike"]):
            for i in layers:
                spikes[i].append(trace.signals[i, "spike"] != 0)
        return [inputs != 0, *(np.concatenate(batches) for batches in spikes)]

    def zeros(self, codes: np.ndarray) -> list[np.ndarray]:
        """Which denominators are zero before stabilisation, of each layer but the last; none without inhibition.

        Each is (samples, steps, neurons) bool, with one step where the layer's input is static.
        """
        found: list[list[np.ndarray]] = [[] for _ in self.network.layers[:-1]]
        for trace in self.batches(codes, ["d"]):
            for i, own in enumerate(found):
                shape = (len(trace.classes), self.network.layer_steps(i), math.prod(self.network.maps[i][1]))
                own.append(trace.signals.get((i, "d"), np.ones(shape)) == 0)
        return [np.concatenate(batches) for batches in found]

    def classify(self, codes: np.ndarray) -> np.ndarray:
        """The class of every sample, (samples,) int64."""
        return np.concatenate([np.empty(0, np.int64), *(trace.classes for trace in self.batches(codes))])


def first_argmax(logits: Tensor) -> Tensor:
    """Index of the largest value of the last dimension; of equal ones the lowest."""
    return (logits == logits.amax(-1, keepdim=True)).long().argmax(-1)
