"""The dry run says what the operator will do, step by step: a part of what ``foresight.py`` does by the thousand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from foresight import Told, day, differences, joined, kinds
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.decision import Action
from tidegate.planning.foresee import Foresight, foresight
from tidegate.planning.model import Key, Observed, PlanSettings, Trouble
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.model import Lane, Pool
from tidegate.planning.world import PoolWorld, World

DAYS = [seed for seed in range(2_000_000, 2_000_120) if not day(seed).pools]
POOLED = [seed for seed in range(2_000_000, 2_000_120) if day(seed).pools][:3]


@pytest.mark.parametrize("seed", DAYS[:40])
def test_the_dry_run_says_what_the_operator_does(seed: int) -> None:
    assert list(differences(seed, 4.0)) == []


def test_a_level_that_rises_by_the_second_is_the_same_whoever_looks_two_seconds_later() -> None:
    assert list(differences(2_000_217, 1.0)) == []


def test_only_steps_of_one_kind_within_a_look_are_one() -> None:
    def step(action: str, level: int, at: float) -> Told:
        return "b", "b0", action, level, at

    by_the_second = [step("Raise", 224, 0.0), step("Raise", 226, 1.0), step("Raise", 229, 3.0)]
    assert joined(by_the_second) == [step("Raise", 229, 0.0)]
    apart = [step("Raise", 224, 0.0), step("Lower", 220, 1.0), step("Lower", 210, 4.5)]
    assert joined(apart) == apart


@pytest.mark.parametrize("seed", POOLED)
def test_the_dry_run_says_what_the_operator_does_on_a_pool(seed: int) -> None:
    assert list(differences(seed, 1.0)) == []


def test_these_days_would_notice_a_dry_run_that_says_nothing() -> None:
    assert sum(bool(list(differences(seed, 2.0, foreseen=Foresight()))) for seed in DAYS[:12]) >= 4


def test_these_days_are_about_what_they_say() -> None:
    met = sum((kinds(seed) for seed in DAYS), start=kinds(POOLED[0]))
    assert min(met.values()) >= 1


def pause(until: float, action: OverrideAction = OverrideAction.PAUSE) -> Override:
    return Override(Key(NS, "stop"), "core", None, action, until, "me", "a deploy")


def test_what_a_pause_holds_up_is_shown_for_when_the_pause_ends() -> None:
    w = world(event(), overrides=(pause(T0 + 600.0),))
    found = foresight(w, T0, T0 + 7200.0)
    assert (found.steps[0].at, found.steps[0].step.action) == (T0 + 600.0, Action.RAISE)
    assert (found.kept[0].reason, found.kept[0].needed, found.kept[0].level) == (Reason.OVERRIDE_PAUSE, 10, 2)


def test_a_return_that_a_hold_forbids_is_shown_for_when_the_hold_ends() -> None:
    w = world(event(duration=600.0), overrides=(pause(T0 + 5000.0, OverrideAction.HOLD),))
    found = foresight(w, T0 - 300.0, T0 + 9000.0)
    assert [s.step.action for s in found.steps][-1] is Action.RETURN
    assert found.steps[1].at == T0 + 5000.0


def test_an_event_beyond_the_horizon_comes_into_sight() -> None:
    w = world(event(start=T0 + 30 * 3600.0))
    assert [s.step.action for s in foresight(w, T0, T0 + 48 * 3600.0).steps] == [
        s.step.action for s in foresight(w, T0 + 29 * 3600.0, T0 + 48 * 3600.0).steps
    ]


def test_where_the_look_ends_changes_nothing_of_what_is_seen_before() -> None:
    """A need behind the end still keeps a level, and still has a lead time."""
    w = world(event(duration=600.0), event("again", start=T0 + 700.0, level=900.0))
    short, long = foresight(w, T0 - 300.0, T0 + 680.0), foresight(w, T0 - 300.0, T0 + 9000.0)
    assert short.steps == [s for s in long.steps if s.at < T0 + 680.0]


def test_a_target_that_cannot_be_driven_is_told_with_its_reason() -> None:
    there = Observed(level=2, ready=2, desired=2, trouble=Trouble.MISSING, note="Deployment/order does not exist")
    found = foresight(world(event(), observed={(CORE, "order"): there}), T0 - 600.0, T0 + 600.0)
    assert found.steps == []
    assert [(one.target, one.reason, one.message) for one in found.kept] == [
        ("order", Reason.TARGET_MISSING, there.note)
    ]


def on_pool(cores: int) -> World:
    unit = Resources(1000, 1024)
    pool = Pool("p", (Lane("trading", 20, frozenset({NS})), Lane("data", 10)))
    core = policy(target(lane="trading"), pool="p")
    there = {(CORE, "order"): Observed(level=2, ready=2, desired=2, unit=unit)}
    seen = PoolSeen(unit.times(cores))
    show = event()
    return World({CORE: core}, {show.key: show}, there, pools={"p": PoolWorld(pool, seen)}, settings=PlanSettings())


def test_a_raise_that_a_pool_refuses_is_not_shown_as_coming() -> None:
    found = foresight(on_pool(5), T0 - 600.0, T0 + 7200.0)
    assert max([s.step.level for s in found.steps], default=2) <= 5
    assert [one.needed for one in found.kept][:1] == [10]
    assert "pool" in found.kept[0].message
    assert foresight(on_pool(50), T0 - 600.0, T0 + 7200.0).steps[0].step.level == 10


def test_more_steps_than_are_asked_for_are_said_to_be_more() -> None:
    w = world(event(), policies=(policy(rate=0.1),))
    few = foresight(w, T0 - 600.0, T0 + 7200.0, most=2)
    assert (len(few.steps), few.complete) == (2, False)
    assert foresight(replace(w), T0 - 600.0, T0 + 7200.0).complete


@pytest.mark.parametrize("seed", DAYS[:20])
def test_the_next_step_that_is_told_is_the_next_one_that_is_taken(seed: int) -> None:
    """Of each target in sight, also under a pause, a hold, or while a need is waited for."""
    w = day(seed)
    steps = foresight(w, T0, T0 + 6 * 3600.0).steps
    plan = make_plan(w, T0)
    for key, one in plan.targets.items():
        if w.observed[key].trouble is not None or one.action is not Action.NOTHING:
            continue
        first = next((s for s in steps if (s.step.policy, s.step.target) == key), None)
        taken = (first.at, first.step.level) if first is not None else None
        near = one.next_at is not None and one.next_at < T0 + 6 * 3600.0
        assert (taken is not None) == near
        if taken is not None:
            assert (one.next_at, one.next_level) == (pytest.approx(taken[0], abs=1.5), taken[1])


def test_what_cut_a_need_is_named_and_not_what_left_it_at_that() -> None:
    """After the pool has refused a raise, what is there is enough for what is left of it."""
    found = foresight(replace(on_pool(5), pools={}), T0 - 600.0, T0 + 7200.0)
    assert found.steps == []
    assert [(one.needed, one.level, one.reason) for one in found.kept] == [(10, 2, Reason.POOL_MISSING)]
