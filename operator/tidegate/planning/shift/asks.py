"""Needs put in order: what a lane's guarantee covers comes first, then the rest; within both, who was promised keeps
its place, then who begins first.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.model import Lane, Need, NeedStep, Pool, PoolFacts, amount_at
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.shift.steps import append


@dataclass(frozen=True, slots=True)
class Ask:
    """A need, or a part of it: what its lane's guarantee covers or does not, what was granted before or was not."""

    need: Need
    guaranteed: bool
    promised: bool
    steps: tuple[NeedStep, ...]

    @property
    def order(self) -> tuple[bool, bool, float, str]:
        """Sort key."""
        return not self.guaranteed, not self.promised, self.need.start, self.need.key


class _Kept(NamedTuple):
    """What an owner was granted before; no amount is known where only who was served is stored."""

    start: float
    end: float
    amount: Resources | None


def asks_of(pool: Pool, facts: PoolFacts, needs: Iterable[Need], promises: Iterable[Promise], now: float) -> list[Ask]:
    """All needs that are not over, split and in the order in which they are served."""
    kept: dict[str, list[_Kept]] = defaultdict(list)
    for owner, one in _kept(facts, promises, now):
        kept[owner].append(one)
    by_lane: dict[str, list[Need]] = defaultdict(list)
    for need in needs:
        by_lane[need.lane].append(need)
    asks: list[Ask] = []
    for name, mine in by_lane.items():
        lane = pool.lane(name)
        if lane is not None:
            asks.extend(_split(lane, facts, mine, kept, now))
    return sorted(asks, key=lambda a: a.order)


def _kept(facts: PoolFacts, promises: Iterable[Promise], now: float) -> Iterable[tuple[str, _Kept]]:
    """What was granted before: by the last plan, by what the work was stopped for, and by what the target was let in
    with. The last two outlive a restart.
    """
    known = set()
    for promise in promises:
        known.add(promise.owner)
        yield promise.owner, _Kept(promise.start, promise.end, promise.amount)
    for member in facts.members:
        if member.mark is not None:
            for owner in member.mark.needs:
                if owner not in known:
                    yield owner, _Kept(member.mark.free_by, member.mark.until, None)
    for use in facts.lanes.values():
        for owner, amount in use.asked.items():
            if owner not in known and not amount.nothing:
                yield owner, _Kept(now, math.inf, amount)


def _promised(amount: Resources, at: float, kept: Iterable[_Kept]) -> Resources:
    """How much of an amount was granted before."""
    mine = [one.amount for one in kept if one.start <= at < one.end]
    sure = total(one for one in mine if one is not None)
    return amount if None in mine else amount.least(sure)


def _split(
    lane: Lane, facts: PoolFacts, needs: Sequence[Need], kept: Mapping[str, Sequence[_Kept]], now: float
) -> Iterable[Ask]:
    """Needs of one lane: what was promised takes of the guarantee first, then who begins first; the rest is beyond."""
    own = (facts.capacity.percent(lane.guarantee) - facts.use(lane.name).standing).positive
    edges = {max(now, t) for need in needs for step in need.steps for t in (step.start, step.end)}
    edges |= {t for need in needs for one in kept.get(need.owner, ()) for t in (one.start, one.end) if t > now}
    cuts = sorted(t for t in {now, *edges} if t < math.inf)
    left = dict.fromkeys(cuts, own)
    parts: dict[tuple[str, bool, bool], list[NeedStep]] = defaultdict(list)
    ordered = sorted(needs, key=lambda n: (n.start, n.key))
    for promised in (True, False):
        for need in ordered:
            first, last = bisect_left(cuts, max(now, need.start)), bisect_left(cuts, need.end)
            for start, end in pairwise(cuts[first : last + 1]):
                whole = amount_at(need.steps, start)
                before = _promised(whole, start, kept.get(need.owner, ()))
                amount = before if promised else whole - before
                covered = amount.part_in(left[start])
                left[start] = left[start] - covered
                append(parts[need.key, True, promised], NeedStep(start, end, covered))
                append(parts[need.key, False, promised], NeedStep(start, end, amount - covered))
    for need in ordered:
        for guaranteed, promised in product((True, False), repeat=2):
            if steps := parts[need.key, guaranteed, promised]:
                yield Ask(need, guaranteed, promised, tuple(steps))
