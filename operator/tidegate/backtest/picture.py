"""Pictures of a backtest as SVG text: supply over demand, and the frontier of loss and cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

import numpy as np
from numpy.typing import NDArray

from tidegate.backtest.case import Case
from tidegate.backtest.contest import Score, Track
from tidegate.backtest.outcome import on_frontier

Values = NDArray[np.float64]

WIDTH, HEIGHT = 960.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 28.0, 30.0
COLOURS = ("#1d5fd1", "#c2570c", "#9c27a0", "#2e7d32", "#8d6e63", "#00838f", "#ad1457", "#5d4037", "#616161", "#f9a825")
STYLE = """
svg.bt { max-width: 100%; height: auto; } .bt text { font: 11px system-ui, sans-serif; fill: currentColor; }
.bt .demand { fill: #9aa5b1; fill-opacity: 0.45; } .bt .line { fill: none; stroke-width: 1.4; }
.bt .floor { fill: none; stroke-width: 1.2; stroke-dasharray: 4 3; }
.bt .axis { stroke: currentColor; stroke-opacity: 0.4; } .bt .event { fill: #eab04d; fill-opacity: 0.18; }
"""
LEGEND = 130.0
"""Pixels of a picture's title, in front of the legend."""
LEAST_LOSS = 0.0005
"""Percent: what is less is drawn there, since the axis of losses is logarithmic."""


def supply(case: Case, tracks: Sequence[Track], begin: int, end: int, title: str) -> str:
    """Demand, ready units and floors within the steps ``[begin, end)``; a gap in the demand is a gap in the area."""
    demand = case.grid.demand[begin:end]
    if len(demand) < 2:
        return ""
    shown = [np.nanmax(demand) if np.isfinite(demand).any() else 1.0, *(t.ready[begin:end].max() for t in tracks)]
    top = max(1.0, float(max(shown)) * 1.05)
    parts = [f'<text x="{LEFT}" y="14">{escape(title)}</text>']
    for one in case.happenings:
        first, last = max(case.grid.index(one.start), begin), min(case.grid.index(one.end), end)
        if last > first:
            x, width = _x(first - begin, len(demand)), _x(last - begin, len(demand)) - _x(first - begin, len(demand))
            shape = f'x="{x:.1f}" y="{TOP}" width="{max(width, 1.0):.1f}" height="{HEIGHT - TOP - BOTTOM}"'
            parts.append(f'<rect class="event" {shape}><title>{escape(one.name)}</title></rect>')
    parts += [f'<path class="demand" d="{piece}"/>' for piece in _areas(demand, top)]
    for number, track in enumerate(tracks):
        colour = COLOURS[number % len(COLOURS)]
        ready = track.ready[begin:end].astype(np.float64)
        parts.append(f'<path class="line" stroke="{colour}" d="{_line(ready, top)}"/>')
        if track.floors:
            parts.append(f'<path class="floor" stroke="{colour}" d="{_line(_floors(track.floors, begin, end), top)}"/>')
    parts += _axes(case, begin, end, top)
    names = [(label(track), COLOURS[n % len(COLOURS)]) for n, track in enumerate(tracks)]
    parts += _legend([("demand", "#9aa5b1"), *names])
    return _svg(parts, title)


def label(track: Track) -> str:
    """A contestant with its setting."""
    return track.contestant if track.headroom is None else f"{track.contestant} {track.headroom:.2f}"


def frontier(scores: Sequence[Score]) -> str:
    """Loss over cost, a point a play, joined by policy; points of the frontier are ringed."""
    costs = [one.cost_ratio for one in scores]
    low, high = min(0.95, *costs), max(1.1, min(max(costs), 4.0 * max(1.0, min(costs))))
    losses = [max(LEAST_LOSS, one.lost_percent) for one in scores]
    bottom, top = math.log10(LEAST_LOSS), math.log10(max(1.0, *losses))

    def place(one: Score) -> tuple[float, float]:
        share = (min(one.cost_ratio, high) - low) / (high - low)
        height = (math.log10(max(LEAST_LOSS, one.lost_percent)) - bottom) / (top - bottom)
        return LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="14">lost % over cost</text>']
    names = list(dict.fromkeys(family(one.policy) for one in scores))
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        own = sorted((one for one in scores if family(one.policy) == name), key=lambda one: one.cost_ratio)
        points = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, own))
        parts.append(f'<path class="line" stroke="{colour}" d="M{points}"/>')
        for one in own:
            x, y = place(one)
            told = f"{one.policy} {one.headroom}: lost {one.lost_percent:.3f} %, cost {one.cost_ratio:.3f}"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"><title>{escape(told)}</title></circle>'
            )
    for one, best in zip(scores, on_frontier(scores), strict=True):
        if best:
            x, y = place(one)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="none" class="axis"/>')
    for power in range(math.ceil(bottom), math.floor(top) + 1):
        y = HEIGHT - BOTTOM - (power - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for part in range(6):
        cost = low + part / 5.0 * (high - low)
        x = LEFT + part / 5.0 * (WIDTH - LEFT - RIGHT)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{cost:.2f}</text>')
    parts += _legend([(name, COLOURS[n % len(COLOURS)]) for n, name in enumerate(names)])
    return _svg(parts, "frontier")


def family(policy: str) -> str:
    """The contestants that are one curve: an HPA at its targets."""
    return "hpa" if policy.startswith("hpa-") and policy[4:].isdigit() else policy


# ---- parts


def _x(step: float, steps: int) -> float:
    return LEFT + step / max(1, steps) * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - min(value, top) / top * (HEIGHT - TOP - BOTTOM)


def _thinned(values: Values) -> list[tuple[int, float]]:
    """(step, value): all, or the least and the largest of each half pixel, so that no peak is drawn away."""
    pixels = int(2 * (WIDTH - LEFT - RIGHT))
    if len(values) <= 2 * pixels:
        return list(enumerate(map(float, values)))
    found = []
    edges = np.linspace(0, len(values), pixels + 1).astype(int)
    for first, last in itertools.pairwise(edges):
        part = values[first:last]
        found += [(first + place, float(part[place])) for place in sorted({int(part.argmin()), int(part.argmax())})]
    return found


def _line(values: Values, top: float) -> str:
    points, last = [], None
    for step, value in _thinned(values):
        x = _x(step, len(values))
        if last is not None and last != value:
            points.append(f"{x:.1f} {_y(last, top):.1f}")
        points.append(f"{x:.1f} {_y(value, top):.1f}")
        last = value
    return "M" + "L".join(points)


def _areas(demand: Values, top: float) -> list[str]:
    known = np.isfinite(demand)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(int)))
    pieces = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        points = [(first + step, value) for step, value in _thinned(demand[first:last])]
        drawn = "L".join(f"{_x(step, len(demand)):.1f} {_y(value, top):.1f}" for step, value in points)
        ground = HEIGHT - BOTTOM
        begin, end = _x(points[0][0], len(demand)), _x(points[-1][0], len(demand))
        pieces.append(f"M{begin:.1f} {ground}L{drawn}L{end:.1f} {ground}Z")
    return pieces


def _floors(floors: Mapping[int, int], begin: int, end: int) -> Values:
    values, level = np.zeros(end - begin), 0
    before = [step for step in floors if step <= begin]
    if before:
        level = floors[max(before)]
    values[:] = level
    for step in sorted(floors):
        if begin < step < end:
            values[step - begin :] = floors[step]
    return values


def _axes(case: Case, begin: int, end: int, top: float) -> list[str]:
    ground = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{ground}H{WIDTH - RIGHT}" fill="none"/>']
    parts += [
        f'<text x="{LEFT - 6}" y="{_y(share * top, top) + 4:.1f}" text-anchor="end">{share * top:.0f}</text>'
        for share in (0.0, 0.5, 1.0)
    ]
    seconds = (end - begin) * case.grid.step
    form = "%d %b" if seconds > 3 * 86_400 else "%d %b %H:%M"
    for part in range(7):
        step = begin + part / 6.0 * (end - begin)
        at = datetime.fromtimestamp(case.grid.first + step * case.grid.step, UTC).strftime(form)
        anchor = "start" if part == 0 else "end" if part == 6 else "middle"
        parts.append(
            f'<text x="{_x(step - begin, end - begin):.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{at}</text>'
        )
    return parts


def _legend(names: Sequence[tuple[str, str]]) -> list[str]:
    parts, x = [], LEFT + LEGEND
    for name, colour in names:
        parts.append(f'<rect x="{x:.0f}" y="6" width="12" height="8" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16:.0f}" y="14">{escape(name)}</text>')
        x += 30 + 6.2 * len(name)
    return parts


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg class="bt" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
