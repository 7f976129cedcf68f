"""Recurrence in wall-clock time: a checked RFC 5545 rule, and the local starts that it gives inside a window.

Expansion is dateutil's; this module only decides which rules are ours (daily or rarer, a bounded count, no part that
moves the time of day) and that no rule can run without end: every expansion has an upper bound in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, Literal
from zoneinfo import ZoneInfo

from dateutil import rrule as dateutil_rrule

MAX_COUNT = 366
MAX_INTERVAL = 366
FIRST_SEARCH = timedelta(days=9 * 366)
"""How far after startTime the first occurrence is looked for: 29 February may be eight years away (1896, 1904)."""

_Freq = Literal[0, 1, 2, 3]

_FREQUENCIES: dict[str, _Freq] = {
    "DAILY": dateutil_rrule.DAILY,
    "WEEKLY": dateutil_rrule.WEEKLY,
    "MONTHLY": dateutil_rrule.MONTHLY,
    "YEARLY": dateutil_rrule.YEARLY,
}
_TOO_OFTEN = {"HOURLY", "MINUTELY", "SECONDLY"}
_WEEKDAYS = {d: getattr(dateutil_rrule, d) for d in ("MO", "TU", "WE", "TH", "FR", "SA", "SU")}
_NUMBERS = {"BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31), "BYYEARDAY": (-366, 366), "BYWEEKNO": (-53, 53)} | {
    "BYSETPOS": (-366, 366)
}
_TIME_OF_DAY = {"BYHOUR", "BYMINUTE", "BYSECOND"}
_KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", *_NUMBERS)


class RuleError(ValueError):
    """A rule that is not ours: what is wrong, and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed recurrence rule, independent of where it starts; shared by all events with the same text."""

    freq: _Freq
    interval: int
    count: int | None
    until: datetime | None
    """Last local start that may be, naive; in UTC when ``until_utc``."""
    until_utc: bool
    parts: tuple[tuple[str, Any], ...]
    """Keyword arguments for dateutil: the BY parts and WKST."""


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Rule:
    """The rule of an RFC 5545 text. RuleError says what is wrong with it."""
    given = _split(text)
    freq = given.pop("FREQ", "")
    if freq not in _FREQUENCIES:
        if freq in _TOO_OFTEN:
            raise RuleError(f"FREQ={freq} repeats within a day", "FREQ=DAILY or rarer; peaks within a day are moments")
        raise RuleError(
            f"FREQ={freq} is not known" if freq else "has no FREQ",
            "start with FREQ=DAILY, FREQ=WEEKLY, FREQ=MONTHLY or FREQ=YEARLY",
        )
    if "COUNT" in given and "UNTIL" in given:
        raise RuleError("has both COUNT and UNTIL", "end it by one of them")
    interval = _number("INTERVAL", given.pop("INTERVAL", "1"), 1, MAX_INTERVAL)
    count = _number("COUNT", given.pop("COUNT"), 1, MAX_COUNT) if "COUNT" in given else None
    until, until_utc = _until(given.pop("UNTIL")) if "UNTIL" in given else (None, False)
    parts = tuple(sorted((name.lower(), _part(name, value, freq)) for name, value in given.items()))
    return Rule(_FREQUENCIES[freq], interval, count, until, until_utc, tuple((_keyword(n), v) for n, v in parts))


def _split(text: str) -> dict[str, str]:
    body = text.strip().upper().removeprefix("RRULE:")
    if "\n" in body or "DTSTART" in body:
        raise RuleError("holds more than one rule", "only the rule itself; DTSTART is startTime")
    given: dict[str, str] = {}
    for part in body.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RuleError(
                f'"{part[:40]}" is not NAME=value', "parts NAME=value with ; between, as FREQ=WEEKLY;BYDAY=TU"
            )
        if name in given:
            raise RuleError(f"{name} is given twice", "each part once")
        if name in _TIME_OF_DAY:
            raise RuleError(f"{name} moves the time of day", "leave it out: the time of day is that of startTime")
        if name not in _KNOWN:
            raise RuleError(f'part "{name[:40]}" is not known', f"use {', '.join(_KNOWN)}")
        given[name] = value
    return given


def _number(name: str, text: str, least: int, most: int) -> int:
    digits = text.removeprefix("-").removeprefix("+")
    value = int(text) if digits.isdecimal() and digits.isascii() and len(digits) <= 6 else None
    if value is None or not least <= value <= most or (value == 0 and least < 0):
        raise RuleError(f"{name}={text[:40]} is not possible", f"{name} is a whole number from {least} to {most}")
    return value


def _until(text: str) -> tuple[datetime, bool]:
    right = "a date 20261231, a local time 20261231T235959, or a UTC time 20261231T235959Z"
    try:
        if len(text) == 8:
            return datetime.combine(datetime.strptime(text, "%Y%m%d").date(), time(23, 59, 59)), False
        utc = text.endswith("Z")
        return datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S"), utc
    except ValueError:
        raise RuleError(f"UNTIL={text[:40]} is no time", right) from None


def _part(name: str, text: str, freq: str) -> Any:
    values = text.split(",")
    if name == "WKST":
        if text not in _WEEKDAYS:
            raise RuleError(f"WKST={text[:40]} is no day", "one of MO, TU, WE, TH, FR, SA, SU")
        return _WEEKDAYS[text]
    if name == "BYDAY":
        return tuple(_weekday(value, freq) for value in values)
    least, most = _NUMBERS[name]
    return tuple(_number(name, value, least, most) for value in values)


def _weekday(text: str, freq: str) -> Any:
    day = _WEEKDAYS.get(text[-2:])
    place = text[:-2]
    if day is None:
        raise RuleError(f"BYDAY={text[:40]} is no day", "days are MO, TU, WE, TH, FR, SA, SU, or 1FR, -1SU in a month")
    if not place:
        return day
    if freq not in ("MONTHLY", "YEARLY"):
        raise RuleError(f"BYDAY={text[:40]} counts days of a month", "plain days (FR) with DAILY and WEEKLY")
    return day(_number("BYDAY", place, -53, 53))


def _keyword(name: str) -> str:
    return "byweekday" if name == "byday" else name


def local_starts(
    rule: Rule, start: datetime, zone: ZoneInfo, *, since: datetime, until: datetime
) -> Iterator[datetime]:
    """Naive local starts of the series that begins at ``start``, from ``since`` to ``until`` (both included), in order.

    The work is bounded by the days between ``start`` (``since``, when the rule has no COUNT and steps by days or weeks)
    and ``until``.
    """
    last = min(until, rule_end(rule, zone) or until)
    begin = _fast_forward(rule, start, since)
    series = dateutil_rrule.rrule(rule.freq, dtstart=begin, interval=rule.interval, until=last, **dict(rule.parts))
    # COUNT is counted here, because dateutil would look for the missing ones until the year 9999.
    for local in islice(series, rule.count):
        if local >= since:
            yield local


def _fast_forward(rule: Rule, start: datetime, since: datetime) -> datetime:
    """A later start of the same series, at most one period before ``since``: days and weeks repeat exactly."""
    step = {dateutil_rrule.DAILY: 1, dateutil_rrule.WEEKLY: 7}.get(rule.freq)
    if step is None or rule.count is not None or since <= start:
        return start
    period = timedelta(days=step * rule.interval)
    # One period of slack: a week of the rule may begin up to six days before the start's weekday.
    return start + max(0, (since - start) // period - 1) * period


def rule_end(rule: Rule, zone: ZoneInfo) -> datetime | None:
    """The last local start that UNTIL allows, naive; None without UNTIL."""
    if rule.until is None or not rule.until_utc:
        return rule.until
    return rule.until.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def first_start(rule: Rule, start: datetime, zone: ZoneInfo) -> datetime | None:
    """The first local start of the series, looked for over nine years; None when there is none."""
    return next(local_starts(rule, start, zone, since=start, until=start + FIRST_SEARCH), None)
