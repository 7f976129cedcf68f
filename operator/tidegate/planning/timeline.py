"""One target over time: which need is due when, and what the next write is.

A need in cell *c* is due at ``c x cell - lead(c)``, earlier by what the stages behind it take to settle. A level is
what the largest due need asks, held for the policy's hold after each fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.capacity import Units
from tidegate.planning.leadtime import Start
from tidegate.planning.model import STAGES, Policy, TargetSpec


def stage_shift(policy: Policy, target: TargetSpec) -> float:
    """Seconds by which a target goes before (and comes down after) the stages that stand in front of it."""
    rank = STAGES.index(target.stage)
    later = dict.fromkeys(STAGES[rank + 1 :], 0.0)
    for other in policy.targets:
        if other.stage in later:
            later[other.stage] = max(later[other.stage], other.settle)
    return sum(later.values())


TOLERANCE = 1.0
"""Seconds below which nobody is late."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Need and lead of one target on the book's cells."""

    units: Units
    first: int
    """Cell number of column 0."""
    cell: float
    queue: NDArray[np.float64]
    """Seconds of creation lag per column."""
    fixed_lead: float
    """Reaction, fail-over and start time."""
    machine_lead: float
    machine_above: int
    """Needs above this many units wait for machines."""
    shift: float
    hold: float

    def column(self, instant: float) -> int:
        """Column of an instant, kept inside."""
        return min(max(math.floor(instant / self.cell) - self.first, 0), len(self.units) - 1)

    @property
    def longest_lead(self) -> float:
        """Upper bound of all leads."""
        queue = float(self.queue.max()) if len(self.queue) else 0.0
        return self.fixed_lead + self.machine_lead + queue + self.shift

    def placing(self, now: float, level: int) -> float:
        """Seconds that a lead time holds, at most, until units of a level that was written are on their machines."""
        columns = slice(self.column(now), self.column(now + self.longest_lead) + 1)
        return float(self.queue[columns].max()) + (self.machine_lead if level > self.machine_above else 0.0)

    def due_times(self, low: int, high: int) -> NDArray[np.float64]:
        """When the needs of columns ``[low, high)`` must be written."""
        starts = (np.arange(low, high) + self.first) * self.cell
        due: NDArray[np.float64] = starts - self.fixed_lead - self.shift - self.queue[low:high]
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
        high = min(self.column(now + ahead + self.longest_lead) + 1, len(self.units))
        most = int(self.units[low : here + 1].max())
        if high > here + 1:
            coming = self.units[here + 1 : high]
            due = coming[self.due_times(here + 1, high) <= now + ahead + 1e-6]
            if len(due):
                most = max(most, int(due.max()))
        return most

    def next_rise(self, now: float, level: int, until: float) -> tuple[float, int] | None:
        """(when, need) of the first write upwards from a level."""
        low, high = self.column(now) + 1, self.column(until) + 1
        above = np.flatnonzero(self.units[low:high] > level)
        if not len(above):
            return None
        due = self.due_times(low, high)[above]
        when = float(due.min())
        return when, int(self.units[low:high][above][due <= when + 1e-6].max())

    def next_fall(self, now: float, level: int) -> float | None:
        """When the hold of what keeps a level ends: the first instant at which a smaller need is the largest due."""
        low = self.column(now - self.hold - self.shift)
        kept = np.flatnonzero(self.units[low : self.column(now + self.longest_lead) + 1] >= level)
        if not len(kept):
            return None
        return float((low + int(kept[-1]) + 1 + self.first) * self.cell + self.hold + self.shift)

    def end_of_need(self, now: float, above: int, until: float) -> float | None:
        """When the current (or next) stretch of need above a level ends; None without one."""
        low, high = self.column(now), self.column(until) + 1
        busy = self.units[low:high] > above
        if not busy.any():
            return None
        begin = int(busy.argmax())
        gap = max(1, math.ceil((self.hold + self.longest_lead) / self.cell))
        where = np.flatnonzero(busy[begin:]) + begin
        breaks = np.flatnonzero(np.diff(where) > gap)
        last = int(where[breaks[0]]) if len(breaks) else int(where[-1])
        return float((low + last + 1 + self.first) * self.cell)

    def enters_at(self, until: float, horizon: float) -> float:
        """When the first need behind the horizon comes into it; infinity when the book knows of none."""
        high = self.column(until) + 1
        beyond = self.units[high:] > 0
        return float((high + int(beyond.argmax()) + self.first) * self.cell - horizon) if beyond.any() else math.inf

    def lateness(
        self, now: float, *, written_at: float, ready: int, level: int, reserve: float
    ) -> tuple[float, float] | None:
        """(first instant at which more is needed than is ready, when it will be ready); None when it comes in time.

        A need in reach of ``level`` is met in time when the level was written no later than the need was due, plus the
        ``reserve`` that its lead time kept for a slow write. What should be ready and is not takes its time anew.
        """
        low, high = self.column(now), self.column(now + self.longest_lead) + 1
        units = self.units[low:high]
        starts = (np.arange(low, high) + self.first) * self.cell
        due = self.due_times(low, high)
        late = written_at - due - reserve - self.shift
        short = (units > ready) & (units <= level)
        if short[0] and late[0] <= TOLERANCE:  # it should have been ready by now
            return float(starts[0]), float(starts[0] + (starts[0] - due[0] - reserve - self.shift))
        where = np.flatnonzero(short & (late > TOLERANCE))
        return (float(starts[where[0]]), float(starts[where[0]] + late[where[0]])) if len(where) else None

    def ended_before(self, now: float) -> float | None:
        """When the need last ended; None while there is one."""
        here = self.column(now)
        if self.units[here] > 0:
            return None
        past = np.flatnonzero(self.units[:here] > 0)
        return float((int(past[-1]) + 1 + self.first) * self.cell) if len(past) else -math.inf


def timeline(
    *,
    policy: Policy,
    target: TargetSpec,
    units: Units,
    first: int,
    cell: float,
    queue: NDArray[np.float64],
    start: Start,
    fixed: float,
    machine_above: int,
) -> Timeline:
    """Put a target's need and lead together; ``fixed`` is reaction and fail-over."""
    return Timeline(
        units=units,
        first=first,
        cell=cell,
        queue=queue,
        fixed_lead=fixed + start.seconds,
        machine_lead=start.machine_seconds,
        machine_above=machine_above,
        shift=stage_shift(policy, target),
        hold=policy.release.hold,
    )
