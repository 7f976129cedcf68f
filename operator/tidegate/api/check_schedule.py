"""Checks of a schedule that no schema can make: real times, real zones, a rule that recurs, changes of real
occurrences.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tidegate.api.expansion import first_start, is_start, last_start, local_starts
from tidegate.api.liveevent import Change, Recurrence, Schedule
from tidegate.api.parsed import Series
from tidegate.api.problems import Problem, quoted
from tidegate.api.recurrence import Rule, RuleError, parse_rule
from tidegate.api.walltime import find_zone, near_zones, to_instant
from tidegate.planning.model import Occurrence

YEARS = (2000, 2099)
"""Years that an event may be in."""
MOVED_AT_MOST = timedelta(days=366)

SPOKEN_OF_YEARS = 25
"""Years that the days of ``exclude`` and ``changes`` may lie apart: a rule that names every day has 9,000 there, some
20 ms."""

_AROUND = timedelta(days=366)
"""How far around the days that are spoken of the nearest occurrence is looked for."""

_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OFFSET = re.compile(r"(?<=\d)(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)
_PATH = "spec.schedule"


@dataclass(frozen=True, slots=True)
class Dates:
    """A schedule, worked out."""

    zone: ZoneInfo
    start: datetime
    occurrences: tuple[Occurrence, ...]
    """Without recurrence: the one, or none when it is cancelled."""
    series: Series | None
    moved: tuple[tuple[float, datetime], ...]


def check_schedule(schedule: Schedule, problems: list[Problem]) -> Dates | None:
    """The dates of a schedule; None when something is wrong, which is then in ``problems``."""
    zone = check_zone(schedule.time_zone, problems)
    start = parse_local(schedule.start_time, f"{_PATH}.startTime", problems)
    found = None if schedule.recurrence is None else _check_rule(schedule.recurrence, start, zone, problems)
    if zone is None or start is None or (schedule.recurrence is not None and found is None):
        return None
    rule, last = found or (None, None)
    duration = float(schedule.duration_seconds)
    if rule is None and not schedule.changes:
        return Dates(zone, start, (Occurrence(to_instant(start, zone), duration),), None, ())
    before = len(problems)
    days = [] if schedule.recurrence is None else _excluded_days(schedule.recurrence, problems)
    announced = _announced_starts(schedule, problems)
    spoken_of = [day for _, _, day in days] + [a.date() for a in announced.values()]
    if rule is not None and spoken_of and max(spoken_of) - min(spoken_of) > timedelta(days=366 * SPOKEN_OF_YEARS):
        wrong = f"days from {min(spoken_of)} to {max(spoken_of)} are excluded or changed"
        problems.append(Problem(_PATH, wrong, f"days of {SPOKEN_OF_YEARS} years at the most: end the rule by UNTIL"))
        return None
    known = _KnownStarts(rule, start, last, spoken_of)
    excluded = _check_exclude(days, known, problems)
    changed, moved = _check_changes(schedule, announced, zone, known, excluded, problems)
    if len(problems) > before:
        return None
    became = tuple(o for o in changed.values() if o is not None)
    if rule is None:
        return Dates(zone, start, became, None, moved)
    series = Series(rule, start, last, zone, duration, frozenset(excluded) | frozenset(changed), became)
    return Dates(zone, start, (), series, moved)


def parse_local(text: str, path: str, problems: list[Problem]) -> datetime | None:
    """A naive wall-clock time ``YYYY-MM-DDThh:mm:ss``."""
    wrong = f"{quoted(text)} is not a wall-clock time"
    right = 'write YYYY-MM-DDThh:mm:ss, e.g. "2026-11-10T20:00:00"'
    if _LOCAL.fullmatch(text):
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            problems.append(Problem(path, f"{quoted(text)} is no real date and time", "check month, day and hour"))
            return None
        if YEARS[0] <= local.year <= YEARS[1]:
            return local
        wrong, right = f"the year {local.year} is out of reach", f"a year from {YEARS[0]} to {YEARS[1]}"
    elif _OFFSET.search(text) and "T" in text.upper():
        wrong = f"{quoted(text)} has an offset"
        right = "give the wall-clock time without offset; the zone is timeZone"
    problems.append(Problem(path, wrong, right))
    return None


def check_zone(name: str, problems: list[Problem], path: str = f"{_PATH}.timeZone") -> ZoneInfo | None:
    """The IANA zone of that name."""
    zone = find_zone(name)
    if zone is None:
        problems.append(_bad_zone(name, path))
    return zone


def _bad_zone(name: str, path: str) -> Problem:
    near = near_zones(name)
    if near:
        right = f"did you mean {' or '.join(near)}?"
    elif re.search(r"\d", name):
        right = "an offset is no zone: name the place, e.g. Asia/Shanghai"
    else:
        right = "name the place as Area/City, e.g. Asia/Shanghai, America/New_York, Europe/Berlin"
    return Problem(path, f"{quoted(name)} is not an IANA time zone", right)


def _check_rule(
    recurrence: Recurrence, start: datetime | None, zone: ZoneInfo | None, problems: list[Problem]
) -> tuple[Rule, datetime | None] | None:
    """The rule, and when the series is over (None: never)."""
    path = f"{_PATH}.recurrence.rrule"
    try:
        rule = parse_rule(recurrence.rrule)
        if start is None or zone is None:
            return rule, None
        if is_start(rule, start, zone):
            return rule, last_start(rule, start, zone)
    except RuleError as error:
        problems.append(Problem(path, error.wrong, error.right))
        return None
    first = first_start(rule, start, zone)
    if first is None:
        problems.append(
            Problem(path, "never takes place at or after startTime", "check UNTIL and the BY parts against startTime")
        )
    else:
        right = f'start with the first: startTime "{first.isoformat()}" ({first:%A}), or change the rule'
        wrong = f"{start.date()} ({start:%A}) is not a day of the rule {recurrence.rrule}"
        problems.append(Problem(f"{_PATH}.startTime", wrong, right))
    return None


class _KnownStarts:
    """Local starts of a series around the days that are spoken of: expanded once, however many days there are."""

    def __init__(self, rule: Rule | None, start: datetime, last: datetime | None, days: list[date]) -> None:
        self._single = rule is None
        self._starts = [start]
        if rule is not None and days:
            since = datetime.combine(min(days), time.min) - _AROUND
            until = datetime.combine(max(days), time.max) + _AROUND
            until = until if last is None else min(until, last)
            self._starts = list(local_starts(rule, start, since=since, until=until)) or [start]
        self._by_day = {known.date(): known for known in self._starts}

    def on(self, day: date) -> datetime | None:
        """The start on that day."""
        return self._by_day.get(day)

    def nearest(self, day: date) -> str:
        """Which occurrence lies nearest to a day that has none, in words."""
        place = bisect_left(self._starts, datetime.combine(day, time.min))
        around = self._starts[max(place - 1, 0) : place + 1]
        near = min(around, key=lambda known: abs(known.date() - day))
        which = "without recurrence the only one is" if self._single else "the nearest one is"
        return f'{which} "{near.isoformat()}"'


def _excluded_days(recurrence: Recurrence, problems: list[Problem]) -> list[tuple[int, str, date]]:
    """The entries of ``exclude`` that are days: (index, text, day)."""
    days = []
    for index, text in enumerate(recurrence.exclude):
        day = _parse_day(text, f"{_PATH}.recurrence.exclude[{index}]", problems)
        if day is not None:
            days.append((index, text, day))
    return days


def _announced_starts(schedule: Schedule, problems: list[Problem]) -> dict[int, datetime]:
    """The occurrence that each change speaks of, by the change's index."""
    read = {
        index: parse_local(change.occurrence, f"{_PATH}.changes[{index}].occurrence", problems)
        for index, change in enumerate(schedule.changes)
    }
    return {index: local for index, local in read.items() if local is not None}


def _check_exclude(days: list[tuple[int, str, date]], known: _KnownStarts, problems: list[Problem]) -> set[datetime]:
    """Announced local starts that do not take place."""
    excluded: set[datetime] = set()
    for index, text, day in days:
        path = f"{_PATH}.recurrence.exclude[{index}]"
        found = known.on(day)
        if found is None or (len(text) > 10 and found.isoformat() != text):
            problems.append(Problem(path, f"{quoted(text)} is not an occurrence", known.nearest(day)))
        elif found in excluded:
            problems.append(Problem(path, f"{quoted(text)} is excluded twice", "one entry an occurrence"))
        else:
            excluded.add(found)
    return excluded


def _parse_day(text: str, path: str, problems: list[Problem]) -> date | None:
    if _DATE.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            problems.append(Problem(path, f"{quoted(text)} is no real date", "check month and day"))
            return None
        if not YEARS[0] <= day.year <= YEARS[1]:
            wrong, right = f"the year {day.year} is out of reach", f"a year from {YEARS[0]} to {YEARS[1]}"
            problems.append(Problem(path, wrong, right))
            return None
        return day
    if _LOCAL.fullmatch(text) or _OFFSET.search(text):
        local = parse_local(text, path, problems)
        return None if local is None else local.date()
    problems.append(
        Problem(
            path, f"{quoted(text)} is not a date", 'write "2026-11-12", or the full local start "2026-11-12T20:00:00"'
        )
    )
    return None


def _check_changes(
    schedule: Schedule,
    announced: dict[int, datetime],
    zone: ZoneInfo,
    known: _KnownStarts,
    excluded: set[datetime],
    problems: list[Problem],
) -> tuple[dict[datetime, Occurrence | None], tuple[tuple[float, datetime], ...]]:
    """What became of each changed occurrence (None: cancelled), and where postponed ones went."""
    changed: dict[datetime, Occurrence | None] = {}
    moved: list[tuple[float, datetime]] = []
    for index, change in enumerate(schedule.changes):
        path = f"{_PATH}.changes[{index}]"
        _check_shape(change, path, problems)
        goal = None
        if change.postponed_to is not None:
            goal = parse_local(change.postponed_to, f"{path}.postponedTo", problems)
        local = announced.get(index)
        if local is None:
            continue
        if local in changed:
            wrong = f"{quoted(change.occurrence)} is changed twice"
            problems.append(Problem(f"{path}.occurrence", wrong, "one entry an occurrence"))
        _check_exists(local, known, excluded, f"{path}.occurrence", problems)
        if goal is not None and abs(goal - local) > MOVED_AT_MOST:
            wrong = "is more than a year away from the occurrence"
            problems.append(Problem(f"{path}.postponedTo", wrong, "check the year"))
        changed[local] = None
        if change.cancelled:
            continue
        begin = to_instant(goal or local, zone)
        if goal is not None:
            moved.append((begin, goal))
        changed[local] = Occurrence(begin, float(schedule.duration_seconds + (change.extended_by_seconds or 0)))
    return changed, tuple(moved)


def _check_shape(change: Change, path: str, problems: list[Problem]) -> None:
    other = change.postponed_to is not None or change.extended_by_seconds is not None
    if change.cancelled and other:
        problems.append(
            Problem(
                path, "is cancelled and changed at once", "either cancelled: true, or postponedTo and extendedBySeconds"
            )
        )
    elif not change.cancelled and not other:
        problems.append(Problem(path, "changes nothing", "say cancelled: true, postponedTo or extendedBySeconds"))


def _check_exists(
    announced: datetime, known: _KnownStarts, excluded: set[datetime], path: str, problems: list[Problem]
) -> None:
    if known.on(announced.date()) != announced:
        wrong = f"{quoted(announced.isoformat())} is not an occurrence (they are named by their announced start)"
        problems.append(Problem(path, wrong, known.nearest(announced.date())))
    elif announced in excluded:
        wrong = f"{quoted(announced.isoformat())} is excluded already"
        problems.append(Problem(path, wrong, "remove it from exclude or from changes"))
