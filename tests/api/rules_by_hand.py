# ruff: noqa: T201 - a program for the terminal
"""Recurrence rules expanded day by day: each day is asked on its own, periods are written down, nothing is skipped.

    python tests/api/rules_by_hand.py --rules 10000

compares so many random rules with what the operator makes of them; exit code 1 at the first difference.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from tidegate.api.expansion import last_start, local_starts
from tidegate.api.recurrence import RuleError, parse_rule

UTC = ZoneInfo("UTC")
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
WHICH_DAYS = frozenset({"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})


class ByHand:
    """One rule that begins at one local time."""

    def __init__(self, text: str, start: datetime) -> None:
        self.parts = dict(part.split("=") for part in text.split(";"))
        self.start = start
        self.freq, self.interval = self.parts["FREQ"], int(self.parts.get("INTERVAL", "1"))
        self.week_start = DAYS.index(self.parts.get("WKST", "MO"))

    def starts(self, until: datetime) -> list[datetime]:
        """All local starts, from the first to ``until``."""
        found: list[datetime] = []
        first = date(self.start.year, 1, 1) - timedelta(days=7)
        for number, group in groupby(span(first, until.date() + timedelta(days=366)), self.period):
            ahead = number - self.period(self.start.date())
            if ahead >= 0 and ahead % self.interval == 0:
                found += [datetime.combine(day, self.start.time()) for day in self.picked(list(group))]
        found = [local for local in found if local >= self.start]
        return [local for local in found[: int(self.parts.get("COUNT", len(found)))] if local <= until]

    def period(self, day: date) -> int:
        """The number of a day's period."""
        if self.freq == "DAILY":
            return day.toordinal()
        if self.freq == "WEEKLY":
            return (day.toordinal() - 1 - self.week_start) // 7  # the first day of the calendar was a Monday
        return day.year * 12 + day.month if self.freq == "MONTHLY" else day.year

    def picked(self, period: list[date]) -> list[date]:
        """The days of one period that the rule names."""
        days = [day for day in period if self.is_named(day)]
        if "BYSETPOS" not in self.parts:
            return days
        return [day for n, day in enumerate(days) if {n + 1, n - len(days)} & set(self.ints("BYSETPOS"))]

    def is_named(self, day: date) -> bool:
        """Every part of the rule holds of the day."""
        if "BYMONTH" in self.parts and day.month not in self.ints("BYMONTH"):
            return False
        if not WHICH_DAYS & self.parts.keys():
            return self.is_like_start(day)
        month, year = monthrange(day.year, day.month)[1], date(day.year, 12, 31).timetuple().tm_yday
        return (
            self.is_place("BYMONTHDAY", day.day, month)
            and self.is_place("BYYEARDAY", day.timetuple().tm_yday, year)
            and ("BYWEEKNO" not in self.parts or any(is_week(day, n, self.week_start) for n in self.ints("BYWEEKNO")))
            and ("BYDAY" not in self.parts or any(self.is_nth(day, one) for one in self.parts["BYDAY"].split(",")))
        )

    def is_like_start(self, day: date) -> bool:
        """No part says which day: it is that of the start."""
        if self.freq == "WEEKLY":
            return day.weekday() == self.start.weekday()
        if self.freq == "YEARLY" and "BYMONTH" not in self.parts and day.month != self.start.month:
            return False
        return self.freq == "DAILY" or day.day == self.start.day

    def is_place(self, name: str, place: int, length: int) -> bool:
        """Whether a part leaves a day in; below 0 it counts from the end."""
        return name not in self.parts or any(place == (n if n > 0 else length + 1 + n) for n in self.ints(name))

    def is_nth(self, day: date, text: str) -> bool:
        """Among all days of that name in the month or year, written down."""
        if DAYS[day.weekday()] != text[-2:]:
            return False
        if len(text) == 2:
            return True
        begin, end = date(day.year, 1, 1), date(day.year, 12, 31)
        if self.freq == "MONTHLY" or "BYMONTH" in self.parts:
            begin = date(day.year, day.month, 1)
            end = begin.replace(day=monthrange(day.year, day.month)[1])
        alike = [one for one in span(begin, end) if one.weekday() == day.weekday()]
        place = int(text[:-2])
        return abs(place) <= len(alike) and alike[place - 1 if place > 0 else place] == day

    def ints(self, name: str) -> list[int]:
        """The numbers of a part."""
        return [int(value) for value in self.parts[name].split(",")]


def is_week(day: date, number: int, week_start: int) -> bool:
    """Whether a day lies in that week of a year: the first of a year has four of its days or more."""
    weeks = next(weeks for y in (-1, 0, 1) if day in (weeks := weeks_of(day.year + y, week_start)))
    last = max(weeks.values())
    return weeks[day] == (number if number > 0 else last + 1 + number)


@lru_cache(maxsize=1000)
def weeks_of(year: int, week_start: int) -> dict[date, int]:
    """The number of every day's week, of a year's weeks."""
    begins = [day for day in span(date(year - 1, 12, 20), date(year, 12, 31)) if day.weekday() == week_start]
    own = [day for day in begins if sum((day + timedelta(days=n)).year == year for n in range(7)) >= 4]
    return {day + timedelta(days=n): number + 1 for number, day in enumerate(own) for n in range(7)}


def span(first: date, last: date) -> Iterator[date]:
    """Every day from first to last."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield date.fromordinal(ordinal)


def random_rule(draw: random.Random) -> str:
    """Any rule that RFC 5545 can write, small numbers more often."""
    freq = draw.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    parts = [f"FREQ={freq}"]
    if draw.random() < 0.5:
        parts.append(f"INTERVAL={draw.choice([2, 3, 4, 5, 13, 366])}")

    def some(name: str, most: int, share: float, signs: tuple[int, ...] = (1, 1, -1)) -> None:
        if draw.random() < share:
            values = {draw.randint(1, most) * draw.choice(signs) for _ in range(draw.randint(1, 4))}
            parts.append(f"{name}={','.join(map(str, sorted(values)))}")

    some("BYMONTH", 12, 0.3, (1,))
    some("BYMONTHDAY", 31, 0.25)
    some("BYYEARDAY", 366, 0.08)
    some("BYWEEKNO", 53, 0.08)
    if draw.random() < 0.5:
        days = draw.sample(DAYS, draw.randint(1, 3))
        if freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in ";".join(parts) and draw.random() < 0.6:
            days = [f"{draw.choice(['', '1', '2', '5', '-1', '-2'])}{day}" for day in days]
        parts.append(f"BYDAY={','.join(days)}")
    some("BYSETPOS", 5, 0.25)
    if draw.random() < 0.3:
        parts.append(f"WKST={draw.choice(DAYS)}")
    if draw.random() < 0.3:
        parts.append(f"COUNT={draw.randint(1, 40)}")
    return ";".join(parts)


def random_case(draw: random.Random) -> tuple[str, datetime, datetime, datetime]:
    """A rule, its start, and a window."""
    start = datetime(2020, 1, 1, 20) + timedelta(days=draw.randint(0, 2500))
    since = start + timedelta(days=draw.choice([0, 0, 10, 400, 900]))
    return random_rule(draw), start, since, since + timedelta(days=draw.choice([1, 60, 800]))


def starts_of(text: str, start: datetime, *, since: datetime, until: datetime) -> list[datetime]:
    """What the operator makes of a rule."""
    rule = parse_rule(text)
    last = last_start(rule, start, UTC)
    return list(local_starts(rule, start, since=since, until=until if last is None else min(last, until)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rules", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="which")
    asked = parser.parse_args()
    draw, found, refused, longest = random.Random(asked.seed), 0, 0, (0.0, "")
    for _ in range(asked.rules):
        text, start, since, until = random_case(draw)
        want = [local for local in ByHand(text, start).starts(until) if local >= since]
        begun = time.process_time()
        try:
            ours = starts_of(text, start, since=since, until=until)
        except RuleError:
            refused, ours = refused + 1, want
        longest = max(longest, (time.process_time() - begun, text))
        found += len(ours)
        if ours != want:
            print(f"{text} from {start}, {since} to {until}:\n  by hand {want}\n  ours    {ours}")
            return 1
    print(f"{asked.rules} rules, {refused} of them refused, {found} starts: no difference")
    print(f"the slowest took {1000 * longest[0]:.1f} ms: {longest[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
