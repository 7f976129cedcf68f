"""All long-lived tasks of the process, in one group that starts anew what ends by itself.

kopf cancels every task that is younger than itself, but only after our cleanup handler has returned: the handler is
part of one of kopf's root tasks, ``run_tasks`` stops the root tasks without a bound and looks for "hung" tasks
afterwards (``kopf._core.reactor.running``, 1.45). So the group needs neither a thread nor a shield, as long as its
``stop`` runs in that handler. Two paths of kopf skip the handler: a signal while the startup handler still runs, and
a second cancellation of an embedded operator. The first is met by ``Opened``, which undoes a start that is
cancelled; in the second a task that is cancelled by somebody else counts as one that ended by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.pauses import Pauses

log = logging.getLogger("tidegate.tasks")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a task that ended is started anew; the pause doubles from the first to the longest."""

SETTLED = 300.0
"""Seconds that a task has to live before its next end counts as the first one again."""

Make = Callable[[], Coroutine[Any, Any, None]]


class Handle(Protocol):
    """A call that was put off."""

    def cancel(self) -> None:
        """Never make it."""


@dataclass(slots=True)
class _Kept:
    """One name: what runs under it, and how it has fared."""

    make: Make
    task: asyncio.Task[None] | None = None
    again: Handle | None = None
    begun_at: float = 0.0
    ends: int = 0
    """Ends in a row, each after less than ``SETTLED`` seconds."""
    why: str = ""
    finishing: bool = False
    """It may end now: it is not started anew."""


class TaskGroup:
    """Tasks by name. Only ``stop`` and ``finish`` end one for good."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Handle],
        on_restart: Callable[[str], None],
    ) -> None:
        """``clock`` in seconds that only grow, ``later`` as ``loop.call_later``; ``on_restart`` is told the name of a
        task that ended by itself.
        """
        self._clock = clock
        self._later = later
        self._on_restart = on_restart
        self._pauses = Pauses(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._kept: dict[str, _Kept] = {}
        self._once: set[asyncio.Task[None]] = set()
        self._stopping = False

    def keep(self, name: str, make: Make) -> None:
        """Run ``make()`` for ever under this name: whenever it returns or raises it is made anew after a pause."""
        if name in self._kept:
            raise ValueError(f"there is a task {name!r} already")
        if not self._stopping:
            self._kept[name] = _Kept(make)
            self._begin(name)

    def once(self, name: str, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a job that ends. An error is logged and counted under the job's name; nothing starts it anew."""
        task = asyncio.create_task(job, name=name)
        self._once.add(task)
        task.add_done_callback(self._finished)
        if self._stopping:
            task.cancel()
        return task

    def trouble(self) -> Mapping[str, str]:
        """Tasks that ended by themselves and have not lived for ``SETTLED`` seconds since, each with its last end."""
        now = self._clock()
        return {
            name: f"ended {one.ends} times, last: {one.why}" if one.ends > 1 else f"ended: {one.why}"
            for name, one in self._kept.items()
            if one.ends and (one.again is not None or now - one.begun_at < SETTLED)
        }

    async def finish(self, name: str, *, patience: float) -> bool:
        """Wait until a task that was told to end has ended; whether it did within ``patience`` seconds."""
        one = self._kept.get(name)
        if one is None or one.task is None:
            return True
        one.finishing = True
        if one.again is not None:
            one.again.cancel()
        done, _ = await asyncio.wait({one.task}, timeout=patience)
        return bool(done)

    async def stop(self) -> None:
        """Cancel every task and wait until all have ended."""
        self._stopping = True
        for one in self._kept.values():
            if one.again is not None:
                one.again.cancel()
        tasks = {one.task for one in self._kept.values() if one.task is not None} | self._once
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ---- beneath

    def _begin(self, name: str) -> None:
        one = self._kept[name]
        one.again = None
        if self._stopping or one.finishing:
            return
        one.begun_at = self._clock()
        one.task = asyncio.create_task(one.make(), name=name)
        one.task.add_done_callback(lambda task: self._ended(name, task))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        """A callback and no waiting task: a task of ours that waits could be cancelled by others together with it."""
        one = self._kept[name]
        error = None if task.cancelled() else task.exception()  # asked also at a stop: else asyncio complains
        if self._stopping or one.finishing:
            if error is not None:
                log.error("%s ended with an error at the stop", name, exc_info=error)
            return
        one.ends = 1 if self._clock() - one.begun_at >= SETTLED else one.ends + 1
        one.why = _words(task, error)
        pause = self._pauses.after(one.ends)
        log.error("%s has %s; it starts anew in %.0f s", name, one.why, pause, exc_info=error)
        self._on_restart(name)
        one.again = self._later(pause, lambda: self._begin(name))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._once.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("%s failed", task.get_name(), exc_info=error)
        self._on_restart(task.get_name())


def _words(task: asyncio.Task[None], error: BaseException | None) -> str:
    if task.cancelled():
        return "been cancelled by somebody else"
    return "returned by itself" if error is None else f"raised {type(error).__name__}: {error}"[:200]
