"""Charts as SVG, by matplotlib: small, with text that is text, and colours that the page decides."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from quant.network import Layer
from sw.report.signals import LayerSignals

__all__ = [
    "COLOURS",
    "bars",
    "codes_of_weights",
    "confusion",
    "currents_of_neurons",
    "denominators",
    "histogram",
    "lines",
    "logits",
    "picture",
    "potentials",
    "raster",
    "rates",
    "scatters",
    "spike_maps",
    "standalone",
    "traces",
]

#: Colours stand for names of the page's style sheet: what matplotlib writes -> what takes its place.
INK, QUIET, RULE, FIRST, SECOND, THIRD, FOURTH, PAPER = (f"#0102{k:02x}" for k in range(8))
_NAMES = {
    INK: "currentColor",
    QUIET: "var(--quiet)",
    RULE: "var(--rule)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
    FOURTH: "var(--fourth)",
    PAPER: "var(--paper)",
}
#: Of curves, in their order.
COLOURS = (FIRST, SECOND, THIRD, FOURTH, INK, QUIET)
#: What the names stand for in a file of its own, on white.
_PLAIN = {
    "currentColor": "#1c1c1c",
    "var(--quiet)": "#666666",
    "var(--rule)": "#d8d8d8",
    "var(--first)": "#1f6fb5",
    "var(--second)": "#c2491d",
    "var(--third)": "#2b7f4f",
    "var(--fourth)": "#8a5bb0",
    "var(--paper)": "#ffffff",
}
#: Of pictures, whose pixels cannot follow the page: seen on light and on dark.
_PIXEL = (0.25, 0.53, 0.80)
#: Letters of all labels beside each other in a legend.
_LEGEND = 66
#: Inches.
WIDTH = 4.4
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "chandelier",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "image.interpolation": "none",
    "lines.linewidth": 1.6,
}
#: Of pixels that are wrong.
_WRONG = (0.85, 0.36, 0.16)
_LONG = re.compile(r"-?\d+\.\d{3,}")


def _svg(figure: Figure) -> str:
    """The SVG element of a figure, without what a page has no use for."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _LONG.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), text)
    for written, name in _NAMES.items():
        text = text.replace(written, name)
    # The page decides fonts and widths; names that nothing refers to would be there once for each chart.
    text = re.sub(r"font: (?:bold )?([\d.]+)px [^;\"]*", lambda found: found[0].split("px")[0] + "px var(--font)", text)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    used = set(re.findall(r"#([\w.-]+)[\")]", text))
    text = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", text)
    return re.sub(r"\n\s*", "\n", text).strip()


def standalone(svg: str) -> str:
    """A chart as a file of its own, in dark ink on white."""
    for name, colour in {**_PLAIN, "var(--font)": "sans-serif"}.items():
        svg = svg.replace(name, colour)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'


def _chart(
    draw: Callable[..., None],
    title: str,
    across: str = "",
    up: str = "",
    *,
    size: tuple[float, float] = (WIDTH, 2.9),
    rows: int = 1,
) -> str:
    """One chart, which ``draw`` fills: a diagram, or ``rows`` of them. What has a label is in the legend, below."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        column = figure.subplots(rows, sharex=True, squeeze=False)[:, 0]
        column[0].set(title=title, ylabel=up)
        column[-1].set(xlabel=across)
        draw(*column)
        found = zip(*column[0].get_legend_handles_labels(), strict=True)
        labelled = {label: handle for handle, label in found}
        if labelled:
            columns = max(1, _LEGEND // max(map(len, labelled)))
            figure.legend(list(labelled.values()), list(labelled), loc="outside lower left", ncols=min(3, columns))
        return _svg(figure)


def _logarithmic(axis: Axis) -> None:
    """Plain numbers on an axis of powers of ten."""
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:,.0f}"))


def lines(
    title: str,
    across: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    marks: Mapping[str, float] | None = None,
    from_zero: bool = False,
    percent: bool = False,
) -> str:
    """Curves of (x, y), x whole numbers, with a legend; ``marks`` are vertical lines and what they say."""

    def draw(axes: Axes) -> None:
        for colour, (label, curve) in zip(COLOURS, curves.items(), strict=False):
            x, y = zip(*curve, strict=True) if curve else ((), ())
            name = label if len(curves) > 1 else None
            axes.plot(x, y, color=colour, label=name, marker="." if len(curve) < 30 else "", markersize=5)
        for label, place in (marks or {}).items():
            axes.axvline(place, color=QUIET, linestyle=":", linewidth=1.2, label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if from_zero:
            axes.set_ylim(bottom=0)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))

    return _chart(draw, title, across)


def scatters(
    title: str, across: str, groups: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, percent: bool = False
) -> str:
    """A diagram for each name of ``groups``, one below the other: of each kind of points (x, y), x being the same."""

    def draw(*column: Axes) -> None:
        for axes, (up, kinds) in zip(column, groups.items(), strict=True):
            for colour, (label, points) in zip((QUIET, SECOND, FIRST), kinds.items(), strict=False):
                x, y = zip(*points, strict=True) if points else ((), ())
                axes.scatter(x, y, s=22, color=colour, alpha=0.75, linewidths=0, label=label)
            axes.set_ylabel(up)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:,.6g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if percent:
            column[-1].xaxis.set_major_formatter(PercentFormatter(1, symbol=""))

    return _chart(draw, title, across, size=(WIDTH * 1.3, 0.9 + 2.1 * len(groups)), rows=len(groups))


def histogram(title: str, across: str, values: np.ndarray, *, up: str = "samples", bins: int = 40) -> str:
    """How often whole numbers occur, with their mean."""

    def draw(axes: Axes) -> None:
        low, high = int(values.min()), int(values.max())
        width = max(1, -(-(high - low + 1) // bins))
        axes.hist(values, (np.arange(low, high + width + 1, width) - 0.5).tolist(), color=FIRST)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.axvline(values.mean(), color=SECOND, linewidth=1.2, label=f"mean {values.mean():,.1f}")

    return _chart(draw, title, across, up)


def bars(title: str, across: str, values: Mapping[str, float], *, marked: str | None = None, digits: int = 0) -> str:
    """A horizontal bar for each name, in their order, its value beside it; one of them is marked."""

    def draw(axes: Axes) -> None:
        names = list(values)
        colours = [SECOND if name == marked else FIRST for name in names]
        drawn = axes.barh(range(len(names)), list(values.values()), color=colours, height=0.72)
        axes.bar_label(drawn, [f"{value:,.{digits}f}" for value in values.values()], padding=3, fontsize=9.5)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.margins(x=0.14)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(5))

    return _chart(draw, title, across, size=(WIDTH * 1.15, 0.9 + 0.25 * len(values)))


def confusion(counts: np.ndarray) -> str:
    """The confusion matrix (label, class); numbers where there are few classes."""
    classes = len(counts)

    def draw(axes: Axes) -> None:
        shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
        wrong = ~np.eye(classes, dtype=bool)
        pixels = np.zeros((classes, classes, 4))
        # What is wrong is rare, and what one looks for: its square root is seen.
        pixels[~wrong] = (*_PIXEL, 0)
        pixels[~wrong, 3] = 0.85 * shares[~wrong]
        pixels[wrong] = (*_WRONG, 0)
        pixels[wrong, 3] = np.minimum(0.9, 1.6 * np.sqrt(shares[wrong]))
        axes.imshow(pixels)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        if classes <= 20:
            axes.set_xticks(range(classes))
            axes.set_yticks(range(classes))
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    axes.text(column, row, f"{count}", ha="center", va="center", fontsize=9 if classes <= 12 else 6)
        axes.tick_params(length=0)

    return _chart(draw, "confusion matrix", "class of the network", "label", size=(WIDTH * 1.15, WIDTH * 1.1))


def rates(own: LayerSignals) -> str:
    """How often neurons spike, as a histogram over the layer's neurons."""

    def draw(axes: Axes) -> None:
        axes.hist(own.rates, np.linspace(0, 1, 41).tolist(), color=FIRST)
        axes.axvline(own.rates.mean(), color=SECOND, linewidth=1.2, label=f"mean {own.rates.mean():.3f}")
        axes.set_yscale("symlog", linthresh=10)
        _logarithmic(axes.yaxis)
        axes.set_ylim(bottom=0)

    return _chart(draw, "firing rate", "spikes of a neuron a time step", "neurons")


def currents_of_neurons(own: LayerSignals) -> str:
    """Excitation against inhibition, a point for each neuron."""

    def draw(axes: Axes) -> None:
        most = float(max(own.excitation.max(), own.inhibition.max(), 1e-9))
        axes.plot([0, most], [0, most], color=QUIET, linewidth=1, linestyle=":", label="balance")
        size = 14 if len(own.excitation) <= 256 else 5
        axes.scatter(own.excitation, own.inhibition, s=size, color=FIRST, alpha=0.65, linewidths=0)
        axes.set_xlim(left=min(0, float(own.excitation.min())))
        axes.set_ylim(bottom=0)

    return _chart(draw, "excitation and inhibition", "mean excitatory current", "mean inhibitory current")


def denominators(own: LayerSignals) -> str:
    """Denominators by octave, as they are and as the stabiliser leaves them."""

    def draw(axes: Axes) -> None:
        used = np.flatnonzero(own.denominators + own.divisors)
        first = int(used[used > 0][0]) if used.any() else 1
        octaves = np.array([0, *range(first, int(used[-1]) + 1)])
        places, total = np.arange(len(octaves)), own.denominators.sum()
        axes.bar(places, own.denominators[octaves] / total, color=FIRST, width=0.8, label="before the stabiliser")
        edges = np.arange(len(octaves) + 1) - 0.5
        axes.stairs(own.divisors[octaves] / total, edges, color=SECOND, label="after", linewidth=1.5)
        axes.set_xticks(places, [_octave(int(k)) for k in octaves])
        axes.tick_params("x", rotation=55 if len(octaves) > 7 else 0)
        axes.yaxis.set_major_formatter(PercentFormatter(1))

    return _chart(draw, "denominators", "from ... to below the next", "share")


def _octave(index: int) -> str:
    """The least number of an octave: 0, 1, 2, 4, ..., 512, 1k, 2k, ..."""
    number = 1 << index >> 1
    power = max(0, (number.bit_length() - 1) // 10)
    return f"{number >> 10 * power}{('', 'k', 'M', 'G', 'T', 'P', 'E')[power]}"


def potentials(own: LayerSignals) -> str:
    """Potentials before the reset, in thresholds, with threshold and ends of the format."""
    neurons = own.layer.neurons
    assert neurons is not None

    def draw(axes: Axes) -> None:
        used = np.flatnonzero(own.potentials)
        first, last = int(used.min()), int(used.max()) + 1
        merged = -(-(last - first) // 60)
        counts = np.add.reduceat(own.potentials[first:last], np.arange(0, last - first, merged))
        edges = np.append(own.edges[first:last:merged], own.edges[last]) / neurons.theta
        axes.stairs(counts, edges, fill=True, color=FIRST)
        axes.axvline(1, color=SECOND, linewidth=1.2, label="threshold")
        for end in (neurons.membrane.min, neurons.membrane.max):
            if edges[0] <= end / neurons.theta <= edges[-1]:
                axes.axvline(
                    end / neurons.theta, color=FOURTH, linewidth=1.2, linestyle="--", label="end of the format"
                )
        axes.set_yscale("log")
        _logarithmic(axes.yaxis)

    return _chart(draw, "membrane potential", "before the reset, in thresholds", "potentials")


def codes_of_weights(layer: Layer) -> str:
    """How many weights have each code, as shares of their matrix."""
    tensors = {"w_ee": layer.w_ee, "w_ie": layer.w_ie, "w_ei": layer.w_ei}
    tensors = {name: tensor.astype(np.int64) for name, tensor in tensors.items() if tensor.size}

    def draw(axes: Axes) -> None:
        low, high = min(int(t.min()) for t in tensors.values()), max(int(t.max()) for t in tensors.values())
        places, width = np.arange(low, high + 1), 0.84 / len(tensors)
        for k, (colour, (name, tensor)) in enumerate(zip((FIRST, SECOND, THIRD), tensors.items(), strict=False)):
            shares = np.bincount((tensor - low).ravel(), minlength=len(places)) / tensor.size
            offset = (k - (len(tensors) - 1) / 2) * width
            axes.bar(places + offset, shares, width, color=colour, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1))

    return _chart(draw, "weights at their codes", "code", "share")


def _tinted(values: np.ndarray, wrong: np.ndarray | None = None) -> np.ndarray:
    """RGBA pixels, the more opaque the larger a value of 0..1 is; those that are ``wrong`` in another colour."""
    pixels = np.empty((*values.shape, 4))
    pixels[...] = (*_PIXEL, 0)
    pixels[..., 3] = values
    if wrong is not None:
        pixels[wrong] = (*_WRONG, 1)
    return pixels


def picture(codes: np.ndarray, most: int) -> str:
    """An input, (height, width, channels) codes up to ``most``: in its colours if there are three."""

    def draw(axes: Axes) -> None:
        values = codes / most
        axes.imshow(values if codes.shape[2] == 3 else _tinted(values.max(2)))
        axes.set_axis_off()

    return _chart(draw, "input")


def raster(title: str, spikes: np.ndarray, wrong: np.ndarray | None = None) -> str:
    """Spikes, (steps, neurons), neurons upwards; with those at which the hardware differs in another colour."""

    def draw(axes: Axes) -> None:
        steps, neurons = spikes.shape
        pixels = _tinted(spikes.T != 0, None if wrong is None else wrong.T)
        axes.imshow(pixels, aspect="auto", origin="lower", extent=(0.5, steps + 0.5, -0.5, neurons - 0.5))
        axes.grid(visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))

    return _chart(draw, title, "time step", "neuron")


def spike_maps(title: str, counts: np.ndarray, steps: int, wrong: np.ndarray | None = None) -> str:
    """How often each neuron of a map (height, width, channels) spiked in ``steps``: channels side by side."""

    def draw(axes: Axes) -> None:
        axes.imshow(_tinted(_tiled(counts / steps), None if wrong is None else _tiled(wrong)))
        axes.set_axis_off()

    height, width = _tiled(counts).shape
    return _chart(draw, title, size=(WIDTH, 0.5 + WIDTH * min(1.6, height / width)))


def _tiled(maps: np.ndarray) -> np.ndarray:
    """Channels of (height, width, channels) in a grid that is about square, a pixel apart."""
    height, width, channels = maps.shape
    columns = min(channels, max(1, round((channels * height / width) ** 0.5)))
    rows = -(-channels // columns)
    grid = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1), maps.dtype)
    for channel in range(channels):
        row, column = divmod(channel, columns)
        top, left = row * (height + 1), column * (width + 1)
        grid[top : top + height, left : left + width] = maps[:, :, channel]
    return grid


def traces(
    title: str, neurons: Sequence[int], u: np.ndarray, v: np.ndarray, theta: int, simulated: np.ndarray | None
) -> str:
    """Potentials (steps, neurons) of some neurons in thresholds: up to ``u``, and by the reset to ``v``.

    Circles are the ``v`` that the hardware was simulated to have.
    """
    steps = np.arange(1, len(u) + 1)

    def draw(*column: Axes) -> None:
        for axes, n in zip(column, neurons, strict=True):
            path = np.stack([u[:, n], v[:, n]], 1).ravel() / theta
            axes.plot(np.repeat(steps, 2), path, color=FIRST, linewidth=1.2, label="golden model")
            axes.axhline(1, color=FOURTH, linewidth=0.9, linestyle=":", label="threshold")
            if simulated is not None:
                style: dict[str, Any] = {"markersize": 4.5, "color": SECOND, "fillstyle": "none"}
                axes.plot(steps, simulated[:, n] / theta, "o", label="simulated Verilog", **style)
            axes.set_ylabel(f"{n}", rotation=0, ha="right", va="center")
            axes.yaxis.set_major_locator(MaxNLocator(2))
        column[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))

    return _chart(draw, title, "time step", size=(WIDTH, 1.0 + 0.62 * len(neurons)), rows=len(neurons))


def logits(values: np.ndarray, simulated: np.ndarray | None) -> str:
    """The logits of a sample; circles are those that the hardware was simulated to have."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(values))
        axes.bar(places, values, color=FIRST, label=None if simulated is None else "golden model")
        if simulated is not None:
            style: dict[str, Any] = {"markersize": 5, "color": SECOND, "fillstyle": "none"}
            axes.plot(places, simulated, "o", label="simulated Verilog", **style)
        axes.axhline(0, color=QUIET, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))

    return _chart(draw, "logits", "class", "integer logit")
