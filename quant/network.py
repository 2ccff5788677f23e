"""The integer network: every number that the golden model and the hardware compute with. No torch in here.

Its file is described in ``quant/network_file.py``, the widths that follow from it in ``quant/widths.py``.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from quant.arithmetic import Reset
from quant.errors import ChandelierError
from quant.formats import Format
from quant.maps import FULLY_CONNECTED, NETWORK_INPUT, Shape, Wiring, pooled
from quant.reciprocal import Reciprocal

__all__ = [
    "MOST_INPUTS",
    "MOST_SHIFT",
    "Array",
    "Input",
    "IntegerNetwork",
    "Layer",
    "Neurons",
    "encode",
    "signed_tensors",
]

Array = np.ndarray
#: Most features of an input, and most time steps.
MOST_INPUTS = 65536
#: Largest ``shift`` of neurons.
MOST_SHIFT = 40


def encode(x: np.ndarray, bits: int, threshold: float) -> np.ndarray:
    """Codes of inputs: ``min(2**bits - 1, floor(x * (2**bits - 1) + 1 - threshold))``, uint8 of the shape of ``x``.

    ``x`` is float32 in [0, 1]. A threshold of 0.5 rounds to nearest; with one bit a pixel is 1 where it
    reaches the threshold.
    """
    levels = np.float32((1 << bits) - 1)
    return np.minimum(np.floor(x * levels + np.float32(1 - threshold)), levels).astype(np.uint8)


@dataclass(frozen=True)
class Input:
    """What the network takes: ``features`` unsigned codes of ``bits`` bits.

    Parameters
    ----------
    features : int, 1..65536
    bits : int, 1..8
    kind : "static" or "sequence"
        A static input is the same at every time step, and accumulated once; a sequence brings one
        input vector a time step.
    threshold : float, 0 < threshold <= 1
        See :func:`encode`.
    shape : (height, width, channels), optional
        The map that the features are, in that order; by default one row, (1, features, 1).
    """

    features: int
    bits: int
    kind: Literal["static", "sequence"] = "static"
    threshold: float = 0.5
    shape: Shape | None = None

    @property
    def map(self) -> Shape:
        """``shape``, written out."""
        return self.shape or (1, self.features, 1)

    @property
    def format(self) -> Format:
        """Format of an input code."""
        return Format(self.bits)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Codes of ``x`` (float32 in [0, 1]), uint8 of the same shape."""
        return encode(x, self.bits, self.threshold)


@dataclass(frozen=True, eq=False)
class Neurons:
    """The E neurons of a hidden layer: divisive inhibition, gain, bias and leaky integration.

    ``I = sat(round_shift(g_e * bal * R, shift + e) + b_e)``; ``u = leak(v) + I``; ``s = u >= theta``;
    ``v = sat(u - theta * s)``, or as ``reset`` says (numerics page, sections 3 and 4). Without I neurons nothing
    divides: ``I = sat(round_shift(g_e * bal, shift) + b_e)``.

    Parameters
    ----------
    g_i : (n_i,) unsigned, ``gain_i_bits`` bits
        Gain of divisive inhibition.
    g_e : (n_e,) unsigned, ``gain_e_bits`` bits
        Gain of the E neurons; its scale is in ``shift``.
    b_e : (n_e,) signed, in units of the membrane format
    shift : int, 0..40
        What the product is shifted right by, before the exponent of the reciprocal is added.
    reciprocal : Reciprocal, or None in a layer without I neurons
    membrane : Format, signed
        Of the membrane potential and of the current.
    tau_shift : int, 1..12
        ``tau = 2**tau_shift / leak``.
    theta : int, >= 1
        Threshold in units of the membrane format.
    floor : int, >= 0
        How a denominator is kept from zero: 0 is adaptive stabilisation (zeros become the smallest non-zero of the
        layer), anything else the streaming form (what is below it becomes ``floor``).
    leak : int, 0..2**tau_shift
        0 is a neuron that does not leak.
    reset : "subtract", "zero" or "delayed"
        What a spike does to the potential (numerics page, section 4).
    """

    g_i: Array
    g_e: Array
    b_e: Array
    gain_i_bits: int
    gain_e_bits: int
    shift: int
    reciprocal: Reciprocal | None
    membrane: Format
    tau_shift: int
    theta: int
    floor: int = 0
    leak: int = 1
    reset: Reset = "subtract"


@dataclass(frozen=True, eq=False)
class Layer:
    """One E-I layer, fully connected or convolutional; the readout is the layer without ``neurons``.

    ``I_EE = W_EE x``, ``I_IE = W_IE x``, ``bal = a * I_EE - W_EI I_IE``, all exact; in a convolution at every pixel,
    with ``x`` what its window sees. A layer without I neurons (a normalised or an imported network) has signed
    synapses, and ``bal = a * I_EE``.

    Parameters
    ----------
    w_ee : (n_e, d) unsigned, ``synapse_bits`` bits; signed in a layer without I neurons
    w_ie : (n_i, d) unsigned, ``synapse_bits`` bits
    w_ei : (n_e, n_i) unsigned, ``inhibition_bits`` bits, in units of ``1/a``
    a : int, >= 1
    wiring : Wiring
        Where ``x`` comes from; of a convolution, ``d`` is in the order (row, column, channel).
    """

    w_ee: Array
    w_ie: Array
    w_ei: Array
    a: int
    synapse_bits: int
    inhibition_bits: int
    neurons: Neurons | None = None
    wiring: Wiring = FULLY_CONNECTED

    @property
    def n_e(self) -> int:
        """E neurons, of a convolution at every pixel."""
        return int(self.w_ee.shape[0])

    @property
    def n_i(self) -> int:
        """I neurons, of a convolution at every pixel."""
        return int(self.w_ie.shape[0])

    @property
    def d(self) -> int:
        """Inputs of a neuron."""
        return int(self.w_ee.shape[1])

    @property
    def synapse(self) -> Format:
        """Format of a synapse: signed where there are no I neurons."""
        return Format(self.synapse_bits, signed=self.n_i == 0)


def signed_tensors(w: Array) -> dict[str, Any]:
    """The synapses of a layer without I neurons, of signed ``w`` (n_e, d), as arguments of :class:`Layer`."""
    return {"w_ee": w, "w_ie": w[:0], "w_ei": w[:, :0].view(np.uint8)}


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """E-I layers in the order in which they are computed, the last of them the readout, run for ``steps`` time steps.

    The logit of a class is the exact sum of the readout's ``bal`` over the steps; times ``logit_scale`` it is
    the logit of the trained network. The class is the argmax, ties to the lowest index.

    Raises
    ------
    ChandelierError
        If the parts do not fit together or a number is out of its range; the line names layer, tensor and value.
    """

    name: str
    input: Input
    layers: tuple[Layer, ...]
    steps: int
    logit_scale: float

    def __post_init__(self) -> None:
        _check_network(self)

    @property
    def classes(self) -> int:
        """Outputs of the readout."""
        return self.layers[-1].n_e

    @cached_property
    def maps(self) -> tuple[tuple[Shape, Shape], ...]:
        """The pooled input map and the output map of every layer.

        Raises
        ------
        ChandelierError
            If sources differ in shape, or a window does not fit; the line names the layer.
        """
        result: list[tuple[Shape, Shape]] = []
        for i, layer in enumerate(self.layers):
            sources = {self.input.map if j == NETWORK_INPUT else result[j][1] for j in layer.wiring.sources_of(i)}
            if len(sources) != 1:
                raise ChandelierError(f"layers.{i} adds up maps of different shapes: {sorted(sources)}")
            try:
                shape = pooled(sources.pop(), layer.wiring.pool)
                result.append((shape, layer.wiring.output(shape, layer.n_e)))
            except ChandelierError as error:
                raise ChandelierError(f"layers.{i}: {error}") from None
        return tuple(result)

    def input_max(self, layer: int) -> int:
        """Largest value of one input of the layer with that index: codes or spikes, added up as its wiring says."""
        wiring = self.layers[layer].wiring
        top = sum(self.input.format.max if j == NETWORK_INPUT else 1 for j in wiring.sources_of(layer))
        return top * math.prod(wiring.pool)

    def layer_steps(self, layer: int) -> int:
        """How often a sample the currents of that layer are computed: once where the input is static."""
        static = self.input.kind == "static" and NETWORK_INPUT in self.layers[layer].wiring.sources_of(layer)
        return 1 if static else self.steps


def _need(condition: bool, complaint: str) -> None:
    if not condition:
        raise ChandelierError(complaint)


def _check_range(what: str, value: float, low: float, high: float) -> None:
    _need(low <= value <= high, f"{what} must be {low}..{high}, not {value}")


def _check_tensor(what: str, tensor: Array, shape: tuple[int, ...], fmt: Format) -> None:
    _need(tensor.dtype.kind in "iu", f"{what} must hold integers, not {tensor.dtype}")
    _need(tensor.shape == shape, f"{what} must have shape {shape}, not {tensor.shape}")
    if tensor.size == 0:
        return
    for value in (int(tensor.min()), int(tensor.max())):
        _need(value in fmt, f"{what} holds {value}, which {fmt} ({fmt.min}..{fmt.max}) cannot")


def _check_layer(name: str, layer: Layer, d: int) -> None:
    for tensor in ("w_ee", "w_ie", "w_ei"):
        array = getattr(layer, tensor)
        _need(array.ndim == 2, f"{name}.{tensor} must be a matrix, not of shape {array.shape}")
    _need(layer.w_ee.size > 0, f"{name}.w_ee is empty")
    _check_range(f"{name}.synapse_bits", layer.synapse_bits, 1, 8)
    _check_range(f"{name}.inhibition_bits", layer.inhibition_bits, 1, 8)
    _check_range(f"{name}.a", layer.a, 1, 1 << 24)
    _check_tensor(f"{name}.w_ee", layer.w_ee, (layer.n_e, d), layer.synapse)
    _check_tensor(f"{name}.w_ie", layer.w_ie, (layer.n_i, d), layer.synapse)
    _check_tensor(f"{name}.w_ei", layer.w_ei, (layer.n_e, layer.n_i), Format(layer.inhibition_bits))


def _check_wiring(index: int, layer: Layer) -> None:
    sources = layer.wiring.sources_of(index)
    for source in sources:
        _check_range(f"layers.{index}.sources", source, NETWORK_INPUT, index - 1)
    _need(
        len(set(sources)) == len(sources) and (NETWORK_INPUT not in sources or len(sources) == 1),
        f"layers.{index}.sources must be different layers, or the input alone, not {sources}",
    )


def _check_neurons(name: str, layer: Layer, neurons: Neurons) -> None:
    _check_range(f"{name}.gain_i_bits", neurons.gain_i_bits, 1, 8)
    _check_range(f"{name}.gain_e_bits", neurons.gain_e_bits, 1, 16)
    _check_range(f"{name}.shift", neurons.shift, 0, MOST_SHIFT)
    _check_range(f"{name}.tau_shift", neurons.tau_shift, 1, 12)
    _check_range(f"{name}.leak", neurons.leak, 0, 1 << neurons.tau_shift)
    _need(
        neurons.reset in get_args(Reset),
        f"{name}.reset must be one of {', '.join(get_args(Reset))}, not {neurons.reset}",
    )
    _need(neurons.membrane.signed, f"{name}.membrane must be a signed format, not {neurons.membrane}")
    _check_range(f"{name}.membrane width", neurons.membrane.width, 4, 24)
    _check_range(f"{name}.theta", neurons.theta, 1, neurons.membrane.max)
    _check_range(f"{name}.floor", neurons.floor, 0, 1 << 40)
    _need(
        (neurons.reciprocal is None) == (layer.n_i == 0),
        f"{name}.reciprocal must be there if there are I neurons, and only then",
    )
    _check_tensor(f"{name}.g_i", neurons.g_i, (layer.n_i,), Format(neurons.gain_i_bits))
    _check_tensor(f"{name}.g_e", neurons.g_e, (layer.n_e,), Format(neurons.gain_e_bits))
    _check_tensor(f"{name}.b_e", neurons.b_e, (layer.n_e,), neurons.membrane)


def _check_network(network: IntegerNetwork) -> None:
    _check_range("input.features", network.input.features, 1, MOST_INPUTS)
    _check_range("input.bits", network.input.bits, 1, 8)
    _need(
        network.input.kind in ("static", "sequence"),
        f"input.kind must be static or sequence, not {network.input.kind}",
    )
    _need(0 < network.input.threshold <= 1, f"input.threshold must be in (0, 1], not {network.input.threshold}")
    _check_range("steps", network.steps, 1, MOST_INPUTS)
    _need(0 < network.logit_scale < float("inf"), f"logit_scale must be positive, not {network.logit_scale}")
    _check_range("the number of layers", len(network.layers), 2, 1000)
    features = math.prod(network.input.map)
    _need(
        min(network.input.map) > 0 and features == network.input.features,
        f"input.shape {network.input.map} must have {network.input.features} features",
    )
    for i, layer in enumerate(network.layers):
        _check_wiring(i, layer)
    for i, (layer, (shape, _)) in enumerate(zip(network.layers, network.maps, strict=True)):
        name = f"layers.{i}"
        _check_layer(name, layer, layer.wiring.inputs(shape))
        last = i == len(network.layers) - 1
        _need(
            (layer.neurons is None) == last,
            f"{name} must {'be a readout, without' if last else 'have'} neurons",
        )
        if layer.neurons is not None:
            _check_neurons(name, layer, layer.neurons)
    _need(
        network.maps[-1][1][:2] == (1, 1), f"the readout must see its whole map, not be a map of {network.maps[-1][1]}"
    )
