"""A LiveEvent after parsing: its announcement without the dates, and the dates as compactly as they can be kept.

There are tens of thousands of these in one process. An event without recurrence keeps its one Announcement and gives
out the same object each time, so that whatever is cached by it stays cached; a recurring one is expanded inside a
window only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tidegate.api.expansion import local_starts
from tidegate.api.recurrence import Rule
from tidegate.api.walltime import EARLIEST, LATEST, clock_note, to_instant, to_local, to_rfc3339
from tidegate.planning.model import Announcement, Key, Occurrence

_SEARCH_DAYS = (8, 40, 400, 9 * 366)
"""How far ahead the next occurrence is looked for: most come back within the week, 29 February takes eight years."""


@dataclass(frozen=True, slots=True)
class Series:
    """The occurrences of a recurring event, not expanded."""

    rule: Rule
    start: datetime
    """Naive local start of the first."""
    last: datetime | None
    """No local start is later; None without end. See ``expansion.last_start``."""
    zone: ZoneInfo
    duration: float
    skipped: frozenset[datetime]
    """Announced local starts that are excluded or changed."""
    changed: tuple[Occurrence, ...]
    """What became of the changed ones that still take place."""

    @property
    def longest(self) -> float:
        """Seconds of the longest occurrence, extensions included."""
        return max(self.duration, *(o.duration for o in self.changed)) if self.changed else self.duration

    def between(self, since: float, until: float) -> tuple[Occurrence, ...]:
        """Occurrences that overlap ``[since, until)`` (epoch seconds), sorted; of several that begin at one instant the
        longest: one show is not two because it was postponed to where another was announced.
        """
        by_start: dict[float, Occurrence] = {}
        for one in self.every(since, until):
            known = by_start.get(one.start)
            if known is None or known.duration < one.duration:
                by_start[one.start] = one
        return tuple(by_start.values())

    def every(self, since: float, until: float) -> tuple[Occurrence, ...]:
        """As ``between``, with each of those that begin at one instant."""
        low, high = max(since, EARLIEST), min(until, LATEST)
        if low >= high:
            return ()
        # A day of slack: a local time is up to a day away from UTC, and a gap moves it.
        day = timedelta(days=1)
        first = _naive(low - self.duration, self.zone) - day
        last = _naive(high, self.zone) + day
        last = last if self.last is None else min(last, self.last)
        found = [
            Occurrence(to_instant(local, self.zone), self.duration)
            for local in local_starts(self.rule, self.start, since=first, until=last)
            if local not in self.skipped
        ]
        found += self.changed
        return tuple(
            sorted(
                (o for o in found if o.start < high and o.start + o.duration > low), key=lambda o: (o.start, o.duration)
            )
        )


@dataclass(slots=True)
class ParsedEvent:
    """A LiveEvent that is valid. Instants are epoch seconds, UTC."""

    base: Announcement
    """All but the dates; for an event without recurrence the whole announcement (no occurrence when it is
    cancelled)."""
    zone: ZoneInfo
    start: datetime
    """Naive local start of the first occurrence, as announced."""
    series: Series | None = None
    """None without recurrence."""
    moved: tuple[tuple[float, datetime], ...] = ()
    """(instant, local start as written) of occurrences that were postponed, for the note about clocks."""
    uid: str = ""
    generation: int = 0

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.base.key

    @property
    def policy(self) -> str:
        """Name of the ScalingPolicy, in the same namespace."""
        return self.base.policy

    def announcement(self, window_start: float, window_end: float) -> Announcement:
        """The announcement with the occurrences that matter inside ``[window_start, window_end)``.

        An occurrence matters from its first demand to its last: ramp and decay of the profile, moments and lags are
        counted. An event without recurrence always gives all it has (one occurrence, or none when it is cancelled), and
        always the same object.
        """
        if self.series is None:
            return self.base
        before, after = reach(self.base, self.series.longest)
        return replace(self.base, occurrences=self.series.between(window_start - after, window_end + before))

    def next_occurrence(self, after: float) -> Occurrence | None:
        """The occurrence that runs at ``after``, or else the next one; None when none is left."""
        if self.series is None:
            return next((o for o in self.base.occurrences if o.start + o.duration > after), None)
        for days in _SEARCH_DAYS:
            begin = max(after, to_instant(self.start, self.zone) - 86_400)
            found = self.series.between(after, begin + days * 86_400)
            if found:
                return found[0]
        return next(iter(sorted((o for o in self.series.changed if o.start > after), key=lambda o: o.start)), None)


def reach(base: Announcement, duration: float) -> tuple[float, float]:
    """Seconds that an occurrence of ``duration`` reaches before its start and after its end: profile, moments, lags."""
    # Here, because it brings numpy: whoever only parses starts without it.
    from tidegate.planning.shape import PROFILES

    points = PROFILES[base.profile]
    before, after = -min(points[0][0], 0.0) * duration, max(points[-1][0] - 1.0, 0.0) * duration
    for moment in base.moments:
        # Counted generously: a moment anchored at the end may begin before the start of a short occurrence.
        before = max(before, -moment.offset)
        after = max(after, moment.offset + moment.duration)
    return before, after + sum(d.lag for d in base.derived)


def describe_occurrence(event: ParsedEvent, occurrence: Occurrence) -> dict[str, Any]:
    """An occurrence for status and people: ``start`` and ``end`` in UTC, ``startLocal`` and ``endLocal`` with the
    zone's offset, and a ``note`` when a change of the clocks touches the announced time.
    """
    end = occurrence.start + occurrence.duration
    local = to_local(occurrence.start, event.zone)
    told = {
        "start": to_rfc3339(occurrence.start),
        "startLocal": local.isoformat(timespec="seconds"),
        "end": to_rfc3339(end),
        "endLocal": to_local(end, event.zone).isoformat(timespec="seconds"),
    }
    notes = [clock_note(_announced(event, occurrence.start), event.zone), _at_once(event, occurrence.start)]
    note = "; ".join(one for one in notes if one is not None)
    return told | {"note": note} if note else told


def _announced(event: ParsedEvent, start: float) -> datetime:
    """The wall-clock time as it was written of what begins at an instant. A gap may have moved it across midnight."""
    written = [wall for instant, wall in event.moved if instant == start]
    today = to_local(start, event.zone).date()
    days = [datetime.combine(today + timedelta(days=ahead), event.start.time()) for ahead in (0, -1, 1)]
    return next((wall for wall in (*written, *days) if to_instant(wall, event.zone) == start), days[0])


def _at_once(event: ParsedEvent, start: float) -> str | None:
    """That several occurrences begin at an instant, in words; None when it is one."""
    if event.series is None or start not in {one.start for one in event.series.changed}:
        return None
    count = sum(one.start == start for one in event.series.every(start, start + 1.0))
    return f"{count} occurrences begin at this instant and count as one" if count > 1 else None


def _naive(instant: float, zone: ZoneInfo) -> datetime:
    return to_local(instant, zone).replace(tzinfo=None)
