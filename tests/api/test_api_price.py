"""What an event may cost: honest ones are far below every bound, and one beyond a bound is refused in words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tidegate.api.parse import parse_live_event
from tidegate.api.problems import InvalidObject

DAY = 86_400
WEEK = 7 * DAY


def parse(duration: int = 3600, rrule: str = "", **spec: Any) -> None:
    schedule: dict[str, Any] = {"startTime": "2026-11-09T16:00:00", "timeZone": "UTC", "durationSeconds": duration}
    if rrule:
        schedule["recurrence"] = {"rrule": rrule}
    spec.setdefault("expected", {"orders": 10})
    body = {"schedule": schedule, "policyRef": {"name": "core"}, **spec}
    parse_live_event({"metadata": {"name": "e", "namespace": "shop"}, "spec": body})


def signals(count: int) -> dict[str, int]:
    return {f"s{n}": 10 for n in range(count)}


def moments(count: int, signal: str = "orders") -> list[dict[str, Any]]:
    return [
        {"name": f"m{n}", "signal": signal, "factor": 2, "offsetSeconds": 10 * n, "durationSeconds": 10}
        for n in range(count)
    ]


def chain(links: int, lag: int = 0) -> list[dict[str, Any]]:
    names = ["orders", *(f"d{n}" for n in range(links))]
    return [{"signal": after, "from": before, "factor": 1, "lagSeconds": lag} for before, after in pairwise(names)]


@pytest.mark.parametrize(
    "spec",
    [
        {"duration": 31 * DAY, "expected": signals(32)},
        {"duration": 31 * DAY, "expected": signals(5), "rrule": "FREQ=MONTHLY", "profile": "match"},
        {
            "duration": 4 * 3600,
            "expected": signals(8) | {"orders": 1},
            "rrule": "FREQ=DAILY",
            "derived": chain(1, 3 * DAY),
        },
        {"duration": 3600, "rrule": "FREQ=DAILY", "expected": signals(31) | {"orders": 1}},
        {"moments": moments(256), "derived": chain(6)},
        {"expected": signals(32), "rrule": "FREQ=YEARLY;COUNT=10", "duration": 14 * DAY},
    ],
)
def test_what_a_year_of_trading_asks_for_is_planned(spec: dict[str, Any]) -> None:
    parse(**spec)


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"moments": moments(256), "derived": chain(8)}, "spec.moments", "reach 2304 times"),
        ({"expected": signals(32), "rrule": "FREQ=DAILY", "duration": 2 * DAY}, "spec", "32 signals of 28 hours"),
        ({"derived": chain(31, WEEK), "rrule": "FREQ=DAILY"}, "spec", "occurrences in reach of one day"),
    ],
)
def test_what_costs_too_much_is_refused_with_its_price(spec: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidObject) as refused:
        parse(**spec)
    assert [(one.path, words in one.wrong) for one in refused.value.problems] == [(path, True)]


def test_the_busiest_days_of_a_season_count_and_not_the_first() -> None:
    """Quiet until the 20th of the month."""
    with pytest.raises(InvalidObject, match="3 occurrences in reach of one day"):
        parse(expected=signals(32), rrule="FREQ=MONTHLY;BYMONTHDAY=9,20,21,22,23,24", duration=DAY + 7200)
    parse(expected=signals(32), rrule="FREQ=MONTHLY;BYMONTHDAY=9,20", duration=DAY + 7200)


@pytest.mark.parametrize("links", [1, 2])
def test_products_of_what_is_within_bounds_are_bounded_too(links: int) -> None:
    derived = [one | {"factor": "999999999999"} for one in chain(links)]
    many = [{"name": "m", "signal": "orders", "factor": "999999999", "durationSeconds": 60}]
    parse(derived=derived[:1])
    with pytest.raises(InvalidObject, match=r"the demand for d\d comes to more than 1e\+30"):
        parse(expected={"orders": 999_999_999_999}, derived=derived, moments=many)
