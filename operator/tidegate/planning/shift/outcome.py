"""What the planning of a pool comes to: grants, refusals and absences as frozen values with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.model import NeedStep, amount_at


class Promise(NamedTuple):
    """An owner was granted so much over ``[start, end)``: the next plan keeps its place in line. What it asks for
    beyond that stands in line anew, so that an event that grows takes nothing from others.
    """

    owner: str
    start: float
    end: float
    amount: Resources


@dataclass(frozen=True, slots=True)
class Grant:
    """A need, or the part of it that stood in line by itself (``Ask``), that the pool will carry."""

    key: str
    lane: str
    namespace: str
    guaranteed: bool
    steps: tuple[NeedStep, ...]
    """What is granted from now on; less than what was asked where a refusal of the same key says so."""
    promised: bool = False
    """It was granted before, by an earlier plan."""

    @property
    def owner(self) -> str:
        """Who needs it, as in ``Need``."""
        return self.key.partition("@")[0]

    @property
    def promises(self) -> tuple[Promise, ...]:
        """As the next plan is told of it."""
        return tuple(Promise(self.owner, step.start, step.end, step.amount) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A need, or a half of it, that cannot be carried in full."""

    key: str
    lane: str
    reason: Reason
    message: str
    resource: str = ""
    """Which resource is short, ``cpu`` or ``memory``: of two the one that lacks the larger share of what is needed."""
    at: float = 0.0
    """The first instant at which it is short."""
    needed: Resources = NOTHING
    """Of all needs together at that instant, this one in full."""
    available: Resources = NOTHING
    """What can be there for needs at that instant: of each resource, as if the need asked for no other."""
    earliest: float | None = None
    """From when on all is served, and no less is needed than while it was short; None when that never comes before the
    need has fallen or is over."""
    until: float | None = None
    """When it is short no more: ``earliest``, or when the need has fallen to what is served. None: when it is over."""
    sure: bool = True
    """No timetable exists on the plan's grid; False: the search ended before it could tell."""

    @property
    def owner(self) -> str:
        """Who needs it, as in ``Need``."""
        return self.key.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Lending:
    """One unit of a member is out."""

    notify_at: float
    stop_at: float
    free_by: float
    """When the borrower must be able to schedule."""
    until: float
    """When it is planned to start again."""
    return_by: float
    """The promise."""
    needs: tuple[str, ...]
    """Owners of the needs that are on meanwhile; bounded."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Everything decided for a pool at one instant."""

    now: float
    pool: str
    grants: tuple[Grant, ...]
    refusals: tuple[Refusal, ...]
    lendings: Mapping[Ref, tuple[Lending, ...]] = field(default_factory=dict)
    """By member, by time."""

    @property
    def promises(self) -> tuple[Promise, ...]:
        """What the next plan is told, so that nobody takes the place of who was granted first."""
        found = (promise for grant in self.grants for promise in grant.promises)
        return tuple(sorted(found, key=lambda p: (p.owner, p.start, p.end, p.amount.cpu, p.amount.memory)))

    def granted(self, lane: str, instant: float) -> Resources:
        """What a lane is granted at an instant, above its standing use."""
        return total(amount_at(g.steps, instant) for g in self.grants if g.lane == lane)
