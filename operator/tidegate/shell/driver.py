"""Runs the loop in the process: decides whenever there is something new, as often as it matters and no more.

The readers and writers run beside it, each behind a gate of its own; a decision only takes what they have found.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from tidegate.control.loop import Loop
from tidegate.ports import Clock

log = logging.getLogger("tidegate.loop")

SHORTEST_PAUSE = 0.1
"""Real seconds between two decisions, however much is told."""
LEISURE = 3.0
"""Seconds of pause for each second of processor time that a decision took: at most a quarter of a core. What falls due
in between does not wait for that."""
OUT_OF_TURN = 1.0
"""The same where a namespace has told something that seldom does: at most half a core. What a busy tenant keeps us
deciding on does not make its neighbours wait."""
SELDOM, RATE = 8.0, 1.0
"""A namespace that has told no more than so many things, and so many a second, is heard out of turn. Judgment: an event
and its edits, not a thousand of them."""
BUSY = 1.5
"""Real seconds within which it is decided on what any other namespace tells: each decision goes through what everybody
has, and a tenant who tells something all the time must not keep us at it. Half of the reaction time that each lead
holds; what is decided on before takes it along."""
SLICE = 0.01
"""Seconds of a decision after which other tasks get their turn. More than what is shown and listed
takes at a time (``pace``), so that a floor does not wait for that."""
NAMESPACES = 4096
"""Namespaces of which it is remembered how much they told."""
AGAIN = 1.0
"""Seconds after which what was due and could not be done is decided on anew."""


class Driver:
    """Keeps one loop deciding."""

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        *,
        beat_seconds: float,
        wake_gates: Callable[[], None],
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """At the latest ``beat_seconds`` after a decision comes another. ``wake_gates`` tells readers and writers that
        a decision may have changed what is due. ``spent`` are the seconds of processor time used so far.
        """
        self._loop, self._clock = loop, clock
        self._beat_seconds = beat_seconds
        self._wake_gates = wake_gates
        self._spent = spent
        self._wake = asyncio.Event()
        self._told: dict[str, tuple[float, float]] = {}
        """By namespace: (how much it has told of late, as of when)."""
        self._out_of_turn = False
        self._busy: asyncio.TimerHandle | None = None
        """Wakes us for what busy namespaces have told."""
        loop.on_wake = self.wake

    def wake(self, namespace: str = "") -> None:
        """There is something new to decide on, of a namespace, or of nobody's."""
        if namespace and not self._tells_seldom(namespace):
            if self._busy is None:
                self._busy = asyncio.get_running_loop().call_later(BUSY, self._wake.set)
            return
        self._wake.set()
        if namespace:
            self._out_of_turn = True

    def _tells_seldom(self, namespace: str) -> bool:
        """Count what a namespace tells, and say whether it is little."""
        now = self._clock.now()
        much, at = self._told.get(namespace, (0.0, now))
        much = max(0.0, much - RATE * max(0.0, now - at)) + 1.0
        if len(self._told) >= NAMESPACES and namespace not in self._told:
            self._told.clear()  # all begin anew: each may be heard a few times out of turn
        self._told[namespace] = much, now
        return much <= SELDOM

    async def run(self, stop: asyncio.Event) -> None:
        """Decide until told to stop. One that fails is logged and tried again; nothing ends this but ``stop``."""
        while not stop.is_set():
            self._begin()
            next_at, seconds = await self._decide()
            self._wake_gates()
            await self._rest(seconds, next_at, stop)
            if not self._wake.is_set():  # nothing was told while we decided and rested
                await self._clock.wait(next_at, self._wake)

    def _begin(self) -> None:
        """What was told so far is about to be decided on."""
        self._wake.clear()
        self._out_of_turn = False
        if self._busy is not None:
            self._busy.cancel()
            self._busy = None

    async def _decide(self) -> tuple[float, float]:
        """Decide once: (when time alone makes another decision worth it, the seconds of processor time it took)."""
        now = self._clock.now()
        latest, seconds = now + self._beat_seconds, 0.0
        try:
            slices = self._loop.deciding(stands=self._beat_seconds)
            more = True
            while more:
                begun = self._spent()
                try:
                    more = self._some(slices)
                finally:
                    seconds += self._spent() - begun
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

    def _some(self, slices: Iterator[None]) -> bool:
        """Decide until a slice is used up; whether there is more to decide."""
        begun = time.monotonic()
        return any(time.monotonic() - begun >= SLICE for _ in slices)

    async def _rest(self, seconds: float, next_at: float, stop: asyncio.Event) -> None:
        """The pause after a decision that took so many seconds, in naps that look whether something has fallen due, or
        somebody is to be heard out of turn.
        """
        await asyncio.sleep(SHORTEST_PAUSE)
        rested = SHORTEST_PAUSE
        while self._clock.now() < next_at and not stop.is_set():
            left = (OUT_OF_TURN if self._out_of_turn else LEISURE) * seconds - rested
            if left <= 0:
                return
            await asyncio.sleep(min(left, SHORTEST_PAUSE))
            rested += SHORTEST_PAUSE
