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

LONGEST_NAP = 5.0
"""Seconds of real time after which a waiter looks at the clock again, so that a stepped machine clock is noticed."""


class RealClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        return time.time()

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        """Return at ``until`` or when ``wake`` is set, whichever comes first."""
        await _wait(lambda: until - time.time(), wake)


@dataclass(frozen=True)
class ScheduledClock:
    """Simulated time that runs at announced speeds.

    It stands at ``sim_start`` until the real instant ``real_start`` (both epoch seconds) and then runs at the speed of
    the segment it is in: ``segments`` are pairs (simulated instant from which it holds, simulated seconds per real
    second), in rising order, the first no later than ``sim_start``. ValueError for anything else.
    """

    real_start: float
    sim_start: float
    segments: tuple[tuple[float, float], ...]
    real: Callable[[], float] = field(default=time.time, compare=False, repr=False)

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
        return self.sim_for(self.real())

    def sim_for(self, real: float) -> float:
        """The simulated instant at a real one."""
        left, at = max(0.0, real - self.real_start), self.sim_start
        for i in range(self._segment(at), len(self.segments)):
            end = self.segments[i + 1][0] if i + 1 < len(self.segments) else math.inf
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
            end = self.segments[i + 1][0] if i + 1 < len(self.segments) else math.inf
            until = min(max(sim, at), end)
            real += (until - at) / self.segments[i][1]
            at = until
            if sim <= end:
                break
        return real

    def speed_at(self, sim: float) -> float:
        """Simulated seconds per real second at a simulated instant."""
        return self.segments[self._segment(sim)][1]

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        """Return when simulated time reaches ``until`` or ``wake`` is set, whichever comes first."""
        await _wait(lambda: self.real_for(until) - self.real(), wake)

    def to_file(self, path: Path) -> None:
        """Write the schedule as JSON."""
        document = {"realStart": self.real_start, "simStart": self.sim_start, "segments": self.segments}
        path.write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def from_file(cls, path: Path) -> ScheduledClock:
        """Read a schedule; ValueError in words when it is not one."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            segments = tuple((float(at), float(speed)) for at, speed in document["segments"])
            return cls(float(document["realStart"]), float(document["simStart"]), segments)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a clock schedule: realStart, simStart and segments expected") from error

    def _segment(self, sim: float) -> int:
        return max(0, bisect_right(self.segments, sim, key=lambda segment: segment[0]) - 1)


async def _wait(real_seconds_left: Callable[[], float], wake: asyncio.Event) -> None:
    """Sleep in short naps until nothing is left or ``wake`` is set; give way to other tasks at least once."""
    await asyncio.sleep(0)
    while not wake.is_set() and (left := real_seconds_left()) > 0:
        try:
            async with asyncio.timeout(min(left, LONGEST_NAP)):
                await wake.wait()
        except TimeoutError:
            continue
