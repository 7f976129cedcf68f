"""Learned: what the operator has found out about the targets of one policy, or the lanes of one pool, so that the next
life of the operator decides as the last one did.

Losing it costs precision and never a floor, so that an object that cannot be understood is dropped and written anew.
``learned_to_object`` and ``learned_from_object`` are the whole mapping between the API object and ``ports.Learned``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from tidegate.api.base import API_VERSION, Stored
from tidegate.api.problems import InvalidObject, Problem, explain, quoted
from tidegate.api.walltime import recorded, to_rfc3339
from tidegate.planning.hosts import HostSteps
from tidegate.planning.model import Identity, Key, Measured
from tidegate.planning.resources import Resources
from tidegate.planning.shift.outcome import Promise
from tidegate.ports import Ended, FieldId, Grown, LastValid
from tidegate.ports import Learned as PortLearned

MAX_SAMPLES = 100
"""Start times kept of one target."""
MAX_DRAINS = 20
"""Drain times kept of one lane."""
MAX_ENDED = 24
MAX_LEVELS = 16
MAX_LAST_VALID = 32
MAX_GRANTED = 250
MAX_DOCUMENT = 4096
"""Characters of one last valid version."""
MAX_GROWTH, MAX_GROWTH_TEXT = 4, 16_000
"""Signals of a policy, and characters of one."""
MAX_HOSTS = 64
"""Hosts and tiers kept of one signal."""
MAX_BLIND = 64
"""Blind signals kept of one policy."""
MAX_TIMETABLE = 40_000
"""Characters of a timetable."""
FORMAT = 1

_Units = Annotated[int, Field(ge=0, le=2_147_483_647)]
_Millis = Annotated[int, Field(ge=0, le=1_000_000_000)]
_Name = Annotated[str, Field(max_length=253)]


class LearnedOf(Stored):
    """Whose it is."""

    kind: Literal["ScalingPolicy", "CapacityPool", "Operator"]
    """ScalingPolicy of the same namespace, or CapacityPool; Operator for what belongs to neither."""
    name: _Name
    """Its name; of the operator nothing."""


class TargetStarts(Stored):
    """How long steps of one target took from the write to ready, oldest first: two lists of one length."""

    target: Annotated[str, Field(max_length=63)]
    """Name of the target in the policy."""
    units: list[_Units] = Field(max_length=MAX_SAMPLES, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    """Units that the operator started."""
    milliseconds: list[_Millis] = Field(max_length=MAX_SAMPLES, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    """Milliseconds until they were ready."""
    ordered: bool | None = None
    """Whether the units started one after the other, as those of a StatefulSet may; not set: as they do now."""


class LaneDrains(Stored):
    """How long machines of one lane took to become free, oldest first."""

    lane: Annotated[str, Field(max_length=63)]
    """Name of the lane."""
    milliseconds: list[_Millis] = Field(max_length=MAX_DRAINS, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    """Milliseconds from the stop."""


class TargetSize(Stored):
    """What pods of one target of a pool were last admitted with beyond what their template requests."""

    target: Annotated[str, Field(max_length=63)]
    """Name of the target in the policy."""
    cpu: Annotated[int, Field(ge=0, le=10**15)]
    """Millicores."""
    memory: Annotated[int, Field(ge=0, le=10**15)]
    """MiB."""


class EndedLoan(Stored):
    """Levels that were lent under a loan that ended lately: if one comes back it is nobody's new intent."""

    group: Annotated[str, Field(max_length=253)] = ""
    """API group of the object; empty for the core group."""
    kind: Annotated[str, Field(max_length=63)]
    """Kind of the object."""
    namespace: Annotated[str, Field(max_length=63)]
    """Namespace of the object."""
    name: _Name
    """Name of the object."""
    uid: Annotated[str, Field(max_length=128)]
    """UID of the object."""
    field: Annotated[str, Field(max_length=128)]
    """JSON pointer of the field."""
    subresource: Annotated[str, Field(max_length=63)] = ""
    """Subresource through which it is written, if any."""
    time: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]
    """When the loan ended, UTC with milliseconds."""
    levels: list[_Units] = Field(
        default=[], max_length=MAX_LEVELS, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Levels that the operator wrote, latest last."""


class LastValidVersion(Stored):
    """An object as it was before somebody edited it into something invalid: it counts until that is mended."""

    kind: Literal["CapacityPool", "LiveEvent", "Override", "ScalingPolicy"]
    """Kind of the object. A CapacityPool stands in what was learned of itself alone."""
    name: _Name
    """Name of the object, in the namespace of the policy; a CapacityPool has none."""
    uid: Annotated[str, Field(max_length=128)]
    """UID: an object that was deleted and made again has no last version."""
    document: Annotated[str, Field(max_length=MAX_DOCUMENT)]
    """The object as JSON: metadata that is planned with, and spec."""


class GrantedShare(Stored):
    """What was granted to one owner of a need."""

    owner: Annotated[str, Field(max_length=384)]
    """Namespace, policy and target."""
    start: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})] | None = None
    """From when, UTC with milliseconds; not set: it has begun."""
    end: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]
    """Until when, UTC with milliseconds."""
    cpu: Annotated[int, Field(ge=0, le=10**15)]
    """Millicores."""
    memory: Annotated[int, Field(ge=0, le=10**15)]
    """MiB."""


class HostRecord(Stored):
    """How much of what one host announced came, or the hosts of one tier."""

    kind: Literal["host", "tier"]
    """Which of the two it is."""
    name: Annotated[str, Field(max_length=63)]
    """Its name in LiveEvents."""
    announced_events: Annotated[int, Field(ge=0, le=1_000_000)]
    """Announced steps that were seen, in thousandths: old ones count less."""
    came_permille: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    """How much of such a step came, in the mean."""
    came_spread_permille: Annotated[int, Field(ge=0, le=1_000_000)]
    """Standard deviation of that."""


class SignalGrowth(Stored):
    """How a signal grows, and how much of what was announced of it came."""

    signal: Annotated[str, Field(max_length=63)]
    """Name of the signal in the policy."""
    growth: Annotated[str, Field(max_length=MAX_GROWTH_TEXT)]
    """Trends, what events bring at which phase, how large errors are: float32, deflated, in base 85."""
    announced_events: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Announced steps that were seen, in thousandths: old ones count less."""
    came_permille: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 1_000
    """How much of such a step came, in the mean."""
    came_spread_permille: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Standard deviation of that."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})] | None = None
    """Since when readings teach it, UTC with milliseconds; not set: not known."""
    past_seconds: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """For how long before that Prometheus still told what it was, and it was learned from."""
    high: Annotated[str, Field(max_length=16, pattern=r"^[0-9](\.[0-9]{1,8})?e[+-][0-9]{2}$")] | None = None
    """What it fell from, faded, in its own unit (``5.25e+03``), when it fell sharply and nobody had announced it."""
    high_time: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})] | None = None
    """As of when, UTC with milliseconds; not set: it did not fall."""
    hosts: list[HostRecord] = Field(
        default=[], max_length=MAX_HOSTS, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """The same of hosts and tiers; who opened last comes last."""


class BlindSignal(Stored):
    """A signal without a good reading."""

    signal: Annotated[str, Field(max_length=63)]
    """Name of the signal in the policy."""
    since: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]
    """Since when, UTC with milliseconds: a level is kept for blindMaxSeconds from then, whoever leads."""


class LearnedSpec(Stored):
    """What was learned; at most 96 KiB of a policy and 112 KiB of a pool, of each list the latest."""

    format: Annotated[int, Field(ge=1, le=1_000)] = FORMAT
    """Version of this layout; one of another version counts as empty."""
    of: LearnedOf
    """The policy or the pool that it belongs to."""
    epoch: Annotated[int, Field(ge=0, le=2_147_483_647)]
    """Leader epoch (leaseTransitions) that wrote this last."""
    starts: list[TargetStarts] = Field(
        default=[], max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Start times by target."""
    drains: list[LaneDrains] = Field(default=[], max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    """Drain times by lane."""
    sizes: list[TargetSize] = Field(default=[], max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    """Of a policy: what pods take beyond their template, by target; it counts while a target has no pods."""
    ended: list[EndedLoan] = Field(
        default=[], max_length=MAX_ENDED, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Loans that ended within the last 15 minutes."""
    last_valid: list[LastValidVersion] = Field(
        default=[], max_length=MAX_LAST_VALID, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Last valid versions of what is invalid now."""
    granted: list[GrantedShare] = Field(
        default=[], max_length=MAX_GRANTED, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Of a pool: who was let in with what. Nobody takes the place of who came first."""
    growth: list[SignalGrowth] = Field(
        default=[], max_length=MAX_GROWTH, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Of a policy that follows demand: how its signals grow."""
    blind: list[BlindSignal] = Field(
        default=[], max_length=MAX_BLIND, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Of a policy: signals that have been blind for a minute and more."""
    timetable: Annotated[str, Field(max_length=MAX_TIMETABLE)] = ""
    """Of a pool: which work is planned to stop and to run again when, and for whom: JSON, deflated, in base64. Empty
    where it does not fit."""
    writes_per_second: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Of the operator: levels that it can write a second, as measured; not set: as many as it counts on at the most."""


class Learned:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "Learned"
    PLURAL: ClassVar[str] = "learned"
    SHORT_NAMES: ClassVar[list[str]] = []
    SCOPE: ClassVar[str] = "Namespaced"
    SPEC: ClassVar[type[Any]] = LearnedSpec
    STATUS: ClassVar[type[Stored] | None] = None
    DESCRIPTION: ClassVar[str] = (
        "Learned is what the operator has found out about one policy or pool: start times, drains, sizes of pods,"
        " places in line, timetables, levels of loans that ended lately, last valid versions. Written by the operator"
        " alone; deleting it costs precision, never a floor."
    )
    COLUMNS: ClassVar[list[dict[str, Any]]] = [
        {"name": "Kind", "type": "string", "jsonPath": ".spec.of.kind"},
        {"name": "Of", "type": "string", "jsonPath": ".spec.of.name"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def learned_to_object(one: PortLearned, name: Key) -> dict[str, Any]:
    """The Learned object of that name for what was learned."""
    kind = "ScalingPolicy" if one.of.namespace else "CapacityPool" if one.of.name else "Operator"
    spec: dict[str, Any] = {"format": FORMAT, "of": {"kind": kind, "name": one.of.name}, "epoch": one.epoch}
    if one.starts:
        spec["starts"] = [
            {
                "target": target,
                "units": [s.units for s in samples],
                "milliseconds": [_millis(s.seconds) for s in samples],
                **_ordered(samples),
            }
            for target, samples in sorted(one.starts.items())
        ]
    if one.drains:
        spec["drains"] = [
            {"lane": lane, "milliseconds": [*map(_millis, took)]} for lane, took in sorted(one.drains.items())
        ]
    if one.sizes:
        spec["sizes"] = [
            {"target": target, "cpu": extra.cpu, "memory": extra.memory} for target, extra in sorted(one.sizes.items())
        ]
    if one.ended:
        spec["ended"] = [_ended(ended) for ended in one.ended]
    if one.last_valid:
        spec["lastValid"] = [
            {"kind": version.kind, "name": version.key.name, "uid": version.uid, "document": version.document}
            for version in one.last_valid
        ]
    if one.granted:
        spec["granted"] = [_share(promise) for promise in one.granted]
    if one.growth:
        spec["growth"] = [_growth(signal, grown) for signal, grown in sorted(one.growth.items())]
    if one.blind:
        spec["blind"] = [
            {"signal": signal, "since": to_rfc3339(since, milliseconds=True)}
            for signal, since in sorted(one.blind.items())[:MAX_BLIND]
        ]
    if one.timetable:
        spec["timetable"] = one.timetable
    if one.writes_per_second is not None:
        spec["writesPerSecond"] = one.writes_per_second
    metadata = {"name": name.name, "namespace": name.namespace}
    return {"apiVersion": API_VERSION, "kind": Learned.KIND, "metadata": metadata, "spec": spec}


def learned_from_object(obj: Mapping[str, Any]) -> PortLearned:
    """What an object of the API tells; InvalidObject when it tells nothing that can be understood."""
    try:
        spec = LearnedSpec.model_validate(obj["spec"])
        namespace = str(obj["metadata"]["namespace"])
        if spec.format != FORMAT:
            raise InvalidObject([Problem("spec.format", f"{spec.format} is of another version", str(FORMAT))])
        if any(len(starts.units) != len(starts.milliseconds) for starts in spec.starts):
            wrong = "units and milliseconds differ in length"
            raise InvalidObject([Problem("spec.starts", wrong, "lists of one length")])
        if spec.of.kind == "ScalingPolicy" and any(one.namespace != namespace for one in spec.ended):
            wrong = "names an object of another namespace"
            raise InvalidObject([Problem("spec.ended", wrong, f"objects of {namespace}")])
        if (spec.of.kind == "Operator") is bool(spec.of.name):
            wrong = f"{quoted(spec.of.name)} names no {spec.of.kind}"
            raise InvalidObject([Problem("spec.of.name", wrong, "a name; of the Operator an empty one")])
        of = Key(namespace if spec.of.kind == "ScalingPolicy" else "", spec.of.name)
        versions = tuple(_read_version(one, namespace) for one in spec.last_valid)
        if any(one.kind == "CapacityPool" and one.key != of for one in versions):
            wrong = "names a CapacityPool that it is not about"
            raise InvalidObject([Problem("spec.lastValid", wrong, "the CapacityPool of spec.of, or none")])
        return PortLearned(
            of=of,
            epoch=spec.epoch,
            starts={one.target: tuple(_read_starts(one)) for one in spec.starts},
            drains={one.lane: tuple(_seconds(one.milliseconds)) for one in spec.drains},
            sizes={one.target: Resources(one.cpu, one.memory) for one in spec.sizes},
            ended=tuple(_read_ended(one) for one in spec.ended),
            last_valid=versions,
            granted=tuple(map(_read_share, spec.granted)),
            timetable=spec.timetable,
            growth={one.signal: _read_growth(one) for one in spec.growth},
            blind={one.signal: recorded(one.since) for one in spec.blind},
            writes_per_second=spec.writes_per_second,
        )
    except ValidationError as error:
        raise InvalidObject(explain(error, LearnedSpec)) from error
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidObject):
            raise
        raise InvalidObject([Problem("", f"is no Learned ({error})", "written by the operator alone")]) from error


def _ordered(samples: Sequence[Measured]) -> dict[str, bool]:
    """How units start, as of the latest measurement: no others are kept beside it."""
    latest = samples[-1].ordered if samples else None
    return {} if latest is None else {"ordered": latest}


def _read_starts(one: TargetStarts) -> Iterator[Measured]:
    for units, seconds in zip(one.units, _seconds(one.milliseconds), strict=True):
        yield Measured(units, seconds, ordered=one.ordered)


def _read_version(one: LastValidVersion, namespace: str) -> LastValid:
    return LastValid(one.kind, Key("" if one.kind == "CapacityPool" else namespace, one.name), one.uid, one.document)


def _growth(signal: str, grown: Grown) -> dict[str, Any]:
    return {
        "signal": signal,
        "growth": grown.packed,
        "announcedEvents": round(1000 * grown.events),
        "camePermille": round(1000 * grown.mean),
        "cameSpreadPermille": round(1000 * math.sqrt(grown.square)),
        **({"since": to_rfc3339(grown.since, milliseconds=True)} if grown.since > 0.0 else {}),
        **({"pastSeconds": round(grown.past)} if grown.past > 0.0 else {}),
        **_high(grown),
        **({"hosts": [_host(one) for one in grown.hosts[-MAX_HOSTS:]]} if grown.hosts else {}),
    }


def _read_growth(one: SignalGrowth) -> Grown:
    since = 0.0 if one.since is None else recorded(one.since)
    high_at = 0.0 if one.high is None or one.high_time is None else recorded(one.high_time)
    return Grown(
        one.growth,
        events=one.announced_events / 1000,
        mean=one.came_permille / 1000,
        square=(one.came_spread_permille / 1000) ** 2,
        since=since,
        past=one.past_seconds,
        high=0.0 if one.high is None else float(one.high),
        high_at=high_at,
        hosts=tuple(map(_read_host, one.hosts)),
    )


def _host(one: HostSteps) -> dict[str, Any]:
    kind, name, events, mean, square = one
    counts = {"announcedEvents": round(1000 * events), "camePermille": round(1000 * mean)}
    return {"kind": kind, "name": name, **counts, "cameSpreadPermille": round(1000 * math.sqrt(square))}


def _read_host(one: HostRecord) -> HostSteps:
    events, mean, spread = (n / 1000 for n in (one.announced_events, one.came_permille, one.came_spread_permille))
    return one.kind, one.name, events, mean, spread * spread


def _high(grown: Grown) -> dict[str, Any]:
    if grown.high_at <= 0.0:
        return {}
    return {"high": f"{min(grown.high, 1e15):.5e}", "highTime": to_rfc3339(grown.high_at, milliseconds=True)}


def _share(promise: Promise) -> dict[str, Any]:
    told: dict[str, Any] = {"owner": promise.owner, "end": to_rfc3339(promise.end, milliseconds=True)}
    if promise.start > 0.0:
        told["start"] = to_rfc3339(promise.start, milliseconds=True)
    return told | {"cpu": promise.amount.cpu, "memory": promise.amount.memory}


def _read_share(one: GrantedShare) -> Promise:
    start = 0.0 if one.start is None else recorded(one.start)
    return Promise(one.owner, start, recorded(one.end), Resources(one.cpu, one.memory))


def _millis(seconds: float) -> int:
    return min(1_000_000_000, round(1000 * seconds))


def _seconds(millis: list[int]) -> list[float]:
    return [one / 1000 for one in millis]


def _ended(one: Ended) -> dict[str, Any]:
    at = one.field.object
    return {
        "group": at.group,
        "kind": at.kind,
        "namespace": at.namespace,
        "name": at.name,
        "uid": one.field.uid,
        "field": one.field.field,
        "subresource": one.field.subresource,
        "time": to_rfc3339(one.at, milliseconds=True),
        "levels": list(one.levels[-MAX_LEVELS:]),
    }


def _read_ended(one: EndedLoan) -> Ended:
    at = Identity(one.group, one.kind, one.namespace, one.name)
    return Ended(FieldId(at, one.uid, one.field, one.subresource), recorded(one.time), tuple(one.levels))
