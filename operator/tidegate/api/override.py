"""Override: what on-call says about a policy for a while, signed, with a reason and an end.

An override is a record. Nothing of it changes but its end, which its author may move: a correction is another override,
so that what was in force at 23:58 can still be read the next day.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from tidegate.api.base import Name, ObjectName, Stored, Written, cel, refusal, rule
from tidegate.api.conditions import Condition

_UNTIL = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_RIGHT_UNTIL = "give date, time and offset, e.g. 2026-11-11T02:00:00+08:00"


def _words(value: object) -> object:
    """A text that says something: it stands in logs, Events and status as one line."""
    if isinstance(value, str) and not value.strip():
        raise refusal("is empty", "say it in words: it is what others read the next day")
    if isinstance(value, str) and not value.isprintable():
        raise refusal("has line breaks or signs that cannot be printed", "write it in one line")
    return value


def _text(length: int) -> WithJsonSchema:
    said = rule("self.matches('[^[:space:]]')", "say it in words: it is what others read the next day")
    line = rule("!self.matches('[[:cntrl:]]')", "write it in one line, without line breaks")
    return WithJsonSchema({"type": "string", "maxLength": length, "x-kubernetes-validations": [said, line]})


class OverridePolicyRef(Written):
    """The policy that is overridden."""

    name: ObjectName
    """Name of a ScalingPolicy in the same namespace."""


class OverrideSpec(Written):
    """What is to happen instead, by whom, why, and until when."""

    model_config = cel(
        (
            "(self.action == 'Boost') == has(self.percent)",
            "percent belongs to Boost: give how much is added with Boost, and leave it out of Hold and Pause",
        ),
        (
            """self.policyRef == oldSelf.policyRef && self.action == oldSelf.action && self.author == oldSelf.author
              && self.reason == oldSelf.reason && has(self.target) == has(oldSelf.target)
              && (!has(self.target) || self.target == oldSelf.target) && has(self.percent) == has(oldSelf.percent)
              && (!has(self.percent) || self.percent == oldSelf.percent)""",
            "of an override only until may change: for anything else make another one, and end this one",
        ),
    )

    policy_ref: OverridePolicyRef = Field(examples=["{name: shop-core}"])
    """The policy that is overridden."""
    target: Name | None = None
    """Name of one target of the policy. Absent: all of them."""
    action: Literal["Boost", "Hold", "Pause"]
    """Boost adds percent to the need, before min and max. Hold forbids every step down. Pause forbids every write."""
    percent: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, examples=["30"])
    """Of Boost: added to the need. Several boosts do not multiply; the largest counts."""
    until: Annotated[
        str,
        Field(
            max_length=35,
            json_schema_extra={"x-kubernetes-validations": [rule(f"self.matches('{_UNTIL}')", _RIGHT_UNTIL)]},
        ),
    ] = Field(examples=['"2026-11-11T02:00:00+08:00"'])
    """When it ends, with an offset: after that it is inert and stays readable. May be moved; a time that has passed
    ends it."""
    author: Annotated[str, StringConstraints(max_length=256, strict=True), BeforeValidator(_words), _text(256)] = Field(
        examples=["oncall@shop.example"]
    )
    """Who says so: the user name that the API server knows. The chart's admission policy holds it to be true."""
    reason: Annotated[str, StringConstraints(max_length=512, strict=True), BeforeValidator(_words), _text(512)] = Field(
        examples=["viewers are at 1.4x of the plan"]
    )
    """Why, in one line."""


class OverrideStatus(Stored):
    """Whether it is in force."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation that this status speaks of."""
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Active: True (InForce), or False (Expired, PolicyMissing, TargetMissing, TooMany). Accepted, Ready and Stalled as
    in every kind."""
    summary: Annotated[str, Field(max_length=256)] | None = None
    """What it does, in one line."""


class Override:
    """The kind as a whole, for the CRD."""

    KIND: ClassVar[str] = "Override"
    PLURAL: ClassVar[str] = "overrides"
    SHORT_NAMES: ClassVar[list[str]] = ["ovr"]
    SCOPE: ClassVar[str] = "Namespaced"
    SPEC: ClassVar[type[Written] | type[Stored]] = OverrideSpec
    STATUS: ClassVar[type[Stored] | None] = OverrideStatus
    DESCRIPTION: ClassVar[str] = (
        "Override is an instruction of on-call about a policy of its namespace: more, nothing lower, or hands off."
        " It has an author, a reason and an end, and stays readable after it."
    )
    COLUMNS: ClassVar[list[dict[str, Any]]] = [
        {"name": "Policy", "type": "string", "jsonPath": ".spec.policyRef.name"},
        {"name": "Target", "type": "string", "jsonPath": ".spec.target"},
        {"name": "Action", "type": "string", "jsonPath": ".spec.action"},
        {"name": "Percent", "type": "integer", "jsonPath": ".spec.percent"},
        {"name": "Until", "type": "string", "jsonPath": ".spec.until"},
        {"name": "Author", "type": "string", "jsonPath": ".spec.author"},
        {"name": "Active", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Active")].status'},
        {"name": "Reason", "type": "string", "jsonPath": ".spec.reason", "priority": 1},
        {"name": "Why", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Active")].reason', "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
