"""The demand book: all announced demand, summed per (policy, signal) on one grid.

Three sums per cell: the medians, the standard deviations, and their squares. A quantile of the total with one stated
correlation between the events' errors follows from them (``quantile``). Every addend is exact in float64 (see
``shape``), so adding and removing an event leaves no trace and order cannot matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.model import Announcement, Key
from tidegate.planning.shape import Contribution, contributions, exact

_NORMAL = NormalDist()

WATCH = 3600.0
"""Seconds before T-0 from which an event is near: a verdict is given, in time to act."""

Row = tuple[Key, str]


@dataclass(slots=True)
class Sums:
    """Sums of one (policy, signal): rows are medians, standard deviations, variances; columns are cells."""

    cells: NDArray[np.float64]
    version: int = 0
    events: int = 0
    """Contributions inside; 0 means that the row is exactly zero."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as booked."""

    announcement: Announcement
    parts: tuple[Contribution, ...]
    signals: frozenset[str]


@dataclass(slots=True)
class Book:
    """Announced demand on cells ``[first, first + size)`` of ``cell`` seconds each."""

    cell: float
    first: int
    size: int
    rows: dict[Row, Sums] = field(default_factory=dict)
    entries: dict[Key, Entry] = field(default_factory=dict)
    by_policy: dict[Key, set[Key]] = field(default_factory=dict)
    near: dict[tuple[Key, int], set[Key]] = field(default_factory=dict)
    """Events by (policy, hour since the epoch) that an occurrence, from an hour before T-0 to its end, touches."""
    revision: dict[Key, int] = field(default_factory=dict)
    """Counts the changes of each policy's events."""

    def sync(self, announcements: Mapping[Key, Announcement], changed: frozenset[Key] | None) -> None:
        """Bring the book up to the announcements; ``changed`` None compares them all."""
        keys = changed if changed is not None else announcements.keys() | self.entries.keys()
        for key in keys:
            new, old = announcements.get(key), self.entries.get(key)
            if old is not None and (new is None or old.announcement is not new):
                if old.announcement == new:
                    continue
                self._book(key, old, -1)
            elif old is not None:
                continue
            if new is not None:
                self._book(key, self._entry(new), +1)

    def row(self, policy: Key, signal: str) -> Sums | None:
        """Sums of a signal, or None when no event has any of it."""
        found = self.rows.get((policy, signal))
        return found if found is not None and found.events else None

    def entries_of(self, policy: Key) -> Iterator[Entry]:
        """Events booked on a policy, by key."""
        return (self.entries[key] for key in sorted(self.by_policy.get(policy, ())))

    def index(self, instant: float) -> int:
        """Column of an instant; may lie outside."""
        return math.floor(instant / self.cell) - self.first

    def _entry(self, event: Announcement) -> Entry:
        last = (self.first + self.size) * self.cell
        begin = self.first * self.cell
        parts: list[Contribution] = []
        for occurrence in event.occurrences:
            if (
                occurrence.start - 86_400.0 * 2 < last
                and occurrence.start + 3 * occurrence.duration + 86_400.0 * 2 > begin
            ):
                parts.extend(
                    c
                    for c in contributions(event, occurrence, cell=self.cell)
                    if c.first < self.first + self.size and c.end > self.first
                )
        return Entry(event, tuple(parts), frozenset(part.signal for part in parts))

    def _book(self, key: Key, entry: Entry, sign: int) -> None:
        event = entry.announcement
        policy = Key(key.namespace, event.policy)
        self.revision[policy] = self.revision.get(policy, 0) + 1
        members = [self.by_policy.setdefault(policy, set())]
        members += [self.near.setdefault((policy, hour), set()) for hour in _hours(event)]
        if sign > 0:
            self.entries[key] = entry
        else:
            del self.entries[key]
        for group in members:
            group.add(key) if sign > 0 else group.discard(key)
        spread = exact(event.spread)
        for part in entry.parts:
            self._add(policy, part, spread, sign)

    def _add(self, policy: Key, part: Contribution, spread: float, sign: int) -> None:
        sums = self.rows.get((policy, part.signal))
        if sums is None:
            sums = self.rows[policy, part.signal] = Sums(np.zeros((3, self.size)))
        low, high = max(part.first, self.first), min(part.end, self.first + self.size)
        unit = part.unit[:, low - part.first : high - part.first]
        into = sums.cells[:, low - self.first : high - self.first]
        if spread:
            deviation = exact(part.scale * spread)
            weights = np.array(((sign * part.scale,), (sign * deviation,), (sign * exact(deviation * deviation),)))
            into += weights * unit
        else:
            into[0] += (sign * part.scale) * unit[0]
        sums.version += 1
        sums.events += sign


def _hours(event: Announcement) -> set[int]:
    return {
        hour
        for occurrence in event.occurrences
        for hour in range(
            int((occurrence.start - WATCH) // 3600.0), int((occurrence.start + occurrence.duration) // 3600.0) + 1
        )
    }


def quantile(sums: Sums, *, q: float, correlation: float, background: float) -> NDArray[np.float64]:
    """Demand per cell that is not exceeded with probability ``q``, background included.

    ``M + z sqrt((1 - rho) S2 + rho S1^2)``: independent errors cancel, common ones add.
    """
    median, deviation, variance = sums.cells
    total: NDArray[np.float64] = median + background
    z = _NORMAL.inv_cdf(q)
    if z > 0.0 and deviation.any():
        total = total + z * np.sqrt((1.0 - correlation) * variance + correlation * deviation * deviation)
    return total
