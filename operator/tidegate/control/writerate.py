"""How many levels can be written a second, as measured: plans count on it where many floors rise at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

FASTEST = 32.0
"""Level writes a second that plans count on at the most, however quick the server is: one process has one core, and a
level with its Loan takes it 25 ms (``bench/load.py --only storm``). Writes side by side do not change that.
"""
SAMPLES = 0.1
"""Weight of the last write in the running mean of what one takes."""
MIDDLE = 1.5
"""Times a power of two that a recalled rate is taken as: the next write must not move it."""


@dataclass(slots=True)
class WriteRate:
    """A running mean, told in steps."""

    slots: int
    """Writes under way at a time."""
    _seconds: float = 0.1
    """What one write takes."""

    def took(self, seconds: float) -> None:
        """A write was made."""
        self._seconds += SAMPLES * (max(seconds, 0.0) - self._seconds)

    def per_second(self) -> float:
        """Level writes that can be done a second, rounded down to a power of two: plans do not change for little."""
        rate = self.slots / max(self._seconds, 1e-3)
        return float(min(FASTEST, 2.0 ** math.floor(math.log2(max(rate, 1.0)))))

    def recall(self, rate: float) -> None:
        """What is on record of former lives, in the place of what this one measured."""
        self._seconds = 0.1 if rate >= FASTEST else self.slots / (MIDDLE * max(rate, 1.0))
