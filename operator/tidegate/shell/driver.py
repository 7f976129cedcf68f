"""Runs the loop in the process: decides whenever there is something new, as often as it matters and no more.

The readers and writers run beside it, each behind a gate of its own; a decision only takes what they have found.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from tidegate.control.loop import Loop
from tidegate.ports import Clock

log = logging.getLogger("tidegate.loop")

SHORTEST_PAUSE = 0.1
"""Real seconds between two decisions of a kind, however much is told."""
LEISURE = 3.0
"""Seconds of pause for each second of processor time that a decision took: each kind takes a quarter of a core at most.
What falls due in between does not wait for that."""
SELDOM, RATE = 8.0, 1.0
"""A namespace that has told no more than so many things, and so many a second, is heard out of turn: a decision is made
for it alone. Judgment: an event and its edits, not a thousand of them."""
BUSY = 1.5
"""Real seconds within which it is decided on what any other namespace tells: a tenant who tells something all the time
must not keep us at it. Half of the reaction time that each lead holds; what is decided on before takes it along."""
SLICE = 0.01
"""Seconds of a decision after which other tasks get their turn. More than what is shown and listed
takes at a time (``pace``), so that a floor does not wait for that."""
NAMESPACES = 4096
"""Namespaces of which it is remembered how much they told."""
CLOSE = 1e-3
"""Seconds that are as good as none."""
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
        self._everything = True
        """Something was told that is to be decided on with everything else."""
        self._seldom: set[str] = set()
        """Namespaces that seldom tell something, and have."""
        self._busy: asyncio.TimerHandle | None = None
        """Wakes us for what busy namespaces have told."""
        self._ended = {True: -math.inf, False: -math.inf}
        """When the last decision on everything, or for a few alone, ended."""
        self._rested = {True: -math.inf, False: -math.inf}
        """When the pause after it is over."""
        self._gave_way = False
        """The last one on everything was given up."""
        loop.on_wake = self.wake

    def wake(self, namespace: str = "") -> None:
        """There is something new to decide on, of a namespace, or of nobody's."""
        if not namespace:
            self._hear_all()
        elif self._tells_seldom(namespace):
            self._seldom.add(namespace)
            self._wake.set()
        elif self._busy is None:
            self._busy = asyncio.get_running_loop().call_later(BUSY, self._hear_all)

    def _hear_all(self) -> None:
        self._everything = True
        self._wake.set()

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
        next_at = -math.inf
        while await self._until_due(next_at, stop):
            next_at = await self._decide(self._begin())
            self._wake_gates()

    async def _until_due(self, next_at: float, stop: asyncio.Event) -> bool:
        """Wait until there is something to decide on and the pause before it is over; False at the stop."""
        while not stop.is_set():
            starts = self._starts(next_at)
            left = min(starts.values(), default=math.inf) - asyncio.get_running_loop().time()
            if left <= CLOSE:
                return True
            self._wake.clear()
            if not starts:
                await self._clock.wait(next_at, self._wake)
                self._everything |= not self._wake.is_set()  # also where the clock was set back meanwhile
            else:  # in naps that look whether something has fallen due
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), min(left, SHORTEST_PAUSE))
        return False

    def _starts(self, next_at: float) -> dict[bool, float]:
        """When a decision on everything, and one for a few alone, may begin, as far as there is one to make."""
        found = {}
        if self._seldom:
            found[False] = self._rested[False]
        if self._clock.now() >= next_at:
            found[True] = min(self._rested[True], self._ended[True] + SHORTEST_PAUSE)
        elif self._everything:
            found[True] = self._rested[True]
        return found

    def _begin(self) -> frozenset[str] | None:
        """What was told so far is about to be decided on: for whom alone, None for everything. Who seldom tells
        something comes first; everything else is decided on while they rest.
        """
        if self._may_hear_a_few():
            only, self._seldom = frozenset(self._seldom), set()
            return only
        self._everything = False
        self._seldom.clear()
        if self._busy is not None:
            self._busy.cancel()
            self._busy = None
        return None

    def _may_hear_a_few(self) -> bool:
        """Whether somebody who seldom tells something has, and the pause after the last such decision is over."""
        return bool(self._seldom) and self._rested[False] <= asyncio.get_running_loop().time() + CLOSE

    async def _decide(self, only: frozenset[str] | None) -> float:
        """Decide once, on everything or ``only`` on what some namespaces told: when time alone makes another decision
        worth it.
        """
        now, of_all = self._clock.now(), only is None
        next_at, seconds = now + self._beat_seconds, 0.0
        try:
            slices = self._loop.deciding(stands=self._beat_seconds, only=only)
            more = True
            while more:
                begun = self._spent()
                try:
                    more = self._some(slices)
                finally:
                    seconds += self._spent() - begun
                await asyncio.sleep(0)
                if more and of_all and not self._gave_way and self._may_hear_a_few():
                    slices.close()
                    self._gave_way = self._everything = True
                    return now
            beat = self._loop.last
            if beat is not None:
                self._loop.on_beat(beat)
                if beat.next_at is not None:
                    next_at = min(next_at, beat.next_at if beat.next_at > beat.now else beat.now + AGAIN)
            self._gave_way = self._gave_way and not of_all
        except Exception:
            log.exception("a decision failed; the loop goes on")
            next_at = now + AGAIN
        finally:
            self._ended[of_all] = ended = asyncio.get_running_loop().time()
            self._rested[of_all] = ended + max(SHORTEST_PAUSE, LEISURE * seconds)
        return next_at

    def _some(self, slices: Iterator[None]) -> bool:
        """Decide until a slice is used up; whether there is more to decide."""
        begun = time.monotonic()
        return any(time.monotonic() - begun >= SLICE for _ in slices)
