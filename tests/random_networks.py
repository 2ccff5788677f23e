"""Random integer networks for every test that needs one: all shapes, bits and extremes, from one seed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from hw.order import orders_of
from quant.formats import Format
from quant.maps import FULLY_CONNECTED, Shape, Window, Wiring, pooled
from quant.network import Input, IntegerNetwork, Layer, Neurons
from quant.reciprocal import Reciprocal

__all__ = ["other_numbers", "random_codes", "random_map_network", "random_network", "random_row_network"]


def _weights(rng: np.random.Generator, shape: tuple[int, int], bits: int) -> np.ndarray:
    """Codes of one of four characters: uniform, sparse, all at the top, all zero but for a few."""
    top = (1 << bits) - 1
    codes = rng.integers(0, top + 1, shape)
    match rng.integers(4):
        case 1:
            codes *= rng.random(shape) < 0.3
        case 2:
            codes[:] = top
        case 3:
            codes *= rng.random(shape) < 0.02
    return codes.astype(np.uint8)


def _neurons(rng: np.random.Generator, n_e: int, n_i: int) -> Neurons:
    gain_i_bits, gain_e_bits = int(rng.integers(1, 9)), int(rng.integers(1, 17))
    index_bits = int(rng.integers(0, 7))
    width = int(rng.integers(6, 17))
    membrane = Format(width, int(rng.integers(0, width - 2)), signed=True)
    return Neurons(
        g_i=rng.integers(0, 1 << gain_i_bits, n_i).astype(np.uint8),
        g_e=rng.integers(0, 1 << gain_e_bits, n_e).astype(np.uint16),
        b_e=rng.integers(membrane.min, membrane.max + 1, n_e).astype(np.int32) >> int(rng.integers(0, width)),
        gain_i_bits=gain_i_bits,
        gain_e_bits=gain_e_bits,
        shift=int(rng.integers(0, 16)),
        reciprocal=Reciprocal(index_bits, index_bits + int(rng.integers(2, 6))),
        membrane=membrane,
        tau_shift=int(rng.integers(1, 4)),
        theta=max(1, membrane.max >> int(rng.integers(0, width))),
    )


def _without_inhibition(
    rng: np.random.Generator, d: int, n_e: int, neurons: Neurons | None, wiring: Wiring = FULLY_CONNECTED
) -> Layer:
    bits = int(rng.integers(2, 9))
    w = (_weights(rng, (n_e, d), bits).astype(np.int16) - (1 << (bits - 1))).astype(np.int8)
    if neurons is not None:
        tau_shift = int(rng.integers(1, 13))
        neurons = replace(
            neurons,
            g_i=np.empty(0, np.uint8),
            reciprocal=None,
            tau_shift=tau_shift,
            leak=int(rng.integers((1 << tau_shift) + 1)) * int(rng.integers(4) > 0),
            reset=("subtract", "zero", "delayed")[int(rng.integers(3))],
        )
    return Layer(w, w[:0], w[:, :0].view("u1"), int(rng.integers(1, 4)), bits, 1, neurons, wiring)


def _alike(rng: np.random.Generator, layer: Layer) -> Layer:
    """The layer with equal gains of its I neurons, as one bit has them, and perhaps equal rows of ``w_ei``."""
    neurons = layer.neurons
    if neurons is not None:
        gain = 1 << int(rng.integers(neurons.gain_i_bits))
        neurons = replace(neurons, g_i=np.full_like(neurons.g_i, gain))
    w_ei = np.broadcast_to(layer.w_ei[:1], layer.w_ei.shape).copy() if rng.random() < 0.5 else layer.w_ei
    return replace(layer, neurons=neurons, w_ei=w_ei)


def random_network(seed: int, *, largest: int = 64, depth: int = 3) -> IntegerNetwork:
    """A network whose shapes are 1..``largest``, bits 1..8, with up to ``depth`` layers; the seed decides all.

    A quarter of the layers have no inhibition, and of the others some have a floor.
    """
    rng, plain, floors = (np.random.default_rng(key) for key in (seed, (seed, 1), (seed, 2)))
    sizes = [int(n) for n in rng.integers(1, largest + 1, int(rng.integers(2, depth + 1)) + 1)]
    layers = []
    for i, (d, n_e) in enumerate(pairwise(sizes)):
        n_i = int(rng.integers(1, max(2, n_e // 2 + 1)))
        synapse_bits, inhibition_bits = int(rng.integers(1, 9)), int(rng.integers(1, 9))
        layers.append(
            Layer(
                w_ee=_weights(rng, (n_e, d), synapse_bits),
                w_ie=_weights(rng, (n_i, d), synapse_bits),
                w_ei=_weights(rng, (n_e, n_i), inhibition_bits),
                a=int(rng.integers(1, 1 << int(rng.integers(1, 10)))),
                synapse_bits=synapse_bits,
                inhibition_bits=inhibition_bits,
                neurons=_neurons(rng, n_e, n_i) if i < len(sizes) - 2 else None,
            )
        )
        if plain.random() < 0.25:
            layers[-1] = _without_inhibition(plain, d, n_e, layers[-1].neurons)
        elif plain.random() < 0.3:
            layers[-1] = _alike(plain, layers[-1])
        neurons = layers[-1].neurons
        if neurons is not None and layers[-1].n_i and floors.random() < 0.2:
            layers[-1] = replace(layers[-1], neurons=replace(neurons, floor=int(floors.integers(1, 99))))
    return IntegerNetwork(
        name=f"random{seed}",
        input=Input(sizes[0], int(rng.integers(1, 9)), "static" if rng.random() < 0.5 else "sequence"),
        layers=tuple(layers),
        steps=int(rng.integers(1, 6)),
        logit_scale=1.0,
    )


def _less(rng: np.random.Generator, most: int, *, smaller: bool) -> int:
    return int(rng.integers(1, most + 1)) if smaller and rng.random() < 0.6 else most


def other_numbers(network: IntegerNetwork, seed: int, *, smaller: bool) -> IntegerNetwork:
    """Another network of the same shape, with all else random, or, if ``smaller``, of a shape that is not larger.

    Layers whose E neurons are inhibited alike stay so.
    """
    rng = np.random.default_rng(seed)
    maps = network.input.shape is not None
    features = _less(rng, network.input.features, smaller=smaller and not maps)
    spec = replace(network.input, features=features)
    layers: list[Layer] = []
    for layer in network.layers:
        d = layer.d if maps else (layers[-1].n_e if layers else features)
        n_e, n_i = (_less(rng, n, smaller=smaller) if n else 0 for n in (layer.n_e, layer.n_i))
        n_e = layer.n_e if maps else n_e
        bits = [_less(rng, n, smaller=smaller) for n in (layer.synapse_bits, layer.inhibition_bits)]
        bits[0] = max(bits[0], 1 + (n_i == 0))
        a = int(rng.integers(1, layer.a + 1))
        neurons = layer.neurons and replace(
            layer.neurons,
            g_i=rng.integers(0, 1 << layer.neurons.gain_i_bits, n_i).astype(np.uint8),
            g_e=rng.integers(0, 1 << layer.neurons.gain_e_bits, n_e).astype(np.uint16),
            b_e=rng.integers(layer.neurons.membrane.min, layer.neurons.membrane.max + 1, n_e).astype(np.int32)
            >> int(rng.integers(0, layer.neurons.membrane.width)),
            shift=int(rng.integers(0, 24)),
            floor=int(rng.integers(1, layer.neurons.floor + 1)) if layer.neurons.floor else 0,
        )
        w_ee, w_ie = (_weights(rng, (n, d), bits[0]) for n in (n_e, n_i))
        if not n_i:
            w_ee = (w_ee.astype(np.int16) - (1 << (bits[0] - 1))).astype(np.int8)
            w_ie = w_ee[:0]
        w_ei = _weights(rng, (n_e, n_i), bits[1])
        if n_i and (layer.w_ei == layer.w_ei[0]).all():
            w_ei[:] = w_ei[0]
        layers.append(Layer(w_ee, w_ie, w_ei, a, bits[0], bits[1], neurons, layer.wiring))
    return replace(network, name=f"{network.name}-{seed}", input=spec, layers=tuple(layers))


def _wiring(rng: np.random.Generator, outputs: list[Shape], last: bool) -> tuple[Wiring, Shape]:
    """A wiring for the next layer, and its pooled input map; ``outputs`` are of the input and of the layers so far."""
    source = len(outputs) - 1 if rng.random() < 0.7 else int(rng.integers(len(outputs)))
    same = [j for j in range(1, len(outputs)) if source and outputs[j] == outputs[source] and rng.random() < 0.7]
    sources = tuple(sorted({source, *same}))
    shape = outputs[source]
    pool = tuple(int(rng.integers(1, min(3, n) + 1)) for n in shape[:2])
    shape = pooled(shape, pool)  # type: ignore[arg-type]
    window = None
    if not last and rng.random() < 0.8:
        kernel = tuple(int(rng.integers(1, min(5, n) + 1)) for n in shape[:2])
        padding = tuple(int(rng.integers(0, k)) for k in kernel)
        stride = (1, 1) if rng.random() < 0.5 else tuple(int(n) for n in rng.integers(1, 4, 2))
        window = Window(kernel, stride, padding)  # type: ignore[arg-type]
    return Wiring(tuple(j - 1 for j in sources), pool, window), shape  # type: ignore[arg-type]


def random_map_network(seed: int) -> IntegerNetwork:
    """A small network of convolutions, poolings and residual sums; a quarter of its layers have no inhibition.

    Every layer is read by another one.
    """
    rng = np.random.default_rng(seed)
    while True:
        network = _map_network(rng, f"maps{seed}")
        if _all_read(network):
            return network


def random_row_network(seed: int) -> IntegerNetwork:
    """A random network of maps, of two or three time steps, one or more of whose layers work in row-major order.

    So it has tall maps, few bits of input, and floors.
    """
    rng = np.random.default_rng((seed, 1))
    while True:
        network = _map_network(rng, f"rows{seed}", tallest=14)
        spec = replace(network.input, bits=int(rng.integers(1, 3)))
        layers = [
            replace(layer, neurons=layer.neurons and replace(layer.neurons, floor=int(rng.integers(1, 99))))
            if layer.n_i and rng.random() < 0.9
            else layer
            for layer in network.layers
        ]
        network = replace(network, input=spec, layers=tuple(layers))
        if _all_read(network) and network.steps > 1 and any(order.row_major for order in orders_of(network)):
            return network


def _all_read(network: IntegerNetwork) -> bool:
    """Whether the network's input and all layers but the last are read by another one."""
    read = {j for i, layer in enumerate(network.layers) for j in layer.wiring.sources_of(i)}
    return len(read) == len(network.layers)


def _map_network(rng: np.random.Generator, name: str, tallest: int = 7) -> IntegerNetwork:
    shape = (int(rng.integers(1, tallest + 1)), int(rng.integers(1, 8)), int(rng.integers(1, 4)))
    outputs: list[Shape] = [shape]
    layers = []
    depth = int(rng.integers(2, 6))
    for i in range(depth):
        last = i == depth - 1
        wiring, pooled_map = _wiring(rng, outputs, last)
        d, n_e = wiring.inputs(pooled_map), int(rng.integers(1, 7))
        n_i = int(rng.integers(1, max(2, n_e // 2 + 1)))
        neurons = (
            None if last else replace(_neurons(rng, n_e, n_i), floor=int(rng.integers(0, 3)) * int(rng.integers(0, 99)))
        )
        if rng.random() < 0.25:
            layers.append(_without_inhibition(rng, d, n_e, neurons, wiring))
        else:
            bits = int(rng.integers(1, 9)), int(rng.integers(1, 9))
            w_ee, w_ie = (_weights(rng, (rows, d), bits[0]) for rows in (n_e, n_i))
            w_ei = _weights(rng, (n_e, n_i), bits[1])
            layers.append(Layer(w_ee, w_ie, w_ei, int(rng.integers(1, 99)), *bits, neurons, wiring))
        outputs.append(wiring.output(pooled_map, n_e))
    kind = "static" if rng.random() < 0.5 else "sequence"
    spec = Input(int(np.prod(shape)), int(rng.integers(1, 9)), kind, shape=shape)  # type: ignore[arg-type]
    return IntegerNetwork(name, spec, tuple(layers), int(rng.integers(1, 4)), 1.0)


def random_codes(network: IntegerNetwork, samples: int, seed: int) -> np.ndarray:
    """Input codes for ``samples`` samples: silent, saturated, sparse and dense ones, mixed."""
    rng = np.random.default_rng(seed)
    time = () if network.input.kind == "static" else (network.steps,)
    shape = (samples, *time, network.input.features)
    codes = rng.integers(0, network.input.format.max + 1, shape)
    density = rng.choice([0.0, 0.1, 0.5, 1.0], (samples,) + (1,) * (len(shape) - 1))
    codes *= rng.random(shape) < density
    codes[rng.random(samples) < 0.1] = network.input.format.max
    return codes.astype(np.uint8)
