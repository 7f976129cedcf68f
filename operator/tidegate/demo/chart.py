"""Charts as SVG text, without any library: lines over time with axes, a legend, and colours for light and dark.

Only drawing lives here; what is drawn comes from the pictures and the reports.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.api.walltime import zone_named

Values = NDArray[np.float64]

CHINA = zone_named("Asia/Shanghai")
TOLERANCE = 0.3
"""Pixels by which a drawn line may miss its values."""

STYLE = """
.tg { --ink: #1f2933; --faint: #616e7c; --grid: #e4e7eb; --paper: #ffffff; --demand: #cbd2d9; --edge: #7b8794;
  --tidegate: #1d5fd1; --hpa70: #c2570c; --hpa80: #9c27a0; --lost: #d64545;
  --trading: #3f7de0; --data: #58b28c; --draining: #eab04d; }
@media (prefers-color-scheme: dark) { .tg { --ink: #e4e7eb; --faint: #9aa5b1; --grid: #323f4b; --paper: #161b22;
  --demand: #3e4c59; --edge: #9aa5b1; --tidegate: #6ea8ff; --hpa70: #f0a35e; --hpa80: #d98be0; --lost: #ff6b6b;
  --trading: #4b86e0; --data: #3f8f6d; --draining: #d39a34; } }
.tg text { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; font-size: 12px; fill: var(--faint); }
.tg .title { font-size: 14px; font-weight: 600; fill: var(--ink); }
.tg .heading { font-size: 18px; font-weight: 700; fill: var(--ink); }
.tg .label { fill: var(--ink); }
.tg .paper { fill: var(--paper); }
.tg .grid { stroke: var(--grid); stroke-width: 1; }
.tg .axis { stroke: var(--faint); stroke-width: 1; }
.tg .mark { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 2 3; }
.tg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.tg .demand { fill: var(--demand); stroke: var(--edge); stroke-width: 1; }
.tg .tidegate { stroke: var(--tidegate); }
.tg .hpa70 { stroke: var(--hpa70); }
.tg .hpa80 { stroke: var(--hpa80); stroke-dasharray: 5 3; }
.tg .trading { fill: var(--trading); stroke: none; }
.tg .data { fill: var(--data); stroke: none; }
.tg .draining { fill: var(--draining); stroke: none; }
.tg .capacity { stroke: var(--ink); stroke-dasharray: 7 4; stroke-width: 1.5; }
.tg .lost { fill: var(--lost); fill-opacity: 0.22; stroke: none; }
"""


AREAS = ("demand", "lost", "trading", "data", "draining")
"""Looks of areas; the others are lines."""


@dataclass(frozen=True)
class Line:
    """One line of a chart: ``values`` is one number a second; ``look`` names its colours in ``STYLE``."""

    label: str
    look: str
    values: Values
    filled: bool = False


class Mark(NamedTuple):
    """An instant with its name."""

    at: float
    label: str
    left: bool | None = None
    """The name stands to the left of it; None: where there is room."""


@dataclass(frozen=True)
class Chart:
    """Lines from ``begin`` to ``end`` (epoch seconds); the values of a line start at ``first``."""

    title: str
    unit: str
    first: float
    begin: float
    end: float
    lines: Sequence[Line]
    """In the order in which they are drawn, areas first."""
    marks: Sequence[Mark] = ()
    lost: tuple[str, str] | None = None
    """(look of the demand, look of a supply): shade what the first is above the second."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where on the paper, in pixels."""

    x: float
    y: float
    width: float
    height: float


def draw(chart: Chart, box: Box) -> str:
    """One chart as an SVG group."""
    plot = Box(box.x + 52, box.y + 44, box.width - 76, box.height - 72)
    seconds = np.arange(round(chart.begin - chart.first), round(chart.end - chart.first), dtype=np.int64)
    top = _round_up(max(float(line.values[seconds].max()) for line in chart.lines))
    scale = plot.width / (chart.end - chart.begin)
    xs: Values = plot.x + (seconds.astype(np.float64) + (chart.first - chart.begin)) * scale
    heights: dict[str, Values] = {
        line.look: plot.y + plot.height - np.minimum(line.values[seconds], top) / top * plot.height
        for line in chart.lines
    }
    parts = [f'<text class="title" x="{box.x + 4:.0f}" y="{box.y + 14:.0f}">{escape(chart.title)}</text>']
    parts += _level_axis(plot, top, chart.unit)
    parts += _time_axis(plot, chart)
    for line in chart.lines:
        if line.filled:
            points = _points(xs, heights[line.look], _kept(xs, heights[line.look]))
            ground = f"{plot.y + plot.height:.1f}"
            parts.append(f'<path class="{line.look}" d="M{xs[0]:.1f} {ground}L{points}L{xs[-1]:.1f} {ground}Z"/>')
    if chart.lost:
        parts.append(_gap(xs, heights[chart.lost[0]], heights[chart.lost[1]]))
    for line in chart.lines:
        if not line.filled:
            points = _points(xs, heights[line.look], _kept(xs, heights[line.look]))
            parts.append(f'<path class="line {line.look}" d="M{points}"/>')
    parts += _marks(plot, chart)
    return "<g>" + "".join(parts) + "</g>"


def legend(entries: Sequence[tuple[str, str]], x: float, y: float) -> str:
    """Samples of (look, label) in one row, from left to right."""
    parts = []
    for look, label in entries:
        if look in AREAS:
            parts.append(f'<rect class="{look}" x="{x:.0f}" y="{y - 10:.0f}" width="22" height="12"/>')
        else:
            parts.append(f'<path class="line {look}" d="M{x:.0f} {y - 4:.0f}h22"/>')
        parts.append(f'<text class="label" x="{x + 28:.0f}" y="{y:.0f}">{escape(label)}</text>')
        x += 28 + 6.6 * len(label) + 18
    return "".join(parts)


def document(width: int, height: int, body: str, *, title: str, alone: bool) -> str:
    """A whole SVG; ``alone`` brings its own style and paper, for a file of its own."""
    style = f"<style>{STYLE}</style>" if alone else ""
    paper = f'<rect class="paper" width="{width}" height="{height}"/>' if alone else ""
    return (
        f'<svg class="tg" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}">{style}{paper}{body}</svg>'
    )


def clock(instant: float, *, seconds: bool = False) -> str:
    """Time of day in China."""
    return datetime.fromtimestamp(instant, CHINA).strftime("%H:%M:%S" if seconds else "%H:%M")


# ---- axes


def _level_axis(plot: Box, top: float, unit: str) -> list[str]:
    parts, step = [], _step(top)
    for i in range(round(top / step) + 1):
        y = plot.y + plot.height * (1 - i * step / top)
        parts.append(f'<path class="grid" d="M{plot.x:.1f} {y:.1f}h{plot.width:.1f}"/>')
        parts.append(f'<text x="{plot.x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{i * step:,.0f}</text>')
    parts.append(f'<text x="{plot.x - 48:.1f}" y="{plot.y - 12:.1f}">{escape(unit)}</text>')
    return parts


def _time_axis(plot: Box, chart: Chart) -> list[str]:
    length = chart.end - chart.begin
    steps = (60, 120, 300, 600, 1800, 3600)
    step = next((s for s in steps if length / s * 48 <= plot.width), 7200)
    bottom = plot.y + plot.height
    parts = [f'<path class="axis" d="M{plot.x:.1f} {bottom:.1f}h{plot.width:.1f}"/>']
    at = math.ceil(chart.begin / step) * step
    while at <= chart.end:
        x = plot.x + (at - chart.begin) / length * plot.width
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom:.1f}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{clock(at)}</text>')
        at += step
    return parts


def _marks(plot: Box, chart: Chart) -> list[str]:
    parts = []
    for mark in chart.marks:
        x = plot.x + (mark.at - chart.begin) / (chart.end - chart.begin) * plot.width
        parts.append(f'<path class="mark" d="M{x:.1f} {plot.y:.1f}v{plot.height:.1f}"/>')
        left = mark.left if mark.left is not None else x > plot.x + plot.width * 0.7
        anchor, offset = ("end", -5.0) if left else ("start", 5.0)
        label = escape(mark.label)
        parts.append(f'<text x="{x + offset:.1f}" y="{plot.y - 6:.1f}" text-anchor="{anchor}">{label}</text>')
    return parts


def _step(top: float) -> float:
    """Distance of grid lines: 1, 2 or 5 times a power of ten, four to eight of them."""
    rough = top / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1.0, 2.0, 5.0, 10.0) if rough <= power * m * 1.0001)


def _round_up(value: float) -> float:
    value = max(value, 1.0)
    step = _step(value)
    return math.ceil(value / step) * step


# ---- lines


def _points(xs: Values, ys: Values, kept: NDArray[np.int64]) -> str:
    return "L".join(f"{xs[i]:.1f} {ys[i]:.1f}" for i in kept)


def _gap(xs: Values, need: Values, have: Values) -> str:
    """The area in which need (drawn higher, so smaller) is above what is there."""
    high = np.minimum(need, have)
    kept = np.union1d(_kept(xs, high), _kept(xs, have))
    return f'<path class="lost" d="M{_points(xs, high, kept)}L{_points(xs, have, kept[::-1])}Z"/>'


def _kept(xs: Values, ys: Values) -> NDArray[np.int64]:
    """Points that a line needs to stay within ``TOLERANCE`` of all of them (Douglas and Peucker, by height)."""
    kept, stack = [0, len(xs) - 1], [(0, len(xs) - 1)]
    while stack:
        left, right = stack.pop()
        if right - left < 2:
            continue
        inside = slice(left + 1, right)
        straight = ys[left] + (xs[inside] - xs[left]) / (xs[right] - xs[left]) * (ys[right] - ys[left])
        off = np.abs(ys[inside] - straight)
        worst = int(off.argmax())
        if off[worst] > TOLERANCE:
            middle = left + 1 + worst
            kept.append(middle)
            stack += [(left, middle), (middle, right)]
    return np.array(sorted(set(kept)), dtype=np.int64)
