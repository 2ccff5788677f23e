"""Networks by name and by formula: what ``hidden`` of a configuration means (docs/networks.md).

A formula is a list: 128 or "128" is a fully connected layer, "32C5" a convolution of 32 channels with a 5x5 kernel,
"P2" a sum pooling over 2x2, "PG" one over the whole map, "64R" a residual block; and a name stands for its list.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from quant.errors import ChandelierError
from quant.maps import NETWORK_INPUT, Pair, Shape, Window, Wiring, pooled

__all__ = ["NAMES", "Stage", "expanded", "stages"]

Formula = Sequence[int | str]


def _vgg(*stages: str) -> tuple[str, ...]:
    """A VGG: 3x3 convolutions, a pooling after each stage."""
    return tuple(token for stage in stages for token in (*(f"{width}C3" for width in stage.split()), "P2"))


def _resnet(*blocks: int) -> tuple[str, ...]:
    """A SEW-ResNet of basic blocks: a 3x3 stem, four stages, the later ones of half the size, a global pooling."""
    widths = (64, 128, 256, 512)
    first = ("64R", "128Rs2", "256Rs2", "512Rs2")
    return (
        "64C3",
        *(t for n, w, f in zip(blocks, widths, first, strict=True) for t in (f, *[f"{w}R"] * (n - 1))),
        "PG",
    )


#: The paper's networks, with the light classifier (add 4096, 4096 for the full one), and small ones.
NAMES: dict[str, tuple[int | str, ...]] = {
    "mlp2": (500,),
    "mlp4": (500, 500, 300),
    "mlp6": (500, 500, 300, 300, 300),
    "mlp8": (500, 500, 300, 300, 300, 100, 100),
    "mlp12": (*[500] * 4, *[300] * 4, *[100] * 3),
    "mlp16": (*[500] * 5, *[300] * 5, *[100] * 5),
    "vgg8": _vgg("64", "128", "256", "512", "512"),
    "vgg11": _vgg("64", "128", "256 256", "512 512", "512 512"),
    "vgg16": _vgg("64 64", "128 128", "256 256 256", "512 512 512", "512 512 512"),
    "vgg19": _vgg("64 64", "128 128", "256 256 256 256", "512 512 512 512", "512 512 512 512"),
    "resnet18": _resnet(2, 2, 2, 2),
    "resnet34": _resnet(3, 4, 6, 3),
    "lenet": ("16C5", "P2", "32C5", "P2", 128),
    "conv1d": ("16C1x5", "P1x2", "32C1x5", "P1x2", 128),
}

_SIZE = r"(\d{1,4})(?:x(\d{1,4}))?"
_DENSE = re.compile(r"[1-9]\d{0,4}")
_CONVOLUTION = re.compile(rf"(?P<n>\d{{1,5}})C{_SIZE}(?:s(?P<stride>\d{{1,2}}))?(?:p(?P<padding>\d{{1,2}}))?")
_POOL = re.compile(rf"P(?:{_SIZE}|G)")
_RESIDUAL = re.compile(r"(?P<n>\d{1,5})R(?:s(?P<stride>\d{1,2}))?")


@dataclass(frozen=True)
class Stage:
    """A layer to be built: its E neurons, its inputs' way, and the shape and largest value of its pooled input map.

    ``x_scale`` is what a unit of an input stands for where the model has means of spikes and we have sums.
    """

    neurons: int
    wiring: Wiring
    shape: Shape
    x_max: int
    x_scale: float


class _Builder:
    """Adds layer after layer to ``stages``; ``sources`` and ``pool`` are those of the next one."""

    def __init__(self, shape: Shape, x_max: int) -> None:
        self.stages: list[Stage] = []
        self.sources: tuple[int, ...] = (NETWORK_INPUT,)
        self.pool: Pair = (1, 1)
        self.shape, self.x_max = shape, x_max

    def add(self, neurons: int, window: Window | None) -> None:
        if not 1 <= neurons <= 16384:
            raise ChandelierError(f"a layer has 1..16384 neurons or channels, not {neurons}")
        wiring = Wiring(self.sources, self.pool, window)
        area = self.pool[0] * self.pool[1]
        top = self.x_max if self.sources == (NETWORK_INPUT,) else len(self.sources)
        shape = pooled(self.shape, self.pool)
        self.stages.append(Stage(neurons, wiring, shape, top * area, 1 / area))
        self.shape = wiring.output(shape, neurons)
        self.sources, self.pool = (len(self.stages) - 1,), (1, 1)

    def add_pool(self, pool: Pair | None) -> None:
        """Pools over ``pool``, or over the whole map."""
        height, width = pool or pooled(self.shape, self.pool)[:2]
        self.pool = (self.pool[0] * height, self.pool[1] * width)
        pooled(self.shape, self.pool)

    def add_block(self, neurons: int, stride: int) -> None:
        """``out = identity + LIF(EI(LIF(EI(x))))``; where shapes differ, ``identity = LIF(EI_1x1(x))``."""
        entry, shape = (self.sources, self.pool), self.shape
        if entry[0] == (NETWORK_INPUT,) or entry[1] != (1, 1):
            raise ChandelierError("a residual block needs a layer right before it")
        self.add(neurons, Window((3, 3), (stride, stride), (1, 1)))
        self.add(neurons, Window((3, 3), (1, 1), (1, 1)))
        identity, branch, after = entry[0], self.sources, self.shape
        if after != shape:
            (self.sources, self.pool), self.shape = entry, shape
            self.add(neurons, Window((1, 1), (stride, stride)))
            identity = self.sources
        self.sources = identity + branch

    def add_token(self, token: str) -> None:
        if match := _CONVOLUTION.fullmatch(token):
            self.add(int(match["n"]), _window(match))
        elif match := _POOL.fullmatch(token):
            self.add_pool((int(match[1]), int(match[2] or match[1])) if match[1] else None)
        elif match := _RESIDUAL.fullmatch(token):
            self.add_block(int(match["n"]), int(match["stride"] or 1))
        else:
            self.add(int(token), None)


def _window(match: re.Match[str]) -> Window:
    kernel = (int(match[2]), int(match[3] or match[2]))
    stride = int(match["stride"] or 1)
    padding = (kernel[0] // 2, kernel[1] // 2) if match["padding"] is None else (int(match["padding"]),) * 2
    return Window(kernel, (stride, stride), padding)


def expanded(hidden: str | Formula) -> list[str]:
    """The tokens of a formula, names replaced by what they stand for.

    Raises
    ------
    ChandelierError
        If a token means nothing, or there is no layer.
    """
    tokens = [hidden] if isinstance(hidden, str) else hidden
    result = [str(t) for token in tokens for t in NAMES.get(str(token), (token,))]
    for token in result:
        if not any(pattern.fullmatch(token) for pattern in (_DENSE, _CONVOLUTION, _POOL, _RESIDUAL)):
            raise ChandelierError(
                f"network.hidden: {token!r} is neither a width (1..16384), a convolution (32C5, 32C3s2p1, 16C1x5), a "
                f"pooling (P2, P1x2, PG), a residual block (64R, 128Rs2) nor one of {', '.join(NAMES)}"
            )
    if all(_POOL.fullmatch(token) for token in result):
        raise ChandelierError(f"network.hidden needs at least one layer before the readout, and is {hidden!r}")
    return result


def stages(hidden: str | Formula, shape: Shape, x_max: int, classes: int) -> list[Stage]:
    """The layers of a network, the readout last.

    Parameters
    ----------
    hidden : name, or list of names and tokens
    shape : (height, width, channels)
        Of the network's input.
    x_max : int
        Largest input code.
    classes : int

    Raises
    ------
    ChandelierError
        If a token means nothing, or does not fit the map that it gets.
    """
    builder = _Builder(shape, x_max)
    for token in expanded(hidden):
        try:
            builder.add_token(token)
        except ChandelierError as error:
            size = "x".join(map(str, builder.shape))
            raise ChandelierError(f"network.hidden: {token!r} on a map of {size}: {error}") from None
    builder.add(classes, None)
    return builder.stages
