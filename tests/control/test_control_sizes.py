"""What pods of a target take beyond their template is learned; it counts while there are none, in the next life too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Shelf, Thing, operator
from pools import cores, lane, pool
from test_control_memory import Site
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Loop
from tidegate.control.sizes import Sizes, as_admitted
from tidegate.planning.model import Key, Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Occupancy, PoolSeen, holder_of
from tidegate.planning.shift.model import Pool
from tidegate.ports import PoolSight

WEB = Ref("apps/v1", "Deployment", NS, "order")
ORDER = (CORE, "order")
ONE_AND_A_HALF = cores(1) + Resources(500, 0)


@dataclass
class TenCores:
    """A pool of ten cores, with what a test lets stand there."""

    there: Occupancy | None = None

    async def see(self, pool: Pool) -> PoolSight:
        return PoolSight(PoolSeen(cores(10), {} if self.there is None else {holder_of(WEB): self.there}), {})


@dataclass
class Stage:
    """A target that has pods of one and a half cores for a while, then none; its template says one."""

    shelf: Shelf = field(default_factory=Shelf)
    machines: TenCores = field(default_factory=TenCores)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(HandClock(T0 - 7200.0), {"order": Thing(level=0)})
        spec = policy(target(lane="trading", unit=cores(1), minimum=0), pool="hangzhou")
        lanes = pool(lane("trading", allowed_namespaces=frozenset({NS})), lane("data"))
        self.store = FakeStore({CORE: spec}, {}, pool_map={"hangzhou": lanes})

    def life(self, epoch: int) -> Loop:
        loop = operator(self.cluster, self.store, leader=Leader(epoch=epoch), pools=self.machines)
        loop.memory.book = self.shelf
        return loop

    async def is_refused(self, loop: Loop) -> bool:
        """Whether the pool does not carry an event that needs eight units."""
        self.store.put(event("peak", level=800.0, start=T0, duration=1800.0))
        for _ in range(3):
            beat = await loop.turn()
        assert beat is not None
        return bool(beat.plan.targets[ORDER].refusals)


async def turned(loop: Loop) -> None:
    for _ in range(3):
        assert await loop.turn() is not None


@pytest.mark.parametrize("kept", [True, False], ids=["with the record", "and without it"])
async def test_the_next_leader_plans_with_the_size_of_pods_that_are_gone(kept: bool) -> None:
    stage = Stage()
    stage.machines.there = Occupancy(ONE_AND_A_HALF, T0, 1, ONE_AND_A_HALF)
    await turned(stage.life(1))
    stage.machines.there = None
    if not kept:
        stage.shelf.objects.clear()
    assert await stage.is_refused(stage.life(2)) is kept, "eight of one and a half cores are twelve of ten"


async def test_in_one_life_a_size_counts_after_the_last_pod_too() -> None:
    stage = Stage()
    loop = stage.life(1)
    stage.machines.there = Occupancy(ONE_AND_A_HALF, T0, 1, ONE_AND_A_HALF)
    await turned(loop)
    stage.machines.there = None
    stage.cluster.clock.at += 600.0
    assert await stage.is_refused(loop)


async def test_a_webhook_that_is_gone_is_forgotten_with_the_next_pod() -> None:
    stage = Stage()
    loop = stage.life(1)
    for size in (ONE_AND_A_HALF, cores(1)):
        stage.machines.there = Occupancy(size, T0, 1, size)
        sizes = stage.machines.there
        stage.cluster.clock.at += 600.0
        await turned(loop)
        assert loop.memory.pod_sizes().get(ORDER) == sizes.largest
    stage.machines.there = None
    assert not await stage.is_refused(stage.life(2)), "eight of one core"


def test_what_is_beyond_the_template_is_learned_so_that_a_new_template_counts_at_once() -> None:
    sizes = Sizes()
    sizes.admitted(ORDER, cores(2), cores(2) + Resources(100, 64))
    assert sizes.samples() == {ORDER: Resources(100, 64)}
    seen = as_admitted(PoolSeen(cores(10)), [(WEB, cores(4), Resources(100, 64))])
    assert seen.of(WEB).largest == cores(4) + Resources(100, 64)
    assert seen.of(WEB).pods == 0


def test_pods_that_are_there_tell_their_size_themselves() -> None:
    there = PoolSeen(cores(10), {holder_of(WEB): Occupancy(cores(2), T0, 2, cores(1))})
    assert as_admitted(there, [(WEB, cores(1), cores(3))]) == there


def test_no_pod_teaches_nothing_and_a_pod_like_its_template_ends_what_was_learned() -> None:
    sizes = Sizes()
    sizes.admitted(ORDER, cores(1), cores(2))
    version = sizes.version
    sizes.admitted(ORDER, cores(1), Resources())
    sizes.admitted(ORDER, cores(1), cores(2))
    assert (sizes.samples(), sizes.version) == ({ORDER: cores(1)}, version)
    sizes.admitted(ORDER, cores(1), cores(1))
    assert sizes.samples() == {}
    sizes.admitted(ORDER, cores(1), cores(2))
    sizes.forget({(CORE, "other")})
    assert sizes.samples() == {}


async def test_a_size_is_recorded_for_a_policy_that_is_there_alone() -> None:
    site = Site()
    await site.round()
    site.memory.sizes.admitted(ORDER, cores(1), cores(2))
    site.memory.sizes.admitted((Key(NS, "gone"), "order"), cores(1), cores(2))
    await site.round()
    assert {of: dict(one.sizes) for of, one in site.shelf.objects.items()} == {CORE: {"order": cores(1)}}
    assert replace(site.memory.recorded[CORE], epoch=0).sizes == {"order": cores(1)}
