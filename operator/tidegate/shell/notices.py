"""Events that somebody is to read before something happens: posted again and again until the server has them.

A queue of their own, apart from all other Events: those are news that may be dropped, and a thousand of them must not
keep a notice waiting. Namespaces take turns, and one that gets no answer holds half of the workers at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.planning.model import Key, Ref
from tidegate.ports import RefusedError, TidegateError
from tidegate.shell.status_queue import Name, StatusQueue

log = logging.getLogger(__name__)

MOST = 500
"""Notices of one namespace that wait at a time: a kilobyte each. Judgment: more than are given to one in a minute."""
WORKERS = 4
"""Posts under way at a time."""
PAUSE = 0.1
"""Seconds between two posts of one worker, and between two looks whether a pause is over."""


class Subject(NamedTuple):
    """What an Event is about, why it is said, and which part of the subject it is about: a target of a policy, say."""

    ref: Ref
    reason: str
    about: str


@dataclass(slots=True)
class Said:
    """One Event: waiting, posted, or posted with more to tell."""

    message: str
    warning: bool
    first: float
    last: float
    count: int = 1
    path: str = ""
    """Where it was posted; empty before that."""


class Notice(NamedTuple):
    """An Event that is tried again."""

    subject: Subject
    said: Said
    until: float
    """Epoch seconds from when on nobody needs it any more."""


class Notices:
    """Notices that wait, and who posts them."""

    def __init__(
        self,
        post: Callable[[Subject, Said], Awaitable[None]],
        *,
        now: Callable[[], float],
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        """``post`` raises TidegateError when the server does not take an Event. ``now`` in epoch seconds; pauses are
        measured by ``passed``, in seconds from any instant on, since a clock may be stepped.
        """
        self._post, self._now, self._passed = post, now, passed
        self._waiting: dict[Name, Notice] = {}
        self._held: Counter[str] = Counter()
        self._queue = StatusQueue()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.lost = 0
        """Notices that nobody will see: their time was over before the server took them, or their namespace ends."""

    def put(self, notice: Notice) -> bool:
        """Have it posted; False when too many of its namespace wait. One that waits under the same name is replaced."""
        ref, reason, about = notice.subject
        name = f"{ref.api_version} {ref.kind} {reason} {about}", Key(ref.namespace, ref.name)
        if name not in self._waiting:
            if self._held[ref.namespace] >= MOST:
                return False
            self._held[ref.namespace] += 1
        self._waiting[name] = notice
        self._queue.put(name, {})
        self._idle.clear()
        self._wake.set()
        return True

    @property
    def waiting(self) -> int:
        """Notices that are not on record."""
        return len(self._waiting)

    async def flushed(self) -> None:
        """Return when nothing waits."""
        await self._idle.wait()

    async def run(self) -> None:
        """Post what waits, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            taken = self._queue.take(self._passed(), slots=WORKERS)
            if taken is not None:
                await self._try(taken[0])
            elif not self._waiting:
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            await asyncio.sleep(PAUSE)

    async def _try(self, name: Name) -> None:
        notice = self._waiting[name]
        try:
            await self._post(notice.subject, notice.said)
        except TidegateError as error:
            if notice.until <= self._now() or (isinstance(error, RefusedError) and error.ending):
                self._lose(name, notice, str(error))
                return
            self._queue.failed(name, self._passed())
            log.info("event %s on %s not written yet: %s", notice.subject.reason, notice.subject.ref, error)
        except asyncio.CancelledError:  # the group of tasks begins anew: whoever comes then posts it
            self._queue.failed(name, self._passed())
            raise
        except Exception as error:  # a notice must never cost the process anything
            log.exception("event %s on %s", notice.subject.reason, notice.subject.ref)
            self._lose(name, notice, repr(error))
        else:
            self._end(name, notice)

    def _lose(self, name: Name, notice: Notice, why: str) -> None:
        self.lost += 1
        log.warning("event %s on %s not written: %s", notice.subject.reason, notice.subject.ref, why)
        self._end(name, notice)

    def _end(self, name: Name, notice: Notice) -> None:
        self._queue.done(name)
        if self._waiting.get(name) is notice:  # else another one of this name came meanwhile, and stands in line
            del self._waiting[name]
            namespace = name[1].namespace
            self._held[namespace] -= 1
            if not self._held[namespace]:
                del self._held[namespace]
