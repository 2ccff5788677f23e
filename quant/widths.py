"""Interval analysis: the range of every intermediate of a network, proven for any input.

From its actual weights, or for any weights of its shape.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quant.errors import ChandelierError
from quant.formats import Format
from quant.network import IntegerNetwork, Layer

__all__ = ["CURRENT_LIMIT", "PRODUCT_LIMIT", "LayerWidths", "network_widths", "shape_widths"]

#: Bits that a current, a balance, a denominator or a logit may take: integers below 2**52 are exact in float64.
CURRENT_LIMIT = 52
#: Bits that ``g_e * bal * R`` may take, with its rounding term and sign: it is computed in 64-bit integers.
PRODUCT_LIMIT = 62


@dataclass(frozen=True)
class LayerWidths:
    """The narrowest formats that hold every value that a layer can produce, whatever its input.

    ``d``, ``product`` and ``u`` are ``None`` in the readout, ``d`` also without I neurons; ``logit`` is ``None``
    elsewhere.
    """

    x: Format
    i_ee: Format
    i_ie: Format
    bal: Format
    d: Format | None = None
    product: Format | None = None
    u: Format | None = None
    logit: Format | None = None


def _extremes(x_max: int, coefficients: np.ndarray) -> tuple[list[int], list[int]]:
    """The least and the largest of each row's sum over all inputs: it is linear, so coefficient by coefficient."""
    return tuple(  # type: ignore[return-value]
        [int(v) for v in x_max * part(coefficients, 0).sum(axis=1)] for part in (np.minimum, np.maximum)
    )


def _layer_ranges(layer: Layer, x_max: int, steps: int) -> dict[str, tuple[int, int]]:
    """The smallest and the largest value of each quantity of a layer whose inputs are 0..``x_max``."""
    w_ee, w_ie, w_ei = (w.astype(np.float64) for w in (layer.w_ee, layer.w_ie, layer.w_ei))
    low, high = _extremes(x_max, layer.a * w_ee - w_ei @ w_ie)
    least, most = _extremes(x_max, w_ee)
    ranges = {
        "i_ee": (min(least), max(most)),
        "i_ie": (0, int(x_max * w_ie.sum(axis=1).max(initial=0))),
        "bal": (min(low), max(high)),
    }
    neurons = layer.neurons
    if neurons is None:
        ranges["logit"] = (steps * min(low), steps * max(high))
        return ranges
    largest = 1
    if neurons.reciprocal is not None:
        d_max = int(x_max * (w_ei @ (neurons.g_i[:, None] * w_ie)).sum(axis=1).max())
        ranges["d"] = (0, max(d_max, neurons.floor))
        largest = (1 << neurons.reciprocal.bits) - 1
    gains = [int(g) * largest for g in neurons.g_e]
    ranges["product"] = (
        min(g * v for g, v in zip(gains, low, strict=True)),
        max(g * v for g, v in zip(gains, high, strict=True)),
    )
    return ranges


def _shape_ranges(layer: Layer, x_max: int, steps: int) -> dict[str, tuple[int, int]]:
    """The same, whatever the codes of synapses, inhibition and gains are in their formats, and ``a`` up to the layer's.

    Each bound is reached: by ``w_ee`` at its most and no inhibition, by no excitation and all else at its most.
    """
    synapse, inhibition = layer.synapse, Format(layer.inhibition_bits)
    low, high = (x_max * layer.d * code for code in (synapse.min, synapse.max))
    i_ie = high if layer.n_i else 0
    inhibited = layer.n_i * inhibition.max * i_ie
    ranges = {"i_ee": (low, high), "i_ie": (0, i_ie), "bal": (layer.a * low - inhibited, layer.a * high)}
    neurons = layer.neurons
    if neurons is None:
        ranges["logit"] = (steps * ranges["bal"][0], steps * ranges["bal"][1])
        return ranges
    largest = Format(neurons.gain_e_bits).max
    if neurons.reciprocal is not None:
        ranges["d"] = (0, max(Format(neurons.gain_i_bits).max * inhibited, neurons.floor))
        largest *= (1 << neurons.reciprocal.bits) - 1
    ranges["product"] = (largest * ranges["bal"][0], largest * ranges["bal"][1])
    return ranges


def network_widths(network: IntegerNetwork) -> tuple[LayerWidths, ...]:
    """The widths of each layer, for its weights.

    Raises
    ------
    ChandelierError
        If a value could need more bits than the arithmetic has; the line names layer, quantity and bits.
    """
    return _widths(network, _layer_ranges)


def shape_widths(network: IntegerNetwork) -> tuple[LayerWidths, ...]:
    """The widths of each layer, for any weights of the network's shape.

    They hold all that a network can produce that differs from this one in the codes of its tensors, and has no larger
    ``a`` and no larger floor: every range is a sum of products of an input that is not negative with a code, and each
    code is put at the end of its format that makes the range wider.

    Raises
    ------
    ChandelierError
        As of :func:`network_widths`.
    """
    return _widths(network, _shape_ranges)


def _widths(
    network: IntegerNetwork, ranges: Callable[[Layer, int, int], dict[str, tuple[int, int]]]
) -> tuple[LayerWidths, ...]:
    result = []
    for i, layer in enumerate(network.layers):
        x_max = network.input_max(i)
        formats = {}
        for quantity, (low, high) in ranges(layer, x_max, network.steps).items():
            bits = max(low.bit_length(), high.bit_length()) + (low < 0)
            limit = PRODUCT_LIMIT if quantity == "product" else CURRENT_LIMIT
            if bits > limit:
                raise ChandelierError(
                    f"layers.{i}.{quantity} could need {bits} bits, and {limit} is the limit: "
                    "use fewer bits for inputs, synapses, inhibition or gains"
                )
            formats[quantity] = Format.for_range(low, high)
        if layer.neurons is not None:
            membrane = layer.neurons.membrane
            formats["u"] = Format(membrane.width + 1, membrane.frac, signed=True)
        result.append(LayerWidths(x=Format.for_range(0, x_max), **formats))
    return tuple(result)
