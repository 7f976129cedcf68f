"""The parts of a plan, one claim a test: curves, capacity, lead time, stages, guardrails, verdicts, explanations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import CORE, NS, T0, Obedient, derived, event, moment, policy, signal, target, world

from tidegate.planning import guardrails
from tidegate.planning.capacity import units_for
from tidegate.planning.decision import Action, Outcome, TargetPlan, Verdict
from tidegate.planning.explain import own_share, shares, who
from tidegate.planning.foresee import foresee
from tidegate.planning.leadtime import creation_lag, start_time
from tidegate.planning.model import (
    Announcement,
    Freshness,
    Key,
    LeadTimeGuess,
    LoanState,
    Measured,
    Mode,
    Observed,
    Occurrence,
    Reading,
    Ref,
    Trouble,
)
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.shape import contributions, exact
from tidegate.planning.verdict import settled
from tidegate.planning.world import World

KEY = (CORE, "order")


def plan_of(w: World, now: float = T0, name: str = "order") -> TargetPlan:
    return make_plan(w, now).targets[CORE, name]


def demand_at(e: Announcement, offset: float, name: str = "orders") -> float:
    cell = math.floor((T0 + offset) / 15.0)
    return sum(c.value_at(cell) for c in contributions(e, e.occurrences[0], cell=15.0) if c.signal == name)


# ---- demand


def test_a_factor_multiplies_the_announced_plateau_whatever_the_shape_says() -> None:
    """At the end of a flash sale the shape is at a fifth; a factor of 3 still means 3 x expected."""
    late = event(profile="flash-sale", moments=(moment(offset=3300.0, factor=3.0),))
    assert demand_at(late, 3330.0) == 3000.0
    assert demand_at(late, 3200.0) < 300.0


def test_inside_a_moment_the_larger_of_shape_and_factor_counts() -> None:
    assert demand_at(event(moments=(moment(factor=0.5),)), 630.0) == 1000.0


def test_of_overlapping_moments_the_largest_counts() -> None:
    both = (moment("a", factor=2.0), moment("b", offset=615.0, factor=4.0))
    assert [demand_at(event(moments=both), o) for o in (600.0, 630.0)] == [2000.0, 4000.0]


def test_a_level_needs_no_expected_signal() -> None:
    """Everyone presses "back" when the show ends: a signal that has no plateau at all."""
    closing = moment("closing", offset=0.0, duration=300.0, signal="home", factor=None, level=500.0, from_end=True)
    show = event(moments=(closing,))
    assert [demand_at(show, o, "home") for o in (3500.0, 3630.0, 3930.0)] == [0.0, 500.0, 0.0]


def test_the_crowd_may_come_an_hour_early() -> None:
    early = event(moments=(moment("queue", offset=-3600.0, duration=600.0, factor=2.0),))
    assert [demand_at(early, o) for o in (-3700.0, -3300.0, -600.0)] == [0.0, 2000.0, 0.0]


def test_a_derived_signal_follows_its_source_moments_included_after_its_lag() -> None:
    """Payments are 0.8 of orders, two minutes later."""
    show = event(moments=(moment(offset=600.0, factor=3.0),), derived=(derived("payments", "orders", 0.8, 120.0),))
    seen = [round(demand_at(show, o, "payments")) for o in (60.0, 300.0, 750.0, 900.0)]
    assert seen == [0, 800, 2400, 800]


def test_a_peak_inside_a_cell_is_never_rounded_away() -> None:
    """One second of ten times the demand is prepared for."""
    assert demand_at(event(moments=(moment(offset=604.0, duration=1.0, factor=10.0),)), 604.0) == 10_000.0


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=50))
def test_sums_of_exact_bases_do_not_depend_on_their_order(values: list[float]) -> None:
    bases = [exact(v) for v in values]
    assert sum(bases) == sum(reversed(bases)) == sum(sorted(bases))
    assert all(v <= b <= v * (1 + 2**-22) + 2**-10 for v, b in zip(values, bases, strict=True))


def test_units_are_rounded_once_and_up() -> None:
    assert units_for(2000.0, capacity=250.0, headroom=0.0) == 8
    assert units_for(2000.1, capacity=250.0, headroom=0.0) == 9
    assert units_for(0.1 + 0.2, capacity=0.1, headroom=0.0) == 3


# ---- lead time


def test_everybody_steps_at_once_and_shares_the_creation_rate() -> None:
    """20 workloads x 50 pods at 20 a second take 50 s, one alone 2.5: the measured figures were 53 and 7."""
    rises = np.zeros(100, dtype=np.int64)
    rises[50] = 1000
    lag = creation_lag(rises, rate=20.0, cell=15.0)
    assert lag[50] == 50.0
    assert (lag[49], lag[47], lag[46]) == (35.0, 5.0, 0.0)
    rises[50] = 50
    assert creation_lag(rises, rate=20.0, cell=15.0)[50] == 3.0


def test_the_whole_cluster_step_is_written_earlier_than_one_workload() -> None:
    many = tuple(target(f"w{n}") for n in range(20))
    alone = make_plan(world(event(level=5000.0)), T0 - 300.0).targets[KEY]
    w = world(event(level=5000.0), policies=(policy(*many),))
    together = make_plan(w, T0 - 300.0).targets[CORE, "w7"]
    assert alone.next_at is not None
    assert together.next_at is not None
    assert (T0 - alone.next_at, T0 - together.next_at) == (33.0, 80.0)  # start 30 + 50 / 20; + 20 x 50 / 20


def test_a_lead_time_is_the_conformal_quantile_of_what_was_measured() -> None:
    """Of 19 measurements the largest covers 95 %; with 18 the guess still has a say."""
    samples = [Measured(20, 10.0 + n + 1.0) for n in range(19)]
    learned = start_time(samples, LeadTimeGuess(60.0), q=0.95, rate=20.0)
    assert (learned.seconds, learned.learned) == (28.0, True)
    early = start_time(samples[:18], LeadTimeGuess(60.0), q=0.95, rate=20.0)
    assert (early.seconds, early.learned) == (60.0, False)


def test_one_slow_start_outweighs_a_rosy_guess() -> None:
    assert start_time([Measured(1, 200.0)], LeadTimeGuess(60.0), q=0.95, rate=20.0).seconds == 199.95


@pytest.mark.parametrize(("spare", "want_lead"), [(100, 30), (2, 330), (None, 330)])
def test_a_step_that_needs_machines_is_written_earlier(spare: int | None, want_lead: int) -> None:
    """Unless it fits on the machines that are up; when nobody can tell, it is taken not to."""
    core = policy(target(lead=LeadTimeGuess(30.0, machine_seconds=300.0)))
    seen = {KEY: Observed(level=2, ready=2, desired=2, spare_units=spare)}
    w = world(event(), policies=(core,), observed=seen)
    w = replace(w, settings=replace(w.settings, creation_rate=1e6))
    plan = plan_of(w, T0 - 1000.0)
    assert plan.next_at is not None
    assert round(T0 - plan.next_at) == want_lead + 1  # the queue is counted in whole seconds


@pytest.mark.parametrize("spare", [None, 5, 100])
def test_what_was_prepared_on_new_machines_is_not_given_up_before_t0(spare: int | None) -> None:
    """Once the machines are up the lead time is short again: no reason to let go and start over."""
    core = policy(target(lead=LeadTimeGuess(30.0, machine_seconds=300.0)), hold=0.0, rate=1.0)
    seen = {KEY: Observed(level=2, ready=2, desired=2, spare_units=spare)}
    obedient = Obedient(world(event(), policies=(core,), observed=seen))
    levels = []
    for offset in range(-600, 3600, 5):
        obedient.at(T0 + offset)
        levels.append(obedient.level())
    assert levels == sorted(levels), "never down before the end"
    assert max(levels) == 10


def test_a_level_that_is_needed_again_within_a_lead_time_is_kept() -> None:
    """Two moments a minute apart: no step down between them that would have to be taken back at once."""
    twice = (moment("a", offset=0.0, duration=60.0, factor=5.0), moment("b", offset=120.0, duration=60.0, factor=5.0))
    obedient = Obedient(world(event(moments=twice), policies=(policy(hold=0.0, rate=1.0),)))
    levels = []
    for offset in range(0, 180, 5):
        obedient.at(T0 + offset)
        levels.append(obedient.level())
    assert min(levels) == 50


def test_stages_are_ready_in_order_and_released_in_reverse() -> None:
    """The database goes 60 + 30 s before the edge needs it, and comes down that much later."""
    stages = (
        target("db", stage="database", settle=999.0),
        target("cache", stage="cache", settle=60.0),
        target("app", stage="app", settle=30.0),
        target("edge", stage="edge"),
    )
    w = world(event(duration=600.0), policies=(policy(*stages, hold=0.0, rate=1.0),))
    w = replace(w, settings=replace(w.settings, creation_rate=1e6))
    steps = foresee(w, T0 - 600.0, T0 + 3600.0)
    up = {s.step.target: round(T0 - 31.0 - s.at) for s in steps if s.step.action is Action.RAISE}
    down = {s.step.target: round(s.at - T0 - 600.0) for s in steps if s.step.action is Action.RETURN}
    assert up == {"db": 90, "cache": 30, "app": 0, "edge": 0}
    assert down["db"] > down["cache"] > down["edge"]


# ---- guardrails


def test_the_guardrails_stand_in_this_order() -> None:
    """The order is the meaning: what adds, what bounds, who owns, what slows a way down, what forbids it."""
    assert [g.__name__ for g in guardrails.GUARDRAILS] == [
        "demand",
        "boost",
        "live",
        "little_rise",
        "policy_minimum",
        "policy_maximum",
        "scaler_maximum",
        "pool_limit",
        "owner_level",
        "release",
        "blind",
        "unseen",
        "left_out",
        "small_change",
        "hold",
        "pause_writes",
    ]


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


def test_a_maximum_below_the_need_is_a_finding_not_silently_raised() -> None:
    w = world(event(level=5000.0), observed={KEY: Observed(level=2, ready=2, desired=2, maximum=20)})
    plan = make_plan(w, T0)
    assert plan.targets[KEY].level == 20
    verdict = plan.verdicts[Key(NS, "show")]
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.SCALER_MAXIMUM)
    assert "50 units needed, but the autoscaler's maxReplicas is 20" in verdict.message


def test_measured_demand_above_the_plan_adds_at_once() -> None:
    core = policy(target(headroom=0.2), signals=(signal(),))
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, 3000.0, T0, confirmed=3000.0)}
    plan = plan_of(world(event(), policies=(core,), readings=readings))
    assert (plan.level, plan.reason) == (36, Reason.LIVE_DEMAND)


def test_measured_demand_without_an_event_is_the_reactive_scalers_business() -> None:
    core = policy(target(), signals=(signal(),))
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, 3000.0, T0 - 40_000.0)}
    plan = plan_of(world(event(), policies=(core,), readings=readings), T0 - 40_000.0)
    assert (plan.level, plan.action) == (2, Action.NOTHING)


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0])
def test_a_measured_value_that_is_no_quantity_is_blindness(value: float) -> None:
    core = policy(target(), signals=(signal(),))
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, value, T0)}
    assert plan_of(world(event(), policies=(core,), readings=readings)).blind


def test_a_hold_is_kept_after_each_fall_of_the_need() -> None:
    """Two falls, each held for its own minute."""
    show = event(duration=1200.0, moments=(moment(offset=0.0, duration=300.0, factor=2.0),))
    obedient = Obedient(world(show, policies=(policy(hold=60.0, rate=1.0),)))
    levels: dict[int, int] = {}
    for offset in range(-60, 1500, 5):
        obedient.at(T0 + offset)
        levels[offset] = obedient.level()
    assert (levels[0], levels[350], levels[400], levels[1255], levels[1300]) == (20, 20, 10, 10, 2)


def test_a_step_down_is_a_share_of_the_loans_highest_floor() -> None:
    held = Observed(level=100, ready=100, desired=100, loan=LoanState(2, 100, T0, T0))
    w = world(policies=(policy(rate=0.2),), observed={KEY: held})
    assert plan_of(w, T0 + 29.0).action is Action.NOTHING
    assert plan_of(w, T0 + 30.0).level == 90
    assert plan_of(w, T0 + 3000.0).level == 90, "waiting longer banks nothing"


def test_real_demand_keeps_a_bare_workload_up_for_an_hour_and_no_longer() -> None:
    core = policy(target(), hold=0.0, rate=1.0, signals=(signal(),))
    held = Observed(level=10, ready=10, desired=10, loan=LoanState(2, 10, T0, T0))
    levels = []
    for now in (T0 + 900.0, T0 + 600.0 + 3700.0):
        readings = {(CORE, "orders"): Reading(Freshness.FRESH, 800.0, now)}
        w = world(event(duration=600.0), policies=(core,), observed={KEY: held}, readings=readings)
        levels.append(plan_of(w, now).level)
    assert levels == [8, 5], "in the end on its way to 2"


def test_an_owner_who_asks_for_more_keeps_it() -> None:
    held = Observed(level=40, ready=40, desired=40, loan=LoanState(40, 40, T0, T0))
    assert plan_of(world(event(), observed={KEY: held})).action is Action.RETURN


def test_a_small_step_down_is_not_worth_a_write() -> None:
    """99 would do where 100 are."""
    held = Observed(level=100, ready=100, desired=100, loan=LoanState(2, 100, T0, T0))
    w = world(event(level=9900.0), policies=(policy(hold=0.0),), observed={KEY: held})
    assert plan_of(w, T0 + 1000.0).reason is Reason.SMALL_CHANGE


def test_the_stop_stops_everything_and_says_what_it_would_do() -> None:
    plan = plan_of(replace(world(event()), stopped=True))
    assert (plan.action, plan.reason) == (Action.NOTHING, Reason.STOPPED)
    assert plan.message.endswith("Planned: 10.")


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_target_in_trouble_is_left_alone_and_blocks_its_events(trouble: Trouble) -> None:
    bad = Observed(level=2, ready=2, trouble=trouble, note="because")
    plan = make_plan(world(event(), observed={KEY: bad}), T0)
    assert (plan.steps, plan.targets[KEY].need, plan.targets[KEY].message) == ((), 10, "because")
    want = Outcome.UNKNOWN if trouble is Trouble.UNREADABLE else Outcome.BLOCKED
    assert plan.verdicts[Key(NS, "show")].outcome is want


# ---- verdicts


def test_a_verdict_is_given_from_an_hour_before_and_not_sooner() -> None:
    w = world(event())
    assert make_plan(w, T0 - 3700.0).verdicts == {}
    assert make_plan(w, T0 - 3500.0).verdicts[Key(NS, "show")].outcome is Outcome.READY


def test_an_event_moved_earlier_than_its_lead_time_is_late_by_so_much() -> None:
    """Ten seconds before T-0 nothing has started: 30 s of start time make it 22 s late."""
    verdict = make_plan(world(event(level=800.0)), T0 - 10.0).verdicts[Key(NS, "show")]
    assert verdict.outcome is Outcome.LATE
    assert verdict.ready_at is not None
    assert T0 + 15.0 < verdict.ready_at < T0 + 25.0
    assert verdict.message == "order: 2 of 8 ready, the rest is expected about 20 s late"


def test_ready_means_counted_ready() -> None:
    obedient = Obedient(world(event(), policies=(policy(),)))
    obedient.at(T0 - 31.0)
    assert obedient.at(T0 - 20.0).verdicts[Key(NS, "show")].reason is Reason.ON_PLAN
    obedient.at(T0 - 1.0)
    assert obedient.at(T0).verdicts[Key(NS, "show")].reason is Reason.READY


def test_an_event_without_a_policy_says_so() -> None:
    verdict = make_plan(world(replace(event(), policy="gone")), T0 - 40_000.0).verdicts[Key(NS, "show")]
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.POLICY_MISSING)


def test_bad_news_is_shown_when_seen_twice_and_good_news_at_once() -> None:
    good = Verdict(Outcome.READY, Reason.READY, "", T0)
    late = Verdict(Outcome.LATE, Reason.LATE, "", T0)
    assert settled(good, good, late) is good
    assert settled(good, late, late) is late
    assert settled(late, late, good) is good
    assert settled(None, None, late) is None
    assert settled(None, None, good) is good


# ---- explanations


def test_each_number_can_be_explained_as_who_asked_for_how_much() -> None:
    big, small = event("big", level=3000.0), event("small", level=500.0)
    w = world(big, small, policies=(policy(target(headroom=0.1)),))
    planner = Planner(w.settings)
    planner.plan(w, T0)
    asked = shares(planner.book, w.policies[CORE], w.policies[CORE].targets[0], T0)
    assert [(s.event.name, s.demand, s.units) for s in asked] == [("big", 3000.0, 33), ("small", 500.0, 6)]
    assert who(planner.book, CORE, T0, T0 + 60.0) == ("LiveEvent/big", "LiveEvent/small")
    assert own_share(big, w.policies[CORE], cell=15.0) == (("order", 33),)


def test_looking_ahead_ends_where_it_began() -> None:
    """The steps foreseen for an evening: up once, down in steps, and everything returned."""
    steps = foresee(world(event(), policies=(policy(rate=0.4),)), T0 - 600.0, T0 + 7200.0)
    assert [s.step.level for s in steps] == [10, 8, 6, 4, 2]
    assert [s.step.action for s in steps] == [Action.RAISE, *[Action.LOWER] * 3, Action.RETURN]


# ---- odd questions


def test_an_event_in_the_past_a_moment_of_no_height_and_an_empty_policy_are_all_fine() -> None:
    past = event("past", start=T0 - 90_000.0, duration=60.0)
    flat = event("flat", level=0.0, moments=(moment(factor=9.0),))
    plan = make_plan(world(past, flat), T0)
    assert plan.steps == ()
    assert make_plan(World({}, {}), T0).next_at is None


def test_two_events_equal_in_all_but_their_names_count_twice() -> None:
    assert plan_of(world(event("a"), event("b"))).need == 20


def test_a_clock_stepped_back_ten_minutes_changes_no_level() -> None:
    obedient = Obedient(world(event(), policies=(policy(hold=900.0),)))
    obedient.at(T0 + 60.0)
    obedient.at(T0 - 540.0)
    assert obedient.level() == 10


def test_a_hundred_thousand_seconds_long_event_is_planned_within_the_horizon() -> None:
    long = replace(event(), occurrences=(Occurrence(T0 - 50_000.0, 1_000_000.0),))
    assert plan_of(world(long)).need == 10


def test_the_same_reference_is_the_same_workload_whatever_the_target_is_called() -> None:
    twin = replace(target("other"), ref=Ref("apps/v1", "Deployment", NS, "order"))
    newer = policy(twin, key=Key(NS, "newer"), created=5.0)
    plan = make_plan(world(event(), policies=(policy(), newer)), T0)
    assert plan.targets[Key(NS, "newer"), "other"].reason is Reason.SHARED_WORKLOAD


def test_twenty_workloads_that_were_written_in_time_are_not_called_late() -> None:
    """Their pods come one after the other for 50 s: at T-20 most are not ready yet, and that is the plan."""
    many = tuple(target(f"w{n}") for n in range(20))
    w = world(event(level=5000.0), policies=(policy(*many),))
    loan = LoanState(2, 50, T0 - 79.0, T0 - 79.0)
    waiting = {(CORE, t.name): Observed(level=50, ready=2, desired=50, loan=loan) for t in many}
    for before in (60.0, 29.0, 20.0, 2.0):
        verdict = make_plan(replace(w, observed=waiting), T0 - before).verdicts[Key(NS, "show")]
        assert verdict.outcome is Outcome.READY, f"T-{before:g}: {verdict.message}"
    verdict = make_plan(replace(w, observed=waiting), T0 + 20.0).verdicts[Key(NS, "show")]
    assert verdict.outcome is Outcome.LATE, "past T-0 and not ready is late"


def test_what_only_observes_stands_behind_what_acts() -> None:
    watcher = policy(mode=Mode.OBSERVE, created=1.0, key=Key(NS, "watcher"))
    actor = policy(created=2.0)
    plan = make_plan(world(event(), policies=(watcher, actor)), T0)
    assert plan.targets[KEY].action is Action.RAISE
    assert plan.targets[Key(NS, "watcher"), "order"].reason is Reason.SHARED_WORKLOAD


def test_an_event_whose_targets_are_all_ready_says_so_of_all() -> None:
    core = policy(target("a"), target("b"))
    ready = {(CORE, name): Observed(level=10, ready=10, desired=10) for name in ("a", "b")}
    verdict = make_plan(world(event(), policies=(core,), observed=ready), T0).verdicts[Key(NS, "show")]
    assert verdict.message == "all 2 targets ready"


def test_a_small_loan_gives_back_no_more_than_its_share_either() -> None:
    """One unit of five is a minute's 20 %: two steps in a minute would be twice the promise."""
    held = Observed(level=5, ready=5, desired=5, loan=LoanState(1, 5, T0, T0))
    w = world(policies=(policy(rate=0.2),), observed={KEY: held})
    assert plan_of(w, T0 + 59.0).action is Action.NOTHING
    assert plan_of(w, T0 + 59.0).next_at == T0 + 60.0
    assert plan_of(w, T0 + 60.0).level == 4
