"""An exhaustive check of small pools, tick by tick: is there any timetable at all?

Written apart from the planner and by other means: not counts and rows but all states that can be reached from one whole
second to the next, whoever stops and starts when. It knows only the six rules of a pool as they are promised
(docs/decisions/0006-capacity-shift.md), and reads them off the facts by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from tidegate.planning.resources import NAMES, Resources, total
from tidegate.planning.shift.model import Drain, Member, MemberKind, Pool, PoolFacts

RUN, LEAVE, DRAIN, OUT = "run", "leave", "drain", "out"
State = tuple[str, int, bool]
"""(run, seconds until it may stop) | (leave: drains since a stop of ours, or drain: since one before now; seconds until
free) | (out, 0); and whether it owes a promise."""
Spent = tuple[float, ...]
"""Unit-seconds that each work has lost."""


@dataclass(frozen=True)
class Thing:
    """A Job, or one unit of a ``/scale``."""

    lane: str
    size: Resources
    drain: Drain
    work: str
    saved: float | None
    first: State
    due: int | None
    """The instant by which it is back, for one that is out and was promised."""
    whole: bool
    """It is one of several replicas: whoever of them leaves before their promise owes it too."""


def timetable_exists(pool: Pool, facts: PoolFacts, loads: Sequence[Resources], now: int) -> bool:
    """Whether the loads, one for each second from now on, can be served with every rule kept."""
    return _Search(pool, facts, loads, now).exists()


class _Search:
    def __init__(self, pool: Pool, facts: PoolFacts, loads: Sequence[Resources], now: int) -> None:
        self.facts, self.loads, self.now = facts, loads, now
        lanes = {lane.name: lane for lane in pool.lanes}
        self.things = [t for m in facts.members if m.lane in lanes for t in _things(m, lanes[m.lane].drain, now)]
        self.things.sort(key=_alike)
        self.standing = total(facts.use(name).standing for name in lanes)
        self.floors = {}
        for name, lane in lanes.items():
            use = facts.use(name).standing + total(t.size for t in self.things if t.lane == name)
            self.floors[name] = _floor(facts.capacity, lane.guarantee, use)
        self.works = sorted(name for name in facts.works)
        self.budgets = tuple(self._budget(name) for name in self.works)

    def _budget(self, name: str) -> float:
        """Unit-seconds that a work can lose before it is late; none where it is late already."""
        work = self.facts.works[name]
        if work.remaining is None or work.deadline <= self.now:
            return math.inf
        most = 0.0
        for thing in self.things:
            if thing.work == name:
                drains = thing.first[1] if thing.first[0] == DRAIN else 0
                most += max(0.0, work.deadline - self.now - drains)
        return max(0.0, most - work.remaining)

    def exists(self) -> bool:
        first = tuple(t.first for t in self.things)
        reached: dict[tuple[State, ...], list[Spent]] = {first: [(0.0,) * len(self.works)]}
        for tick in range(len(self.loads)):
            after: dict[tuple[State, ...], list[Spent]] = {}
            for state, spents in reached.items():
                for moved, cost in self._moves(state, tick):
                    if self._holds(moved, tick):
                        self._go(after, moved, [self._lose(spent, cost, moved, tick) for spent in spents])
            reached = after
            if not reached:
                return False
        # All needs are over: whatever is free now starts again, which every rule allows, and most of them ask for.
        return True

    def _go(self, after: dict[tuple[State, ...], list[Spent]], state: tuple[State, ...], spents: list[Spent]) -> None:
        left = [one for one in spents if all(lost <= most for lost, most in zip(one, self.budgets, strict=True))]
        if left:
            aged = self._sorted(tuple(_age(one) for one in state))
            known = after.setdefault(aged, [])
            for one in left:
                if not any(all(a <= b for a, b in zip(other, one, strict=True)) for other in known):
                    known[:] = [k for k in known if not all(a <= b for a, b in zip(one, k, strict=True))]
                    known.append(one)

    def _sorted(self, state: tuple[State, ...]) -> tuple[State, ...]:
        """Things that are alike may swap their states."""
        found: list[State] = []
        start = 0
        for end in range(1, len(self.things) + 1):
            if end == len(self.things) or _alike(self.things[end]) != _alike(self.things[start]):
                found += sorted(state[start:end])
                start = end
        return tuple(found)

    def _moves(self, state: tuple[State, ...], tick: int) -> Iterator[tuple[tuple[State, ...], Spent]]:
        """What may be done at an instant, and what it costs each work."""
        at = self.now + tick
        options: list[list[tuple[State, float]]] = []
        for thing, (kind, count, owes) in zip(self.things, state, strict=True):
            drain = thing.drain
            rest, free = int(max(drain.minimum_run, drain.notice)), int(drain.seconds)
            joins = thing.whole and thing.due is not None and at < thing.due
            stopped = ((LEAVE, free, joins) if free else (OUT, 0, joins), self._stop_cost(thing, at))
            late = owes and thing.due is not None and at >= thing.due
            if kind == OUT:
                mine: list[tuple[State, float]] = [] if late else [((kind, count, owes), 0.0)]
                mine.append(((RUN, rest, False), 0.0))
                if rest == 0 and free and self._known(thing):  # back, and told to stop again in the same moment
                    mine.append(stopped)
                options.append(mine)
            elif thing.whole and thing.due == at and not free:  # they all run at that instant, and are seen to
                options.append([((kind, count, owes), 0.0)])
            elif kind == RUN and count == 0 and self._known(thing):
                options.append([((kind, count, owes), 0.0), stopped])
            else:
                options.append([((kind, count, owes), 0.0)])
        for choice in product(*options):
            lost = [0.0] * len(self.works)
            for thing, (_, cost) in zip(self.things, choice, strict=True):
                if cost:
                    lost[self.works.index(thing.work)] += cost
            yield tuple(one for one, _ in choice), tuple(lost)

    def _known(self, thing: Thing) -> bool:
        work = self.facts.works.get(thing.work)
        return work is None or work.remaining is not None

    def _stop_cost(self, thing: Thing, at: int) -> float:
        """What was done since it was safe; that it does not run while it drains is counted second by second."""
        work = self.facts.works.get(thing.work)
        if work is None or at >= work.deadline or thing.saved is None:
            return 0.0
        return max(0.0, at - thing.saved)

    def _lose(self, spent: Spent, cost: Spent, state: tuple[State, ...], tick: int) -> Spent:
        """A second in which things are out, or drain since a stop of ours; old drains were never counted on."""
        lost = [a + b for a, b in zip(spent, cost, strict=True)]
        for thing, (kind, _, _) in zip(self.things, state, strict=True):
            if thing.work not in self.facts.works or kind in (RUN, DRAIN):
                continue
            if self.now + tick < self.facts.works[thing.work].deadline:
                lost[self.works.index(thing.work)] += 1.0
        # A stop in the last seconds drains on after all needs are over: nobody needs that, so it is not looked at.
        return tuple(lost)

    def _holds(self, state: tuple[State, ...], tick: int) -> bool:
        """Room and guarantees over one second."""
        load = self.loads[tick]
        held = self.standing + total(t.size for t, one in zip(self.things, state, strict=True) if one[0] != OUT)
        room = self.facts.capacity - self.facts.reserve - held
        if any(load.of(n) > max(0, room.of(n)) for n in NAMES):
            return False
        for name, floor in self.floors.items():
            mine = [(t, one) for t, one in zip(self.things, state, strict=True) if t.lane == name]
            runs = self.facts.use(name).standing + total(t.size for t, one in mine if one[0] == RUN)
            # What drained before now cannot be called back: more than that is never needed.
            could = self.facts.use(name).standing + total(t.size for t, one in mine if one[0] != DRAIN)
            if not floor.least(could).fits(runs):
                return False
        return True


def _things(member: Member, drain: Drain, now: int) -> Iterator[Thing]:
    saved = None if member.saved_at is None else max(member.saved_at, member.running_since)
    mark = member.mark
    draining = 0
    if mark is not None:
        held = member.used - member.unit.times(mark.asked)
        draining = max(-(-held.of(n) // member.unit.of(n)) for n in NAMES if member.unit.of(n) > 0)
        if not member.seen:
            draining = mark.original - mark.asked
    whole = member.kind is MemberKind.SCALE
    due = math.floor(mark.return_by) if mark is not None and mark.promises else None
    for index in range(member.original):
        if mark is not None and index >= mark.asked:
            number = index - mark.asked
            if number < draining:
                stopped = min((s.at for s in mark.stops if s.level <= index), default=-math.inf)
                free = stopped + drain.seconds
                left = math.ceil(free - now) if free > now else 1
                first: State = (DRAIN, left, True)
            else:
                first = (OUT, 0, True)
        else:
            told = min((n.at for n in mark.notices if n.level <= index), default=now) if mark else now
            first = (RUN, max(0, math.ceil(told + drain.notice - now), math.ceil(_ripe(member, drain) - now)), False)
        yield Thing(member.lane, member.unit, drain, member.work, saved if member.work else None, first, due, whole)


def _ripe(member: Member, drain: Drain) -> float:
    return member.running_since + drain.minimum_run


def _alike(thing: Thing) -> tuple[object, ...]:
    saved = -math.inf if thing.saved is None else thing.saved
    due = math.inf if thing.due is None else thing.due
    return thing.lane, thing.size.cpu, thing.size.memory, thing.work, saved, due, thing.whole


def _age(state: State) -> State:
    kind, count, owes = state
    if kind == RUN:
        return (RUN, max(0, count - 1), owes)
    if kind in (DRAIN, LEAVE):
        return (OUT, 0, owes) if count <= 1 else (kind, count - 1, owes)
    return state


def _floor(capacity: Resources, percent: int, use: Resources) -> Resources:
    """What a lane keeps: its guarantee in the resource of which it uses the most, as far as it uses it."""
    by_cpu = use.cpu * max(capacity.memory, 1) >= use.memory * max(capacity.cpu, 1)
    if by_cpu:
        return Resources(cpu=min(capacity.cpu * percent // 100, use.cpu))
    return Resources(memory=min(capacity.memory * percent // 100, use.memory))
