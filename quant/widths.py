"""Interval analysis: the range of every intermediate of a network, proven from its actual weights for any input."""

from dataclasses import dataclass

import numpy as np

from quant.errors import ChandelierError
from quant.formats import Format
from quant.network import IntegerNetwork, Layer

__all__ = ["CURRENT_LIMIT", "PRODUCT_LIMIT", "LayerWidths", "network_widths"]

#: Bits that a current, a balance, a denominator or a logit may take: integers below 2**52 are exact in float64.
CURRENT_LIMIT = 52
#: Bits that ``g_e * bal * R`` may take, with its rounding term and sign: it is computed in 64-bit integers.
PRODUCT_LIMIT = 62


@dataclass(frozen=True)
class LayerWidths:
    """The narrowest formats that hold every value that a layer can produce, whatever its input.

    ``d``, ``product`` and ``u`` are ``None`` in the readout; ``logit`` is ``None`` elsewhere.
    """

    x: Format
    i_ee: Format
    i_ie: Format
    bal: Format
    d: Format | None = None
    product: Format | None = None
    u: Format | None = None
    logit: Format | None = None


def _layer_ranges(layer: Layer, x: Format, steps: int) -> dict[str, tuple[int, int]]:
    """The smallest and the largest value of each quantity of a layer whose inputs are of format ``x``."""
    w_ee, w_ie, w_ei = (w.astype(np.float64) for w in (layer.w_ee, layer.w_ie, layer.w_ei))
    # bal is linear in x, so its extremes over all inputs are reached coefficient by coefficient.
    coefficients = layer.a * w_ee - w_ei @ w_ie
    low = [int(v) for v in x.max * np.minimum(coefficients, 0).sum(axis=1)]
    high = [int(v) for v in x.max * np.maximum(coefficients, 0).sum(axis=1)]
    ranges = {
        "i_ee": (0, int(x.max * w_ee.sum(axis=1).max())),
        "i_ie": (0, int(x.max * w_ie.sum(axis=1).max())),
        "bal": (min(low), max(high)),
    }
    neurons = layer.neurons
    if neurons is None:
        ranges["logit"] = (steps * min(low), steps * max(high))
    else:
        largest = (1 << neurons.reciprocal.bits) - 1
        gains = [int(g) * largest for g in neurons.g_e]
        ranges["d"] = (0, int(x.max * (w_ei @ (neurons.g_i[:, None] * w_ie)).sum(axis=1).max()))
        ranges["product"] = (
            min(g * v for g, v in zip(gains, low, strict=True)),
            max(g * v for g, v in zip(gains, high, strict=True)),
        )
    return ranges


def network_widths(network: IntegerNetwork) -> tuple[LayerWidths, ...]:
    """The widths of each layer.

    Raises
    ------
    ChandelierError
        If a value could need more bits than the arithmetic has; the line names layer, quantity and bits.
    """
    result = []
    for i, layer in enumerate(network.layers):
        x = network.input_format(i)
        formats = {}
        for quantity, (low, high) in _layer_ranges(layer, x, network.steps).items():
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
        result.append(LayerWidths(x=x, **formats))
    return tuple(result)
