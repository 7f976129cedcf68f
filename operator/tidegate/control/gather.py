"""Gather: look at the targets and read the signals, as often as it matters and no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tidegate.control.ledger import Ledger, state_of
from tidegate.planning.model import (
    Freshness,
    Key,
    Observed,
    Policy,
    Reading,
    Ref,
    TargetSpec,
    Trouble,
)
from tidegate.ports import MetricsSource, Sight, Targets, TidegateError

T = TypeVar("T")
TargetKey = tuple[Key, str]

log = logging.getLogger("tidegate.gather")

AT_ONCE = 16
"""Requests in flight. Judgment: enough for 500 targets a second, little for an API server."""


@dataclass(slots=True)
class Look:
    """When a target was last looked at, and what was seen."""

    sight: Sight
    at: float


@dataclass(slots=True)
class Gatherer:
    """Keeps the last sight of every target and the last reading of every signal."""

    targets: Targets
    metrics: MetricsSource
    ledger: Ledger
    idle_seconds: float
    """A target far from any step is looked at this often; a watch that reports it makes that sooner."""
    sights: dict[TargetKey, Look] = field(default_factory=dict)
    readings: dict[TargetKey, Reading] = field(default_factory=dict)
    read_at: dict[TargetKey, float] = field(default_factory=dict)

    async def look(
        self,
        policies: Mapping[Key, Policy],
        *,
        now: float,
        active: frozenset[TargetKey],
        touched: frozenset[Ref],
        near: frozenset[TargetKey] = frozenset(),
    ) -> None:
        """See the targets that are due: active ones each time, touched ones at once, the others now and then.

        Of those that an event is ``near`` it is also found out why units are missing.
        """
        wanted = {(key, t.name): t for key, p in policies.items() for t in p.targets}
        for gone in self.sights.keys() - wanted.keys():
            del self.sights[gone]
        due = [(key, spec) for key, spec in wanted.items() if self._due(key, spec, now, active, touched)]
        seen = await limited([self._see(spec, closely=key in near) for key, spec in due])
        for (key, _), sight in zip(due, seen, strict=True):
            self.sights[key] = Look(self._kept(key, sight), now)

    async def read(self, policies: Mapping[Key, Policy], *, now: float, active: frozenset[Key]) -> None:
        """Read the signals of the policies that are active; what became of each is a Reading, never a zero."""
        asked = [
            ((key, spec.name), spec.query, spec.stale_after)
            for key, policy in policies.items()
            if key in active
            for spec in policy.signals
            if spec.query
        ]
        answers = await limited([self.metrics.read(query, now=now, stale_after=stale) for _, query, stale in asked])
        for (key, _, _), answer in zip(asked, answers, strict=True):
            self.readings[key] = self._remember(key, answer, now)
        names = {(key, s.name) for key, p in policies.items() for s in p.signals if s.query}
        for gone in self.readings.keys() - names:
            del self.readings[gone]

    def observed(self) -> dict[TargetKey, Observed]:
        """What the core is told about each target, loans included."""
        found = {}
        for key, look in self.sights.items():
            seen = look.sight.observed
            loan = self.ledger.of(look.sight.place) if look.sight.place else None
            if loan is None and seen.trouble is not None:
                loan = next(iter(self.ledger.of_target(*key)), None)
            found[key] = replace(seen, loan=state_of(loan)) if loan else seen
        return found

    def _due(
        self, key: TargetKey, spec: TargetSpec, now: float, active: frozenset[TargetKey], touched: frozenset[Ref]
    ) -> bool:
        look = self.sights.get(key)
        if look is None or key in active or spec.ref in touched:
            return True
        place = look.sight.place
        if place is not None and place.ref in touched:
            return True
        return now - look.at >= self.idle_seconds

    async def _see(self, spec: TargetSpec, *, closely: bool) -> Sight:
        try:
            return await (self.targets.examine(spec.ref) if closely else self.targets.see(spec.ref))
        except TidegateError as error:
            return Sight(Observed(trouble=Trouble.UNREADABLE, note=str(error)), None)
        except Exception as error:
            log.exception("%s could not be looked at", spec.ref)  # one broken target does not stop the rest
            return Sight(Observed(trouble=Trouble.UNREADABLE, note=repr(error)), None)

    def _kept(self, key: TargetKey, sight: Sight) -> Sight:
        """An object that could not be read keeps its last known level: unknown is not zero."""
        before = self.sights.get(key)
        if sight.observed.trouble is not Trouble.UNREADABLE or before is None:
            return sight
        known = replace(before.sight.observed, trouble=Trouble.UNREADABLE, note=sight.observed.note)
        return Sight(known, before.sight.place)  # without what it held: an old value must not be taken for somebody's

    def _remember(self, key: TargetKey, answer: Reading, now: float) -> Reading:
        """A bad answer keeps the last good value and its age."""
        before = self.readings.get(key)
        if answer.freshness in (Freshness.FRESH, Freshness.STALE):
            return answer
        if before is not None:
            return replace(answer, value=before.value, since=before.since)
        return replace(answer, value=None, since=now)


async def limited(jobs: Iterable[Awaitable[T]], *, at_once: int = AT_ONCE) -> list[T]:
    """Await all, a few at a time, in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(job: Awaitable[T]) -> T:
        async with gate:
            return await job

    return list(await asyncio.gather(*(one(job) for job in jobs)))
