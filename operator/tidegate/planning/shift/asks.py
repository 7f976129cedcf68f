"""Needs put in order: what a lane's guarantee covers comes first, then the rest; within both, who was promised keeps
its place, then who begins first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tidegate.planning.shift.model import Lane, Need, NeedStep, Pool, PoolFacts, amount_at
from tidegate.planning.shift.outcome import Promise


@dataclass(frozen=True, slots=True)
class Ask:
    """A need, or the half of it that its lane's guarantee covers or does not."""

    need: Need
    guaranteed: bool
    promised: bool
    steps: tuple[NeedStep, ...]

    @property
    def order(self) -> tuple[bool, bool, float, str]:
        """Sort key."""
        return not self.guaranteed, not self.promised, self.need.start, self.need.key


def asks_of(pool: Pool, facts: PoolFacts, needs: Iterable[Need], promises: Iterable[Promise], now: float) -> list[Ask]:
    """All needs that are not over, split and in the order in which they are served."""
    kept = frozenset(_overlaps(facts, promises, now))
    by_lane: dict[str, list[Need]] = defaultdict(list)
    for need in needs:
        by_lane[need.lane].append(need)
    asks: list[Ask] = []
    for name, mine in by_lane.items():
        lane = pool.lane(name)
        if lane is not None:
            mine.sort(key=lambda n: (not _promised(n, kept), n.start, n.key))
            asks.extend(_split(lane, facts, mine, kept, now))
    return sorted(asks, key=lambda a: a.order)


def _overlaps(facts: PoolFacts, promises: Iterable[Promise], now: float) -> Iterable[tuple[str, float, float]]:
    """(owner, start, end) of what was granted before: by the last plan, by what the work was stopped for, and by what
    the target was let in with. The last two outlive a restart.
    """
    for promise in promises:
        yield promise.owner, promise.start, promise.end
    for member in facts.members:
        if member.mark is not None:
            for owner in member.mark.needs:
                yield owner, member.mark.free_by, member.mark.until
    for use in facts.lanes.values():
        for owner, amount in use.asked.items():
            if not amount.nothing:
                yield owner, -math.inf, now


def _promised(need: Need, kept: frozenset[tuple[str, float, float]]) -> bool:
    return any(owner == need.owner and start < need.end and need.start < end for owner, start, end in kept)


def _split(
    lane: Lane, facts: PoolFacts, needs: Sequence[Need], kept: frozenset[tuple[str, float, float]], now: float
) -> Iterable[Ask]:
    """Needs of one lane, in order: each takes what is left of the guarantee, the rest is a second ask."""
    own = (facts.capacity.percent(lane.guarantee) - facts.use(lane.name).standing).positive
    cuts = sorted({now, *(max(now, t) for need in needs for step in need.steps for t in (step.start, step.end))})
    left = dict.fromkeys(cuts, own)
    for need in needs:
        inside: list[NeedStep] = []
        beyond: list[NeedStep] = []
        for start, end in pairwise(cuts):
            amount = amount_at(need.steps, start)
            if amount.nothing:
                continue
            covered = amount.part_in(left[start])
            left[start] = left[start] - covered
            append(inside, NeedStep(start, end, covered))
            append(beyond, NeedStep(start, end, amount - covered))
        for guaranteed, steps in ((True, inside), (False, beyond)):
            if steps:
                yield Ask(need, guaranteed, _promised(need, kept), tuple(steps))


def append(steps: list[NeedStep], step: NeedStep) -> None:
    """Add a step to a run of steps; one that only goes on lengthens the last."""
    if step.amount.nothing:
        return
    if steps and steps[-1].end == step.start and steps[-1].amount == step.amount:
        steps[-1] = NeedStep(steps[-1].start, step.end, step.amount)
    else:
        steps.append(step)
