"""Feature maps: their shapes, the window of a convolution, and where the inputs of a layer come from. No torch in here.

Every input and every layer is a map (height, width, channels), channels last; a vector of n is (1, 1, n).
"""

import math
from dataclasses import dataclass

from quant.errors import ChandelierError

__all__ = ["FULLY_CONNECTED", "NETWORK_INPUT", "Shape", "Window", "Wiring", "pooled"]

#: (height, width, channels).
Shape = tuple[int, int, int]
Pair = tuple[int, int]
#: The index that stands for the network's input among the sources of a layer.
NETWORK_INPUT = -1
_MOST = 1 << 14


def _check_pair(what: str, pair: Pair, low: int) -> None:
    if len(pair) != 2 or not all(low <= n <= _MOST for n in pair):
        raise ChandelierError(f"{what} must be two numbers of {low}..{_MOST}, not {pair}")


@dataclass(frozen=True)
class Window:
    """What a convolution sees of its input map, (height, width) each; zeros are padded on all four sides.

    Raises
    ------
    ChandelierError
        If kernel or stride are below 1, or the padding is as large as the kernel.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        _check_pair("kernel", self.kernel, 1)
        _check_pair("stride", self.stride, 1)
        _check_pair("padding", self.padding, 0)
        if any(p >= k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ChandelierError(f"padding must be smaller than the kernel {self.kernel}, not {self.padding}")

    def inputs(self, channels: int) -> int:
        """Inputs of one neuron: ``d`` of the layer, in the order (row, column, channel)."""
        return math.prod(self.kernel) * channels

    def output(self, shape: Shape) -> Pair:
        """Height and width of the result on a map of ``shape``.

        Raises
        ------
        ChandelierError
            If the padded map is smaller than the kernel.
        """
        sizes = zip(shape[:2], self.kernel, self.stride, self.padding, strict=True)
        height, width = ((n + 2 * p - k) // s + 1 for n, k, s, p in sizes)
        if min(height, width) < 1:
            raise ChandelierError(f"a kernel of {self.kernel} does not fit on a map of {shape[:2]}")
        return height, width


@dataclass(frozen=True)
class Wiring:
    """Where the inputs of a layer come from, and how they reach its neurons.

    Parameters
    ----------
    sources : tuple of int
        Earlier layers whose spikes are added up (residual connections in the SEW form), or :data:`NETWORK_INPUT` alone.
        Empty means the layer before, or the network's input for the first.
    pool : (height, width)
        Spikes are summed over windows of this size, side by side; what is left at the lower and right edge is dropped.
    window : Window, optional
        Of a convolution; without it, every neuron sees the whole map, flattened in the order (row, column, channel).
    """

    sources: tuple[int, ...] = ()
    pool: Pair = (1, 1)
    window: Window | None = None

    def __post_init__(self) -> None:
        _check_pair("pool", self.pool, 1)

    def sources_of(self, index: int) -> tuple[int, ...]:
        """The sources of the layer ``index``, written out, the earliest first.

        Hardware lets them in in this order: a later one may need what an earlier one sends.
        """
        return tuple(sorted(self.sources)) or (index - 1,)

    def inputs(self, shape: Shape) -> int:
        """Inputs of one neuron on a pooled map of ``shape``."""
        return self.window.inputs(shape[2]) if self.window else math.prod(shape)

    def output(self, shape: Shape, neurons: int) -> Shape:
        """The map of a layer with ``neurons`` channels on a pooled map of ``shape``."""
        return (*(self.window.output(shape) if self.window else (1, 1)), neurons)


#: From the layer before, all to all.
FULLY_CONNECTED = Wiring()


def pooled(shape: Shape, pool: Pair) -> Shape:
    """A map of ``shape`` after pooling.

    Raises
    ------
    ChandelierError
        If the map is smaller than the window.
    """
    height, width = shape[0] // pool[0], shape[1] // pool[1]
    if min(height, width) < 1:
        raise ChandelierError(f"pooling by {pool} does not fit on a map of {shape[:2]}")
    return height, width, shape[2]
