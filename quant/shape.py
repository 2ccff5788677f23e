"""Networks of the same or of a smaller shape as another one: what a design with loadable weights takes."""

from dataclasses import replace

import numpy as np

from quant.errors import ChandelierError
from quant.maps import Wiring
from quant.network import Array, IntegerNetwork, Layer, Neurons
from quant.widths import shape_widths

__all__ = ["fitted"]

#: Of the neurons: what has to be as in the design, and what may be less.
_EQUAL_OF_NEURONS = ("membrane", "reciprocal", "tau_shift", "theta", "leak", "reset")
_LESS_OF_NEURONS = ("gain_i_bits", "gain_e_bits")


def fitted(network: IntegerNetwork, shape: IntegerNetwork) -> IntegerNetwork:
    """The network with as many inputs and neurons, and as wide numbers, as ``shape`` has: it computes the same.

    Inputs that are added have no synapses, and I neurons neither. E neurons that are added have the least excitation
    and the strongest inhibition of all; of a hidden layer they have no gain, so that they are silent and no denominator
    of theirs is the smallest; of the readout no logit of theirs is larger than one of the others, and of equal ones the
    lowest class is taken. Logits come first, in their order; what follows them means nothing.

    Raises
    ------
    ChandelierError
        If the network is larger, or differs in what is constant in a design; the line names it and both values.
    """

    def equal(what: str, own: object, theirs: object) -> None:
        if own != theirs:
            _refuse(network, what, own, f"has {theirs}")

    def at_most(what: str, own: int, most: int) -> None:
        if own > most:
            _refuse(network, what, own, f"has room for {most}")

    equal("the number of layers", len(network.layers), len(shape.layers))
    equal("steps", network.steps, shape.steps)
    equal("input.kind", network.input.kind, shape.input.kind)
    at_most("input.bits", network.input.bits, shape.input.bits)
    at_most("input.features", network.input.features, shape.input.features)
    dense = all(_wiring(s, i) == Wiring((i - 1,)) for i, s in enumerate(shape.layers))
    if not dense:
        equal("input.shape", network.input.map, shape.input.map)
    layers = []
    for i, (layer, of, widths) in enumerate(zip(network.layers, shape.layers, shape_widths(shape), strict=True)):
        name = f"layers.{i}"
        equal(f"{name}.wiring", _wiring(layer, i), _wiring(of, i))
        (at_most if dense else equal)(f"{name}.n_e", layer.n_e, of.n_e)
        at_most(f"{name}.n_i", layer.n_i, of.n_i)
        equal(f"{name}: the presence of I neurons", layer.n_i > 0, of.n_i > 0)
        for field in ("synapse_bits", "inhibition_bits", "a"):
            at_most(f"{name}.{field}", getattr(layer, field), getattr(of, field))
        if of.neurons is None:
            layers.append(_filled(layer, of, None))
            continue
        assert layer.neurons is not None  # as in the shape: all but the last have them
        for field in _EQUAL_OF_NEURONS:
            equal(f"{name}.{field}", getattr(layer.neurons, field), getattr(of.neurons, field))
        for field in _LESS_OF_NEURONS:
            at_most(f"{name}.{field}", getattr(layer.neurons, field), getattr(of.neurons, field))
        if widths.d is not None:
            equal(f"{name}: the presence of a floor", layer.neurons.floor > 0, of.neurons.floor > 0)
            at_most(f"{name}.floor", layer.neurons.floor, widths.d.max)
        layers.append(_filled(layer, of, _filled_neurons(layer.neurons, of.neurons)))
    spec = replace(shape.input, threshold=network.input.threshold)
    return replace(network, input=spec, layers=tuple(layers))


def _refuse(network: IntegerNetwork, what: str, value: object, design: str) -> None:
    raise ChandelierError(
        f"{what} of {network.name} is {value}, and the design {design}: generate a design for this network"
    )


def _wiring(layer: Layer, index: int) -> Wiring:
    return replace(layer.wiring, sources=layer.wiring.sources_of(index))


def _filled(layer: Layer, of: Layer, neurons: Neurons | None) -> Layer:
    """The layer with as many inputs and neurons, and as wide codes, as ``of`` has."""
    more = of.n_e - layer.n_e
    w_ee = np.concatenate([layer.w_ee, np.repeat(layer.w_ee.min(0, keepdims=True), more, 0)])
    w_ei = np.concatenate([layer.w_ei, np.repeat(layer.w_ei.max(0, keepdims=True), more, 0)])
    return replace(
        of,
        w_ee=_grown(w_ee, of.w_ee.shape),
        w_ie=_grown(layer.w_ie, of.w_ie.shape),
        w_ei=_grown(w_ei, of.w_ei.shape),
        a=layer.a,
        neurons=neurons,
    )


def _filled_neurons(neurons: Neurons, of: Neurons) -> Neurons:
    return replace(
        of,
        g_i=_grown(neurons.g_i, of.g_i.shape),
        g_e=_grown(neurons.g_e, of.g_e.shape),
        b_e=_grown(neurons.b_e, of.b_e.shape),
        shift=neurons.shift,
        floor=neurons.floor,
    )


def _grown(tensor: Array, shape: tuple[int, ...]) -> Array:
    """The tensor with zeros behind it in every dimension."""
    return np.pad(tensor, [(0, wanted - size) for size, wanted in zip(tensor.shape, shape, strict=True)])
