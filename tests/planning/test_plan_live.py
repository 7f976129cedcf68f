"""A policy that follows demand: what may come within the lead time, announced steps on top, corrected by what came."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, T0, event, policy, signal, target, world

from tidegate.planning.decision import Action, Outcome, TargetPlan
from tidegate.planning.following import Correction
from tidegate.planning.model import (
    Announcement,
    Freshness,
    Key,
    LeadTimeGuess,
    Live,
    LoanState,
    Mode,
    Moment,
    Observed,
    PlanSettings,
    Reading,
)
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason

KEY = (CORE, "order")
LIVE = Live()
PROMPT = PlanSettings(creation_rate=1e6, fail_over=0.0, reaction=0.0)
"""Units become ready within the target's 30 s."""


def reading(value: float, now: float, *, grown: float = 1.0, step: float | None = None, age: float = 30.0) -> Reading:
    """A mean of a minute that ended half a minute ago."""
    return Reading(
        Freshness.FRESH,
        value,
        now - age,
        stamp=now - age,
        span=60.0,
        confirmed=value,
        ahead=((30.0, value * grown), (60.0, value * grown * 2.0)),
        step=step,
    )


def plan_of(
    shown: Reading | None,
    now: float,
    *events: Announcement,
    level: int = 10,
    moved: float = 500.0,
    live: Live | None = LIVE,
    settings: PlanSettings = PROMPT,
    loan: bool = True,
    overrides: tuple[Override, ...] = (),
    **given: object,
) -> TargetPlan:
    core = policy(target(), hold=0.0, rate=1.0, signals=(signal(),), live=live, **given)
    lent = LoanState(2, level, now - moved, now - 600.0) if loan else None
    there = Observed(level=level, ready=level, desired=level, loan=lent)
    readings = {} if shown is None else {(CORE, "orders"): shown}
    given_world = world(*events, policies=(core,), observed={KEY: there}, readings=readings, overrides=overrides)
    return make_plan(replace(given_world, settings=settings), now).targets[KEY]


# ---- without events


def test_the_floor_is_what_may_come_within_the_lead_time_with_no_event_near() -> None:
    plan = plan_of(reading(1_000.0, T0, grown=1.35), T0)
    assert (plan.level, plan.reason, plan.action) == (14, Reason.LIVE_DEMAND, Action.RAISE)
    assert plan.message == "orders needs 10 units, and up to 14 within the lead time"


@pytest.mark.parametrize(
    ("level", "needs", "may_come", "moved", "becomes"),
    [
        (100, 95, 102, 45.0, 100),
        (100, 95, 102, 60.0, 102),
        (100, 95, 103, 15.0, 103),
        (100, 101, 102, 15.0, 102),
        (100, 80, 96, 45.0, 100),
        (100, 80, 96, 60.0, 96),
        (100, 80, 95, 30.0, 95),
        (12, 10, 11, 45.0, 12),
        (12, 10, 11, 60.0, 11),
        (12, 9, 10, 30.0, 10),
    ],
    ids=[
        "a little more waits for a minute after the last move",
        "a minute is over",
        "much more does not wait",
        "what is needed already does not wait",
        "a little less waits for a minute too",
        "it is over",
        "much less does not wait",
        "one unit is little",
        "one unit after a minute",
        "two units of twelve are much",
    ],
)
def test_a_floor_is_not_moved_by_a_little_at_each_beat(
    level: int, needs: int, may_come: int, moved: float, becomes: int
) -> None:
    shown = reading(100.0 * needs, T0, grown=may_come / needs)
    assert plan_of(shown, T0, level=level, moved=moved).level == becomes


def test_what_an_event_needs_does_not_wait_however_little_it_is() -> None:
    """One reading corrects nothing: the plan stands as it was announced."""
    shown = replace(reading(9_500.0, T0 - 20.0), confirmed=None)
    assert plan_of(shown, T0 - 20.0, event(level=10_100.0), level=100, moved=15.0).level == 101


def test_a_boost_does_not_wait_however_little_it_adds() -> None:
    shown = reading(9_500.0, T0, grown=100.0 / 95.0)
    assert plan_of(shown, T0, level=100, moved=15.0, overrides=(boost(1, T0),)).level == 101


def test_a_policy_that_does_not_ask_for_it_follows_nothing_without_an_event() -> None:
    plan = plan_of(reading(1_000.0, T0, grown=1.35), T0, live=None, loan=False)
    assert plan.action is Action.NOTHING


def test_a_policy_that_observes_says_what_it_would_follow() -> None:
    plan = plan_of(reading(1_000.0, T0, grown=1.35), T0, loan=False, mode=Mode.OBSERVE)
    assert (plan.action, plan.reason) == (Action.NOTHING, Reason.OBSERVE_ONLY)
    assert "would be set to 14" in plan.message


def test_a_policy_that_is_set_back_to_observe_gives_back_what_it_has_lent() -> None:
    plan = plan_of(reading(3_000.0, T0, grown=1.35), T0, level=10, mode=Mode.OBSERVE)
    assert (plan.action, plan.level) == (Action.LOWER, 5)


def test_a_longer_lead_time_prepares_for_more() -> None:
    plan = plan_of(reading(1_000.0, T0, grown=1.2), T0, settings=replace(PROMPT, reaction=30.0))
    assert plan.level == 24


def test_what_does_not_fit_on_the_machines_that_are_up_is_prepared_for_as_long_as_machines_take() -> None:
    core = policy(target(lead=LeadTimeGuess(30.0, 30.0)), hold=0.0, rate=1.0, signals=(signal(),), live=LIVE)
    for spare, level in ((20, 12), (1, 24), (None, 24)):
        there = Observed(10, 10, 10, loan=LoanState(2, 10, T0 - 500.0, T0 - 600.0), spare_units=spare)
        shown = world(policies=(core,), observed={KEY: there}, readings={(CORE, "orders"): reading(1e3, T0, grown=1.2)})
        assert make_plan(replace(shown, settings=PROMPT), T0).targets[KEY].level == level


def test_it_comes_down_by_the_release_of_the_policy_as_a_share_of_the_level() -> None:
    plan = plan_of(reading(100.0, T0), T0, level=40)
    assert (plan.level, plan.reason) == (20, Reason.RELEASE_STEP)


def test_it_never_goes_below_the_owners_level() -> None:
    plan = plan_of(reading(100.0, T0), T0, level=3)
    assert (plan.action, plan.level) == (Action.RETURN, 2)


def test_one_sample_that_nobody_confirmed_raises_to_twice_what_was_confirmed() -> None:
    shown = replace(reading(100_000.0, T0), confirmed=1_000.0)
    assert plan_of(shown, T0).level == 20


def test_blind_it_keeps_its_level_until_the_patience_is_over_and_then_gives_it_back() -> None:
    blind = Reading(Freshness.UNREACHABLE, 1_000.0, T0 - 600.0, "no answer", blind_since=T0 - 500.0)
    assert (plan_of(blind, T0).level, plan_of(blind, T0).reason) == (10, Reason.BLIND)
    over = replace(blind, blind_since=T0 - 1_800.0)
    assert (plan_of(over, T0).level, plan_of(over, T0).reason) == (5, Reason.BLIND_TOO_LONG)


def boost(percent: int, now: float) -> Override:
    return Override(
        Key("shop", "more"), "core", None, OverrideAction.BOOST, now + 3_600.0, "ada", "it is big", percent, now - 60.0
    )


def test_a_boost_adds_to_what_is_measured_with_no_event_near() -> None:
    plan = plan_of(reading(1_000.0, T0, grown=1.2), T0, overrides=(boost(50, T0),))
    assert (plan.level, plan.reason) == (18, Reason.OVERRIDE_BOOST)
    assert "12 units x 150 % = 18" in plan.message


def test_a_boost_adds_to_what_came_of_an_event() -> None:
    now = T0 + 600.0
    plain = plan_of(reading(12_000.0, now, grown=0.5), now, event(level=20_000.0), level=119)
    more = plan_of(
        reading(12_000.0, now, grown=0.5), now, event(level=20_000.0), level=119, overrides=(boost(50, now),)
    )
    assert (plain.level, more.level) == (120, 180)


# ---- with events


def opening(level: float = 20_000.0, **given: object) -> Announcement:
    return event(level=level, profile="flash-sale", **given)


def test_before_a_first_start_the_announced_step_comes_on_top_with_a_margin() -> None:
    plan = plan_of(reading(300.0, T0 - 15.0), T0 - 15.0, opening(20_000.0))
    assert plan.level == 3 + round(1.27 * 200)


def test_an_announced_step_is_prepared_for_as_far_as_steps_have_come() -> None:
    plan = plan_of(reading(300.0, T0 - 15.0, step=0.5), T0 - 15.0, opening(20_000.0))
    assert plan.level == 3 + 100


def test_a_step_that_is_due_long_before_its_start_is_not_sized_by_what_is_measured_before_it() -> None:
    """Half of what was announced is measured of a trickle; of the opening after it that says nothing."""
    usual = PlanSettings(creation_rate=20.0)
    now = T0 - (usual.reserve + 30.0 + 200 / 20)
    trickle = event("trickle", 600.0, start=T0 - 3_600.0, duration=3_600.0)
    plan = plan_of(reading(300.0, now), now, trickle, opening(20_000.0), level=6, settings=usual)
    assert plan.level == 3 + round(1.27 * (200 - 6))


def test_until_a_reading_lies_wholly_after_the_start_the_announced_step_stands() -> None:
    now = T0 + 75.0
    plan = plan_of(reading(15_000.0, now), now, opening(), level=250)
    assert plan.level is not None
    assert plan.level >= 200
    nothing_yet = plan_of(reading(300.0, T0 + 30.0), T0 + 30.0, opening(), level=257)
    assert nothing_yet.level == 257


def test_from_the_first_reading_wholly_after_the_start_the_plan_is_what_came() -> None:
    now = T0 + 90.0
    less = plan_of(reading(12_000.0, now), now, opening(), level=250)
    assert (less.level, less.reason) == (125, Reason.RELEASE_STEP)
    low = plan_of(reading(12_000.0, now), now, opening(), level=124)
    assert low.level == 120
    more = plan_of(reading(26_000.0, now), now, opening(), level=200)
    assert more.level == 260


def test_a_gauge_that_hides_its_age_is_not_taken_to_have_seen_what_the_start_brought() -> None:
    """It says that it is of now, and holds the mean of a minute that ended half a minute ago."""
    now = T0 + 15.0
    hiding = replace(reading(300.0, now), since=now, stamp=now, span=0.0)
    plan = plan_of(hiding, now, opening(), level=250)
    assert (plan.level or 0) >= 200


def test_a_moment_inside_an_event_is_seen_no_sooner_than_a_start() -> None:
    """Nothing of the link is to be seen yet, three quarters of a minute after it."""
    now = T0 + 1_845.0
    link = Moment("link", "orders", 1_800.0, 120.0, factor=20.0)
    show = event(level=2_000.0, moments=(link,))
    plan = plan_of(reading(2_000.0, now), now, show, level=400)
    assert (plan.level or 0) >= 350


def test_a_plan_that_hardly_asks_for_anything_is_not_stretched_to_what_is_measured() -> None:
    """Two units are announced and sixty measured; that the shape doubles says nothing of the other fifty-eight."""
    now = T0 + 5_900.0
    small = event(level=300.0, profile="match", duration=6_300.0)
    plan = plan_of(reading(6_000.0, now), now, small, level=60)
    assert (plan.level or 0) <= 62


def test_what_is_needed_hours_later_keeps_no_level_now() -> None:
    """The loan of a floor that follows demand is expected to last until the sale at midnight."""
    now = T0 - 5_400.0
    first, second = event("first", 40_000.0, start=now - 600.0, duration=630.0), opening(120_000.0)
    core = policy(target(), hold=0.0, rate=1.0, signals=(signal(),), live=LIVE)
    lent = LoanState(2, 40, now - 300.0, now - 900.0, until=T0 + 3_600.0)
    there = Observed(level=40, ready=40, desired=40, loan=lent)
    shown = world(
        first, second, policies=(core,), observed={KEY: there}, readings={(CORE, "orders"): reading(2_000.0, now)}
    )
    plan = make_plan(replace(shown, settings=PROMPT), now).targets[KEY]
    assert plan.level is not None
    assert plan.level <= 40


def test_what_is_prepared_for_beyond_what_came_makes_no_event_late() -> None:
    now = T0 + 600.0
    core = policy(target(), hold=0.0, rate=1.0, signals=(signal(),), live=LIVE)
    there = Observed(level=144, ready=121, desired=144, loan=LoanState(2, 200, now - 5.0, T0 - 600.0, until=T0 + 9e3))
    shown = world(
        event(level=14_000.0),
        policies=(core,),
        observed={KEY: there},
        readings={(CORE, "orders"): reading(12_000.0, now, grown=1.2)},
    )
    plan = make_plan(replace(shown, settings=PROMPT), now)
    assert plan.targets[KEY].level == 144
    assert plan.targets[KEY].ready_at is None
    assert next(iter(plan.verdicts.values())).outcome is Outcome.READY


def test_a_signal_that_is_blind_leaves_the_plan_as_it_was_announced() -> None:
    now = T0 + 90.0
    blind = Reading(Freshness.EMPTY, 12_000.0, now - 300.0, "no series", blind_since=now - 100.0)
    assert plan_of(blind, now, opening(), level=200).level == 200


def test_what_is_needed_for_a_signal_that_nobody_measures_is_not_cut_by_one_that_is() -> None:
    """Orders turn out small; nobody measures the chat, which needs the units."""
    now = T0 + 600.0
    both = event(expected=(("chat", 20_000.0), ("orders", 2_000.0)))
    core = policy(
        target(capacity=(("chat", 100.0), ("orders", 100.0))), hold=0.0, rate=1.0, signals=(signal(),), live=LIVE
    )
    there = Observed(200, 200, 200, loan=LoanState(2, 200, now - 500.0, now - 600.0))
    shown = world(both, policies=(core,), observed={KEY: there}, readings={(CORE, "orders"): reading(2_000.0, now)})
    assert make_plan(replace(shown, settings=PROMPT), now).targets[KEY].level == 200


def test_who_leads_anew_just_before_a_start_keeps_the_margin_that_was_prepared() -> None:
    """It has not read anything yet, then once: only then two samples can agree."""
    now = T0 - 15.0
    for shown in (None, replace(reading(300.0, now), confirmed=None)):
        plan = plan_of(shown, now, opening(), level=257)
        assert plan.level == 257
        assert plan.next_at is None or plan.next_at > now, "nothing is due in the past: the loop would not rest"
    assert plan_of(reading(300.0, now), now, opening(), level=257).level == 257


def test_one_sample_alone_corrects_nothing() -> None:
    now = T0 + 90.0
    alone = replace(reading(12_000.0, now), confirmed=None)
    assert plan_of(alone, now, opening(), level=200).level == 200


def test_after_the_start_the_shape_says_by_how_much_what_came_will_grow_or_fall() -> None:
    """A flash sale falls from the whole to a half between a tenth and three tenths of its hour."""
    now = T0 + 900.0
    falling = plan_of(reading(8_000.0, now, grown=0.9), now, opening(), level=82)
    assert falling.level is not None
    assert 70 <= falling.level <= 79
    rising = event(level=20_000.0, profile="match", duration=6_300.0)
    now = T0 + 5_900.0
    assert (plan_of(reading(8_000.0, now), now, rising, level=60).level or 0) > 80


def test_a_second_event_comes_on_top_of_what_the_first_one_turned_out_to_be() -> None:
    now = T0 + 3_000.0
    first, second = opening(20_000.0, duration=7_200.0), event("second", 5_000.0, start=T0 + 3_015.0)
    plan = plan_of(reading(2_000.0, now, step=1.0), now, first, second, level=20)
    assert plan.level is not None
    assert 68 <= plan.level <= 72


def test_what_is_needed_before_the_next_opening_is_not_taken_for_a_part_of_it() -> None:
    """Who is on has a moment three times as large, and then one opens of whom a quarter comes."""
    seen = Correction(1_000.0, 1_000.0, 1.0, opening=True, before=3_000.0, announced=2_000.0, prepared=500.0)
    assert (seen.of(3_000), seen.of(2_000)) == (3_000, 2_000)
    assert replace(seen, before=1_000.0).of(3_000) == 1_500


def test_of_an_event_that_nobody_has_come_to_it_is_not_said_that_none_is_announced() -> None:
    now = T0 + 600.0
    plan = plan_of(reading(0.0, now), now, opening(), level=82)
    assert Reason.NO_EVENT_AHEAD not in [one.reason for one in plan.trail]
    assert plan.trail[0].message.endswith("units, and nothing is measured of it")
