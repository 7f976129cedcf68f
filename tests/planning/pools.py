"""Builders of pools, valid by default, and a small pool that obeys: pods leave late, writes are lost, leaders die."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tidegate.planning.model import Ref
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.handover import Act, Do
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs, due
from tidegate.planning.shift.model import (
    Drain,
    Lane,
    LaneUse,
    Mark,
    Member,
    MemberKind,
    Need,
    NeedStep,
    Pool,
    PoolFacts,
    amount_at,
    floor_of,
)
from tidegate.planning.shift.outcome import PoolPlan, Promise
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.present import present
from tidegate.planning.shift.step import PoolStep, step

NS = "shop"
CORE = Resources(1000, 1024)
"""One core and one GiB."""
LONG_AGO = -1e9


def cores(count: int) -> Resources:
    return CORE.times(count)


def lane(name: str = "data", **given: object) -> Lane:
    defaults: dict[str, object] = {"allowed_namespaces": frozenset({NS}), "drain": Drain(600.0, 900.0, 60.0)}
    return Lane(name, **(defaults | given))  # type: ignore[arg-type]


def pool(*lanes: Lane) -> Pool:
    return Pool("hangzhou", lanes or (lane("trading", guarantee=40), lane("data", guarantee=5)))


def job(name: str, size: Resources = CORE, *, lane: str = "data", **given: object) -> Member:
    defaults: dict[str, object] = {"level": 1, "used": size, "running_since": LONG_AGO}
    ref = Ref("batch/v1", "Job", "warehouse", name)
    return Member(ref, lane, MemberKind.JOB, size, **(defaults | given))  # type: ignore[arg-type]


def loader(
    name: str = "loader", units: int = 10, size: Resources = CORE, *, lane: str = "data", **given: object
) -> Member:
    defaults: dict[str, object] = {"level": units, "used": size.times(units), "running_since": LONG_AGO}
    ref = Ref("apps/v1", "Deployment", "warehouse", name)
    return Member(ref, lane, MemberKind.SCALE, size, **(defaults | given))  # type: ignore[arg-type]


def need(key: str, start: float, end: float, amount: Resources, *, lane: str = "trading", ns: str = NS) -> Need:
    return Need(f"{ns}/core/{key}@{start:.0f}", lane, ns, (NeedStep(start, end, amount),))


def facts(capacity: Resources, *members: Member, **lanes: LaneUse) -> PoolFacts:
    return PoolFacts(capacity, lanes, tuple(members))


class Killed(Exception):  # noqa: N818 - not an error of the code under test
    """The leader died here."""


@dataclass
class Running:
    """A member as the cluster has it."""

    member: Member
    leaving: list[tuple[float, int]] = field(default_factory=list)
    """(when gone, units) of what was told to stop."""
    told: dict[int, float] = field(default_factory=dict)
    """When each unit was told, by its number."""
    waiting: int = 0
    """Units for which there is no machine."""

    def used(self, now: float) -> Resources:
        there = self.member.level - self.waiting
        return self.member.unit.times(there + sum(n for at, n in self.leaving if at > now))


@dataclass
class LateSolver:
    """Makes a timetable of what it was asked, some time later or never."""

    delays: list[float] = field(default_factory=list)
    """Seconds until each answer, one question after the other; at once when there are none left."""
    guard: float = 180.0
    """Seconds after which a question is given up."""
    standing: Timetabled | None = None
    question: TimetableInputs | None = None
    ends_at: float = -math.inf
    """When the question under way is answered or given up."""
    answered: bool = True

    def turn(self, inputs: TimetableInputs, now: float) -> TimetableInputs:
        """The inputs with the last timetable. A new one is asked for when it is due and nothing is under way."""
        self._take(now)
        inputs = replace(inputs, standing=self.standing)
        if self.question is None and due(inputs):
            delay = self.delays.pop(0) if self.delays else 0.0
            self.question, self.answered = inputs, delay <= self.guard
            self.ends_at = now + min(delay, self.guard)
            self._take(now)
        return replace(inputs, standing=self.standing)

    def _take(self, now: float) -> None:
        if self.question is not None and now >= self.ends_at:
            if self.answered:
                self.standing = timetable(self.question)
            self.question = None


class Stop(NamedTuple):
    """A stop as it was written."""

    at: float
    act: Act
    ran_for: float
    told_for: float
    """Seconds since the last of its units was told; infinity below 0 when one never was."""
    kept: Resources
    floor: Resources


@dataclass
class ObedientPool:
    """A cluster with one pool. Marks, promises and levels survive a death of the leader, nothing else does."""

    pool: Pool
    capacity: Resources
    running: dict[Ref, Running]
    needs: tuple[Need, ...]
    seed: int = 0
    drains_late: float = 1.0
    """Largest share of the lane's drain time that leaving takes."""
    leaves_after: float = 60.0
    """Largest number of seconds that a borrower's pods stay once they were told to leave."""
    upsets: list[tuple[float, Callable[[ObedientPool], None]]] = field(default_factory=list)
    """What people and machines do meanwhile."""
    marks: dict[Ref, Mark] = field(default_factory=dict)
    trading: dict[str, Resources] = field(default_factory=dict)
    """What each owner's pods may hold."""
    going: dict[str, list[tuple[float, Resources]]] = field(default_factory=dict)
    lanes_of: dict[str, str] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)
    promises: tuple[Promise, ...] = ()
    """As the pool's status shows them."""
    solver: LateSolver = field(default_factory=LateSolver)
    ends: tuple[float, ...] = ()
    """When grants end or fall: the borrower's pods are told before."""
    survives: Callable[[], bool] = lambda: True
    """Whether the leader lives through the next write."""

    def __repr__(self) -> str:
        works = [
            f"{w.member.ref.name} {w.member.lane} {w.member.unit} x {w.member.level}, runs since"
            f" {w.member.running_since:.0f}"
            for w in self.running.values()
        ]
        lanes = [f"{one.name} {one.guarantee} % {one.drain} {one.give_back_within}" for one in self.pool.lanes]
        asked = [f"{n.key} {n.lane} {n.steps}" for n in self.needs]
        return "\n".join([f"capacity {self.capacity} seed {self.seed}", *lanes, *works, *asked])

    def facts(self, now: float) -> PoolFacts:
        lanes = {
            one.name: LaneUse(NOTHING, self._asked(one.name), self._held(one.name, now)) for one in self.pool.lanes
        }
        members = tuple(
            replace(w.member, used=w.used(now), mark=self.marks.get(ref)) for ref, w in self.running.items()
        )
        return PoolFacts(self.capacity, lanes, members)

    def beat(self, now: float) -> tuple[PoolPlan, PoolStep]:
        while self.upsets and self.upsets[0][0] <= now:
            self.upsets.pop(0)[1](self)
        self._schedule(now)
        self.lanes_of |= {n.owner: n.lane for n in self.needs}
        seen = self.facts(now)
        live = tuple(n for n in self.needs if n.end > now)
        plan = present(self.solver.turn(TimetableInputs(self.pool, seen, live, self.promises, now, 0.0), now))
        self._written()
        self.promises = plan.promises
        self.ends = tuple(s.end for g in plan.grants for s in g.steps)
        todo = step(self.pool, seen, plan, now)
        self._obey(plan, todo, now)
        return plan, todo

    def next_change(self, now: float) -> float:
        times = [at for work in self.running.values() for at, _ in work.leaving]
        times += [at for going in self.going.values() for at, _ in going]
        times += [end - self.leaves_after for end in self.ends]
        times += [at for at, _ in self.upsets] + [self.solver.ends_at]
        return min((at for at in times if at > now), default=now + 3600.0)

    def used(self, now: float) -> Resources:
        return total(w.used(now) for w in self.running.values()) + total(
            self._held(one.name, now) for one in self.pool.lanes
        )

    def levels(self) -> dict[Ref, int]:
        return {ref: work.member.level for ref, work in self.running.items()}

    def _asked(self, name: str) -> dict[str, Resources]:
        return {owner: amount for owner, amount in self.trading.items() if self.lanes_of[owner] == name}

    def _held(self, name: str, now: float) -> Resources:
        return total(self._asked(name).values()) + total(
            amount
            for owner, ones in self.going.items()
            if self.lanes_of[owner] == name
            for at, amount in ones
            if at > now
        )

    def _schedule(self, now: float) -> None:
        """Units that wait take the machines that there are."""
        for work in self.running.values():
            if work.waiting:
                work.waiting -= min(work.waiting, work.member.unit.units_in(self.capacity - self.used(now)))

    def _obey(self, plan: PoolPlan, todo: PoolStep, now: float) -> None:
        for act in todo.acts:
            work = self.running[act.ref]
            if act.do is Do.CLOSE:
                self._written()
                self.marks.pop(act.ref)
                work.told.clear()
                continue
            if act.do is Do.NOTIFY:  # told before it is stored: twice does no harm, never does
                self._written()
                for unit in range(act.mark.notices[-1].level, act.mark.asked):
                    work.told.setdefault(unit, now)
            self._written()
            self.marks[act.ref] = act.mark
            if act.do in (Do.STOP, Do.RESUME):
                self._written()
                self._write(act, now)
        for owner in sorted(self.lanes_of):
            # Its pods are to be gone at the end of the need: they are told to leave before.
            steps = [s for g in plan.grants if g.owner == owner for s in g.steps]
            granted = amount_at(steps, now).least(amount_at(steps, now + self.leaves_after))
            have = self.trading.get(owner, NOTHING)
            may = total(amount for key, amount in todo.balance.allowed.items() if key.partition("@")[0] == owner)
            target = granted.least(have.most(may))
            gone = (have - target).positive
            if target != have:
                self._written()
            if not gone.nothing:
                leave = now + self._dice(owner, now) * self.leaves_after
                self.going.setdefault(owner, []).append((leave, gone))
            self.trading[owner] = target

    def _write(self, act: Act, now: float) -> None:
        work = self.running[act.ref]
        member = work.member
        found = self.pool.lane(act.lane)
        assert found is not None
        if act.level < member.level:
            told = max(work.told.pop(unit, math.inf) for unit in range(act.level, member.level))
            gone = now + self._dice(act.ref.name, now) * found.drain.seconds * self.drains_late
            waited = min(work.waiting, member.level - act.level)
            work.waiting -= waited
            work.leaving.append((gone, member.level - act.level - waited))
            work.member = replace(member, level=act.level)
            kept = total(
                w.member.unit.times(w.member.level) for w in self.running.values() if w.member.lane == act.lane
            )
            floor = floor_of(found, self.facts(now))
            self.stops.append(Stop(now, act, now - member.running_since, now - told, kept, floor))
        else:
            back = act.level - member.level  # of units that are alike, those that were told stop first
            work.told = {unit + back: at for unit, at in work.told.items()}
            since = now if member.kind is MemberKind.JOB else member.running_since
            work.waiting += back
            work.member = replace(member, level=act.level, running_since=since)
            self._schedule(now)

    def _dice(self, what: str, now: float) -> float:
        """A number from 0 to 1 that does not depend on how often it was asked for."""
        return random.Random(f"{self.seed} {what} {now}").random()

    def _written(self) -> None:
        if not self.survives():
            raise Killed
