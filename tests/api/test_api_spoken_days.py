"""Days that ``exclude`` and ``changes`` speak of: whatever they are, an answer in words, and soon."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.api.check_schedule import SPOKEN_OF_YEARS
from tidegate.api.parse import parse_live_event
from tidegate.api.problems import InvalidObject

EVERY_DAY = "FREQ=DAILY;BYWEEKNO=" + ",".join(map(str, range(1, 54)))
"""The dearest way to name every day that 256 characters hold."""
BEGIN = date(2000, 1, 1)


def parse(rrule: str, exclude: list[str], changes: list[dict[str, Any]]) -> None:
    recurrence = {"rrule": rrule, "exclude": exclude}
    schedule = {"startTime": f"{BEGIN}T20:00:00", "timeZone": "Asia/Shanghai", "durationSeconds": 3600}
    spec = {
        "policyRef": {"name": "core"},
        "expected": {"orders": 10},
        "schedule": {**schedule, "recurrence": recurrence, "changes": changes},
    }
    parse_live_event({"metadata": {"name": "e", "namespace": "shop"}, "spec": spec})


def spread(count: int, years: int) -> list[str]:
    """So many days of so many years."""
    return [str(BEGIN + timedelta(days=1 + n * (365 * years - 2) // (count - 1))) for n in range(count)]


@given(st.lists(st.dates(), min_size=1, max_size=4), st.lists(st.dates(), max_size=4))
@example([date.max], [])
@example([date.min], [])
@example([date(2000, 1, 2)], [date.max])
@settings(max_examples=100, deadline=None)
def test_any_day_is_an_occurrence_or_refused_in_words(excluded: list[date], changed: list[date]) -> None:
    changes = [{"occurrence": f"{day}T20:00:00", "cancelled": True} for day in changed]
    with suppress(InvalidObject):  # every other error is ours
        parse("FREQ=DAILY", [str(day) for day in excluded], changes)


@pytest.mark.parametrize("rrule", ["FREQ=DAILY", EVERY_DAY, "FREQ=YEARLY;BYMONTHDAY=1,2,3,4,5,6,7,8,9,10"])
@pytest.mark.parametrize("of", ["exclude", "changes"])
def test_days_of_a_century_cost_no_more_than_those_of_a_generation(rrule: str, of: str) -> None:
    days = spread(366, 99)
    changes = [{"occurrence": f"{day}T20:00:00", "cancelled": True} for day in days]
    begun = time.process_time()
    with pytest.raises(InvalidObject, match=f"days of {SPOKEN_OF_YEARS} years at the most"):
        parse(rrule, days if of == "exclude" else [], changes if of == "changes" else [])
    assert time.process_time() - begun < 0.05


def test_days_of_a_generation_are_taken() -> None:
    parse(EVERY_DAY, spread(366, SPOKEN_OF_YEARS), [])


def test_a_number_that_nobody_can_spell_is_refused_in_words() -> None:
    spec = {
        "policyRef": {"name": "core"},
        "expected": {"orders": 10**5000},
        "schedule": {"durationSeconds": -(10**5000)},
    }
    with pytest.raises(InvalidObject, match="a number of more than 300 digits"):
        parse_live_event({"metadata": {"name": "e", "namespace": "shop"}, "spec": spec})
