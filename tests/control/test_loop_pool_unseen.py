"""A pool that cannot be looked at, at the start or for a while: what may rise on it, through the whole loop."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Thing, operator, run_until
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Loop
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.model import Lane, Pool
from tidegate.ports import PoolSight, UnavailableError

UNIT = Resources(1000, 1024)


@dataclass
class Machines:
    """Five units; answers while it is let."""

    answers: bool = True

    async def see(self, pool: Pool) -> PoolSight:
        if not self.answers:
            raise UnavailableError("nodes: no answer")
        return PoolSight(PoolSeen(UNIT.times(5)), {})


@dataclass
class Scene:
    """An event that needs ten units of a target that has two, on a pool."""

    cluster: FakeCluster
    machines: Machines
    loop: Loop

    async def until(self, at: float) -> int:
        """The level at an instant."""
        await run_until(self.loop, self.cluster.clock, at)
        return self.cluster.things["order"].level


def scene(*, ahead: float, answers: bool = True) -> Scene:
    cluster, machines = FakeCluster(HandClock(T0 - ahead), {"order": Thing(level=2)}), Machines(answers)
    lanes = Lane("trading", 40, frozenset({NS})), Lane("data", 5)
    core = policy(target(lane="trading", unit=UNIT), pool="p", hold=30.0)
    show = event(duration=7200.0)
    pools = {"p": Pool("p", lanes, node_selector=(("pool", "p"),))}
    store = FakeStore({CORE: core}, {show.key: show}, pool_map=pools)
    return Scene(cluster, machines, operator(cluster, store, pools=machines))


async def test_a_target_rises_into_what_is_free_on_a_pool_that_is_seen() -> None:
    assert await scene(ahead=300.0).until(T0 + 60.0) == 5


async def test_on_a_pool_that_this_life_has_never_seen_nothing_rises_until_it_is() -> None:
    there = scene(ahead=300.0, answers=False)
    assert await there.until(T0 + 60.0) == 2
    there.machines.answers = True
    assert await there.until(T0 + 180.0) == 5


@pytest.mark.parametrize(("silent", "level"), [(60.0, 5), (180.0, 2)])
async def test_what_was_seen_of_a_pool_lets_in_for_two_minutes_and_then_nothing_new(silent: float, level: int) -> None:
    """The raise is due half a minute before T-0."""
    there = scene(ahead=600.0)
    await there.until(T0 - 30.0 - silent)
    there.machines.answers = False
    assert await there.until(T0 + 900.0) == level
    there.machines.answers = True
    assert await there.until(T0 + 1200.0) == 5
