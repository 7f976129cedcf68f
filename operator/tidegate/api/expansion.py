"""The local starts of a recurrence rule: which days it names, period by period.

A period is a day, a week, a month or a year, by the rule's FREQ. Each costs as many looks as it has days, and none is
looked at outside the window that is asked for: a rule that never takes place costs no more than one that does. That
is why the days are worked out here: dateutil looks for the next one until the year 9999.

Days are meant as RFC 5545 says, and where it is silent as dateutil has it: BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY and
BYDAY must all hold of a day; of several entries in one part any; plain and counted weekdays are entries of one part.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from tidegate.api.recurrence import Freq, Rule, RuleError

LAST_YEAR = 2100
"""No start is looked for beyond its end: events are in the years to 2099, or postponed from these."""
FIRST_SEARCH = timedelta(days=9 * 366)
"""How far after startTime the first occurrence is looked for: 29 February may be eight years away (1896, 1904)."""

COUNTED_YEARS = 40
"""How far a COUNT is followed where days must be looked at one by one: some 20 ms."""

_MONTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_Days = range
"""Ordinals of consecutive days (``date.toordinal``)."""


def local_starts(rule: Rule, start: datetime, *, since: datetime, until: datetime) -> Iterator[datetime]:
    """Naive local starts of the series that begins at ``start``, from ``since`` to ``until`` (both included), in order.

    COUNT and UNTIL are not looked at: see ``last_start``. The work is bounded by the days between ``since`` and
    ``until``.
    """
    begin, end = max(since, start), min(until, datetime(LAST_YEAR, 12, 31, 23, 59, 59))
    if begin > end:
        return
    of_day = start.time()
    for period in _periods(rule, start.date(), begin.date(), end.date()):
        for day in _days_of(rule, start.date(), period):
            local = datetime.combine(date.fromordinal(day), of_day)
            if begin <= local <= end:
                yield local


def last_start(rule: Rule, start: datetime, zone: ZoneInfo) -> datetime | None:
    """The latest local start that UNTIL or COUNT leaves; None without such an end in the years to ``LAST_YEAR``.

    With UNTIL it need not be a start. RuleError for a COUNT that is not reached in ``COUNTED_YEARS``, unless every
    period has a start, so that there is nothing to look through.
    """
    if rule.count is not None:
        plain = not (_names_days(rule) or rule.months or rule.places)
        until = datetime.max if plain else start + timedelta(days=COUNTED_YEARS * 366)
        starts = local_starts(rule, start, since=start, until=until)
        last = next(islice(starts, rule.count - 1, None), None)
        if last is None and until.year < LAST_YEAR:
            wrong = f"COUNT={rule.count} is not reached within {COUNTED_YEARS} years"
            raise RuleError(wrong, "a smaller COUNT, or end it by UNTIL")
        return last
    if rule.until is None or not rule.until_utc:
        return rule.until
    if not MINYEAR < rule.until.year < MAXYEAR:  # a zone's offset would lead out of the calendar
        return rule.until
    return rule.until.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def is_start(rule: Rule, start: datetime, zone: ZoneInfo) -> bool:
    """Whether a series may begin at ``start``: the rule names that day, and does not end before it."""
    end = None if rule.count is not None else last_start(rule, start, zone)
    if end is not None and end < start:
        return False
    return next(local_starts(rule, start, since=start, until=start), None) == start


def first_start(rule: Rule, start: datetime, zone: ZoneInfo) -> datetime | None:
    """The first local start at or after ``start``, looked for over nine years; None when there is none."""
    until = start + FIRST_SEARCH
    if rule.count is None:
        until = min(until, last_start(rule, start, zone) or until)
    return next(local_starts(rule, start, since=start, until=until), None)


# ---- periods


def _periods(rule: Rule, anchor: date, since: date, until: date) -> Iterator[_Days]:
    """The rule's periods that touch ``since`` to ``until``, every INTERVAL-th counted from the anchor's."""
    if rule.freq in (Freq.DAILY, Freq.WEEKLY):
        length = 1 if rule.freq is Freq.DAILY else 7
        first = anchor.toordinal() - ((anchor.weekday() - rule.week_start) % 7 if length == 7 else 0)
        step = length * rule.interval
        first += max(0, (since.toordinal() - first - length + 1) // step) * step
        for begin in range(first, until.toordinal() + 1, step):
            yield range(begin, begin + length)
        return
    months = rule.interval * (1 if rule.freq is Freq.MONTHLY else 12)
    first = anchor.year * 12 + (anchor.month - 1 if rule.freq is Freq.MONTHLY else 0)
    ahead = since.year * 12 + since.month - 1 - first - (11 if rule.freq is Freq.YEARLY else 0)
    first += max(0, ahead // months) * months
    for month in range(first, until.year * 12 + until.month, months):
        begin = date(month // 12, month % 12 + 1, 1).toordinal()
        if rule.freq is Freq.YEARLY:
            yield range(begin, date(month // 12, 12, 31).toordinal() + 1)
        else:
            yield range(begin, begin + _days_in_month(month // 12, month % 12 + 1))


def _days_of(rule: Rule, anchor: date, period: _Days) -> list[int]:
    """The days of one period that the rule names, in order."""
    found = [day for day in _candidates(rule, anchor, period) if _is_named(rule, anchor, date.fromordinal(day))]
    if not rule.places:
        return found
    picked = {found[place - 1 if place > 0 else place] for place in rule.places if abs(place) <= len(found)}
    return sorted(picked)


def _candidates(rule: Rule, anchor: date, period: _Days) -> Iterator[int]:
    """The days of a period but for those that can be left out at once: of a year, most."""
    if rule.freq in (Freq.DAILY, Freq.WEEKLY):
        yield from period
        return
    begin = date.fromordinal(period[0])
    months = sorted(rule.months) if rule.freq is Freq.YEARLY and rule.months else [begin.month]
    if rule.freq is Freq.YEARLY and not rule.months:
        if _names_days(rule):
            yield from period
            return
        months = [anchor.month]
    for month in months:
        first = date(begin.year, month, 1).toordinal()
        if _names_days(rule):
            yield from range(first, first + _days_in_month(begin.year, month))
        elif anchor.day <= _days_in_month(begin.year, month):
            yield first + anchor.day - 1


# ---- days


def _is_named(rule: Rule, anchor: date, day: date) -> bool:
    """Whether every part of the rule holds of a day; what the rule leaves open is as on the anchor's day."""
    if rule.months and day.month not in rule.months:
        return False
    if not _names_days(rule):
        return _is_like(rule, anchor, day)
    if rule.month_days and not _counts(rule.month_days, day.day, _days_in_month(day.year, day.month)):
        return False
    if rule.year_days and not _counts(rule.year_days, _day_of_year(day), _days_in_year(day.year)):
        return False
    if (rule.weekdays or rule.counted) and not _is_weekday(rule, day):
        return False
    return not rule.weeks or _is_in_week(rule, day)


def _names_days(rule: Rule) -> bool:
    """Whether the rule says which days; else they are like the start's."""
    return bool(rule.weeks or rule.year_days or rule.month_days or rule.weekdays or rule.counted)


def _is_like(rule: Rule, anchor: date, day: date) -> bool:
    if rule.freq is Freq.WEEKLY:
        return day.weekday() == anchor.weekday()
    if rule.freq is Freq.MONTHLY:
        return day.day == anchor.day
    if rule.freq is Freq.YEARLY:
        return day.day == anchor.day and (bool(rule.months) or day.month == anchor.month)
    return True


def _counts(places: frozenset[int], place: int, length: int) -> bool:
    """Whether the ``place``-th of ``length`` is among ``places``, which count from the end where they are negative."""
    return place in places or place - length - 1 in places


def _is_weekday(rule: Rule, day: date) -> bool:
    """A plain weekday, or the n-th of its month or year: of the month with FREQ=MONTHLY and with BYMONTH."""
    weekday = day.weekday()
    if weekday in rule.weekdays:
        return True
    if all(of != weekday for of, _ in rule.counted):
        return False
    if rule.freq is Freq.MONTHLY or rule.months:
        before, length = day.day - 1, _days_in_month(day.year, day.month)
    else:
        before, length = _day_of_year(day) - 1, _days_in_year(day.year)
    place, from_end = before // 7 + 1, -((length - before - 1) // 7 + 1)
    return (weekday, place) in rule.counted or (weekday, from_end) in rule.counted


def _is_in_week(rule: Rule, day: date) -> bool:
    """Whether the day lies in a week of BYWEEKNO, which belongs to the year that most of its days are in."""
    begin = day - timedelta(days=(day.weekday() - rule.week_start) % 7)
    year = (begin + timedelta(days=3)).year
    first, after = _first_week(year, rule.week_start), _first_week(year + 1, rule.week_start)
    return _counts(rule.weeks, (begin.toordinal() - first) // 7 + 1, (after - first) // 7)


@lru_cache(maxsize=1024)
def _first_week(year: int, week_start: int) -> int:
    """The first day of the first week with four days or more in a year."""
    fourth = date(year, 1, 4)
    return fourth.toordinal() - (fourth.weekday() - week_start) % 7


def _days_in_year(year: int) -> int:
    return 365 + isleap(year)


def _days_in_month(year: int, month: int) -> int:
    return 29 if month == 2 and isleap(year) else _MONTHS[month]


def _day_of_year(day: date) -> int:
    return day.toordinal() - _first_of_year(day.year) + 1


@lru_cache(maxsize=1024)
def _first_of_year(year: int) -> int:
    return date(year, 1, 1).toordinal()
