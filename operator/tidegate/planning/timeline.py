"""One target over time: which need is due when, and what the next write is.

A need in cell *c* is due at ``c x cell - lead(c)``, earlier by what the stages behind it take to settle. A level is
what the largest due need asks, held for the policy's hold after each fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.capacity import Units
from tidegate.planning.leadtime import ALONG, Lag, Start, one_by_one
from tidegate.planning.model import STAGES, Policy, TargetSpec


def stage_shift(policy: Policy, target: TargetSpec) -> float:
    """Seconds by which a target goes before (and comes down after) the stages that stand in front of it."""
    rank = STAGES.index(target.stage)
    later = dict.fromkeys(STAGES[rank + 1 :], 0.0)
    for other in policy.targets:
        if other.stage in later:
            later[other.stage] = max(later[other.stage], other.settle)
    return sum(later.values())


class Shortage(NamedTuple):
    """A need that what is ready for it comes after."""

    short_at: float
    """When it begins."""
    ready_at: float


TOLERANCE = 1.0
"""Seconds below which nobody is late."""


@dataclass(frozen=True, slots=True)
class Row:
    """Units that start one after the other: how long a step takes depends on the level that it starts from."""

    queues: Lag
    """What is waited for in the shared queues alone."""
    levels: Units
    """The needs within the target's bounds."""
    each: float
    """Seconds that one unit takes."""
    here: int
    """The present column."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Need and lead of one target on the book's cells."""

    units: Units
    first: int
    """Cell number of column 0."""
    cell: float
    lag: Lag
    """What is waited for in the shared queues, per column."""
    fixed_lead: float
    """Reaction, fail-over and start time."""
    machine_lead: float
    machine_above: int
    """Needs above this many units wait for machines."""
    shift: float
    hold: float
    longest_lead: float
    """Upper bound of all leads, the shift included."""
    row: Row | None = None
    """None: units start together."""

    def column(self, instant: float) -> int:
        """Column of an instant, kept inside."""
        column = math.floor(instant / self.cell) - self.first
        return 0 if column < 0 else column if column < len(self.units) else len(self.units) - 1

    def placing(self, now: float, level: int) -> float:
        """Seconds that a lead time holds, at most, until units of a level that was written are on their machines."""
        columns = slice(self.column(now), self.column(now + self.longest_lead) + 1)
        return float(self.lag.total[columns].max()) + (self.machine_lead if level > self.machine_above else 0.0)

    def due_times(self, low: int, high: int) -> NDArray[np.float64]:
        """When the needs of columns ``[low, high)`` must be written."""
        due: NDArray[np.float64] = self.lag.latest[low:high] - (self.fixed_lead + self.shift)
        if self.machine_lead > 0:
            due -= np.where(self.units[low:high] > self.machine_above, self.machine_lead, 0.0)
        return due

    def need_at(self, now: float) -> int:
        """Need of the current cell."""
        return int(self.units[self.column(now)])

    def due_at(self, now: float, *, ahead: float = 0.0) -> int:
        """Largest need that is held, present, or due before ``now + ahead``."""
        here = self.column(now)
        low = self.column(now - self.hold - self.shift)
        most = int(self.units[low : here + 1].max())
        return max(most, self._largest_due(here + 1, len(self.units), now + ahead))

    def due_closely(self, now: float, level: int) -> int:
        """``due_at`` of a target at a level, with the needs that follow the first one above it within a start time, and
        no more than ``ALONG``: the queue of pods counts on no more (``creation_lag``). Whether it is asked some seconds
        sooner or later does not matter.
        """
        here = self.column(now)
        first = self._first_above(level, here, len(self.units))
        end = here if first is None else first + 1 + math.floor(min(self.fixed_lead, ALONG) / self.cell)
        return max(self.due_at(now), int(self.units[here:end].max(initial=0)))

    def due_from(self, now: float, level: int) -> int:
        """``due_at`` for a target that stands at a level. A need above that is due by the units that are missing then;
        one that is due only because the row began lower keeps the level.
        """
        due = self.due_at(now)
        if self.row is None or due <= level:
            return due
        return max(self.above(level).due_at(now), level)

    def above(self, level: int) -> Timeline:
        """The same for steps up from a level that was written: of a row, its units have begun before."""
        if self.row is None:
            return self
        row, starts = self.row, (np.arange(len(self.units), dtype=np.float64) + self.first) * self.cell
        lag = one_by_one(row.queues, row.levels, starts, rest=level, each=row.each, here=row.here)
        return replace(self, lag=lag, longest_lead=self.longest_lead - self.lag.longest + lag.longest)

    def keeps(self, now: float, due: int) -> float:
        """When the need lies that makes ``due_at(now)`` what it is: now, else the last that is held, else the first
        that is ahead.
        """
        here, low = self.column(now), self.column(now - self.hold - self.shift)
        past = np.flatnonzero(self.units[low : here + 1] >= due)
        if len(past) and low + int(past[-1]) == here:
            return now
        ahead = 0 if len(past) else int((self.units[here + 1 :] >= due).argmax())
        column = low + int(past[-1]) if len(past) else here + 1 + ahead
        return (column + self.first) * self.cell

    def around(self, now: float, since: float, until: float) -> tuple[int, int]:
        """(largest need from ``since`` to now, largest need after that until ``until``)."""
        here = self.column(now)
        coming = self.units[here + 1 : self.column(until) + 1]
        past = self.units[min(self.column(since), here) : here + 1]
        return int(past.max()), int(coming.max()) if len(coming) else 0

    def next_rise(self, now: float, level: int, until: float) -> tuple[float, int] | None:
        """(when, need) of the first write upwards from a level."""
        low, high = self.column(now) + 1, self.column(until) + 1
        first = self._first_above(level, low, high)
        if first is None:
            return None
        when, most = self._due(first), int(self.units[first])
        if self.machine_lead > 0 and most <= self.machine_above:
            later = self._first_above(self.machine_above, first, high)
            if later is not None and self._due(later) < when:
                when, most = self._due(later), int(self.units[later])
        return when, max(most, self._largest_due(low, high, when))

    def must_by(self, now: float, level: int, *, reserve: float) -> float:
        """When a level must be raised at the latest so that nothing is late; infinite when no need is above it."""
        first = self._first_above(level, self.column(now), len(self.units))
        return math.inf if first is None else self._due(first) + reserve + float(self.lag.writing[first])

    def _due(self, column: int) -> float:
        machines = self.machine_lead if self.units[column] > self.machine_above else 0.0
        return float(self.lag.latest[column]) - (self.fixed_lead + self.shift) - machines

    def _first_above(self, level: int, low: int, high: int) -> int | None:
        """The first of the columns ``[low, high)`` that needs more than a level."""
        above = self.units[low:high] > level
        at = int(above.argmax()) if len(above) else 0
        return low + at if len(above) and above[at] else None

    def _largest_due(self, low: int, high: int, by: float) -> int:
        """Largest need of the columns ``[low, high)`` that must be written by an instant; 0 without one.

        Due times never fall from one column to the next, but for machines: two prefixes of the columns are looked at.
        """
        end = low + self._count_due(low, high, by)
        most = int(self.units[low:end].max()) if end > low else 0
        if self.machine_lead > 0:
            later = low + self._count_due(low, high, by + self.machine_lead)
            on_machines = int(self.units[end:later].max()) if later > end else 0
            if on_machines > self.machine_above:
                return max(most, on_machines)
        return most

    def _count_due(self, low: int, high: int, by: float) -> int:
        """How many of the columns ``[low, high)`` must be written by an instant, machines left aside."""
        return int(self.lag.latest[low:high].searchsorted(by + self.fixed_lead + self.shift + 1e-6, side="right"))

    def next_fall(self, now: float, level: int) -> float | None:
        """When the hold of what keeps a level ends: the first instant at which a smaller need is the largest due. None
        when nothing keeps it, or what does goes on for longer than is known.
        """
        low = self.column(now - self.hold - self.shift)
        kept = low + np.flatnonzero(self.units[low:] >= level)
        if not len(kept) or kept[0] > self.column(now + self.longest_lead):
            return None
        falls = (kept + 1 + self.first) * self.cell + self.hold + self.shift
        due = self.due_times(low, len(self.units))[kept - low]
        free = np.flatnonzero(due[1:] > falls[:-1])
        if len(free):
            return float(falls[free[0]])
        return float(falls[-1]) if kept[-1] < len(self.units) - 1 else None

    def end_of_need(self, now: float, above: int, until: float) -> float | None:
        """When the current (or next) stretch of need above a level ends; None without one."""
        low, high = self.column(now), self.column(until) + 1
        where = np.flatnonzero(self.units[low:high] > above)
        if not len(where):
            return None
        last = int(where[-1])
        if last - int(where[0]) >= len(where):  # it has gaps
            gap = max(1, math.ceil((self.hold + self.longest_lead) / self.cell))
            breaks = np.flatnonzero(np.diff(where) > gap)
            last = int(where[breaks[0]]) if len(breaks) else last
        return float((low + last + 1 + self.first) * self.cell)

    def lateness(
        self, now: float, *, written_at: float, ready: int, level: int, reserve: float
    ) -> tuple[Shortage, ...]:
        """What is needed before it is ready: the first such need and the last one; empty when all comes in time.

        A need in reach of ``level`` is met in time when the level was written no later than the need was due, plus the
        ``reserve`` that its lead time kept for a slow write and its place in the queue of writes. What should be ready
        and is not takes its time anew.
        """
        low, high = self.column(now), self.column(now + self.longest_lead) + 1
        units = self.units[low:high]
        starts = (np.arange(low, high) + self.first) * self.cell
        due = self.due_times(low, high)
        reserves = reserve + self.shift + self.lag.writing[low:high]
        late = written_at - due - reserves
        short = (units > ready) & (units <= level)
        if short[0] and late[0] <= TOLERANCE:  # it should have been ready by now
            late[0] = starts[0] - due[0] - reserves[0]
            where = np.flatnonzero(short & ((late > TOLERANCE) | (starts == starts[0])))
        else:
            where = np.flatnonzero(short & (late > TOLERANCE))
        return tuple(Shortage(float(starts[at]), float(starts[at] + late[at])) for at in _ends(where))

    def supplied(self, since: float, *, above: int, at: float, reserve: float) -> tuple[float, float]:
        """``lateness`` of units whose machines come at an instant: (when the first need from ``since`` on that is above
        so many units begins, when it will be ready). The second is the smaller one where all comes in time. Without
        such a need (of what is only measured, or held) it counts from ``since``.
        """
        first = self._first_above(above, self.column(since), len(self.units))
        if first is None:
            return since, at + self.fixed_lead - reserve
        begin = (first + self.first) * self.cell
        return begin, begin + at - self._due(first) - (reserve + self.shift + float(self.lag.writing[first]))

    def in_turn(self, now: float, *, begun: float, ready: int, level: int, each: float) -> tuple[Shortage, ...]:
        """``lateness`` of units that start one after the other, ``each`` in so many seconds, the next since ``begun``:
        the pace itself tells when the last one will be ready.
        """
        last = begun + (level - ready) * each
        low, high = self.column(now), self.column(max(last, now)) + 1
        units, starts = self.units[low:high], (np.arange(low, high) + self.first) * self.cell
        wanted = np.minimum(units, level)
        where = np.flatnonzero(
            (wanted > ready) & (begun + (wanted - ready) * each > np.maximum(starts, now) + TOLERANCE)
        )
        return tuple(Shortage(float(starts[at]), last) for at in _ends(where))

    def ended_before(self, now: float) -> float | None:
        """When the need last ended; None while there is one."""
        here = self.column(now)
        if self.units[here] > 0:
            return None
        past = np.flatnonzero(self.units[:here] > 0)
        return float((int(past[-1]) + 1 + self.first) * self.cell) if len(past) else -math.inf


def _ends(where: NDArray[np.intp]) -> list[int]:
    """The first and the last of some columns; one where they are the same, none where there are none."""
    return sorted({int(where[0]), int(where[-1])}) if len(where) else []


def timeline(
    *,
    policy: Policy,
    units: Units,
    first: int,
    cell: float,
    lag: Lag,
    start: Start,
    fixed: float,
    machine_above: int,
    shift: float,
    row: Row | None = None,
    rest: int = 0,
) -> Timeline:
    """Put a target's need and lead together; ``fixed`` is reaction and fail-over, ``shift`` its stage's.

    Of a row all leads count from ``rest``, the lowest level that it may fall to: what keeps a level from falling must
    know the whole way back. ``above`` tells them from a level.
    """
    fixed_lead = fixed + start.seconds
    made = Timeline(
        units=units,
        first=first,
        cell=cell,
        lag=lag,
        fixed_lead=fixed_lead,
        machine_lead=start.machine_seconds,
        machine_above=machine_above,
        shift=shift,
        hold=policy.release.hold,
        longest_lead=fixed_lead + start.machine_seconds + lag.longest + shift,
        row=row,
    )
    return made.above(rest)
