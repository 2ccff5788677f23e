"""A second, independent implementation of the arithmetic: plain Python integers and loops, nothing shared.

Written from the specification and deliberately naive. Golden model and hardware are both compared with it.
"""

from collections.abc import Sequence

import numpy as np

from quant.network import IntegerNetwork, Layer, Neurons
from quant.reciprocal import Reciprocal

__all__ = ["reference"]

Signals = dict[tuple[int, str], list[list[int]]]


def _dot(row: Sequence[int], x: Sequence[int]) -> int:
    return sum(int(w) * v for w, v in zip(row, x, strict=True))


def _clip(value: int, bits: int) -> int:
    half = 2 ** (bits - 1)
    return max(-half, min(half - 1, value))


def _floor_log2(value: int) -> int:
    e = 0
    while 2 ** (e + 1) <= value:
        e += 1
    return e


def _table_entry(reciprocal: Reciprocal, divisor: int) -> int:
    """round(2**bits / (1 + (k + 1/2) / 2**n)), k being the n bits below the leading one of the divisor."""
    n, bits = reciprocal.index_bits, reciprocal.bits
    k = divisor * 2**n // 2 ** _floor_log2(divisor) - 2**n
    numerator, denominator = 2 ** (bits + n + 1), 2 ** (n + 1) + 2 * k + 1
    return (2 * numerator + denominator) // (2 * denominator)


def _balance(layer: Layer, x: Sequence[int]) -> dict[str, list[int]]:
    i_ee = [_dot(row, x) for row in layer.w_ee]
    i_ie = [_dot(row, x) for row in layer.w_ie]
    i_ei = [_dot(row, i_ie) for row in layer.w_ei]
    return {"i_ee": i_ee, "i_ie": i_ie, "bal": [layer.a * e - i for e, i in zip(i_ee, i_ei, strict=True)]}


def _patches(layer: Layer, shape: tuple[int, int, int], x: Sequence[int]) -> list[list[int]]:
    """What each pixel's neurons see of a map of ``shape``, given as a flat list."""
    if layer.wiring.window is None:
        return [list(x)]
    (height, width, channels), window = shape, layer.wiring.window
    patches = []
    top, left = -window.padding[0], -window.padding[1]
    for row in range(top, height - top - window.kernel[0] + 1, window.stride[0]):
        for column in range(left, width - left - window.kernel[1] + 1, window.stride[1]):
            patch = []
            for i in range(row, row + window.kernel[0]):
                for j in range(column, column + window.kernel[1]):
                    inside = 0 <= i < height and 0 <= j < width
                    first = (i * width + j) * channels
                    patch += list(x[first : first + channels]) if inside else [0] * channels
            patches.append(patch)
    return patches


def _pool(shape: tuple[int, int, int], pool: tuple[int, int], x: Sequence[int]) -> list[int]:
    """A map of ``shape``, given as a flat list, summed over windows of ``pool``."""
    height, width, channels = shape
    return [
        sum(
            x[((row * pool[0] + i) * width + column * pool[1] + j) * channels + channel]
            for i in range(pool[0])
            for j in range(pool[1])
        )
        for row in range(height // pool[0])
        for column in range(width // pool[1])
        for channel in range(channels)
    ]


def _balances(layer: Layer, shape: tuple[int, int, int], x: Sequence[int]) -> dict[str, list[int]]:
    """Those of all pixels, one after the other."""
    pixels = [_balance(layer, patch) for patch in _patches(layer, shape, x)]
    return {name: [value for pixel in pixels for value in pixel[name]] for name in pixels[0]}


def _plain_current(layer: Layer, neurons: Neurons, bal: Sequence[int]) -> list[int]:
    """Without I neurons nothing divides."""
    return [
        _clip(
            (2 * int(neurons.g_e[n % layer.n_e]) * b + 2**neurons.shift) // 2 ** (neurons.shift + 1)
            + int(neurons.b_e[n % layer.n_e]),
            neurons.membrane.width,
        )
        for n, b in enumerate(bal)
    ]


def _currents(layer: Layer, neurons: Neurons, shape: tuple[int, int, int], x: Sequence[int]) -> dict[str, list[int]]:
    signals = _balances(layer, shape, x)
    if neurons.reciprocal is None:
        return {**signals, "current": _plain_current(layer, neurons, signals["bal"])}
    i_ie, d = signals["i_ie"], []
    for pixel in range(0, len(i_ie), layer.n_i):
        shunt = [int(g) * i for g, i in zip(neurons.g_i, i_ie[pixel : pixel + layer.n_i], strict=True)]
        d += [_dot(row, shunt) for row in layer.w_ei]
    smallest = min([v for v in d if v > 0], default=0)
    divisor = [max(v, neurons.floor) if neurons.floor else v if v > 0 else smallest for v in d]
    r, e, current = [], [], []
    for n, bal in enumerate(signals["bal"]):
        current.append(int(neurons.b_e[n % layer.n_e]))
        r.append(_table_entry(neurons.reciprocal, divisor[n]) if divisor[n] else 0)
        e.append(_floor_log2(divisor[n]) if divisor[n] else 0)
        if divisor[n]:
            shift = neurons.shift + e[n]
            quotient = (2 * int(neurons.g_e[n % layer.n_e]) * bal * r[n] + 2**shift) // 2 ** (shift + 1)
            current[n] += quotient
        current[n] = _clip(current[n], neurons.membrane.width)
    return {**signals, "d": d, "divisor": divisor, "r": r, "e": e, "current": current}


def _lif(neurons: Neurons, v: Sequence[int], current: Sequence[int]) -> dict[str, list[int]]:
    u = [v_n - neurons.leak * v_n // 2**neurons.tau_shift + c_n for v_n, c_n in zip(v, current, strict=True)]
    if neurons.reset == "delayed":
        u = [u_n - neurons.theta * int(v_n >= neurons.theta) for u_n, v_n in zip(u, v, strict=True)]
    spike = [int(u_n >= neurons.theta) for u_n in u]
    loss = {"subtract": neurons.theta, "delayed": 0}
    left = [u_n - s_n * loss.get(neurons.reset, u_n) for u_n, s_n in zip(u, spike, strict=True)]
    return {"u": u, "v": [_clip(v_n, neurons.membrane.width) for v_n in left], "spike": spike}


def reference(network: IntegerNetwork, codes: np.ndarray) -> Signals:
    """Every intermediate of one sample: (layer, signal) -> one list of neurons for each set.

    ``codes`` is (features,), or, of a sequence, (steps, features). Signals are named as in the golden model:
    i_ee, i_ie, bal, d, divisor, r, e, current, u, v, spike, and of the readout logits and class. A set is a time
    step; the currents of a static first layer, the logits and the class have one.
    """
    static = network.input.kind == "static"
    outputs = {-1: [[int(c) for c in step] for step in ([codes] if static else codes)]}
    signals: Signals = {}
    for i, layer in enumerate(network.layers):
        sources = layer.wiring.sources or (i - 1,)
        summed = [
            [sum(values) for values in zip(*maps, strict=True)] for maps in zip(*map(outputs.get, sources), strict=True)
        ]
        before = network.input.map if sources[0] == -1 else network.maps[sources[0]][1]
        x = [_pool(before, layer.wiring.pool, step) for step in summed]
        shape = (before[0] // layer.wiring.pool[0], before[1] // layer.wiring.pool[1], before[2])
        if layer.neurons is None:
            sets = [_balances(layer, shape, step) for step in x]
            logits = [sum(s["bal"][n] for s in sets) for n in range(layer.n_e)]
            signals[i, "logits"] = [logits]
            signals[i, "class"] = [[logits.index(max(logits))]]
        else:
            sets = [_currents(layer, layer.neurons, shape, step) for step in x]
            v, lif = [0] * len(sets[0]["current"]), []
            for t in range(network.steps):
                lif.append(_lif(layer.neurons, v, sets[t if len(sets) > 1 else 0]["current"]))
                v = lif[-1]["v"]
            outputs[i] = [step["spike"] for step in lif]
            signals |= {(i, name): [step[name] for step in lif] for name in lif[0]}
        signals |= {(i, name): [s[name] for s in sets] for name in sets[0]}
    return signals
