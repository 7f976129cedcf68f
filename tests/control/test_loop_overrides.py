"""On-call at 23:58: what an override does to levels that are written, and that it ends by itself."""

from __future__ import annotations

from fakes import FakeCluster, FakeStore, HandClock, Thing, operator, run_until
from worlds import CORE, T0, event, policy, target

from tidegate.planning.model import Key
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.reasons import Reason


def scene(**limits: int) -> tuple[FakeCluster, FakeStore]:
    """One workload of 2, an event of ten minutes that needs 10."""
    clock = HandClock(T0 - 300.0)
    cluster = FakeCluster(clock, {"order": Thing()})
    show = event(duration=600.0)
    return cluster, FakeStore({CORE: policy(target(**limits), hold=30.0, rate=0.4)}, {show.key: show})


def said(action: OverrideAction, *, until: float, percent: int = 0, created: float = T0 - 300.0) -> Override:
    return Override(
        Key("shop", "at-2358"), "core", "order", action, until, "oncall@shop.example", "viewers 1.4x plan", percent,
        created=created,
    )  # fmt: skip


async def test_a_boost_is_there_by_the_time_that_its_need_is_and_ends_by_itself() -> None:
    cluster, store = scene()
    store.override_list = [said(OverrideAction.BOOST, until=T0 + 300.0, percent=30)]
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 - 5.0)
    assert cluster.things["order"].level == 13
    await run_until(loop, cluster.clock, T0 + 500.0)
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, T0 + 1500.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_a_boost_multiplies_before_the_policys_max() -> None:
    cluster, store = scene(maximum=12)
    store.override_list = [said(OverrideAction.BOOST, until=T0 + 300.0, percent=50)]
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    beat = await loop.turn()
    assert beat is not None
    trail = [(j.reason, j.level) for j in beat.plan.targets[CORE, "order"].trail]
    assert (Reason.OVERRIDE_BOOST, 15) in trail
    assert (Reason.POLICY_MAXIMUM, 12) in trail
    assert cluster.things["order"].level == 12


async def test_a_boost_says_by_whom_and_why() -> None:
    cluster, store = scene()
    store.override_list = [said(OverrideAction.BOOST, until=T0 + 300.0, percent=30)]
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 - 5.0)
    beat = await loop.turn()
    assert beat is not None
    message = next(j.message for j in beat.plan.targets[CORE, "order"].trail if j.reason is Reason.OVERRIDE_BOOST)
    assert message == "10 units x 130 % = 13: Override at-2358 by oncall@shop.example (viewers 1.4x plan)"


async def test_an_override_is_told_with_the_number_as_long_as_it_is_in_force() -> None:
    """Also where the number is another's: here the policy's max."""
    cluster, store = scene(maximum=12)
    store.override_list = [said(OverrideAction.BOOST, until=T0 + 300.0, percent=50)]
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    beat = await loop.turn()
    assert beat is not None
    assert beat.plan.targets[CORE, "order"].overridden == (
        "Boost 50 % until 2026-11-09T16:05:00Z by oncall@shop.example: viewers 1.4x plan (Override at-2358)",
    )
    await run_until(loop, cluster.clock, T0 + 301.0)
    beat = await loop.turn()
    assert beat is not None
    assert beat.plan.targets[CORE, "order"].overridden == ()


async def test_a_boost_without_an_event_asks_for_nothing() -> None:
    cluster, store = scene()
    store.events.clear()
    store.override_list = [said(OverrideAction.BOOST, until=T0 + 300.0, percent=300)]
    await run_until(operator(cluster, store), cluster.clock, T0 + 60.0)
    assert cluster.level_writes == []


async def test_a_hold_stops_every_step_down_until_it_ends() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 300.0)
    store.override_list = [said(OverrideAction.HOLD, until=T0 + 1500.0, created=T0 + 300.0)]
    await run_until(loop, cluster.clock, T0 + 1490.0)
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, T0 + 2400.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_a_hold_stops_no_step_up() -> None:
    cluster, store = scene()
    store.override_list = [said(OverrideAction.HOLD, until=T0 + 1500.0)]
    await run_until(operator(cluster, store), cluster.clock, T0)
    assert cluster.things["order"].level == 10


async def test_a_pause_stops_every_write_until_it_ends() -> None:
    cluster, store = scene()
    store.override_list = [said(OverrideAction.PAUSE, until=T0 + 120.0)]
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 119.0)
    assert cluster.level_writes == []
    await run_until(loop, cluster.clock, T0 + 180.0)
    assert cluster.things["order"].level == 10


async def test_a_pause_keeps_a_loan_that_would_be_returned() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 300.0)
    store.override_list = [said(OverrideAction.PAUSE, until=T0 + 3000.0, created=T0 + 300.0)]
    await run_until(loop, cluster.clock, T0 + 2990.0)
    assert (cluster.things["order"].level, len(cluster.loans)) == (10, 1)
    await run_until(loop, cluster.clock, T0 + 3900.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_an_override_of_another_namespace_or_target_reaches_nothing() -> None:
    cluster, store = scene()
    elsewhere = Override(
        Key("other", "x"), "core", None, OverrideAction.PAUSE, T0 + 900.0, "someone", "a mistake", created=T0 - 300.0
    )
    another = Override(
        Key("shop", "y"), "core", "chat", OverrideAction.PAUSE, T0 + 900.0, "someone", "a mistake", created=T0 - 300.0
    )
    store.override_list = [elsewhere, another]
    await run_until(operator(cluster, store), cluster.clock, T0)
    assert cluster.things["order"].level == 10
