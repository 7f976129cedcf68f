"""One reading alone raises by a factor at most; blindness keeps what was confirmed, and names the signals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, T0, event, policy, signal, target, world

from tidegate.planning.decision import Action, TargetPlan
from tidegate.planning.model import Doubt, Freshness, LoanState, Observed, Reading
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason

KEY = (CORE, "order")
SPIKE = 1_000_000.0
"""Ten thousand units, where the plan needs ten."""


def plan_of(
    reading: Reading, now: float = T0 + 1000.0, *, level: int = 10, loan: LoanState | None = None, **given: object
) -> TargetPlan:
    core = policy(hold=0.0, signals=(signal(),), **given)
    there = Observed(level=level, ready=level, desired=level, loan=loan or LoanState(2, level, now - 500.0, T0))
    shown = world(event(), policies=(core,), observed={KEY: there}, readings={(CORE, "orders"): reading})
    return make_plan(shown, now).targets[KEY]


def fresh(value: float, confirmed: float | None = None, now: float = T0 + 1000.0) -> Reading:
    return Reading(Freshness.FRESH, value, now, confirmed=confirmed)


# ---- rising


def test_one_reading_raises_to_twice_the_plan_and_says_what_it_waits_for() -> None:
    plan = plan_of(fresh(SPIKE))
    assert (plan.level, plan.reason, plan.action) == (20, Reason.LIVE_DEMAND, Action.RAISE)
    assert "measured demand of orders needs 10000 units" in plan.message
    assert "20 until a second sample confirms it" in plan.message


def test_one_reading_raises_to_twice_what_was_confirmed_last() -> None:
    assert plan_of(fresh(SPIKE, confirmed=3000.0)).level == 60


def test_what_was_confirmed_is_added_whole() -> None:
    plan = plan_of(fresh(SPIKE, confirmed=SPIKE))
    assert (plan.level, "confirm" in plan.message) == (10_000, False)


def test_the_same_reading_looked_at_again_raises_no_further() -> None:
    assert plan_of(fresh(SPIKE), level=20).level == 20


def test_after_a_restart_the_first_reading_keeps_the_level_of_the_loan_and_raises_nothing() -> None:
    """Nothing is confirmed yet. The plan needs 10, somebody confirmed 40 before."""
    for scaler in (None, 1000):
        there = Observed(level=40, ready=40, desired=40, maximum=scaler, loan=LoanState(2, 40, T0, T0))
        for value, want in ((4000.0, 40), (5000.0, 40)):
            core = policy(hold=0.0, signals=(signal(),))
            shown = world(event(), policies=(core,), observed={KEY: there}, readings={(CORE, "orders"): fresh(value)})
            assert make_plan(shown, T0 + 1000.0).targets[KEY].level == want


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1e9), st.one_of(st.none(), st.floats(0, 1e9)), st.integers(10, 200))
def test_no_reading_raises_beyond_the_factor_of_plan_and_confirmed(
    value: float, confirmed: float | None, level: int
) -> None:
    agreed = None if confirmed is None else min(confirmed, value)
    plan = plan_of(fresh(value, agreed), level=level)
    assert plan.level is not None
    assert plan.level <= max(level, 20, 2 * (1 + (agreed or 0.0) / 100.0))


def test_a_partial_answer_may_raise_and_never_lowers() -> None:
    more = Reading(Freshness.PARTIAL, 1500.0, T0 + 1000.0, "one store does not answer", blind_since=T0 + 900.0)
    assert (plan_of(more).level, plan_of(more).reason) == (15, Reason.LIVE_DEMAND)
    less = replace(more, value=1200.0)
    plan = plan_of(less, level=40)
    assert (plan.level, plan.reason, plan.blind) == (40, Reason.BLIND, True)
    assert "orders: Partial (one store does not answer)" in plan.message


# ---- blind


def test_blindness_names_signal_outcome_and_note() -> None:
    gone = Reading(Freshness.UNREACHABLE, 4000.0, T0, "Prometheus answers 401 Unauthorized", blind_since=T0 + 900.0)
    plan = plan_of(gone, level=40)
    assert (plan.level, plan.reason) == (40, Reason.BLIND)
    assert plan.message == "kept at 40. orders: Unreachable (Prometheus answers 401 Unauthorized)"
    assert plan.blind_signals == ("orders: Unreachable (Prometheus answers 401 Unauthorized)",)


def test_a_signal_that_was_not_asked_for_yet_is_named_so() -> None:
    core = policy(hold=0.0, signals=(signal(),))
    there = Observed(level=40, ready=40, desired=40, loan=LoanState(2, 40, T0, T0))
    plan = make_plan(world(event(), policies=(core,), observed={KEY: there}), T0 + 1000.0).targets[KEY]
    assert (plan.reason, plan.blind_signals) == (Reason.BLIND, ("orders: NotReadYet",))


@pytest.mark.parametrize("freshness", [Freshness.NEGATIVE, Freshness.STALE, Freshness.PARTIAL, Freshness.MANY])
def test_blindness_ends_whatever_kind_of_bad_it_is(freshness: Freshness) -> None:
    """Each bad answer is newer than the one before: what counts is when the last good one ended."""
    bad = Reading(freshness, 5.0, T0 + 2990.0, blind_since=T0 + 1000.0)
    assert plan_of(bad, T0 + 2799.0, level=40).reason is Reason.BLIND
    late = plan_of(bad, T0 + 2800.0, level=40)
    assert (late.reason, late.action) == (Reason.BLIND_TOO_LONG, Action.LOWER)
    assert f"orders: {freshness.value}" in late.trail[-1].message


RAISED = LoanState(2, 20, T0 + 901.0, T0)
"""The level was moved last a second after the doubtful sample."""
VANISHED = Reading(
    Freshness.EMPTY, SPIKE, T0 + 900.0, confirmed=1200.0, doubt=Doubt(SPIKE, T0 + 900.0), blind_since=T0 + 930.0
)


def test_blind_keeps_what_was_confirmed_and_lets_go_what_one_sample_raised() -> None:
    plan = plan_of(VANISHED, level=20, loan=RAISED)
    assert (plan.action, plan.reason) == (Action.LOWER, Reason.BLIND)
    assert plan.level is not None
    assert 12 <= plan.level < 20
    assert "rests on one sample that was never confirmed" in plan.trail[-1].message
    at_last = plan_of(VANISHED, level=12, loan=RAISED)
    assert (at_last.level, at_last.reason) == (12, Reason.BLIND)


@pytest.mark.parametrize(
    ("reading", "loan"),
    [
        (replace(VANISHED, doubt=None), RAISED),
        (VANISHED, LoanState(2, 40, T0 + 500.0, T0)),
        (replace(VANISHED, doubt=Doubt(1500.0, T0 + 900.0)), RAISED),
        (replace(VANISHED, doubt=None, confirmed=None), RAISED),
    ],
    ids=["no doubt", "not moved since the sample", "the sample asked for less than stands there", "after a restart"],
)
def test_blind_keeps_all_where_no_single_sample_can_have_raised_it(reading: Reading, loan: LoanState) -> None:
    plan = plan_of(reading, level=20, loan=loan)
    assert (plan.level, plan.reason) == (20, Reason.BLIND)


def test_blind_keeps_what_the_plan_asked_for_when_the_doubtful_sample_came() -> None:
    """Two shows, the larger is over since: its level is still on its way down."""
    core = policy(hold=0.0, signals=(signal(),))
    there = Observed(level=18, ready=18, desired=18, loan=LoanState(2, 20, T0 + 950.0, T0))
    shows = (event(), event("large", 1000.0, T0, 920.0))
    shown = world(*shows, policies=(core,), observed={KEY: there}, readings={(CORE, "orders"): VANISHED})
    plan = make_plan(shown, T0 + 1000.0).targets[KEY]
    assert (plan.level, plan.reason) == (18, Reason.BLIND)


def test_a_second_blind_signal_that_nobody_knows_keeps_all() -> None:
    both = target(capacity=(("orders", 100.0), ("pages", 100.0)))
    core = policy(both, hold=0.0, signals=(signal(), signal("pages", "sum(pages)")))
    there = Observed(level=20, ready=20, desired=20, loan=RAISED)
    never = Reading(Freshness.UNREACHABLE, None, T0)
    readings = {(CORE, "orders"): VANISHED, (CORE, "pages"): never}
    shown = world(event(), policies=(core,), observed={KEY: there}, readings=readings)
    assert make_plan(shown, T0 + 1000.0).targets[KEY].level == 20


@pytest.mark.parametrize("freshness", [one for one in Freshness if one is not Freshness.FRESH])
def test_a_plan_needs_no_metric(freshness: Freshness) -> None:
    """What was announced is prepared in time though no signal was ever read, and what comes next while it is on."""
    core, later = policy(signals=(signal(),)), event("later", level=3000.0, start=T0 + 600.0)
    unmeasured = world(event(), later, policies=(policy(),))
    due = make_plan(unmeasured, T0 - 3600.0).targets[KEY].next_at
    assert due is not None
    gone = {(CORE, "orders"): Reading(freshness, None, due - 60.0)}
    blind = replace(unmeasured, policies={CORE: core}, readings=gone)
    assert make_plan(blind, T0 - 3600.0).targets[KEY].next_at == due
    raised = make_plan(blind, due).targets[KEY]
    assert (raised.level, raised.action) == (10, Action.RAISE)
    held = Observed(level=10, ready=10, desired=10, loan=LoanState(2, 10, due, due))
    assert make_plan(replace(blind, observed={KEY: held}), T0 + 595.0).targets[KEY].level == 40


@pytest.mark.parametrize(("most", "scaler", "want"), [(30, None, 30), (1000, 25, 25), (30, 25, 25)])
def test_measured_demand_ends_at_max_and_at_the_autoscalers_maximum(most: int, scaler: int | None, want: int) -> None:
    core = policy(target(maximum=most), hold=0.0, signals=(signal(),))
    there = Observed(level=10, ready=10, desired=10, maximum=scaler, loan=LoanState(2, 10, T0, T0))
    readings = {(CORE, "orders"): fresh(4000.0, confirmed=4000.0)}
    plan = make_plan(world(event(), policies=(core,), observed={KEY: there}, readings=readings), T0 + 1000.0)
    assert plan.targets[KEY].level == want
