"""Conditions: the Kubernetes conventions, merged so that an unchanged meaning is an unchanged status.

``lastTransitionTime`` moves only when a condition's *status* changes. Types follow kstatus: ``Ready`` says that the
object is accepted and acted on (an event that waits for next Friday is Ready), ``Stalled`` appears only when a person
must act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from tidegate.api.base import Stored
from tidegate.api.problems import KIND_PATTERN
from tidegate.api.walltime import to_rfc3339

MAX_MESSAGE = 1024

Status = Literal["True", "False", "Unknown"]


class Condition(Stored):
    """One aspect of an object's state."""

    type: Annotated[str, Field(max_length=63, pattern=KIND_PATTERN)]
    """Aspect in CamelCase: Accepted, Ready, OnTime, Live, Blind, Stalled."""
    status: Status
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=63, pattern=KIND_PATTERN)]
    """Why, as a CamelCase code: the same code as in Events, logs, metrics and the command line."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """Why, as a sentence."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time", "maxLength": 35})]
    """When status last changed, UTC."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The object's generation that this was worked out from."""


def condition(
    kind: str, status: bool | None, reason: str, message: str = "", *, generation: int | None = None
) -> dict[str, Any]:
    """A condition of type ``kind`` without its time, which ``merge_conditions`` sets. ``None`` is Unknown."""
    made: dict[str, Any] = {
        "type": kind,
        "status": "Unknown" if status is None else str(status),
        "reason": reason,
        "message": message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…",
    }
    if generation is not None:
        made["observedGeneration"] = generation
    return made


def merge_conditions(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]], *, now: float
) -> list[dict[str, Any]]:
    """The conditions an object should show: ``new``, each with the time its status last changed, sorted by type.

    A condition of ``old`` that is not in ``new`` is dropped. ``now`` is epoch seconds. Nothing but the time is taken
    from ``old``, and only when type and status are equal.
    """
    since = {(c.get("type"), c.get("status")): c.get("lastTransitionTime") for c in old}
    stamp = to_rfc3339(now)
    merged = [{**c, "lastTransitionTime": since.get((c["type"], c["status"])) or stamp} for c in new]
    return sorted(merged, key=lambda c: str(c["type"]))


def invalid_conditions(message: str, *, generation: int | None = None, reason: str = "Invalid") -> list[dict[str, Any]]:
    """What an object shows that cannot be used: not accepted, not ready, and stalled until a person changes it."""
    return [
        condition("Accepted", False, reason, message, generation=generation),
        condition("Ready", False, reason, message, generation=generation),
        condition("Stalled", True, reason, message, generation=generation),
    ]


def accepted_conditions(
    *, generation: int | None = None, reason: str = "Armed", message: str = ""
) -> list[dict[str, Any]]:
    """What an object shows that is accepted and acted on, also while nothing is due yet: kstatus reads it as
    current.
    """
    return [
        condition("Accepted", True, "Valid", generation=generation),
        condition("Ready", True, reason, message, generation=generation),
    ]
