"""Drives one round freely: keeps a few of its jobs running, and lets no job hold up the others.

What may begin is picked when something ends, when somebody wakes the gate, and when something becomes due. A job that
raises or hangs is counted and ends nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Hashable
from dataclasses import dataclass, replace
from typing import Any

from tidegate.control.rounds import Job, Round, chosen
from tidegate.ports import Clock

log = logging.getLogger("tidegate.gates")

LONGEST_PAUSE = 0.05
"""Seconds between two picks at most: the pause is three times what the last pick took, so that picking among
thousands of jobs takes a quarter of a core and no more."""

NAP = 60.0
"""Seconds after which a gate looks for jobs though nothing became due and nobody woke it: whoever forgets to wake it
costs time, not the work."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How much of one kind of work runs at a time."""

    slots: int
    """Jobs at a time. As many again may run while jobs that are slow hold more than half of the slots."""
    patience: float
    """Seconds after which a job is cancelled and counted as hung."""
    slow_after: float = 1.0
    """Seconds after which a running job, and what else is due for its tenant, counts as suspect. Judgment: a hundred
    times what a request takes, and little beside the seconds before a step that a healthy target may lose."""
    awaited: bool = True
    """At the stop what is under way is waited for; False: it is ended at once, and nothing is lost by that."""


@dataclass(slots=True)
class _Run:
    job: Job
    task: asyncio.Task[None]
    since: float


class Gate:
    """The slots of one round. ``run`` is kept by the group of tasks; the jobs live on when it is started anew."""

    def __init__(
        self,
        round_: Round,
        settings: GateSettings,
        *,
        clock: Clock,
        spawn: Callable[[str, Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_end: Callable[[str, str], None],
    ) -> None:
        """``clock`` is the loop's; ``spawn`` starts a task in the process's group. ``on_end`` is told the round's name
        and ``ok``, ``failed``, ``hung`` or (by the stop) ``cancelled`` after each job.
        """
        self._round = round_
        self._settings = settings
        self._clock = clock
        self._spawn = spawn
        self._on_end = on_end
        self._running: dict[Hashable, _Run] = {}
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def name(self) -> str:
        """The round's."""
        return self._round.name

    @property
    def running(self) -> Collection[Job]:
        """Jobs under way."""
        return [run.job for run in self._running.values()]

    def wake(self) -> None:
        """Something may have become due."""
        self._wake.set()

    async def run(self) -> None:
        """Begin what is due, for ever."""
        while True:
            self._wake.clear()
            begun = time.monotonic()
            self._pick()
            await asyncio.sleep(min(LONGEST_PAUSE, 3 * (time.monotonic() - begun)))
            now = self._clock.now()
            at = self._round.next_at(now)
            if at is None or at <= now:  # what is due and did not begin waits for a slot, whose end wakes us
                at = now + NAP
            await self._clock.wait(min(at, now + NAP), self._wake)

    async def drain(self, patience: float) -> bool:
        """Begin nothing more and wait for what runs; whether all of it ended within ``patience`` seconds."""
        self._closed = True
        for run in self._running.values():
            if not self._settings.awaited:
                run.task.cancel()
        tasks = {run.task for run in self._running.values()}
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=patience)
        if pending:
            log.warning("%s: %d jobs are still under way at the stop", self.name, len(pending))
        return not pending

    # ---- beneath

    def _pick(self) -> None:
        slots = self._settings.slots
        if self._closed or len(self._running) >= 2 * slots:
            return
        slow = self._slow()
        tenants = {job.tenant for job in slow}
        counted = [run.job for key, run in self._running.items() if key not in {job.key for job in slow}]
        counted += [replace(job, suspect=True) for job in slow[: slots // 2]]
        due = [
            replace(job, suspect=True) if job.tenant in tenants and not job.suspect else job
            for job in self._round.due(self._clock.now())
            if job.key not in self._running
        ]
        for job in chosen(due, counted, slots)[: 2 * slots - len(self._running)]:
            self._begin(job)

    def _slow(self) -> list[Job]:
        """Jobs that have run for long. Those beyond half of the slots do not count: they hung before anybody could
        know that they would, and the healthy must not pay for it until they are cancelled.
        """
        now = asyncio.get_running_loop().time()
        return [run.job for run in self._running.values() if now - run.since >= self._settings.slow_after]

    def _begin(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        task = self._spawn(f"{self.name} {job.key}", self._do(job))
        self._running[job.key] = _Run(job, task, loop.time())
        task.add_done_callback(lambda _: self._ended(job))
        loop.call_later(self._settings.slow_after, self._wake.set)

    async def _do(self, job: Job) -> None:
        result = "failed"
        try:
            async with asyncio.timeout(self._settings.patience) as bound:
                await self._round.do(job)
            result = "ok"
        except TimeoutError:
            result = "hung" if bound.expired() else "failed"
            log.warning("%s %s: %s", self.name, job.key, result, exc_info=not bound.expired())
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                result = "cancelled"
                raise
            log.warning("%s %s: what it waited for was cancelled", self.name, job.key)
        except Exception:
            log.exception("%s %s", self.name, job.key)
        finally:
            self._on_end(self.name, result)

    def _ended(self, job: Job) -> None:
        self._running.pop(job.key, None)
        self._wake.set()
