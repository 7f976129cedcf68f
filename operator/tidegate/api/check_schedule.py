"""Checks of a schedule that no schema can make: real times, real zones, a rule that recurs, changes of real
occurrences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tidegate.api.liveevent import Change, Recurrence, Schedule
from tidegate.api.parsed import Series
from tidegate.api.problems import Problem, quoted
from tidegate.api.recurrence import Rule, RuleError, first_start, has_start_on, parse_rule
from tidegate.api.walltime import find_zone, near_zones, to_instant
from tidegate.planning.model import Occurrence

YEARS = (2000, 2199)
"""Years that an event may be in."""
MOVED_AT_MOST = timedelta(days=366)

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
    rule = None if schedule.recurrence is None else _check_rule(schedule.recurrence, start, zone, problems)
    if zone is None or start is None or (schedule.recurrence is not None and rule is None):
        return None
    duration = float(schedule.duration_seconds)
    if rule is None and not schedule.changes:
        return Dates(zone, start, (Occurrence(to_instant(start, zone), duration),), None, ())
    before = len(problems)
    excluded = _check_exclude(schedule.recurrence, rule, start, zone, problems)
    changed, moved = _check_changes(schedule, rule, start, zone, excluded, problems)
    if len(problems) > before:
        return None
    became = tuple(o for o in changed.values() if o is not None)
    if rule is None:
        return Dates(zone, start, became, None, moved)
    series = Series(rule, start, zone, duration, frozenset(excluded) | frozenset(changed), became)
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


def check_zone(name: str, problems: list[Problem]) -> ZoneInfo | None:
    """The IANA zone of that name."""
    zone = find_zone(name)
    if zone is None:
        problems.append(_bad_zone(name))
    return zone


def _bad_zone(name: str) -> Problem:
    near = near_zones(name)
    if near:
        right = f"did you mean {' or '.join(near)}?"
    elif re.search(r"\d", name):
        right = "an offset is no zone: name the place, e.g. Asia/Shanghai"
    else:
        right = "name the place as Area/City, e.g. Asia/Shanghai, America/New_York, Europe/Berlin"
    return Problem(f"{_PATH}.timeZone", f"{quoted(name)} is not an IANA time zone", right)


def _check_rule(
    recurrence: Recurrence, start: datetime | None, zone: ZoneInfo | None, problems: list[Problem]
) -> Rule | None:
    path = f"{_PATH}.recurrence.rrule"
    try:
        rule = parse_rule(recurrence.rrule)
    except RuleError as error:
        problems.append(Problem(path, error.wrong, error.right))
        return None
    if start is None or zone is None:
        return rule
    first = first_start(rule, start, zone)
    if first == start:
        return rule
    if first is None:
        problems.append(
            Problem(path, "never takes place at or after startTime", "check UNTIL and the BY parts against startTime")
        )
    else:
        right = f'start with the first: startTime "{first.isoformat()}" ({first:%A}), or change the rule'
        problems.append(
            Problem(
                f"{_PATH}.startTime", f"{start.date()} ({start:%A}) is not a day of the rule {recurrence.rrule}", right
            )
        )
    return None


def _check_exclude(
    recurrence: Recurrence | None, rule: Rule | None, start: datetime, zone: ZoneInfo, problems: list[Problem]
) -> set[datetime]:
    """Announced local starts that do not take place."""
    excluded: set[datetime] = set()
    if recurrence is None or rule is None:
        return excluded
    for index, text in enumerate(recurrence.exclude):
        path = f"{_PATH}.recurrence.exclude[{index}]"
        day = _parse_day(text, path, problems)
        if day is None:
            continue
        found = has_start_on(rule, start, zone, day)
        if found is None or (len(text) > 10 and found.isoformat() != text):
            problems.append(Problem(path, f"{quoted(text)} is not an occurrence", _near(rule, start, zone, day)))
        elif found in excluded:
            problems.append(Problem(path, f"{quoted(text)} is excluded twice", "one entry an occurrence"))
        else:
            excluded.add(found)
    return excluded


def _parse_day(text: str, path: str, problems: list[Problem]) -> date | None:
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            problems.append(Problem(path, f"{quoted(text)} is no real date", "check month and day"))
            return None
    if _LOCAL.fullmatch(text) or _OFFSET.search(text):
        local = parse_local(text, path, problems)
        return None if local is None else local.date()
    problems.append(
        Problem(
            path, f"{quoted(text)} is not a date", 'write "2026-11-12", or the full local start "2026-11-12T20:00:00"'
        )
    )
    return None


def _near(rule: Rule | None, start: datetime, zone: ZoneInfo, day: date) -> str:
    """Which occurrences lie around a day that has none."""
    if rule is None:
        return f'without recurrence the only one is "{start.isoformat()}"'
    days = (day + timedelta(days=offset) for away in range(1, 32) for offset in (away, -away) if _in_reach(day, away))
    near = next((found for d in days if (found := has_start_on(rule, start, zone, d))), None)
    return f'the nearest one is "{near.isoformat()}"' if near else f'the first one is "{start.isoformat()}"'


def _in_reach(day: date, away: int) -> bool:
    return YEARS[0] <= day.year <= YEARS[1] and away > 0


def _check_changes(
    schedule: Schedule,
    rule: Rule | None,
    start: datetime,
    zone: ZoneInfo,
    excluded: set[datetime],
    problems: list[Problem],
) -> tuple[dict[datetime, Occurrence | None], tuple[tuple[float, datetime], ...]]:
    """What became of each changed occurrence (None: cancelled), and where postponed ones went."""
    changed: dict[datetime, Occurrence | None] = {}
    moved: list[tuple[float, datetime]] = []
    for index, change in enumerate(schedule.changes):
        path = f"{_PATH}.changes[{index}]"
        _check_shape(change, path, problems)
        announced = parse_local(change.occurrence, f"{path}.occurrence", problems)
        goal = None
        if change.postponed_to is not None:
            goal = parse_local(change.postponed_to, f"{path}.postponedTo", problems)
        if announced is None:
            continue
        if announced in changed:
            problems.append(
                Problem(
                    f"{path}.occurrence", f"{quoted(change.occurrence)} is changed twice", "one entry an occurrence"
                )
            )
        changed[announced] = None
        _check_exists(announced, rule, start, zone, excluded, f"{path}.occurrence", problems)
        if goal is not None and abs(goal - announced) > MOVED_AT_MOST:
            problems.append(
                Problem(f"{path}.postponedTo", "is more than a year away from the occurrence", "check the year")
            )
        if change.cancelled:
            continue
        begin = to_instant(goal or announced, zone)
        if goal is not None:
            moved.append((begin, goal))
        changed[announced] = Occurrence(begin, float(schedule.duration_seconds + (change.extended_by_seconds or 0)))
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
    announced: datetime,
    rule: Rule | None,
    start: datetime,
    zone: ZoneInfo,
    excluded: set[datetime],
    path: str,
    problems: list[Problem],
) -> None:
    there = announced == start if rule is None else has_start_on(rule, start, zone, announced.date()) == announced
    if not there:
        wrong = f"{quoted(announced.isoformat())} is not an occurrence (they are named by their announced start)"
        problems.append(Problem(path, wrong, _near(rule, start, zone, announced.date())))
    elif announced in excluded:
        problems.append(
            Problem(
                path, f"{quoted(announced.isoformat())} is excluded already", "remove it from exclude or from changes"
            )
        )
