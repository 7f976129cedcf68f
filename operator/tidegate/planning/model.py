"""What the core is told: the world as plain frozen values.

Built by ``api`` (announcements and policies), by ``control`` (what was observed) and by tests; read by everything in
``planning``. Instants are seconds since the epoch in UTC, lengths are seconds, shares are fractions (0.3 is 30 %).
Nothing here knows Kubernetes beyond the four words that name an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tidegate.planning.beneath import Aims
from tidegate.planning.reading import Doubt as Doubt
from tidegate.planning.reading import Freshness as Freshness
from tidegate.planning.reading import Opens as Opens
from tidegate.planning.reading import Reading as Reading
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources

STAGES = ("database", "cache", "app", "edge")
"""The order of readiness: what stands behind is ready first."""

OURS = "tidegate.dev/v1alpha1"
"""Group and version of our own kinds."""

MANAGER = "tidegate"
"""Our field manager's name, wherever a field's owner is written or compared."""

MOST_DEMAND = 1e30
"""Largest demand of one event for one signal. Far above anything real: derived chains and moments multiply factors of
up to 10^12, and sums of squares of what is allowed here stay far inside a float64."""


class Key(NamedTuple):
    """Namespace and name of one of our objects. A tuple, because tens of thousands of them are hashed at each plan."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


TargetKey = tuple[Key, str]
"""A target: its policy, and its name there."""


class Identity(NamedTuple):
    """Which object of the cluster it is, whichever of its served versions somebody names it by."""

    group: str
    """Empty for the core group."""
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Ref(NamedTuple):
    """An object of the cluster, in the namespace of the policy that names it.

    Two refs that differ in the version alone name one object: compare their ``identity``.
    """

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def identity(self) -> Identity:
        """The object without the version by which it is named."""
        group, _, version = self.api_version.rpartition("/")
        return Identity(group if version else "", self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


# ---- announced demand


class Occurrence(NamedTuple):
    """One time that an event takes place, after postponements and extensions."""

    start: float
    """T-0, epoch seconds."""
    duration: float
    """Seconds, more than 0."""


class Moment(NamedTuple):
    """An instant inside (or before, or after) an occurrence with its own demand.

    Inside ``[start + offset, start + offset + duration)`` the signal's median is the larger of the shape's value and
    ``factor x expected`` (the announced plateau, whatever the shape says then) or ``level``. Exactly one is given.
    """

    name: str
    signal: str
    offset: float
    """Seconds from T-0 (lag included); negative is before."""
    duration: float
    factor: float | None = None
    level: float | None = None
    from_end: bool = False
    """Count ``offset`` from the end of the occurrence instead: "it peaks at the final whistle"."""


class Derived(NamedTuple):
    """A signal that follows another: ``factor x source``, ``lag`` seconds later. Its own moments are added to that."""

    signal: str
    source: str
    factor: float
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """A LiveEvent, parsed: what is expected, when, and for which policy of the same namespace."""

    key: Key
    policy: str
    occurrences: tuple[Occurrence, ...]
    expected: tuple[tuple[str, float], ...]
    """(signal, median of the plateau), sorted by signal."""
    profile: str = "flat"
    """A name in ``shape.PROFILES``."""
    spread: float = 0.0
    """One standard deviation as a share of the level."""
    moments: tuple[Moment, ...] = ()
    derived: tuple[Derived, ...] = ()
    """In an order in which each source comes before what is derived from it."""
    host: str = ""
    tier: str = ""
    """Who announces it, and the class of hosts that he is of (``hosts``); empty: nobody says."""


# ---- policies


class Mode(Enum):
    """What a policy may do."""

    OBSERVE = "Observe"
    ENFORCE = "Enforce"


@dataclass(frozen=True, slots=True)
class LeadTimeGuess:
    """How long from the write to ready and warm, until it has been measured."""

    seconds: float = 60.0
    machine_seconds: float = 0.0
    """Added when the step does not fit on the machines that are up (or when nobody can tell)."""


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A workload named in a policy."""

    name: str
    ref: Ref
    capacity: tuple[tuple[str, float], ...]
    """(signal, how much of it one unit carries at the SLO), sorted; each more than 0."""
    background: tuple[tuple[str, float], ...] = ()
    """(signal, demand without any event), sorted."""
    headroom: float = 0.2
    stage: str = "app"
    settle: float = 0.0
    minimum: int = 1
    maximum: int = 1000
    lead: LeadTimeGuess = LeadTimeGuess()
    lane: str | None = None
    """The lane of the policy's pool that its units run in; None: it asks no pool."""
    unit: Resources | None = None
    """What one unit takes of the pool, rounded up; None: what its pods are seen to request."""


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """How a signal is measured; a signal without a query is planned only."""

    name: str
    query: str | None = None
    stale_after: float = 120.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on a signal that no unit lifts, such as what one database can write."""

    name: str
    signal: str
    most: float
    """The most demand that is carried, however many units there are."""
    says: str = ""
    """What bounds it, in the words of whoever measured it."""


@dataclass(frozen=True, slots=True)
class Release:
    """How a floor comes down."""

    hold: float = 900.0
    """Seconds that a level is kept after each fall of the need."""
    step_per_minute: float = 0.2
    """Share of the loan's highest floor given back per minute."""


@dataclass(frozen=True, slots=True)
class Live:
    """A floor that follows measured demand at all times, by how its signals grow (``growth``)."""

    quantile: float = 0.97
    """Share of the time in which no more comes within the lead time than is prepared for."""
    fall_per_minute: float = 0.04
    """Share by which measured demand fades a minute at most: a sharp fall is often followed by as sharp a rise."""
    forgotten: frozenset[str] = frozenset()
    """Hosts of whom nothing is remembered: they are new as long as they stand here."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A ScalingPolicy, parsed."""

    key: Key
    targets: tuple[TargetSpec, ...]
    signals: tuple[SignalSpec, ...] = ()
    mode: Mode = Mode.ENFORCE
    quantile: float = 0.95
    """Of demand and of lead time."""
    correlation: float = 0.0
    """Of the events' errors, 0 to 1: 0 lets independent errors cancel, 1 adds them as if one cause moved all."""
    release: Release = Release()
    blind_max: float = 1800.0
    pool: str | None = None
    """Name of the CapacityPool that targets with a lane ask for their machines."""
    created: float = 0.0
    """Creation time; on a shared workload one that enforces wins, then the oldest, then the smaller key."""
    uid: str = ""
    generation: int = 0
    limits: tuple[Limit, ...] = ()
    """Bounds that no unit lifts."""
    live: Live | None = None
    """None: measured demand adds to the plan while an event is on, as it is, and nothing follows it otherwise."""


# ---- what was observed


class Trouble(Enum):
    """Why a target cannot be driven at this time."""

    MISSING = "TargetMissing"
    NOT_SERVED = "KindNotServed"
    FOREIGN_OWNER = "OwnedByOtherScaler"
    SCALING_DISABLED = "ScalingDisabled"
    NOT_SCALABLE = "NotScalable"
    FORBIDDEN = "Forbidden"
    UNREADABLE = "Unreadable"
    MANAGER_CONFLICT = "FieldManagerConflict"


UNKNOWN = frozenset({Trouble.NOT_SERVED, Trouble.FORBIDDEN, Trouble.UNREADABLE})
"""Troubles in which nobody can tell whether the object is there: none of them is a deletion."""


@dataclass(frozen=True, slots=True)
class LoanState:
    """The part of a Loan that decisions need."""

    original: int
    highest: int
    """The highest floor of this loan: a release step is a share of it."""
    stepped_at: float
    """When its floor was last moved, epoch seconds."""
    started_at: float = 0.0
    until: float = 0.0
    """When it ends by what was known at the last step, epoch seconds."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that stands between a level and as many ready units: what, in which object, since when.

    Whoever looked says what is so; whether it has been so for long enough to count, ``planning.evidence`` judges.
    """

    reason: Reason
    object: Ref
    """The object in which it is to be seen; of several alike the one in which it has been so for longest."""
    field: str
    """Where in that object."""
    message: str
    since: float = 0.0
    """Since when the first unit is in this state, epoch seconds."""
    latest: float = 0.0
    """Since when the last one is."""
    units: int = 1
    """How many units are in this state; 1 where it is told of none in particular."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a bound that several workloads share leaves for more units of this one."""

    object: Ref
    field: str
    resource: str
    """What is bounded: ``requests.cpu``, ``pods``."""
    left: float
    """In the resource's own unit; below 0 when more is used than is allowed."""
    each: float
    """What one more unit takes, more than 0."""
    units: int
    """Units that exist, and are counted as used."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One target as it stands now."""

    level: int | None = None
    """Value of the field that we may set: an HPA's ``minReplicas``, else ``replicas``."""
    ready: int | None = None
    desired: int | None = None
    """What the workload is being driven to now, by whoever drives it."""
    maximum: int | None = None
    """The reactive scaler's maximum; None without one."""
    scaler: Ref | None = None
    """The reactive scaler itself."""
    still: str = ""
    """Why the reactive scaler takes nothing away by itself now, in its own word; empty when it does."""
    limited: str = ""
    """Why the reactive scaler may not add as much as its metrics ask for, a sentence; empty when it may."""
    aims: Aims | None = None
    """What the reactive scaler holds its metrics at."""
    loan: LoanState | None = None
    trouble: Trouble | None = None
    note: str = ""
    about: Ref | None = None
    """The object that the trouble is with, when it is not the target itself."""
    evidence: tuple[Evidence, ...] = ()
    """Why units are not ready, as far as it is to be seen; looked for only while an event is near."""
    rooms: tuple[Room, ...] = ()
    """Bounds that it shares with others; looked for only while an event is near."""
    unit: Resources | None = None
    """What the pod template requests; None when nobody can tell."""
    spare_units: int | None = None
    """How many more units fit on the machines that are up; None when nobody can tell."""
    ordered: bool = False
    """Its units start one after the other: each is made when the one before is ready."""
    refused: Evidence | None = None
    """The API server keeps refusing to let the level be written."""
    seen: bool = True
    """False: what stands here is older than its bound, and ``note`` says since when and why. The level may rise on it;
    nothing falls on it, nothing is returned on it, and nothing in it becomes an original."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured lead time: a step of ``units`` was ready and warm after ``seconds``."""

    units: int
    seconds: float
    machines: bool = False
    ordered: bool | None = None
    """Whether the units started one after the other; None: nobody wrote that down."""


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """Constants of the planner; judgment where no source is named."""

    cell: float = 15.0
    """Seconds of one cell of the demand grid; a cell holds the largest demand inside it."""
    horizon: float = 86_400.0
    """Seconds ahead that levels are worked out."""
    creation_rate: float = 20.0
    """Pods per second that the whole cluster creates: the stock client limit of kube-controller-manager, which all
    workloads share (measured: 20 workloads x 50 pods ready in 53 s, one alone in 7 s)."""
    fail_over: float = 15.0
    """Seconds that a change of leader may take out of the lead."""
    reaction: float = 3.0
    """Seconds from a step being due to its write."""
    smallest_step_down: float = 0.02
    """A downward change smaller than this share of the level is not worth a write, unless it is the last."""

    @property
    def reserve(self) -> float:
        """Seconds after it was due for which a write is still in time: its lead time has kept them."""
        return self.reaction + self.fail_over
