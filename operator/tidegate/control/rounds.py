"""Work in rounds: what is due, in a fair order, where nothing that hangs or fails holds up its neighbours.

Readers and writers are rounds. A turn (``loop.Loop.turn``) runs each of them once, on any clock; the process runs the
same rounds freely, with as many jobs under way as a gate has slots.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Collection, Hashable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tidegate.pauses import Pauses

T = TypeVar("T")

log = logging.getLogger("tidegate.rounds")

AT_ONCE = 16
"""Jobs of one turn that are under way at a time."""
TENANT_SHARE = 8
"""A tenant holds at most one of so many slots: its webhook, its API, its pods may hang."""
FORGET_AFTER = 600.0
"""Seconds after which a failure is forgotten that was not tried again."""
SUSPECT_SHARE = 2
"""What hung or failed last time holds, all tenants together, at most one of so many slots."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do."""

    key: Hashable
    """At most one job of a key is under way."""
    tenant: str
    """The namespace for which it is done."""
    due_at: float
    """Epoch seconds; what is due earlier is taken earlier."""
    suspect: bool = False
    """It hung or failed last time."""


class Round(Protocol):
    """A supervised kind of work."""

    @property
    def name(self) -> str:
        """For logs and metrics."""

    def due(self, now: float) -> Sequence[Job]:
        """What may begin now, jobs under way included. Quick."""

    async def do(self, job: Job) -> None:
        """Do it, and keep what was found. Whatever goes wrong is kept as such, and not raised."""

    def next_at(self, now: float) -> float | None:
        """When something becomes due by time alone; None: only a change can bring it."""


def chosen(jobs: Iterable[Job], running: Collection[Job], slots: int) -> list[Job]:
    """The jobs to begin now: what is due first, no tenant with more than its share, suspects together at most half.

    A gate of fewer slots than shares leaves each tenant one.
    """
    busy = {job.key for job in running}
    tenants = Counter(job.tenant for job in running)
    suspects = sum(job.suspect for job in running)
    most, most_suspects = max(1, slots // TENANT_SHARE), max(1, slots // SUSPECT_SHARE)
    free, begun = slots - len(running), []
    for job in sorted(jobs, key=lambda job: (job.due_at, job.suspect)):
        if free <= 0:
            break
        if job.key in busy or tenants[job.tenant] >= most or (job.suspect and suspects >= most_suspects):
            continue
        busy.add(job.key)
        tenants[job.tenant] += 1
        suspects += job.suspect
        free -= 1
        begun.append(job)
    return begun


async def run_once(work: Round, now: float) -> int:
    """Do all that is due in a round, a few at a time, the earliest first; how many jobs that was."""
    jobs = sorted(work.due(now), key=lambda job: job.due_at)
    for job, failure in zip(jobs, await limited([work.do(job) for job in jobs]), strict=True):
        if isinstance(failure, Exception):
            log.error("%s: %s failed", work.name, job.key, exc_info=failure)
    return len(jobs)


async def limited(jobs: Iterable[Awaitable[T]], *, at_once: int = AT_ONCE) -> list[T | Exception]:
    """Await all, a few at a time: each one's result or its error, in order. None ends another.

    What is not an ``Exception`` (a cancellation, the end of the process) ends the jobs that are under way, and is
    raised once they have ended: none goes on unseen.
    """
    waiting = list(jobs)
    if len(waiting) <= 1:  # no task is needed to keep one apart: a turn of a small cluster has a handful of rounds
        return [await _alone(job) for job in waiting]
    gate = asyncio.Semaphore(at_once)

    async def one(job: Awaitable[T]) -> T | Exception:
        async with gate:
            return await _alone(job)

    tasks = [asyncio.ensure_future(one(job)) for job in waiting]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _alone(job: Awaitable[T]) -> T | Exception:
    try:
        return await job
    except Exception as error:  # noqa: BLE001 - the one place that keeps jobs apart: the caller gets the error
        return error


class Backoff:
    """Growing pauses for what failed: the first after one failure, twice as long each time, up to the longest."""

    def __init__(self, *, first: float, longest: float) -> None:
        """Both in seconds."""
        self._pauses = Pauses(first=first, longest=longest)
        self._failures: dict[Hashable, int] = {}
        self._until: dict[Hashable, float] = {}

    def failed(self, key: Hashable, now: float) -> float:
        """Note a failure; the instant before which it is not tried again."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        self._until[key] = now + self._pauses.after(count)
        return self._until[key]

    def put_off(self, key: Hashable, until: float) -> None:
        """Whoever did not answer asks for this: no sooner, as far as the longest pause reaches."""
        ends = self._until.get(key)
        if ends is not None:
            begun = ends - self._pauses.after(self._failures[key])
            self._until[key] = max(ends, min(until, begun + self._pauses.longest))

    def well(self, key: Hashable) -> None:
        """It went well: nothing is held against it any more."""
        self._failures.pop(key, None)
        self._until.pop(key, None)

    def until(self, key: Hashable, now: float) -> float:
        """When it may be tried again; in the past (or minus infinity) when now.

        Pauses that reach further ahead than the longest were set by a clock that was stepped back since: they are over.
        """
        until = self._until.get(key, float("-inf"))
        return until if until - now <= self._pauses.longest else float("-inf")

    def suspects(self, key: Hashable) -> bool:
        """Whether it failed last time."""
        return key in self._failures

    @property
    def failing(self) -> Set[Hashable]:
        """All that failed last time."""
        return self._failures.keys()

    def keep(self, keys: Collection[Hashable]) -> None:
        """Forget all others."""
        for gone in self._failures.keys() - set(keys):
            self.well(gone)

    def expire(self, now: float) -> None:
        """Forget what was to be tried again long ago, and was not."""
        for gone in [key for key, until in self._until.items() if until < now - FORGET_AFTER]:
            self.well(gone)
