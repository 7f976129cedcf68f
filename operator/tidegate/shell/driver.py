"""Runs the loop in the process: decides whenever there is something new, as often as it matters and no more.

The readers and writers run beside it, each behind a gate of its own; a decision only takes what they have found.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from tidegate.control.loop import Loop
from tidegate.ports import Clock

log = logging.getLogger("tidegate.loop")

SHORTEST_PAUSE = 0.1
"""Real seconds between two decisions, however much is told."""
LEISURE = 3.0
"""Seconds of pause for each second of processor time that a decision took: at most a quarter of a core. What falls due
in between does not wait for that."""
AGAIN = 1.0
"""Seconds after which what was due and could not be done is decided on anew."""


class Driver:
    """Keeps one loop deciding."""

    def __init__(self, loop: Loop, clock: Clock, *, beat_seconds: float, wake_gates: Callable[[], None]) -> None:
        """At the latest ``beat_seconds`` after a decision comes another. ``wake_gates`` tells readers and writers that
        a decision may have changed what is due.
        """
        self._loop, self._clock = loop, clock
        self._beat_seconds = beat_seconds
        self._wake_gates = wake_gates
        self._wake = asyncio.Event()
        loop.on_wake = self.wake

    def wake(self) -> None:
        """There is something new to decide on."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Decide until told to stop. One that fails is logged and tried again; nothing ends this but ``stop``."""
        while not stop.is_set():
            self._wake.clear()
            taken = self._loop.fills
            next_at, seconds = await self._decide()
            self._wake_gates()
            await self._rest(LEISURE * seconds, next_at, stop)
            if self._loop.fills != taken:  # something was told while we decided or rested
                continue
            await self._clock.wait(next_at, self._wake)

    async def _decide(self) -> tuple[float, float]:
        """Decide once: (when time alone makes another decision worth it, the seconds of processor time it took)."""
        now = self._clock.now()
        latest, seconds = now + self._beat_seconds, 0.0
        try:
            slices = self._loop.deciding(stands=self._beat_seconds)
            while True:
                begun = time.thread_time()
                try:
                    next(slices)
                except StopIteration:
                    break
                finally:
                    seconds += time.thread_time() - begun
                await asyncio.sleep(0)
            beat = self._loop.last
            if beat is None:
                return latest, seconds
            self._loop.on_beat(beat)
        except Exception:
            log.exception("a decision failed; the loop goes on")
            return now + AGAIN, seconds
        if beat.next_at is None:
            return latest, seconds
        return min(latest, beat.next_at if beat.next_at > beat.now else beat.now + AGAIN), seconds

    async def _rest(self, pause: float, next_at: float, stop: asyncio.Event) -> None:
        """The pause after a decision, in naps that look whether something has fallen due."""
        await asyncio.sleep(SHORTEST_PAUSE)
        left = pause - SHORTEST_PAUSE
        while left > 0 and self._clock.now() < next_at and not stop.is_set():
            await asyncio.sleep(min(left, SHORTEST_PAUSE))
            left -= SHORTEST_PAUSE
