"""What was seen before our last write settles nothing, in whatever order questions, writes and answers overtake.

Every call waits at two gates, before it takes effect and before its answer arrives; a foreign writer sets a value of
his own at any moment. The original that is returned in the end is his value exactly when he wrote, else the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Thing, operator
from interleave import Order, Stepped, orders
from worlds import CORE, T0, event, policy, target

from tidegate.control.loop import Loop
from tidegate.control.rounds import Round
from tidegate.planning.model import Ref
from tidegate.ports import Held, Loan, Manager, Place, Sight

FIRST, THEIRS = 2, (7, 5)
"""The owner's value, and what somebody else sets, one after the other."""


@dataclass
class GatedCluster(FakeCluster):
    """Answers when the order lets it."""

    steps: Stepped = field(default_factory=lambda: Stepped(Order()))
    gated: bool = True

    async def _call(self, name: str, effect: Callable[[], object]) -> object:
        return await self.steps.call(name, effect) if self.gated else effect()

    async def see(self, ref: Ref) -> Sight:
        def look() -> Sight:
            thing = self.things[ref.name]
            return Sight(self._observed(thing), self.place(ref.name), self._held(thing))

        return await self._call("see", look)  # type: ignore[return-value]

    async def examine(self, ref: Ref) -> Sight:
        return await self.see(ref)

    async def held(self, place: Place) -> Held:
        return await self._call("held", lambda: self._held(self._thing(place)))  # type: ignore[return-value]

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        await self._call("swap", lambda: self._swap(place, believed, wanted))

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        await self._call("hand back", lambda: self._hand_back(place, manager))

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        await self._call("save", lambda: self.loans.__setitem__(loan.key, loan))

    async def remove(self, loan: Loan) -> None:
        await self._call("remove", lambda: self.loans.pop(loan.key, None))


def begin_all(loop: Loop, work: Round, running: dict[object, asyncio.Task[None]]) -> None:
    """Begin every job that is due and not under way, as a gate with enough slots would."""
    for job in work.due(loop.clock.now()):
        key = (work.name, job.key)
        if key not in running or running[key].done():
            running[key] = asyncio.create_task(work.do(job))


@dataclass
class Scene:
    """One borrower and its foreign writer, driven freely."""

    order: Order
    writes_at: int | None
    """The foreign writer may write from this phase on; None: never."""
    clock: HandClock = field(default_factory=lambda: HandClock(T0 - 300.0))
    written: int = 0
    """How many of his values the foreign writer has set."""

    async def play(self) -> GatedCluster:
        cluster = GatedCluster(self.clock, {"order": Thing(level=FIRST)}, steps=Stepped(self.order))
        store = FakeStore({CORE: policy(target(), hold=0.0, rate=0.4)}, {})
        loop = operator(cluster, store, leader=Leader())
        await loop.loader.do(loop.loader.due(self.clock.at)[0])
        running: dict[object, asyncio.Task[None]] = {}
        show = event(duration=3600.0, start=self.clock.at + 10.0)
        for phase, borrow in enumerate((True, False)):
            store.put(show) if borrow else store.delete(show.key)
            self.clock.at += 200.0
            free = self.writes_at is not None and phase >= self.writes_at
            for _ in range(4 if borrow else 5):
                await self._round(loop, cluster, running, foreign=free)
        # Then nobody is in the way any more: everything ends.
        cluster.gated = False
        while await cluster.steps.step([]):
            pass
        await asyncio.gather(*running.values())
        for _ in range(20):
            self.clock.at += 60.0
            await loop.turn()
        return cluster

    async def _round(
        self, loop: Loop, cluster: GatedCluster, running: dict[object, asyncio.Task[None]], *, foreign: bool
    ) -> None:
        """A decision and whatever it begins, and then as many things as happen before the next one."""
        loop.focus()
        loop.looker.hasten()
        loop.decide()
        begin_all(loop, loop.looker, running)
        begin_all(loop, loop.writer, running)

        def write() -> None:
            cluster.things["order"].write(THEIRS[self.written], "kubectl", self.clock.at)
            self.written += 1

        for _ in range(6):
            others = [write] if foreign and self.written < len(THEIRS) else []
            if not await cluster.steps.step(others):
                return
            self.clock.at += 1.0


def judged(cluster: GatedCluster, scene: Scene) -> str:
    """What is wrong in the end, in words; empty when nothing is."""
    thing, want = cluster.things["order"], (FIRST, *THEIRS)[scene.written]
    if cluster.loans:
        return f"a Loan is left: {cluster.loans}"
    if thing.level != want:
        return f"returned to {thing.level}, not {want}"
    return ""


@pytest.mark.parametrize("writes_at", [None, 0, 1])
async def test_the_original_changes_exactly_when_somebody_else_wrote_depth_first(writes_at: int | None) -> None:
    for order in orders(150):
        scene = Scene(order, writes_at)
        cluster = await scene.play()
        assert judged(cluster, scene) == "", [one for one, _ in order.taken]


@pytest.mark.parametrize("writes_at", [None, 0, 1])
async def test_the_original_changes_exactly_when_somebody_else_wrote_in_random_orders(writes_at: int | None) -> None:
    for order in orders(150, seed=1):
        scene = Scene(order, writes_at)
        cluster = await scene.play()
        assert judged(cluster, scene) == "", [one for one, _ in order.taken]
