"""Looking: as often as it matters, and what cannot be read is not zero."""

from __future__ import annotations

from dataclasses import replace

from fakes import FakeCluster, FakeStore, HandClock, NoMetrics, Thing, operator, run_until
from worlds import CORE, T0, event, policy, signal, target

from tidegate.control.loop import Beat
from tidegate.control.stopwatch import Stopwatch
from tidegate.planning.model import Freshness, Measured, Reading, Ref

KEY = (CORE, "order")
ORDER = Ref("apps/v1", "Deployment", "shop", "order")


def scene(start: float = T0, **given: object) -> tuple[FakeCluster, FakeStore]:
    clock = HandClock(T0 - 300.0)
    cluster = FakeCluster(clock, {"order": Thing()})
    core = policy(target(), hold=30.0, **given)  # type: ignore[arg-type]
    show = event(duration=600.0, start=start)
    return cluster, FakeStore({CORE: core}, {show.key: show})


async def test_a_target_far_from_any_step_is_looked_at_now_and_then_only() -> None:
    cluster, store = scene(start=T0 + 50_000.0)
    loop = operator(cluster, store)
    looks: list[float] = []
    await run_until(loop, cluster.clock, T0, each=lambda b: looks.append(loop.looker.sights[KEY].at))
    assert len(looks) >= 20
    assert len(set(looks)) <= 6


async def test_a_target_that_a_watch_reports_is_looked_at_in_the_next_beat() -> None:
    cluster, store = scene(start=T0 + 50_000.0)
    loop = operator(cluster, store)
    await loop.turn()
    cluster.clock.at += 1.0
    loop.touch(ORDER)
    beat = await loop.turn()
    assert beat is not None
    assert loop.looker.sights[KEY].at == cluster.clock.at


async def test_a_target_that_cannot_be_read_keeps_its_last_known_level() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.unreadable.add("order")
    beats: list[Beat] = []
    await run_until(loop, cluster.clock, T0 + 120.0, each=beats.append)
    plan = beats[-1].plan.targets[KEY]
    assert (plan.level, plan.current) == (10, 10)
    seen = beats[-1].world.observed[KEY]
    assert not seen.seen
    assert "does not answer" in seen.note
    cluster.unreadable.clear()
    await run_until(loop, cluster.clock, T0 + 1500.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_a_bad_answer_keeps_the_last_good_value_and_its_age() -> None:
    metrics = NoMetrics({"sum(orders)": Reading(Freshness.FRESH, 700.0, T0 - 20.0)})
    cluster, store = scene(signals=(signal(),))
    loop = operator(cluster, store, metrics=metrics)
    await run_until(loop, cluster.clock, T0 + 10.0)
    metrics.answers.clear()
    cluster.clock.at += 5.0
    beat = await loop.turn()
    assert beat is not None
    reading = beat.world.readings[CORE, "orders"]
    assert (reading.freshness, reading.value, reading.since) == (Freshness.UNREACHABLE, 700.0, T0 - 20.0)
    assert beat.plan.targets[KEY].blind


async def test_a_signal_that_was_never_read_is_blind_since_it_was_first_asked_for() -> None:
    cluster, store = scene(signals=(signal(),))
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 - 200.0)
    first = loop.reader.readings[CORE, "orders"].since
    await run_until(loop, cluster.clock, T0 + 100.0)
    assert loop.reader.readings[CORE, "orders"].since == first


async def test_signals_of_a_policy_that_is_hours_from_its_event_are_not_read() -> None:
    cluster, store = scene(start=T0 + 50_000.0, signals=(signal(),))
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    assert loop.reader.readings == {}


async def test_measured_demand_above_the_plan_is_written_at_the_next_beat() -> None:
    metrics = NoMetrics()
    cluster, store = scene(signals=(signal(),))
    loop = operator(cluster, store, metrics=metrics)
    await run_until(loop, cluster.clock, T0 + 60.0)
    metrics.answers["sum(orders)"] = Reading(Freshness.FRESH, 2500.0, cluster.clock.at + 30.0)
    await run_until(loop, cluster.clock, T0 + 91.0)
    assert cluster.things["order"].level == 25


async def test_a_lead_time_is_measured_from_the_write_to_the_last_ready_unit() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    (done,) = loop.stopwatch.measured[KEY]
    assert done.units == 8
    assert 20.0 <= done.seconds < 36.0, "20 s of start, seen within a beat"


def test_a_further_step_up_starts_the_measurement_anew() -> None:
    watch = Stopwatch()
    watch.written(KEY, level=10, there=2, now=0.0)
    watch.written(KEY, level=20, there=6, now=10.0)
    assert watch.seen(KEY, ready=12, now=15.0) is None
    assert watch.seen(KEY, ready=20, now=40.0) == Measured(14, 30.0, ordered=False)
    assert watch.seen(KEY, ready=20, now=50.0) is None


def test_what_was_measured_of_units_that_started_another_way_is_dropped() -> None:
    """A StatefulSet was made again with another ``podManagementPolicy``; of older records nobody knows."""
    watch = Stopwatch()
    watch.recall({KEY: [Measured(3, 9.0), Measured(4, 40.0, ordered=True)]})
    watch.written(KEY, level=10, there=2, now=0.0)
    watch.seen(KEY, ready=10, now=30.0, ordered=False)
    assert watch.samples()[KEY] == (Measured(3, 9.0), Measured(8, 30.0, ordered=False))


def test_a_step_down_ends_it_unmeasured() -> None:
    watch = Stopwatch()
    watch.written(KEY, level=10, there=2, now=0.0)
    watch.written(KEY, level=5, there=6, now=10.0)
    assert watch.seen(KEY, ready=6, now=11.0) is None
    assert watch.samples() == {}


def test_what_is_gone_is_forgotten() -> None:
    watch = Stopwatch()
    watch.written(KEY, level=10, there=2, now=0.0)
    watch.seen(KEY, ready=10, now=1.0)
    watch.forget(set())
    assert watch.samples() == {}


async def test_a_policy_whose_target_is_renamed_returns_the_old_loan_and_borrows_anew_without_a_dip() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    renamed = replace(target(), name="orders")
    store.policy_map[CORE] = replace(store.policy_map[CORE], targets=(renamed,))
    lowest = []
    await run_until(loop, cluster.clock, T0 + 500.0, each=lambda _: lowest.append(cluster.things["order"].level))
    assert min(lowest) == 10
    await run_until(loop, cluster.clock, T0 + 2400.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})
