"""Steps of units that start one after the other: each is written when its own units have to begin, and never late."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, NS, T0, Obedient, event, moment, policy, target, world

from tidegate.planning.decision import Action, Plan
from tidegate.planning.foresee import foresee
from tidegate.planning.model import Announcement, Evidence, Key, LeadTimeGuess, Observed, Ref
from tidegate.planning.reasons import Reason

KEY = (CORE, "order")
EACH = 30.0
CELL = 15.0
SLACK = 1.0
QUEUES = 2.0
"""Seconds that a lead holds for the creation and the writing of a few units."""


@dataclass
class InARow(Obedient):
    """The units of a level become ready one after the other, each as long after the one before it."""

    begun: float = math.inf
    """Since when the unit whose turn it is has been starting."""

    def at(self, now: float) -> Plan:
        seen = self.world.observed[KEY]
        ready, level = seen.ready or 0, seen.level or 0
        self.begun = min(self.begun, now) if ready < level else math.inf
        while ready < level and self.begun + EACH <= now:
            ready, self.begun = ready + 1, self.begun + EACH
        said = Evidence(
            Reason.PODS_NEVER_READY, Ref("v1", "Pod", NS, "order"), "", "is starting", self.begun, self.begun
        )
        ready, evidence = min(ready, level), (said,) if ready < level else ()
        seen = replace(seen, ready=ready, desired=level, evidence=evidence)
        self.world = replace(self.world, observed={KEY: seen})
        return super().at(now)

    def _write(self, key: tuple[Key, str], action: Action, level: int, now: float) -> None:
        super()._write(key, action, level, now)
        self.starting.clear()


@dataclass(frozen=True)
class Write:
    at: float
    before: int
    level: int


def driven(show: Announcement, *, start: float, until: float) -> tuple[list[Write], list[tuple[float, int, int]]]:
    """(each rise, what is needed and ready at each look)."""
    core = policy(target(lead=LeadTimeGuess(EACH)))
    made = world(show, policies=(core,), observed={KEY: Observed(level=2, ready=2, desired=2, ordered=True)})
    stage, rises, seen, now = InARow(made), list[Write](), list[tuple[float, int, int]](), start
    while now < until:
        before = stage.level()
        plan = stage.at(now)
        seen.append((now, plan.targets[KEY].need, stage.ready()))
        if stage.level() > before:
            rises.append(Write(now, before, stage.level()))
        turn = stage.begun + EACH if stage.ready() < stage.level() else math.inf
        soon = min(at for at in (plan.next_at or math.inf, turn, (now // CELL + 1) * CELL) if at > now)
        now = max(soon, now + 1.0)
    return rises, seen


def steps(*more: tuple[float, int, float]) -> Announcement:
    """Six units from T-0 for an hour and a half; more at (seconds after T-0, units, for seconds)."""
    moments = [
        moment(f"step{n}", offset=at, duration=lasts, level=100.0 * units - 50.0, factor=None)
        for n, (at, units, lasts) in enumerate(more)
    ]
    return event(level=550.0, duration=5400.0, moments=tuple(moments))


def test_the_second_step_of_a_row_is_written_when_its_own_units_have_to_begin() -> None:
    rises, _ = driven(steps((600.0, 10, 900.0)), start=T0 - 600.0, until=T0 + 900.0)
    assert [(one.before, one.level) for one in rises] == [(2, 6), (6, 10)]
    assert rises[0].at == pytest.approx(T0 - 4 * EACH, abs=SLACK + QUEUES)
    assert rises[1].at == pytest.approx(T0 + 600.0 - 4 * EACH, abs=SLACK + QUEUES)


def test_the_dry_run_tells_the_steps_of_a_row_as_they_are_written() -> None:
    show = steps((600.0, 10, 300.0), (1200.0, 16, 300.0))
    rises, _ = driven(show, start=T0 - 600.0, until=T0 + 1500.0)
    core = policy(target(lead=LeadTimeGuess(EACH)))
    made = world(show, policies=(core,), observed={KEY: Observed(level=2, ready=2, desired=2, ordered=True)})
    told = [one for one in foresee(made, T0 - 600.0, T0 + 1500.0) if one.step.action is Action.RAISE]
    assert [(one.step.before, one.step.level) for one in told] == [(one.before, one.level) for one in rises]
    assert [one.at for one in told] == pytest.approx([one.at for one in rises], abs=SLACK)


def test_steps_that_follow_too_closely_are_written_with_the_first() -> None:
    """Eight units one after the other take four minutes, whenever the second half of them is asked for."""
    rises, _ = driven(steps((60.0, 10, 900.0)), start=T0 - 600.0, until=T0 + 300.0)
    assert [(one.before, one.level) for one in rises] == [(2, 10)]
    assert rises[0].at == pytest.approx(T0 + 60.0 - 8 * EACH, abs=SLACK + QUEUES)


def test_a_level_does_not_fall_where_the_way_back_would_be_too_long() -> None:
    """Eighteen units for a minute, twenty of them again nine minutes later: two away from there, 14 from below."""
    rises, seen = driven(steps((0.0, 18, 60.0), (600.0, 20, 300.0)), start=T0 - 600.0, until=T0 + 900.0)
    assert [one for one in seen if one[2] < one[1]] == []
    assert [(one.before, one.level) for one in rises] == [(2, 18), (18, 20)]


@settings(max_examples=25, deadline=None)
@given(more=st.lists(st.tuples(st.integers(0, 60), st.integers(3, 20), st.integers(1, 40)), min_size=1, max_size=4))
def test_no_step_of_a_row_is_late_and_none_is_written_before_its_units_have_to_begin(
    more: list[tuple[int, int, int]],
) -> None:
    spans = [(0.0, 6, 5400.0), *((cell * CELL, units, cells * CELL) for cell, units, cells in more)]
    rises, seen = driven(steps(*spans[1:]), start=T0 - 750.0, until=T0 + 960.0)
    assert [one for one in seen if one[2] < one[1]] == [], "late"
    needs = {begin: max(units for at, units, lasts in spans if at <= begin < at + lasts) for begin, _, _ in spans}
    for one in rises:
        above = [(at, units) for at, units in needs.items() if units > one.before]
        due = [(T0 + at - (units - one.before) * EACH - QUEUES, units) for at, units in above]
        assert one.at >= min(due)[0] - SLACK, "the row has to begin"
        assert one.level <= max(units for at, units in due if at <= one.at + EACH + SLACK), "no more than that"
