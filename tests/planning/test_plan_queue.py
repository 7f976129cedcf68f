"""Whose units stand in the queue of pods that a cluster creates: what may really be created, by facts that stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pools import cores, lane, pool
from worlds import CORE, T0, event, policy, target, world

from tidegate.planning.decision import Action, TargetPlan
from tidegate.planning.model import Key, Mode, Observed, PlanSettings, Policy, Trouble
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.queue import UNDRIVABLE, boosted
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.model import Lane
from tidegate.planning.world import PoolWorld, World

ORDER = (CORE, "order")
OTHER = Key("elsewhere", "big")
BIG = (OTHER, "big")
NOW = T0 - 6 * 3600.0


def beside(mode: Mode, *, maximum: int = 1_000_000, ceiling: int | None = None) -> World:
    """A show that needs 10 units, beside one in another namespace that announces a hundred million."""
    announced = replace(event(), key=Key("elsewhere", "slip"), policy="big", expected=(("orders", 1e8),))
    others = Policy(OTHER, (target("big", maximum=maximum),), mode=mode)
    made = world(event(), announced, policies=(policy(), others))
    seen = {**made.observed, BIG: Observed(level=2, ready=2, desired=2, maximum=ceiling)}
    return replace(made, observed=seen, settings=PlanSettings(creation_rate=20.0, fail_over=0.0, reaction=0.0))


def of_order(w: World) -> TargetPlan:
    return make_plan(w, NOW).targets[ORDER]


def test_what_only_observes_makes_nobody_early() -> None:
    alone = replace(beside(Mode.OBSERVE), announcements={event().key: event()})
    assert of_order(beside(Mode.OBSERVE)) == of_order(alone)


def test_what_acts_stands_in_the_queue_as_far_as_its_max_lets_it() -> None:
    alone, large, small = (
        of_order(w) for w in (beside(Mode.OBSERVE), beside(Mode.ENFORCE), beside(Mode.ENFORCE, maximum=200))
    )
    assert alone.next_at is not None
    assert (alone.action, large.action) == (Action.NOTHING, Action.RAISE), "six hours ahead"
    assert small.next_at is not None
    assert alone.next_at - 200 / 20.0 - 15.0 <= small.next_at < alone.next_at


@pytest.mark.parametrize("ceiling", [0, 1, 200])
def test_an_autoscalers_maximum_bounds_what_may_be_created(ceiling: int) -> None:
    assert of_order(beside(Mode.ENFORCE, ceiling=ceiling)) == of_order(beside(Mode.ENFORCE, maximum=max(ceiling, 1)))


@pytest.mark.parametrize("trouble", list(Trouble))
def test_what_cannot_be_driven_makes_nobody_early_and_what_nobody_can_tell_does(trouble: Trouble) -> None:
    large, alone = beside(Mode.ENFORCE), beside(Mode.OBSERVE)
    troubled = replace(large, observed={**large.observed, BIG: Observed(trouble=trouble)})
    assert of_order(troubled) == of_order(alone if trouble in UNDRIVABLE else large)


def test_a_planner_that_remembers_sees_a_workload_come() -> None:
    planner, large = Planner(PlanSettings(creation_rate=20.0, fail_over=0.0, reaction=0.0)), beside(Mode.ENFORCE)
    gone = replace(large, observed={**large.observed, BIG: Observed(trouble=Trouble.MISSING)})
    assert planner.plan(gone, NOW).targets[ORDER].action is Action.NOTHING
    assert planner.plan(large, NOW + 1.0).targets[ORDER].action is Action.RAISE


def on_lane(lane: Lane, **given: object) -> World:
    """The large one asks for machines of a pool of a thousand cores, a core a unit."""
    w = beside(Mode.ENFORCE)
    others = Policy(OTHER, (target("big", maximum=1_000_000, lane="trading", unit=cores(1)),), pool="hangzhou")
    on = PoolWorld(pool(lane), PoolSeen(cores(1000)), **given)  # type: ignore[arg-type]
    return replace(w, policies={**w.policies, OTHER: replace(others, mode=Mode.ENFORCE)}, pools={"hangzhou": on})


def test_a_lanes_cap_bounds_what_one_namespace_may_create() -> None:
    capped = on_lane(lane("trading", allowed_namespaces=frozenset({"elsewhere"}), cap=20))
    assert of_order(capped) == of_order(beside(Mode.ENFORCE, maximum=200 + 2)), "and its owner's two"


def test_a_namespace_that_a_lane_does_not_know_creates_nothing() -> None:
    stranger = on_lane(lane("trading", allowed_namespaces=frozenset({"shop"})))
    assert of_order(stranger) == of_order(beside(Mode.OBSERVE))


def test_what_a_pool_grants_now_bounds_nothing() -> None:
    """A lane without a cap: the pool is full, and that may end."""
    free = on_lane(lane("trading", allowed_namespaces=frozenset({"elsewhere"})))
    assert of_order(free) == of_order(beside(Mode.ENFORCE))


@pytest.mark.parametrize("only", [None, "big"])
def test_a_boost_in_force_stands_in_the_queue_and_one_that_is_over_before_does_not(only: str | None) -> None:
    def boosted(until: float, percent: int = 100) -> World:
        boost = Override(
            Key("elsewhere", "more"), "big", only, OverrideAction.BOOST, until, "ann", "x", percent=percent
        )
        return replace(some, overrides=(boost,))

    some = beside(Mode.ENFORCE)
    big = next(key for key in some.announcements if key.namespace == "elsewhere")
    some.announcements[big] = replace(some.announcements[big], expected=(("orders", 20_000.0),))  # type: ignore[index]
    plain, now, over = of_order(some), of_order(boosted(T0 + 600.0)), of_order(boosted(T0 - 600.0))
    assert plain.next_at is not None
    assert now.next_at is not None
    assert over == plain
    assert now.next_at == pytest.approx(plain.next_at - 200 / 20.0, abs=15.0), "200 units more, 20 a second"
    assert of_order(boosted(T0 + 600.0, percent=0)) == plain


def test_of_several_boosts_the_largest_that_is_in_force_counts() -> None:
    units = np.array([10, 10, 10, 10], dtype=np.int64)
    assert boosted(units, ((15.0, 50), (30.0, 100), (45.0, 10)), first=0, cell=15.0).tolist() == [20, 20, 11, 10]


def test_a_planner_that_remembers_sees_a_boost_end() -> None:
    w = beside(Mode.ENFORCE, maximum=2000)
    boost = Override(Key("elsewhere", "more"), "big", None, OverrideAction.BOOST, T0, "ann", "x", percent=100)
    planner = Planner(w.settings)
    for overrides in ((boost,), (), (replace(boost, percent=300),)):
        now = replace(w, overrides=overrides)
        assert planner.plan(now, NOW).targets[ORDER] == of_order(now)


def test_a_planner_that_remembers_sees_a_maximum_that_changed() -> None:
    planner = Planner(PlanSettings(creation_rate=20.0, fail_over=0.0, reaction=0.0))
    for ceiling in (200, 100_000, None, 50):
        w = beside(Mode.ENFORCE, ceiling=ceiling)
        assert planner.plan(w, NOW).targets[ORDER] == of_order(w)


def many(minimum: int) -> World:
    """Forty workloads that stand at five and need fifty each, at one instant."""
    targets = tuple(target(f"t{n}", capacity=(("orders", 20.0),), minimum=minimum) for n in range(40))
    made = world(event(), policies=(policy(*targets),))
    seen = {key: Observed(level=5, ready=5, desired=5) for key in made.observed}
    return replace(made, observed=seen, settings=PlanSettings(creation_rate=20.0, fail_over=0.0, reaction=0.0))


@pytest.mark.parametrize("minimum", [2, 20, 50])
def test_what_a_policys_min_asks_for_stands_in_the_queue_like_all_else(minimum: int) -> None:
    """Whoever asks for no less than fifty creates fifty; it is late by the whole queue if they count as there."""
    asked, bare = (make_plan(many(one), NOW) for one in (minimum, 1))
    assert [one.next_at for one in asked.targets.values()] == [one.next_at for one in bare.targets.values()]
    first = asked.targets[CORE, "t0"].next_at
    assert first is not None
    assert first <= T0 - 40 * 50 / 20.0 - 30.0


def test_a_min_above_the_need_stands_in_the_queue_whole() -> None:
    above, bare = (make_plan(many(one), NOW).targets[CORE, "t0"].next_at for one in (80, 1))
    assert above is not None
    assert bare is not None
    assert bare - above >= 40 * 30 / 20.0 - 15.0
