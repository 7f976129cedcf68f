"""Machines that lanes share, behind the ports: work that leaves slowly, and whoever looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fakes import FakeCluster, Thing
from worlds import NS

from tidegate.planning.model import Observed, Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.model import MemberKind, Pool
from tidegate.ports import Place, PoolSight, UnavailableError

DATA = "warehouse"
"""Namespace of the work that may stop."""
UNIT = Resources(1000, 1024)


@dataclass
class Work(Thing):
    """A workload on the machines: what it is told to leave stays there for a while."""

    pods: int = 1
    """Pods of one unit: of a Job all that run at a time."""
    stop_seconds: float = 40.0
    member: str = ""
    """Of the data lane; empty: a target of trading's."""
    job: bool = False
    started: float = 0.0
    saved_every: float | None = None
    leaving: list[tuple[float, int]] = field(default_factory=list)

    def write(self, level: int, manager: str, now: float) -> None:
        if level < self.level:
            self.leaving.append((now + self.stop_seconds, self.level - level))
        elif level > self.level:
            self.started = now
        super().write(level, manager, now)

    def on_machines(self, now: float) -> int:
        """Units that stand on machines, those that are leaving included."""
        self.leaving = [(at, n) for at, n in self.leaving if at > now]
        return self.level + sum(n for _, n in self.leaving)

    @property
    def unit(self) -> Resources:
        return UNIT.times(self.pods)


@dataclass
class PooledCluster(FakeCluster):
    """Deployments of the shop, and work of the warehouse."""

    def place(self, name: str) -> Place:
        thing = self.things[name]
        ref = ref_of(name, thing)
        if ref.kind == "Job":
            return Place(ref, thing.uid, "/spec/suspend")
        return Place(ref, thing.uid, "/spec/replicas", "scale")

    def _observed(self, thing: Thing) -> Observed:
        unit = thing.unit if isinstance(thing, Work) else None
        return Observed(level=thing.level, ready=thing.ready, desired=thing.level, maximum=thing.maximum, unit=unit)

    def used(self) -> Resources:
        """What stands on machines now."""
        now = self.clock.now()
        works = [one for one in self.things.values() if isinstance(one, Work)]
        units = [one.unit.times(one.on_machines(now)) for one in works]
        return Resources(sum(one.cpu for one in units), sum(one.memory for one in units))


@dataclass
class FakePools:
    """Looks at the machines; answers until it does not."""

    cluster: PooledCluster
    answers: bool = True

    async def see(self, pool: Pool) -> PoolSight:
        if not self.answers:
            raise UnavailableError("pods: no answer")
        assert pool.given is not None
        now, occupancy, members, places = self.cluster.clock.now(), {}, [], {}
        lanes = {member.name: lane.name for lane in pool.lanes for member in lane.members}
        for name, thing in self.cluster.things.items():
            if not isinstance(thing, Work):
                continue
            thing.advance(now)
            ref = ref_of(name, thing)
            if units := thing.on_machines(now):
                holder = Holder(ref.namespace, ref.kind, ref.name)
                occupancy[holder] = Occupancy(thing.unit.times(units), thing.started)
            if thing.member in lanes:
                members.append(_member(ref, lanes[thing.member], thing, now))
                places[ref] = self.cluster.place(name), self.cluster._held(thing)
        return PoolSight(PoolSeen(pool.given, occupancy, tuple(members)), places)


def ref_of(name: str, thing: Thing) -> Ref:
    """The object of a workload."""
    if not isinstance(thing, Work) or not thing.member:
        return Ref("apps/v1", "Deployment", NS, name)
    return Ref("batch/v1", "Job", DATA, name) if thing.job else Ref("apps/v1", "Deployment", DATA, name)


def _member(ref: Ref, lane: str, thing: Work, now: float) -> MemberSeen:
    kind = MemberKind.JOB if thing.job else MemberKind.SCALE
    seen = MemberSeen(ref, lane, thing.member, kind, thing.unit, thing.level, pod=UNIT)
    if not thing.job or not thing.level:
        return seen
    every = thing.saved_every
    saved = None if every is None else thing.started + (now - thing.started) // every * every
    return MemberSeen(
        ref, lane, thing.member, kind, thing.unit, thing.level, UNIT, thing.started, saved, every or float("inf")
    )
