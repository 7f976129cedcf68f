"""ScalingPolicy: which workloads carry which signals, and how they are moved; and what became of each of them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from tidegate.api.amounts import Amount
from tidegate.api.base import (
    DAY,
    WEEK,
    ApiVersion,
    HostName,
    KindName,
    Name,
    ObjectName,
    PositiveQuantity,
    Quantity,
    SignalName,
    Stored,
    Written,
    cel,
)
from tidegate.api.conditions import Condition
from tidegate.planning.model import STAGES

MAX_TARGETS = 64
MAX_SIGNALS = 32
MAX_LIMITS = 16
MAX_FORGOTTEN = 32
MAX_UNITS = 1_000_000

StageName = Literal["database", "cache", "app", "edge"]

_SIGNAL_KEYS = "all(k, k.matches('^[a-z][a-z0-9_]{0,62}$'))"


class Signal(Written):
    """A signal and how it is measured, once for all targets that carry it."""

    name: SignalName
    """Name of the signal, as events and capacities use it."""
    query: Annotated[str, StringConstraints(min_length=1, max_length=4096, strict=True)] | None = Field(
        default=None, examples=["sum(rate(orders_total[1m]))"]
    )
    """PromQL that gives one series: the demand now, in the signal's unit. Without it the signal is planned only. One
    reading raises a floor to twice the plan at most; samples that share nothing confirm the rest: two scrapes of each
    series, or with rate(x[1m]) two minutes, so that a short range is confirmed sooner. Two Prometheus that scrape the
    same: max without (replica) (...), for a sum would count it twice."""
    stale_after_seconds: Annotated[int, Field(ge=5, le=DAY)] = 120
    """A sample older than this is stale: it stops every downward move and never counts as zero. Of a sum, a rate or any
    other expression the samples of its inner selectors count."""


class TargetRef(Written):
    """A workload of the policy's namespace."""

    model_config = cel(
        (
            "!(self.kind in ['HorizontalPodAutoscaler', 'Pod', 'ScaledObject'])",
            "name the workload itself (a Deployment, anything with /scale): its autoscaler is found from it",
        )
    )

    api_version: ApiVersion
    """API version of the workload."""
    kind: KindName
    """Kind of the workload: Deployment, StatefulSet, or any kind with a /scale subresource."""
    name: ObjectName
    """Name of the workload."""


class Stage(Written):
    """When this target is ready, seen from the others: what stands behind is ready first."""

    name: StageName = "app"
    """Place in the chain: database before cache before app before edge."""
    settle_seconds: Annotated[int, Field(ge=0, le=DAY)] = 0
    """How long the stages behind this one must have been ready before it is."""


class LeadTime(Written):
    """How long from the write to ready and warm, until that has been measured."""

    guess_seconds: Annotated[int, Field(ge=0, le=DAY)] = 60
    """Seconds from the write to ready and warm on machines that are up. Used only until it is measured."""
    machine_seconds: Annotated[int, Field(ge=0, le=DAY)] = 0
    """Seconds more when machines must be started first."""


class Target(Written):
    """A workload, and how much one unit of it carries."""

    model_config = cel(
        ("!has(self.min) || self.min <= self.max", "min is above max: lower min or raise max"),
        (
            "self.capacity." + _SIGNAL_KEYS,
            "names of signals in capacity: lower-case letters, digits and underscores, such as orders_per_second",
        ),
        (
            "!has(self.background) || self.background.all(k, k in self.capacity)",
            "background names a signal that is not in capacity: add its capacity or remove it",
        ),
        ("!has(self.unit) || has(self.lane)", "unit is what a lane is asked for: give lane too, or remove unit"),
    )

    name: Name
    """Name of the target in this policy, unique."""
    ref: TargetRef = Field(examples=["{apiVersion: apps/v1, kind: Deployment, name: order-service}"])
    """The workload."""
    capacity: dict[SignalName, PositiveQuantity] = Field(
        min_length=1, max_length=MAX_SIGNALS, examples=["{orders_per_second: 250}"]
    )
    """How much of each signal one unit (replica) carries while it keeps its SLO. Of several signals the largest need
    counts."""
    background: dict[SignalName, Quantity] = Field(default={}, max_length=MAX_SIGNALS)
    """Demand that the workload carries without any event, per signal of capacity."""
    headroom_percent: Annotated[int, Field(ge=0, le=500)] | None = None
    """Added to the need before it is divided by the capacity. Absent: 20, and 0 in a policy with live, which prepares
    for a quantile of what may come already. On Double 11 of 2019, without live and with a hold of 30 s, 20 costs 1.24
    times the least and 4 costs 1.14, and nothing is lost; announced a fifth too low, 20 loses 0.02 % and 4 loses
    0.33 %, and live, at 1.13, nothing."""
    stage: Stage = Field(default_factory=Stage, json_schema_extra={"default": {}})
    """Order of readiness."""
    min: Annotated[int, Field(ge=0, le=MAX_UNITS)] = 1
    """Least units that a plan asks for while an event holds a loan."""
    max: Annotated[int, Field(ge=1, le=MAX_UNITS, examples=["200"])]
    """Most units that a plan asks for, however much is announced: the bound on what a slip of the pen can cost."""
    lead_time: LeadTime = Field(default_factory=LeadTime, json_schema_extra={"default": {}})
    """How long from the write to ready and warm, until that has been measured."""
    lane: Name | None = Field(default=None, examples=["trading"])
    """Lane of the pool of poolRef that this workload runs in: what it needs above its standing level is asked for
    there, and borrowed from the other lanes when it must be. Absent: it asks no pool."""
    unit: Amount | None = Field(default=None, examples=['{cpu: "2", memory: 4Gi}'])
    """What one unit takes of the pool, rounded up to millicores and MiB; at least what its pods request counts."""


class Limit(Written):
    """A bound on a signal that no unit lifts: what one database can write. An event that needs more is told so."""

    name: Name
    """Name of the limit in this policy, unique."""
    signal: SignalName
    """The signal that it bounds; some target carries it."""
    most: PositiveQuantity
    """The most of it that is carried, however many units there are, in the signal's unit."""
    says: Annotated[str, StringConstraints(max_length=256, strict=True)] = Field(
        default="", examples=["the primary of orders-db, measured by pgbench"]
    )
    """What bounds it, for whoever reads the verdict."""


class PoolRef(Written):
    """The pool whose machines the targets run on."""

    name: ObjectName
    """Name of a CapacityPool."""


class ReleasePlan(Written):
    """How a floor comes down."""

    hold_seconds: Annotated[int, Field(ge=0, le=DAY)] | None = None
    """Seconds that a level is kept after each fall of the need. Absent: 900, and 30 in a policy with live, which sees
    what demand still is: on Double 11 of 2019 nothing is lost either way, and 900 costs 1.44 times the least, 30 costs
    1.13 times."""
    max_step_percent_per_minute: Annotated[int, Field(ge=1, le=100)] = 20
    """Most that is given back in a minute, as a share of the loan's highest floor; with live, of the level. On a day of
    a marathon stream's viewers, with live, 10 loses 0.008 % at 1.047 times the least cost and 100 loses 0.022 % at
    1.044 (with a hold of 900 and 30 s); on Double 11 there is nothing between 20 and 100."""


class LivePlan(Written):
    """How a floor follows measured demand at all times, by what is learned of its growth."""

    quantile_percent: Annotated[int, Field(ge=50, le=99)] = 97
    """Share of the time in which no more comes within the lead time than is prepared for. 97 loses 0.05 % of the demand
    of the World Cup's group stage at 1.09 times the cost of a plan that knows it, 99 loses 0.01 % at 1.11 times."""
    fade_percent_per_minute: Annotated[int, Field(ge=1, le=100)] = 4
    """Share by which measured demand fades a minute at most: a sharp fall is often followed by as sharp a rise. On
    three weeks of demand that nothing is judged on, 4 loses 0.067 % at 1.069 times the least cost, 8 loses 0.073 % and
    16 0.080 % for as much."""
    forget_hosts: list[HostName] = Field(
        default=[], max_length=MAX_FORGOTTEN, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Hosts of whom nothing is remembered: what came of their announcements is dropped, and they count as new for as
    long as they stand here."""


class ScalingPolicySpec(Written):
    """Which workloads carry the events of this namespace that name this policy, and how they are moved."""

    model_config = cel(
        (
            """self.targets.all(t, self.targets.exists_one(u, u.ref.name == t.ref.name
              && u.ref.kind == t.ref.kind && u.ref.apiVersion == t.ref.apiVersion))""",
            "two targets name the same workload: merge them, several signals go into one capacity",
        ),
        (
            "has(self.poolRef) || !self.targets.exists(t, has(t.lane))",
            "a target names a lane, which is a lane of a pool: give poolRef too, or remove lane",
        ),
    )

    mode: Literal["Observe", "Enforce"] = "Observe"
    """Observe writes nothing but its own status and shows there all it would do; Enforce acts. Dry first: the default
    is Observe."""
    pool_ref: PoolRef | None = Field(default=None, examples=["{name: hangzhou-a}"])
    """The CapacityPool that targets with a lane ask for their machines."""
    quantile_percent: Annotated[int, Field(ge=50, le=99)] = 95
    """Quantile of demand and of lead time that is prepared for: of a hundred events so many find their capacity
    ready."""
    correlation_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """How far the events' errors move together: 0 lets independent errors cancel, 100 adds them as if one cause moved
    all."""
    signals: list[Signal] = Field(
        default=[],
        max_length=MAX_SIGNALS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """How signals are measured."""
    targets: list[Target] = Field(
        min_length=1,
        max_length=MAX_TARGETS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """The workloads."""
    limits: list[Limit] = Field(
        default=[],
        max_length=MAX_LIMITS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Bounds that no unit lifts. They hold no level back: the verdict on an event that needs more names them."""
    release: ReleasePlan = Field(default_factory=ReleasePlan, json_schema_extra={"default": {}})
    """How floors come down."""
    live: LivePlan | None = Field(default=None, examples=["{}"])
    """Follow measured demand at all times: the floor is what is measured, times what it may grow within the lead time;
    announced steps come on top before they are seen, and what is announced is corrected by what is measured after that.
    Absent: measured demand adds to the plan while an event is on. For a workload without an autoscaler, or over one
    that comes down quickly and stands at 90 % or more: over another the floor is dead weight."""
    blind_max_seconds: Annotated[int, Field(ge=0, le=WEEK)] = 1800
    """How long missing metrics stop downward moves, counted from the end of the last good reading whatever is wrong
    since; after that, levels step down gently all the same and say so."""


class LeadTimeParts(Stored):
    """What a lead time is made of, in seconds."""

    start: Annotated[int, Field(ge=0)] = 0
    """From the write to ready and warm on machines that are up: measured, or the guess."""
    machines: Annotated[int, Field(ge=0)] = 0
    """Starting machines first."""
    writing: Annotated[int, Field(ge=0)] = 0
    """Waiting for the operator's own writes, when many levels rise at the same time."""
    creation: Annotated[int, Field(ge=0)] = 0
    """Waiting for the cluster's pod-creation rate, which all workloads share."""
    fail_over: Annotated[int, Field(ge=0)] = 0
    """A change of leader at the wrong time."""
    reaction: Annotated[int, Field(ge=0)] = 0
    """From a step being due to its write."""
    measured: bool | None = None
    """Whether start was measured; otherwise it is the policy's guess."""


class TargetStatus(Stored):
    """One target now and ahead."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the target."""
    floor: Annotated[int, Field(ge=0)] | None = None
    """Floor that holds now."""
    peak_floor: Annotated[int, Field(ge=0)] | None = None
    """Highest floor ahead, within the horizon of a day."""
    peak_time: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})] | None = None
    """When that floor is needed, UTC."""
    ready: Annotated[int, Field(ge=0)] | None = None
    """Units ready now; absent while nobody can tell."""
    next_step_time: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})] | None = None
    """When the floor moves next, UTC. Absent where it will not move: the target cannot be driven, the durable stop is
    set, the pool refuses, or nothing that is announced asks for another floor.
    """
    next_step_floor: Annotated[int, Field(ge=0)] | None = None
    """What it moves to."""
    lead_time_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long before the need the next upward step is written."""
    lead_time_parts: LeadTimeParts | None = None
    """What that is made of."""
    reason: Annotated[str, Field(max_length=63)] | None = None
    """Why the floor is what it is, as a code."""
    message: Annotated[str, Field(max_length=512)] | None = None
    """The same as a sentence."""
    overridden: Annotated[str, Field(max_length=1024)] | None = None
    """What on-call says of this target now: each override in force with its author, reason and end."""


class ScalingPolicyStatus(Stored):
    """What the policy does now and next, target by target."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation that this status speaks of."""
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Accepted, Ready, Blind (a signal cannot be read), Stalled."""
    targets: list[TargetStatus] = Field(
        default=[],
        max_length=MAX_TARGETS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Each target now and ahead."""
    next_step_time: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})] | None = None
    """When any target moves next, UTC."""
    summary: Annotated[str, Field(max_length=256)] | None = None
    """All targets in one line: what is held now and what comes next."""
    zone_data: Annotated[str, Field(max_length=64)] | None = None
    """The time zone database that events' wall-clock times are read with: its release, and whether it is the system's
    or the installed package's."""


class ScalingPolicy:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "ScalingPolicy"
    PLURAL: ClassVar[str] = "scalingpolicies"
    SHORT_NAMES: ClassVar[list[str]] = ["scp"]
    SCOPE: ClassVar[str] = "Namespaced"
    SPEC: ClassVar[type[Written] | type[Stored]] = ScalingPolicySpec
    STATUS: ClassVar[type[Stored] | None] = ScalingPolicyStatus
    DESCRIPTION: ClassVar[str] = (
        "ScalingPolicy names the workloads that carry a namespace's events, how much one unit of each carries, and how"
        " their floors are raised before a peak and lowered after it."
    )
    COLUMNS: ClassVar[list[dict[str, Any]]] = [
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Blind", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Blind")].status'},
        {"name": "Next", "type": "string", "jsonPath": ".status.nextStepTime"},
        {"name": "Summary", "type": "string", "jsonPath": ".status.summary"},
        {
            "name": "Why",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].message',
            "priority": 1,
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


assert tuple(StageName.__args__) == STAGES  # type: ignore[attr-defined]  # noqa: S101 - two lists that must agree
