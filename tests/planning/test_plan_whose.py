"""Whose shortage a verdict tells of: what is needed while this event is on, by all who ask, boosts and measured demand
included; not what another event lacks hours before or after it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, derived, event, policy, signal, target, world

from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import (
    Evidence,
    Freshness,
    Key,
    LeadTimeGuess,
    LoanState,
    Mode,
    Observed,
    Policy,
    Reading,
    Ref,
    Room,
)
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World

KEY, SHOW, OTHER = (CORE, "order"), Key(NS, "show"), Key(NS, "other")
QUOTA = Room(Ref("v1", "ResourceQuota", NS, "q"), "spec.hard", "pods", left=15.0, each=1.0, units=5)
HPA = Ref("autoscaling/v2", "HorizontalPodAutoscaler", NS, "order")
LENT = Observed(level=10, ready=10, desired=10, loan=LoanState(2, 10, T0 - 400.0, T0 - 400.0, T0 + 9000.0))
AHEAD, SOON, ON = T0 - 3000.0, T0 - 60.0, T0 + 60.0


def told(w: World, at: float, of: Key = SHOW) -> Verdict:
    return make_plan(w, at).verdicts[of]


def said(action: OverrideAction, **given: object) -> Override:
    one = Override(Key(NS, action.value.lower()), CORE.name, None, action, T0 + 7200.0, "ann", "why")
    return replace(one, **given)  # type: ignore[arg-type]


BOOST = said(OverrideAction.BOOST, percent=100)


# ---- what on-call adds is needed


@pytest.mark.parametrize("at", [AHEAD, SOON])
def test_a_boost_above_the_policys_max_is_told_before_t0(at: float) -> None:
    small = policy(target(maximum=15))
    assert told(world(event(), policies=(small,)), at).reason is not Reason.POLICY_MAXIMUM
    boosted = told(replace(world(event(), policies=(small,)), overrides=(BOOST,)), at)
    assert (boosted.outcome, boosted.reason) == (Outcome.BLOCKED, Reason.POLICY_MAXIMUM)
    assert "20 units will be needed, but the policy's max is 15" in boosted.message


@pytest.mark.parametrize("at", [SOON, ON])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"stopped": True}, Reason.STOPPED),
        ({"overrides": (BOOST, said(OverrideAction.PAUSE))}, Reason.OVERRIDE_PAUSE),
    ],
)
def test_what_a_boost_adds_and_nobody_raises_blocks(given: dict[str, object], reason: Reason, at: float) -> None:
    w = replace(world(event(), observed={KEY: LENT}), **({"overrides": (BOOST,)} | given))  # type: ignore[arg-type]
    found = told(w, at)
    assert (found.outcome, found.reason) == (Outcome.BLOCKED, reason)
    assert "20 units are needed, 10 are there, and nobody raises them" in found.message


# ---- what is measured is needed


def crowded(by: Policy, **given: object) -> World:
    """Three times what was announced is measured; ten units are there."""
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, 3000.0, ON, confirmed=3000.0)}
    there = {KEY: replace(LENT, loan=None) if by.mode is Mode.OBSERVE else LENT}
    return replace(world(event(), policies=(by,), observed=there, readings=readings), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "given", "reason"),
    [
        (Mode.OBSERVE, {}, Reason.OBSERVE_ONLY),
        (Mode.ENFORCE, {"stopped": True}, Reason.STOPPED),
        (Mode.ENFORCE, {"overrides": (said(OverrideAction.PAUSE),)}, Reason.OVERRIDE_PAUSE),
    ],
)
def test_measured_demand_that_nobody_follows_blocks(mode: Mode, given: dict[str, object], reason: Reason) -> None:
    found = told(crowded(policy(signals=(signal(),), mode=mode), **given), ON)
    assert (found.outcome, found.reason) == (Outcome.BLOCKED, reason)
    assert "30 units are needed, 10 are there, and nobody raises them" in found.message


def test_measured_demand_above_what_is_ready_is_late_with_the_instant_at_which_it_is_served() -> None:
    found = told(crowded(policy(signals=(signal(),))), ON)
    assert (found.outcome, found.reason) == (Outcome.LATE, Reason.LATE)
    assert found.ready_at == pytest.approx(ON + 30.0, abs=1)
    assert found.message == "order: 10 of 30 ready, measured demand needs 30 now, and the rest is on its way"


def test_what_should_have_been_ready_by_now_takes_its_time_anew() -> None:
    written = replace(LENT, level=30, loan=replace(LENT.loan, highest=30, stepped_at=ON - 40.0))  # type: ignore[type-var]
    found = told(replace(crowded(policy(signals=(signal(),))), observed={KEY: written}), ON)
    assert found.ready_at == pytest.approx(ON + 30.0, abs=1)


def test_what_needs_machines_comes_when_they_have_come() -> None:
    far = policy(target(lead=LeadTimeGuess(30.0, machine_seconds=240.0)), signals=(signal(),))
    crowd = crowded(far)
    for spare, wait in ((20, 30.0), (19, 270.0)):
        found = told(replace(crowd, observed={KEY: replace(LENT, spare_units=spare)}), ON)
        assert found.ready_at == pytest.approx(ON + wait, abs=1)


def test_what_is_kept_of_a_measurement_is_not_expected_in_time() -> None:
    """Thirty were measured, twelve of them are ready, and for minutes nobody has measured anything."""
    blind = Reading(Freshness.STALE, 3000.0, T0 + 90.0, blind_since=T0 + 90.0, confirmed=3000.0)
    there = replace(LENT, level=30, ready=12)
    w = world(
        event(), policies=(policy(signals=(signal(),)),), observed={KEY: there}, readings={(CORE, "orders"): blind}
    )
    assert told(w, T0 + 600.0).message == (
        "order: 12 of 30 ready, what is announced is in time; more is kept while nobody can measure"
    )


def test_measured_demand_within_the_headroom_of_what_is_ready_is_not_late_and_not_called_in_time() -> None:
    roomy = policy(target(headroom=2.0), signals=(signal(),))
    there = replace(LENT, level=30, ready=30, desired=30)
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, 1200.0, ON, confirmed=1200.0)}
    found = told(world(event(), policies=(roomy,), observed={KEY: there}, readings=readings), ON)
    assert (found.outcome, found.reason) == (Outcome.READY, Reason.ON_PLAN)
    assert found.message == (
        "order: 30 of 36 ready, measured demand with its headroom needs 36 now, and the rest follows"
    )


# ---- what is there and goes


@pytest.mark.parametrize("at", [AHEAD, SOON, ON])
def test_a_policy_that_only_observes_by_now_gives_back_what_is_needed_and_blocks(at: float) -> None:
    found = told(world(event(), policies=(policy(mode=Mode.OBSERVE),), observed={KEY: LENT}), at)
    assert (found.outcome, found.reason) == (Outcome.BLOCKED, Reason.OBSERVE_ONLY)
    assert found.message == (
        "order: 10 units are needed, 10 are there, and their floor goes down to 2: ScalingPolicy/core only observes"
    )


def test_what_it_gives_back_and_nobody_needs_blocks_nothing() -> None:
    w = world(event(level=200.0), policies=(policy(mode=Mode.OBSERVE),), observed={KEY: LENT})
    assert told(w, ON).outcome is Outcome.READY


# ---- another event's shortage


@pytest.mark.parametrize("at", [AHEAD, ON])
@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        ({"maximum": 20, "scaler": HPA}, Reason.SCALER_MAXIMUM),
        (
            {"rooms": (Room(Ref("v1", "ResourceQuota", NS, "q"), "spec.hard", "pods", 15.0, 1.0, 5),)},
            Reason.QUOTA_EXCEEDED,
        ),
    ],
)
def test_a_bound_that_another_event_meets_hours_later_blocks_only_that_one(
    bound: dict[str, object], reason: Reason, at: float
) -> None:
    there = Observed(level=5, ready=5, desired=5, **bound)  # type: ignore[arg-type]
    w = world(event(level=500.0), event("other", level=5000.0, start=T0 + 14400.0), observed={KEY: there})
    assert told(w, at).outcome is Outcome.READY
    assert told(w, T0 + 12000.0, OTHER).reason is reason
    together = world(event(level=500.0), event("other", level=5000.0, start=T0 + 1800.0), observed={KEY: there})
    assert told(together, at).reason is reason, "while this one is on"


def test_a_bound_that_is_met_now_is_not_that_of_a_smaller_event_to_come() -> None:
    there = replace(LENT, level=20, ready=20, desired=20, maximum=20, scaler=HPA)
    w = world(event(level=5000.0), event("other", level=500.0, start=T0 + 4200.0), observed={KEY: there})
    assert [told(w, T0 + 1200.0, of).outcome for of in (SHOW, OTHER)] == [Outcome.BLOCKED, Outcome.READY]


@pytest.mark.parametrize(("lag", "want"), [(0.0, Outcome.READY), (7200.0, Outcome.BLOCKED)])
def test_what_follows_the_end_of_an_event_by_a_lag_is_its_own_need(lag: float, want: Outcome) -> None:
    """Refunds, two hours later, while another event asks for refunds too."""
    refunds = policy(target("refund", capacity=(("refunds", 100.0),), maximum=20))
    show = event(derived=(derived("refunds", "orders", 1.0, lag=lag),))
    other = event("other", start=T0 + 9000.0, expected=(("refunds", 1500.0),))
    there = {(CORE, "refund"): Observed(level=10, ready=10, desired=10)}
    assert told(world(show, other, policies=(refunds,), observed=there), AHEAD).outcome is want


def test_what_an_event_lacks_now_is_not_late_for_one_that_begins_when_it_is_there() -> None:
    w = world(event(), event("other", start=T0 + 4200.0))
    found = [told(w, T0 + 1200.0, of) for of in (SHOW, OTHER)]
    assert [one.outcome for one in found] == [Outcome.LATE, Outcome.READY]
    soon = replace(w, announcements={**w.announcements, OTHER: event("other", start=T0 + 1215.0)})
    late = told(soon, T0 + 1200.0, OTHER)
    assert (late.outcome, late.ready_at) == (Outcome.LATE, told(soon, T0 + 1200.0).ready_at)


def test_an_event_that_is_served_is_not_late_for_one_that_follows_it() -> None:
    w = world(event(level=200.0, duration=1200.0), event("other", start=T0 + 1215.0))
    found = [told(w, T0 + 1198.0, of) for of in (SHOW, OTHER)]
    assert [one.outcome for one in found] == [Outcome.READY, Outcome.LATE]


def test_pods_that_will_be_ready_when_they_are_needed_are_not_late() -> None:
    """A thousand were reckoned to be made within 50 s; they were made within ten."""
    slow, now, written = policy(target(lead=LeadTimeGuess(60.0))), T0 - 75.0, T0 - 90.0
    pods = Evidence(
        Reason.PODS_NEVER_READY, Ref("v1", "Pod", NS, "order-1"), "status", "starting", now - 10.0, now - 5.0, units=998
    )
    loan = LoanState(2, 1000, written, written, T0 + 9000.0)
    starting = Observed(level=1000, ready=2, desired=1000, loan=loan)
    w = world(event(level=100_000.0), policies=(slow,), observed={KEY: starting})
    assert told(w, now).outcome is Outcome.LATE
    assert told(replace(w, observed={KEY: replace(starting, evidence=(pods,))}), now).outcome is Outcome.READY
    later = replace(pods, since=now, latest=now + 20.0)
    late = told(replace(w, observed={KEY: replace(starting, evidence=(later,))}), T0 - 50.0)
    assert (late.outcome, late.ready_at) == (Outcome.LATE, T0 + 5.0)
