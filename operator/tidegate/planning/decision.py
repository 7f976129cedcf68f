"""What a plan is made of: decisions as frozen values, each with its reason and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from tidegate.planning.leadtime import Lead
from tidegate.planning.model import Key, Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.shift.inputs import TimetableInputs
from tidegate.planning.shift.model import PoolFacts
from tidegate.planning.shift.outcome import PoolPlan
from tidegate.planning.shift.step import PoolStep
from tidegate.planning.timeline import Shortage
from tidegate.planning.withheld import Withheld


class Action(Enum):
    """What is to be done with a target now."""

    NOTHING = "Nothing"
    RAISE = "Raise"
    LOWER = "Lower"
    RETURN = "Return"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one guardrail made of the level it was given."""

    reason: Reason
    level: int
    message: str


def cut_of(trail: Iterable[Judgement]) -> Judgement | None:
    """What cut a need, so that less is done than is asked for; None where all is done."""
    asked, cut = 0, None
    for judgement in trail:
        if judgement.level < (asked if cut is None else cut.level):
            cut = judgement
        elif judgement.level < asked:
            continue  # it leaves what another one cut
        elif judgement.level > asked:
            asked, cut = judgement.level, None
    return cut


@dataclass(frozen=True, slots=True)
class PoolLimit:
    """How far a target's floor may rise now."""

    units: int
    reason: Reason
    message: str
    cut: int | None = None
    """What is left of it when its machines are promised back: there the floor has to come down, need or not."""


@dataclass(frozen=True, slots=True)
class PoolRefusal:
    """The pool does not carry a target's need in full."""

    pool: str
    start: float
    """The first instant at which it is short."""
    end: float
    """When nothing is missing any more: all is ready, or the need has fallen or is over."""
    reason: Reason
    message: str
    earliest: float | None = None
    """From when on the whole need is served; None when that never comes before it has fallen or is over."""
    late: tuple[float, float] | None = None
    """(when the first unit that is missing is needed, when the last one will be ready), by the same yardstick as a
    level that is written late; None where nothing comes, or all of it in time.
    """


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target: its level now, why, and what comes."""

    policy: Key
    target: str
    ref: Ref
    action: Action
    level: int | None
    """The level to be at now: after the action for RAISE and LOWER, the original for RETURN, None when unknown."""
    current: int | None
    need: int
    """Units that the current cell needs; 0 without an event."""
    peak: int
    """Largest need within the horizon, after min and max."""
    peak_at: float | None
    next_at: float | None
    """When the next write is due, if the world stays as it is."""
    next_level: int | None
    until: float | None
    """When the plan expects to return what it borrowed or will borrow next."""
    lead: Lead
    trail: tuple[Judgement, ...]
    reason: Reason
    message: str
    shortages: tuple[Shortage, ...] = ()
    """The first need that comes before what is ready for it, and the last one; empty when all is ready or in time."""
    measured: int = 0
    """Units that measured demand needs now, as it is, within the policy's max; 0 while none counts."""
    wanted: int | None = None
    """The level with what the pool holds back for now; equal to ``level`` where it holds nothing back."""
    must_by: float | None = None
    """When a level above the present one must be written at the latest, for all that is known to be in time; infinite
    when nothing that is announced waits for it."""
    blind: bool = False
    blind_signals: tuple[str, ...] = ()
    """Each signal of it without a good reading, and what became of asking for it: ``orders: Empty (no series: …)``."""
    seen: bool = True
    """False: what it was decided on is older than its bound."""
    refusals: tuple[PoolRefusal, ...] = ()
    """What its pool does not carry."""
    withheld: Withheld | None = None
    """Why nothing is written, where that is somebody's will or nobody can tell whose: None while the operator acts."""
    overridden: tuple[str, ...] = ()
    """What on-call says of it now, a sentence an override: shown wherever the number is."""

    @property
    def ready_at(self) -> float | None:
        """When what comes too late first will be ready; None when all is ready or comes in time."""
        return self.shortages[0].ready_at if self.shortages else None


@dataclass(frozen=True, slots=True)
class Step:
    """A write that is due now."""

    policy: Key
    target: str
    ref: Ref
    action: Action
    before: int
    level: int
    reason: Reason
    message: str
    wanted_by: tuple[str, ...] = ()
    """Of a RAISE: who has demand until the level is returned, the largest first: ``LiveEvent/name``."""


class Outcome(Enum):
    """The verdict on an event."""

    UNKNOWN = "Unknown"
    READY = "Ready"
    LATE = "Late"
    BLOCKED = "Blocked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Go or no-go for the next (or current) occurrence of an event."""

    outcome: Outcome
    reason: Reason
    message: str
    starts_at: float
    ready_at: float | None = None
    """For LATE: when it will be ready."""
    target: str | None = None
    object: Ref | None = None
    """For BLOCKED: the object that stands in the way; None when it is none of the cluster's."""
    field: str = ""
    """Where in that object, when one field says it."""
    whole: bool = False
    """For READY: all units are ready that are needed to the end of the occurrence, not those alone that are due now."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """What was decided for a pool."""

    inputs: TimetableInputs
    """What a timetable of it is made from now."""
    plan: PoolPlan
    step: PoolStep
    next_at: float | None
    timetable_of: float | None
    """The instant that the timetable was made for which this rests on; None: there is none."""
    due: bool
    """A timetable has to be made: there is none, it was made from something else, or it is not kept any longer."""
    told_for: Mapping[Ref, tuple[str, ...]] = field(default_factory=dict)
    """By work that was told to stop and has not: the events that it is told for, the largest first."""

    @property
    def facts(self) -> PoolFacts:
        """The pool as observed."""
        return self.inputs.facts


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided at one instant."""

    now: float
    targets: Mapping[tuple[Key, str], TargetPlan]
    verdicts: Mapping[Key, Verdict]
    """Of events from an hour before an occurrence to its end, and of events that nobody can serve."""
    steps: tuple[Step, ...]
    """Due now, in the order of readiness: database, cache, app, edge. Empty when nothing changes."""
    next_at: float | None
    """When something is due next."""
    pools: Mapping[str, PoolView] = field(default_factory=dict)
    """Each pool's plan and step, by name."""
