"""Loan: the record of one field that the operator moves, kept in the cluster from before the move until the field
stands as its owner had it.

``loan_to_object`` and ``loan_from_object`` are the whole mapping between the API object and ``ports.Loan``. The
adapter that stores loans must not import this room; the shell hands both functions to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from tidegate.api.base import API_VERSION, ApiVersion, KindName, ObjectName, Stored, cel
from tidegate.api.problems import POINTER_PATTERN, InvalidObject, Problem, explain, quoted
from tidegate.api.walltime import recorded, to_rfc3339
from tidegate.planning.model import Key, Ref
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.model import Notice, Promised
from tidegate.ports import Beneath, HandOverNote, Manager, Place
from tidegate.ports import Loan as PortLoan

MAX_WANTED_BY = 16
"""Who asked is listed up to here; the plan knows the rest."""
MAX_NOTICES = 64
"""Notices, and stops, of one hand-over."""
MAX_PROMISES = 16
MAX_LEVELS = 16
"""Levels of ours that a loan remembers; the older ones are forgotten."""

_FIELDS: dict[tuple[str, str], tuple[str, str] | None] = {
    ("/spec/minReplicas", ""): ("autoscaling", "HorizontalPodAutoscaler"),
    ("/spec/replicas", "scale"): None,
    ("/spec/suspend", ""): ("batch", "Job"),
}
"""(field, subresource) of every level that is ever borrowed, and (group, kind) of what has it; None: of any kind."""

_Units = Annotated[int, Field(ge=0, le=2_147_483_647)]
_Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]


class LoanTarget(Stored):
    """The object that holds the field."""

    api_version: ApiVersion
    """API version, as it was written."""
    kind: KindName
    """Kind: the autoscaler where there is one, else the workload."""
    namespace: Annotated[str, Field(max_length=63)]
    """Namespace of the object."""
    name: ObjectName
    """Name of the object."""
    uid: Annotated[str, Field(max_length=128)]
    """UID: an object that was deleted and made again is another one, and this loan is over."""


class LoanPolicyRef(Stored):
    """The policy that borrowed."""

    namespace: Annotated[str, Field(max_length=63)]
    """Namespace of the ScalingPolicy."""
    name: Annotated[str, Field(max_length=253)]
    """Name of the ScalingPolicy."""


class LoanPoolRef(Stored):
    """The pool that borrowed, for another of its lanes."""

    name: Annotated[str, Field(max_length=253)]
    """Name of the CapacityPool."""
    lane: Annotated[str, Field(max_length=63)]
    """The lane that lends."""


class LevelAt(Stored):
    """A level, and when the work was told of it or stopped to it."""

    level: _Units
    """Units."""
    time: _Time
    """UTC with milliseconds."""


class UnitsBack(Stored):
    """A promise."""

    time: _Time
    """Back by, UTC with milliseconds."""
    units: _Units
    """So many units."""


class LoanExtra(Stored):
    """An amount of a pod."""

    cpu: Annotated[int, Field(ge=0, le=10**12)] = 0
    """Millicores."""
    memory: Annotated[int, Field(ge=0, le=10**12)] = 0
    """MiB."""


class LoanHandOver(Stored):
    """How far the work of a pool has got on its way out and back: enough to go on after a crash."""

    notices: list[LevelAt] = Field(
        default=[], max_length=MAX_NOTICES, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Notices that no stop has used up, levels falling."""
    stops: list[LevelAt] = Field(
        default=[], max_length=MAX_NOTICES, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Stops whose machines may not be free yet, levels falling."""
    free_by: _Time | None = None
    """When the borrower must be able to schedule, UTC with milliseconds."""
    start_again_at: _Time | None = None
    """When the work is planned to start again, UTC with milliseconds."""
    promises: list[UnitsBack] = Field(
        default=[], max_length=MAX_PROMISES, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """When the units that are out are promised back, earliest first. A promise never moves to a later time."""
    extra: LoanExtra | None = None
    """What each pod took beyond its template when it was last seen; absent: nothing."""


class LoanWorkload(Stored):
    """The workload behind an autoscaler."""

    api_version: ApiVersion
    """API version."""
    kind: KindName
    """Kind."""
    name: ObjectName
    """Name, in the Loan's namespace."""
    uid: Annotated[str, Field(max_length=128)]
    """UID of the workload."""
    replicas: _Units
    """Replicas that it returns to should the autoscaler go away during the loan."""


class FormerManager(Stored):
    """Who owned the field before, as managedFields names it; ownership goes back there."""

    name: Annotated[str, Field(max_length=128)]
    """Field manager."""
    operation: Literal["Apply", "Update"]
    """How it wrote the field."""
    subresource: Annotated[str, Field(max_length=63)] = ""
    """Subresource it wrote through, if any."""


class LoanSpec(Stored):
    """What was borrowed, from whom, until when."""

    model_config = cel(
        (
            "self.target == oldSelf.target && self.field == oldSelf.field",
            "target and field of a loan never change: another field is another loan",
        ),
        ("has(self.policyRef) != has(self.poolRef)", "a loan is a policy's or a pool's: one of policyRef and poolRef"),
        ("!has(self.handOver) || has(self.poolRef)", "handOver belongs to the loan of a pool: poolRef is missing"),
    )

    target: LoanTarget
    """The object that holds the field."""
    field: Annotated[str, Field(max_length=256, pattern=POINTER_PATTERN)]
    """JSON pointer of the field: /spec/minReplicas or /spec/replicas."""
    subresource: Annotated[str, Field(max_length=63)] = ""
    """Subresource that the field is written through: scale, or none."""
    policy_ref: LoanPolicyRef | None = None
    """The policy that borrowed; or else poolRef."""
    pool_ref: LoanPoolRef | None = None
    """The pool that borrowed for another of its lanes; or else policyRef."""
    target_name: Annotated[str, Field(max_length=63)]
    """Name of the target in that policy; of a pool's loan the lane that lends."""
    original: _Units
    """The value to return to: what stood there before the loan, or what its owner meant since."""
    former_manager: FormerManager | None = None
    """Who owned the field before; absent when nobody was on record."""
    verified: _Units | None = None
    """Our value as last read back; absent before the first."""
    pending: _Units
    """Our value as last meant; written here before it is written there."""
    highest: _Units
    """The highest value of this loan: a release step is a share of it."""
    started_at: _Time
    """When it was borrowed, UTC with milliseconds."""
    stepped_at: _Time
    """When our value last moved, UTC with milliseconds."""
    until: _Time
    """When the plan expects to return it, UTC with milliseconds."""
    levels: list[_Units] = Field(
        default=[], max_length=MAX_LEVELS, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Levels that were written there or may have been, latest last: none of them is anybody's new intent."""
    epoch: Annotated[int, Field(ge=0, le=2_147_483_647)]
    """Leader epoch (leaseTransitions) that wrote this last."""
    workload: LoanWorkload | None = None
    """Of an autoscaler's floor: the workload behind it. Absent where an older version wrote the loan."""
    hand_over: LoanHandOver | None = None
    """Of a pool's loan: notices, stops and promises."""
    wanted_by: list[Annotated[str, Field(max_length=384)]] = Field(
        default=[], alias="for", max_length=MAX_WANTED_BY, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Who asked: LiveEvent/name; of a pool's loan the owners of needs, namespace/policy/target."""


class Loan:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "Loan"
    PLURAL: ClassVar[str] = "loans"
    SHORT_NAMES: ClassVar[list[str]] = []
    SCOPE: ClassVar[str] = "Namespaced"
    SPEC: ClassVar[type[Any]] = LoanSpec
    STATUS: ClassVar[type[Stored] | None] = None
    DESCRIPTION: ClassVar[str] = (
        "Loan is a field of another object that Tidegate changed: its original, our value, why, until when. Written by"
        " the operator alone, before the change; deleted after the return was read back."
    )
    COLUMNS: ClassVar[list[dict[str, Any]]] = [
        {"name": "Kind", "type": "string", "jsonPath": ".spec.target.kind"},
        {"name": "Object", "type": "string", "jsonPath": ".spec.target.name"},
        {"name": "Original", "type": "integer", "jsonPath": ".spec.original"},
        {"name": "Pending", "type": "integer", "jsonPath": ".spec.pending"},
        {"name": "Verified", "type": "integer", "jsonPath": ".spec.verified"},
        {"name": "Until", "type": "string", "jsonPath": ".spec.until"},
        {"name": "For", "type": "string", "jsonPath": ".spec.for"},
        {"name": "Field", "type": "string", "jsonPath": ".spec.field", "priority": 1},
        {"name": "Policy", "type": "string", "jsonPath": ".spec.policyRef.name", "priority": 1},
        {"name": "Pool", "type": "string", "jsonPath": ".spec.poolRef.name", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def loan_to_object(loan: PortLoan) -> dict[str, Any]:
    """The Loan object of the API for a loan. Times keep milliseconds; of askers the first 16 are kept, of levels the
    latest 16. A loan whose policy has no namespace is a pool's.
    """
    ref, former = loan.place.ref, loan.former
    spec: dict[str, Any] = {
        "target": {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": loan.place.uid,
        },
        "field": loan.place.field,
        "subresource": loan.place.subresource,
        **_borrower(loan),
        "targetName": loan.target,
        "original": loan.original,
        "pending": loan.pending,
        "highest": loan.highest,
        "levels": list(loan.levels[-MAX_LEVELS:]),
        "startedAt": _written(loan.started_at),
        "steppedAt": _written(loan.stepped_at),
        "until": _written(loan.until),
        "epoch": loan.epoch,
        "for": list(loan.wanted_by[:MAX_WANTED_BY]),
    }
    if former is not None:
        spec["formerManager"] = {
            "name": former.name,
            "operation": former.operation,
            "subresource": former.subresource,
        }
    if loan.verified is not None:
        spec["verified"] = loan.verified
    if loan.beneath is not None:
        spec["workload"] = _workload(loan.beneath)
    return {
        "apiVersion": API_VERSION,
        "kind": Loan.KIND,
        "metadata": {"name": loan.key.name, "namespace": loan.key.namespace},
        "spec": spec,
    }


def loan_from_object(obj: Mapping[str, Any]) -> PortLoan:
    """The loan that an object of the API tells of. InvalidObject when it tells of none, or of a field that is never
    borrowed, or of one in another namespace than its own; unknown fields are ignored.
    """
    try:
        spec = LoanSpec.model_validate(obj["spec"])
        started, stepped, until = (_instant(spec, name) for name in ("startedAt", "steppedAt", "until"))
        key = Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
    except ValidationError as error:
        raise InvalidObject(explain(error, LoanSpec)) from error
    except (KeyError, TypeError) as error:
        raise InvalidObject(
            [Problem("", f"is no Loan ({error})", "loans are written by the operator alone")]
        ) from error
    former = spec.former_manager
    policy, note = _borrower_of(spec, key)
    return PortLoan(
        key=key,
        place=_place_of(spec, key),
        policy=policy,
        target=spec.target_name,
        original=spec.original,
        former=None if former is None else Manager(former.name, former.operation, former.subresource),
        verified=spec.verified,
        pending=spec.pending,
        highest=spec.highest,
        started_at=started,
        stepped_at=stepped,
        until=until,
        epoch=spec.epoch,
        wanted_by=tuple(spec.wanted_by),
        hand_over=note,
        levels=tuple(spec.levels),
        beneath=_beneath_of(spec, key),
    )


def _workload(beneath: Beneath) -> dict[str, Any]:
    ref = beneath.place.ref
    told = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}
    return {**told, "uid": beneath.place.uid, "replicas": beneath.level}


def _beneath_of(spec: LoanSpec, key: Key) -> Beneath | None:
    told = spec.workload
    if told is None:
        return None
    ref = Ref(told.api_version, told.kind, key.namespace, told.name)
    return Beneath(Place(ref, told.uid, "/spec/replicas", "scale"), told.replicas)


def _place_of(spec: LoanSpec, key: Key) -> Place:
    """Where the level lies. Whoever may write Loans in one namespace must not reach into another with it, nor at a
    field that is no level.
    """
    target = spec.target
    ref = Ref(target.api_version, target.kind, target.namespace, target.name)
    if target.namespace != key.namespace:
        wrong = f"{quoted(target.namespace)} is not the Loan's own namespace"
        right = f"a Loan stands beside its target: {key.namespace}"
        raise InvalidObject([Problem("spec.target.namespace", wrong, right)])
    field = (spec.field, spec.subresource)
    identity = ref.identity
    if field not in _FIELDS or _FIELDS[field] not in (None, (identity.group, identity.kind)):
        through = f" through {quoted(spec.subresource)}" if spec.subresource else ""
        wrong = f"{quoted(spec.field)}{through} of a {quoted(target.kind)} is no level that is borrowed"
        right = "/spec/minReplicas of an HPA, /spec/replicas through scale, or /spec/suspend of a Job"
        raise InvalidObject([Problem("spec.field", wrong, right)])
    return Place(ref, target.uid, spec.field, spec.subresource)


def _borrower(loan: PortLoan) -> dict[str, Any]:
    """The policy that borrowed, or the pool with its hand-over."""
    if loan.policy.namespace:
        return {"policyRef": {"namespace": loan.policy.namespace, "name": loan.policy.name}}
    note = loan.hand_over
    made: dict[str, Any] = {"poolRef": {"name": loan.policy.name, "lane": loan.target}}
    if note is not None:
        told: dict[str, Any] = {
            "notices": _levels(note.notices),
            "stops": _levels(note.stops),
            "promises": [{"time": _written(p.at), "units": p.units} for p in _bounded(note.promises)],
        }
        if note.free_by:
            told["freeBy"] = _written(note.free_by)
        if not note.extra.nothing:
            told["extra"] = {"cpu": note.extra.cpu, "memory": note.extra.memory}
        if note.until:
            told["startAgainAt"] = _written(note.until)
        made["handOver"] = told
    return made


def _borrower_of(spec: LoanSpec, key: Key) -> tuple[Key, HandOverNote | None]:
    """Who borrowed. A policy reaches its own namespace alone: else a Loan here would be another namespace's debt."""
    if spec.policy_ref is not None:
        if spec.pool_ref is not None:
            raise InvalidObject([Problem("spec", "has policyRef and poolRef", "one of them: who borrowed")])
        if spec.hand_over is not None:
            raise InvalidObject([Problem("spec.handOver", "belongs to the loan of a pool", "poolRef, not policyRef")])
        if spec.policy_ref.namespace != key.namespace:
            wrong = f"{quoted(spec.policy_ref.namespace)} is not the Loan's own namespace"
            right = f"a policy borrows in its own namespace: {key.namespace}"
            raise InvalidObject([Problem("spec.policyRef.namespace", wrong, right)])
        return Key(spec.policy_ref.namespace, spec.policy_ref.name), None
    if spec.pool_ref is None:
        raise InvalidObject([Problem("spec", "has neither policyRef nor poolRef", "one of them: who borrowed")])
    pool, told = spec.pool_ref, spec.hand_over
    if told is None:
        return Key("", pool.name), None
    note = HandOverNote(
        pool=pool.name,
        lane=pool.lane,
        notices=_notices(told.notices, "notices"),
        stops=_notices(told.stops, "stops"),
        free_by=0.0 if told.free_by is None else _read(told.free_by, "handOver.freeBy"),
        until=0.0 if told.start_again_at is None else _read(told.start_again_at, "handOver.startAgainAt"),
        promises=tuple(
            Promised(_read(promise.time, f"handOver.promises[{index}].time"), promise.units)
            for index, promise in enumerate(told.promises)
        ),
        extra=NOTHING if told.extra is None else Resources(told.extra.cpu, told.extra.memory),
    )
    return Key("", pool.name), note


def _levels(notices: tuple[Notice, ...]) -> list[dict[str, Any]]:
    """The newest of them, which are the lowest levels. Of one that is cut, the units count with the next: told later,
    stopped later. That errs on the side of the work.
    """
    return [{"level": notice.level, "time": _written(notice.at)} for notice in notices[-MAX_NOTICES:]]


def _notices(levels: list[LevelAt], field: str) -> tuple[Notice, ...]:
    return tuple(
        Notice(one.level, _read(one.time, f"handOver.{field}[{index}].time")) for index, one in enumerate(levels)
    )


def _bounded(promises: tuple[Promised, ...]) -> tuple[Promised, ...]:
    """What is beyond the bound counts with the last that is told: a promise moves to an earlier time, never later."""
    told, rest = promises[: MAX_PROMISES - 1], promises[MAX_PROMISES - 1 :]
    return told if not rest else (*told, Promised(rest[0].at, sum(promise.units for promise in rest)))


def _written(instant: float) -> str:
    return to_rfc3339(instant, milliseconds=True)


def _instant(spec: LoanSpec, field: str) -> float:
    return _read({"startedAt": spec.started_at, "steppedAt": spec.stepped_at, "until": spec.until}[field], field)


def _read(text: str, field: str) -> float:
    try:
        return recorded(text)
    except ValueError:
        right = 'an RFC 3339 time, e.g. "2026-11-10T14:30:00.000Z"'
        raise InvalidObject([Problem(f"spec.{field}", f"{quoted(text)} is no time", right)]) from None
