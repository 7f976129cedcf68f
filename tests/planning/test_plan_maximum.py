"""A need above the policy's max: the verdict says so, and long before T-0 so does what is foretold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, moment, policy, signal, target, world

from tidegate.planning.decision import Outcome
from tidegate.planning.explain import own_share
from tidegate.planning.foretold import foretold
from tidegate.planning.model import OURS, Announcement, Freshness, Key, LoanState, Observed, Policy, Reading, Ref
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason

KEY, SHOW = (CORE, "order"), Key(NS, "show")
POLICY = Ref(OURS, "ScalingPolicy", NS, "core")
HPA = Ref("autoscaling/v2", "HorizontalPodAutoscaler", NS, "order")
SMALL = policy(target("pay"), target("order", maximum=6))


def seen(level: int = 2, **given: object) -> dict[tuple[Key, str], Observed]:
    there = Observed(level=level, ready=level, desired=level, **given)  # type: ignore[arg-type]
    return {KEY: there, (CORE, "pay"): Observed(level=2, ready=2, desired=2)}


def test_a_need_above_the_policys_max_blocks_an_hour_ahead_with_both_numbers() -> None:
    told = make_plan(world(event(), policies=(SMALL,)), T0 - 3590.0).verdicts[SHOW]
    assert (told.outcome, told.reason, told.target) == (Outcome.BLOCKED, Reason.POLICY_MAXIMUM, "order")
    assert (told.object, told.field) == (POLICY, "spec.targets[1].max")
    assert told.message == "order: 10 units will be needed, but the policy's max is 6 (ScalingPolicy/core)"


def test_a_need_of_just_the_max_blocks_nothing() -> None:
    just = policy(target(maximum=10))
    assert make_plan(world(event(), policies=(just,)), T0 - 3590.0).verdicts[SHOW].outcome is Outcome.READY


def test_two_events_that_fit_alone_may_not_fit_together() -> None:
    w = world(event(level=500.0), event("other", level=400.0, start=T0 + 600.0), policies=(SMALL,))
    told = make_plan(w, T0 - 1800.0).verdicts
    assert {one.reason for one in told.values()} == {Reason.POLICY_MAXIMUM}
    assert "9 units will be needed" in told[SHOW].message


def test_another_event_later_that_needs_more_blocks_only_itself() -> None:
    w = world(event(level=500.0), event("other", start=T0 + 4500.0, level=900.0), policies=(SMALL,))
    there = Observed(level=5, ready=5, desired=5)
    told = make_plan(replace(w, observed={KEY: there, (CORE, "pay"): there}), T0 + 1000.0).verdicts
    assert (told[SHOW].reason, told[Key(NS, "other")].reason) == (Reason.READY, Reason.POLICY_MAXIMUM)


def test_what_the_owner_has_beyond_the_max_is_there_all_the_same() -> None:
    w = world(event(), policies=(SMALL,), observed=seen(10))
    assert make_plan(w, T0 - 3590.0).verdicts[SHOW].outcome is Outcome.READY
    w = world(event(), policies=(SMALL,), observed=seen(8))
    assert make_plan(w, T0 - 3590.0).verdicts[SHOW].reason is Reason.POLICY_MAXIMUM


def test_measured_demand_above_the_max_is_told_while_the_event_is_on() -> None:
    small = policy(target(maximum=12), signals=(signal(),))
    loan = LoanState(2, 12, T0 - 300.0, T0 - 300.0, T0 + 9000.0)
    there = {KEY: Observed(level=12, ready=12, desired=12, loan=loan)}
    for demand, want in ((1100.0, Reason.READY), (3000.0, Reason.POLICY_MAXIMUM)):
        readings = {(CORE, "orders"): Reading(Freshness.FRESH, demand, T0 + 60.0, confirmed=demand)}
        w = world(event(), policies=(small,), observed=there, readings=readings)
        assert make_plan(w, T0 + 60.0).verdicts[SHOW].reason is want


# ---- long before


def known(one: Announcement, by: Policy = SMALL, there: Observed | None = None) -> tuple[Reason, str, str] | None:
    found = foretold(one, by, own_share(one, by, cell=15.0), {"order": there} if there else {}, one.occurrences[0][0])
    return (found.reason, str(found.object), found.message) if found is not None else None


def test_a_max_below_the_event_is_known_from_acceptance_on() -> None:
    assert known(event()) == (
        Reason.POLICY_MAXIMUM,
        "ScalingPolicy/core",
        "order: 10 units will be needed, but the policy's max is 6 (ScalingPolicy/core)",
    )
    assert known(event(level=600.0)) is None


@pytest.mark.parametrize(("most", "want"), [(4, Reason.SCALER_MAXIMUM), (8, Reason.POLICY_MAXIMUM)])
def test_of_two_maxima_the_lower_one_is_named(most: int, want: Reason) -> None:
    found = known(event(), there=Observed(level=2, ready=2, desired=2, maximum=most, scaler=HPA))
    assert found is not None
    assert found[0] is want


def test_what_the_owner_has_anyway_is_enough_from_acceptance_on() -> None:
    assert known(event(), there=Observed(level=10, ready=10, desired=10)) is None


def test_an_event_that_nobody_carries_is_known_from_acceptance_on() -> None:
    views = event(expected=(("views", 9.0),))
    assert known(views) == (Reason.NO_TARGET, "ScalingPolicy/core", "no target of core carries views")
    both = event(expected=(("views", 9.0), ("orders", 100.0)), moments=(moment(signal="chats"),))
    assert known(both) is None
