"""Needs put in order: what a lane's guarantee covers comes first, then the rest; who was served before stays served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tidegate.planning.shift.model import Lane, Need, NeedStep, Pool, PoolFacts, amount_at
from tidegate.planning.shift.resources import Resources


@dataclass(frozen=True, slots=True)
class Ask:
    """A need, or the part of it that its lane's guarantee covers (or does not)."""

    need: Need
    guaranteed: bool
    steps: tuple[NeedStep, ...]

    @property
    def start(self) -> float:
        """When it begins."""
        return self.steps[0].start

    @property
    def end(self) -> float:
        """When it ends."""
        return self.steps[-1].end


def asks_of(pool: Pool, facts: PoolFacts, needs: Iterable[Need], now: float, committed: frozenset[str]) -> list[Ask]:
    """All needs that are not over, split and in the order in which they are granted: the guaranteed parts of every lane
    first; within each half those ``committed`` before, then by start, then by key.
    """
    by_lane: dict[str, list[Need]] = defaultdict(list)
    for need in sorted(needs, key=lambda n: (n.key not in committed, n.start, n.key)):
        by_lane[need.lane].append(need)
    asks: list[Ask] = []
    for name, mine in by_lane.items():
        lane = pool.lane(name)
        if lane is not None:
            asks.extend(_split(lane, facts, mine, now))
    return sorted(asks, key=lambda a: (not a.guaranteed, a.need.key not in committed, a.need.start, a.need.key))


def _split(lane: Lane, facts: PoolFacts, needs: list[Need], now: float) -> Iterable[Ask]:
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
            part = amount.part_in(left[start])
            left[start] = left[start] - part
            _append(inside, NeedStep(start, end, part))
            _append(beyond, NeedStep(start, end, amount - part))
        if inside:
            yield Ask(need, True, tuple(inside))
        if beyond:
            yield Ask(need, False, tuple(beyond))


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


def scaled(steps: tuple[NeedStep, ...], part: int, of: int) -> tuple[NeedStep, ...]:
    """Steps with a share of their amounts, rounded down."""
    made = (NeedStep(s.start, s.end, Resources(s.amount.cpu * part // of, s.amount.memory * part // of)) for s in steps)
    return tuple(s for s in made if not s.amount.nothing)
