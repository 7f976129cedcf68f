"""The next step down is told as it will happen: it is shown, and a status that moves on with the clock never rests."""

from __future__ import annotations

import pytest
from worlds import CORE, T0, event, target, world

from tidegate.planning.decision import Action, TargetPlan
from tidegate.planning.model import LoanState, Observed
from tidegate.planning.plan import make_plan
from tidegate.planning.world import World

KEY = (CORE, target().name)
HELD = Observed(level=10, ready=10, desired=10, loan=LoanState(2, 10, T0, T0))


def plan_of(w: World, now: float) -> TargetPlan:
    return make_plan(w, now).targets[KEY]


@pytest.mark.parametrize("passed", [60.0, 600.0, 1800.0])
def test_the_next_step_down_stands_where_it_will_happen_however_early_it_is_asked_for(passed: float) -> None:
    w = world(event(), observed={KEY: HELD})
    told = plan_of(w, T0 + passed)
    assert told.next_at == T0 + 3600.0 + 60.0
    assert plan_of(w, told.next_at - 1.0).action is Action.NOTHING
    done = plan_of(w, told.next_at)
    assert (done.action, done.level) == (Action.LOWER, told.next_level)


def test_a_need_that_comes_back_within_the_hold_is_no_step_down() -> None:
    again = event(name="again", start=T0 + 3645.0, duration=600.0)
    w = world(event(), again, observed={KEY: HELD})
    assert plan_of(w, T0 + 60.0).next_at == T0 + 3645.0 + 600.0 + 60.0


def test_a_need_that_goes_on_for_longer_than_is_known_has_no_step_down() -> None:
    w = world(event(duration=30 * 86_400.0), observed={KEY: HELD})
    assert plan_of(w, T0 + 60.0).next_at is None
