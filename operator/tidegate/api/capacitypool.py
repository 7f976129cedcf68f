"""CapacityPool: machines that lanes share, whose work may stop for whom, and what is lent now."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from tidegate.api.amounts import Amount, ShownAmount
from tidegate.api.base import (
    DAY,
    WEEK,
    ApiVersion,
    KindName,
    LabelKey,
    LabelValue,
    Name,
    ObjectName,
    Quantity,
    Stored,
    Written,
    ZoneName,
    cel,
    refusal,
    rule,
)
from tidegate.api.conditions import Condition
from tidegate.api.problems import quoted

MAX_LANES = 6
MAX_MEMBERS = 64
"""Of one lane. Work in large numbers (Jobs of one kind) is one member by its labels."""
MAX_LABELS = 8
MAX_NAMESPACES = 256
MAX_REFUSALS = 16
MAX_CANNOT_STOP = 32

_LABEL_KEYS = "all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))"
_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_TIME_OF_DAY = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_RIGHT_TIME = 'give hours and minutes in quotes, e.g. "06:00"'


def _time_of_day(value: object) -> object:
    """Hours and minutes, or a pydantic error. YAML reads 18:00 without quotes as the number 1080: say so."""
    if type(value) is int and 0 <= value < 24 * 60:
        meant = f"{value // 60:02}:{value % 60:02}"
        raise refusal(f"{value} is a number: YAML reads {meant} as that", f'write it in quotes: "{meant}"')
    if isinstance(value, str) and not (len(value) == 5 and value.isascii() and _is_time(value)):
        raise refusal(f"{quoted(value)} is no time of day", _RIGHT_TIME)
    return value


def _is_time(text: str) -> bool:
    hours, colon, minutes = text[:2], text[2], text[3:]
    return hours.isdigit() and colon == ":" and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60


TimeOfDay = Annotated[
    str,
    BeforeValidator(_time_of_day),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 5,
            "x-kubernetes-validations": [rule(f"self.matches('{_TIME_OF_DAY}')", _RIGHT_TIME)],
        }
    ),
]
"""Hours and minutes of a wall clock: ``06:00``."""


class PoolCapacity(Written):
    """Where the machines are."""

    model_config = cel(
        ("has(self.nodeSelector) != has(self.given)", "give one of nodeSelector (measured) and given (as written)"),
        (
            "!has(self.nodeSelector) || self.nodeSelector." + _LABEL_KEYS,
            "keys of nodeSelector are keys of labels: pool, or example.com/pool",
        ),
    )

    node_selector: dict[LabelKey, LabelValue] | None = Field(
        default=None, min_length=1, max_length=MAX_LABELS, examples=["{pool: hangzhou-a}"]
    )
    """Labels of the nodes of this pool. What they have allocatable, less what others use there, is the capacity."""
    given: Amount | None = Field(default=None, examples=['{cpu: "640", memory: 1280Gi}'])
    """The capacity as written: where nodes cannot be seen, or are not the bound."""


class Remaining(Written):
    """How much work is left, in unit-seconds: one unit (replica, Job) works off one of them a second."""

    model_config = cel(
        ("has(self.query) != has(self.unitSeconds)", "give one of query (measured) and unitSeconds (as written)"),
    )

    query: Annotated[str, StringConstraints(min_length=1, max_length=4096, strict=True)] | None = Field(
        default=None, examples=["sum(etl_remaining_unit_seconds)"]
    )
    """PromQL that gives one series: unit-seconds left now."""
    unit_seconds: Quantity | None = None
    """Unit-seconds left, as written: for work that is the same each night."""


class MemberWork(Written):
    """Work with a deadline: as much of it goes on as is needed to be done in time."""

    deadline: TimeOfDay = Field(examples=['"06:00"'])
    """Time of day by which it must be done, each day."""
    time_zone: ZoneName
    """Zone of the deadline: an IANA name."""
    remaining: Remaining = Field(examples=['{query: "sum(etl_remaining_unit_seconds)"}'])
    """How much is left."""
    stale_after_seconds: Annotated[int, Field(ge=5, le=DAY)] = 300
    """A sample of the query older than this is stale; while nobody knows how much is left, nothing of it is stopped."""


class MemberObject(Written):
    """One object whose level may be lowered."""

    model_config = cel(
        (
            "!(self.kind in ['HorizontalPodAutoscaler', 'Pod', 'ScaledObject', 'CronJob'])",
            "name the workload itself (anything with /scale, or a Job); the Jobs of a CronJob by their labels, in jobs",
        )
    )

    api_version: ApiVersion
    """API version of the object."""
    kind: KindName
    """Kind of the object: any with a /scale subresource, which is lowered, or a Job of batch/v1, which is suspended."""
    namespace: Name
    """Namespace of the object."""
    name: ObjectName
    """Name of the object."""


class MemberJobs(Written):
    """All Jobs of a namespace that bear these labels."""

    model_config = cel(
        (
            "self.matchLabels." + _LABEL_KEYS,
            "keys of matchLabels are keys of labels: workload, or example.com/workload",
        ),
    )

    namespace: Name
    """Namespace of the Jobs."""
    match_labels: dict[LabelKey, LabelValue] = Field(
        min_length=1, max_length=MAX_LABELS, examples=["{workload: nightly}"]
    )
    """Labels that a Job bears, all of them."""


class PoolMember(Written):
    """Work of a lane that may stop for others."""

    model_config = cel(("has(self.ref) != has(self.jobs)", "give one of ref (an object) and jobs (by their labels)"))

    name: Name
    """Name of the member, unique in the pool."""
    ref: MemberObject | None = Field(
        default=None, examples=["{apiVersion: apps/v1, kind: Deployment, namespace: warehouse, name: loader}"]
    )
    """One object by its name."""
    jobs: MemberJobs | None = Field(default=None, examples=["{namespace: warehouse, matchLabels: {workload: nightly}}"])
    """All Jobs with certain labels. What there is of them at a time may be suspended one by one."""
    work: MemberWork | None = None
    """Its deadline and how much is left. Without it the member may stop for as long as it is lent."""


class DrainPlan(Written):
    """How a lane's work is stopped."""

    notice_seconds: Annotated[int, Field(ge=0, le=DAY)] = 0
    """From telling the work (by an Event on its object) to stopping it."""
    minimum_run_seconds: Annotated[int, Field(ge=0, le=DAY)] = 0
    """How long work runs, once started, before it may be stopped."""
    guess_seconds: Annotated[int, Field(ge=0, le=DAY)] = 60
    """From the write that stops it to machines seen free. Used only until it is measured."""


class PoolLane(Written):
    """One side of a pool."""

    model_config = cel(
        (
            # The whole pool would be 384 times 384, more than a server does: across lanes the operator looks.
            """!has(self.members) || self.members.all(m, !has(m.ref) || self.members.exists_one(n, has(n.ref)
              && n.ref.name == m.ref.name && n.ref == m.ref))""",
            "two members of the lane are the same object: one object is a member of a pool once",
        ),
    )

    name: Name
    """Name of the lane: trading, data, or your own. Targets of a ScalingPolicy name it."""
    guarantee_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the pool that is never lent away from this lane while it has use for it."""
    allowed_namespaces: list[Name] = Field(
        default=[], max_length=MAX_NAMESPACES, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Namespaces whose policies may ask for machines on this lane. Empty means nobody."""
    cap_percent_per_namespace: Annotated[int, Field(ge=1, le=100)] | None = None
    """Most of the pool that the needs of one namespace may take on this lane. Absent: no cap."""
    members: list[PoolMember] = Field(default=[], max_length=MAX_MEMBERS, json_schema_extra=_BY_NAME)
    """Work of this lane that may stop for the others."""
    drain: DrainPlan = Field(default_factory=DrainPlan, json_schema_extra={"default": {}})
    """How that work is stopped."""
    give_back_within_seconds: Annotated[int, Field(ge=1, le=WEEK)] = 3600
    """How long after the end of a borrower's planned need this lane's work stands at its own level again."""


class CapacityPoolSpec(Written):
    """Machines and the lanes that share them."""

    model_config = cel(
        (
            "self.lanes.map(l, l.guaranteePercent).sum() <= 100",
            "the lanes' guaranteePercent are more than 100 together: lower one of them",
        ),
    )

    capacity: PoolCapacity = Field(examples=["{nodeSelector: {pool: hangzhou-a}}"])
    """How much there is."""
    lanes: list[PoolLane] = Field(min_length=1, max_length=MAX_LANES, json_schema_extra=_BY_NAME)
    """Who shares it."""


# ---- status

_Count = Annotated[int, Field(ge=0, le=10**9)]
_Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]


class HandOverCounts(Stored):
    """Members of a lane by the state of their hand-over; those that are not part of any are not counted."""

    planned: _Count = 0
    """The work will be asked to stop; its notice has not begun."""
    notice: _Count = 0
    """Told, and runs on until notice and minimum run time are over."""
    drain: _Count = 0
    """Told to stop; its machines count on both sides until they are seen free."""
    lent: _Count = 0
    """Machines seen free and lent."""
    hold: _Count = 0
    """The need is over; the work waits until the borrower's machines are seen free."""
    give_back: _Count = 0
    """Started again, and not yet seen at its own level."""


class LaneStatus(Stored):
    """One lane now."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the lane."""
    granted: ShownAmount | None = None
    """What its targets may have now above their standing use."""
    in_flight: ShownAmount | None = None
    """What it still holds beyond what it may use: pods that are leaving."""
    lent: ShownAmount | None = None
    """What its stopped work has left to other lanes."""
    draining: ShownAmount | None = None
    """What its work was told to leave and still holds."""
    members: HandOverCounts | None = None
    """Its members by the state of their hand-over."""
    next_deadline: _Time | None = None
    """The first deadline of its work, UTC."""
    return_by: _Time | None = None
    """When the last of what it lent is promised back, UTC."""


class PoolRefusal(Stored):
    """A need that the pool does not carry."""

    owner: Annotated[str, Field(max_length=384)]
    """Whose need: namespace/policy/target."""
    lane: Annotated[str, Field(max_length=63)]
    """Lane that was asked."""
    reason: Annotated[str, Field(max_length=63)]
    """What stands against it, as a code."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The same as a sentence with numbers."""


class PoolCannotStop(Stored):
    """Work that a lane names and that lends nothing."""

    lane: Annotated[str, Field(max_length=63)]
    """Lane that names it."""
    object: Annotated[str, Field(max_length=384)]
    """Kind, namespace and name."""
    reason: Annotated[str, Field(max_length=63)]
    """Why, as a code."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The same as a sentence."""


class CapacityPoolStatus(Stored):
    """What the pool has, who holds it, and what is promised."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation that this status speaks of."""
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Accepted, Ready, Oversold (True is bad: more is held than there is), Stalled."""
    capacity: ShownAmount | None = None
    """What the pool has, measured or given."""
    lent: ShownAmount | None = None
    """What all lanes together have lent."""
    next_step_time: _Time | None = None
    """When the next piece of work is told, stopped or started again, UTC."""
    return_by: _Time | None = None
    """When the last of what is lent is promised back, UTC."""
    lanes: list[LaneStatus] = Field(default=[], max_length=MAX_LANES, json_schema_extra=_BY_NAME)
    """Each lane now."""
    refusals: list[PoolRefusal] = Field(
        default=[], max_length=MAX_REFUSALS, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Needs that are not carried, and why."""
    cannot_stop: list[PoolCannotStop] = Field(
        default=[], max_length=MAX_CANNOT_STOP, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Work that lanes name and that lends nothing: the first of each lane and reason, with how many more there are."""
    summary: Annotated[str, Field(max_length=256)] | None = None
    """The pool in one line: what is lent now and what comes next."""


class CapacityPool:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "CapacityPool"
    PLURAL: ClassVar[str] = "capacitypools"
    SHORT_NAMES: ClassVar[list[str]] = ["cpool"]
    SCOPE: ClassVar[str] = "Cluster"
    SPEC: ClassVar[type[Written] | type[Stored]] = CapacityPoolSpec
    STATUS: ClassVar[type[Stored] | None] = CapacityPoolStatus
    DESCRIPTION: ClassVar[str] = (
        "CapacityPool is a set of machines that lanes share. Around a peak the work of one lane lends its machines to"
        " another, is told before, and gets them back by a promised time. The pool is of the whole cluster."
    )
    COLUMNS: ClassVar[list[dict[str, Any]]] = [
        {"name": "Capacity", "type": "string", "jsonPath": ".status.capacity.cpu"},
        {"name": "Lent", "type": "string", "jsonPath": ".status.lent.cpu"},
        {"name": "Next", "type": "string", "jsonPath": ".status.nextStepTime"},
        {"name": "Return By", "type": "string", "jsonPath": ".status.returnBy"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Summary", "type": "string", "jsonPath": ".status.summary"},
        {"name": "Memory", "type": "string", "jsonPath": ".status.capacity.memory", "priority": 1},
        {
            "name": "Why",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].message',
            "priority": 1,
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
