"""The demand book: all announced demand, summed per (policy, signal) on one grid.

Three sums per cell: the medians, the standard deviations, and their squares. A quantile of the total with one stated
correlation between the events' errors follows from them (``quantile``). Every addend is exact in float64 (see
``shape``), so adding and removing an event leaves no trace and order cannot matter.

The events inside (``entries``) are the truth, the sums follow from them. An announcement is either fully in or fully
out, whatever raises on the way: one that cannot be summed is left out with the reason, and sums of which something may
be half added are summed anew before anybody reads them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.hosts import Opening
from tidegate.planning.isolation import Failure, NotPlannableError, attempt
from tidegate.planning.model import Announcement, Key, Occurrence
from tidegate.planning.shape import Contribution, contributions, exact, reach

_NORMAL = NormalDist()

WATCH = 3600.0
"""Seconds before T-0 from which an event is near: a verdict is given, in time to act."""
SHIFT = 14_400.0
"""Seconds of one drawer in which events are kept by time."""

SLICE = 250
"""Announcements that are compared before ``sync`` yields: about as much work as deciding a target."""
BOOKING = 50
"""How many comparisons booking one announcement costs."""

Row = tuple[Key, str]

MOST_ROWS = 512
"""Sums that the events of one namespace may ask for: a policy and a signal each. Judgment: sixteen policies of 32
signals; a sum takes 200 KB, so that one tenant takes 100 MB of everybody's memory at the most."""
RETRIED = 8
"""Announcements for which there was no room that one ``sync`` tries again when there is some."""

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
    """Of the parts that reach into the book."""
    every: frozenset[str]
    """All signals that the occurrences which reach into the book have any of, there or not."""
    shifts: frozenset[int]
    """Numbers of the shifts that an occurrence, from an hour before T-0 to its end, touches."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An announcement that cannot be summed."""

    announcement: Announcement
    occurrences: tuple[Occurrence, ...]
    """Its occurrences, as far as they can be read."""
    message: str
    final: bool
    """It fails by what it says, and will not be tried again until it says something else."""


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
    left_out: dict[Key, LeftOut] = field(default_factory=dict)
    """Announcements that could not be summed."""
    revision: dict[Key, int] = field(default_factory=dict)
    """Counts the changes of each policy's events, and of what was left out of them."""
    _counts: dict[str, int] = field(default_factory=dict)
    """Rows by namespace."""
    _crowded: dict[str, dict[Key, None]] = field(default_factory=dict)
    """Announcements that are left out for want of room, by namespace, the longest first."""
    _roomy: set[str] = field(default_factory=set)
    """Namespaces that have got room since."""
    _versions: int = 0
    _rough: dict[Row, str] = field(default_factory=dict)
    """Rows to sum anew, with what went wrong when that was last tried."""

    def sync(self, announcements: Mapping[Key, Announcement], changed: frozenset[Key] | None) -> Iterator[None]:
        """Bring the book up to the announcements; ``changed`` None compares them all.

        Yields now and then. Whoever stops in between has to go on with the same changes, and more, before the book is
        read. What was left out for a reason that may pass is tried again.
        """
        keys: Iterator[Key]
        if changed is None:
            gone = [key for known in (self.entries, self.left_out) for key in known if key not in announcements]
            keys = chain(gone, _by_namespace(announcements))  # what goes makes room for what comes
        else:
            again = changed | {key for key, one in self.left_out.items() if not one.final}
            keys = iter(sorted(again, key=lambda key: key in announcements))
        work = 0
        for key in chain(keys, self._with_room()):
            new, old = announcements.get(key), self.entries.get(key)
            work += 1
            if old is None or (old.announcement is not new and old.announcement != new):
                self._replace(key, old, new)
                work += BOOKING
            if work >= SLICE:
                work = 0
                yield
        yield from self._resum()

    def row(self, policy: Key, signal: str) -> Sums | None:
        """Sums of a signal, or None when no event has any of it."""
        if (policy, signal) in self._rough:
            raise NotPlannableError(f"{signal} could not be summed: {self._rough[policy, signal]}")
        found = self.rows.get((policy, signal))
        return found if found is not None and found.events else None

    def entries_of(self, policy: Key) -> Iterator[Entry]:
        """Events booked on a policy, by key."""
        return (self.entries[key] for key in sorted(self.by_policy.get(policy, ())))

    def starts(self, policy: Key, since: float, until: float) -> tuple[float, ...]:
        """T-0 of a policy's occurrences between two instants, in order."""
        return tuple(
            sorted(
                start
                for entry in self._between(policy, since, until)
                for start, _ in entry.announcement.occurrences
                if since <= start <= until
            )
        )

    def openings(self, policy: Key, signal: str, since: float, until: float) -> tuple[Opening, ...]:
        """T-0 of a policy's occurrences between two instants that bring a signal, in order, and who announces them."""
        found: list[Opening] = []
        for entry in self._between(policy, since, until):
            event, heights = entry.announcement, [p.scale * p.most for p in entry.parts if p.signal == signal]
            if heights:
                found += [
                    Opening(start, start + length, event.host, event.tier, max(heights), event.key)
                    for start, length in event.occurrences
                    if since <= start <= until
                ]
        return tuple(sorted(found))

    def jump(self, signal: str, opening: Opening) -> float:
        """By how much an opening's announced median rises at its T-0, from one cell to the next; 0 where it ramps."""
        entry, cell = self.entries.get(opening.event), self.index(opening.start) + self.first
        parts = entry.parts if entry is not None else ()
        own = [one for one in parts if one.signal == signal and one.origin == cell]
        return max(0.0, sum(one.value_at(cell) - one.value_at(cell - 1) for one in own))

    def brought(
        self, signal: str, openings: Iterable[Opening], windows: Sequence[tuple[float, float]]
    ) -> tuple[float, ...]:
        """Mean of what some openings alone are announced to bring, in each of some windows of time."""
        cells = [range(self.index(a) + self.first, self.index(max(a, b - 1e-3)) + self.first + 1) for a, b in windows]
        sums = [0.0] * len(windows)
        for opening in openings:
            entry, origin = self.entries.get(opening.event), self.index(opening.start) + self.first
            for one in entry.parts if entry is not None else ():
                if one.signal == signal and one.origin == origin:
                    for place, span in enumerate(cells):
                        sums[place] += sum(map(one.value_at, span)) / len(span)
        return tuple(sums)

    def _between(self, policy: Key, since: float, until: float) -> Iterator[Entry]:
        """Events that an occurrence may have between two instants."""
        shifts = range(int(since // SHIFT), int((until + WATCH) // SHIFT) + 1)
        keys = {key for shift in shifts for key in self.near.get((policy, shift), ())}
        return (self.entries[key] for key in keys)

    def announced(self, policy: Key, signal: str, since: float, until: float) -> float:
        """Mean of the announced medians of a signal between two instants; 0 where nothing is announced."""
        medians = self._medians(policy, signal, since, until)
        return float(np.add.reduce(medians)) / len(medians) if medians is not None else 0.0

    def most_announced(self, policy: Key, signal: str, since: float, until: float) -> float:
        """The largest of them."""
        medians = self._medians(policy, signal, since, until)
        return float(medians.max()) if medians is not None else 0.0

    def _medians(self, policy: Key, signal: str, since: float, until: float) -> NDArray[np.float64] | None:
        sums = self.rows.get((policy, signal))
        if sums is None or not sums.events or (policy, signal) in self._rough:
            return None
        low, high = (min(max(self.index(at), 0), self.size - 1) for at in (since, max(since, until - 1e-3)))
        return sums.cells[0, low : high + 1]

    def index(self, instant: float) -> int:
        """Column of an instant; may lie outside."""
        return math.floor(instant / self.cell) - self.first

    def _replace(self, key: Key, old: Entry | None, new: Announcement | None) -> None:
        """Take one announcement out and its new form in; one that cannot be summed is left out."""
        refused = self.left_out.get(key)
        if refused is not None:
            if refused.final and (refused.announcement is new or refused.announcement == new):
                return
            del self.left_out[key]
            self._crowded.get(key.namespace, {}).pop(key, None)
            self._moved(refused.announcement)
        if old is not None:
            self._take_out(key, old)
        if new is None:
            return
        entry = attempt(lambda: self._entry(new))
        failure = entry if isinstance(entry, Failure) else self._without_room(entry) or self._put_in(key, entry)
        if failure is not None:
            self.left_out[key] = LeftOut(new, _occurrences(new), failure.message, failure.final)
            self._moved(new)

    def _without_room(self, entry: Entry) -> Failure | None:
        """Why an event asks for more sums than its namespace may have."""
        event = entry.announcement
        policy, there = Key(event.key.namespace, event.policy), self._counts.get(event.key.namespace, 0)
        more = sum((policy, signal) not in self.rows for signal in entry.signals)
        if there + more <= MOST_ROWS or not more:
            return None
        self._crowded.setdefault(policy.namespace, {})[event.key] = None
        wanted = f"at most {MOST_ROWS} signals, summed over its policies, at once"
        return Failure(f"namespace {policy.namespace} asks for {there + more}, and may ask for {wanted}", final=True)

    def _with_room(self) -> Iterator[Key]:
        """Announcements to try again, some of those for which there is room by now; asked when all else is booked."""
        for namespace in sorted(self._roomy):
            for key in list(self._crowded.get(namespace, {}))[:RETRIED]:
                self.left_out[key] = replace(self.left_out[key], final=False)
                yield key
        self._roomy = {namespace for namespace in self._roomy if self._counts.get(namespace, 0) < MOST_ROWS}
        self._roomy &= {namespace for namespace, waiting in self._crowded.items() if waiting}

    def _row(self, policy: Key, signal: str) -> Sums:
        """The sums of a signal, to add to."""
        sums = self.rows.get((policy, signal))
        if sums is None:
            sums = self.rows[policy, signal] = Sums(np.zeros((3, self.size)))
            self._counts[policy.namespace] = self._counts.get(policy.namespace, 0) + 1
        return sums

    def _change(self, policy: Key, signal: str, sums: Sums) -> None:
        """Number the change of a row; one of which nothing is left goes."""
        self._versions += 1
        sums.version = self._versions
        if sums.events == 0 and (policy, signal) not in self._rough:
            del self.rows[policy, signal]
            self._counts[policy.namespace] -= 1
            self._roomy.add(policy.namespace)

    def _entry(self, event: Announcement) -> Entry:
        last = (self.first + self.size) * self.cell
        begin = self.first * self.cell
        parts: list[Contribution] = []
        every: set[str] = set()
        for occurrence in event.occurrences:
            before, after = reach(event.moments, event.derived, occurrence.duration)
            if occurrence.start - before < last and occurrence.start + after > begin:
                made = contributions(event, occurrence, cell=self.cell)
                every.update(c.signal for c in made)
                parts.extend(c for c in made if c.first < self.first + self.size and c.end > self.first)
        if not parts and event.occurrences:  # whether it can be summed does not depend on how far the book reaches
            contributions(event, event.occurrences[0], cell=self.cell)
        signals = _shared(frozenset([part.signal for part in parts]))
        return Entry(event, tuple(parts), signals, _shared(frozenset(every)), _shifts(event))

    def _put_in(self, key: Key, entry: Entry) -> Failure | None:
        policy = self._moved(entry.announcement)
        if (failure := self._add_all(policy, entry, +1)) is not None:
            return failure
        self.entries[key] = entry
        self.by_policy[policy].add(key)
        for shift in entry.shifts:
            self.near[policy, shift].add(key)
        return None

    def _take_out(self, key: Key, entry: Entry) -> None:
        policy = self._moved(entry.announcement)
        del self.entries[key]
        self.by_policy[policy].discard(key)
        for shift in entry.shifts:
            self.near[policy, shift].discard(key)
        self._add_all(policy, entry, -1)

    def _add_all(self, policy: Key, entry: Entry, sign: int) -> Failure | None:
        """Add an event to the sums, or take it out. When that raises, all its sums are to be made anew."""

        def add() -> None:
            for part in entry.parts:
                self._add(policy, part, entry.announcement.spread, sign)

        failure = attempt(add)
        if failure is not None:
            self._rough.update({(policy, signal): failure.message for signal in entry.signals})
        return failure

    def _moved(self, event: Announcement) -> Key:
        """Count a change of a policy's events; returns the policy."""
        policy = Key(event.key.namespace, event.policy)
        self.revision[policy] = self.revision.get(policy, 0) + 1
        return policy

    def _add(self, policy: Key, part: Contribution, spread: float, sign: int) -> None:
        sums = self._row(policy, part.signal)
        low, high = max(part.first, self.first), min(part.end, self.first + self.size)
        unit = part.cells(low, high)
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
        sums.events += sign
        if sums.filled > 1.0:
            self._rough[policy, part.signal] = "it is being summed anew"
        self._change(policy, part.signal, sums)

    def _resum(self) -> Iterator[None]:
        """Sum anew, in the order of their keys, what may have left the range in which sums are exact, and what may be
        half added. What raises stays to be summed, and nobody is told its sums.
        """
        rough, self._rough = self._rough, {}
        for row in rough:
            failure = attempt(partial(self._sum, *row))
            if failure is not None:
                self._rough[row] = failure.message
            else:
                self._rough.pop(row, None)
            self.revision[row[0]] = self.revision.get(row[0], 0) + 1
            yield

    def _sum(self, policy: Key, signal: str) -> None:
        sums = self._row(policy, signal)
        sums.cells[:] = 0.0
        sums.events, sums.filled = 0, 0.0
        for entry in self.entries_of(policy):
            for part in entry.parts:
                if part.signal == signal:
                    self._add(policy, part, entry.announcement.spread, +1)
        if sums.events == 0:
            self._change(policy, signal, sums)


def book_of(announcements: Mapping[Key, Announcement], *, cell: float, since: float, until: float) -> Book:
    """A book of some announcements, between two instants."""
    first = math.floor(since / cell)
    book = Book(cell, first, math.floor(until / cell) - first + 1)
    for _ in book.sync(announcements, None):
        pass
    return book


@lru_cache(maxsize=1024)
def _shared(signals: frozenset[str]) -> frozenset[str]:
    """The same set for all events of the same signals: there are tens of thousands of these."""
    return signals


def _exact_square(value: float) -> float:
    """The next number up that is a multiple of 2^-4 and has at most 24 significant bits."""
    if value < 2.0**20:
        return math.ceil(value * 16.0) / 16.0
    scale = 2.0 ** (24 - math.frexp(value)[1])
    return math.ceil(value * scale) / scale


def _by_namespace(keys: Iterable[Key]) -> Iterator[Key]:
    """Keys with those of one policy close together, so that their sums stay in the processor's cache.

    Sorting tens of thousands of keys would take ten times as long.
    """
    found: dict[str, list[Key]] = {}
    for key in keys:
        found.setdefault(key.namespace, []).append(key)
    return chain.from_iterable(found.values())


def _occurrences(event: Announcement) -> tuple[Occurrence, ...]:
    """The occurrences of an announcement that cannot be summed, which may be why it cannot."""
    try:
        return tuple([Occurrence(float(start), float(duration)) for start, duration in event.occurrences])
    except (TypeError, ValueError):
        return ()


def _shifts(event: Announcement) -> frozenset[int]:
    shifts: set[int] = set()
    for start, duration in event.occurrences:
        shifts.update(range(int((start - WATCH) // SHIFT), int((start + duration) // SHIFT) + 1))
    return frozenset(shifts)


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
