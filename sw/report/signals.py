"""What the signals of the golden model say of each layer: rates, balance, denominators, potentials, saturation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from quant.arithmetic import after_reset, round_shift
from quant.formats import Format
from quant.golden import GoldenModel
from quant.network import IntegerNetwork, Layer, Neurons

__all__ = ["OCTAVES", "LayerSignals", "layer_signals"]

#: Denominators are counted by octave: 0, 1, 2..3, 4..7, and so on; none needs more bits.
OCTAVES = 64
#: Bins that potentials are counted in, at most: more than are shown, as only a part of the range is in use.
_BINS = 4096
_RECORDED = ("i_ee", "bal", "d", "divisor", "r", "e", "current", "u", "v", "spike")


@dataclass
class LayerSignals:
    """Counts over some samples, of one layer.

    Parameters
    ----------
    layer : Layer
    samples : int
    excitation, inhibition : (n_e,)
        Mean excitatory and inhibitory current of each neuron, at every pixel, in steps of a synapse.
    rates : (values,)
        Spikes of each neuron, at each pixel, a time step.
    denominators, divisors : (OCTAVES,) int64
        How many denominators, before and after the stabiliser, are 0, 1, 2..3, 4..7, ...
    raised : int
        Denominators that the stabiliser changed.
    potentials : (bins,) int64
        How many potentials before the reset lie in each of the bins between ``edges``.
    edges : (bins + 1,)
    currents, updates : int
        Currents and potentials that were computed.
    saturated_currents, saturated_potentials : int
        How many of these did not fit the membrane's format, and became its end.
    """

    layer: Layer
    samples: int = 0
    excitation: np.ndarray = field(default_factory=lambda: np.zeros(0))
    inhibition: np.ndarray = field(default_factory=lambda: np.zeros(0))
    rates: np.ndarray = field(default_factory=lambda: np.zeros(0))
    denominators: np.ndarray = field(default_factory=lambda: np.zeros(OCTAVES, np.int64))
    divisors: np.ndarray = field(default_factory=lambda: np.zeros(OCTAVES, np.int64))
    raised: int = 0
    potentials: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    edges: np.ndarray = field(default_factory=lambda: np.zeros(0))
    currents: int = 0
    updates: int = 0
    saturated_currents: int = 0
    saturated_potentials: int = 0

    def __post_init__(self) -> None:
        if self.layer.neurons is not None:
            self.edges = _edges(self.layer.neurons.membrane)
            self.potentials = np.zeros(len(self.edges) - 1, np.int64)

    @property
    def silent(self) -> float:
        """Share of neurons, at each pixel, that never spike."""
        return float((self.rates == 0).mean())

    @property
    def stabilised(self) -> float:
        """Share of denominators that the stabiliser changes."""
        return self.raised / max(1, int(self.denominators.sum()))

    def add(self, signals: Mapping[str, np.ndarray]) -> None:
        """Counts the signals of some more samples, (samples, steps or 1, values) each."""
        samples = len(signals["bal"])
        bal, i_ee = (signals[name].reshape(-1, self.layer.n_e) for name in ("bal", "i_ee"))
        self.excitation = self._mean(self.excitation, i_ee.mean(0), samples)
        self.inhibition = self._mean(self.inhibition, (i_ee - bal / self.layer.a).mean(0), samples)
        if self.layer.neurons is not None:
            self.rates = self._mean(self.rates, signals["spike"].mean((0, 1)), samples)
            self._add_neurons(self.layer.neurons, signals)
        self.samples += samples

    def _mean(self, before: np.ndarray, new: np.ndarray, samples: int) -> np.ndarray:
        return new if not self.samples else before + (new - before) * (samples / (self.samples + samples))

    def _add_neurons(self, neurons: Neurons, signals: Mapping[str, np.ndarray]) -> None:
        if "d" in signals:
            self.denominators += _octaves(signals["d"])
            self.divisors += _octaves(signals["divisor"])
            self.raised += int((signals["d"] != signals["divisor"]).sum())
        self.potentials += np.histogram(signals["u"], self.edges)[0]
        self.currents += signals["current"].size
        self.updates += signals["u"].size
        self.saturated_currents += _beyond(_wide_currents(self.layer.n_e, neurons, signals), neurons.membrane)
        left = after_reset(signals["u"], signals["spike"] != 0, neurons.theta, neurons.reset, np.where)
        self.saturated_potentials += _beyond(left, neurons.membrane)


def _edges(membrane: Format) -> np.ndarray:
    """Of bins of equal width over all that a potential can be before its reset, whole numbers wide."""
    low, high = 2 * membrane.min, 2 * membrane.max + 2
    return np.linspace(low, high, min(_BINS, high - low) + 1) - 0.5


def _octaves(values: np.ndarray) -> np.ndarray:
    """How many of the ``values``, none negative, are 0, 1, 2..3, 4..7, ..."""
    return np.bincount(np.frexp(values.astype(np.float64))[1].ravel(), minlength=OCTAVES)


def _wide_currents(n_e: int, neurons: Neurons, signals: Mapping[str, np.ndarray]) -> np.ndarray:
    """Currents as they are before they are saturated."""
    bal = signals["bal"].reshape(*signals["bal"].shape[:2], -1, n_e)
    product: np.ndarray = neurons.g_e.astype(np.int64) * bal
    shift: np.ndarray = np.array(neurons.shift, np.int64)
    if neurons.reciprocal is not None:
        product = product * signals["r"].reshape(bal.shape)
        shift = np.minimum(63, shift + signals["e"].reshape(bal.shape))  # past the product's width it changes nothing
    return round_shift(product, shift) + neurons.b_e.astype(np.int64)


def _beyond(values: np.ndarray, fmt: Format) -> int:
    return int(((values < fmt.min) | (values > fmt.max)).sum())


def layer_signals(network: IntegerNetwork, codes: np.ndarray) -> list[LayerSignals]:
    """Of each layer, what the golden model's signals are on these input codes."""
    layers = [LayerSignals(layer) for layer in network.layers]
    for trace in GoldenModel(network).batches(codes, _RECORDED):
        for i, own in enumerate(layers):
            own.add({name: trace.signals[i, name] for name in _names(i, trace.signals)})
    return layers


def _names(layer: int, signals: Iterable[tuple[int, str]]) -> list[str]:
    return [name for i, name in signals if i == layer]
