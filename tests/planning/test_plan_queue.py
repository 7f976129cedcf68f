"""Whose units stand in the queue of pods that a cluster creates: what may really be created, by facts that stand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, T0, event, policy, target, world

from tidegate.planning.decision import Action, TargetPlan
from tidegate.planning.model import Key, Mode, Observed, PlanSettings, Policy
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.world import World

ORDER = (CORE, "order")
OTHER = Key("elsewhere", "big")
BIG = (OTHER, "big")
NOW = T0 - 6 * 3600.0


def beside(mode: Mode, *, maximum: int = 1_000_000, ceiling: int | None = None) -> World:
    """A show that needs 10 units, beside one in another namespace that announces a hundred million."""
    announced = replace(event(), key=Key("elsewhere", "slip"), policy="big", expected=(("orders", 1e8),))
    others = Policy(OTHER, (target("big", maximum=maximum),), mode=mode)
    made = world(event(), announced, policies=(policy(), others))
    seen = {**made.observed, BIG: Observed(level=2, ready=2, desired=2, maximum=ceiling)}
    return replace(made, observed=seen, settings=PlanSettings(creation_rate=20.0, fail_over=0.0, reaction=0.0))


def of_order(w: World) -> TargetPlan:
    return make_plan(w, NOW).targets[ORDER]


def test_what_only_observes_makes_nobody_early() -> None:
    alone = replace(beside(Mode.OBSERVE), announcements={event().key: event()})
    assert of_order(beside(Mode.OBSERVE)) == of_order(alone)


def test_what_acts_stands_in_the_queue_as_far_as_its_max_lets_it() -> None:
    alone, large, small = (
        of_order(w) for w in (beside(Mode.OBSERVE), beside(Mode.ENFORCE), beside(Mode.ENFORCE, maximum=200))
    )
    assert alone.next_at is not None
    assert (alone.action, large.action) == (Action.NOTHING, Action.RAISE), "six hours ahead"
    assert small.next_at is not None
    assert alone.next_at - 200 / 20.0 - 15.0 <= small.next_at < alone.next_at


@pytest.mark.parametrize("ceiling", [0, 1, 200])
def test_an_autoscalers_maximum_bounds_what_may_be_created(ceiling: int) -> None:
    assert of_order(beside(Mode.ENFORCE, ceiling=ceiling)) == of_order(beside(Mode.ENFORCE, maximum=max(ceiling, 1)))


def test_a_planner_that_remembers_sees_a_maximum_that_changed() -> None:
    planner = Planner(PlanSettings(creation_rate=20.0, fail_over=0.0, reaction=0.0))
    for ceiling in (200, 100_000, None, 50):
        w = beside(Mode.ENFORCE, ceiling=ceiling)
        assert planner.plan(w, NOW).targets[ORDER] == of_order(w)
