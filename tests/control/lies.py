"""A cluster that lies: for a while it answers otherwise than it did, or does otherwise than it answers.

The truth stands in ``things`` and ``loans`` as ever; ``lies`` say when which call tells something else. Every lie is
one that some API server, cache or proxy may tell: it names no value that never stood there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from fakes import NoMetrics, Shelf
from pooled import FakePools, PooledCluster

from tidegate.planning.model import MANAGER, Freshness, Key, Reading, Ref
from tidegate.planning.resources import NOTHING
from tidegate.planning.shift.facts import Occupancy
from tidegate.planning.shift.model import Pool
from tidegate.ports import (
    ConflictError,
    Held,
    Learned,
    Loan,
    Manager,
    Place,
    PoolSight,
    RefusedError,
    Sight,
    TidegateError,
    UnavailableError,
)


class What(Enum):
    """What is not so."""

    NOT_DONE = "accepted, and not done"
    DONE_REFUSED = "done, and refused"
    DONE_CONFLICT = "done, and called a conflict"
    DONE_UNANSWERED = "done, and not answered"
    OLD = "answered as it stood before the last write"
    OLDER_VERSION = "answered with a resourceVersion that is lower than before"
    STATUS = "a status that contradicts the level"
    LACKS = "a list that lacks an object that is there"


WRITES = (What.NOT_DONE, What.DONE_REFUSED, What.DONE_CONFLICT, What.DONE_UNANSWERED)
READS = (What.OLD, What.OLDER_VERSION)
ABOUT: dict[str, tuple[What, ...]] = {
    "swap": WRITES,
    "hand_back": WRITES,
    "save": WRITES,
    "remove": WRITES,
    "learn": WRITES,
    "see": (*READS, What.STATUS),
    "held": READS,
    "list": (What.LACKS,),
    "names": (What.LACKS,),
    "learned": (What.LACKS,),
    "pool": (What.OLD, What.LACKS, What.STATUS),
    "metric": (What.OLD, What.STATUS),
}
"""By call, what may not be so of it."""


@dataclass(frozen=True, slots=True)
class Lie:
    """So long, every so-manieth call of a kind."""

    call: str
    what: What
    at: float
    lasting: float
    every: int = 1


@dataclass
class Lies:
    """All lies of a world, and how many were told."""

    lies: Sequence[Lie]
    now: Callable[[], float]
    told: Counter[str] = field(default_factory=Counter)
    _calls: Counter[Lie] = field(default_factory=Counter)

    def of(self, call: str) -> What | None:
        """What is not so of this call."""
        now = self.now()
        for lie in self.lies:
            if lie.call == call and lie.at <= now < lie.at + lie.lasting:
                self._calls[lie] += 1
                if self._calls[lie] % lie.every == 0:
                    self.told[call] += 1
                    return lie.what
        return None

    def written(self, call: str, effect: Callable[[], None]) -> None:
        """A write: done or not, and answered."""
        what = self.of(call)
        if what is not What.NOT_DONE:
            effect()
        if what in REFUSALS:
            raise REFUSALS[what](f"{call}: {what.value}")


REFUSALS: dict[What | None, type[TidegateError]] = {
    What.DONE_REFUSED: RefusedError,
    What.DONE_CONFLICT: ConflictError,
    What.DONE_UNANSWERED: UnavailableError,
}


@dataclass
class Past:
    """What stood in a field, with its versions."""

    held: list[Held] = field(default_factory=list)

    def note(self, level: int, manager: str | None) -> None:
        version = self.held[-1].version + 1 if self.held else 10
        self.held.append(Held(level, Manager(manager, "Apply") if manager else None, version))


@dataclass
class LyingCluster(PooledCluster):
    """Targets and loans."""

    lies: Lies = field(default_factory=lambda: Lies((), lambda: 0.0))
    writes: list[tuple[float, str, int, int]] = field(default_factory=list)
    """Every swap that was asked for: when, of what, from, to."""
    moved: list[tuple[float, str]] = field(default_factory=list)
    """Every write of ours that took effect."""
    _past: dict[str, Past] = field(default_factory=dict)

    # ---- the truth, with versions

    def owner_writes(self, name: str, level: int, manager: str) -> None:
        """Somebody else sets a level."""
        self.things[name].write(level, manager, self.clock.now())
        self._noted(name)

    def _noted(self, name: str) -> Past:
        thing, past = self.things[name], self._past.setdefault(name, Past())
        manager = past.held[-1].manager if past.held else None
        if not past.held or (past.held[-1].value, manager.name if manager else None) != (thing.level, thing.manager):
            past.note(thing.level, thing.manager)
        return past

    def _told(self, name: str, what: What | None) -> Held:
        past = self._noted(name).held
        if what is What.OLD:
            return past[-2] if len(past) > 1 else past[-1]
        if what is What.OLDER_VERSION:
            return replace(past[-1], version=max(1, past[-1].version - 5))
        return past[-1]

    # ---- ports.Targets

    async def see(self, ref: Ref) -> Sight:
        sight, what = await super().see(ref), self.lies.of("see")
        if sight.place is None or ref.name not in self.things:
            return sight
        held = self._told(ref.name, what)
        observed = replace(sight.observed, level=held.value)
        if what is What.STATUS:
            observed = replace(observed, ready=3 * held.value + 1, desired=0)
        return replace(sight, held=held, observed=observed)

    async def held(self, place: Place) -> Held:
        self._thing(place)
        return self._told(place.ref.name, self.lies.of("held"))

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        self.writes.append((self.clock.now(), place.ref.name, believed, wanted))

        def effect() -> None:
            self._swap(place, believed, wanted)
            self._noted(place.ref.name)

        if self._thing(place).level != believed:
            effect()  # a conflict, as it should be
        self.lies.written("swap", effect)

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        def effect() -> None:
            self._hand_back(place, manager)
            self._noted(place.ref.name)

        if self._thing(place).manager not in (MANAGER, manager.name if manager else None):
            effect()
        self.lies.written("hand_back", effect)

    # ---- ports.LoanBook

    async def list(self) -> Sequence[Loan]:
        loans = [*self.loans.values()]
        return loans[1:] if self.lies.of("list") is What.LACKS else loans

    async def names(self) -> frozenset[Key]:
        names = sorted(self.loans)
        return frozenset(names[1:] if self.lies.of("names") is What.LACKS else names)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        self.lies.written("save", lambda: self.loans.__setitem__(loan.key, loan))

    async def remove(self, loan: Loan) -> None:
        self.lies.written("remove", lambda: self.loans.pop(loan.key, None) and None)


@dataclass
class LyingPools(FakePools):
    """Machines."""

    lies: Lies = field(default_factory=lambda: Lies((), lambda: 0.0))
    _last: PoolSight | None = None

    async def see(self, pool: Pool) -> PoolSight:
        true, what = await super().see(pool), self.lies.of("pool")
        before, self._last = self._last, true
        if what is What.OLD and before is not None:
            return before
        if what is What.LACKS and true.seen.members:
            gone = true.seen.members[0].ref
            places = {ref: at for ref, at in true.places.items() if ref != gone}
            return PoolSight(replace(true.seen, members=true.seen.members[1:]), places)
        if what is What.STATUS:  # what runs is said to hold nothing
            nothing = {holder: Occupancy(NOTHING, one.youngest) for holder, one in true.seen.occupancy.items()}
            return PoolSight(replace(true.seen, occupancy=nothing), true.places)
        return true


@dataclass
class LyingMetrics(NoMetrics):
    """Queries: what is told is fresh by its own word. The crowd goes home at ``ends``."""

    lies: Lies = field(default_factory=lambda: Lies((), lambda: 0.0))
    value: float = 1000.0
    ends: float = float("inf")

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        what = self.lies.of("metric")
        if what is What.STATUS:
            return Reading(Freshness.FRESH, 0.0, now)
        true = self.value if now < self.ends else 0.0
        return Reading(Freshness.FRESH, self.value / 4.0 if what is What.OLD else true, now)


@dataclass
class LyingShelf(Shelf):
    """What was learned."""

    lies: Lies = field(default_factory=lambda: Lies((), lambda: 0.0))

    async def list(self) -> Sequence[Learned]:
        found = [*self.objects.values()]
        return found[1:] if self.lies.of("learned") is What.LACKS else found

    async def save(self, one: Learned) -> None:
        self.saves += 1
        self.lies.written("learn", lambda: self.objects.__setitem__(one.of, one))
