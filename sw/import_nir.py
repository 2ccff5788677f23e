"""Import of NIR graphs (Neuromorphic Intermediate Representation): a chain becomes a network without inhibition.

Which nodes, and what their equations mean at a discrete time step: docs/nir.md. Files are read as untrusted.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from quant.arithmetic import Reset
from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT, Pair, Shape, Window, Wiring, pooled
from quant.network import MOST_INPUTS, Input, IntegerNetwork
from quant.network_file import NAME
from quant.quantisers import Scheme
from sw.chain import ChainLayer, LIFParameters, quantised_chain
from sw.nir_file import read_graph

__all__ = ["NIROptions", "chain_of", "import_nir"]


@dataclass(frozen=True)
class NIROptions:
    """What a graph does not say.

    Parameters
    ----------
    steps : int
        Time steps a sample.
    dt : float
        The time step, in the unit of the graph's ``tau``; 1e-4 s is snnTorch's.
    reset : "zero", "subtract" or "delayed"
        What a spike does to the potential: NIR says zero; ``delayed`` is the default of snnTorch's neurons.
    kind : "sequence" or "static"
    input_bits : int, 1..8
        Of an input code; codes stand for 0..1.
    scheme : Scheme
    """

    steps: int
    dt: float = 1e-4
    reset: Reset = "zero"
    kind: Literal["static", "sequence"] = "sequence"
    input_bits: int = 8
    scheme: Scheme = field(default_factory=lambda: Scheme(synapse_bits=8))

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_INPUTS:
            raise ChandelierError(f"steps must be 1..{MOST_INPUTS}, not {self.steps}")
        if not 0 < self.dt < math.inf:
            raise ChandelierError(f"dt must be positive, not {self.dt}")
        if self.reset not in get_args(Reset):
            raise ChandelierError(f"reset must be one of {', '.join(get_args(Reset))}, not {self.reset}")


def _nodes_in_order(graph: Any) -> list[tuple[str, Any]]:
    """Names and nodes between the one input and the one output of a chain."""
    kinds: dict[str, list[str]] = {"Input": [], "Output": []}
    for name, node in graph.nodes.items():
        kinds.setdefault(type(node).__name__, []).append(name)
    for kind in ("Input", "Output"):
        if len(kinds[kind]) != 1:
            raise ChandelierError(f"a graph needs one {kind} node, and this one has {len(kinds[kind])}")
    following: dict[str, str] = {}
    targets: set[str] = set()
    for source, target in graph.edges:
        if source in following or target in targets:
            raise ChandelierError(f"edge {source} -> {target}: only chains are supported, without branches and loops")
        following[source] = target
        targets.add(target)
    name = kinds["Input"][0]
    order: list[tuple[str, Any]] = []
    while name in following and len(order) < len(graph.nodes):
        name = following[name]
        if name not in graph.nodes:
            raise ChandelierError(f"an edge leads to {name}, which is not a node")
        order.append((name, graph.nodes[name]))
    if len(order) != len(graph.nodes) - 1 or name != kinds["Output"][0]:
        raise ChandelierError(f"the chain from {kinds['Input'][0]} breaks off at {name}: every node must be on it")
    return order[:-1]


def _array(what: str, value: Any) -> np.ndarray:
    """``value`` as finite float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ChandelierError(f"{what} must hold numbers, not {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ChandelierError(f"{what} holds {array[~np.isfinite(array)].flat[0]}")
    return array


def _per_channel(what: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter of neurons of NIR's ``shape``, (n,) or (channels, height, width), as one value a channel."""
    array = _array(what, value)
    if array.size == 1:
        return np.full(shape[0], array.flat[0])
    if array.shape == (shape[0], 1, 1) and len(shape) == 3:
        return array[:, 0, 0]
    if array.shape != shape:
        raise ChandelierError(f"{what} must have shape {shape} or one value, not shape {array.shape}")
    rows = array.reshape(shape[0], -1)
    if (rows != rows[:, :1]).any():
        raise ChandelierError(f"{what} must be the same at every pixel of a channel")
    return rows[:, 0]


def _pair(what: str, value: Any) -> Pair:
    numbers = _array(what, value).reshape(-1)
    numbers = np.repeat(numbers, 2) if numbers.size == 1 else numbers
    if numbers.size != 2 or (numbers != numbers.round()).any() or (abs(numbers) > MOST_INPUTS).any():
        raise ChandelierError(f"{what} must be two integers, not {numbers.tolist()}")
    return int(numbers[0]), int(numbers[1])


def _shape(what: str, value: Any) -> tuple[int, ...]:
    numbers = _array(what, value).reshape(-1)
    if (numbers < 1).any() or (numbers != numbers.round()).any() or not 0 < math.prod(numbers) <= MOST_INPUTS:
        raise ChandelierError(f"{what} must be a shape of 1..{MOST_INPUTS} values, not {numbers.tolist()}")
    return tuple(int(n) for n in numbers)


@dataclass
class _Synapses:
    """Weights that wait for their neurons."""

    name: str
    w: np.ndarray
    bias: np.ndarray
    wiring: Wiring
    scale: float


class _Builder:
    """Turns node after node into layers. ``map`` is ours, (h, w, c); ``flat`` says that NIR sees a vector by now."""

    def __init__(self, shape: tuple[int, ...], dt: float, reset: Reset) -> None:
        if len(shape) not in (1, 3):
            raise ChandelierError(
                f"the input must be a vector or a map (channels, height, width), not of shape {shape}"
            )
        self.map: Shape = (shape[1], shape[2], shape[0]) if len(shape) == 3 else (1, 1, shape[0])
        self.flat = len(shape) == 1
        self.layers: list[ChainLayer] = []
        self._dt, self._reset = dt, reset
        self._pool, self._scale = (1, 1), 1.0
        self._synapses: _Synapses | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that NIR sees."""
        height, width, channels = self.map
        return (height * width * channels,) if self.flat else (channels, height, width)

    def add(self, name: str, node: Any) -> None:
        """Takes the next node of the chain."""
        kind = type(node).__name__
        handlers: dict[str, Callable[[str, Any], None]] = {
            "Linear": self._dense,
            "Affine": self._dense,
            "Conv2d": self._convolution,
            "SumPool2d": self._pooling,
            "AvgPool2d": self._pooling,
            "Flatten": self._flatten,
            "IF": self._neurons,
            "LIF": self._neurons,
        }
        if kind not in handlers:
            raise ChandelierError(f"node {name} is of type {kind}, and only {', '.join(handlers)} are supported")
        if kind in ("IF", "LIF") and self._synapses is None:
            raise ChandelierError(f"node {name} of type {kind} needs a Linear, Affine or Conv2d right before it")
        if kind not in ("IF", "LIF") and self._synapses is not None:
            raise ChandelierError(
                f"node {name} of type {kind} follows {self._synapses.name} without neurons between them"
            )
        try:
            handlers[kind](name, node)
        except ChandelierError as error:
            said = str(error)
            raise ChandelierError(
                said if said.startswith(f"{name}.") else f"node {name} of type {kind}: {said}"
            ) from None

    def finish(self) -> list[ChainLayer]:
        """The layers, a last one without neurons being the readout."""
        if self._pool != (1, 1):
            raise ChandelierError("the chain ends in a pooling: end it in neurons or in a Linear node")
        if (last := self._synapses) is not None:
            if last.bias.any():
                raise ChandelierError(f"node {last.name} ends the chain and has a bias, which a readout has not")
            self._close(last, np.ones(len(last.w)), None)
        if not self.layers:
            raise ChandelierError("the graph has no weights")
        return self.layers

    def _wiring(self, window: Window | None) -> Wiring:
        return Wiring((NETWORK_INPUT,) if not self.layers else (), self._pool, window)

    def _hold(self, name: str, w: np.ndarray, bias: np.ndarray, window: Window | None) -> None:
        wiring = self._wiring(window)
        self.map = wiring.output(pooled(self.map, self._pool), len(w))
        self._synapses = _Synapses(name, w, bias, wiring, self._scale)
        self._pool, self._scale = (1, 1), 1.0
        if window is None:
            self.flat = True

    def _dense(self, name: str, node: Any) -> None:
        w = _array(f"{name}.weight", node.weight)
        height, width, channels = pooled(self.map, self._pool)
        if not self.flat:
            raise ChandelierError("it takes a vector, not a map: put a Flatten node before it")
        if w.ndim != 2 or w.shape[1] != height * width * channels or not len(w):
            raise ChandelierError(f"{name}.weight must be (n, {height * width * channels}), not {w.shape}")
        # NIR flattens (channel, row, column).
        w = w.reshape(len(w), channels, height, width).transpose(0, 2, 3, 1).reshape(len(w), -1)
        self._hold(name, w, _bias(name, node, len(w)), None)

    def _convolution(self, name: str, node: Any) -> None:
        w = _array(f"{name}.weight", node.weight)
        channels = self.map[2]
        if self.flat or w.ndim != 4 or w.shape[1] != channels or not w.size:
            raise ChandelierError(f"{name}.weight {w.shape} does not fit on an input of shape {self.shape}")
        if _pair(f"{name}.dilation", node.dilation) != (1, 1) or _pair(f"{name}.groups", node.groups) != (1, 1):
            raise ChandelierError("dilation and groups must be 1")
        kernel, stride = (w.shape[2], w.shape[3]), _pair(f"{name}.stride", node.stride)
        window = Window(kernel, stride, _padding(name, node.padding, kernel, stride))
        self._hold(name, w.transpose(0, 2, 3, 1).reshape(len(w), -1), _bias(name, node, len(w)), window)

    def _pooling(self, name: str, node: Any) -> None:
        kernel, stride = (_pair(f"{name}.{field}", getattr(node, field)) for field in ("kernel_size", "stride"))
        if self.flat:
            raise ChandelierError("it takes a map, not a vector")
        if stride != kernel or _pair(f"{name}.padding", node.padding) != (0, 0):
            raise ChandelierError(f"windows must be side by side, without padding: stride {stride}, kernel {kernel}")
        pool = self._pool[0] * kernel[0], self._pool[1] * kernel[1]
        Wiring((), pool)
        # Pooling twice is pooling once only if nothing was dropped at the edge in between.
        if any(n % p for n, p in zip(self.map, self._pool, strict=False)):
            raise ChandelierError("a pooling before it drops pixels at the edge")
        pooled(self.map, pool)
        self._pool = pool
        if type(node).__name__ == "AvgPool2d":
            self._scale /= math.prod(kernel)

    def _flatten(self, name: str, node: Any) -> None:
        start, end = (int(_array(f"{name}.{field}", getattr(node, field))) for field in ("start_dim", "end_dim"))
        dimensions = len(self.shape)
        if start % dimensions != 0 or end % dimensions != dimensions - 1:
            raise ChandelierError(f"it must flatten everything, not dimensions {start} to {end} of {self.shape}")
        self.flat = True

    def _neurons(self, name: str, node: Any) -> None:
        synapses = self._synapses
        assert synapses is not None
        r, theta = (_per_channel(f"{name}.{f}", getattr(node, f), self.shape) for f in ("r", "v_threshold"))
        if (r <= 0).any() or (theta <= 0).any():
            raise ChandelierError("r and v_threshold must be positive")
        zeros = ["v_reset", "v_leak"] if type(node).__name__ == "LIF" else ["v_reset"]
        for what in zeros:
            if (value := _per_channel(f"{name}.{what}", getattr(node, what), self.shape)).any():
                raise ChandelierError(f"{what} must be 0, not {value[value != 0][0]:g}")
        decay = self._decay(name, node)
        factor = r / theta * (decay or 1.0)
        self._close(synapses, factor, LIFParameters(decay, self._reset))

    def _decay(self, name: str, node: Any) -> float:
        """``dt / tau``; 0 of a neuron that does not leak."""
        if type(node).__name__ == "IF":
            return 0.0
        tau = _per_channel(f"{name}.tau", node.tau, self.shape)
        if (tau != tau[0]).any():
            raise ChandelierError("tau must be the same for all neurons of a node")
        if not self._dt <= tau[0] * (1 + 1e-9):
            raise ChandelierError(f"tau is {tau[0]:g}, less than the time step dt of {self._dt:g}: use a shorter one")
        return min(1.0, self._dt / float(tau[0]))

    def _close(self, synapses: _Synapses, factor: np.ndarray, neurons: LIFParameters | None) -> None:
        gain, bias = factor * synapses.scale, factor * synapses.bias
        w, gains, biases = (torch.from_numpy(array.copy()) for array in (synapses.w, gain, bias))
        self.layers.append(ChainLayer(w, gains, biases, synapses.wiring, neurons))
        self._synapses = None


def _bias(name: str, node: Any, n: int) -> np.ndarray:
    bias = getattr(node, "bias", None)
    array = np.zeros(n) if bias is None else _array(f"{name}.bias", bias)
    if array.shape != (n,):
        raise ChandelierError(f"{name}.bias must have shape ({n},), not {array.shape}")
    return array


def _padding(name: str, padding: Any, kernel: Pair, stride: Pair) -> Pair:
    """The padding, where ``same`` and ``valid`` stand for numbers."""
    text = padding.decode() if isinstance(padding, bytes) else padding
    if isinstance(text, str):
        if text == "valid":
            return 0, 0
        if text != "same" or stride != (1, 1) or kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
            raise ChandelierError(f"{name}.padding {text!r} must be numbers, 'valid', or 'same' with an odd kernel")
        return kernel[0] // 2, kernel[1] // 2
    return _pair(f"{name}.padding", padding)


def chain_of(graph: Any, *, dt: float, reset: Reset) -> tuple[Shape, list[ChainLayer]]:
    """The input map (h, w, c) and the layers of a ``nir.NIRGraph``, in floating point.

    Raises
    ------
    ChandelierError
        If the graph is not a chain, or a node cannot be said exactly; the line names the node and its type.
    """
    order = _nodes_in_order(graph)
    (entry,) = (node for node in graph.nodes.values() if type(node).__name__ == "Input")
    shape = _shape("the shape of the input", entry.input_type["input"])
    builder = _Builder(shape, dt, reset)
    start = builder.map
    for name, node in order:
        builder.add(name, node)
    return start, builder.finish()


def import_nir(path: Path, name: str, options: NIROptions) -> IntegerNetwork:
    """The integer network of the NIR graph in the file ``path``, called ``name``; quantised after training.

    Raises
    ------
    ChandelierError
        If the file is not one, a node cannot be said exactly, or a number does not fit.
    """
    if not re.fullmatch(NAME, name):
        raise ChandelierError(f"a network is called by letters, digits, '_', '-' and '.', not {name!r}")
    graph = read_graph(path)
    try:
        shape, layers = chain_of(graph, dt=options.dt, reset=options.reset)
        spec = Input(math.prod(shape), options.input_bits, options.kind, shape=shape)
        return quantised_chain(name, layers, spec, options.steps, options.scheme)
    except ChandelierError as error:
        raise ChandelierError(f"{path}: {error}") from None
