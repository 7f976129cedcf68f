"""What a measurement must not be taken from, and which one is not believed the first time.

One start that hung for two hours until somebody mended it must not raise floors two hours early for weeks. What the
causes of a hang show of it is looked at where it is measured; here is what is left: nobody looked, or the clock was
stepped, or a number is far from all that is usual.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

UNSEEN = 300.0
"""Seconds between two looks after which a measurement tells nothing: nobody looked, or the clock was stepped. Judgment:
ten times as long as a sight of what is being measured counts. A step of less adds less than that to a measurement."""
BACK = 60.0
"""Seconds by which a look may lie before the last one: one that a watch brought is dated by its last sign of life."""
FAR = 10.0
"""Times what is usual from which on one measurement alone is not believed. Judgment: honest starts differ by a
factor of two or three, the hangs that on-call ends take hours; and a guess may be wrong by a lot."""
LEAST = 60.0
"""Seconds that count as usual at the least: a guess may be 0."""
AGREEING = 3
"""So many of them in a row are believed: then it is so, and the guess was wrong. Judgment."""
APART = 3600.0
"""Seconds within which several are one: all work on a node that hangs drains late together. Judgment."""


def is_broken(gap: float, speed: float = 1.0) -> bool:
    """Whether so many seconds between two looks spoil what is measured across them. ``speed``: of the clock, where it
    runs faster than the machines.
    """
    return gap > UNSEEN * speed or gap < -BACK * speed


def usual(guess: float, measured: Iterable[float]) -> float:
    """Seconds that something usually takes, by its guess and what was measured of it: the larger."""
    return max(LEAST, guess, statistics.median([*measured] or [0.0]))


@dataclass(slots=True)
class Doubts(Generic[T]):
    """Measurements that were not believed, by what they are of. Not on record: the next leader doubts anew."""

    _odd: dict[Hashable, list[tuple[float, T]]] = field(default_factory=dict)
    """Each with when it came."""

    def taken(self, of: Hashable, one: T, *, far: bool, now: float) -> tuple[T, ...]:
        """What is to be believed: the measurement; where it is ``far`` from what is usual, it and those before it once
        there are enough of them in a row, and nothing until then.
        """
        odd = self._odd.pop(of, [])
        if not far:
            return (one,)
        if odd and abs(now - odd[-1][0]) < APART:
            odd[-1] = odd[-1][0], one
        else:
            odd.append((now, one))
        if len(odd) >= AGREEING:
            return tuple(it for _, it in odd)
        self._odd[of] = odd
        return ()

    def keep(self, keys: Collection[Hashable]) -> None:
        """Forget all others."""
        for gone in [of for of in self._odd if of not in keys]:
            del self._odd[gone]
