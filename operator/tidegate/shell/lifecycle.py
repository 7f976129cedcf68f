"""How the process starts and ends: what was opened is closed in reverse, and what is not there yet is waited for.

A start that fails or is cancelled half-way leaves nothing behind: no port, no connection, no thread, no task.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tidegate.pauses import Pauses
from tidegate.ports import TidegateError

log = logging.getLogger("tidegate.lifecycle")

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two tries to get what the start needs; doubled from the first to the longest."""


def allow_open_files() -> None:
    """Let the process have as many files open as it may allow itself. Each watch is one, of each kind and namespace;
    many a node gives a process 1,024 to begin with, and connections beyond that fail, those of the probes too.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:  # a system that promises more than it gives
        log.info("the number of open files stays as it is: %s", error)


class Opened:
    """What was opened, and how each of it is closed."""

    def __init__(self) -> None:
        self._closers: list[tuple[str, Callable[[], Awaitable[object]], float]] = []

    def add(self, name: str, close: Callable[[], Awaitable[object]], *, patience: float) -> None:
        """Something is open. Closing it takes ``patience`` seconds at the most and is given up then."""
        self._closers.append((name, close, patience))

    async def close(self) -> None:
        """Close all, the last first. One that fails or hangs leaves the others to be closed; nothing is raised but a
        cancellation, and that at the end.
        """
        cancelled: asyncio.CancelledError | None = None
        while self._closers:
            name, close, patience = self._closers.pop()
            try:
                async with asyncio.timeout(patience):
                    await close()
            except TimeoutError:
                log.warning("%s: given up after %.0f s", name, patience)
            except asyncio.CancelledError as error:
                cancelled = error
                log.warning("%s: cut short by a cancellation", name)
            except Exception:
                log.exception("%s", name)
        if cancelled is not None:
            raise cancelled


async def persistently(attempt: Callable[[], Awaitable[T]], *, on_failure: Callable[[str], None]) -> T:
    """Try until it succeeds. ``on_failure`` is told why it did not, in words, after each try.

    What comes from outside is tried again: a refused connection, a missing right, an answer that does not come. Any
    other error is a bug and is raised.
    """
    pauses = iter(Pauses(first=FIRST_PAUSE, longest=LONGEST_PAUSE))
    while True:
        try:
            return await attempt()
        except (TidegateError, OSError) as error:  # a TimeoutError is an OSError
            on_failure(str(error) or type(error).__name__)
            pause = next(pauses)
            log.warning("not started yet: %s; next try in %.0f s", error or type(error).__name__, pause)
        await asyncio.sleep(pause)
