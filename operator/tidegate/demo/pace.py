"""How fast simulated time passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tidegate.demo.chart import clock as time_of_day
from tidegate.shell.clock import ScheduledClock


def paced(first: float, speeds: Sequence[tuple[float, float]], speed: float) -> ScheduledClock:
    """A clock that stands at ``first`` and is not begun yet; ``speed`` multiplies all of ``speeds``."""
    return ScheduledClock(math.inf, first, tuple((at, fast * speed) for at, fast in speeds))


def length(clock: ScheduledClock, last: float) -> float:
    """Real seconds until the last instant."""
    trial = ScheduledClock(0.0, clock.sim_start, clock.segments)
    return trial.real_for(last)


def speeds_in_words(clock: ScheduledClock) -> str:
    """The announced speeds."""
    parts = [f"{fast:g}× from {time_of_day(at, seconds=True)}" for at, fast in clock.segments]
    return "Simulated time runs faster than real time: " + ", ".join(parts) + ". The Lease stays on the real clock."
