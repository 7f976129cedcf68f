"""What the next leader of a pool is told: who was let in, and by which timetable it was planned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Shelf, Thing, operator
from pools import cores, lane, pool
from test_control_memory import Site
from worlds import NS, T0, event, policy, target

from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.control.inline import InlineSolver
from tidegate.control.loop import Loop
from tidegate.control.memory import POOL_SAVED_EVERY
from tidegate.control.rounds import Job
from tidegate.planning.model import Announcement, Key
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.inputs import KEEP, Timetabled, TimetableInputs
from tidegate.planning.shift.model import Pool
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.shift.packed import unpack
from tidegate.ports import PoolSight

# ---- places in line on a pool

EARLY, LATE = Key(NS, "early"), Key(NS, "late")


@dataclass
class TenCores:
    """A pool of ten cores on which nothing runs."""

    async def see(self, pool: Pool) -> PoolSight:
        return PoolSight(PoolSeen(cores(10)), {})


def contended() -> tuple[FakeCluster, FakeStore]:
    """Two policies of one lane, of whose needs the pool carries one: eight cores each above what stands."""
    cluster = FakeCluster(HandClock(T0 - 7200.0), {"early": Thing(level=0, uid="e"), "late": Thing(level=0, uid="l")})
    policies = {
        key: policy(target(key.name, lane="trading", unit=cores(1), minimum=0), key=key, pool="hangzhou")
        for key in (EARLY, LATE)
    }
    lanes = pool(lane("trading", allowed_namespaces=frozenset({NS})), lane("data"))
    return cluster, FakeStore(policies, {}, pool_map={"hangzhou": lanes})


def of(key: Key, start: float) -> Announcement:
    return replace(event(key.name, level=800.0, start=start, duration=1800.0), policy=key.name)


async def refused(loop: Loop) -> set[str]:
    """Whose need the pool does not carry."""
    for _ in range(3):
        beat = await loop.turn()
    assert beat is not None
    return {key[1] for key, plan in beat.plan.targets.items() if plan.refusals}


@pytest.mark.parametrize("kept", [True, False], ids=["with the record", "and without it"])
async def test_who_was_let_in_first_keeps_his_place_under_the_next_leader(kept: bool) -> None:
    cluster, store = contended()
    shelf = Shelf()

    def life(epoch: int) -> Loop:
        loop = operator(cluster, store, leader=Leader(epoch=epoch), pools=TenCores())
        loop.memory.book = shelf
        return loop

    first = life(1)
    store.put(of(LATE, T0 + 600.0))  # announced first, begins later
    assert await refused(first) == set()
    store.put(of(EARLY, T0))
    assert await refused(first) == {"early"}
    if not kept:
        shelf.objects.clear()
    assert await refused(life(2)) == ({"early"} if kept else {"late"})


def test_of_promises_as_many_are_told_as_fit() -> None:
    site = Site()
    many = [Promise(f"shop/core/{n:03d}" + "x" * 400 * (n % 2), 0.0, T0 + n, cores(1)) for n in range(600)]
    view = SimpleNamespace(plan=SimpleNamespace(promises=tuple(many)), inputs=SimpleNamespace(standing=None))
    site.memory.decided({"hangzhou": view}, T0)  # type: ignore[dict-item]
    told = site.memory._granted["hangzhou"]
    assert 0 < len(told) <= 250
    assert all(len(one.owner) <= 384 for one in told)
    assert sum(len(one.owner) + 140 for one in told) <= 50_000


async def test_who_was_let_in_is_told_to_this_life_as_it_will_be_told_to_the_next() -> None:
    site, pool = Site(), "hangzhou"
    site.store.pool_map = {pool: contended()[1].pool_map[pool]}
    await site.round()
    granted = Promise("shop/core/order", T0 + 60.0004321, T0 + 600.9998765, cores(1))
    view = SimpleNamespace(plan=SimpleNamespace(promises=(granted,)), inputs=SimpleNamespace(standing=None))
    site.memory.decided({pool: view}, T0)  # type: ignore[dict-item]
    await site.round()
    (one,) = site.shelf.objects.values()
    at = Key("tidegate", "pool")
    told = learned_from_object(learned_to_object(one, at)).granted
    assert site.memory.places(pool, view) == told  # type: ignore[arg-type]


async def test_what_is_planned_of_a_pool_is_on_record_within_a_second() -> None:
    """Work is stopped by it at once: a leader that dies in between leaves another plan than it acted on."""
    site, pool = Site(), "hangzhou"
    site.store.pool_map = {pool: contended()[1].pool_map[pool]}
    await site.round()
    for end in (T0 + 600.0, T0 + 900.0):
        granted = Promise("shop/core/order", T0 + 60.0, end, cores(1))
        view = SimpleNamespace(plan=SimpleNamespace(promises=(granted,)), inputs=SimpleNamespace(standing=None))
        site.memory.decided({pool: view}, T0)  # type: ignore[dict-item]
        site.clock.at += POOL_SAVED_EVERY
        await site.round()
        assert site.shelf.objects[Key("", pool)].granted == (granted,)


# ---- the timetable of a pool


@dataclass
class Counting(InlineSolver):
    """Makes timetables, and remembers what it was asked."""

    asked: list[TimetableInputs] = field(default_factory=list)

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        self.asked.append(inputs)
        return await super().solve(inputs)


@dataclass
class Lives:
    """One life after another over one cluster, with a timetable on record when the first one ends."""

    shelf: Shelf = field(default_factory=Shelf)
    solver: Counting = field(default_factory=Counting)

    async def first(self) -> Timetabled:
        self.cluster, self.store = contended()
        self.store.put(of(LATE, T0 - 3600.0))
        loop = self.life(1)
        await refused(loop)
        self.cluster.clock.at += POOL_SAVED_EVERY
        await loop.turn()
        self.solver.asked.clear()
        return loop.timetabler.timetables["hangzhou"]

    def life(self, epoch: int, *, leads: bool = True) -> Loop:
        leader = Leader(leads=leads, epoch=epoch)
        loop = operator(self.cluster, self.store, leader=leader, pools=TenCores())
        loop.memory.book, loop.timetabler.solver = self.shelf, self.solver
        return loop


async def test_the_next_leader_plans_a_pool_by_the_timetable_of_the_last_one() -> None:
    lives = Lives()
    last = await lives.first()
    lives.cluster.clock.at += 2.0
    loop = lives.life(2)
    await loop.turn()
    assert loop.timetabler.timetables == {"hangzhou": last}
    assert lives.solver.asked == [], "it is as good as it was"


async def test_the_next_timetable_is_made_from_the_last_leaders_one() -> None:
    """So that of a pool that is not planned exactly nobody has less than the last leader granted."""
    lives = Lives()
    last = await lives.first()
    lives.cluster.clock.at += KEEP
    await lives.life(2).turn()
    assert [inputs.standing for inputs in lives.solver.asked] == [last]


async def test_who_takes_over_plans_by_the_last_leaders_timetable_and_not_by_his_own() -> None:
    lives = Lives()
    last = await lives.first()
    lives.cluster.clock.at += 2.0
    standby = lives.life(1, leads=False)
    await standby.turn()
    assert standby.timetabler.timetables["hangzhou"].made_for > last.made_for
    standby.leadership = standby.memory.leadership = standby.ledger.leadership = Leader(epoch=2)
    await standby.memory.do(Job("record", "record", 0.0))
    assert standby.timetabler.timetables == {"hangzhou": last}


async def test_a_timetable_on_record_waits_until_its_pool_is_seen() -> None:
    lives = Lives()
    last = await lives.first()
    loop = lives.life(2)
    await loop.memory.do(Job("record", "record", 0.0))
    beat = loop.decide()
    assert beat is not None
    assert not beat.plan.pools
    assert loop.timetabler.timetables == {"hangzhou": last}
    assert loop.memory._gather()[Key("", "hangzhou")].timetable


async def test_a_timetable_that_cannot_be_read_is_made_anew_and_takes_nothing_else_with_it() -> None:
    lives = Lives()
    await lives.first()
    (at,) = (one for one in lives.shelf.objects if not one.namespace)
    lives.shelf.objects[at] = replace(lives.shelf.objects[at], timetable="of another version")
    loop = lives.life(2)
    await loop.turn()
    assert len(lives.solver.asked) == 1
    assert loop.timetabler.timetables["hangzhou"].plan.grants[0].promised


async def test_a_pool_that_is_gone_leaves_no_timetable_on_record() -> None:
    lives = Lives()
    await lives.first()
    loop = lives.life(2)
    await loop.turn()
    lives.store.pool_map = {}
    for _ in range(2):
        lives.cluster.clock.at += 60.0
        await loop.turn()
    assert [one for one in lives.shelf.objects if not one.namespace] == []
    assert loop.memory._timetables == {}


async def test_the_timetable_of_a_turn_is_on_record_when_the_turn_ends() -> None:
    lives = Lives()
    await lives.first()
    lives.cluster.clock.at += KEEP
    loop = lives.life(2)
    await loop.turn()
    assert unpack(lives.shelf.objects[Key("", "hangzhou")].timetable) == loop.timetabler.timetables["hangzhou"]
