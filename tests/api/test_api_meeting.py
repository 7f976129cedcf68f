"""Clocks that change across midnight, occurrences that meet, and leads that no plan can look over."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.api.parse import parse_live_event, parse_policy
from tidegate.api.parsed import ParsedEvent, describe_occurrence
from tidegate.api.problems import InvalidObject
from tidegate.api.together import occurrences_at_once
from tidegate.api.walltime import from_rfc3339


def show(**schedule: Any) -> ParsedEvent:
    spec = {
        "schedule": {"durationSeconds": 3600, **schedule},
        "expected": {"orders": 100},
        "policyRef": {"name": "core"},
    }
    return parse_live_event({"metadata": {"name": "show", "namespace": "shop"}, "spec": spec})


@pytest.mark.parametrize("recurring", [False, True])
def test_a_start_that_a_gap_moves_across_midnight_is_said(recurring: bool) -> None:
    """In Nuuk clocks go from 23:00 on Saturday to 00:00 on Sunday."""
    start = "2027-03-27T23:30:00"
    rule = {"recurrence": {"rrule": "FREQ=DAILY;COUNT=3"}} if recurring else {}
    event = show(startTime=start, timeZone="America/Nuuk", **rule)
    first = event.next_occurrence(from_rfc3339("2027-03-27T00:00:00Z"))
    assert first is not None
    told = describe_occurrence(event, first)
    assert told["startLocal"] == "2027-03-28T00:30:00-01:00"
    assert f"{start} does not exist in America/Nuuk" in told["note"]
    after = event.next_occurrence(first.start + 3600.0)
    assert (after is None) is not recurring
    assert after is None or "note" not in describe_occurrence(event, after)


WEEKLY = {
    "startTime": "2026-12-01T20:00:00",
    "timeZone": "Asia/Shanghai",
    "recurrence": {"rrule": "FREQ=WEEKLY;BYDAY=TU,TH"},
}


def meeting(goal: str, **more: Any) -> ParsedEvent:
    return show(**WEEKLY, changes=[{"occurrence": "2026-12-01T20:00:00", "postponedTo": goal, **more}])


WINDOW = from_rfc3339("2026-12-01T00:00:00Z"), from_rfc3339("2026-12-04T00:00:00Z")


@pytest.mark.parametrize("more", [{}, {"extendedBySeconds": 1800}])
def test_two_occurrences_at_one_instant_count_as_one_the_longer_and_it_is_said(more: dict[str, int]) -> None:
    event = meeting("2026-12-03T20:00:00", **more)
    (one,) = event.announcement(*WINDOW).occurrences
    assert one.duration == 3600.0 + sum(more.values())
    assert "2 occurrences begin at this instant and count as one" in describe_occurrence(event, one)["note"]
    (warned,) = occurrences_at_once(event)
    assert warned.wrong == "two occurrences begin at 2026-12-03T20:00:00+08:00"
    assert warned.right.startswith("they count as one")


def test_two_occurrences_a_second_apart_add_up_and_it_is_said() -> None:
    event = meeting("2026-12-03T20:00:01")
    assert len(event.announcement(*WINDOW).occurrences) == 2
    (warned,) = occurrences_at_once(event)
    assert (warned.wrong, warned.right) == (
        "the occurrence at 2026-12-03T20:00:01+08:00 overlaps another",
        "what they need adds up: postpone it further",
    )


def test_an_occurrence_that_meets_no_other_is_not_warned_of() -> None:
    event = meeting("2026-12-02T20:00:00")
    assert list(occurrences_at_once(event)) == []
    assert all("note" not in describe_occurrence(event, one) for one in event.announcement(*WINDOW).occurrences)


def test_a_lead_is_counted_with_the_settling_of_the_stages_in_front() -> None:
    def target(name: str, stage: str, settle: int, lead: int) -> dict[str, Any]:
        ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        timing = {"stage": {"name": stage, "settleSeconds": settle}, "leadTime": {"guessSeconds": lead}}
        return {"name": name, "ref": ref, "capacity": {"orders": 10}, "max": 20, **timing}

    def policy(settle: int) -> dict[str, Any]:
        targets = [target("db", "database", 0, 43_200), target("app", "app", settle, 60), target("web", "app", 60, 60)]
        return {"metadata": {"name": "core", "namespace": "shop"}, "spec": {"targets": targets}}

    assert parse_policy(policy(39_600)).targets
    with pytest.raises(InvalidObject) as refused:
        parse_policy(policy(39_601))
    (problem,) = refused.value.problems
    assert problem.path == "spec.targets[0].leadTime"
