"""A chain of layers without inhibition, in floating point: what an imported network is, its spikes, and its integers.

Potentials and currents are in units of the threshold, which is 1; inputs are in [0, 1].
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from quant.arithmetic import Reset
from quant.errors import ChandelierError
from quant.exact import convolve, sum_pool
from quant.maps import Wiring, pooled
from quant.network import Input, IntegerNetwork, Layer, signed_tensors
from quant.quantisers import LayerQuantiser, Scheme

__all__ = ["ChainLayer", "LIFParameters", "chain_spikes", "leak_code", "quantised_chain"]

#: Fractional bits of a leak.
LEAK_BITS = 12


@dataclass(frozen=True)
class LIFParameters:
    """``u = (1 - decay) v + I``; ``s = u > 1``; and what a spike does to ``v``.

    ``decay`` is the time step over the time constant, 0..1; 0 does not leak.
    """

    decay: float
    reset: Reset


@dataclass(frozen=True, eq=False)
class ChainLayer:
    """``I = gain * (W x) + bias`` with ``x`` pooled by sums, and neurons, or none in a readout.

    ``w`` is (n, d), ``d`` in the order (row, column, channel); ``gain``, not negative, and ``bias`` are (n,); float64.
    """

    w: Tensor
    gain: Tensor
    bias: Tensor
    wiring: Wiring
    neurons: LIFParameters | None


def _integrate(currents: Tensor, neurons: LIFParameters) -> Tensor:
    """Spikes (steps, ...) of currents (steps, ...), float64."""
    v, spikes = torch.zeros_like(currents[0]), []
    for current in currents:
        u = (1 - neurons.decay) * v + current
        if neurons.reset == "delayed":
            u = u - (v > 1).double()
        spike = (u > 1).double()
        v = {"subtract": u - spike, "zero": u * (1 - spike), "delayed": u}[neurons.reset]
        spikes.append(spike)
    return torch.stack(spikes)


def chain_spikes(layers: Sequence[ChainLayer], x: Tensor) -> Iterator[Tensor]:
    """The output of every layer for inputs (steps, samples, h, w, c) in [0, 1], float64: spikes, of a readout currents.

    Maps are (steps, samples, h', w', n).
    """
    for layer in layers:
        pooled_x = sum_pool(x.double(), layer.wiring.pool)
        x = layer.gain * convolve(pooled_x, layer.w, layer.wiring.window) + layer.bias
        x = x if layer.neurons is None else _integrate(x, layer.neurons)
        yield x


def leak_code(decay: float) -> tuple[int, int]:
    """``leak`` and ``tau_shift`` with ``leak / 2**tau_shift`` nearest to ``decay``, in lowest terms.

    Raises
    ------
    ChandelierError
        If the neurons leak, but by less than the smallest step.
    """
    leak, tau_shift = round(decay * (1 << LEAK_BITS)), LEAK_BITS
    if leak == 0 and decay > 0:
        raise ChandelierError(
            f"a leak of {decay:g} a time step is less than 2**-{LEAK_BITS + 1}: use a longer time step"
        )
    while tau_shift > 1 and leak % 2 == 0:
        leak, tau_shift = leak // 2, tau_shift - 1
    return leak, tau_shift


def _integer_layer(layer: ChainLayer, x_max: int, x_unit: float, scheme: Scheme) -> tuple[Layer, float]:
    """The integers of a layer whose inputs are up to ``x_max`` units, and the value of a unit of its ``bal``."""
    quantiser = LayerQuantiser(scheme)
    w, step = quantiser.signed_synapses(layer.w, x_max)
    codes = w.to(torch.int8).numpy()
    neurons = None
    if layer.neurons is not None:
        leak, tau_shift = leak_code(layer.neurons.decay)
        gains = quantiser.neurons(layer.gain * x_unit, layer.bias, 1 / step.double(), 0)
        neurons = replace(quantiser.integer_neurons(gains, tau_shift), leak=leak, reset=layer.neurons.reset)
    elif not bool((layer.gain == layer.gain[0]).all()) or bool(layer.bias.any()):
        raise ChandelierError("a readout has one gain and no bias")
    whole = Layer(
        **signed_tensors(codes),
        a=1,
        synapse_bits=scheme.synapse_bits,
        inhibition_bits=scheme.inhibition_bits,
        neurons=neurons,
        wiring=layer.wiring,
    )
    return whole, float(step) * float(layer.gain[0]) * x_unit


def _counter(n: int) -> Layer:
    """A readout whose logits are the spike counts of ``n`` neurons."""
    return Layer(**signed_tensors(np.eye(n, dtype=np.int8)), a=1, synapse_bits=2, inhibition_bits=1)


def quantised_chain(name: str, layers: Sequence[ChainLayer], spec: Input, steps: int, scheme: Scheme) -> IntegerNetwork:
    """The integer network of a chain.

    A chain that ends in neurons gets a readout that counts their spikes: the logits are mean rates. One that ends
    without has their currents' mean as logits.

    Raises
    ------
    ChandelierError
        If a number does not fit; the line names the layer.
    """
    integers, scale, shape, x_max, x_unit = [], 1.0, spec.map, spec.format.max, 1 / spec.format.max
    for i, layer in enumerate(layers):
        try:
            area = math.prod(layer.wiring.pool)
            whole, scale = _integer_layer(layer, x_max * area, x_unit, scheme)
            shape = layer.wiring.output(pooled(shape, layer.wiring.pool), whole.n_e)
        except ChandelierError as error:
            raise ChandelierError(f"layers.{i}: {error}") from None
        integers.append(whole)
        x_max, x_unit = 1, 1.0
    if layers[-1].neurons is not None:
        integers.append(_counter(math.prod(shape)))
        scale = 1.0
    return IntegerNetwork(name, spec, tuple(integers), steps, scale / steps)
