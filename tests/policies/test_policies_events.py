"""The rules read a schedule as the operator does: the operator's own reading is the measure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.api.parse import parse_live_event
from tidegate_policies.events import window_near

HOUR = timedelta(hours=1)


def event(schedule: dict[str, Any]) -> dict[str, Any]:
    spec = {"schedule": schedule, "policyRef": {"name": "events"}, "expected": {"orders_per_second": "9000"}}
    return {"metadata": {"name": "show", "namespace": "shop"}, "spec": spec}


def once(start: str, zone: str = "Asia/Shanghai", **more: Any) -> dict[str, Any]:
    return {"startTime": start, "timeZone": zone, "durationSeconds": 7200, **more}


def again(start: str, rule: str, zone: str = "Asia/Shanghai", *, without: str = "", **more: Any) -> dict[str, Any]:
    return once(start, zone, recurrence={"rrule": rule, "exclude": [without] if without else []}, **more)


SCHEDULES = {
    "once": once("2026-11-10T20:00:00"),
    "in New York": once("2026-11-10T20:00:00", "America/New_York"),
    "in the hour that is skipped": once("2026-03-29T02:30:00", "Europe/Berlin"),
    "in the hour that comes twice": once("2026-10-25T02:30:00", "Europe/Berlin"),
    "over a change of the clocks": once("2026-10-25T01:30:00", "Europe/Berlin"),
    "cancelled": once("2026-11-10T20:00:00", changes=[{"occurrence": "2026-11-10T20:00:00", "cancelled": True}]),
    "postponed and made longer": once(
        "2026-11-10T20:00:00",
        changes=[
            {"occurrence": "2026-11-10T20:00:00", "postponedTo": "2026-11-12T09:00:00", "extendedBySeconds": 1800},
        ],
    ),
    "every day": again("2026-11-01T08:00:00", "FREQ=DAILY"),
    "every day over a change of the clocks": again("2026-03-27T02:30:00", "FREQ=DAILY;COUNT=5", "Europe/Berlin"),
    "Tuesdays and Thursdays": again("2026-11-03T20:00:00", "FREQ=WEEKLY;BYDAY=TU,TH;COUNT=5"),
    "every other week": again("2026-11-02T20:00:00", "FREQ=WEEKLY;INTERVAL=2"),
    "the last Friday": again("2026-10-30T20:00:00", "FREQ=MONTHLY;BYDAY=-1FR"),
    "until a day": again("2026-11-01T20:00:00", "FREQ=DAILY;UNTIL=20261104"),
    "until a local time": again("2026-11-01T20:00:00", "FREQ=DAILY;UNTIL=20261104T200000"),
    "until a local time just before": again("2026-11-01T20:00:00", "FREQ=DAILY;UNTIL=20261104T195959"),
    "until a time in UTC": again("2026-11-01T20:00:00", "FREQ=DAILY;UNTIL=20261104T120000Z"),
    "until a time in UTC just before": again("2026-11-01T20:00:00", "FREQ=DAILY;UNTIL=20261104T115959Z"),
    "a day left out": again("2026-11-01T20:00:00", "FREQ=DAILY", without="2026-11-03"),
    "a start left out": again("2026-11-01T20:00:00", "FREQ=DAILY", without="2026-11-03T20:00:00"),
    "one of them moved onto another day": again(
        "2026-11-01T20:00:00",
        "FREQ=DAILY;COUNT=4",
        changes=[
            {"occurrence": "2026-11-02T20:00:00", "postponedTo": "2026-11-20T20:00:00"},
            {"occurrence": "2026-11-03T20:00:00", "cancelled": True},
        ],
    ),
    "a later one moved nearer": again(
        "2026-11-01T20:00:00",
        "FREQ=MONTHLY",
        changes=[{"occurrence": "2027-01-01T20:00:00", "postponedTo": "2026-11-04T20:00:00"}],
    ),
    "once a year": again("2025-11-11T00:00:00", "FREQ=YEARLY"),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_window_is_the_operator_s(kind: str) -> None:
    given = event(SCHEDULES[kind])
    parsed = parse_live_event(given)
    seen = 0
    first = datetime.fromisoformat(SCHEDULES[kind]["startTime"]).replace(tzinfo=UTC)
    instants = [first + timedelta(minutes=37 * step) for step in range(-20, 300)]
    for now in (*instants, *(first + timedelta(days=step, minutes=1) for step in range(360, 370))):
        told = window_near(given, now, HOUR)
        theirs = parsed.next_occurrence(now.timestamp())
        if theirs is None or theirs.start > (now + HOUR).timestamp():
            assert told is None, now
        else:
            assert told is not None, now
            assert (told.start.timestamp(), told.end.timestamp()) == (theirs.start, theirs.start + theirs.duration), now
            seen += 1
    assert (seen == 0) == (kind == "cancelled")
