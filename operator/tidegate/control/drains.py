"""How long it takes from a stop to machines seen free, measured lane by lane.

Seen from outside: from the write that stopped work to the first look at which its machines were free. That is what a
borrower waits for, the pods' own grace and the distance of two looks included. Work that left while nobody looked, as
between two leaders, tells nothing: it may have been gone for long. Nor does a drain across which the clock was stepped
or nobody looked; and one that is far longer than all others is not believed the first time.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.doubts import FAR, Doubts, is_broken, usual
from tidegate.planning.shift.model import Pool
from tidegate.ports import Loan

log = logging.getLogger("tidegate.drains")

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
    speed: float = 1.0
    """See ``is_broken``."""
    _seen: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _counted: set[tuple[str, float]] = field(default_factory=set)
    """(loan, time of the stop) that were measured."""
    _held: dict[tuple[str, float], float] = field(default_factory=dict)
    """(loan, time of the stop) whose machines were seen not to be free yet, and when they were last; infinite for one
    that measures nothing any more."""
    _doubts: Doubts[float] = field(default_factory=Doubts)

    def holds(self, loan: Loan, *, now: float) -> None:
        """Work that was stopped is seen on its machines still."""
        if (last := _last_stop(loan)) is not None:
            one = loan.key.name, last
            broken = one in self._held and is_broken(now - self._held[one], self.speed)
            self._held[one] = math.inf if broken else now

    def free(self, loan: Loan, *, now: float, looked: float, guess: float = 0.0) -> None:
        """All that a loan's work was stopped to is seen free. ``looked`` is when the pool was looked at before that:
        minus infinity, never. ``guess``: how long it takes by the pool's word.
        """
        note, last = loan.hand_over, _last_stop(loan)
        if note is None or last is None or loan.verified is None:
            return
        one = loan.key.name, last
        if one in self._counted:
            return
        self._counted.add(one)
        if one not in self._held and not (looked > -math.inf and last >= looked):
            return
        took = round(max(0.0, now - last), 1)
        if is_broken(now - self._held.get(one, last), self.speed):
            log.info(
                "%s: %.0f s to be gone teach nothing: the clock was stepped, or nobody looked", loan.key.name, took
            )
            return
        lane = note.pool, note.lane
        is_far = took > FAR * usual(guess, self._seen.get(lane, ()))
        if not (taken := self._doubts.taken(lane, took, far=is_far, now=now)):
            log.info("%s: %.0f s to be gone are far from all that is usual: not believed yet", loan.key.name, took)
            return
        self._seen.setdefault(lane, deque(maxlen=KEPT)).extend(taken)
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
        self._held = {one: at for one, at in self._held.items() if one[0] in names}


def _last_stop(loan: Loan) -> float | None:
    """When a loan's work was last stopped; None for work that never was."""
    note = loan.hand_over
    return max((stop.at for stop in note.stops), default=None) if note is not None else None


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
