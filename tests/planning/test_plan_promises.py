"""The promises of a plan, held against random evenings by a world that obeys it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, NS, T0, Obedient, derived, event, moment, policy, signal, target, world

from tidegate.planning.capacity import need
from tidegate.planning.model import Announcement, Freshness, Key, LoanState, Observed, Reading
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.world import World

pytestmark = pytest.mark.timeout(300)  # a loaded machine fails no test

KEY = (CORE, "order")


@st.composite
def announcements(draw: st.DrawFn, name: str, *, spread: bool = True) -> Announcement:
    """Any event of an evening, with up to three moments."""
    start = T0 + draw(st.integers(-5400, 5400))
    moments = tuple(
        moment(
            f"m{n}",
            offset=draw(st.integers(-1800, 7200)),
            duration=draw(st.integers(1, 900)),
            **draw(st.sampled_from([{"factor": 3.0}, {"factor": 0.5}, {"factor": None, "level": 4000.0}])),
            from_end=draw(st.booleans()),
        )
        for n in range(draw(st.integers(0, 3)))
    )
    return event(
        name,
        level=draw(st.integers(1, 50_000)),
        start=start,
        duration=draw(st.integers(60, 7200)),
        profile=draw(st.sampled_from(["flat", "show", "flash-sale", "match", "opening"])),
        spread=draw(st.sampled_from([0.0, 0.3])) if spread else 0.0,
        moments=moments,
        derived=draw(st.sampled_from([(), (derived("payments", "orders", 0.8, 120.0),)])),
    )


@st.composite
def evenings(draw: st.DrawFn) -> World:
    """Up to four overlapping events on two targets."""
    events = [draw(announcements(f"show-{n}")) for n in range(draw(st.integers(1, 4)))]
    pay = target("pay", capacity=(("payments", 40.0), ("orders", 90.0)), background=(("payments", 200.0),))
    core = policy(
        target("order", headroom=draw(st.sampled_from([0.0, 0.2]))),
        pay,
        hold=draw(st.sampled_from([0.0, 60.0, 900.0])),
        rate=draw(st.sampled_from([0.2, 0.5, 1.0])),
        correlation=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )
    made = world(*events, policies=(core,))
    return replace(made, settings=replace(made.settings, creation_rate=10_000.0))


def needs(w: World, now: float, name: str = "order") -> int:
    """Units that the cell of an instant needs, within the policy's bounds."""
    planner = Planner(w.settings)
    planner.plan(w, now)
    core = w.policies[CORE]
    spec = next(t for t in core.targets if t.name == name)
    units = need(planner.book, core, spec)
    asked = 0 if units is None else int(units[planner.book.index(now)])
    return min(max(asked, spec.minimum), spec.maximum) if asked else 0


@settings(max_examples=40, deadline=None)
@given(evenings())
def test_ready_before_it_is_needed_and_returned_in_the_end(evening: World) -> None:
    """Ready units cover the need at every instant of every evening, and the last write returns the original."""
    obedient = Obedient(evening)
    now = T0 - 9000.0
    while now < T0 + 30_000.0:
        plan = obedient.at(now)
        for key in obedient.world.observed:
            want = plan.targets[key].need
            want = min(max(want, 1), 10_000) if want else 0
            assert obedient.ready(key) >= want, (
                f"{key[1]} {now - T0:+.0f} s: {obedient.ready(key)} ready, {want} needed"
            )
        step = max(1.0, min((plan.next_at or now + 300.0) - now, 300.0))
        now += min(step, 15.0) if any(o.loan for o in obedient.world.observed.values()) else step
    assert all(o.loan is None and o.level == 2 for o in obedient.world.observed.values())


@settings(max_examples=40, deadline=None)
@given(evenings(), st.randoms(use_true_random=False), st.integers(-7200, 7200))
def test_the_order_of_objects_never_matters(evening: World, dice: random.Random, offset: int) -> None:
    events = list(evening.announcements.items())
    dice.shuffle(events)
    shuffled = replace(evening, announcements=dict(events), observed=dict(reversed(evening.observed.items())))
    assert make_plan(evening, T0 + offset) == make_plan(shuffled, T0 + offset)


@settings(max_examples=40, deadline=None)
@given(evenings(), announcements("late"), announcements("show-0"), st.integers(-7200, 3600))
def test_replanning_after_an_edit_equals_planning_afresh(
    evening: World, added: Announcement, edited: Announcement, offset: int
) -> None:
    """What the planner remembers changes its speed and never its answer."""
    planner, now = Planner(evening.settings), T0 + offset
    planner.plan(evening, now)
    for edit in ({added.key: added}, {edited.key: edited}):
        evening = replace(evening, announcements={**evening.announcements, **edit})
        want = make_plan(evening, now)
        assert planner.plan(evening, now, changed=frozenset(edit)) == want
    evening = replace(evening, announcements={k: v for k, v in evening.announcements.items() if k != added.key})
    assert planner.plan(evening, now, changed=frozenset([added.key])) == make_plan(evening, now)


@settings(max_examples=25, deadline=None)
@given(evenings(), st.lists(st.integers(1, 2400), min_size=1, max_size=12))
def test_a_plan_made_along_the_way_equals_one_made_from_nothing(evening: World, waits: list[int]) -> None:
    planner, now = Planner(evening.settings), T0 - 7200.0
    for wait in waits:
        now += wait
        assert planner.plan(evening, now) == make_plan(evening, now)


@settings(max_examples=40, deadline=None)
@given(evenings(), st.integers(-3600, 7200), st.floats(0, 1e7))
def test_a_metric_sample_never_lowers_a_level(evening: World, offset: int, value: float) -> None:
    core = replace(evening.policies[CORE], signals=(signal(),))
    now = T0 + offset
    unmeasured = replace(evening, policies={CORE: replace(core, signals=())})
    fresh = {(CORE, "orders"): Reading(Freshness.FRESH, value, now)}
    measured = replace(evening, policies={CORE: core}, readings=fresh)
    before, after = make_plan(unmeasured, now).targets[KEY].level, make_plan(measured, now).targets[KEY].level
    assert before is not None
    assert after is not None
    assert after >= before


@pytest.mark.parametrize("freshness", [f for f in Freshness if f is not Freshness.FRESH])
def test_null_is_not_zero(freshness: Freshness) -> None:
    """Whatever is wrong with a metric, the level that is there is not lowered while the event is on."""
    core = policy(target(), hold=0.0, signals=(signal(),))
    held = Observed(level=40, ready=40, desired=40, loan=LoanState(2, 40, T0, T0))
    readings = {(CORE, "orders"): Reading(freshness, None, T0 + 100.0)}
    w = world(event(level=1000.0), policies=(core,), observed={KEY: held}, readings=readings)
    plan = make_plan(w, T0 + 1000.0).targets[KEY]
    assert (plan.level, plan.reason.value, plan.blind) == (40, "Blind", True)
    late = make_plan(w, T0 + 100.0 + core.blind_max).targets[KEY]
    assert (late.action.value, late.reason.value) == ("Lower", "BlindTooLong")


@settings(max_examples=30, deadline=None)
@given(evenings(), st.integers(-3600, 7200))
def test_one_bad_event_leaves_the_others_planned(evening: World, offset: int) -> None:
    """An event without a policy, or with signals nobody carries, changes nothing for the rest."""
    lost = replace(event("lost"), policy="nobody")
    odd = event("odd", expected=(("hats_per_second", 5.0),))
    more = replace(evening, announcements={**evening.announcements, lost.key: lost, odd.key: odd})
    assert make_plan(more, T0 + offset).targets == make_plan(evening, T0 + offset).targets


def test_nothing_changes_and_there_are_no_steps() -> None:
    """Once a plan is carried out, planning again at the same instant asks for nothing."""
    obedient = Obedient(world(event()))
    first = obedient.at(T0 - 10.0)
    assert [s.level for s in first.steps] == [10]
    assert obedient.at(T0 - 10.0).steps == ()


def test_overlapping_events_add_up_on_top_of_the_background() -> None:
    """Two rooms of 1,000 orders and a background of 500 need 25 units of 100, not 10."""
    core = policy(target(background=(("orders", 500.0),)))
    plan = make_plan(world(event("a"), event("b"), policies=(core,)), T0)
    assert plan.targets[KEY].need == 25


def test_independent_errors_do_not_add_like_worst_cases() -> None:
    """Four equal spreads of 30 % give twice one spread when independent, four times when they share a cause."""
    rooms = [event(f"room-{n}", spread=0.3) for n in range(4)]
    loose = make_plan(world(*rooms, policies=(policy(correlation=0.0),)), T0).targets[KEY].need
    tight = make_plan(world(*rooms, policies=(policy(correlation=1.0),)), T0).targets[KEY].need
    assert (loose, tight) == (50, 60)  # 4000 + 1.645 x (600 | 1200), by 100


def test_a_moved_midnight_is_no_seam() -> None:
    """Windows that touch at midnight keep the level between them."""
    first = event("before", start=T0 - 3600.0, duration=3600.0)
    second = event("after", start=T0, duration=3600.0)
    obedient = Obedient(world(first, second, policies=(policy(hold=0.0),)))
    levels = []
    for offset in range(-300, 300, 5):
        obedient.at(T0 + offset)
        levels.append(obedient.level())
    assert set(levels) == {10}


def test_ten_to_the_nine_viewers_and_nothing_at_all_are_both_numbers() -> None:
    """Extremes are planned: a crowd beyond all capacity is cut to max, a zero is no event."""
    huge = make_plan(world(event(level=1e9)), T0).targets[KEY]
    assert (huge.level, huge.reason.value) == (10_000, "PolicyMaximum")
    none = make_plan(world(event(level=0.0)), T0).targets[KEY]
    assert (none.need, none.action.value) == (0, "Nothing")


def test_the_older_policy_drives_a_shared_workload() -> None:
    """The other says so, whatever their names and order."""
    old = policy(created=1.0, key=Key(NS, "zebra"))
    new = policy(created=2.0, key=Key(NS, "ant"))
    w = world(replace(event(), policy="zebra"), policies=(new, old))
    plan = make_plan(w, T0)
    assert plan.targets[Key(NS, "zebra"), "order"].level == 10
    assert plan.targets[Key(NS, "ant"), "order"].reason.value == "SharedWorkload"
    left = replace(event(), policy="ant", key=Key(NS, "left"))
    verdict = make_plan(world(left, policies=(new, old)), T0).verdicts[left.key]
    assert (verdict.outcome.value, verdict.reason.value) == ("Blocked", "SharedWorkload")
    assert (str(verdict.object), verdict.field) == ("ScalingPolicy/zebra", "spec.targets")
