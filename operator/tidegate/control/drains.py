"""How long it takes from a stop to machines seen free, measured lane by lane.

Seen from outside: from the write that stopped work to the first look at which its machines were free. That is what a
borrower waits for, the pods' own grace and the distance of two looks included.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.planning.shift.model import Pool
from tidegate.ports import Loan

ENOUGH = 3
"""Measurements after which the guess of the pool counts no more. Judgment."""
KEPT = 20
"""Measurements that are kept: the largest counts, since who comes late makes the borrower late."""
STEP = 5.0
"""Seconds to which a measured drain is rounded up: plans do not change for less."""


@dataclass(slots=True)
class Drains:
    """Measurements by (pool, lane)."""

    version: int = 0
    """Rises with every measurement."""
    _seen: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _counted: set[tuple[str, float]] = field(default_factory=set)
    """(loan, time of the stop) that were measured."""

    def free(self, loan: Loan, *, now: float) -> None:
        """All that a loan's work was stopped to is seen free."""
        note = loan.hand_over
        if note is None or not note.stops:
            return
        last = max(stop.at for stop in note.stops)
        if (loan.key.name, last) in self._counted or loan.verified is None:
            return
        self._counted.add((loan.key.name, last))
        took = round(max(0.0, now - last), 1)
        self._seen.setdefault((note.pool, note.lane), deque(maxlen=KEPT)).append(took)
        self.version += 1

    def samples(self) -> dict[tuple[str, str], tuple[float, ...]]:
        """All measurements, oldest first."""
        return {key: tuple(values) for key, values in self._seen.items()}

    def recall(self, samples: Mapping[tuple[str, str], Iterable[float]]) -> None:
        """What is on record of former lives, in the place of what this one measured."""
        self._seen = {key: deque(values, maxlen=KEPT) for key, values in samples.items()}
        self.version += 1

    def forget(self, loans: Iterable[Loan]) -> None:
        """Keep in mind only the loans that are there."""
        names = {loan.key.name for loan in loans}
        self._counted = {one for one in self._counted if one[0] in names}


def drained(pool: Pool, samples: Mapping[tuple[str, str], Sequence[float]]) -> Pool:
    """The pool with measured drains in place of guesses; with few measurements the guess or the largest."""
    lanes = []
    for lane in pool.lanes:
        seen = samples.get((pool.name, lane.name))
        if seen:
            longest = math.ceil(max(seen) / STEP) * STEP
            seconds = longest if len(seen) >= ENOUGH else max(longest, lane.drain.seconds)
            lane = replace(lane, drain=replace(lane.drain, seconds=seconds))
        lanes.append(lane)
    return replace(pool, lanes=tuple(lanes))
