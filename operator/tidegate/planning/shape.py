"""Demand curves on the grid: what one occurrence of an event adds to a signal, cell by cell.

A cell holds the largest value that the curve takes inside ``[cell x seconds, (cell + 1) x seconds)``: a peak is never
rounded away, and what is needed anywhere in a cell is ready at its start.

All heights are made multiples of 2^-10 of the base, and all bases multiples of 2^-10 with at most 24 significant bits
(both rounded up). Their products and the sums of tens of thousands of them are then exact in float64, so that neither
the order of events nor adding and removing one can change a plan. Float addition in general promises neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.isolation import NotPlannableError
from tidegate.planning.model import MOST_DEMAND, Announcement, Derived, Moment, Occurrence

Cells = NDArray[np.float64]

PROFILES: dict[str, tuple[tuple[float, float], ...]] = {
    "flat": ((0.0, 1.0), (1.0, 1.0)),
    "show": ((-0.05, 0.0), (0.0, 0.6), (0.15, 1.0), (0.85, 1.0), (1.0, 0.8), (1.1, 0.0)),
    "flash-sale": ((0.0, 1.0), (0.1, 1.0), (0.3, 0.5), (1.0, 0.2)),
    "match": ((-0.25, 0.25), (0.0, 0.7), (0.45, 0.8), (0.5, 0.75), (0.95, 0.85), (1.0, 1.0), (1.15, 0.4), (1.35, 0.0)),
    "opening": ((-0.5, 0.25), (-0.25, 0.5), (0.0, 1.0), (0.25, 1.0), (1.0, 0.6)),
}
"""Shapes as (share of the duration, share of the plateau), straight lines between; nothing outside.

``match`` follows what 48 kick-offs of the 1998 World Cup showed: a step at kick-off and the peak at the final whistle
(median 116 min after it); ``opening`` what ten charity marathons showed: the room doubles every half hour up to the
announced time. ``show`` and ``flash-sale`` are judgment until history is learned."""

_QUANTUM = 1024.0
_SCALES = tuple(min(2.0 ** (24 - exponent), _QUANTUM) for exponent in range(1024))
_CACHE = 1024
KEPT = 1440
"""Cells (six hours of 15 s) of a curve that is kept, 34 KB, for all events of its shape. A longer one is drawn each
time that it is summed, and no further than the book reaches: nobody's event fills the memory."""


def exact(value: float) -> float:
    """The next number up that is a multiple of 2^-10 and has at most 24 significant bits."""
    if value <= 0.0:
        return 0.0
    if value < 16_384.0:  # 2^14: fourteen bits before the point and ten behind it
        return math.ceil(value * _QUANTUM) / _QUANTUM
    scale = _SCALES[min(max(math.frexp(value)[1], 0), 1023)]
    return math.ceil(value * scale) / scale


class Bump(NamedTuple):
    """A stretch of constant height; offset in seconds from T-0."""

    offset: float
    duration: float
    height: float


class Shape(NamedTuple):
    """What a curve is drawn from. Instants are seconds from the first cell's start; T-0 is ``phase`` into it."""

    profile: str | None
    """None: nothing but the bumps."""
    duration: float
    lag: float
    """Seconds by which the profile comes later."""
    bumps: tuple[Bump, ...]
    phase: float
    cell: float
    base: float = 1.0
    """Height of the plateau."""

    def points(self) -> tuple[tuple[float, float], ...]:
        """(instant, height) of the profile, straight lines between."""
        if self.profile is None:
            return ()
        begin = self.phase + self.lag
        return tuple((begin + u * self.duration, v * self.base) for u, v in PROFILES[self.profile])

    def spans(self) -> list[tuple[float, float, float]]:
        """(begin, end, height) of the bumps that have any."""
        return [
            (self.phase + b.offset, self.phase + b.offset + b.duration, b.height)
            for b in self.bumps
            if b.height > 0 and b.duration > 0
        ]


@dataclass(slots=True)
class Contribution:
    """What one occurrence adds to one signal: ``scale x cells`` from cell ``first`` to before ``end``."""

    signal: str
    origin: int
    """The cell of T-0."""
    first: int
    end: int
    scale: float
    most: float
    """The largest height."""
    shape: Shape

    def cells(self, low: int, high: int) -> Cells:
        """Heights in the cells ``[low, high)``, which lie within first and end; below them heights and squared heights
        again (for the sums of the book): shape (3, cells), read-only.
        """
        if self.end - self.first <= KEPT:
            return _kept(self.shape)[:, low - self.first : high - self.first]
        return _drawn(self.shape, low - self.origin, high - self.origin)

    def value_at(self, cell: int) -> float:
        """Its demand in a cell, 0 outside."""
        return float(self.scale * self.cells(cell, cell + 1)[0, 0]) if self.first <= cell < self.end else 0.0


@lru_cache(maxsize=_CACHE)
def reach(moments: tuple[Moment, ...], links: tuple[Derived, ...], duration: float) -> tuple[float, float]:
    """Seconds that an occurrence's demand reaches before its start and after it, at most."""
    lag = sum(link.lag for link in links)
    before, after = duration, 2.0 * duration
    for moment in moments:
        offset = moment.offset + (duration if moment.from_end else 0.0)
        before = max(before, -offset)
        after = max(after, offset + moment.duration)
    return before, after + lag


def contributions(event: Announcement, occurrence: Occurrence, *, cell: float) -> tuple[Contribution, ...]:
    """The curves of one occurrence, by signal name; a signal without any demand is left out."""
    expected = dict(event.expected)
    origin = math.floor(occurrence.start / cell)
    phase = occurrence.start - origin * cell
    found = []
    for part in _outline(
        event.moments, event.derived, tuple(expected), event.profile, occurrence.duration, phase, cell
    ):
        plateau = expected.get(part.root, 0.0) * part.factor
        _demand_plannable(part.signal, plateau, 1.0)
        base = exact(plateau)
        if base > 0.0 and not part.levels:
            found.append(_contribution(part.signal, origin, base, part.shape))
        elif (leveled := _leveled(event, occurrence, part, base, phase, cell)) is not None:
            found.append(_contribution(part.signal, origin, *leveled))
        else:
            continue
        _demand_plannable(part.signal, found[-1].scale, found[-1].most)
    return tuple(found)


def _contribution(signal: str, origin: int, scale: float, shape: Shape) -> Contribution:
    first, end, most = _measured(shape)
    return Contribution(signal, origin, origin + first, origin + end, scale, most, shape)


def _demand_plannable(signal: str, scale: float, most: float) -> None:
    """Refuse a demand that is no number, or a larger one than can be summed."""
    if not 0.0 <= scale * most <= MOST_DEMAND:
        raise NotPlannableError(f"{signal}: concurrent demand of more than {MOST_DEMAND:g} is not plannable")


class _Part(NamedTuple):
    """One signal of an event's outline: what many events of the same shape share."""

    signal: str
    root: str
    """The announced signal that its base comes from."""
    factor: float
    levels: bool
    """Some moment gives a level: the curve depends on the base, and ``shape`` is for those without."""
    shape: Shape


@lru_cache(maxsize=_CACHE // 4)
def _outline(
    moments: tuple[Moment, ...],
    links: tuple[Derived, ...],
    names: tuple[str, ...],
    profile: str,
    duration: float,
    phase: float,
    cell: float,
) -> tuple[_Part, ...]:
    """All signals of an event by name, worked out once for all events of this shape."""
    derived = {link.signal: link for link in links}
    parts = []
    for signal in sorted({*names, *derived, *(m.signal for m in moments)}):
        relative, absolute, lag = _bumps(moments, links, duration, signal)
        root, factor = signal, 1.0
        for _ in links:
            if root in derived:
                root, factor = derived[root].source, factor * derived[root].factor
        shape = Shape(profile, duration, lag, relative, phase, cell)
        parts.append(_Part(signal, root, factor, bool(absolute), shape))
    return tuple(parts)


def _leveled(
    event: Announcement, occurrence: Occurrence, part: _Part, base: float, phase: float, cell: float
) -> tuple[float, Shape] | None:
    """Scale and shape of a signal whose moments give levels, or that has no plateau."""
    relative, absolute, lag = _bumps(event.moments, event.derived, occurrence.duration, part.signal)
    if not absolute:
        return None
    scaled = tuple(Bump(b.offset, b.duration, b.height * base) for b in relative) if base > 0.0 else ()
    highest = max(base, *(b.height for b in scaled + absolute))
    _demand_plannable(part.signal, highest, 1.0)
    top = exact(highest)
    if top <= 0.0:
        return None
    bumps = tuple(Bump(b.offset, b.duration, b.height / top) for b in scaled + absolute)
    profile = event.profile if base > 0.0 else None
    shape = Shape(profile, occurrence.duration, lag, bumps, phase, cell, base / top)
    return (top, shape) if shape.profile or shape.spans() else None


@lru_cache(maxsize=_CACHE)
def _bumps(
    moments: tuple[Moment, ...], links: tuple[Derived, ...], duration: float, signal: str
) -> tuple[tuple[Bump, ...], tuple[Bump, ...], float]:
    """Moments that reach a signal, its own and its sources': (multiples of its base, levels, lag of its shape)."""
    derived = {link.signal: link for link in links}
    relative: list[Bump] = []
    absolute: list[Bump] = []
    lag, factor, at = 0.0, 1.0, signal
    for _ in range(len(derived) + 1):
        for moment in moments:
            if moment.signal != at:
                continue
            offset = moment.offset + lag + (duration if moment.from_end else 0.0)
            if moment.level is not None:
                absolute.append(Bump(offset, moment.duration, moment.level * factor))
            elif moment.factor is not None:
                relative.append(Bump(offset, moment.duration, moment.factor))
        link = derived.get(at)
        if link is None:
            break
        lag, factor, at = lag + link.lag, factor * link.factor, link.source
    return tuple(relative), tuple(absolute), lag


@lru_cache(maxsize=_CACHE)
def _measured(shape: Shape) -> tuple[int, int, float]:
    """First cell and the one behind the last, from T-0's, and the largest height."""
    points, spans = shape.points(), shape.spans()
    edges = ([points[0][0], points[-1][0]] if points else []) + [x for span in spans for x in span[:2]]
    if not edges:
        return 0, 0, 0.0
    first, end = math.floor(min(edges) / shape.cell), math.ceil(max(edges) / shape.cell)
    most = max([height for _, height in points] + [height for *_, height in spans])
    return first, max(end, first + 1), math.ceil(most * _QUANTUM) / _QUANTUM


@lru_cache(maxsize=_CACHE)
def _kept(shape: Shape) -> Cells:
    first, end, _ = _measured(shape)
    return _drawn(shape, first, end)


def _drawn(shape: Shape, low: int, high: int) -> Cells:
    """The cells ``[low, high)`` of a curve, counted from T-0's: see ``Contribution.cells``."""
    heights = np.zeros(high - low)
    if points := shape.points():
        _draw_lines(heights, low, points, shape.cell)
    for begin, stop, height in shape.spans():
        part = heights[max(0, math.floor(begin / shape.cell) - low) : max(0, math.ceil(stop / shape.cell) - low)]
        np.maximum(part, height, out=part)
    heights = np.ceil(heights * _QUANTUM) / _QUANTUM
    squares = np.ceil(heights * heights * _QUANTUM) / _QUANTUM
    cells = np.stack([heights, heights, squares])
    cells.setflags(write=False)
    return cells


def _draw_lines(heights: Cells, first: int, points: tuple[tuple[float, float], ...], cell: float) -> None:
    """Upper envelope per cell of straight lines between points; nothing before the first and after the last."""
    xs, ys = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    begins, ends = math.floor(xs[0] / cell), math.ceil(xs[-1] / cell)
    low, high = max(begins, first), min(ends, first + len(heights))
    if low >= high:
        return
    left = np.arange(low, high) * cell
    begin, end = np.clip(left, xs[0], xs[-1]), np.clip(left + cell, xs[0], xs[-1])
    envelope = np.maximum(np.interp(begin, xs, ys), np.interp(end, xs, ys))
    inside = np.minimum(np.floor(xs / cell).astype(int), ends - 1) - low
    drawn = (inside >= 0) & (inside < high - low)
    np.maximum.at(envelope, inside[drawn], ys[drawn])
    part = heights[low - first : high - first]
    np.maximum(part, envelope, out=part)
