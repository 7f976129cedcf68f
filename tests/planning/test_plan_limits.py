"""A limit that no unit lifts is told in the verdict, however ready the units are."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from worlds import CORE, NS, T0, Obedient, derived, event, moment, policy, target, world

from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import OURS, Key, Limit, Policy, Ref
from tidegate.planning.reasons import Reason

PRIMARY = Limit("orders-db", "orders", 4000.0, "the primary of orders-db, measured by pgbench")
SHOW = Key(NS, "show")


def limited(*limits: Limit, **given: object) -> Policy:
    return replace(policy(target(**given)), limits=limits)


def verdict_of(level: float, *limits: Limit, at: float = T0 - 60.0, **given: object) -> Verdict:
    obedient = Obedient(world(event(level=level), policies=(limited(*limits, **given),)))
    obedient.at(T0 - 3000.0)
    return obedient.at(at).verdicts[SHOW]


def test_an_event_that_needs_more_than_the_primary_writes_is_blocked_with_its_name_and_both_numbers() -> None:
    found = verdict_of(5000.0, PRIMARY)
    assert (found.outcome, found.reason) == (Outcome.BLOCKED, Reason.WRITE_LIMIT)
    assert found.message == (
        "orders-db: 5000 orders needed, 4000 is the most that is carried: the primary of orders-db, measured by pgbench"
    )
    assert (found.object, found.field) == (Ref(OURS, "ScalingPolicy", NS, "core"), "spec.limits[0].most")


def test_it_is_told_an_hour_ahead_while_every_unit_that_is_due_is_ready() -> None:
    obedient = Obedient(world(event(level=5000.0), policies=(limited(PRIMARY),)))
    assert SHOW not in obedient.at(T0 - 3700.0).verdicts
    assert obedient.at(T0 - 3500.0).verdicts[SHOW].reason is Reason.WRITE_LIMIT


def test_a_limit_holds_no_level_back() -> None:
    free, bound = (Obedient(world(event(level=5000.0), policies=(one,))) for one in (limited(), limited(PRIMARY)))
    for at in (-3000.0, -40.0, -30.0, 0.0, 60.0):
        free.at(T0 + at)
        bound.at(T0 + at)
        assert bound.level() == free.level()
    assert bound.level() == 50


def test_what_is_there_without_any_event_counts() -> None:
    assert verdict_of(3500.0, PRIMARY).reason is not Reason.WRITE_LIMIT
    assert verdict_of(3500.0, PRIMARY, background=(("orders", 600.0),)).reason is Reason.WRITE_LIMIT


def test_two_events_at_the_same_time_meet_the_limit_together() -> None:
    both = world(event(level=2500.0), event("sale", level=2500.0), policies=(limited(PRIMARY),))
    found = Obedient(both).at(T0 - 60.0).verdicts
    assert {one.reason for one in found.values()} == {Reason.WRITE_LIMIT}
    assert len(found) == 2


def test_an_event_of_another_signal_is_not_told_of_the_limit() -> None:
    carried = limited(PRIMARY, capacity=(("orders", 100.0), ("viewers", 1000.0)))
    film = event("film", expected=(("viewers", 5000.0),))
    found = Obedient(world(event(level=5000.0), film, policies=(carried,))).at(T0 - 60.0).verdicts
    assert found[SHOW].reason is Reason.WRITE_LIMIT
    assert found[Key(NS, "film")].reason is not Reason.WRITE_LIMIT


def test_of_two_shows_only_the_one_that_meets_the_limit_says_so() -> None:
    """They announce the same signal, and share all of their verdict but what depends on the time."""
    small = event("small", level=300.0, start=T0 - 2400.0, duration=600.0)
    found = Obedient(world(small, event(level=5000.0), policies=(limited(PRIMARY),))).at(T0 - 2000.0).verdicts
    assert found[Key(NS, "small")].reason is not Reason.WRITE_LIMIT
    assert found[SHOW].reason is Reason.WRITE_LIMIT


def test_a_crowd_that_comes_at_the_very_end_or_after_it_meets_the_limit_too() -> None:
    """At the final whistle all of them press "back"; what is derived follows by a lag."""
    whistle = moment("whistle", from_end=True, offset=0.0, duration=300.0, factor=3.0)
    late = event("late", expected=(("views", 5000.0),), derived=(derived("orders", "views", 1.0, lag=3600.0),))
    carried = limited(PRIMARY, capacity=(("orders", 100.0), ("views", 100.0)))
    for one in (event("match", level=2000.0, moments=(whistle,)), late):
        found = Obedient(world(one, policies=(carried,))).at(T0 - 60.0).verdicts[one.key]
        assert found.reason is Reason.WRITE_LIMIT, one.key.name


def test_of_two_events_at_one_time_only_that_whose_own_span_meets_the_limit_says_so() -> None:
    """They announce the same signal at the same hour; the crowd comes at the end of one, behind the other's."""
    whistle = moment("whistle", from_end=True, offset=0.0, duration=300.0, factor=30.0)
    both = world(
        event("plain", level=100.0), event("match", level=200.0, moments=(whistle,)), policies=(limited(PRIMARY),)
    )
    found = Obedient(both).at(T0 - 60.0).verdicts
    assert {key.name: one.reason is Reason.WRITE_LIMIT for key, one in found.items()} == {"plain": False, "match": True}


def test_a_limit_that_is_edited_counts_from_the_next_plan_on() -> None:
    obedient = Obedient(world(event(level=5000.0), policies=(limited(PRIMARY),)))
    assert obedient.at(T0 - 60.0).verdicts[SHOW].reason is Reason.WRITE_LIMIT
    obedient.world = replace(obedient.world, policies={CORE: limited(replace(PRIMARY, most=6000.0))})
    assert obedient.at(T0 - 55.0).verdicts[SHOW].reason is not Reason.WRITE_LIMIT


def test_of_several_limits_the_one_that_is_exceeded_furthest_is_named() -> None:
    narrow = Limit("payments", "orders", 1000.0)
    found = verdict_of(5000.0, PRIMARY, narrow)
    assert found.message == "payments: 5000 orders needed, 1000 is the most that is carried"
    assert found.field == "spec.limits[1].most"


def test_what_blocks_the_targets_themselves_is_named_first() -> None:
    """Units that cannot come are nearer than a bound behind them."""
    found = verdict_of(5000.0, replace(PRIMARY, signal="chat"))
    assert found.reason is not Reason.WRITE_LIMIT
    blind = world(event(level=5000.0), policies=(replace(limited(PRIMARY), key=CORE, targets=()),))
    assert Obedient(blind).at(T0 - 60.0).verdicts[SHOW].reason is Reason.NO_TARGET


@given(level=st.integers(1, 20_000), most=st.integers(1, 20_000), background=st.integers(0, 5_000))
def test_the_verdict_names_the_limit_exactly_when_the_need_is_above_it(level: int, most: int, background: int) -> None:
    found = verdict_of(float(level), Limit("db", "orders", float(most)), background=(("orders", float(background)),))
    assert (found.reason is Reason.WRITE_LIMIT) == (level + background > most)
