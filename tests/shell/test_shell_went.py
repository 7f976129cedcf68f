"""What an event's status says of the past: ready since when, how the last occurrence went, when it was looked at."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from test_shell_reporter import FULL, READY, SHOW, T0, Noon, Wall, live_event, scaling_policy

from tidegate.control.loop import Beat
from tidegate.planning.decision import Outcome, Plan, Verdict
from tidegate.planning.model import Key
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World
from tidegate.ports import Json
from tidegate.shell.reporter import Reporter
from tidegate.shell.store import WatchedStore
from tidegate.shell.went import CLOSE, LOOKED_EVERY, looks

LENGTH = 3600.0
LATE = Verdict(Outcome.LATE, Reason.LATE, "order: 1 of 2 ready", T0, ready_at=T0 + 30.0)


class Clock(Noon):
    """Says what it is set to."""

    def __init__(self) -> None:
        self.at = T0 - 600.0

    def now(self) -> float:
        return self.at


class Evening:
    """One event, told of by beats; what its status says then."""

    def __init__(self, status: Json | None = None) -> None:
        self.clock, self.wall = Clock(), Wall()
        self.store = WatchedStore(self.clock.now)
        self.store.put_policy(scaling_policy())
        self.store.put_event(live_event())
        self.reporter = Reporter(self.store, self.wall, self.wall, self.clock)
        self.reporter.arrived(SHOW, status)

    def beat(self, at: float, *verdicts: Verdict) -> Json:
        """A beat with this verdict, or without any."""
        self.clock.at = at
        plan = Plan(at, {}, dict.fromkeys([SHOW], *verdicts) if verdicts else {}, (), None)
        self.reporter.report(Beat(at, World({}, self.store.announcements()), plan, (), (), True, 0, None))
        return self.wall.status

    def on_time(self) -> tuple[str, str, str]:
        (found,) = (c for c in self.wall.status["conditions"] if c["type"] == "OnTime")
        return found["status"], found["reason"], found["message"]


def test_after_the_event_the_status_says_how_it_went() -> None:
    evening = Evening()
    evening.beat(T0 - 600.0, replace(READY))
    evening.beat(T0 + 60.0, READY)
    shown = evening.beat(T0 + LENGTH + 1.0)
    assert shown["outcome"] == "Over"
    assert shown["readyTime"] is None
    assert shown["lastOccurrence"] == {
        "start": "2026-11-09T16:00:00Z",
        "outcome": "Ready",
        "message": "order: 2 of 2 ready",
        "readyTime": "2026-11-09T15:50:00Z",
    }
    story = (
        "The occurrence of 2026-11-09T16:00:00Z was Ready, all of it ready at 2026-11-09T15:50:00Z: order: 2 of 2 ready"
    )
    assert evening.on_time() == ("True", "Over", story)
    assert shown["verdict"] == story


def test_an_event_that_was_blocked_to_the_end_is_not_called_ready_afterwards() -> None:
    evening = Evening()
    for at in (T0 - 20.0, T0 - 10.0):
        evening.beat(at, FULL)
    shown = evening.beat(T0 + LENGTH + 1.0)
    assert shown["lastOccurrence"]["outcome"] == "Blocked"
    assert "readyTime" not in shown["lastOccurrence"]
    assert evening.on_time()[0] == "False"


@pytest.mark.parametrize(("bad", "want"), [(LATE, "Late"), (FULL, "Blocked")])
def test_what_was_late_at_its_opening_is_not_called_on_time_afterwards(bad: Verdict, want: str) -> None:
    evening = Evening()
    for at in (T0 - 20.0, T0 - 10.0):
        evening.beat(at, bad)
    shown = evening.beat(T0 + 96.0, READY)
    assert (shown["outcome"], evening.on_time()[0]) == ("Ready", "True"), "by now"
    assert (shown["lastOccurrence"]["outcome"], shown["lastOccurrence"]["message"]) == (want, bad.message)
    over = evening.beat(T0 + LENGTH + 1.0)
    assert (over["lastOccurrence"]["outcome"], over["lastOccurrence"]["readyTime"]) == (want, "2026-11-09T16:01:36Z")
    assert evening.on_time()[0] == "False"
    assert evening.on_time()[2].startswith(f"The occurrence of 2026-11-09T16:00:00Z was {want}, all of it ready at ")


def test_of_what_was_told_while_it_was_on_the_worst_is_kept() -> None:
    evening = Evening()
    for at, verdict in enumerate((LATE, LATE, FULL, FULL, LATE, LATE, READY)):
        shown = evening.beat(T0 + 60.0 * at, verdict)
    assert shown["lastOccurrence"]["outcome"] == "Blocked"


@pytest.mark.parametrize("at", [T0 - 1.0, T0 + 4.0])
def test_what_was_bad_and_is_mended_by_t0_is_no_word_on_how_it_went(at: float) -> None:
    evening = Evening()
    for before in (T0 - 20.0, T0 - 10.0):
        evening.beat(before, FULL)
    evening.beat(at, READY)
    assert evening.beat(T0 + LENGTH + 1.0)["lastOccurrence"]["outcome"] == "Ready"


def test_the_next_life_knows_what_was_told_while_it_was_on() -> None:
    first = Evening()
    for at in (T0 - 20.0, T0 - 10.0):
        shown = first.beat(at, LATE)
    second = Evening(shown)
    shown = second.beat(T0 + 60.0, READY)
    third = Evening(shown)
    third.beat(T0 + 120.0, READY)
    over = third.beat(T0 + LENGTH + 1.0)["lastOccurrence"]
    assert (over["outcome"], over["message"]) == ("Late", LATE.message)


def test_an_event_that_was_put_off_before_it_began_has_not_gone_in_any_way() -> None:
    evening = Evening()
    evening.beat(T0 - 600.0, READY)
    assert evening.beat(T0 - 300.0)["lastOccurrence"] is None


def test_the_next_evening_of_a_series_keeps_how_the_last_one_went() -> None:
    evening = Evening()
    evening.beat(T0 + 60.0, READY)
    tomorrow = replace(FULL, starts_at=T0 + 86_400.0)
    for at in (1.0, 10.0):
        shown = evening.beat(T0 + 82_800.0 + at, tomorrow)
    assert shown["outcome"] == "Blocked"
    assert shown["lastOccurrence"]["outcome"] == "Ready"


def test_since_when_it_is_ready_is_since_when_all_of_it_is() -> None:
    evening = Evening()
    assert evening.beat(T0 - 600.0, READY)["readyTime"] == "2026-11-09T15:50:00Z"
    assert evening.beat(T0 - 300.0, READY)["readyTime"] == "2026-11-09T15:50:00Z"
    for at in (T0 - 200.0, T0 - 190.0):
        shown = evening.beat(at, LATE)
    assert shown["readyTime"] is None
    assert evening.beat(T0 - 100.0, READY)["readyTime"] == "2026-11-09T15:58:20Z"


def test_what_is_enough_an_hour_ahead_is_not_all_of_it() -> None:
    """Two of two are ready, and forty more are written two minutes before they are needed."""
    evening = Evening()
    assert evening.beat(T0 - 3000.0, replace(READY, whole=False))["readyTime"] is None
    rising = Verdict(Outcome.READY, Reason.ON_PLAN, "order: 2 of 42 ready, the rest is expected in time", T0)
    assert evening.beat(T0 - 110.0, rising)["readyTime"] is None
    there = replace(READY, message="order: 42 of 42 ready")
    assert evening.beat(T0 - 24.0, there)["readyTime"] == "2026-11-09T15:59:36Z"


def test_a_level_that_rises_in_mid_show_in_time_takes_nothing_back() -> None:
    evening = Evening()
    evening.beat(T0 - 600.0, READY)
    rising = Verdict(Outcome.READY, Reason.ON_PLAN, "order: 2 of 9 ready, the rest is expected in time", T0)
    unseen = Verdict(Outcome.UNKNOWN, Reason.NOT_SEEN_LATELY, "order: not seen for 40 s", T0)
    for number, verdict in enumerate((rising, rising, unseen, unseen, READY)):
        shown = evening.beat(T0 + 60.0 + 20.0 * number, verdict)
    assert shown["readyTime"] == "2026-11-09T15:50:00Z"
    assert evening.beat(T0 + LENGTH + 1.0)["lastOccurrence"]["readyTime"] == "2026-11-09T15:50:00Z"


def test_what_is_only_on_plan_is_not_ready_yet() -> None:
    evening = Evening()
    on_plan = Verdict(Outcome.READY, Reason.ON_PLAN, "order: 2 of 9 ready, the rest is expected in time", T0)
    assert evening.beat(T0 - 600.0, on_plan)["readyTime"] is None


def test_the_next_life_takes_from_the_object_what_it_has_not_seen_itself() -> None:
    first = Evening()
    first.beat(T0 - 600.0, READY)
    second = Evening(first.wall.status)
    assert second.beat(T0 + 60.0, READY)["readyTime"] == "2026-11-09T15:50:00Z"
    over = second.beat(T0 + LENGTH + 1.0)
    third = Evening()
    third.beat(T0 + LENGTH + 60.0)
    third.reporter.arrived(SHOW, over)
    assert third.wall.status["lastOccurrence"] == over["lastOccurrence"]
    assert third.on_time() == second.on_time()


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        "x",
        {"lastOccurrence": 3},
        {"lastOccurrence": {"start": "x"}},
        {"lastOccurrence": {"outcome": 7}},
        {"readyTime": "soon", "nextOccurrence": {"start": 4}},
        {"readyTime": "x"},
    ],
)
def test_a_status_that_cannot_be_understood_is_nothing_seen(status: object) -> None:
    evening = Evening()
    evening.reporter.arrived(SHOW, status)
    assert evening.beat(T0 - 600.0, READY)["readyTime"] == "2026-11-09T15:50:00Z"
    assert evening.beat(T0 - 500.0)["lastOccurrence"] is None


# ---- the last look


def test_an_event_that_runs_or_begins_soon_says_when_it_was_looked_at() -> None:
    evening = Evening()
    assert evening.beat(T0 - CLOSE - 100.0, READY)["lookedAt"] is None
    ages = []
    for number in range(60):
        at = T0 - 600.0 + 2.0 * number
        looked = evening.beat(at, READY)["lookedAt"]
        assert looked is not None
        ages.append(looked)
    assert len(set(ages)) == 2 * 60 / LOOKED_EVERY + 1
    assert evening.beat(T0 + LENGTH + 1.0)["lookedAt"] is None


def test_where_too_many_run_at_once_nobody_pays_for_it() -> None:
    verdicts = {Key("shop", f"show-{n}"): READY for n in range(100)}
    assert len(looks(verdicts, T0, most=99)) == 99
    found = looks(verdicts, T0, most=100)
    assert found.keys() == verdicts.keys()
    assert all(T0 - LOOKED_EVERY < at <= T0 for at in found.values())
    assert len(set(found.values())) > 20, "not all at one instant"


def test_a_namespace_of_many_events_takes_the_last_look_from_nobody_else() -> None:
    crowd = {Key("crowd", f"show-{n}"): READY for n in range(1000)}
    few = {Key(namespace, "show"): READY for namespace in ("a", "shop", "z")}
    found = looks({**crowd, **few}, T0, most=50)
    assert len(found) == 50
    assert few.keys() <= found.keys()


def test_what_is_only_looked_at_again_waits_behind_what_is_new() -> None:
    evening = Evening()
    evening.beat(T0 - 600.0, READY)
    evening.beat(T0 - 540.0, READY)
    assert evening.wall.looked == [False]


# ---- a clock that was ahead


AHEAD = 10 * 86_400.0


def test_a_worse_verdict_does_not_wait_until_a_clock_that_was_set_back_catches_up() -> None:
    evening = Evening()
    evening.beat(T0 - 600.0, READY)
    evening.beat(T0 - 590.0 + AHEAD, FULL)
    assert evening.beat(T0 - 580.0, FULL)["outcome"] == "Blocked"


def test_what_was_shown_by_a_clock_that_was_ahead_is_shown_anew_once_it_is_set_back() -> None:
    evening = Evening()
    weekly = {**live_event()["spec"]["schedule"], "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=8"}}
    evening.store.put_event(live_event(schedule=weekly))
    evening.beat(T0 - 3 * 86_400.0 + AHEAD)
    evening.reporter.arrived(SHOW)
    assert evening.wall.status["nextOccurrence"]["start"] == "2026-11-16T16:00:00Z"
    assert swept(evening, T0 - 3 * 86_400.0)["nextOccurrence"]["start"] == "2026-11-09T16:00:00Z"
    shown = len(evening.wall.texts) + len(evening.wall.looked)
    swept(evening, T0 - 3 * 86_400.0 + 1.0)
    assert len(evening.wall.texts) + len(evening.wall.looked) == shown, "and then it stays"


# ---- between two leaders


def swept(evening: Evening, at: float) -> Json:
    """The status after the sweep that a new leader begins with."""
    evening.clock.at = at
    asyncio.run(evening.reporter._sweep())
    return evening.wall.status


def test_what_the_last_leader_told_stands_until_the_next_one_has_looked_twice() -> None:
    first = Evening()
    for at in (T0 - 600.0, T0 - 590.0):
        shown = first.beat(at, FULL)
    second = Evening(shown)
    assert second.beat(T0 - 500.0, FULL) == {}
    assert swept(second, T0 - 499.5) == {}, "nothing is written over it"
    assert second.beat(T0 - 498.0, FULL)["outcome"] == "Blocked"


def test_it_does_not_stand_for_long_without_a_word_of_the_next_one() -> None:
    first = Evening()
    second = Evening(first.beat(T0 - 600.0, READY))
    second.beat(T0 - 500.0)
    assert swept(second, T0 - 471.0) == {}
    assert swept(second, T0 - 469.0)["outcome"] == "Armed"
    assert second.on_time() == ("Unknown", "NotJudgedYet", "The verdict is being worked out.")


def test_a_verdict_on_another_occurrence_does_not_stand() -> None:
    shown = Evening().beat(T0 - 600.0, replace(READY, starts_at=T0 - 7 * 86_400.0))
    shown = {**shown, "nextOccurrence": {"start": "2026-11-02T16:00:00Z"}}
    second = Evening(shown)
    second.beat(T0 - 500.0)
    assert swept(second, T0 - 499.0)["outcome"] == "Armed"
