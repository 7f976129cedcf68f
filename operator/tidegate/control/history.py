"""Learn from what signals were before they were followed, as Prometheus still tells it. A round.

Where nothing is on record of a signal that a policy follows, its last two weeks are read page by page, at the step of
our own readings, and a forecaster apart learns from them with what was announced then. It takes the place of what was
learned live when it has caught up with it: nothing counts twice, and until then the floor stands as it does.

None of it is urgent. One page is under way at a time, tenants take turns, learning gives way to everything else every
few milliseconds, and what fails is tried again later, then given up. It ends with the leadership.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.announced import SignalKey
from tidegate.control.confirmation import Confirmation
from tidegate.control.forecaster import Forecaster
from tidegate.control.rounds import Backoff, Job
from tidegate.planning.book import Book
from tidegate.planning.growth import BRIDGED, STEP
from tidegate.planning.model import Announcement, Freshness, Key, Reading
from tidegate.planning.phases import AFTER, BEFORE
from tidegate.ports import Clock, Leadership, PastPage, PastSource, UnavailableError

log = logging.getLogger("tidegate.history")

LOOKS_BACK = 14 * 86_400.0
"""Seconds that are read: what is older counts little (``growth.MEMORY`` is a week), and Prometheus keeps 15 days if
nobody says otherwise."""
POINTS, LEAST_POINTS = 5_000, 300
"""Of one page: half as many after each failure, since a query that is too heavy may be none for an hour."""
SOON = 240
"""Points (an hour) of a page that is followed by the next at once: in turns with many others nobody would catch up."""
AGE = 15.0
"""Seconds that the newest sample in a value of the past is taken to be old: half of what Prometheus scrapes every 30 s.
What it had not scraped for up to 5 minutes looks as if it had stood still, and teaches calm. Judgment."""
SCRAPED, STANDS = 60.0, 300.0
"""Seconds between two scrapes, if Prometheus is told nothing: for so long one bad sample counts in each value of a sum.
Seconds for which Prometheus shows a sample as the last one: a value that stays the same for longer is scraped anew."""
MOST_TRIES = 8
"""Tries of one page: with their pauses two hours."""
MOST_ASKED = 600.0
"""Seconds that one signal may keep Prometheus busy: then its query is too heavy to be asked for two weeks."""
SLICE = 0.005
"""Seconds of learning after which others get their turn."""
MARGIN = 86_400.0
"""Seconds beside a page in which an event may begin or end that is of it."""

Announced = Callable[[Key, float, float], Iterable[Announcement]]


@dataclass(frozen=True, slots=True)
class Past:
    """Where it is told what was, and how to give way while it is learned from."""

    source: PastSource
    announced: Announced
    """What is still told of events of a policy between two instants; may be more. Taken bit by bit."""
    rest: Callable[[float], Awaitable[None]]
    """Lets others have their turn, after so many seconds of learning."""
    spent: Callable[[], float]
    """Seconds of a clock that never goes back."""
    looks_back: float = LOOKS_BACK


@dataclass(slots=True)
class _Study:
    """One signal that is learned of."""

    query: str
    apart: Forecaster
    next_at: float
    """The next instant to learn of."""
    confirmation: Confirmation = field(default_factory=Confirmation)
    first: float | None = None
    """The first instant at which it had a value."""
    value: float = math.nan
    """The last value."""
    value_since: float = -math.inf
    """Since when it has been that one."""
    points: int = POINTS
    """Of the next page at the most."""
    tries: int = 0
    """Of the next page, in a row."""
    asked: float = 0.0
    """Seconds for which its pages were waited for."""


@dataclass(slots=True)
class History:
    """See ``rounds.Round``."""

    past: Past
    forecaster: Forecaster
    clock: Clock
    leadership: Leadership
    known: Callable[[float], bool] = lambda now: True
    """Whether it was read what is on record."""
    cell: float = STEP
    """Seconds of a cell of announced demand."""
    _studies: dict[SignalKey, _Study] = field(default_factory=dict)
    _epoch: int | None = None
    _turns: dict[str, int] = field(default_factory=dict)
    """By tenant, which turn was its last."""
    _turn: int = 0
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=30.0, longest=3_600.0))

    def __post_init__(self) -> None:
        self.forecaster.studies = True

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "history"

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``: one page, of the tenant that has waited longest; what it has begun comes first."""
        self._tidy()
        if not self._leads() or not self.known(now):
            return []
        waiting = [key for key in self._pending() if self._backoff.until(key, now) <= now]
        if not waiting:
            return []
        key = min(waiting, key=lambda key: (self._turns.get(key[0].namespace, 0), key not in self._studies, key))
        return [Job(key, key[0].namespace, now)]

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        if not self._leads():
            return None
        return min((at for key in self._pending() if (at := self._backoff.until(key, now)) > now), default=None)

    async def do(self, job: Job) -> None:
        """Learn from one page, or from the last few until the signal is caught up with."""
        key: SignalKey = job.key  # type: ignore[assignment]
        self._turn += 1
        self._turns[key[0].namespace] = self._turn
        now, study = self.clock.now(), self._study(key)
        if study is None:
            return
        study.tries += 1  # held against it until it went well
        self._backoff.failed(key, now)
        try:
            went_on = await self._go_on(key, study)
        except UnavailableError as error:
            study.points = max(LEAST_POINTS, study.points // 2)
            if study.tries >= MOST_TRIES:
                self._give_up(key, str(error))
            return
        if went_on:
            study.tries = 0
            self._backoff.well(key)

    # ---- beneath

    def _leads(self) -> bool:
        return self.leadership.may_write()

    def _pending(self) -> list[SignalKey]:
        return [key for key in self.forecaster.pending if key in self.forecaster.known]

    def _tidy(self) -> None:
        """Forget what is not to be learned any more: it is another query by now, is known, or somebody else leads."""
        if not self._leads() or self._epoch != self.leadership.epoch:
            self._studies.clear()
            self._backoff.keep(())
            self._epoch = self.leadership.epoch
        gone = [key for key, study in self._studies.items() if not self._stands(key, study)]
        for key in gone:
            del self._studies[key]
            self._backoff.well(key)
        if len(self._turns) > len(self.forecaster.pending):
            tenants = {key[0].namespace for key in self.forecaster.pending}
            self._turns = {tenant: turn for tenant, turn in self._turns.items() if tenant in tenants}

    def _stands(self, key: SignalKey, study: _Study) -> bool:
        """Whether what is learned of is still wanted, and by us."""
        asked = key in self.forecaster.pending and self.forecaster.query(key) == study.query
        mine = self._leads() and self._epoch == self.leadership.epoch
        return asked and mine and self._studies.get(key) is study

    def _study(self, key: SignalKey) -> _Study | None:
        found = self._studies.get(key)
        if found is not None and self._stands(key, found):
            return found
        query = self.forecaster.query(key)
        if query is None or key not in self._pending():
            return None
        begin = math.ceil((self.clock.now() - self.past.looks_back) / STEP) * STEP
        found = self._studies[key] = _Study(query, self.forecaster.apart(key), begin)
        log.info("%s/%s: learning from its last %g days", *key, self.past.looks_back / 86_400.0)
        return found

    async def _go_on(self, key: SignalKey, study: _Study) -> bool:
        """Whether it went well: False where it is not wanted any more."""
        while True:
            steps = math.floor((self.clock.now() - study.next_at) / STEP) + 1
            if steps <= BRIDGED:
                self._finish(key, study)
                return True
            count = min(steps, study.points)
            begin = study.next_at
            page = await self._asked(key, study, begin, count)
            if page is None or not await self._learn(key, study, begin, page):
                return False
            study.next_at = max(study.next_at, begin + STEP * count)
            if count > SOON:
                return True

    async def _asked(self, key: SignalKey, study: _Study, begin: float, count: int) -> PastPage | None:
        """A page; None where it is not wanted any more."""
        if study.asked >= MOST_ASKED:
            self._give_up(key, f"it keeps Prometheus busy for more than {MOST_ASKED:g} s: make its query lighter")
            return None
        since = self.past.spent()
        try:
            page = await self.past.source.page(study.query, begin=begin, step=STEP, count=count)
        finally:
            study.asked += self.past.spent() - since
        return page if self._stands(key, study) else None

    async def _learn(self, key: SignalKey, study: _Study, begin: float, page: PastPage) -> bool:
        """Learn from a page, a few milliseconds at a time; False where that is not wanted any more."""
        begun, apart = self.past.spent(), study.apart
        book = Book(self.cell, *self._columns(begin, begin + STEP * len(page.values)))
        told: dict[Key, Announcement] = {}
        for event in self.past.announced(key[0], begin - MARGIN, begin + STEP * len(page.values) + MARGIN):
            told[event.key] = event
            begun = await self._give_way(begun)
        for _ in book.sync(told, None):
            begun = await self._give_way(begun)
        apart.goes_by(book)
        for place, value in enumerate(page.values):
            at = begin + STEP * place
            study.next_at = at + STEP
            if math.isfinite(value):
                apart.take(key, _reading(study, at, value, page.span), at)
            if self.past.spent() - begun >= SLICE:
                begun = await self._give_way(begun)
                if not self._stands(key, study):
                    return False
        return self._stands(key, study)

    def _columns(self, since: float, until: float) -> tuple[int, int]:
        """First column and number of columns of a book for a page: what is near its ends counts in it."""
        first = math.floor((since - AFTER) / self.cell)
        return first, math.floor((until + 2.0 * BEFORE) / self.cell) - first + 1

    async def _give_way(self, begun: float) -> float:
        """Let others have their turn when a slice is used up; since when the slice runs."""
        spent = self.past.spent() - begun
        if spent < SLICE:
            return begun
        await self.past.rest(spent)
        return self.past.spent()

    def _finish(self, key: SignalKey, study: _Study) -> None:
        past = 0.0 if study.first is None else study.next_at - study.first
        self.forecaster.adopt(key, study.apart, past, self.clock.now())
        self._studies.pop(key, None)
        log.info("%s/%s: learned from %.1f days that Prometheus still had", *key, past / 86_400.0)

    def _give_up(self, key: SignalKey, why: str) -> None:
        log.warning("%s/%s: nothing is learned of its past, only of what is read from now on: %s", *key, why)
        self.forecaster.adopt(key, None, 0.0, self.clock.now())
        self._studies.pop(key, None)
        self._backoff.well(key)


def _reading(study: _Study, at: float, value: float, span: float) -> Reading:
    """What was read then. A range tells no sample's own time: one that is scraped each minute is told four times, and
    must not confirm itself.
    """
    if value != study.value or at - study.value_since >= STANDS:
        study.value, study.value_since = value, at
    read = Reading(Freshness.FRESH, value, at - AGE, stamp=at - AGE, span=span)
    sample = replace(read, stamp=study.value_since - AGE, span=max(span, SCRAPED))
    study.confirmation.take(sample, at)
    study.first = at if study.first is None else study.first
    return replace(read, confirmed=study.confirmation.confirmed)
