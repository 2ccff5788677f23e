"""Diagrams as SVG: two panels side by side, and a legend."""

from collections.abc import Mapping, Sequence

import numpy as np

Curve = Sequence[tuple[float, float]]
COLOURS = ("#1b6ca8", "#c0392b", "#27824b", "#8e44ad", "#d68910", "#555555")


def panel(left: int, title: str, across: str, x_max: float, y_max: float, curves: Mapping[str, Curve]) -> str:
    """One diagram of an SVG, 300 wide: curves in a frame, with a scale on both axes."""

    def at(x: float, y: float) -> tuple[float, float]:
        return left + 40 + 240 * x / x_max, 260 - 220 * y / y_max

    lines = [f'<text x="{left + 40}" y="22" font-weight="bold">{title}</text>']
    lines.append(f'<rect x="{left + 40}" y="40" width="240" height="220" fill="none" stroke="#999"/>')
    for i in range(5):
        (x, _), (_, y) = at(x_max * i / 4, 0), at(0, y_max * i / 4)
        lines.append(f'<text x="{x:.0f}" y="276" text-anchor="middle">{x_max * i / 4:g}</text>')
        lines.append(f'<text x="{left + 34}" y="{y + 4:.0f}" text-anchor="end">{y_max * i / 4:g}</text>')
    lines.append(f'<text x="{left + 160}" y="294" text-anchor="middle">{across}</text>')
    for colour, curve in zip(COLOURS, curves.values(), strict=False):
        points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in curve if np.isfinite(y))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join(lines)


def svg(panels: Sequence[str], legend: Sequence[str]) -> str:
    """The picture: panels, the second of them at 310, and the names of the curves in their colours."""
    names = [
        f'<text x="{40 + 200 * (i % 3)}" y="{318 + 18 * (i // 3)}" fill="{colour}">{name}</text>'
        for i, (name, colour) in enumerate(zip(legend, COLOURS, strict=False))
    ]
    body = "\n".join([*panels, *names])
    style = 'font-family="sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 350" {style}>\n{body}\n</svg>\n'
