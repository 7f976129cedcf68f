"""Overrides: what on-call says beats the plan, for as long as it says and never beyond what the policy bears."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.model import Key
from tidegate.planning.override import (
    MOST,
    MOST_COUNTED,
    Override,
    OverrideAction,
    boosted,
    counted,
    held,
    in_force,
    paused,
)
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason


def override(action: OverrideAction = OverrideAction.BOOST, **given: object) -> Override:
    defaults: dict[str, object] = {
        "key": Key(NS, "tonight"),
        "policy": "core",
        "target": None,
        "action": action,
        "until": T0 + 600.0,
        "author": "lin",
        "reason": "queue grows",
        "percent": 50 if action is OverrideAction.BOOST else 0,
    }
    return Override(**(defaults | given))  # type: ignore[arg-type]


HOLD, PAUSE = override(OverrideAction.HOLD), override(OverrideAction.PAUSE)


def test_a_boost_multiplies_the_need_rounds_up_and_names_its_author() -> None:
    said = boosted(11, [override()], now=T0)
    assert said is not None
    assert (said.level, said.reason, said.override, said.until) == (
        17, Reason.OVERRIDE_BOOST, Key(NS, "tonight"), T0 + 600.0,
    )  # fmt: skip
    assert said.message == "11 units x 150 % = 17: Override tonight by lin (queue grows)"


def test_several_boosts_do_not_multiply_the_largest_counts() -> None:
    more = override(key=Key(NS, "more"), percent=100)
    said = boosted(10, [override(), more], now=T0)
    assert said is not None
    assert (said.level, said.override.name) == (20, "more")


def test_no_need_is_not_boosted() -> None:
    assert boosted(0, [override()], now=T0) is None


def test_a_boost_beyond_all_numbers_stops_at_one_that_max_can_cut() -> None:
    said = boosted(2**52, [override(percent=1_000_000)], now=T0)
    assert said is not None
    assert said.level == MOST


@pytest.mark.parametrize("action", list(OverrideAction))
def test_an_override_that_is_over_says_nothing(action: OverrideAction) -> None:
    one = override(action)

    def said(now: float) -> list[object]:
        return [boosted(5, [one], now=now), held(5, [one], current=9, now=now), paused(5, [one], current=9, now=now)]

    assert any(said(one.until - 0.1))
    assert not any(said(one.until))


def test_a_hold_forbids_the_way_down_and_not_the_way_up() -> None:
    said = held(5, [HOLD], current=9, now=T0)
    assert said is not None
    assert (said.level, said.reason) == (9, Reason.OVERRIDE_HOLD)
    assert said.message.startswith("5 would do, 9 is held: Override tonight by lin")
    assert held(12, [HOLD], current=9, now=T0) is None


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_pause_writes_no_other_level_whatever_is_planned(level: int, current: int) -> None:
    said = paused(level, [PAUSE], current=current, now=T0)
    if level == current:
        assert said is None
    else:
        assert said is not None
        assert (said.level, said.reason) == (current, Reason.OVERRIDE_PAUSE)


def test_of_two_holds_the_one_that_speaks_longest_is_named() -> None:
    longer = replace(HOLD, key=Key(NS, "all-night"), until=T0 + 9000.0)
    said = held(1, [longer, HOLD], current=4, now=T0)
    assert said is not None
    assert said.override.name == "all-night"


def test_each_action_speaks_only_for_itself() -> None:
    everything = [override(), HOLD, PAUSE]
    assert boosted(10, [HOLD, PAUSE], now=T0) is None
    assert held(1, [override(), PAUSE], current=4, now=T0) is None
    assert paused(1, [override(), HOLD], current=4, now=T0) is None
    assert {o.action for o in in_force(everything, CORE, "order", T0)} == set(OverrideAction)


def test_an_override_reaches_its_policy_and_target_in_its_own_namespace() -> None:
    one = override(target="order")
    assert in_force([one], CORE, "order", T0) == (one,)
    assert in_force([one], CORE, "cart", T0) == ()
    assert in_force([one], Key("other", "core"), "order", T0) == ()
    assert in_force([one], Key(NS, "edge"), "order", T0) == ()
    assert in_force([override()], CORE, "cart", T0) == (override(),)


def test_the_order_of_overrides_does_not_matter() -> None:
    some = [override(key=Key(NS, name)) for name in ("c", "a", "b")]
    assert in_force(some, CORE, "order", T0) == in_force(reversed(some), CORE, "order", T0)
    assert boosted(10, some, now=T0) == boosted(10, list(reversed(some)), now=T0)


def test_what_two_boosts_come_to_is_what_their_sentence_says() -> None:
    """The larger one is over and still held, the smaller one is in force."""
    big = override(key=Key(NS, "a"), percent=100, until=T0 - 60.0, created=T0 - 1200.0)
    small = override(key=Key(NS, "b"), percent=50, created=T0 - 30.0)
    on = event(level=10_000.0, start=T0 - 1800.0, duration=7200.0)
    found = make_plan(world(on, policies=(policy(hold=900.0),), overrides=(big, small)), T0).targets[CORE, "order"]
    (told,) = (one for one in found.trail if one.reason is Reason.OVERRIDE_BOOST)
    assert told.level == 200
    assert told.message == "200 units kept of a boost that is over: within hold"


@given(
    percents=st.lists(st.integers(1, 300), min_size=1, max_size=3),
    ends=st.lists(st.integers(-900, 900), min_size=3, max_size=3),
    level=st.integers(100, 5000),
)
def test_no_sentence_of_a_boost_names_another_level_than_it_gives(
    percents: list[int], ends: list[int], level: int
) -> None:
    boosts = tuple(
        override(key=Key(NS, f"o{n}"), percent=percent, until=T0 + ends[n], created=T0 - 1000.0)
        for n, percent in enumerate(percents)
    )
    on = event(level=float(level), start=T0 - 1800.0, duration=2400.0)
    found = make_plan(world(on, policies=(policy(hold=900.0),), overrides=boosts), T0).targets[CORE, "order"]
    for told in found.trail:
        if told.reason is Reason.OVERRIDE_BOOST:
            assert f"= {told.level}:" in told.message or told.message.startswith(f"{told.level} units")


MANY = tuple(override(key=Key(NS, f"o{n:05}"), created=T0 - 90_000.0 + n, percent=1 + n % 1000) for n in range(5_000))


def test_of_more_overrides_than_count_those_that_were_made_first_do() -> None:
    mine = override(target="order", key=Key(NS, "mine"))
    hers = override(policy="other", key=Key(NS, "hers"))
    assert set(counted((*reversed(MANY), mine, hers), T0)) == {*MANY[:MOST_COUNTED], mine, hers}


@given(st.lists(st.tuples(st.integers(-3 * 86_400, 600), st.integers(1, 1000), st.booleans()), max_size=60))
def test_nothing_that_comes_to_an_end_and_nothing_that_is_added_takes_a_counted_one_away(
    given_: list[tuple[int, int, bool]],
) -> None:
    every = [
        override(key=Key(NS, f"o{n:03}"), created=T0 - 4 * 86_400.0 + n, until=T0 + ends, percent=percent)
        if boosts
        else override(OverrideAction.HOLD, key=Key(NS, f"o{n:03}"), created=T0 + n, until=T0 + ends)
        for n, (ends, percent, boosts) in enumerate(given_)
    ]
    before = {one.key for one in counted(every, T0) if one.until > T0}
    late = override(key=Key(NS, "z"), created=T0 + 1e6)
    assert before <= {one.key for one in counted([*every, late], T0)}
    later = {one.key for one in counted(every, T0 + 300.0)}
    assert {one.key for one in every if one.key in before and one.until > T0 + 300.0} <= later


def test_a_boost_that_is_over_counts_by_its_size_for_as_long_as_a_hold_may_last() -> None:
    over = [replace(one, until=T0 - 60.0) for one in MANY]
    found = counted([*over, replace(MANY[-1], key=Key(NS, "old"), until=T0 - 3 * 86_400.0)], T0)
    assert len(found) == MOST_COUNTED
    assert {one.percent for one in found} == {1000, 999, 998, 997}


@pytest.mark.parametrize("action", list(OverrideAction))
def test_ten_thousand_overrides_cost_a_plan_no_more_than_a_handful(action: OverrideAction) -> None:
    everybody = policy(*(target(f"t{n}") for n in range(64)))
    many = tuple(override(action, key=Key(NS, f"o{n:05}"), until=T0 + 600.0 + n) for n in range(10_000))
    begun = process_time()
    plan = make_plan(world(event(), policies=(everybody,), overrides=many), T0 - 300.0)
    assert process_time() - begun < 1.0
    assert {len(one.overridden) for one in plan.targets.values()} == {MOST_COUNTED}
