"""Read all loans when we begin to lead, and after they may have been changed from outside; see that none goes while it
is in use. A round.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tidegate.control.ledger import Ledger
from tidegate.control.rounds import Backoff, Job
from tidegate.ports import Clock, Leadership, TidegateError

log = logging.getLogger("tidegate.loans")


CHECKED_EVERY = 10.0
"""Seconds between two looks whether the loans in use are there. A list of 500 Loans is 1 MB."""
EACH_COSTS = 0.01
"""Seconds that each Loan adds to that."""


@dataclass(slots=True)
class LoanLoader:
    """Loads the ledger, and looks whether its loans are there. See ``rounds.Round``."""

    ledger: Ledger
    clock: Clock
    leadership: Leadership
    may_load: Callable[[], bool]
    """Whether loans may be read: no write is under way, and no durable stop stands."""
    may_watch: Callable[[], bool] = lambda: False
    """Whether a durable stop stands, so that others may be returning what was lent."""
    on_news: Callable[[], None] = lambda: None
    speed: float = 1.0
    """See ``loop.LoopSettings``."""
    trouble: str = ""
    """Why the last try failed; empty when it did not."""
    _checked_at: float = -math.inf
    _checked_drops: int = 0
    """Loans that had been removed by the last look: once more after that it is looked whether they are gone."""
    _watched_at: float = -math.inf
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, longest=5.0))
    _strange: Backoff = field(default_factory=lambda: Backoff(first=30.0, longest=3600.0))
    """Loans beside ours for which all were read anew."""

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "loans"

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        if not self.leadership.may_write() or self._due_at(now) > now:
            return []
        if self.ledger.loaded:
            return [Job("check", "check", now)]
        if self.may_load():
            return [Job("loans", "loans", now)]
        return [Job("watch", "watch", now)] if self._watch_at(now) <= now else []

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        ahead = [at for at in (self._due_at(now), self._watch_at(now)) if now < at < math.inf]
        return min(ahead, default=None)

    async def do(self, job: Job) -> None:
        """Read all loans, or see whether they are there."""
        self._backoff.failed(job.key, self.clock.now())
        try:
            await {"check": self._check, "watch": self._watch}.get(str(job.key), self._load)()
        except TidegateError as error:
            self.trouble = str(error)
            log.warning("loans could not be read: %s", error)
            return
        self.trouble = ""
        self._backoff.well(job.key)

    # ---- beneath

    def _due_at(self, now: float) -> float:
        if not self.ledger.loaded:
            return self._backoff.until("loans", now)
        if not self.ledger.loans and not self.ledger.book.closed and self._checked_drops == self.ledger.drops:
            return min((self._strange.until(key, now) for key in self.ledger.strange), default=math.inf)
        checked_at = self._checked_at = min(self._checked_at, now)  # a clock that was set back checks soon
        every = max(CHECKED_EVERY, EACH_COSTS * len(self.ledger.loans)) * self.speed
        return max(checked_at + every, self._backoff.until("check", now))

    async def _load(self) -> None:
        await self.ledger.load()
        self._checked_at, self._checked_drops = self.clock.now(), -1  # what this list lacked is seen once more
        for one in self.ledger.unreadable.values():
            log.error("Loan %s cannot be understood and is left as it is: %s", one.key, one.note)
        self.on_news()

    def _watch_at(self, now: float) -> float:
        """While others may return what was lent it is looked which loans there are."""
        if not self.may_watch():
            return math.inf
        watched_at = self._watched_at = min(self._watched_at, now)
        return max(watched_at + CHECKED_EVERY * self.speed, self._backoff.until("watch", now))

    async def _watch(self) -> None:
        self._watched_at = self.clock.now()
        await self.ledger.watch()

    async def _check(self) -> None:
        now = self._checked_at = self.clock.now()
        drops = self.ledger.drops
        missed = await self.ledger.miss()
        self._checked_drops = drops
        self._strange.keep(self.ledger.strange)
        strange = [key for key in self.ledger.strange if self._strange.until(key, now) <= now]
        for key in strange:
            self._strange.failed(key, now)  # one that a finalizer keeps is there again, whatever we do
            log.warning("Loan %s is there and is none of ours: all are read anew", key)
        if strange:
            self.ledger.unload()
        for loan in missed:
            log.warning("Loan %s of %s was removed while in use: it is written anew", loan.key, loan.place.ref)
        if missed or strange:
            self.on_news()
