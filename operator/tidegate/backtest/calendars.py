"""Announced events from an iCalendar file (RFC 5545): one happening for each time that an event takes place.

Times are in the IANA zone that ``TZID`` names, in UTC, or, where they name none, in the calendar's ``X-WR-TIMEZONE``.
The rules of a zone are those of the IANA database. What a ``VTIMEZONE`` says of them is not read: a name that is in no
database is refused, unless its ``VTIMEZONE`` says ``X-LIC-LOCATION``. Recurrence is expanded as for LiveEvents
(``api.expansion``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tidegate.api.expansion import is_start, last_start, local_starts
from tidegate.api.recurrence import Rule, RuleError, parse_rule
from tidegate.api.walltime import find_zone, near_zones, to_instant, to_local
from tidegate.backtest.happenings import WITHOUT_END, Happening, read_happenings
from tidegate.backtest.ical import Component, Property, read_components
from tidegate.backtest.series import InputError, Series

EXPECTED = "X-TIDEGATE-EXPECTED"
"""Demand that the event brings on top of the background, in the unit of the demand; of a series, of each time."""
SUFFIX = ".ics"

_DURATION = re.compile(
    r"\+?P(?:(\d{1,4})W|(?=\d|T\d)(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?)"
)


@dataclass(frozen=True)
class _Zones:
    """Of one calendar."""

    usual: ZoneInfo | None
    """Of times that name none."""
    defined: Mapping[str, ZoneInfo]
    """By names of its own, of VTIMEZONEs that say where they are."""

    def of(self, given: Property) -> ZoneInfo | None:
        """The zone that a time names, or is meant in; None where nothing says so."""
        name = given.parameters.get("TZID")
        return self.usual if name is None else self.defined.get(name) or _zone(given, name)


@dataclass(frozen=True)
class _Moment:
    """A time as it is written."""

    local: datetime
    """Naive, by the clocks of the zone."""
    zone: ZoneInfo
    whole_day: bool

    @property
    def instant(self) -> float:
        return to_instant(self.local, self.zone)


@dataclass(frozen=True)
class _Event:
    """One VEVENT, understood."""

    uid: str
    start: _Moment
    seconds: float
    name: str
    kind: str
    expected: float | None
    rule: Rule | None
    extra: frozenset[float]
    """RDATE."""
    without: frozenset[float]
    """EXDATE, and the times that events of their own take the place of."""
    replaces: float | None
    """RECURRENCE-ID: which time of a series it takes the place of."""
    cancelled: bool
    where: str


def announced_in(path: Path, series: Series) -> tuple[Happening, ...]:
    """The events of a CSV file, or of a calendar those that touch the time of the demand; where none does, the first
    time of each, so that whoever looks for announcements finds that they lie elsewhere.
    """
    if path.suffix.lower() == SUFFIX:
        begin, end = float(series.times[0]), series.end
        return read_calendar(path, begin, end) or _elsewhere(path, begin, end)
    found = read_happenings(path)
    if not found:
        raise InputError(f"{path}: holds no event; give one a line, under start, end, type, name and expected")
    return found


def read_calendar(path: Path, begin: float, end: float) -> tuple[Happening, ...]:
    """What takes place between two instants, in order of start. InputError says what is wrong, and where.

    What is cancelled (``STATUS:CANCELLED``) is left out, as if it had never been announced.
    """
    found = [one for event in _with_exceptions(_events(path)) for one in _happenings(event, begin, end)]
    return tuple(sorted(found, key=lambda one: one.start))


def _elsewhere(path: Path, begin: float, end: float) -> tuple[Happening, ...]:
    """The first time of each event that does not take place between two instants."""
    found = [
        Happening(event.name, event.kind, at, at + event.seconds, event.expected)
        for event in _with_exceptions(_events(path))
        if not (at := event.start.instant) < end or not at + event.seconds > begin
    ]
    return tuple(sorted(found, key=lambda one: one.start))


def _events(path: Path) -> list[_Event]:
    """The VEVENTs of a file, at least one."""
    events: list[_Event] = []
    for calendar in read_components(path):
        zones = _zones(calendar)
        events += [_event(part, zones) for part in calendar.parts("VEVENT")]
    if not events:
        raise InputError(f"{path}: holds no VEVENT; give a calendar with the announced events")
    return events


def _with_exceptions(events: list[_Event]) -> Iterator[_Event]:
    """Each series without the times that events of their own take the place of."""
    replaced: dict[str, set[float]] = {}
    for one in events:
        if one.replaces is not None:
            replaced.setdefault(one.uid, set()).add(one.replaces)
    for one in events:
        if one.cancelled:
            continue
        yield one if one.replaces is not None else replace(one, without=one.without | replaced.get(one.uid, set()))


def _happenings(event: _Event, begin: float, end: float) -> Iterator[Happening]:
    for start in sorted(_starts(event, begin - event.seconds, end) | event.extra):
        if start not in event.without and start < end and start + event.seconds > begin:
            yield Happening(event.name, event.kind, start, start + event.seconds, event.expected)


def _starts(event: _Event, begin: float, end: float) -> set[float]:
    start, rule = event.start, event.rule
    if rule is None:
        return {start.instant}
    try:
        if not is_start(rule, start.local, start.zone):
            raise RuleError("does not name the day of DTSTART", "let DTSTART be the first time of the series")
        last = last_start(rule, start.local, start.zone)
    except RuleError as error:
        raise InputError(f"{event.where}: RRULE: {error}") from error
    day = timedelta(days=1)
    since, until = (to_local(at, start.zone).replace(tzinfo=None) for at in (begin, end))
    until = until + day if last is None else min(until + day, last)
    return {to_instant(one, start.zone) for one in local_starts(rule, start.local, since=since - day, until=until)}


# ---- one event


def _event(part: Component, zones: _Zones) -> _Event:
    begun = part.one("DTSTART")
    if begun is None:
        raise InputError(
            f"{part.where}: a VEVENT has no DTSTART; give one like DTSTART;TZID=Asia/Shanghai:20261111T000000"
        )
    start = _moment(begun, begun.value, zones)
    if (refused := part.one("EXRULE")) is not None:
        raise refused.wrong("is not read", "leave out times by EXDATE")
    again, summary = part.one("RRULE"), part.one("SUMMARY")
    kinds = [kind.lower() for one in part.all("CATEGORIES") for kind in one.texts() if kind]
    instead, uid, status = part.one("RECURRENCE-ID"), part.one("UID"), part.one("STATUS")
    if instead is not None and (again is not None or "RANGE" in instead.parameters):
        raise instead.wrong(
            "changes more than one time of a series", "give each time that is changed as its own VEVENT"
        )
    return _Event(
        uid.value if uid is not None else f"at {part.where}",
        start,
        _seconds(part, start, zones),
        (summary.text() if summary is not None else "") or "event",
        kinds[0] if kinds else "event",
        _expected(part.one(EXPECTED)),
        None if again is None else _rule(again),
        _instants(part.all("RDATE"), start, zones),
        _instants(part.all("EXDATE"), start, zones),
        None if instead is None else min(_instants([instead], start, zones)),
        status is not None and status.value.strip().upper() == "CANCELLED",
        part.where,
    )


def _rule(given: Property) -> Rule:
    try:
        return parse_rule(given.value)
    except RuleError as error:
        raise given.wrong(error.wrong, error.right) from error


def _seconds(part: Component, start: _Moment, zones: _Zones) -> float:
    """How long it takes: until DTEND, for DURATION, a whole day, or as long as one without an end in a CSV file."""
    ends, takes = part.one("DTEND"), part.one("DURATION")
    if ends is not None and takes is not None:
        raise takes.wrong("is given beside DTEND", "give one of them")
    if takes is not None:
        given, end = takes, _after(start, takes)
    elif ends is not None:
        _check_alike(ends, start)
        given, end = ends, _moment(ends, ends.value, zones).instant
    elif start.whole_day:
        return to_instant(start.local + timedelta(days=1), start.zone) - start.instant
    else:
        return WITHOUT_END
    if end <= start.instant:
        raise given.wrong("the event ends before it begins", "give an end after DTSTART")
    return end - start.instant


def _after(start: _Moment, given: Property) -> float:
    """The instant a duration after a start: weeks and days by the calendar, hours and less by the clock."""
    found = _DURATION.fullmatch(given.value.strip().upper())
    if found is None:
        raise given.wrong(f"{given.value[:40]!r} is no duration", "give one like PT2H, PT90M, P1D or P1W")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    local = start.local + timedelta(weeks=weeks, days=days)
    return to_instant(local, start.zone) + timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _expected(given: Property | None) -> float | None:
    if given is None:
        return None
    try:
        value = float(given.value)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise given.wrong(f"{given.value[:40]!r} is no demand", "give a number from 0 on, or leave it out")
    return value


def _instants(given: Sequence[Property], start: _Moment, zones: _Zones) -> frozenset[float]:
    """The times of lists of them, which are written as DTSTART is."""
    found: set[float] = set()
    for one in given:
        if one.parameters.get("VALUE", "").upper() == "PERIOD":
            raise one.wrong("is a list of periods", "give times, or a VEVENT for each")
        _check_alike(one, start)
        found |= {_moment(one, text, zones).instant for text in one.value.split(",")}
    return frozenset(found)


# ---- times and zones


def _check_alike(given: Property, start: _Moment) -> None:
    if _is_day(given) != start.whole_day:
        raise given.wrong("one of this and DTSTART is a day and the other a time", "give both alike")


def _is_day(given: Property) -> bool:
    return given.parameters.get("VALUE", "").upper() == "DATE"


def _moment(given: Property, text: str, zones: _Zones) -> _Moment:
    text, whole_day = text.strip().upper(), _is_day(given)
    utc = text.endswith("Z") and not whole_day
    try:
        local = datetime.strptime(text.removesuffix("Z"), "%Y%m%d" if whole_day else "%Y%m%dT%H%M%S")
    except ValueError as error:
        right = "a day 20261111" if whole_day else "a time 20261111T000000, or 20261110T160000Z in UTC"
        raise given.wrong(f"{text[:40]!r} is none", f"give {right}") from error
    if not 1970 <= local.year < 2100:
        raise given.wrong(f"{text[:40]!r} is too far away", "give a year from 1970 to 2099")
    if utc and "TZID" in given.parameters:
        raise given.wrong("is in UTC and has a TZID", "give one of them")
    zone = ZoneInfo("UTC") if utc else zones.of(given)
    if zone is None:
        what = "a day begins" if whole_day else "the time is meant"
        raise given.wrong(
            f"nothing says in which zone {what}", "give TZID, a time in UTC (…Z), or X-WR-TIMEZONE of the calendar"
        )
    return _Moment(local, zone, whole_day)


def _zone(given: Property, name: str) -> ZoneInfo:
    zone = find_zone(name) or find_zone("/".join(name.split("/")[-2:]) if name.startswith("/") else "")
    if zone is None:
        near = near_zones(name)
        like = f"; did you mean {', '.join(near)}?" if near else ""
        raise given.wrong(
            f"{name[:60]!r} is no zone of the IANA database, and what a VTIMEZONE says of its clocks is not read",
            f"give one like Asia/Shanghai{like}",
        )
    return zone


def _zones(calendar: Component) -> _Zones:
    usual = calendar.one("X-WR-TIMEZONE")
    defined: dict[str, ZoneInfo] = {}
    for part in calendar.parts("VTIMEZONE"):
        name, place = part.one("TZID"), part.one("X-LIC-LOCATION")
        if name is not None and place is not None and find_zone(name.value) is None:
            defined[name.value] = _zone(place, place.text())
    return _Zones(None if usual is None else _zone(usual, usual.text()), defined)
