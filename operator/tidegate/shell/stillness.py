"""How long the event loop stands still at the most: while it does, no answer is taken and no write begins."""

from __future__ import annotations

import asyncio
import time
from collections import deque

EVERY = 0.05
"""Seconds between two looks at the clock; what comes later than that was held up."""

KEPT = 300.0
"""Seconds for which the longest stand-still is remembered: a few scrapes."""

BUCKET = 10.0
"""Seconds that share one entry of the memory."""


class Stillness:
    """Measures how late a timer comes. A busy machine makes it late too: the loop stood still all the same."""

    def __init__(self) -> None:
        self._longest: deque[tuple[float, float]] = deque()

    async def measure_for_ever(self) -> None:
        """Sleep a little and see how late it became, for ever."""
        while True:
            begun = time.monotonic()
            await asyncio.sleep(EVERY)
            now = time.monotonic()
            self.note(now - begun - EVERY, now)

    def note(self, late: float, now: float) -> None:
        """A timer came ``late`` seconds late."""
        bucket = now // BUCKET
        if self._longest and self._longest[-1][0] == bucket:
            self._longest[-1] = (bucket, max(late, self._longest[-1][1]))
        else:
            self._longest.append((bucket, late))
        while self._longest[0][0] * BUCKET < now - KEPT:
            self._longest.popleft()

    def longest(self) -> float:
        """Seconds of the longest stand-still within the last minutes; 0 before anything was measured."""
        return max((late for _, late in self._longest), default=0.0)
