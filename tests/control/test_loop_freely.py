"""Rounds driven freely: in any order, stalled at any moment, interrupted at any await. The same levels in the end."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from fakes import FakeStore, HandClock, Leader, NoMetrics, Thing, operator, run_until
from interleave import Order, Stepped
from test_order_of_knowledge import GatedCluster, begin_all
from worlds import CORE, T0, event, policy, signal, target

from tidegate.control.ledger import Ledger
from tidegate.control.loop import Loop
from tidegate.control.rounds import run_once
from tidegate.planning.model import Freshness, Reading

NAMES = ("order", "pay", "chat")
OWN = {"order": 2, "pay": 3, "chat": 4}


def cluster_of(order: Order | None = None, *, gated: bool = False) -> GatedCluster:
    things = {name: Thing(level=level, ready=level) for name, level in OWN.items()}
    return GatedCluster(HandClock(T0 - 300.0), things, steps=Stepped(order or Order()), gated=gated)


def store_of(**given: object) -> FakeStore:
    show = event(duration=600.0)
    core = policy(*(target(name) for name in NAMES), hold=30.0, rate=0.4, **given)  # type: ignore[arg-type]
    return FakeStore({CORE: core}, {show.key: show})


def levels(cluster: GatedCluster) -> dict[str, int]:
    return {name: thing.level for name, thing in cluster.things.items()}


# ---- any order


ROUNDS = ("loans", "looks", "signals", "decide", "writes")


@pytest.mark.parametrize("order", random.Random(8).sample(list(itertools.permutations(ROUNDS)), 16), ids="-".join)
async def test_rounds_in_any_order_end_at_the_same_levels(order: tuple[str, ...]) -> None:
    cluster, store = cluster_of(), store_of()
    loop = operator(cluster, store)
    highest = dict(OWN)

    async def one(name: str) -> None:
        if name == "decide":
            loop.decide()
            return
        work = next(one for one in loop.rounds if one.name == name)
        await run_once(work, cluster.clock.at)

    while cluster.clock.at < T0 + 2400.0:
        for name in order:
            await one(name)
        if T0 <= cluster.clock.at < T0 + 600.0:
            assert min(levels(cluster).values()) >= 10
        highest = {name: max(level, cluster.things[name].level) for name, level in highest.items()}
        cluster.clock.at += 10.0
    assert highest == dict.fromkeys(NAMES, 10)
    assert (levels(cluster), cluster.loans) == (OWN, {})


# ---- stalled for ever


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stalled", ["looks", "signals"])
async def test_a_reader_that_stalls_for_ever_lets_needs_rise_in_time_and_nothing_fall(stalled: str, seed: int) -> None:
    dice = random.Random(f"{stalled} {seed}")
    metrics = NoMetrics()
    cluster, store = cluster_of(), store_of(signals=(signal(),))
    loop = operator(cluster, store, metrics=metrics)
    stalls_at = T0 - dice.uniform(5.0, 290.0)
    before = dict(OWN)
    while cluster.clock.at < T0 + 1200.0:
        metrics.answers["sum(orders)"] = Reading(Freshness.FRESH, 1000.0, cluster.clock.at)
        loop.focus()
        for work in loop.readers:
            if work.name != stalled or cluster.clock.at < stalls_at:
                await run_once(work, cluster.clock.at)
        loop.decide()
        await run_once(loop.writer, cluster.clock.at)
        now = levels(cluster)
        if cluster.clock.at > stalls_at and stalled == "looks":
            assert all(now[name] >= before[name] for name in NAMES), "nothing falls on what nobody has seen"
        if T0 <= cluster.clock.at < T0 + 600.0:
            assert min(now.values()) >= 10
        before = now
        cluster.clock.at += 10.0


# ---- interrupted at every await


async def interrupted(at: int, how: str) -> GatedCluster:
    """Three writes under way; at the ``at``-th thing that happens the process is interrupted."""
    cluster = cluster_of(Order(dice=random.Random(at)), gated=True)
    store, leader = store_of(), Leader()
    loop = operator(cluster, store, leader=leader)
    running: dict[object, asyncio.Task[None]] = {}
    happened = 0
    until = T0 + 900.0
    while cluster.clock.at < until:
        loop.focus()
        loop.looker.hasten()
        loop.decide()
        for work in (loop.loader, loop.looker, loop.writer):
            begin_all(loop, work, running)
        for _ in range(12):
            if not await cluster.steps.step([]):
                break
            happened += 1
            if happened == at:
                loop = await interrupt(how, cluster, store, leader, loop, running)
        cluster.clock.at += 10.0
    cluster.gated = False
    while await cluster.steps.step([]):
        pass
    await asyncio.gather(*running.values(), return_exceptions=True)
    store.is_stopped = False
    await run_until(loop, cluster.clock, until + 1500.0)
    return cluster


async def interrupt(
    how: str,
    cluster: GatedCluster,
    store: FakeStore,
    leader: Leader,
    loop: Loop,
    running: dict[object, asyncio.Task[None]],
) -> Loop:
    if how == "kill":
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        running.clear()
        return operator(cluster, store, leader=Leader(epoch=leader.epoch + 1))
    if how == "new epoch":
        leader.epoch += 1
    elif how == "stop":
        store.is_stopped = True
    elif how == "release":
        store.is_stopped = True
        await drained(cluster, running)
        await release(cluster, loop)
    return loop


async def drained(cluster: GatedCluster, running: dict[object, asyncio.Task[None]]) -> None:
    """Whoever releases waits until the operator has obeyed: what is under way ends."""
    while any(not task.done() for task in running.values()):
        await cluster.steps.step([])


async def release(cluster: GatedCluster, loop: Loop) -> None:
    gated, cluster.gated = cluster.gated, False
    person = Ledger(cluster, cluster, cluster.clock, Leader(epoch=loop.leadership.epoch), loop.key_of)
    await person.load()
    for loan in list(person.loans.values()):
        await person.give_back(loan)
    assert (levels(cluster), cluster.loans) == (OWN, {})
    cluster.gated = gated


@pytest.mark.parametrize("how", ["kill", "new epoch", "stop", "release"])
@pytest.mark.parametrize("at", range(1, 60, 4))
async def test_interrupted_at_any_await_with_three_writes_under_way_all_is_returned(at: int, how: str) -> None:
    cluster = await interrupted(at, how)
    assert (levels(cluster), cluster.loans) == (OWN, {})
    assert {thing.manager for thing in cluster.things.values()} == {"helm"}


async def test_while_stopped_no_write_begins() -> None:
    cluster, store = cluster_of(), store_of()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 30.0)
    store.is_stopped = True
    before, writes = levels(cluster), len(cluster.level_writes)
    await run_until(loop, cluster.clock, T0 + 1500.0)
    assert (levels(cluster), len(cluster.level_writes)) == (before, writes)
    store.is_stopped = False
    await run_until(loop, cluster.clock, T0 + 3000.0)
    assert (levels(cluster), cluster.loans) == (OWN, {})
