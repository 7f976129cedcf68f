"""A cluster that behaves, behind the ports: fields with owners, loans, a clock that is moved by hand, and faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from worlds import NS

from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.planning.model import (
    MANAGER,
    Announcement,
    Evidence,
    Freshness,
    Key,
    Observed,
    PlanSettings,
    Policy,
    Reading,
    Ref,
    Room,
    Trouble,
)
from tidegate.planning.override import Override
from tidegate.planning.shift.model import Pool
from tidegate.planning.withheld import Unheard
from tidegate.ports import (
    ConflictError,
    Held,
    LastValid,
    Learned,
    Loan,
    Manager,
    NotFoundError,
    Place,
    Pools,
    RefusedError,
    Sight,
    UnavailableError,
)


class Killed(BaseException):
    """SIGKILL: nothing catches it, nothing is cleaned up."""


@dataclass
class HandClock:
    """Time that stands still until it is moved."""

    at: float

    def now(self) -> float:
        return self.at

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        if not wake.is_set():
            self.at = max(self.at, until)


@dataclass
class Faults:
    """Ends the world at the n-th call, before or after it took effect."""

    kill_at: int | None = None
    calls: int = 0

    def step(self, effect: Callable[[], None] = lambda: None) -> None:
        self.calls += 1
        if self.kill_at == 2 * self.calls:
            raise Killed
        effect()
        if self.kill_at == 2 * self.calls + 1:
            raise Killed


@dataclass
class Thing:
    """A workload with one level; units are ready after ``start_seconds``."""

    level: int = 2
    manager: str | None = "helm"
    uid: str = "u1"
    maximum: int | None = None
    start_seconds: float = 20.0
    ready: int = 2
    starting: list[tuple[float, int]] = field(default_factory=list)
    trouble: Trouble | None = None
    lowest: int = 2
    evidence: tuple[Evidence, ...] = ()
    rooms: tuple[Room, ...] = ()
    ordered: bool = False
    """Units start one after the other, each in ``start_seconds``."""
    namespace: str = NS

    def write(self, level: int, manager: str, now: float) -> None:
        if level > self.level:
            each = (1, level - self.level) if self.ordered else (level - self.level, 1)
            self.starting += [(now + self.start_seconds * (n + 1), each[0]) for n in range(each[1])]
        elif level < self.level:
            self.starting.clear()
            self.ready = min(self.ready, level)
        self.level, self.manager = level, manager

    def advance(self, now: float) -> None:
        self.ready += sum(n for at, n in self.starting if at <= now)
        self.starting = [(at, n) for at, n in self.starting if at > now]
        self.ready = min(self.ready, self.level) if not self.starting else self.ready


@dataclass
class FakeCluster:
    """Targets and loans; outlives every operator that works on it."""

    clock: HandClock
    things: dict[str, Thing]
    loans: dict[Key, Loan] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    unreadable: set[str] = field(default_factory=set)
    level_writes: list[tuple[float, str, int, int]] = field(default_factory=list)
    examined: list[tuple[float, str]] = field(default_factory=list)
    """What an audit log would say: at whose pods somebody looked, and when."""
    closed_to_us: frozenset[str] = frozenset()
    """Namespaces whose loans may not be read."""

    # ---- ports.Targets
    async def see(self, ref: Ref) -> Sight:
        if ref.name in self.unreadable:
            raise UnavailableError(f"{ref} does not answer")
        thing = self.things.get(ref.name)
        if thing is None:
            return Sight(Observed(trouble=Trouble.MISSING, note=f"{ref} does not exist"), None)
        thing.advance(self.clock.now())
        if thing.trouble is not None:
            return Sight(Observed(level=thing.level, ready=thing.ready, trouble=thing.trouble), None)
        return Sight(self._observed(thing), self.place(ref.name), self._held(thing))

    async def examine(self, ref: Ref) -> Sight:
        self.examined.append((self.clock.now(), ref.name))
        sight = await self.see(ref)
        thing = self.things.get(ref.name)
        if thing is None:
            return sight
        return replace(sight, observed=replace(sight.observed, evidence=thing.evidence, rooms=thing.rooms))

    def place(self, name: str) -> Place:
        thing = self.things[name]
        return Place(Ref("apps/v1", "Deployment", thing.namespace, name), thing.uid, "/spec/replicas", "scale")

    async def held(self, place: Place) -> Held:
        self.faults.step()
        return self._held(self._thing(place))

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        if self._thing(place).level != believed:
            self._swap(place, believed, wanted)
        self.faults.step(lambda: self._swap(place, believed, wanted))

    def _swap(self, place: Place, believed: int, wanted: int) -> None:
        thing = self._thing(place)
        if thing.level != believed:
            raise ConflictError(f"{place.ref} is {thing.level}, not {believed}", manager=thing.manager)
        self.level_writes.append((self.clock.now(), place.ref.name, believed, wanted))
        thing.write(wanted, MANAGER, self.clock.now())

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        thing = self._thing(place)
        if thing.manager not in (MANAGER, manager.name if manager else None):
            self._hand_back(place, manager)
        self.faults.step(lambda: self._hand_back(place, manager))

    def _hand_back(self, place: Place, manager: Manager | None) -> None:
        thing = self._thing(place)
        if thing.manager not in (MANAGER, manager.name if manager else None):
            raise ConflictError("somebody else has it", manager=thing.manager)
        thing.manager = manager.name if manager else None

    # ---- ports.LoanBook
    async def list(self) -> Sequence[Loan]:
        self.faults.step()
        return list(self.loans.values())

    @property
    def closed(self) -> frozenset[str]:
        return self.closed_to_us

    async def names(self) -> frozenset[Key]:
        return frozenset(self.loans)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        self.faults.step(lambda: self.loans.__setitem__(loan.key, loan))

    async def remove(self, loan: Loan) -> None:
        self.faults.step(lambda: self.loans.pop(loan.key, None) and None)

    def _observed(self, thing: Thing) -> Observed:
        found = Observed(level=thing.level, ready=thing.ready, desired=thing.level, maximum=thing.maximum)
        return replace(found, ordered=thing.ordered)

    def _held(self, thing: Thing) -> Held:
        return Held(thing.level, Manager(thing.manager, "Apply") if thing.manager else None)

    def _thing(self, place: Place) -> Thing:
        thing = self.things.get(place.ref.name)
        if thing is None or thing.uid != place.uid:
            raise NotFoundError(f"{place.ref} is gone")
        return thing


UNHEARD = "overrides could not be listed (403)"


@dataclass
class FakeStore:
    """What the watches would have seen."""

    policy_map: dict[Key, Policy]
    events: dict[Key, Announcement]
    changed: set[Key] = field(default_factory=set)
    is_stopped: bool = False
    broken: frozenset[Key] = frozenset()
    synced: bool = True
    pool_map: dict[str, Pool] = field(default_factory=dict)
    override_list: list[Override] = field(default_factory=list)
    unread_map: dict[Key, str] = field(default_factory=dict)
    on_call_heard: bool = True
    raises_unheard: bool = False
    unheard_since: float = 0.0
    unheard_map: dict[str, Unheard] = field(default_factory=dict)
    last_valid_map: dict[Key, tuple[LastValid, ...]] = field(default_factory=dict)
    recalled: list[LastValid] = field(default_factory=list)

    @property
    def plannable(self) -> bool:
        """See ``ports.Store``."""
        return self.synced

    def policies(self) -> dict[Key, Policy]:
        return self.policy_map

    def announcements(self) -> dict[Key, Announcement]:
        return self.events

    def put(self, event: Announcement) -> None:
        self.events[event.key] = event
        self.changed.add(event.key)

    def delete(self, key: Key) -> None:
        del self.events[key]
        self.changed.add(key)

    def changes(self) -> frozenset[Key]:
        return frozenset(self.changed)

    def acknowledge(self, changes: frozenset[Key]) -> None:
        self.changed -= changes

    def stopped(self) -> bool:
        return self.is_stopped

    def unread(self) -> dict[Key, str]:
        return self.unread_map

    def last_valid(self) -> dict[Key, tuple[LastValid, ...]]:
        return self.last_valid_map

    def recall(self, versions: Iterable[LastValid]) -> None:
        self.recalled.extend(versions)

    def unheard(self) -> Unheard | None:
        if self.on_call_heard:
            return None
        return Unheard(UNHEARD, self.unheard_since, self.unheard_since + 60.0, self.raises_unheard)

    def unheard_in(self) -> dict[str, Unheard]:
        return self.unheard_map

    def unusable(self) -> frozenset[Key]:
        return self.broken

    def pools(self) -> dict[str, Pool]:
        return self.pool_map

    def unusable_pools(self) -> frozenset[str]:
        return frozenset()

    def overrides(self) -> tuple[Override, ...]:
        return tuple(self.override_list)


@dataclass
class Leader:
    leads: bool = True
    epoch: int = 1

    def may_write(self) -> bool:
        return self.leads


@dataclass
class NoMetrics:
    """Every query is unreachable, or answers what it is told."""

    answers: dict[str, Reading] = field(default_factory=dict)

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        return self.answers.get(query, Reading(Freshness.UNREACHABLE, None, now))


@dataclass
class Shelf:
    """Learned objects, as a cluster keeps them."""

    objects: dict[Key, Learned] = field(default_factory=dict)
    list_trouble: Exception | None = None
    save_trouble: dict[Key, Exception] = field(default_factory=dict)
    saves: int = 0
    refusing: set[str] = field(default_factory=set)
    """Namespaces that may not be read."""
    closed: frozenset[str] = frozenset()
    lists: int = 0

    async def list(self) -> Sequence[Learned]:
        self.lists += 1
        if self.list_trouble is not None:
            raise self.list_trouble
        self.closed = frozenset(self.refusing)
        return [one for one in self.objects.values() if one.of.namespace not in self.closed]

    async def save(self, one: Learned) -> None:
        self.saves += 1
        if one.of.namespace in self.closed:
            raise RefusedError("never read")
        if one.of in self.save_trouble:
            raise self.save_trouble[one.of]
        self.objects[one.of] = one

    async def remove(self, of: Key) -> None:
        self.objects.pop(of, None)


def key_of(place: Place) -> Key:
    return Key(place.ref.namespace, f"{place.ref.name}-{place.uid}")


@dataclass
class Sink:
    """Events, as they were told."""

    told: list[tuple[Ref, str, str]] = field(default_factory=list)
    until: list[float | None] = field(default_factory=list)
    """Until when each is tried again."""

    def emit(
        self,
        subject: Ref,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        about: str = "",
        until: float | None = None,
    ) -> None:
        self.told.append((subject, reason, message))
        self.until.append(until)


def operator(
    cluster: FakeCluster,
    store: FakeStore,
    *,
    leader: Leader | None = None,
    metrics: NoMetrics | None = None,
    pools: Pools | None = None,
) -> Loop:
    """A fresh operator process: nothing but the cluster is remembered."""
    return Loop(
        clock=cluster.clock,
        store=store,
        targets=cluster,
        metrics=metrics or NoMetrics(),
        book=cluster,
        key_of=key_of,
        leadership=leader or Leader(),
        events=Sink(),
        pools=pools,
        settings=LoopSettings(),
        plan_settings=PlanSettings(fail_over=0.0, reaction=0.0, creation_rate=1000.0),
    )


async def run_until(
    loop: Loop,
    clock: HandClock,
    until: float,
    *,
    each: Callable[[Beat], None] = lambda b: None,
    every: float = 15.0,
    writes: bool = False,
) -> None:
    """Turn as the process would, on the hand clock: every so many seconds, and with ``writes`` whenever the writer has
    something to do.
    """
    while clock.at < until:
        before = loop.fills
        beat = await loop.turn()
        assert beat is not None
        each(beat)
        due = clock.at + every
        if beat.next_at is not None:
            due = min(due, beat.next_at)
        if writes:
            due = min(due, loop.writer.next_at(clock.at) or due)
        clock.at = min(max(due, clock.at + 0.1), until) if not beat.applied and loop.fills == before else clock.at + 0.1
