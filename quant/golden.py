"""The golden model: an integer network in PyTorch, batched, exact, recording any intermediate on request.

What it computes is normative (docs/numerics.md); the RTL is compared with it bit by bit.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from quant.errors import ChandelierError
from quant.exact import divisive_inhibition, exact_dtype, lif_step, reciprocal, stabilise
from quant.network import IntegerNetwork, Layer, Neurons
from quant.widths import network_widths

__all__ = ["SIGNALS", "GoldenModel", "Trace"]

#: Everything that can be recorded. In dataflow order; ``r`` and ``e`` are the reciprocal's entry and exponent.
SIGNALS = ("i_ee", "i_ie", "bal", "d", "divisor", "r", "e", "current", "u", "v", "spike", "logits", "class")


@dataclass
class Trace:
    """Results of a batch, as numpy arrays.

    ``logits`` is (samples, classes) int64, ``classes`` (samples,) int64; ``signals[layer, name]`` is
    (samples, steps, neurons) int64, where a static input gives its layer a single step of currents.
    """

    logits: np.ndarray
    classes: np.ndarray
    signals: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)


def _float(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(array.astype(np.float64)).to(dtype)


class _LayerModel:
    """One layer's tensors, and its step."""

    def __init__(self, layer: Layer, bound: int) -> None:
        self.layer = layer
        self.dtype = exact_dtype(bound)
        self.w_ee = _float(layer.w_ee, self.dtype).T
        self.w_ie = _float(layer.w_ie, self.dtype).T
        self.w_ei = _float(layer.w_ei, torch.float64).T
        if layer.neurons is not None:
            self.g_i = _float(layer.neurons.g_i, torch.float64)
            self.g_e = torch.from_numpy(layer.neurons.g_e.astype(np.int64))
            self.b_e = torch.from_numpy(layer.neurons.b_e.astype(np.int64))

    def balance(self, x: Tensor) -> dict[str, Tensor]:
        """``i_ee``, ``i_ie`` and ``bal`` of inputs (..., d), float64 integers."""
        x = x.to(self.dtype)
        i_ee, i_ie = (x @ self.w_ee).double(), (x @ self.w_ie).double()
        return {"i_ee": i_ee, "i_ie": i_ie, "bal": self.layer.a * i_ee - i_ie @ self.w_ei}

    def current(self, signals: dict[str, Tensor], neurons: Neurons) -> dict[str, Tensor]:
        """``d`` to ``current``, from what :meth:`balance` gave."""
        d = (self.g_i * signals["i_ie"]) @ self.w_ei
        divisor = stabilise(d)
        r, e = reciprocal(divisor, neurons.reciprocal)
        current = divisive_inhibition(
            signals["bal"], divisor, self.g_e, self.b_e, neurons.shift, neurons.reciprocal, neurons.membrane
        )
        r, e = (torch.where(divisor > 0, value, 0) for value in (r, e))  # unused, and undefined, where D is 0
        return {"d": d, "divisor": divisor, "r": r, "e": e, "current": current}


def _lif(currents: Tensor, steps: int, neurons: Neurons) -> dict[str, Tensor]:
    """``u``, ``v`` and ``spike`` of every step, from currents (samples, steps or 1, n)."""
    v = torch.zeros_like(currents[:, 0])
    record: dict[str, list[Tensor]] = {"u": [], "v": [], "spike": []}
    for current in currents.expand(-1, steps, -1).unbind(1):
        u, spike, v = lif_step(v, current, neurons.membrane, neurons.tau_shift, neurons.theta)
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
        widths = network_widths(network)
        self._layers = [
            _LayerModel(layer, max(w.i_ee.max, w.i_ie.max)) for layer, w in zip(network.layers, widths, strict=True)
        ]

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
        x = torch.from_numpy(np.ascontiguousarray(codes))
        if self.network.input.kind == "static":
            x = x.unsqueeze(1)
        for i, model in enumerate(self._layers):
            signals = model.balance(x)
            neurons = model.layer.neurons
            if neurons is not None:
                signals |= model.current(signals, neurons)
                signals |= _lif(signals["current"], self.network.steps, neurons)
                x = signals["spike"]
            else:
                logits = signals["bal"].sum(1).long()
                trace.logits, trace.classes = logits.numpy(), first_argmax(logits).numpy()
                signals |= {"logits": logits[:, None], "class": first_argmax(logits)[:, None, None]}
            trace.signals |= {(i, name): s.long().numpy() for name, s in signals.items() if name in record}
        return trace

    def batches(self, codes: np.ndarray, record: Collection[str] = (), size: int = 1000) -> Iterator[Trace]:
        """Runs ``codes`` in batches of ``size`` samples, so that long runs need little memory."""
        for start in range(0, len(codes), size):
            yield self.run(codes[start : start + size], record)

    def classify(self, codes: np.ndarray) -> np.ndarray:
        """The class of every sample, (samples,) int64."""
        return np.concatenate([np.empty(0, np.int64), *(trace.classes for trace in self.batches(codes))])


def first_argmax(logits: Tensor) -> Tensor:
    """Index of the largest value of the last dimension; of equal ones the lowest."""
    return (logits == logits.amax(-1, keepdim=True)).long().argmax(-1)
