"""What is told as the next change is one that will be made; where none will be made, the reason is told instead."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.decision import TargetPlan
from tidegate.planning.model import Observed, Trouble
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.model import Lane, Pool
from tidegate.planning.upcoming import next_change, why_no_change
from tidegate.planning.whole import plan_whole
from tidegate.planning.world import PoolWorld, World

KEY = (CORE, "order")
BEFORE = T0 - 3600.0


def plan_of(w: World, now: float = BEFORE) -> TargetPlan:
    return make_plan(w, now).targets[KEY]


def test_a_raise_that_will_be_made_is_the_next_change() -> None:
    plan = plan_of(world(event()))
    assert next_change(plan) == (plan.next_at, 10)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_target_that_cannot_be_driven_has_no_next_change_and_says_why(trouble: Trouble) -> None:
    seen = Observed(level=2, ready=2, desired=2, trouble=trouble, note="Deployment/order is somebody else's")
    plan = plan_of(world(event(), observed={KEY: seen}))
    assert next_change(plan) is None
    assert why_no_change(plan) == seen.note
    assert plan.next_at is not None, "readers still look at it by then"


def test_a_target_whose_level_nobody_knows_has_no_next_change() -> None:
    plan = plan_of(world(event(), observed={KEY: Observed()}))
    assert next_change(plan) is None
    assert "None" not in why_no_change(plan)


def test_a_stopped_operator_has_no_next_change() -> None:
    plan = plan_of(replace(world(event()), stopped=True))
    assert next_change(plan) is None
    assert "tidegate resume" in why_no_change(plan)


def test_a_raise_that_a_pool_will_refuse_is_no_next_change() -> None:
    def told(cores: int) -> TargetPlan:
        unit = Resources(1000, 1024)
        pool = Pool("p", (Lane("trading", 20, frozenset({NS})), Lane("data", 10)))
        core, show = policy(target(lane="trading"), pool="p"), event()
        there = {KEY: Observed(level=2, ready=2, desired=2, unit=unit)}
        pools = {"p": PoolWorld(pool, PoolSeen(unit.times(cores)))}
        w = World({CORE: core}, {show.key: show}, there, pools=pools)
        return plan_whole(Planner(w.settings), w, BEFORE)[1].targets[KEY]

    assert next_change(told(50)) is not None
    assert next_change(told(5)) is None
    assert "the pool does not carry what is needed then: " in why_no_change(told(5))


def test_where_nothing_is_announced_that_is_the_reason() -> None:
    plan = plan_of(world())
    assert next_change(plan) is None
    assert "nothing that is announced" in why_no_change(plan)
