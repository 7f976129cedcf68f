"""From a target's levels over time to its needs of the pool.

A level counts from the instant at which it is written, because its pods must be *scheduled* then; it counts until its
pods are gone again. One need is one stretch above the target's standing level: a refused show does not take the next
one with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.model import PlanSettings, Policy, Release, TargetSpec
from tidegate.planning.release import pause, step_down
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Need, NeedStep
from tidegate.planning.timeline import Timeline

COARSE = 30.0
"""Seconds within which changes of a need are taken together, rises early and falls late: a timetable of work that takes
minutes to stop gains nothing from finer steps. Judgment."""
LEAVING = 60.0
"""Seconds from a step down to its pods gone: the stock termination grace and the autoscaler's sync. Judgment."""


class Level(NamedTuple):
    """Units over ``[start, end)``."""

    start: float
    end: float
    units: int


def levels_of(
    line: Timeline, policy: Policy, target: TargetSpec, settings: PlanSettings, now: float, *, most: int | None = None
) -> tuple[Level, ...]:
    """The levels that a target will be written to, from the past that still holds to the horizon: its needs from when
    they are due, held, and stepped down as the policy's release says; bounded by its min and max, and by the ``most``
    that the autoscaler in front of it allows.
    """
    last = line.column(now + settings.horizon)
    first = line.column(now - line.hold - line.shift)
    written = np.zeros(last + 1, dtype=np.int64)
    due = np.floor(line.due_times(0, last + 1) / line.cell).astype(np.int64) - line.first
    held = math.ceil((line.hold + line.shift) / line.cell)
    for start, end, units in _runs(line.units[: last + 1]):
        span = written[max(int(due[start:end].min()), 0) : end + held]
        np.maximum(span, units, out=span)
    ceiling = max(target.maximum, target.minimum) if most is None else min(max(target.maximum, target.minimum), most)
    written[written > 0] = np.clip(written[written > 0], min(target.minimum, ceiling), ceiling)
    written = _stepped_down(written, policy.release, line.cell)
    return tuple(
        Level((line.first + first + start) * line.cell, (line.first + first + end) * line.cell, units)
        for start, end, units in _runs(written[first:])
    )


def needs_of(
    owner: str,
    levels: Iterable[Level],
    *,
    lane: str,
    namespace: str,
    unit: Resources,
    standing: int,
    coarse: float = COARSE,
    leaving: float = LEAVING,
) -> tuple[Need, ...]:
    """The needs of one target, one a stretch. ``owner`` is ``namespace/policy/target``, ``standing`` are the units that
    it has anyway (its loan's original), ``unit`` what one takes.
    """
    found: list[Need] = []
    stretch: list[NeedStep] = []
    for level in _coarse([one for one in levels if one.units > standing], coarse, leaving):
        if stretch and level.start > stretch[-1].end:
            found.append(_need(owner, stretch, lane, namespace))
            stretch = []
        stretch.append(NeedStep(level.start, level.end, unit.times(level.units - standing)))
    if stretch:
        found.append(_need(owner, stretch, lane, namespace))
    return tuple(found)


def _need(owner: str, steps: Sequence[NeedStep], lane: str, namespace: str) -> Need:
    return Need(f"{owner}@{steps[0].start:.0f}", lane, namespace, tuple(steps))


def _coarse(levels: Sequence[Level], coarse: float, leaving: float) -> list[Level]:
    """Levels on a grid of ``coarse`` seconds: the most of each cell, and of the cell before while pods leave."""
    most: dict[int, int] = {}
    for level in levels:
        cells = range(math.floor(level.start / coarse), math.ceil((level.end + leaving) / coarse))
        for cell in cells:
            most[cell] = max(most.get(cell, 0), level.units)
    found: list[Level] = []
    for cell, units in sorted(most.items()):
        start, end = cell * coarse, (cell + 1) * coarse
        if found and found[-1].end == start and found[-1].units == units:
            found[-1] = Level(found[-1].start, end, units)
        else:
            found.append(Level(start, end, units))
    return found


def _stepped_down(written: NDArray[np.int64], release: Release, cell: float) -> NDArray[np.int64]:
    """Levels that come down as a loan does, by the highest of their stretch. Nearly all of a day nothing is written,
    and nothing falls: those cells are not looked at.
    """
    made = written.copy()
    last = 0
    for start in np.flatnonzero(written).tolist():
        if start >= last:
            last = _step_down(made, start, release, cell)
    return made


def _step_down(made: NDArray[np.int64], start: int, release: Release, seconds: float) -> int:
    """Step one stretch down, in place, from its first cell of so many ``seconds``; the cell behind its last.

    The first step comes with the fall, each further one when the wait after the one before is over.
    """
    before = highest = int(made[start])
    wait, by, moved = _pace(release, highest, seconds), step_down(release, highest), start
    for cell, level in enumerate(made[start + 1 :].tolist(), start + 1):
        if level > highest:
            highest, wait, by = level, _pace(release, level, seconds), step_down(release, level)
        if level >= before:
            moved = cell if level > before else moved
            stepped = level
        elif cell - moved >= wait:
            stepped, moved = max(level, before - by), cell
        else:
            stepped = before
        if stepped <= 0:
            return cell
        made[cell] = before = stepped
    return len(made)


def _pace(release: Release, highest: int, seconds: float) -> int:
    """Cells from one step down to the next."""
    return math.ceil(pause(release, highest) / seconds - 1e-9)


def _runs(values: NDArray[np.int64]) -> Iterable[tuple[int, int, int]]:
    """(start, end, value) of each run of equal values above 0."""
    edges = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1, [len(values)]))
    for start, end in pairwise(edges):
        if values[start] > 0:
            yield int(start), int(end), int(values[start])
