"""What a slow, noisy or poisonous neighbour does to the others: nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from fakes import FakeCluster, FakeStore, HandClock, NoMetrics, Thing, operator, run_until
from test_order_of_knowledge import begin_all
from worlds import CORE, T0, event, policy, signal, target

from tidegate.control.rounds import limited, run_once
from tidegate.planning.model import Announcement, Derived, Freshness, Key, Occurrence, Reading, Ref
from tidegate.ports import Sight


@dataclass
class Hanging(FakeCluster):
    """A look at ``slow`` never ends."""

    async def see(self, ref: Ref) -> Sight:
        if ref.name == "slow":
            await asyncio.Event().wait()
        return await super().see(ref)


async def test_a_target_that_hangs_holds_up_no_other() -> None:
    cluster = Hanging(HandClock(T0 - 20.0), {"order": Thing(), "slow": Thing()})
    show = event()
    store = FakeStore({CORE: policy(target(), target("slow"), hold=30.0)}, {show.key: show})
    loop = operator(cluster, store)
    running: dict[object, asyncio.Task[None]] = {}
    for _ in range(4):  # as the process does: nobody waits for a round to be complete
        loop.focus()
        for work in (*loop.readers, loop.writer):
            begin_all(loop, work, running)
            for _ in range(20):
                await asyncio.sleep(0)
        loop.decide()
    assert cluster.things["order"].level == 10
    for task in running.values():
        task.cancel()
    await asyncio.gather(*running.values(), return_exceptions=True)


@dataclass
class Counted(NoMetrics):
    """How often it was asked."""

    asked: list[float] = field(default_factory=list)

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        self.asked.append(now)
        return Reading(Freshness.FRESH, 100.0, now)


async def test_a_signal_is_read_at_its_own_pace_however_often_a_workload_changes() -> None:
    cluster, metrics = FakeCluster(HandClock(T0 - 30.0), {"order": Thing()}), Counted()
    show = event()
    store = FakeStore({CORE: policy(target(), signals=(signal(),), hold=30.0)}, {show.key: show})
    loop = operator(cluster, store, metrics=metrics)
    await run_until(loop, cluster.clock, T0 + 30.0)
    metrics.asked.clear()
    begun = cluster.clock.at
    while cluster.clock.at < begun + 60.0:
        loop.touch(target().ref)
        loop.focus()
        for work in (*loop.readers, loop.writer):
            await run_once(work, cluster.clock.at)
        loop.decide()
        cluster.clock.at += 0.2
    assert 3 <= len(metrics.asked) <= 5, "every fifteen seconds"


async def test_whoever_is_interrupted_leaves_no_job_under_way() -> None:
    under_way: set[int] = set()

    async def job(number: int) -> None:
        under_way.add(number)
        try:
            await asyncio.Event().wait()
        finally:
            under_way.discard(number)

    class Ended(BaseException):
        pass

    async def ends() -> None:
        raise Ended

    with pytest.raises(Ended):
        await limited([*(job(number) for number in range(3)), ends()])
    assert under_way == set()


async def test_a_job_that_fails_ends_no_other() -> None:
    async def gives(value: int) -> int:
        if value == 1:
            raise ValueError
        return value

    first, second, third = await limited([gives(0), gives(1), gives(2)], at_once=1)
    assert (first, type(second), third) == (0, ValueError, 2)


def chain(links: int, factor: object, spread: int) -> Announcement:
    """Derived signals, each so many times the one before. The API refuses it; one in memory must harm nobody either."""
    derived = tuple(Derived(f"s{n}", f"s{n - 1}", float(factor), 0.0) for n in range(1, links + 1))  # type: ignore[arg-type]
    key = Key("elsewhere", "slip")
    occurrence = Occurrence(T0, 600.0)
    return Announcement(
        key, "mine", (occurrence,), (("s0", 1000.0),), profile="flat", spread=spread / 100, derived=derived
    )


@pytest.mark.parametrize(
    ("links", "factor", "spread"),
    [(26, 10**12 - 1, 0), (31, "999999999999.999999999", 0), (13, 10**12 - 1, 30), (31, 10**11, 0), (31, 10**6, 30)],
)
async def test_a_chain_of_large_factors_in_another_namespace_leaves_everybody_planned(
    links: int, factor: object, spread: int
) -> None:
    """Before the show and while it is on, over the hours after which sums are made anew."""
    cluster = FakeCluster(HandClock(T0 - 300.0), {"order": Thing()})
    show = event(duration=4 * 3600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0, rate=0.2)}, {show.key: show})
    loop = operator(cluster, store)
    store.put(chain(links, factor, spread))
    await run_until(loop, cluster.clock, T0 + 60.0)
    lowest: list[int] = []
    store.put(chain(links, factor, spread))
    await run_until(loop, cluster.clock, T0 + 3 * 3600.0, each=lambda _: lowest.append(cluster.things["order"].level))
    assert min(lowest) == 10
