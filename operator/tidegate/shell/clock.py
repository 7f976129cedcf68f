"""The two sources of time for the loop: the machine's clock, and a sped-up one for demonstrations.

Both implement ``ports.Clock``. A scheduled clock is a pure function of real time, written in a small file: several
processes that read the same file agree on the simulated instant without a word. The Lease never uses it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tidegate.ports import Clock

LONGEST_NAP = 5.0
"""Seconds of real time after which a waiter looks at the clock again, so that a stepped machine clock is noticed."""

STANDING_NAP = 0.05
"""The same while a clock that is read from a file has not begun."""


class RealClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        return time.time()

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        """Return at ``until`` or when ``wake`` is set, whichever comes first."""
        # Bounded by the monotonic clock too: one that is stepped back must not make a second last ten minutes.
        end = time.monotonic() + max(until - time.time(), 0.0)
        await _wait(lambda: min(until - time.time(), end - time.monotonic()), wake)


@dataclass
class ScheduledClock:
    """Simulated time that runs at announced speeds.

    It stands at ``sim_start`` until the real instant ``real_start`` (both epoch seconds) and then runs at the speed of
    the segment it is in: ``segments`` are pairs (simulated instant from which it holds, simulated seconds per real
    second), in rising order, the first no later than ``sim_start``. ValueError for anything else.

    An infinite ``real_start`` is a clock that has not begun: it stands until ``begin``, which a clock read from a file
    notices in that file. So a process may be up and waiting before the evening starts.
    """

    real_start: float
    sim_start: float
    segments: tuple[tuple[float, float], ...]
    real: Callable[[], float] = field(default=time.time, compare=False, repr=False)
    path: Path | None = field(default=None, compare=False, repr=False)
    """The file that holds the schedule, when there is one."""

    def __post_init__(self) -> None:
        instants = [at for at, _ in self.segments]
        if not instants or instants[0] > self.sim_start:
            raise ValueError("the first segment must begin no later than sim_start")
        if any(later <= earlier for earlier, later in pairwise(instants)):
            raise ValueError("segments must be in rising order of their simulated instants")
        if not all(speed > 0 and math.isfinite(speed) for _, speed in self.segments):
            raise ValueError("every speed must be a number above 0")

    def now(self) -> float:
        """Simulated epoch seconds."""
        if not self.begun and self.path is not None:
            self.real_start = ScheduledClock.from_file(self.path).real_start
        return self.sim_for(self.real())

    @property
    def begun(self) -> bool:
        """Whether it is known when simulated time starts to run."""
        return math.isfinite(self.real_start)

    def begin(self, real_start: float) -> None:
        """Say when simulated time starts to run, and write it to the file for all who read it."""
        self.real_start = real_start
        if self.path is not None:
            self.to_file(self.path)

    def sim_for(self, real: float) -> float:
        """The simulated instant at a real one."""
        left, at = max(0.0, real - self.real_start), self.sim_start
        for i in range(self._segment(at), len(self.segments)):
            end = self._end(i)
            speed = self.segments[i][1]
            if at + left * speed <= end:
                return at + left * speed
            left -= (end - at) / speed
            at = end
        raise AssertionError("the last segment has no end")

    def real_for(self, sim: float) -> float:
        """The real instant at which a simulated one is reached; ``real_start`` for anything before ``sim_start``."""
        if math.isinf(sim):
            return sim
        real, at = self.real_start, self.sim_start
        for i in range(self._segment(at), len(self.segments)):
            until = min(max(sim, at), self._end(i))
            real += (until - at) / self.segments[i][1]
            at = until
            if sim <= self._end(i):
                break
        return real

    def speed_at(self, sim: float) -> float:
        """Simulated seconds per real second at a simulated instant."""
        return self.segments[self._segment(sim)][1]

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        """Return when simulated time reaches ``until`` or ``wake`` is set, whichever comes first."""
        await _wait(lambda: self._real_left(until), wake, nap=lambda: LONGEST_NAP if self.begun else STANDING_NAP)

    def to_file(self, path: Path) -> None:
        """Write the schedule as JSON, in one piece for those who read it meanwhile."""
        document = {
            "realStart": self.real_start if self.begun else None,
            "simStart": self.sim_start,
            "segments": self.segments,
        }
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(document), encoding="utf-8")
        fresh.replace(path)
        self.path = path

    @classmethod
    def from_file(cls, path: Path) -> ScheduledClock:
        """Read a schedule; ValueError in words when it is not one."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            begin = document["realStart"]
            segments = tuple((float(at), float(speed)) for at, speed in document["segments"])
            start = math.inf if begin is None else float(begin)
            return cls(start, float(document["simStart"]), segments, path=path)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a clock schedule: realStart, simStart and segments expected") from error

    def _real_left(self, until: float) -> float:
        if self.now() >= until:
            return 0.0
        return self.real_for(until) - self.real()

    def _end(self, segment: int) -> float:
        return self.segments[segment + 1][0] if segment + 1 < len(self.segments) else math.inf

    def _segment(self, sim: float) -> int:
        return max(0, bisect_right(self.segments, sim, key=lambda segment: segment[0]) - 1)


def fastest(clock: Clock) -> float:
    """Seconds of a clock that pass in a real one at the most; never less than 1."""
    return max([1.0, *(speed for _, speed in clock.segments)]) if isinstance(clock, ScheduledClock) else 1.0


async def _wait(
    real_seconds_left: Callable[[], float], wake: asyncio.Event, nap: Callable[[], float] = lambda: LONGEST_NAP
) -> None:
    """Sleep in naps until nothing is left or ``wake`` is set; give way to other tasks at least once."""
    await asyncio.sleep(0)
    while not wake.is_set() and (left := real_seconds_left()) > 0:
        try:
            async with asyncio.timeout(min(left, nap())):
                await wake.wait()
        except TimeoutError:
            continue
