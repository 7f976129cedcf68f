"""When an event takes place: recurrence in wall-clock time, clocks that change, occurrences that changed."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tidegate.api.parse import parse_live_event
from tidegate.api.parsed import ParsedEvent, describe_occurrence
from tidegate.api.recurrence import RuleError, parse_rule
from tidegate.planning.model import Occurrence

NEW_YORK = ZoneInfo("America/New_York")
YEAR = 366 * 86_400.0


def event(start: str, zone: str, rrule: str | None = None, **schedule: Any) -> ParsedEvent:
    """An event of an hour; only its schedule matters here."""
    exclude = schedule.pop("exclude", [])
    fields: dict[str, Any] = {"startTime": start, "timeZone": zone, "durationSeconds": 3600, **schedule}
    if rrule is not None:
        fields["recurrence"] = {"rrule": rrule, "exclude": exclude}
    spec = {"schedule": fields, "expected": {"orders_per_second": 10}, "policyRef": {"name": "any"}}
    return parse_live_event({"metadata": {"name": "show", "namespace": "live"}, "spec": spec})


def occurrences(parsed: ParsedEvent, since: float = 0.0, until: float = 4e9) -> tuple[Occurrence, ...]:
    return parsed.announcement(since, until).occurrences


def local(parsed: ParsedEvent, since: float = 0.0, until: float = 4e9) -> list[str]:
    return [str(describe_occurrence(parsed, o)["startLocal"]) for o in occurrences(parsed, since, until)]


def test_a_weekly_show_stays_at_its_wall_clock_time_when_new_york_changes_its_clocks() -> None:
    spring = event("2026-03-01T20:00:00", "America/New_York", "FREQ=WEEKLY;COUNT=3")
    autumn = event("2026-10-25T20:00:00", "America/New_York", "FREQ=WEEKLY;COUNT=3")

    assert local(spring) == ["2026-03-01T20:00:00-05:00", "2026-03-08T20:00:00-04:00", "2026-03-15T20:00:00-04:00"]
    assert local(autumn) == ["2026-10-25T20:00:00-04:00", "2026-11-01T20:00:00-05:00", "2026-11-08T20:00:00-05:00"]
    starts = [o.start for o in occurrences(spring)]
    assert [b - a for a, b in itertools.pairwise(starts)] == [7 * 86_400 - 3600, 7 * 86_400]


def test_shanghai_has_no_change_of_clocks() -> None:
    daily = event("2026-01-01T20:00:00", "Asia/Shanghai", "FREQ=DAILY;COUNT=366")
    starts = [o.start for o in occurrences(daily)]

    assert len(starts) == 366
    assert {b - a for a, b in itertools.pairwise(starts)} == {86_400.0}
    assert all("note" not in describe_occurrence(daily, o) for o in occurrences(daily))


def test_a_time_that_does_not_exist_is_moved_forward_by_the_gap_and_says_so() -> None:
    skipped = event("2026-03-08T02:30:00", "America/New_York")
    (only,) = occurrences(skipped)

    assert describe_occurrence(skipped, only) == {
        "start": "2026-03-08T07:30:00Z",
        "startLocal": "2026-03-08T03:30:00-04:00",
        "end": "2026-03-08T08:30:00Z",
        "endLocal": "2026-03-08T04:30:00-04:00",
        "note": "2026-03-08T02:30:00 does not exist in America/New_York: clocks go forward then;"
        " moved forward by the gap to 2026-03-08T03:30:00",
    }


def test_of_a_time_that_comes_twice_the_first_is_meant_and_it_says_so() -> None:
    twice = event("2026-11-01T01:30:00", "America/New_York")
    (only,) = occurrences(twice)
    told = describe_occurrence(twice, only)

    assert told["start"] == "2026-11-01T05:30:00Z"
    assert told["note"] == (
        "2026-11-01T01:30:00 comes twice in America/New_York: clocks go back then;"
        " the first is meant (2026-11-01T01:30:00-04:00)"
    )


def test_only_the_occurrence_in_the_gap_of_a_series_is_moved() -> None:
    nightly = event("2026-03-07T02:30:00", "America/New_York", "FREQ=DAILY;COUNT=3")

    assert local(nightly) == ["2026-03-07T02:30:00-05:00", "2026-03-08T03:30:00-04:00", "2026-03-09T02:30:00-04:00"]
    assert ["note" in describe_occurrence(nightly, o) for o in occurrences(nightly)] == [False, True, False]


def test_durations_are_elapsed_seconds_across_a_change_of_clocks() -> None:
    through = event("2026-03-08T01:30:00", "America/New_York")
    (only,) = occurrences(through)

    assert only.duration == 3600.0
    assert describe_occurrence(through, only)["endLocal"] == "2026-03-08T03:30:00-04:00"


def test_a_postponed_time_in_the_gap_says_so() -> None:
    moved = event(
        "2026-03-01T20:00:00",
        "America/New_York",
        changes=[{"occurrence": "2026-03-01T20:00:00", "postponedTo": "2026-03-08T02:30:00"}],
    )
    (only,) = occurrences(moved)

    assert describe_occurrence(moved, only)["note"].startswith("2026-03-08T02:30:00 does not exist")


def test_excluded_days_and_full_starts_do_not_take_place() -> None:
    weekly = event(
        "2026-11-10T20:00:00",
        "Asia/Shanghai",
        "FREQ=WEEKLY;BYDAY=TU,TH;COUNT=5",
        exclude=["2026-11-12", "2026-11-17T20:00:00"],
    )

    assert [start[:10] for start in local(weekly)] == ["2026-11-10", "2026-11-19", "2026-11-24"]


def test_changes_move_extend_and_cancel_occurrences_by_their_announced_start() -> None:
    weekly = event(
        "2026-11-10T20:00:00",
        "Asia/Shanghai",
        "FREQ=WEEKLY;COUNT=4",
        changes=[
            {"occurrence": "2026-11-10T20:00:00", "postponedTo": "2026-11-11T21:00:00", "extendedBySeconds": 600},
            {"occurrence": "2026-11-17T20:00:00", "cancelled": True},
            {"occurrence": "2026-11-24T20:00:00", "extendedBySeconds": 1800},
        ],
    )

    assert local(weekly) == ["2026-11-11T21:00:00+08:00", "2026-11-24T20:00:00+08:00", "2026-12-01T20:00:00+08:00"]
    assert [o.duration for o in occurrences(weekly)] == [4200.0, 5400.0, 3600.0]


def test_an_event_without_recurrence_can_be_cancelled_and_postponed_too() -> None:
    start = "2026-11-10T20:00:00"
    cancelled = event(start, "Asia/Shanghai", changes=[{"occurrence": start, "cancelled": True}])
    later = [{"occurrence": start, "postponedTo": "2026-11-10T21:00:00"}]

    assert occurrences(cancelled) == ()
    assert cancelled.next_occurrence(0.0) is None
    assert local(event(start, "Asia/Shanghai", changes=later)) == ["2026-11-10T21:00:00+08:00"]


def test_an_event_without_recurrence_gives_the_same_announcement_object_each_time() -> None:
    once = event("2026-11-10T20:00:00", "Asia/Shanghai")

    assert once.announcement(0, 1) is once.announcement(1e9, 2e9)


def test_the_next_occurrence_is_the_running_one_until_it_ends() -> None:
    weekly = event("2026-11-10T20:00:00", "Asia/Shanghai", "FREQ=WEEKLY;COUNT=2")
    first, second = occurrences(weekly)

    assert weekly.next_occurrence(0.0) == first
    assert weekly.next_occurrence(first.start + 3599) == first
    assert weekly.next_occurrence(first.start + 3600) == second
    assert weekly.next_occurrence(second.start + 3600) is None


def test_the_next_occurrence_is_found_across_leap_years_and_decades() -> None:
    leap = event("2024-02-29T20:00:00", "UTC", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29")
    daily = event("2000-01-01T20:00:00", "UTC", "FREQ=DAILY;INTERVAL=2")

    found = leap.next_occurrence(datetime(2025, 1, 1).timestamp())
    assert found is not None
    assert describe_occurrence(leap, found)["start"] == "2028-02-29T20:00:00Z"
    late = daily.next_occurrence(4_000_000_000.0)
    assert late is not None
    assert 4_000_000_000 - 3600 < late.start < 4_000_000_000 + 2 * 86_400


def test_a_window_holds_occurrences_whose_moments_or_ramp_reach_into_it() -> None:
    spec = {
        "schedule": {
            "startTime": "2026-11-10T20:00:00",
            "timeZone": "UTC",
            "durationSeconds": 3600,
            "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=2"},
        },
        "expected": {"orders_per_second": 10},
        "moments": [
            {
                "name": "refunds",
                "signal": "refunds",
                "anchor": "End",
                "lagSeconds": 7200,
                "durationSeconds": 60,
                "level": 5,
            }
        ],
        "policyRef": {"name": "any"},
    }
    parsed = parse_live_event({"metadata": {"name": "sale"}, "spec": spec})
    first = occurrences(parsed)[0]
    end = first.start + 3600

    assert parsed.announcement(end + 7200, end + 7230).occurrences == (first,)
    assert parsed.announcement(end + 3 * 7200, end + 4 * 7200).occurrences == ()


def test_until_is_a_local_day_or_a_utc_instant() -> None:
    by_day = event("2026-11-10T20:00:00", "America/New_York", "FREQ=DAILY;UNTIL=20261112")
    # 20:00 in New York is 01:00 UTC of the next day: this instant is a second too early for the 12th.
    by_instant = event("2026-11-10T20:00:00", "America/New_York", "FREQ=DAILY;UNTIL=20261113T005959Z")

    assert [start[:10] for start in local(by_day)] == ["2026-11-10", "2026-11-11", "2026-11-12"]
    assert [start[:10] for start in local(by_instant)] == ["2026-11-10", "2026-11-11"]


@pytest.mark.parametrize("text", ["freq=weekly;byday=tu", "RRULE:FREQ=WEEKLY;BYDAY=TU", "FREQ=MONTHLY;BYDAY=2TU"])
def test_rules_are_read_as_rfc_5545_writes_them(text: str) -> None:
    assert parse_rule(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "FREQ",
        "FREQ=",
        "FREQ=WEEKLY;FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=1TU",
        "FREQ=DAILY;BYMONTHDAY=0",
        "\x00",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=367",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;WKST=XX",
        "FREQ=DAILY;X=1",
    ],
)
def test_rules_that_are_not_ours_are_refused_in_words(text: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(text)

    assert refused.value.wrong
    assert refused.value.right
