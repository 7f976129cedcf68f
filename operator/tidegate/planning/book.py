"""The demand book: all announced demand, summed per (policy, signal) on one grid.

Three sums per cell: the medians, the standard deviations, and their squares. A quantile of the total with one stated
correlation between the events' errors follows from them (``quantile``). Every addend is exact in float64 (see
``shape``), so adding and removing an event leaves no trace and order cannot matter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.model import Announcement, Key
from tidegate.planning.shape import Contribution, contributions, exact, reach

_NORMAL = NormalDist()

WATCH = 3600.0
"""Seconds before T-0 from which an event is near: a verdict is given, in time to act."""
SHIFT = 14_400.0
"""Seconds of one drawer in which events are kept by time."""

Row = tuple[Key, str]

EXACT = 2.0**33
"""Sums of medians and deviations below this are exact: addends are multiples of 2^-20, a float64 has 53 bits."""
EXACT_SQUARES = 2.0**39
"""The same for variances, whose addends are multiples of 2^-14. What may grow larger (events of millions of viewers and
a wide spread) is summed anew in a fixed order at each change instead."""


@dataclass(slots=True)
class Sums:
    """Sums of one (policy, signal): rows are medians, standard deviations, variances; columns are cells."""

    cells: NDArray[np.float64]
    version: int = 0
    filled: float = 0.0
    """Upper bound of the share of the exact range that any cell ever used; it does not fall with what is taken out."""
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
    by_policy: defaultdict[Key, set[Key]] = field(default_factory=lambda: defaultdict(set))
    near: defaultdict[tuple[Key, int], set[Key]] = field(default_factory=lambda: defaultdict(set))
    """Events by (policy, number of the shift) that an occurrence, from an hour before T-0 to its end, touches."""
    _rough: set[Row] = field(default_factory=set)
    revision: dict[Key, int] = field(default_factory=dict)
    """Counts the changes of each policy's events."""

    def sync(self, announcements: Mapping[Key, Announcement], changed: frozenset[Key] | None) -> None:
        """Bring the book up to the announcements; ``changed`` None compares them all."""
        # In order, so that events of one policy come together: their sums then stay in the processor's cache.
        keys = changed if changed is not None else sorted(announcements.keys() | self.entries.keys())
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
        if self._rough:
            self._resum()

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
            before, after = reach(event.moments, event.derived, occurrence.duration)
            if occurrence.start - before < last and occurrence.start + after > begin:
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
        members = [self.by_policy[policy]]
        members += [self.near[policy, shift] for shift in _shifts(event)]
        if sign > 0:
            self.entries[key] = entry
        else:
            del self.entries[key]
        for group in members:
            group.add(key) if sign > 0 else group.discard(key)
        for part in entry.parts:
            self._add(policy, part, event.spread, sign)

    def _add(self, policy: Key, part: Contribution, spread: float, sign: int) -> None:
        sums = self.rows.get((policy, part.signal))
        if sums is None:
            sums = self.rows[policy, part.signal] = Sums(np.zeros((3, self.size)))
        low, high = max(part.first, self.first), min(part.end, self.first + self.size)
        unit = part.unit[:, low - part.first : high - part.first]
        into = sums.cells[:, low - self.first : high - self.first]
        if spread:
            deviation = exact(part.scale * spread)
            variance = _exact_square(deviation * deviation)
            weights = np.array(((sign * part.scale,), (sign * deviation,), (sign * variance,)))
            into += weights * unit
            sums.filled += variance * part.most * part.most / EXACT_SQUARES
        else:
            into[0] += (sign * part.scale) * unit[0]
        sums.filled += part.scale * part.most / EXACT
        sums.version += 1
        sums.events += sign
        if sums.filled > 1.0:
            self._rough.add((policy, part.signal))

    def _resum(self) -> None:
        """Sum anew, in the order of their keys, what may have left the range in which sums are exact."""
        rough, self._rough = self._rough, set()
        for policy, signal in rough:
            sums = self.rows[policy, signal]
            sums.cells[:] = 0.0
            sums.events, sums.filled = 0, 0.0
            for entry in self.entries_of(policy):
                for part in entry.parts:
                    if part.signal == signal:
                        self._add(policy, part, entry.announcement.spread, +1)
        self._rough.clear()


def _exact_square(value: float) -> float:
    """The next number up that is a multiple of 2^-4 and has at most 24 significant bits."""
    if value < 2.0**20:
        return math.ceil(value * 16.0) / 16.0
    scale = 2.0 ** (24 - math.frexp(value)[1])
    return math.ceil(value * scale) / scale


def _shifts(event: Announcement) -> set[int]:
    shifts: set[int] = set()
    for start, duration in event.occurrences:
        shifts.update(range(int((start - WATCH) // SHIFT), int((start + duration) // SHIFT) + 1))
    return shifts


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
