"""LiveEvent: an announced peak, as a person writes it and as its status tells it.

The models are the source of the CRD (``api.crd``) and of parsing (``api.parse``): bounds and descriptions stand here
and nowhere else. Rules that need more than one field are CEL here, for the API server, and Python in
``api.check_event``, for everything CEL cannot know (time zones, recurrence).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from tidegate.api.base import (
    MAX_DURATION,
    WEEK,
    HostName,
    LocalDay,
    LocalTime,
    Name,
    ObjectName,
    PositiveQuantity,
    Quantity,
    Seconds,
    SignalName,
    Stored,
    Written,
    ZoneName,
    cel,
)
from tidegate.api.conditions import Condition

MAX_MOMENTS = 256
MAX_SIGNALS = 32
MAX_CHANGES = 366

Profile = Literal["flat", "show", "flash-sale", "match", "opening"]


class Recurrence(Written):
    """When the event takes place again, in wall-clock time of the zone."""

    model_config = cel(
        (
            "self.rrule.matches('(?i)FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)')",
            "rrule must say FREQ=DAILY, WEEKLY, MONTHLY or YEARLY; several peaks within a day are moments",
        ),
        (
            "!(self.rrule.matches('(?i)COUNT=') && self.rrule.matches('(?i)UNTIL='))",
            "rrule ends by COUNT or by UNTIL, not by both",
        ),
    )

    rrule: Annotated[str, StringConstraints(min_length=10, max_length=256, strict=True)] = Field(
        examples=['"FREQ=WEEKLY;BYDAY=TU,TH;COUNT=8"']
    )
    """RFC 5545 recurrence rule without DTSTART, which is ``startTime``: FREQ daily or rarer, COUNT up to 366, UNTIL as
    a date or as a time (local, or UTC with Z). Parts that move the time of day (BYHOUR, BYMINUTE, BYSECOND) are
    refused."""
    exclude: list[LocalDay] = Field(
        default=[], max_length=MAX_CHANGES, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Occurrences that do not take place: their local date ("2026-11-12") or full local start."""


class Change(Written):
    """What became of one occurrence: cancelled, or moved, or made longer (moved and longer is possible)."""

    model_config = cel(
        (
            """has(self.cancelled) && self.cancelled
            ? !has(self.postponedTo) && !has(self.extendedBySeconds)
            : has(self.postponedTo) || has(self.extendedBySeconds)""",
            "say either cancelled: true, or postponedTo, extendedBySeconds or both of these",
        ),
    )

    occurrence: LocalTime
    """The occurrence's announced local start, as startTime and recurrence give it, whatever became of it since."""
    postponed_to: LocalTime | None = None
    """New local start; earlier than announced is possible too. The duration stays."""
    cancelled: bool | None = None
    """True: this occurrence does not take place."""
    extended_by_seconds: Annotated[int, Field(ge=1, le=WEEK)] | None = None
    """Seconds that this occurrence lasts longer. Moments anchored at the end move with it."""


class Schedule(Written):
    """When the event takes place."""

    start_time: LocalTime
    """Announced start (T-0) of the first occurrence: wall-clock time in timeZone, without offset. A time that the zone
    skips when clocks go forward is moved forward by the gap; of a time that comes twice the first is meant."""
    time_zone: ZoneName
    """IANA time zone of all local times of this event, such as Asia/Shanghai or America/New_York."""
    duration_seconds: Annotated[int, Field(ge=1, le=MAX_DURATION, examples=["7200"])]
    """Seconds from start to end of an occurrence, as time passes (a change of the clocks does not stretch it)."""
    recurrence: Recurrence | None = None
    """When it takes place again; without it there is one occurrence."""
    changes: list[Change] = Field(
        default=[],
        max_length=MAX_CHANGES,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["occurrence"]},
    )
    """Occurrences that were cancelled, moved or extended, by their announced start."""


class DerivedSignal(Written):
    """A signal that follows another one: factor times the other, lagSeconds later."""

    model_config = cel(("self.signal != self.from", "a signal cannot be derived from itself: name another in from"))

    signal: SignalName
    """The signal that follows."""
    source: SignalName = Field(alias="from")
    """The signal it follows: one of expected, or another derived one."""
    factor: PositiveQuantity
    """How much of signal comes with one of from: 2.5 Mbit/s a viewer is "2.5"."""
    lag_seconds: Seconds = 0
    """How much later it follows: refunds come hours after orders."""


class Moment(Written):
    """An instant inside, before or after each occurrence with demand of its own."""

    model_config = cel(
        ("has(self.factor) != has(self.level)", "give either factor (times the expected plateau) or level (absolute)")
    )

    name: Name
    """Name of the moment, unique in the event: opening, link-drop, lottery, closing."""
    signal: SignalName
    """The signal that it raises. Signals derived from it feel the moment too, their own lag later."""
    anchor: Literal["Start", "End"] = "Start"
    """What offsetSeconds counts from: the occurrence's start, or its end (which moves when it is extended)."""
    offset_seconds: Annotated[int, Field(ge=-(MAX_DURATION + WEEK), le=MAX_DURATION + WEEK)] = 0
    """Seconds from the anchor to the moment; negative is before: a crowd that comes an hour early is -3600."""
    lag_seconds: Seconds = 0
    """How much later than the moment itself this signal feels it; added to offsetSeconds."""
    duration_seconds: Annotated[int, Field(ge=1, le=WEEK, examples=["90"])]
    """Seconds that it lasts."""
    factor: PositiveQuantity | None = None
    """Times the announced plateau of the signal, whatever the shape says at that instant: the plateau is the signal's
    value in expected, or for a derived signal its factor times the plateau of its source. Inside the moment the demand
    is the larger of the shape's value and factor times plateau; of overlapping moments of a signal the largest
    counts."""
    level: PositiveQuantity | None = None
    """Absolute demand inside the moment, in the signal's own unit, instead of a factor."""


class PolicyRef(Written):
    """A ScalingPolicy of the same namespace."""

    name: ObjectName
    """Name of the ScalingPolicy."""


class LiveEventSpec(Written):
    """What is announced: when the crowd comes, and how large it is."""

    model_config = cel(
        (
            "(has(self.expected) && size(self.expected) > 0) || (has(self.moments) && size(self.moments) > 0)",
            "announce some demand: a level in expected, or a moment with a level",
        ),
        (
            "!has(self.expected) || self.expected.all(k, k.matches('^[a-z][a-z0-9_]{0,62}$'))",
            "names of signals in expected: lower-case letters, digits and underscores, such as orders_per_second",
        ),
        (
            "!has(self.derived) || !has(self.expected) || self.derived.all(d, !(d.signal in self.expected))",
            "a signal is either expected or derived, not both: remove it from one of them",
        ),
        (
            """!has(self.derived) || self.derived.all(d,
              (has(self.expected) && d.from in self.expected) || self.derived.exists(e, e.signal == d.from))""",
            "from in derived must name a signal of expected or another derived signal",
        ),
        (
            """!has(self.moments) || self.moments.all(m, !has(m.factor)
              || (has(self.expected) && m.signal in self.expected)
              || (has(self.derived) && self.derived.exists(d, d.signal == m.signal)))""",
            "a moment with a factor needs its signal in expected or derived; for another signal give an absolute level",
        ),
    )

    schedule: Schedule = Field(
        examples=['{startTime: "2026-11-10T20:00:00", timeZone: Asia/Shanghai, durationSeconds: 7200}']
    )
    """When it takes place."""
    expected: dict[SignalName, Quantity] = Field(
        default={}, max_length=MAX_SIGNALS, examples=["{concurrent_viewers: 2000000}"]
    )
    """Expected demand per signal, the median of the event's plateau, moments apart. Concurrency or rates
    (concurrent_viewers, orders_per_second), never totals. A class of many small rooms is one event with their sum."""
    derived: list[DerivedSignal] = Field(
        default=[],
        max_length=MAX_SIGNALS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["signal"]},
    )
    """Signals that follow others: egress follows viewers, refunds follow orders."""
    spread_percent: Annotated[int, Field(ge=0, le=300)] = 0
    """How unsure the expected levels are: one standard deviation as a share of the level. 0 takes them at their
    word."""
    profile: Profile = "flat"
    """Shape of the demand around the plateau: how it ramps up before and inside the event and decays after it."""
    moments: list[Moment] = Field(
        default=[],
        max_length=MAX_MOMENTS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Instants with demand of their own, the same in each occurrence."""
    host: HostName | None = None
    """Who announces it. A policy that follows demand (``live``) learns how much of what a host announced came, and
    prepares for his next event by that."""
    tier: HostName | None = None
    """Class of hosts that he is of, such as head or tail: what counts of a host of whom nothing is known."""
    policy_ref: PolicyRef = Field(examples=["{name: shop-core}"])
    """The ScalingPolicy whose targets carry this event."""


class NextOccurrence(Stored):
    """The occurrence that runs, or else the next one."""

    start: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]
    """Start in UTC, after changes."""
    start_local: Annotated[str, Field(max_length=35)]
    """The same instant in the event's zone, with its offset."""
    end: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]
    """End in UTC, after changes."""
    end_local: Annotated[str, Field(max_length=35)] | None = None
    """The same instant in the event's zone, with its offset."""
    note: Annotated[str, Field(max_length=256)] | None = None
    """What a change of the clocks made of the announced wall-clock time, if anything."""


class Share(Stored):
    """What this event alone asks of one target at its peak."""

    target: Annotated[str, Field(max_length=63)]
    """Name of the target in the policy."""
    units: Annotated[int, Field(ge=0, le=10**9)]
    """Units (replicas) at the event's own peak."""


class LastOccurrence(Stored):
    """How an occurrence went."""

    start: Annotated[str, Field(max_length=35)]
    """T-0, UTC."""
    outcome: Annotated[str, Field(max_length=16)]
    """Blocked or Late where that was told of it while it was on, else the last verdict: Ready or Unknown."""
    message: Annotated[str, Field(max_length=512)]
    """The sentence of that verdict."""
    ready_time: Annotated[str, Field(max_length=35)] | None = None
    """When all of it was ready, UTC; absent when it was not at the end."""


class LiveEventStatus(Stored):
    """What became of the announcement."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation that this status speaks of."""
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Accepted, Ready, OnTime (the verdict), Live, Stalled. An event that waits for next Friday is Ready."""
    next_occurrence: NextOccurrence | None = None
    """The occurrence that runs, or else the next one; absent when none is left."""
    share: list[Share] = Field(
        default=[],
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["target"]},
    )
    """What this event alone asks of each target at its peak."""
    outcome: Literal["Armed", "Ready", "Late", "Blocked", "Unknown", "Over", "Invalid"] | None = None
    """The verdict in one word; Armed from acceptance to an hour before the event, or Blocked where that is known by
    then."""
    verdict: Annotated[str, Field(max_length=512)] | None = None
    """Ready, Late or Blocked, with the reason in a sentence."""
    blocked_by: Annotated[str, Field(max_length=320)] | None = None
    """The object that stands in the way of a Blocked event, as ``Kind/name``; absent otherwise."""
    ready_time: Annotated[str, Field(max_length=35)] | None = None
    """Since when all of the occurrence is ready, UTC; absent while it is not."""
    looked_at: Annotated[str, Field(max_length=35)] | None = None
    """When this was last looked at, UTC: shown from 15 minutes before T-0 to the end, moved at most every 30 s. Two
    minutes old, it means that nobody leads, or that the loop is stuck. Absent while too many events run at once."""
    last_occurrence: LastOccurrence | None = None
    """How the last occurrence went, or how the one goes that is on, as soon as that was Late or Blocked; absent when
    none was seen."""


class LiveEvent:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "LiveEvent"
    PLURAL: ClassVar[str] = "liveevents"
    SHORT_NAMES: ClassVar[list[str]] = ["lev"]
    SCOPE: ClassVar[str] = "Namespaced"
    SPEC: ClassVar[type[Written] | type[Stored]] = LiveEventSpec
    STATUS: ClassVar[type[Stored] | None] = LiveEventStatus
    DESCRIPTION: ClassVar[str] = (
        "LiveEvent announces a peak: a show, a sale, a match. Tidegate has the capacity ready before it starts and"
        " gives it back after it ends."
    )
    COLUMNS: ClassVar[list[dict[str, Any]]] = [
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Verdict", "type": "string", "jsonPath": ".status.outcome"},
        {"name": "Blocked-By", "type": "string", "jsonPath": ".status.blockedBy"},
        {"name": "Looked", "type": "date", "jsonPath": ".status.lookedAt"},
        {"name": "Next", "type": "string", "jsonPath": ".status.nextOccurrence.startLocal"},
        {"name": "Live", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Live")].status'},
        {"name": "Policy", "type": "string", "jsonPath": ".spec.policyRef.name"},
        {"name": "Why", "type": "string", "jsonPath": ".status.verdict", "priority": 1},
        {"name": "Zone", "type": "string", "jsonPath": ".spec.schedule.timeZone", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
