"""What is there is called enough only where it is: a need that was cut to it keeps what cut it as its reason."""

from __future__ import annotations

import pytest
from worlds import CORE, T0, event, policy, target, world

from tidegate.planning.decision import Outcome, TargetPlan
from tidegate.planning.foresee import foresight
from tidegate.planning.model import LoanState, Observed
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World

KEY = (CORE, "order")
ON = T0 + 60.0


def cut_to_two(by: Reason, *, there: int = 2) -> World:
    """Ten are needed, two may be had."""
    seen = Observed(level=there, ready=there, desired=there, maximum=2 if by is Reason.SCALER_MAXIMUM else None)
    only = target(maximum=2 if by is Reason.POLICY_MAXIMUM else 50, lane="trading")
    chosen = policy(only, pool="big" if by is Reason.POOL_MISSING else None)
    return world(event(), policies=(chosen,), observed={KEY: seen})


def decided(w: World) -> TargetPlan:
    return make_plan(w, ON).targets[KEY]


@pytest.mark.parametrize("by", [Reason.POLICY_MAXIMUM, Reason.SCALER_MAXIMUM, Reason.POOL_MISSING])
def test_a_need_that_is_cut_to_what_is_there_is_not_called_met(by: Reason) -> None:
    w = cut_to_two(by)
    plan, verdict = decided(w), make_plan(w, ON).verdicts[event().key]
    assert (plan.reason, plan.level) == (by, 2)
    assert plan.message.startswith("10 units needed")
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, by)
    assert plan.trail[-1].message == "2 units left of the need, 2 are there anyway"
    assert foresight(w, ON, ON + 60.0).kept[0].reason is by


def test_what_is_there_beyond_a_bound_is_enough() -> None:
    plan = decided(cut_to_two(Reason.POLICY_MAXIMUM, there=12))
    assert (plan.reason, plan.message) == (Reason.ALREADY_ENOUGH, "10 units needed, 12 are there anyway")


def test_an_owners_own_value_is_not_called_the_need_either() -> None:
    loan = LoanState(2, 10, T0 - 400.0, T0 - 400.0, T0 + 9000.0)
    lent = Observed(level=2, ready=2, desired=2, loan=loan)
    plan = decided(world(event(), policies=(policy(target(maximum=2)),), observed={KEY: lent}))
    assert (plan.reason, plan.message) == (Reason.POLICY_MAXIMUM, "10 units needed, cut to the policy's max 2")
