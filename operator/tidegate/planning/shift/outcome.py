"""What the planning of a pool comes to: grants, refusals and absences as frozen values with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.planning.model import Ref
from tidegate.planning.shift.model import NeedStep, PoolFacts, amount_at
from tidegate.planning.shift.reasons import ShiftReason
from tidegate.planning.shift.resources import NOTHING, Resources, total
from tidegate.planning.shift.served import name_of


@dataclass(frozen=True, slots=True)
class Grant:
    """A need, or a part of it, that the pool will carry."""

    key: str
    lane: str
    namespace: str
    guaranteed: bool
    """Within the lane's guarantee."""
    since: float
    """From when it is granted: the start of the need, or later when it is ``late``."""
    steps: tuple[NeedStep, ...]
    """What is granted from now on."""
    late: bool = False
    partial: bool = False
    """Less than what was asked: the pool shrank under a need that was served before."""

    @property
    def owner(self) -> str:
        """Who needs it, as in ``Need``."""
        return self.key.partition("@")[0]

    @property
    def name(self) -> str:
        """As it is stored in a mark: who, and since when it is granted."""
        return name_of(self.owner, self.since, guaranteed=self.guaranteed)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A need, or the part of it beyond its lane's guarantee, that cannot be carried, or not in time."""

    key: str
    lane: str
    reason: ShiftReason
    message: str
    resource: str = ""
    """Which resource is short: ``cpu`` or ``memory``."""
    at: float = 0.0
    """The instant at which it is short."""
    needed: Resources = NOTHING
    """Of all needs together at that instant."""
    available: Resources = NOTHING
    """What can be there for needs at that instant."""
    lender: str = ""
    """The lane whose guarantee, notice, run time or deadline stands against it."""
    earliest: float | None = None
    """When it will be served, if later than asked; None when it will not be."""
    sure: bool = True
    """No timetable exists; False: none was found with the effort allowed."""


@dataclass(frozen=True, slots=True)
class Lending:
    """One unit of a member is out."""

    notify_at: float
    stop_at: float
    free_by: float
    """When the borrower must be able to schedule."""
    until: float
    """End of the planned need."""
    return_by: float
    """The promise."""
    needs: tuple[str, ...]
    """The grants that are on meanwhile, by ``Grant.name``."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Everything decided for a pool at one instant."""

    now: float
    pool: str
    grants: tuple[Grant, ...]
    refusals: tuple[Refusal, ...]
    lendings: Mapping[Ref, tuple[Lending, ...]] = field(default_factory=dict)
    """By member, by time."""
    promises: tuple[str, ...] = ()
    """What is granted, and what was promised before and must wait: the next plan is told, so that nobody else gets it.
    """

    def granted(self, lane: str, instant: float) -> Resources:
        """What a lane is granted at an instant, above its standing use."""
        return total(amount_at(g.steps, instant) for g in self.grants if g.lane == lane)

    def lent(self, lane: str, instant: float, facts: PoolFacts) -> Resources:
        """What the members of a lane lend at an instant, as planned."""
        return total(
            member.unit.times(sum(one.free_by <= instant < one.until for one in self.lendings.get(member.ref, ())))
            for member in facts.of_lane(lane)
        )
