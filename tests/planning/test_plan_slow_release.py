"""However slowly a policy lets go, all that was lent comes back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, T0, policy, target, world

from tidegate.planning.decision import Action
from tidegate.planning.foresee import foresee
from tidegate.planning.model import LoanState, Observed
from tidegate.planning.plan import make_plan
from tidegate.planning.world import World

KEY = (CORE, "order")


def lent(level: int, original: int, percent: int) -> World:
    """A loan that no event needs any more."""
    held = Observed(level=level, ready=level, desired=level, loan=LoanState(original, level, T0 - 3600.0, T0 - 3600.0))
    slow = policy(target(), hold=0.0, rate=percent / 100)
    return world(policies=(slow,), observed={KEY: held})


@pytest.mark.parametrize("percent", [1, 2, 3, 4])
def test_a_step_of_less_than_two_percent_is_taken_where_no_larger_one_is_let_go(percent: int) -> None:
    plan = make_plan(lent(1000, 10, percent), T0).targets[KEY]
    assert (plan.action, plan.level) == (Action.LOWER, 1000 - percent * 10 // 2)


@settings(max_examples=60)
@given(percent=st.integers(1, 100), level=st.integers(3, 3000))
def test_whatever_the_pace_the_last_step_is_the_return(percent: int, level: int) -> None:
    found = foresee(lent(level, 2, percent), T0, T0 + 8 * 3600.0, most=2_000)
    assert found[-1].step.action is Action.RETURN
    assert found[-1].at - T0 <= 2.5 * 6000.0 / percent + 60.0, "its share a minute, rounded down to whole units"
