"""The loop: one beat gathers, decides, applies, and says what it did; then it sleeps until the next step is due.

It wakes at the plan's next instant, at a change that a watch reports, and at the latest after a beat. Everything it
needs comes through ports; simulated time makes an evening of it pass in a test's second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tidegate.control.apply import Applied, Applier
from tidegate.control.gather import Gatherer, TargetKey
from tidegate.control.ledger import Ledger
from tidegate.control.pools import PoolKeeper
from tidegate.control.stopwatch import Stopwatch
from tidegate.planning.decision import Plan
from tidegate.planning.model import Key, Observed, PlanSettings, Policy, Reading, Ref
from tidegate.planning.plan import Planner
from tidegate.planning.shift.model import Pool
from tidegate.planning.world import World
from tidegate.ports import Clock, Leadership, Loan, Store, TidegateError

log = logging.getLogger("tidegate.loop")

SHORTEST_PAUSE = 0.1
"""Real seconds between two beats, however many changes a watch reports."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How often the loop looks."""

    beat_seconds: float = 15.0
    """At the latest after this many seconds the loop looks again."""
    idle_seconds: float = 60.0
    """A target far from any step is looked at this often."""
    active_ahead: float = 120.0
    """A target counts as active from this many seconds before its next step."""
    read_ahead: float = 3600.0
    """Signals of a policy are read from this many seconds before its next step: in time to say that they are blind."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What one beat saw, decided and did."""

    now: float
    world: World
    plan: Plan
    applied: tuple[Applied, ...]
    loans: tuple[Loan, ...]
    leading: bool
    writes: int


@dataclass(slots=True)
class Loop:
    """The operator's heart."""

    clock: Clock
    store: Store
    gatherer: Gatherer
    ledger: Ledger
    leadership: Leadership
    applier: Applier
    pools: PoolKeeper | None = None
    """None: nobody looks at pools (an operator of some namespaces only)."""
    settings: LoopSettings = field(default_factory=LoopSettings)
    plan_settings: PlanSettings = field(default_factory=PlanSettings)
    on_beat: Callable[[Beat], None] = lambda beat: None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    last_beat_at: float = 0.0
    _planner: Planner = field(init=False)
    _plan: Plan | None = None
    _touched: set[Ref] = field(default_factory=set)
    _changed: frozenset[Key] | None = None
    _loaded_epoch: int | None = None

    def __post_init__(self) -> None:
        self._planner = Planner(self.plan_settings)

    def touch(self, ref: Ref) -> None:
        """A watch saw an object change: look at it at once."""
        self._touched.add(ref)
        self.wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until told to stop. A beat that fails is logged and tried again; nothing ends the loop but ``stop``."""
        while not stop.is_set():
            self.wake.clear()
            until = self.clock.now() + self.settings.beat_seconds
            try:
                beat = await self.beat()
                if beat is not None and beat.plan.next_at is not None:
                    # What was due by now has been tried: again in a second, not at once and for ever.
                    until = min(until, beat.plan.next_at if beat.plan.next_at > beat.now else beat.now + 1.0)
            except TidegateError as error:
                log.warning("beat: %s", error)
            except Exception:
                log.exception("a beat failed; the loop goes on")
            await asyncio.sleep(SHORTEST_PAUSE)
            await self.clock.wait(until, self.wake)

    async def beat(self) -> Beat | None:
        """One round; None while the first lists are not complete."""
        if not self.store.synced:
            return None
        leading = self.leadership.may_write()
        if leading and self._loaded_epoch != self.leadership.epoch:
            await self.ledger.load()
            self._loaded_epoch = self.leadership.epoch
        if self.store.stopped():
            self._loaded_epoch = None  # loans are being returned from outside: read them again afterwards
        now = self.clock.now()
        policies: Mapping[Key, Policy] = self.store.policies()
        pools: Mapping[str, Pool] = self.store.pools() if self.pools is not None else {}
        await self._look(policies, now)
        if self.pools is not None:
            await self.pools.look(pools, self._plan)
        if leading and not self.store.stopped():  # else a loan that was just returned from outside is written again
            await self.applier.settle(self.gatherer.sights, self._plan)
            if self.pools is not None:
                await self.pools.settle()
        now = self.clock.now()
        world = self._world(policies, pools)
        plan = self._planner.plan(world, now, changed=self._take_changes())
        if self._plan is None:
            log.info("first plan: %d events, %d targets", len(world.announcements), len(plan.targets))
        self._plan = plan
        applied: tuple[Applied, ...] = ()
        if leading and not world.stopped:
            applied = await self.applier.apply(
                world, plan, self._planner.book, self.gatherer.sights, unusable=self.store.unusable()
            )
            if self.pools is not None:
                applied += await self.pools.apply(plan, pools, self.store.unusable_pools())
        for one in applied:
            self._after(one)
        self.last_beat_at = self.clock.now()
        beat = Beat(now, world, plan, applied, tuple(self.ledger.loans.values()), leading, self.ledger.writes)
        self.on_beat(beat)
        return beat

    async def _look(self, policies: Mapping[Key, Policy], now: float) -> None:
        touched, self._touched = frozenset(self._touched), set()
        near = self._near()
        await self.gatherer.look(policies, now=now, active=self._active(now) | near, touched=touched, near=near)
        await self.gatherer.read(policies, now=now, active=self._reading(now))
        for key, look in self.gatherer.sights.items():
            done = self.stopwatch.seen(key, ready=look.sight.observed.ready, now=now)
            if done is not None:
                log.info("%s/%s: %d units ready %.1f s after the write", key[0], key[1], done.units, done.seconds)
        self.stopwatch.forget(set(self.gatherer.sights))

    def _active(self, now: float) -> frozenset[TargetKey]:
        """Targets that hold a loan or have a step due soon."""
        held = {(loan.policy, loan.target) for loan in self.ledger.loans.values()}
        soon = now + self.settings.active_ahead
        planned = self._plan.targets.items() if self._plan else ()
        return frozenset(held | {key for key, p in planned if p.next_at is not None and p.next_at <= soon})

    def _near(self) -> frozenset[TargetKey]:
        """Targets that hold a loan, or that an event with a verdict will need: why they are not ready is looked for."""
        held = {(loan.policy, loan.target) for loan in self.ledger.loans.values()}
        if self._plan is None:
            return frozenset(held)
        events = self.store.announcements()
        judged = [events[key] for key in self._plan.verdicts if key in events]
        policies = {Key(event.key.namespace, event.policy) for event in judged}
        needed = {key for key, p in self._plan.targets.items() if key[0] in policies and p.peak_at is not None}
        return frozenset(held | needed)

    def _reading(self, now: float) -> frozenset[Key]:
        held = {loan.policy for loan in self.ledger.loans.values()}
        soon = now + self.settings.read_ahead
        planned = self._plan.targets.items() if self._plan else ()
        wanted = {key[0] for key, p in planned if p.need > 0 or (p.next_at is not None and p.next_at <= soon)}
        return frozenset(held | wanted)

    def _world(self, policies: Mapping[Key, Policy], pools: Mapping[str, Pool]) -> World:
        readings: dict[tuple[Key, str], Reading] = dict(self.gatherer.readings)
        observed: dict[TargetKey, Observed] = self.gatherer.observed()
        for key, trouble in self.applier.conflicts(self.clock.now()).items():
            if key in observed:
                observed[key] = replace(observed[key], trouble=trouble.trouble, note=trouble.note, about=trouble.about)
        return World(
            policies=policies,
            announcements=self.store.announcements(),
            observed=observed,
            readings=readings,
            measured=self.stopwatch.samples(),
            settings=self.plan_settings,
            stopped=self.store.stopped(),
            pools=self.pools.worlds(pools, self._plan) if self.pools is not None else {},
            overrides=self.store.overrides(),
        )

    def _take_changes(self) -> frozenset[Key] | None:
        """Announcements that changed; None at the first plan, when all are new."""
        changes = self.store.take_changes()
        return changes if self._plan is not None else None

    def _after(self, one: Applied) -> None:
        """After a write: look at the target again in the next beat, and start the stopwatch."""
        look = self.gatherer.sights.get((one.policy, one.target))
        if look is not None and one.error is None:
            ready = look.sight.observed.ready or 0
            if one.measured:
                self.stopwatch.written((one.policy, one.target), level=one.level, ready=ready, now=one.at)
            else:
                self.stopwatch.ended((one.policy, one.target))
            look.at = float("-inf")
            self.wake.set()
