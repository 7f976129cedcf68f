"""How the pods of a template behave: what its annotations and requests say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.embedded.errors import Json
from tidegate.embedded.timestamps import rfc3339

START_SECONDS = "tidegate.dev/start-seconds"
"""Annotation of a pod template: seconds from being on a machine to ready."""
NEVER_READY = "tidegate.dev/never-ready"
"""Annotation of a pod template: "true" for pods that never get ready."""
RUN_SECONDS = "tidegate.dev/run-seconds"
"""Annotation of a Job's pod template: how long a pod works once it is ready."""
STOP_SECONDS = "tidegate.dev/stop-seconds"
"""Annotation of a pod template: how long a pod that is told to stop stays on its machine."""
CHECKPOINT_SECONDS = "tidegate.dev/checkpoint-seconds"
"""Annotation of a Job's pod template: a pod's work is kept every so many seconds; without it, at its end only."""

MOST = 1e24
"""The largest quantity."""

_SUFFIXES = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


@dataclass(frozen=True, slots=True)
class PodBehavior:
    """What a pod of a template takes and does."""

    start_seconds: float = 5.0
    never_ready: bool = False
    run_seconds: float = 10.0
    size: float = 0.0
    """Cores requested, all containers together; a pod without a request takes no room."""
    stop_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    """0: no checkpoints."""
    memory: float = 0.0
    """Bytes requested, all containers together."""
    node_selector: tuple[tuple[str, str], ...] = ()


def behavior_of(template: Json) -> PodBehavior:
    """Read a pod template; what cannot be read counts as not given."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    spec = template.get("spec") or {}
    containers = spec.get("containers") or ()
    usual = PodBehavior()
    return PodBehavior(
        start_seconds=_seconds(annotations.get(START_SECONDS), usual.start_seconds),
        never_ready=annotations.get(NEVER_READY) == "true",
        run_seconds=_seconds(annotations.get(RUN_SECONDS), usual.run_seconds),
        size=sum(_requested(container, "cpu") for container in containers),
        stop_seconds=_seconds(annotations.get(STOP_SECONDS), usual.stop_seconds),
        checkpoint_seconds=_seconds(annotations.get(CHECKPOINT_SECONDS), usual.checkpoint_seconds),
        memory=sum(_requested(container, "memory") for container in containers),
        node_selector=tuple(sorted((spec.get("nodeSelector") or {}).items())),
    )


def _seconds(text: Any, default: float) -> float:
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        return default
    return seconds if math.isfinite(seconds) and seconds >= 0 else default


def _requested(container: Json, resource: str) -> float:
    resources = container.get("resources") or {}
    request = (resources.get("requests") or {}).get(resource, (resources.get("limits") or {}).get(resource))
    return quantity(request) or 0.0


def quantity(text: Any) -> float | None:
    """A Kubernetes quantity (``250m``, ``2``, ``1Gi``) as a number; None for what is none. One that is too large is
    taken for the largest, as a server does: a pod that asks for it lies nowhere.
    """
    if text is None or isinstance(text, bool):
        return None
    told = str(text).strip()
    digits = told.rstrip("numkKMGTPEi")
    try:
        number = float(digits) * _SUFFIXES[told[len(digits) :]]
    except (ValueError, KeyError):
        return None
    if math.isnan(number) or not any(map(str.isdigit, digits)):
        return None
    return max(-MOST, min(number, MOST))


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it should stand now."""

    type: str
    true: bool
    reason: str
    message: str


def conditions(
    before: Sequence[Json] | None, wanted: Sequence[Condition], at: float, *, updates: bool = False
) -> list[Json]:
    """Conditions for a status; one that does not turn keeps its time. ``updates``: Deployments show a second time."""
    said = {c["type"]: c for c in before or ()}
    shown = []
    for condition in wanted:
        status = "True" if condition.true else "False"
        old = said.get(condition.type, {})
        turned = rfc3339(at) if old.get("status") != status else old.get("lastTransitionTime", rfc3339(at))
        entry = {
            "type": condition.type,
            "status": status,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": turned,
        }
        if updates:
            same = (old.get("status"), old.get("reason")) == (status, condition.reason)
            entry["lastUpdateTime"] = old.get("lastUpdateTime", rfc3339(at)) if same else rfc3339(at)
        shown.append(entry)
    return shown
