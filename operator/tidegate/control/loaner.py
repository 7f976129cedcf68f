"""Read all loans when we begin to lead, and after they may have been changed from outside. A round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tidegate.control.ledger import Ledger
from tidegate.control.rounds import Backoff, Job
from tidegate.ports import Clock, Leadership, TidegateError

log = logging.getLogger("tidegate.loans")


@dataclass(slots=True)
class LoanLoader:
    """Loads the ledger. See ``rounds.Round``."""

    ledger: Ledger
    clock: Clock
    leadership: Leadership
    may_load: Callable[[], bool]
    """Whether loans may be read: no write is under way, and no durable stop stands."""
    on_news: Callable[[], None] = lambda: None
    trouble: str = ""
    """Why the last try failed; empty when it did not."""
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, longest=5.0))

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "loans"

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        if self.ledger.loaded or not self.leadership.may_write() or not self.may_load():
            return []
        return [Job("loans", "", now)] if self._backoff.until("loans", now) <= now else []

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        until = self._backoff.until("loans", now)
        return until if until > now and not self.ledger.loaded else None

    async def do(self, job: Job) -> None:
        """Read all loans."""
        self._backoff.failed(job.key, self.clock.now())
        try:
            await self.ledger.load()
        except TidegateError as error:
            self.trouble = str(error)
            log.warning("loans could not be read: %s", error)
            return
        self.trouble = ""
        self._backoff.well(job.key)
        for one in self.ledger.unreadable.values():
            log.error("Loan %s cannot be understood and is left as it is: %s", one.key, one.note)
        self.on_news()
