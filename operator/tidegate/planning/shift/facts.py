"""From what was seen of a pool to what its planning is told: who uses what, on which side.

The adapter counts pods by who controls them; here they are told apart: members of a lane, a lane's own namespaces, and
others, whose use is taken off the capacity. Work that a member names and that may not be stopped is its lane's: the
lane's guarantee is met by it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tidegate.planning.model import Evidence, Ref
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import NAMES, NOTHING, Resources, total
from tidegate.planning.shift.model import (
    CannotStop,
    Lane,
    LaneUse,
    Mark,
    Member,
    MemberKind,
    MemberRef,
    Pool,
    PoolFacts,
    Work,
    surplus,
)


class Holder(NamedTuple):
    """Who controls pods: the workload, not the ReplicaSet in between."""

    namespace: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The pods of one holder, those that are leaving included."""

    used: Resources
    """What those take that stand on the machines of the pool."""
    youngest: float
    """When the youngest of those started, epoch seconds."""
    pods: int | None = None
    """How many those are; None: nobody counted them."""
    largest: Resources = NOTHING
    """What the largest of all its pods takes, as it was admitted; nothing: none was looked at."""
    elsewhere: int = 0
    """Pods on other machines."""
    waiting: int = 0
    """Pods for which no machine was found yet."""


NO_PODS = Occupancy(NOTHING, 0.0, 0)


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """One object that a member of a lane names."""

    ref: Ref
    lane: str
    member: str
    """Name of the member in the pool."""
    kind: MemberKind
    unit: Resources
    """All pods of a Job at a time, or one replica."""
    level: int
    pod: Resources = NOTHING
    """One pod; nothing: a unit is a pod."""
    started_at: float = 0.0
    """When it was last started as a whole (a Job's ``startTime``); 0 when the pods alone tell."""
    saved_at: float | None = None
    saved_every: float = math.inf
    seen: bool = True
    """False: it could not be looked at, and what stands here is old."""
    many: int = 1
    """Pods of a unit."""
    settled: bool = False
    """Its controller has had time to make the pods that it can make."""
    created_at: float = 0.0
    """When a Job was made; 0 for other work."""
    maker: str = ""
    """The CronJob that made a Job; empty where none did."""
    refused: Evidence | None = None
    """The API server refuses pods of it, as its controller says."""

    @property
    def each(self) -> Resources:
        """One pod, as its template says."""
        return self.unit if self.pod.nothing else self.pod


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """A pool as an adapter sees it."""

    allocatable: Resources
    """Of its ready nodes, or as given."""
    occupancy: Mapping[Holder, Occupancy] = field(default_factory=dict)
    """Of the pods on these nodes; of all pods where the capacity is given."""
    members: tuple[MemberSeen, ...] = ()
    nodes: tuple[Resources, ...] = ()
    """Allocatable of each node, where the pool is one of nodes."""
    cannot: tuple[CannotStop, ...] = ()
    """Objects that members name and that may not be stopped, whatever stands where."""

    def of(self, ref: Ref) -> Occupancy:
        """The pods of a workload."""
        return self.occupancy.get(holder_of(ref), NO_PODS)


class Standing(NamedTuple):
    """One target of a policy that plans on this pool."""

    lane: str
    owner: str
    """``namespace/policy/target``, as in ``Need.owner``."""
    holder: Holder
    unit: Resources
    rest: int
    """Units that it has anyway: its owner's level, or what of it stands elsewhere where that is more."""
    asked: int
    """Units that it is asked to have now."""
    elsewhere: int = 0
    """Units of ``rest`` that stand on other machines: they take nothing of these."""


def facts_of(
    pool: Pool,
    seen: PoolSeen,
    targets: Iterable[Standing],
    marks: Mapping[Ref, Mark],
    remaining: Mapping[str, float | None],
) -> PoolFacts:
    """Tell uses apart. ``remaining`` is the work left by member name, in unit-seconds; None when nobody can tell."""
    mine = list(targets)
    works = {
        one.name: Work(remaining.get(one.name), one.work.deadline)
        for lane in pool.lanes
        for one in lane.members
        if one.work is not None
    }
    known = [one for one in seen.members if pool.lane(one.lane) is not None]
    members = [_member(one, seen, marks, works) for one in known]
    idle = [_idle(one, seen.of(one.ref), marks) for one in known]
    of_members = {holder_of(m.ref) for m in members}
    of_targets = {t.holder for t in mine}
    sides = _sides(pool)
    kept = {holder_of(one.ref): one.lane for one in seen.cannot}
    other: dict[str | None, list[Resources]] = defaultdict(list)
    for holder, occupancy in seen.occupancy.items():
        if holder not in of_members and holder not in of_targets:
            other[kept.get(holder, sides.get(holder.namespace))].append(occupancy.used)
    lanes = {lane.name: _use(lane, seen, mine, total(other[lane.name])) for lane in pool.lanes}
    pods = [one.each + member.extra for one, member in zip(known, members, strict=True)]
    facts = PoolFacts(
        seen.allocatable - total(other[None]) + total(_credit(m, seen.of(m.ref)) for m in members),
        lanes,
        tuple(m for m, why in zip(members, idle, strict=True) if why is None or m.kind is MemberKind.SCALE),
        works,
        gaps(seen.nodes, [t.unit for t in mine], pods),
        cannot=(*seen.cannot, *(why for why in idle if why is not None)),
    )
    return replace(facts, reserve=facts.reserve.least(_free(facts).positive)) if _is_met(mine, seen) else facts


def _is_met(targets: Iterable[Standing], seen: PoolSeen) -> bool:
    """Whether some targets are asked to have more than they have anyway, and all that any is asked to have is there.
    What stands needs no reserve for gaps: a machine that is lost then makes nobody stop for one.
    """
    lent, there = False, True
    for one in targets:
        pods = seen.occupancy.get(one.holder, NO_PODS)
        there = there and pods.pods is not None and pods.pods + pods.elsewhere >= one.asked
        lent = lent or one.asked > one.rest
    return lent and there


def _free(facts: PoolFacts) -> Resources:
    """What nobody may use or holds."""
    claims = total(use.claim for use in facts.lanes.values()) + total(member.claim for member in facts.members)
    return facts.capacity - claims


def _has_nothing(one: MemberSeen, there: Occupancy, marks: Mapping[Ref, Mark]) -> bool:
    """Whether work that nobody was told to stop has no pod on these machines, and none that waits for one."""
    if one.ref in marks or not one.seen or not one.level or there.pods is None:
        return False
    return not there.pods and not there.waiting


def _idle(one: MemberSeen, there: Occupancy, marks: Mapping[Ref, Mark]) -> CannotStop | None:
    """Why work takes nothing of these machines, and a stop would free nothing; None when it does, or may soon."""
    if not _has_nothing(one, there, marks):
        return None
    if there.elsewhere:
        return CannotStop(one.ref, one.lane, Reason.PODS_ELSEWHERE, SENTENCES[Reason.PODS_ELSEWHERE])
    if one.refused is not None:
        return CannotStop(one.ref, one.lane, one.refused.reason, one.refused.message)
    if one.settled:
        return CannotStop(one.ref, one.lane, Reason.NO_PODS, SENTENCES[Reason.NO_PODS])
    return None


def _credit(member: Member, there: Occupancy) -> Resources:
    """What units of a ``/scale`` take on other machines: of these they need none."""
    if member.kind is not MemberKind.SCALE:
        return NOTHING
    return member.unit.times(min(there.elsewhere, member.asked))


def gaps(nodes: Iterable[Resources], borrowers: Iterable[Resources], others: Iterable[Resources]) -> Resources:
    """The most that can lie on nodes in gaps too small for any borrower's pod, whoever places pods.

    A pod that fits nowhere leaves on each node less than itself free. All sizes are multiples of their greatest common
    divisor ``g``, so what is left of a node of capacity ``c`` is at most ``u - g + c mod g`` for the largest pod ``u``
    (and less than ``u``). For each resource by itself.
    """
    wanted = list(borrowers)
    sizes = [*wanted, *others]
    found = {}
    for name in NAMES:
        largest = max((one.of(name) for one in wanted), default=0)
        step = math.gcd(*(one.of(name) for one in sizes))
        found[name] = sum(
            min(largest - 1, largest - step + node.of(name) % step) for node in nodes if largest > 0 and step > 0
        )
    return Resources(**found)


def _sides(pool: Pool) -> dict[str, str]:
    """The lane that a namespace counts for; one that several lanes let in counts for the first."""
    sides: dict[str, str] = {}
    for lane in pool.lanes:
        for namespace in sorted(lane.allowed_namespaces):
            sides.setdefault(namespace, lane.name)
    return sides


def _use(lane: Lane, seen: PoolSeen, targets: list[Standing], others: Resources) -> LaneUse:
    mine = [t for t in targets if t.lane == lane.name]
    held = total(seen.occupancy[t.holder].used for t in mine if t.holder in seen.occupancy)
    return LaneUse(
        standing=total(t.unit.times(t.rest - t.elsewhere) for t in mine) + others,
        asked={t.owner: t.unit.times(max(0, t.asked - t.rest)) for t in mine},
        used=held + others,
    )


def _member(one: MemberSeen, seen: PoolSeen, marks: Mapping[Ref, Mark], works: Mapping[str, Work]) -> Member:
    there, mark = seen.of(one.ref), marks.get(one.ref)
    extra = (there.largest - one.each).positive if not there.largest.nothing else mark.extra if mark else NOTHING
    # Of a Job what stands elsewhere is none of the pool's, and would not be freed by a stop.
    many = max(1, one.many - there.elsewhere) if one.kind is MemberKind.JOB else one.many
    unit = one.unit if extra.nothing and many == one.many else (one.each + extra).times(many)
    return Member(
        ref=one.ref,
        lane=one.lane,
        kind=one.kind,
        unit=unit,
        level=one.level,
        used=there.used,
        running_since=max(one.started_at, there.youngest),
        saved_at=one.saved_at,
        saved_every=one.saved_every,
        work=one.member if one.member in works else "",
        mark=mark,
        seen=one.seen,
        pods=there.pods,
        each=many,
        extra=extra,
        lends=not _has_nothing(one, there, marks),
        created_at=one.created_at,
    )


def is_gone(one: MemberSeen, there: Occupancy, level: int) -> bool:
    """Whether no more of a member stands on the machines than a level."""
    return not surplus(there.used, there.pods, level, one.unit, one.many)


def holder_of(ref: Ref) -> Holder:
    """Whose pods those of a workload are."""
    return Holder(ref.namespace, ref.kind, ref.name)


def work_queries(pool: Pool) -> list[MemberRef]:
    """Members whose remaining work is measured."""
    return [m for lane in pool.lanes for m in lane.members if m.work is not None and m.work.query is not None]
