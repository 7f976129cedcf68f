"""How much of the step that is announced for a T-0 comes: learned event by event.

Of each step that was announced and seen, the share of it that came is kept: 0 when nothing happened, 2 when an
announcement was half of what came. The next step is expected at a quantile of what those shares say (Student's t: few
events tell little), so that a first event has a wide margin and a host who claims double is discounted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

EXPECTED, ERROR, EVENTS = 1.0, 0.1, 3.0
"""What counts before anything was seen: announcements are right, give or take 10 %, as if three events had said so.
With the quantile 0.95 that makes 1.27. Judgment. What was seen outweighs it soon: after n events it counts as
3 / (1 + n)^2 of one."""
REMEMBERED = 50.0
"""Events that count at most: older ones are forgotten."""
LEAST, MOST = -1.0, 4.0
"""Shares beyond these count as these."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of the next announced step."""

    events: float
    """As how many events it counts."""
    mean: float
    square: float
    """Mean square of the differences from the mean."""

    def quantile(self, q: float) -> float:
        """The share that is not exceeded by the share ``q`` of steps."""
        return self.mean + _student(q, max(self.events, 1.0)) * sqrt(self.square * (1.0 + 1.0 / self.events))


FIRST = Expected(EVENTS, EXPECTED, ERROR**2)
"""Before anything was seen."""


@dataclass(slots=True)
class Steps:
    """Of one signal of one policy, all together or of one host."""

    events: float = 0.0
    mean: float = EXPECTED
    square: float = 0.0
    """Mean square of the differences from the mean."""

    def came(self, share: float) -> None:
        """An announced step was seen."""
        share = min(max(share, LEAST), MOST)
        self.events = min(self.events + 1.0, REMEMBERED)
        if self.events == 1.0:
            self.mean, self.square = share, 0.0
            return
        weight, off = 1.0 / self.events, share - self.mean
        self.mean += weight * off
        self.square = (1.0 - weight) * (self.square + weight * off * off)

    def expected(self, before: Expected = FIRST) -> Expected:
        """What is expected of the next one. ``before``: what was, when none of these was seen; it counts as three
        events at first, and soon as none.
        """
        prior = EVENTS / (1.0 + self.events) ** 2
        total = prior + self.events
        mean = (prior * before.mean + self.events * self.mean) / total
        square = prior * (before.square + (before.mean - mean) ** 2)
        square += self.events * (self.square + (self.mean - mean) ** 2)
        return Expected(total, mean, square / total)

    def quantile(self, q: float, before: Expected = FIRST) -> float:
        """The share of the next announced step that is prepared for: no more than for a first event, or as much more
        as more has come, however little few events tell.
        """
        most = FIRST.quantile(q) * max(1.0, self.mean)
        return min(max(0.0, self.expected(before).quantile(q)), most)


def _student(q: float, freedom: float) -> float:
    """Quantile of Student's t, by its expansion around the normal one (Abramowitz and Stegun, 26.7.5)."""
    z = _NORMAL.inv_cdf(q)
    first = (z**3 + z) / 4.0
    second = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
    return z + first / freedom + second / freedom**2
