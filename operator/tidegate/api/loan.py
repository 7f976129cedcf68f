"""Loan: the record of one field that the operator moves, kept in the cluster from before the move until the field
stands as its owner had it.

``loan_to_object`` and ``loan_from_object`` are the whole mapping between the API object and ``ports.Loan``. The
adapter that stores loans must not import this room; the shell hands both functions to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from tidegate.api.base import API_VERSION, Stored, cel
from tidegate.api.problems import POINTER_PATTERN, InvalidObject, Problem, explain, quoted
from tidegate.api.walltime import from_rfc3339, to_rfc3339
from tidegate.planning.model import Key, Ref
from tidegate.ports import Loan as PortLoan
from tidegate.ports import Manager, Place

MAX_WANTED_BY = 16
"""Who asked is listed up to here; the plan knows the rest."""

_Units = Annotated[int, Field(ge=0, le=2_147_483_647)]
_Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]


class LoanTarget(Stored):
    """The object that holds the field."""

    api_version: Annotated[str, Field(max_length=253)]
    """API version, as it was written."""
    kind: Annotated[str, Field(max_length=63)]
    """Kind: the autoscaler where there is one, else the workload."""
    namespace: Annotated[str, Field(max_length=63)]
    """Namespace of the object."""
    name: Annotated[str, Field(max_length=253)]
    """Name of the object."""
    uid: Annotated[str, Field(max_length=128)]
    """UID: an object that was deleted and made again is another one, and this loan is over."""


class LoanPolicyRef(Stored):
    """The policy that borrowed."""

    namespace: Annotated[str, Field(max_length=63)]
    """Namespace of the ScalingPolicy."""
    name: Annotated[str, Field(max_length=253)]
    """Name of the ScalingPolicy."""


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
    )

    target: LoanTarget
    """The object that holds the field."""
    field: Annotated[str, Field(max_length=256, pattern=POINTER_PATTERN)]
    """JSON pointer of the field: /spec/minReplicas or /spec/replicas."""
    subresource: Annotated[str, Field(max_length=63)] = ""
    """Subresource that the field is written through: scale, or none."""
    policy_ref: LoanPolicyRef
    """The policy that borrowed."""
    target_name: Annotated[str, Field(max_length=63)]
    """Name of the target in that policy."""
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
    epoch: Annotated[int, Field(ge=0)]
    """Leader epoch (leaseTransitions) that wrote this last."""
    wanted_by: list[Annotated[str, Field(max_length=317)]] = Field(
        default=[], alias="for", max_length=MAX_WANTED_BY, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Who asked: LiveEvent/name."""


class Loan:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "Loan"
    PLURAL: ClassVar[str] = "loans"
    SHORT_NAMES: ClassVar[list[str]] = []
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
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def loan_to_object(loan: PortLoan) -> dict[str, Any]:
    """The Loan object of the API for a loan. Times keep milliseconds; more than 16 askers are cut."""
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
        "policyRef": {"namespace": loan.policy.namespace, "name": loan.policy.name},
        "targetName": loan.target,
        "original": loan.original,
        "pending": loan.pending,
        "highest": loan.highest,
        "startedAt": to_rfc3339(loan.started_at, milliseconds=True),
        "steppedAt": to_rfc3339(loan.stepped_at, milliseconds=True),
        "until": to_rfc3339(loan.until, milliseconds=True),
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
    return {
        "apiVersion": API_VERSION,
        "kind": Loan.KIND,
        "metadata": {"name": loan.key.name, "namespace": loan.key.namespace},
        "spec": spec,
    }


def loan_from_object(obj: Mapping[str, Any]) -> PortLoan:
    """The loan that an object of the API tells of. InvalidObject when it tells of none; unknown fields are ignored."""
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
    target, former = spec.target, spec.former_manager
    return PortLoan(
        key=key,
        place=Place(
            Ref(target.api_version, target.kind, target.namespace, target.name),
            target.uid,
            spec.field,
            spec.subresource,
        ),
        policy=Key(spec.policy_ref.namespace, spec.policy_ref.name),
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
    )


def _instant(spec: LoanSpec, field: str) -> float:
    text = {"startedAt": spec.started_at, "steppedAt": spec.stepped_at, "until": spec.until}[field]
    try:
        return from_rfc3339(text)
    except ValueError:
        right = 'an RFC 3339 time, e.g. "2026-11-10T14:30:00.000Z"'
        raise InvalidObject([Problem(f"spec.{field}", f"{quoted(text)} is no time", right)]) from None
