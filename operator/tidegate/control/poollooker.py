"""Look at the machines of pools and at the work on them. A round: it fills sights of pools, the decision takes them.

A look at a pool that fails is no look: what was seen last stands, and grows old.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.age import Age
from tidegate.control.drains import Drains
from tidegate.control.ledger import Ledger
from tidegate.control.rounds import Backoff, Job
from tidegate.planning.model import Identity, Ref
from tidegate.planning.shift.facts import is_gone
from tidegate.planning.shift.model import CannotStop, Pool
from tidegate.ports import Clock, Held, Loan, Place, Pools, PoolSight, TidegateError

log = logging.getLogger("tidegate.pools")

LOOK_AGAIN = 2.0
"""Seconds between two looks at a pool on which something is lent or planned: three lists each."""
APART, MOMENTS = 0.25, 240
"""Seconds between two looks that are remembered, and how many are: a minute, however many pools there are. Pods that
were seen earlier than that tell of no write."""
OLD = 120.0
"""Seconds after which what was last seen of a pool counts as unseen: nothing new is let in or started on it."""


@dataclass(frozen=True, slots=True)
class PoolLook:
    """What was last seen of a pool."""

    sight: PoolSight
    asked: int
    """When it was asked for, in the ledger's order."""
    at: float
    """The instant at which it was asked for."""
    note: str = ""
    """Why later looks brought nothing."""
    pods_asked: int = 0
    """The last moment in the ledger's order of which the pods tell for certain."""
    driven: Mapping[Identity, CannotStop] = field(init=False, repr=False, compare=False)
    """What somebody else starts and stops. Kept: it is asked for at each decision, of every loan."""

    makers: Mapping[Ref, str] = field(init=False, repr=False, compare=False)
    """Jobs that a CronJob has made, with its name."""

    def __post_init__(self) -> None:
        seen = self.sight.seen
        object.__setattr__(self, "driven", {one.ref.identity: one for one in seen.cannot if one.driven})
        object.__setattr__(self, "makers", {one.ref: one.maker for one in seen.members if one.maker})

    def of(self, loan: Loan) -> tuple[Place, Held] | None:
        """Where the level of a loan's work lies and what stands there; None when that field is not on the pool.

        A loan may name its object by another of the versions in which it is served.
        """
        at = self.sight.places.get(loan.place.ref)
        if at is None or at[0].id != loan.place.id:
            at = next((one for one in self.sight.places.values() if one[0].id == loan.place.id), None)
        return at


@dataclass(slots=True)
class PoolLooker:
    """Keeps the last sight of every pool. See ``rounds.Round``."""

    pools: Pools
    ledger: Ledger
    clock: Clock
    idle_seconds: float = 60.0
    """A pool on which nothing is lent or planned is looked at this often."""
    speed: float = 1.0
    """See ``loop.LoopSettings``."""
    on_news: Callable[[], None] = lambda: None
    looks: dict[str, PoolLook] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Why a pool that was never seen could not be looked at."""
    drains: Drains = field(default_factory=Drains)
    _specs: dict[str, Pool] = field(default_factory=dict)
    _busy: frozenset[str] = frozenset()
    _asked_at: dict[str, float] = field(default_factory=dict)
    _moments: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=MOMENTS))
    """Looks by when they were begun, with their place in the ledger's order."""
    _hasty: set[str] = field(default_factory=set)
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=2.0, longest=30.0))

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "pools"

    def want(self, pools: Mapping[str, Pool], *, busy: frozenset[str]) -> None:
        """Which pools there are, and on which of them something is lent or planned."""
        for gone in (self.looks.keys() | self.notes.keys() | self._asked_at.keys()) - pools.keys():
            for book in (self.looks, self.notes, self._asked_at):
                book.pop(gone, None)
        self._backoff.keep(pools.keys())
        self._specs, self._busy = dict(pools), busy

    def hasten(self, name: str) -> None:
        """Something was written on a pool: look at it again at once."""
        self._hasty.add(name)

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        jobs = ((name, self._due_at(name, now)) for name in self._specs)
        return [Job(name, name, at, self._backoff.suspects(name)) for name, at in jobs if at <= now]

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        return min((at for name in self._specs if (at := self._due_at(name, now)) > now), default=None)

    async def do(self, job: Job) -> None:
        """Look at one pool."""
        name = str(job.key)
        pool = self._specs.get(name)
        if pool is None:
            return
        self._hasty.discard(name)
        at, asked = self.clock.now(), self.ledger.tick()
        self._asked_at[name] = at
        self._backoff.failed(name, at)  # held against it until it has answered
        sight, note = await self._see(pool)
        if sight is not None:
            self._backoff.well(name)
            shown = at if sight.pods_at is None else min(at, sight.pods_at)
            moment = self._moment(shown, at, asked)
            pods_asked = asked if sight.pods_at is None else moment
            self._fill(pool, PoolLook(sight, asked, shown, pods_asked=pods_asked))
        elif name in self.looks:
            self.looks[name] = replace(self.looks[name], note=note)
        self.notes[name] = note
        self.on_news()

    def _moment(self, shown: float, at: float, asked: int) -> int:
        """The place in the ledger's order of what was so at an instant: of a look that was begun before it; 0 when
        none is remembered.
        """
        moments = self._moments
        while moments and moments[-1][0] > at:  # the clock was set back
            moments.pop()
        if not moments or at - moments[-1][0] >= APART:
            moments.append((at, asked))
        while len(moments) > 1 and moments[1][0] <= shown:
            moments.popleft()
        return moments[0][1] if moments[0][0] <= shown else 0

    async def _see(self, pool: Pool) -> tuple[PoolSight | None, str]:
        try:
            return await self.pools.see(pool), ""
        except TidegateError as error:
            log.warning("pool %s could not be looked at: %s", pool.name, error)
            return None, str(error)
        except Exception as error:
            log.exception("pool %s could not be looked at", pool.name)  # one odd object does not stop the rest
            return None, repr(error)

    def _fill(self, pool: Pool, look: PoolLook) -> None:
        before = self.looks.get(pool.name)
        if pool.name not in self._specs or (before is not None and before.asked > look.asked):
            return  # a slow answer that a later question has overtaken
        self.looks[pool.name] = look
        for place, _ in look.sight.places.values():
            self.ledger.asked_anew(place, look.asked)
        self._measure(pool, look, looked=before.at if before is not None else -math.inf)

    def _measure(self, pool: Pool, look: PoolLook, *, looked: float) -> None:
        """Note whose machines are free by now, and whose were not when the pool was ``looked`` at before."""
        seen = {m.ref: m for m in look.sight.seen.members}
        for loan in self.loans_of(pool.name):
            at = look.of(loan)
            member = seen.get(at[0].ref) if at is not None else None
            if member is None or loan.pending >= loan.original or loan.verified != loan.pending:
                continue
            if not self.is_current(look, loan):
                continue
            if is_gone(member, look.sight.seen.of(member.ref), loan.pending):
                lane = pool.lane(loan.hand_over.lane) if loan.hand_over is not None else None
                guess = lane.drain.seconds if lane is not None else 0.0
                self.drains.free(loan, now=look.at, looked=looked, guess=guess)
            else:
                self.drains.holds(loan, now=look.at)
        self.drains.forget(self.ledger.loans.values())

    # ---- what the decision takes

    def loans_of(self, name: str) -> list[Loan]:
        """Loans of the work of a pool."""
        loans = self.ledger.loans.values()
        return [one for one in loans if one.hand_over is not None and one.hand_over.pool == name]

    def is_current(self, look: PoolLook, loan: Loan) -> bool:
        """Whether a look tells of a loan's field as it is after our last write."""
        at = look.of(loan)
        version = at[1].version if at is not None else 0
        return self.ledger.is_current(loan.place, asked=look.asked, version=version)

    def is_old(self, name: str, now: float) -> bool:
        """Whether a pool was not seen for so long that nothing new is let in."""
        look = self.looks.get(name)
        return look is None or now - look.at > OLD * self.speed

    def age(self, now: float) -> Age:
        """Seconds since the looks at the pools were asked for."""
        return Age.of(now - look.at for look in self.looks.values())

    def _due_at(self, name: str, now: float) -> float:
        asked = self._asked_at.get(name)
        if asked is None or (name in self._hasty and not self._backoff.suspects(name)):
            return -math.inf
        if asked > now:  # the clock was stepped back
            asked = self._asked_at[name] = now
            if name in self.looks:
                self.looks[name] = replace(self.looks[name], at=min(self.looks[name].at, now))
        every = LOOK_AGAIN if name in self._busy else self.idle_seconds
        return self._backoff.until(name, now) if self._backoff.suspects(name) else asked + every
