"""Export to NIR: an integer network without inhibition as a graph of real numbers (docs/nir.md).

What NIR has no words for is left out: the rounding and saturation of currents and potentials.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from quant.errors import ChandelierError
from quant.files import replacing
from quant.maps import Shape, pooled
from quant.network import IntegerNetwork, Layer, Neurons
from sw.nir_file import require_nir

__all__ = ["export_nir", "graph_of"]

#: The time step, in seconds, in whose units ``tau`` is written: snnTorch's.
DT = 1e-4


def _check(network: IntegerNetwork) -> None:
    """Refuses what a graph cannot say."""
    for i, layer in enumerate(network.layers):
        if layer.n_i:
            raise ChandelierError(f"layers.{i} of {network.name} has I neurons, and NIR has no divisive inhibition")
        if layer.wiring.sources_of(i) != (i - 1,):
            raise ChandelierError(f"layers.{i} of {network.name} adds up several layers: only chains are exported")
        if layer.neurons is not None and layer.neurons.reset != "zero":
            raise ChandelierError(
                f"layers.{i} of {network.name} resets by {layer.neurons.reset!r}, and NIR's neurons go to v_reset"
            )


def _counts_spikes(layer: Layer) -> bool:
    """Whether a readout does nothing else."""
    return layer.a == 1 and layer.n_e == layer.d and bool((layer.w_ee == np.eye(layer.d)).all())


def _synapses(nir: Any, layer: Layer, shape: Shape, factor: np.ndarray, bias: np.ndarray | None) -> list[Any]:
    """The nodes up to the neurons, for a pooled map of ``shape``, flattened where it is dense."""
    w = layer.w_ee * factor[:, None]
    height, width, channels = shape
    if (window := layer.wiring.window) is not None:
        kernel = w.reshape(-1, *window.kernel, channels).transpose(0, 3, 1, 2)
        bias = np.zeros(layer.n_e) if bias is None else bias
        return [nir.Conv2d((height, width), kernel, window.stride, window.padding, (1, 1), 1, bias)]
    w = w.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(layer.n_e, -1)
    flatten = [nir.Flatten({"input": np.array([channels, height, width])}, 0)] if height * width > 1 else []
    return [*flatten, nir.Linear(w) if bias is None else nir.Affine(w, bias)]


def _neurons(nir: Any, neurons: Neurons, shape: tuple[int, ...]) -> Any:
    one, zero = np.ones(shape), np.zeros(shape)
    if neurons.leak == 0:
        return nir.IF(r=one, v_threshold=one, v_reset=zero)
    r = one * 2**neurons.tau_shift / neurons.leak
    return nir.LIF(tau=r * DT, r=r, v_leak=zero, v_threshold=one, v_reset=zero)


def graph_of(network: IntegerNetwork) -> Any:
    """The ``nir.NIRGraph`` of a network: inputs in [0, 1], thresholds of 1, ``tau`` for a time step of ``DT``.

    Raises
    ------
    ChandelierError
        If the package nir is not installed, or a graph cannot say what a layer does.
    """
    nir = require_nir()
    _check(network)
    height, width, channels = network.input.map
    flat = height == 1 and channels == 1
    shape = (1, 1, width) if flat else network.input.map
    nodes: list[Any] = [nir.Input({"input": np.array([width] if flat else [channels, height, width])})]
    unit = network.input.format.max
    for layer in network.layers:
        pool = np.array(layer.wiring.pool)
        if math.prod(layer.wiring.pool) > 1:
            nodes.append(nir.SumPool2d(pool, pool, np.zeros(2, int)))
        shape = pooled(shape, layer.wiring.pool)
        if (neurons := layer.neurons) is None:
            if not _counts_spikes(layer):
                factor = np.full(layer.n_e, layer.a * network.logit_scale * network.steps * unit)
                nodes += _synapses(nir, layer, shape, factor, None)
            break
        factor = neurons.g_e * (layer.a * unit / 2.0**neurons.shift / neurons.theta)
        nodes += _synapses(nir, layer, shape, factor, neurons.b_e / neurons.theta)
        shape, unit = layer.wiring.output(shape, layer.n_e), 1
        nodes.append(_neurons(nir, neurons, (shape[2],) if shape[:2] == (1, 1) else (shape[2], *shape[:2])))
    return nir.NIRGraph.from_list(*nodes, nir.Output({"output": np.array([network.classes])}), type_check=False)


def export_nir(network: IntegerNetwork, path: Path) -> None:
    """Writes the graph of ``network`` to ``path``.

    Raises
    ------
    ChandelierError
        If the package nir is not installed, a graph cannot say what a layer does, or the file system refuses.
    """
    graph = graph_of(network)
    with replacing(path) as temporary:
        require_nir().write(temporary, graph)
