"""Random networks whose numbers are chosen so that all bits of a design move: those on which mutants are tried."""

from dataclasses import replace
from typing import Any

import numpy as np

from hw.global_inhibition import is_global
from quant.formats import Format
from quant.golden import GoldenModel
from quant.network import IntegerNetwork, Layer
from quant.reciprocal import Reciprocal
from tests.random_networks import random_codes

__all__ = ["lively"]

_MEMBRANE = Format(8, 4, signed=True)
_SYNAPSE_BITS, _INHIBITION_BITS, _GAIN_I_BITS, _GAIN_E_BITS = 2, 2, 2, 4
#: Samples on which shifts are chosen, and what share of currents may at most be saturated.
_SAMPLES, _SATURATED = 40, 0.25
#: Share of a neuron's currents that are below the threshold.
_SILENT = 0.7


def lively(network: IntegerNetwork, seed: int) -> IntegerNetwork:
    """The network with other numbers: few bits of each, few currents that saturate, neurons that fire now and then.

    Shapes, wiring, kinds of layers and resets stay as they are.
    """
    rng = np.random.default_rng(seed)
    bits = min(network.input.bits, 4)
    layers = tuple(_numbers(rng, layer) for layer in network.layers)
    network = replace(network, input=replace(network.input, bits=bits), layers=layers)
    codes = random_codes(network, _SAMPLES, seed)
    for i, layer in enumerate(network.layers):
        if layer.neurons is not None:
            network = _biased(_shifted(network, i, codes), i, codes)
    return network


def _numbers(rng: np.random.Generator, layer: Layer) -> Layer:
    low, high = (-2, 2) if layer.synapse.signed else (0, 4)
    w_ee, w_ie = (rng.integers(low, high, w.shape).astype(w.dtype) for w in (layer.w_ee, layer.w_ie))
    w_ei = rng.integers(0, 4, layer.w_ei.shape).astype(np.uint8)
    if is_global(layer):
        w_ei[:] = np.maximum(w_ei[0], 1)
    neurons = layer.neurons
    if neurons is not None:
        alike = len(neurons.g_i) > 0 and len(set(neurons.g_i.tolist())) == 1
        g_i = np.full_like(neurons.g_i, 2) if alike else rng.integers(0, 4, neurons.g_i.shape).astype(np.uint8)
        neurons = replace(
            neurons,
            g_i=g_i,
            g_e=rng.integers(1, 16, layer.n_e).astype(np.uint16),
            b_e=rng.integers(-24, 25, layer.n_e).astype(np.int32),
            gain_i_bits=_GAIN_I_BITS,
            gain_e_bits=_GAIN_E_BITS,
            reciprocal=neurons.reciprocal and Reciprocal(2, 5),
            membrane=_MEMBRANE,
            tau_shift=min(neurons.tau_shift, 3),
            leak=min(neurons.leak, 1 << min(neurons.tau_shift, 3)),
            theta=1 << _MEMBRANE.frac,
            floor=min(neurons.floor, 11),
        )
    a = max(1, 2 * layer.n_i)
    return replace(
        layer,
        w_ee=w_ee,
        w_ie=w_ie,
        w_ei=w_ei,
        a=a,
        synapse_bits=_SYNAPSE_BITS,
        inhibition_bits=_INHIBITION_BITS,
        neurons=neurons,
    )


def _with(network: IntegerNetwork, i: int, **changes: Any) -> IntegerNetwork:
    """The network with other numbers of the neurons of layer ``i``."""
    layer = network.layers[i]
    assert layer.neurons is not None
    changed = replace(layer, neurons=replace(layer.neurons, **changes))
    return replace(network, layers=(*network.layers[:i], changed, *network.layers[i + 1 :]))


def _currents(network: IntegerNetwork, i: int, codes: np.ndarray) -> np.ndarray:
    return GoldenModel(network).run(codes, ["current"]).signals[i, "current"]


def _shifted(network: IntegerNetwork, i: int, codes: np.ndarray) -> IntegerNetwork:
    """The network with the smallest shift of layer ``i`` with which few of its currents saturate."""
    for shift in range(1, 24):  # without any there would be nothing to round
        network = _with(network, i, shift=shift)
        current = _currents(network, i, codes)
        if ((current == _MEMBRANE.min) | (current == _MEMBRANE.max)).mean() <= _SATURATED:
            break
    return network


def _biased(network: IntegerNetwork, i: int, codes: np.ndarray) -> IntegerNetwork:
    """The network with biases of layer ``i`` with which each of its neurons fires now and then."""
    neurons = network.layers[i].neurons
    assert neurons is not None
    current = _currents(network, i, codes).reshape(-1, len(neurons.b_e))
    b_e = neurons.b_e + neurons.theta - np.quantile(current, _SILENT, axis=0).astype(np.int32)
    return _with(network, i, b_e=b_e.clip(_MEMBRANE.min, _MEMBRANE.max).astype(np.int32))
