"""Needs put in order: what a lane's guarantee covers comes first, then the rest; within both, who is served stays
served, what was promised stays promised, who asks in time comes next, and who asks late comes last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tidegate.planning.shift.model import Lane, Need, NeedStep, Pool, PoolFacts, amount_at
from tidegate.planning.shift.resources import Resources
from tidegate.planning.shift.served import Rank, Standing, name_of


@dataclass(frozen=True, slots=True)
class Ask:
    """A need, or a part of it: what its lane's guarantee covers or what lies beyond, from when it stands in line."""

    need: Need
    guaranteed: bool
    rank: Rank
    since: float
    """From when it is asked for."""
    steps: tuple[NeedStep, ...]

    @property
    def start(self) -> float:
        """When it begins, now at the earliest."""
        return self.steps[0].start

    @property
    def end(self) -> float:
        """When it ends."""
        return self.steps[-1].end

    @property
    def name(self) -> str:
        """As a promise of it is stored."""
        return name_of(self.need.owner, self.since, guaranteed=self.guaranteed)

    @property
    def order(self) -> tuple[bool, Rank, float, str]:
        """Sort key."""
        return not self.guaranteed, self.rank, self.since, self.need.key


def asks_of(pool: Pool, facts: PoolFacts, needs: Iterable[Need], now: float, standing: Standing) -> list[Ask]:
    """All needs that are not over, split and in the order in which they are granted."""
    by_lane: dict[str, list[Need]] = defaultdict(list)
    for need in needs:
        by_lane[need.lane].append(need)
    asks: list[Ask] = []
    for name, mine in by_lane.items():
        lane = pool.lane(name)
        if lane is not None:
            mine.sort(key=lambda n: (standing.of(n, guaranteed=True)[0], n.start, n.key))
            asks.extend(_split(lane, facts, mine, now, standing))
    return sorted(asks, key=lambda a: a.order)


def _split(lane: Lane, facts: PoolFacts, needs: list[Need], now: float, standing: Standing) -> Iterable[Ask]:
    """Needs of one lane, in order: each takes what is left of the guarantee, the rest is a second ask."""
    granted = (facts.capacity.percent(lane.guarantee) - facts.use(lane.name).standing).positive
    cuts = sorted({now, *(max(now, t) for need in needs for step in need.steps for t in (step.start, step.end))})
    left = dict.fromkeys(cuts, granted)
    for need in needs:
        inside: list[NeedStep] = []
        beyond: list[NeedStep] = []
        for start, end in pairwise(cuts):
            amount = amount_at(need.steps, start)
            if amount.nothing:
                continue
            covered = amount.part_in(left[start])
            left[start] = left[start] - covered
            _append(inside, NeedStep(start, end, covered))
            _append(beyond, NeedStep(start, end, amount - covered))
        yield from _ranked(need, tuple(inside), standing, guaranteed=True)
        yield from _ranked(need, tuple(beyond), standing, guaranteed=False)


def _ranked(need: Need, steps: tuple[NeedStep, ...], standing: Standing, *, guaranteed: bool) -> Iterable[Ask]:
    """A half of a need; what was granted from a later time on is asked for from then, and the time before is late."""
    rank, since = standing.of(need, guaranteed=guaranteed)
    before, after = before_instant(steps, since), from_instant(steps, since)
    if before:
        yield Ask(need, guaranteed, Rank.LATE, need.start, before)
    if after:
        yield Ask(need, guaranteed, rank, since, after)


def _append(steps: list[NeedStep], step: NeedStep) -> None:
    if step.amount.nothing:
        return
    if steps and steps[-1].end == step.start and steps[-1].amount == step.amount:
        steps[-1] = NeedStep(steps[-1].start, step.end, step.amount)
    else:
        steps.append(step)


def from_instant(steps: tuple[NeedStep, ...], instant: float) -> tuple[NeedStep, ...]:
    """The part of steps from an instant on."""
    return tuple(NeedStep(max(s.start, instant), s.end, s.amount) for s in steps if s.end > instant)


def before_instant(steps: tuple[NeedStep, ...], instant: float) -> tuple[NeedStep, ...]:
    """The part of steps before an instant."""
    return tuple(NeedStep(s.start, min(s.end, instant), s.amount) for s in steps if s.start < instant)


def scaled(steps: tuple[NeedStep, ...], part: int, of: int) -> tuple[NeedStep, ...]:
    """Steps with a share of their amounts, rounded down."""
    made = (NeedStep(s.start, s.end, Resources(s.amount.cpu * part // of, s.amount.memory * part // of)) for s in steps)
    return tuple(s for s in made if not s.amount.nothing)
