"""Builders of pools, valid by default, and a small pool that obeys: pods leave late, writes are lost, leaders die."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.planning.model import Ref
from tidegate.planning.shift.handover import Act, Do
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
from tidegate.planning.shift.outcome import PoolPlan
from tidegate.planning.shift.plan import plan_pool
from tidegate.planning.shift.resources import NOTHING, Resources, total
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


def loader(name: str = "loader", units: int = 10, size: Resources = CORE, **given: object) -> Member:
    defaults: dict[str, object] = {"level": units, "used": size.times(units), "running_since": LONG_AGO}
    ref = Ref("apps/v1", "Deployment", "warehouse", name)
    return Member(ref, "data", MemberKind.SCALE, size, **(defaults | given))  # type: ignore[arg-type]


def need(key: str, start: float, end: float, amount: Resources, *, lane: str = "trading", ns: str = NS) -> Need:
    return Need(f"{ns}/core/{key}@{start:.0f}", lane, ns, (NeedStep(start, end, amount),))


def facts(capacity: Resources, *members: Member, **lanes: LaneUse) -> PoolFacts:
    return PoolFacts(capacity, lanes, tuple(members))


class Killed(Exception):  # noqa: N818 - not an error of the code under test
    """The leader died here."""


@dataclass
class _Work:
    """A member as the cluster has it."""

    member: Member
    leaving: list[tuple[float, int]] = field(default_factory=list)
    """(when gone, units) of what was told to stop."""

    def used(self, now: float) -> Resources:
        return self.member.unit.times(self.member.level + sum(n for at, n in self.leaving if at > now))


@dataclass
class ObedientPool:
    """A cluster with one pool. Marks and levels survive a death of the leader, nothing else does."""

    pool: Pool
    capacity: Resources
    works: dict[Ref, _Work]
    needs: tuple[Need, ...]
    dice: random.Random
    drains_late: float = 1.0
    """Largest share of the lane's drain time that leaving takes."""
    leaves_after: float = 60.0
    """Largest number of seconds that a borrower's pods stay after their need."""
    marks: dict[Ref, Mark] = field(default_factory=dict)
    trading: dict[str, Resources] = field(default_factory=dict)
    """What each need's pods hold."""
    going: dict[str, list[tuple[float, Resources]]] = field(default_factory=dict)
    stops: list[tuple[float, Act, float]] = field(default_factory=list)
    """(when, act, running since) of each stop written."""
    lost_seconds: float = 0.0
    promises: tuple[str, ...] = ()
    """As the pool's status shows them."""
    survives: Callable[[], bool] = lambda: True
    """Whether the leader lives through the next write."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __repr__(self) -> str:
        works = [
            f"{w.member.ref.name} {w.member.lane} {w.member.unit} x {w.member.level}, runs since"
            f" {w.member.running_since:.0f}"
            for w in self.works.values()
        ]
        lanes = [f"{one.name} {one.guarantee} % {one.drain} {one.give_back_within}" for one in self.pool.lanes]
        needs = [f"{n.key} {n.lane} {n.steps}" for n in self.needs]
        return "\n".join([f"capacity {self.capacity}", *lanes, *works, *needs])

    def facts(self, now: float) -> PoolFacts:
        lanes = {
            one.name: LaneUse(NOTHING, self._asked(one.name), self._held(one.name, now)) for one in self.pool.lanes
        }
        members = tuple(replace(w.member, used=w.used(now), mark=self.marks.get(ref)) for ref, w in self.works.items())
        return PoolFacts(self.capacity, lanes, members)

    def beat(self, now: float) -> tuple[PoolPlan, PoolStep]:
        seen = self.facts(now)
        live = tuple(n for n in self.needs if n.end > now)
        plan = plan_pool(self.pool, seen, live, now, promises=self.promises)
        self.promises = plan.promises
        todo = step(self.pool, seen, plan, now)
        self._obey(plan, todo, now)
        return plan, todo

    def next_change(self, now: float) -> float:
        times = [at for work in self.works.values() for at, _ in work.leaving]
        times += [at for going in self.going.values() for at, _ in going]
        times += [s.end - self.leaves_after for need in self.needs for s in need.steps]
        return min((at for at in times if at > now), default=now + 3600.0)

    def used(self, now: float) -> Resources:
        return total(w.used(now) for w in self.works.values()) + total(
            self._held(one.name, now) for one in self.pool.lanes
        )

    def kept(self, name: str) -> Resources:
        return total(w.member.unit.times(w.member.level) for w in self.works.values() if w.member.lane == name)

    def floor(self, name: str, now: float) -> Resources:
        found = self.pool.lane(name)
        assert found is not None
        return floor_of(found, self.facts(now))

    def _asked(self, name: str) -> dict[str, Resources]:
        return {n.owner: self.trading[n.key] for n in self.needs if n.lane == name and n.key in self.trading}

    def _held(self, name: str, now: float) -> Resources:
        lanes = {n.key: n.lane for n in self.needs}
        return total(amount for key, amount in self.trading.items() if lanes[key] == name) + total(
            amount for key, ones in self.going.items() if lanes[key] == name for at, amount in ones if at > now
        )

    def _obey(self, plan: PoolPlan, todo: PoolStep, now: float) -> None:
        for act in todo.acts:
            self._written()
            if act.do is Do.CLOSE:
                self.marks.pop(act.ref)
                continue
            self.marks[act.ref] = act.mark
            if act.do in (Do.STOP, Do.RESUME):
                self._written()
                self._write(act, now)
        for one in self.needs:
            # Its pods are to be gone at the end of the need: they are told to leave before.
            steps = [s for g in plan.grants if g.key == one.key for s in g.steps]
            granted = amount_at(steps, now).least(amount_at(steps, now + self.leaves_after))
            have, may = self.trading.get(one.key, NOTHING), todo.balance.allowed.get(one.key, NOTHING)
            target = granted.least(have.most(may))
            gone = (have - target).positive
            if not gone.nothing:
                leave = now + self.dice.uniform(0.0, self.leaves_after)
                self.going.setdefault(one.key, []).append((leave, gone))
            self.trading[one.key] = target

    def _write(self, act: Act, now: float) -> None:
        work = self.works[act.ref]
        member = work.member
        found = self.pool.lane(act.lane)
        assert found is not None
        if act.level < member.level:
            self.stops.append((now, act, member.running_since))
            self.lost_seconds += (now - member.running_since) * member.unit.cpu / 1000
            gone = now + self.dice.uniform(0.0, found.drain.seconds * self.drains_late)
            work.leaving.append((gone, member.level - act.level))
            work.member = replace(member, level=act.level)
        else:
            since = now if member.kind is MemberKind.JOB else member.running_since
            work.member = replace(member, level=act.level, running_since=since)

    def _written(self) -> None:
        if not self.survives():
            raise Killed
