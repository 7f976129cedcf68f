"""Recurrence in wall-clock time: a checked RFC 5545 rule.

Which rules are ours is decided here: daily or rarer, a bounded count, no part that moves the time of day. Which days a
rule names is ``expansion``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from enum import Enum
from functools import lru_cache

MAX_COUNT = 366
MAX_INTERVAL = 366
WEEKS_OF_A_MONTH = 5


class Freq(Enum):
    """How long one period of a rule is."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


_TOO_OFTEN = {"HOURLY", "MINUTELY", "SECONDLY"}
_WEEKDAYS = {day: place for place, day in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_NUMBERS = {"BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31), "BYYEARDAY": (-366, 366), "BYWEEKNO": (-53, 53)} | {
    "BYSETPOS": (-366, 366)
}
_TIME_OF_DAY = {"BYHOUR", "BYMINUTE", "BYSECOND"}
_NONE: frozenset[int] = frozenset()
_KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", *_NUMBERS)


class RuleError(ValueError):
    """A rule that is not ours: what is wrong, and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed recurrence rule, independent of where it starts; shared by all events with the same text.

    A part that is not given is empty. Weekdays count from Monday = 0; places below 0 count from the end.
    """

    freq: Freq
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    """Last local start that may be, naive; in UTC when ``until_utc``."""
    until_utc: bool = False
    months: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    """Of BYDAY, those without a number."""
    counted: frozenset[tuple[int, int]] = frozenset()
    """Of BYDAY, those with one: (weekday, its place in the month or year)."""
    places: frozenset[int] = frozenset()
    """BYSETPOS: which of the days of a period."""
    week_start: int = 0


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Rule:
    """The rule of an RFC 5545 text. RuleError says what is wrong with it."""
    given = _split(text)
    freq = _freq(given.pop("FREQ", ""))
    if "COUNT" in given and "UNTIL" in given:
        raise RuleError("has both COUNT and UNTIL", "end it by one of them")
    until, until_utc = _until(given["UNTIL"]) if "UNTIL" in given else (None, False)
    days = [_weekday(value) for value in given["BYDAY"].split(",")] if "BYDAY" in given else []
    counted = frozenset((day, place) for day, place in days if place is not None)
    if counted:
        _check_counted(given, freq, counted)
    return Rule(
        freq,
        interval=_number("INTERVAL", given.get("INTERVAL", "1"), 1, MAX_INTERVAL),
        count=_number("COUNT", given["COUNT"], 1, MAX_COUNT) if "COUNT" in given else None,
        until=until,
        until_utc=until_utc,
        months=_numbers(given, "BYMONTH"),
        weeks=_numbers(given, "BYWEEKNO"),
        year_days=_numbers(given, "BYYEARDAY"),
        month_days=_numbers(given, "BYMONTHDAY"),
        weekdays=frozenset(day for day, place in days if place is None),
        counted=counted,
        places=_numbers(given, "BYSETPOS"),
        week_start=_week_start(given.get("WKST", "MO")),
    )


def _freq(text: str) -> Freq:
    if text in Freq.__members__:
        return Freq[text]
    if text in _TOO_OFTEN:
        raise RuleError(f"FREQ={text} repeats within a day", "FREQ=DAILY or rarer; peaks within a day are moments")
    raise RuleError(
        f"FREQ={text[:40]} is not known" if text else "has no FREQ",
        "start with FREQ=DAILY, FREQ=WEEKLY, FREQ=MONTHLY or FREQ=YEARLY",
    )


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


def _numbers(given: dict[str, str], name: str) -> frozenset[int]:
    least, most = _NUMBERS[name]
    return frozenset(_number(name, value, least, most) for value in given[name].split(",")) if name in given else _NONE


def _week_start(text: str) -> int:
    if text not in _WEEKDAYS:
        raise RuleError(f"WKST={text[:40]} is no day", "one of MO, TU, WE, TH, FR, SA, SU")
    return _WEEKDAYS[text]


def _weekday(text: str) -> tuple[int, int | None]:
    day, place = _WEEKDAYS.get(text[-2:]), text[:-2]
    if day is None:
        raise RuleError(f"BYDAY={text[:40]} is no day", "days are MO, TU, WE, TH, FR, SA, SU, or 1FR, -1SU in a month")
    return day, _number("BYDAY", place, -53, 53) if place else None


def _check_counted(given: dict[str, str], freq: Freq, counted: frozenset[tuple[int, int]]) -> None:
    """Weekdays with a number: where they mean something, and can be."""
    text = f"BYDAY={given['BYDAY'][:40]}"
    if freq not in (Freq.MONTHLY, Freq.YEARLY):
        raise RuleError(f"{text} counts days of a month", "plain days (FR) with DAILY and WEEKLY")
    if "BYWEEKNO" in given:
        raise RuleError(f"{text} counts days beside BYWEEKNO", "plain days (FR) with BYWEEKNO: a week has one of each")
    most = max(abs(place) for _, place in counted)
    if most > WEEKS_OF_A_MONTH and (freq is Freq.MONTHLY or "BYMONTH" in given):
        right = f"up to {WEEKS_OF_A_MONTH}, or down to -{WEEKS_OF_A_MONTH} from the month's end"
        raise RuleError(f"{text} counts to {most} in a month", right)
