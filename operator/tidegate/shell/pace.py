"""Long work on the event loop, in slices."""

from __future__ import annotations

import asyncio
import time

SLICE = 0.003
"""Seconds that a piece of work may take before other tasks get their turn: a third of what a decision takes at a time,
which floors wait for, and nobody waits for this."""


class Pace:
    """Gives way whenever a slice is used up."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def breathe(self) -> None:
        """Let others run if we have run for long."""
        if time.monotonic() - self._since >= SLICE:
            await asyncio.sleep(0)
            self._since = time.monotonic()
