"""What the shift is told: a pool, its lanes, the work that may stop, and what was observed of all that.

Built by ``api`` (the pool as written) and by whoever gathers (facts); read by everything in this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NAMES, NOTHING, Resources, total

MEMBERS_MOST = 5000
"""Pieces of work of a pool of which some are stopped; of more, none, and that is said. ``bench/shift_scale.py`` prints
what they cost."""

# ---- as written


@dataclass(frozen=True, slots=True)
class Drain:
    """How a lane's work is stopped."""

    notice: float = 0.0
    """Seconds from telling the work to stopping it."""
    minimum_run: float = 0.0
    """Seconds that work runs, once started, before it may be stopped."""
    seconds: float = 60.0
    """From the write that stops to machines seen free: the measured quantile, or a guess until there is one."""


@dataclass(frozen=True, slots=True)
class WorkSpec:
    """How much work of a member is left, and by when it must be done."""

    deadline: float
    """Epoch seconds of the next deadline."""
    query: str | None = None
    """PromQL for the unit-seconds left; exactly one of the two is given."""
    given: float | None = None
    """Unit-seconds left, as written."""
    stale_after: float = 300.0


@dataclass(frozen=True, slots=True)
class MemberRef:
    """Work of a lane: one object by name, or all Jobs of a namespace with these labels."""

    name: str
    """Unique among the members of a pool; the work of its objects is counted together."""
    api_version: str
    kind: str
    namespace: str
    object_name: str | None = None
    """None: by labels."""
    labels: tuple[tuple[str, str], ...] = ()
    work: WorkSpec | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One side of a pool."""

    name: str
    guarantee: int = 0
    """Percent of the pool that is never taken from the lane while it has use for it."""
    allowed_namespaces: frozenset[str] = frozenset()
    """Namespaces whose policies may plan needs on this lane; empty means nobody."""
    cap: int | None = None
    """Most percent of the pool that the needs of one namespace may take; None: no cap."""
    members: tuple[MemberRef, ...] = ()
    drain: Drain = Drain()
    give_back_within: float = 3600.0
    """Seconds from the end of the borrower's planned need to the work's original level."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A CapacityPool, parsed."""

    name: str
    lanes: tuple[Lane, ...]
    node_selector: tuple[tuple[str, str], ...] = ()
    """Labels of the nodes whose allocatable is the capacity; empty when the capacity is given."""
    given: Resources | None = None
    uid: str = ""
    generation: int = 0

    def lane(self, name: str) -> Lane | None:
        """A lane by name."""
        return next((lane for lane in self.lanes if lane.name == name), None)


# ---- what is asked


class NeedStep(NamedTuple):
    """A constant need over ``[start, end)``."""

    start: float
    end: float
    amount: Resources


@dataclass(frozen=True, slots=True)
class Need:
    """What a lane's target needs above its standing use, from the instant its pods must be scheduled (write time) to
    the one at which they are gone again.
    """

    key: str
    """Unique in the pool: ``namespace/policy/target@start``; what stands before the ``@`` stays from plan to plan."""
    lane: str
    namespace: str
    steps: tuple[NeedStep, ...]
    """Disjoint and in order, none empty."""

    @property
    def owner(self) -> str:
        """Who needs it: the key without the time, which moves with the lead."""
        return self.key.partition("@")[0]

    @property
    def start(self) -> float:
        """When it begins."""
        return self.steps[0].start

    @property
    def end(self) -> float:
        """When it ends: what was lent for it is promised back from here."""
        return self.steps[-1].end


# ---- what was stored, and what was observed


class Notice(NamedTuple):
    """The work was told at an instant that it will go down to a level, or was stopped to it."""

    level: int
    at: float


class Promised(NamedTuple):
    """So many units are back by an instant."""

    at: float
    units: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What is stored of a hand-over, beside what every loan says: enough to go on after a crash at any point."""

    original: int
    """Level to return to (the loan's ``original``)."""
    asked: int
    """Our level as last meant (the loan's ``pending``); equal to ``original`` while only notice was given."""
    asked_at: float
    """When it was last moved (the loan's ``steppedAt``)."""
    notices: tuple[Notice, ...] = ()
    """Notices that no stop has used up, levels falling."""
    stops: tuple[Notice, ...] = ()
    """Stops whose machines may not be free yet, levels falling."""
    free_by: float = 0.0
    """When the borrower must be able to schedule."""
    until: float = 0.0
    """When the work is planned to start again."""
    promises: tuple[Promised, ...] = ()
    """When the units that are out are promised back, earliest first. A promise never moves to a later time."""
    needs: tuple[str, ...] = ()
    """For whom: owners of needs (the loan's ``for``); bounded."""
    extra: Resources = NOTHING
    """What each pod took beyond its template when it was last seen: the larger of both counts while none stands."""

    @property
    def due_back(self) -> float:
        """The first of the promises; infinity without one."""
        return self.promises[0].at if self.promises else math.inf

    @property
    def return_by(self) -> float:
        """The last of the promises; infinity without one."""
        return self.promises[-1].at if self.promises else math.inf


class MemberKind(Enum):
    """How a member is stopped."""

    SCALE = "Scale"
    """By fewer units of its ``/scale``."""
    JOB = "Job"
    """By ``spec.suspend``: level 1 runs, level 0 is suspended."""


@dataclass(frozen=True, slots=True)
class Member:
    """One piece of work that may stop, as it was seen."""

    ref: Ref
    lane: str
    kind: MemberKind
    unit: Resources
    """One unit: a replica, or all pods of the Job."""
    level: int
    """Units asked for in the object now; 0 for a suspended Job."""
    used: Resources
    """What its pods hold on machines now, those that are stopping included."""
    running_since: float
    """When the youngest of its running pods started (a Job's ``startTime``); minimum run counts from here."""
    saved_at: float | None = None
    """When its work was last safe: what it does after that is lost by a stop. None: a stop loses nothing."""
    saved_every: float = math.inf
    """Seconds after which its work is made safe again: a stop, however far ahead, loses no more. Infinite: unknown."""
    work: str = ""
    """Name of the work it does together with others (a key of ``PoolFacts.works``); empty: none with a deadline."""
    mark: Mark | None = None
    seen: bool = True
    """False: it could not be looked at now, and what stands here is old."""
    pods: int | None = None
    """Pods of it that stand on the machines, those that are leaving included; None: nobody counted them."""
    each: int = 1
    """Pods of one unit."""
    extra: Resources = NOTHING
    """What one of its pods takes beyond its template: what a webhook, a sidecar or a resize has added."""
    lends: bool = True
    """False: stopping it would free nothing here."""
    created_at: float = 0.0
    """When a Job was made; 0 for other work."""

    @property
    def original(self) -> int:
        """Units of its owner."""
        return self.mark.original if self.mark else self.level

    @property
    def asked(self) -> int:
        """Units we let it have."""
        return self.mark.asked if self.mark else self.level

    @property
    def unplaced(self) -> bool:
        """Whether it has no pod on a machine, and may have all its units: a stop loses nothing, and nothing drains."""
        return self.pods == 0 and self.asked == self.original

    @property
    def held(self) -> Resources:
        """What it is seen to use, or may start to use at any moment because its object says so."""
        return self.unit.times(self.level).most(self.used)

    @property
    def claim(self) -> Resources:
        """What it counts with: the larger of what it may use and what it holds."""
        return self.unit.times(self.asked).most(self.held)

    @property
    def in_flight(self) -> Resources:
        """What it holds beyond what it may use."""
        return (self.held - self.unit.times(self.asked)).positive

    @property
    def leaving(self) -> int:
        """Units that stand on the machines beyond those that it may have: judged pod by pod, whatever each takes."""
        there = surplus(self.used, self.pods, self.asked, self.unit, self.each)
        return max(there, self.level - self.asked)


def surplus(used: Resources, pods: int | None, level: int, unit: Resources, each: int) -> int:
    """Units on machines beyond a level. Pods differ in what they take, so that they are counted where that was done:
    a unit of several pods is gone with the last of them, and one that may run is none too many whatever it takes.
    """
    if pods is None:
        left = (used - unit.times(level)).positive
        units = [math.ceil(left.of(n) / unit.of(n)) for n in NAMES if unit.of(n) > 0 and left.of(n) > 0]
        return max(units, default=0 if left.nothing else 1)
    return max(0, math.ceil(pods / max(each, 1)) - level)


@dataclass(frozen=True, slots=True)
class CannotStop:
    """An object that a member of a lane names, and that lends nothing."""

    ref: Ref
    lane: str
    reason: Reason
    message: str

    @property
    def driven(self) -> bool:
        """Whether that is because somebody else starts and stops it."""
        return self.reason in (Reason.MANAGED_ELSEWHERE, Reason.OWNED_BY_OTHER_SCALER)


@dataclass(frozen=True, slots=True)
class LaneUse:
    """What a lane uses beside its members."""

    standing: Resources = NOTHING
    """Use that no plan moves: a borrower's level without any event, a lender's other pods."""
    asked: Mapping[str, Resources] = field(default_factory=dict)
    """What its targets are asked to have now above their standing use (level x unit), by ``Need.owner``."""
    used: Resources = NOTHING
    """What the lane's pods are seen to hold now, members excluded, those that are leaving included."""

    @property
    def claim(self) -> Resources:
        """What it counts with: the larger of what was asked for and what is seen."""
        return (self.standing + total(self.asked.values())).most(self.used)


@dataclass(frozen=True, slots=True)
class Work:
    """Work that some members do together: any unit may do any of it."""

    remaining: float | None
    """Unit-seconds left now; None when nobody can tell, and then none of its units is stopped."""
    deadline: float


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool as observed now."""

    capacity: Resources
    """Allocatable of its ready nodes less what others use there, or as given."""
    lanes: Mapping[str, LaneUse] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    works: Mapping[str, Work] = field(default_factory=dict)
    reserve: Resources = NOTHING
    """What of the capacity may lie in gaps on single machines that are too small for a borrower's pod: no need is
    granted it, and whoever returns may have it.
    """
    current: bool = True
    """False: the pool could not be looked at in time. Nothing new is let in, nothing is stopped or started again."""
    cannot: tuple[CannotStop, ...] = ()
    """What lanes name and is not among the members, or lends nothing."""

    @property
    def units(self) -> int:
        """Pieces of work."""
        return sum(member.original for member in self.members)

    @property
    def too_large(self) -> bool:
        """Whether there are more pieces of work than are planned."""
        return self.units > MEMBERS_MOST

    def use(self, lane: str) -> LaneUse:
        """A lane's use; nothing when nothing was seen."""
        return self.lanes.get(lane, LaneUse())

    def of_lane(self, lane: str) -> list[Member]:
        """Members of a lane."""
        return [member for member in self.members if member.lane == lane]


def base_of(lane: Lane, facts: PoolFacts) -> Resources:
    """What a lane uses when nothing is lent and nothing is needed."""
    members = total(m.unit.times(m.original) for m in facts.of_lane(lane.name))
    return facts.use(lane.name).standing + members


def floor_of(lane: Lane, facts: PoolFacts) -> Resources:
    """What lending must leave a lane: its guarantee, as far as it has use for it. Unused guarantee is not hoarded.

    Counted in the resource of which the lane uses the largest share of the pool (its dominant resource: Ghodsi et al.,
    2011). A guarantee of each resource by itself would let nobody have the idle memory of work that needs cores.
    """
    base = base_of(lane, facts)
    dominant = max(NAMES, key=lambda name: base.of(name) / max(facts.capacity.of(name), 1))
    kept = min(facts.capacity.of(dominant) * lane.guarantee // 100, base.of(dominant))
    return Resources(**{dominant: max(kept, 0)})


def amount_at(steps: Iterable[NeedStep], instant: float) -> Resources:
    """What steps ask for at an instant."""
    return total(step.amount for step in steps if step.start <= instant < step.end)
