"""Jobs as work that may stop: level 1 runs, level 0 is suspended. The field is ``/spec/suspend``."""

from __future__ import annotations

import math
from datetime import datetime

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import MemberSeen
from tidegate.planning.shift.model import MemberKind
from tidegate.ports import Held, Json, Place
from tidegate.targets.ownership import leaf_of_pointer, owner
from tidegate.targets.rules import Rule, Where
from tidegate.targets.takes import template_takes

API_VERSION = "batch/v1"
FIELD = "/spec/suspend"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""By which Kueue knows a Job as its own: it undoes a foreign suspend within seconds."""
SAVED_TIME = "tidegate.dev/checkpoint-time"
"""Annotation of a Job: when its work was last safe, RFC 3339. Written by the work itself."""
SAVED_EVERY = "tidegate.dev/checkpoint-seconds"
"""Annotation of a Job's pod template: its work is made safe each time that so many seconds have passed."""

RULES = (Rule("batch", ("jobs",), ("get", "list", "patch"), Where.CLUSTER),)


def level_of(suspended: object) -> int:
    """The level that ``spec.suspend`` stands for; absent is false."""
    return 0 if suspended is True else 1


def written(level: int) -> bool:
    """``spec.suspend`` for a level."""
    return level == 0


def is_work(document: Json) -> bool:
    """Whether a Job is one that may be stopped: it has not ended, and nobody else suspends it."""
    metadata, status = document["metadata"], document.get("status") or {}
    if metadata.get("deletionTimestamp") or QUEUE_LABEL in (metadata.get("labels") or {}):
        return False
    if any(
        c.get("status") == "True" and c.get("type") in ("Complete", "Failed") for c in status.get("conditions") or ()
    ):
        return False
    controllers = [r.get("kind") for r in metadata.get("ownerReferences") or () if r.get("controller")]
    return all(kind == "CronJob" for kind in controllers)


def member_of(document: Json, *, lane: str, member: str, now: float) -> tuple[MemberSeen, Place, Held] | None:
    """A Job as a member of a lane; None when its pods take nothing."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    takes = template_takes(document)
    if takes is None:
        return None
    ref = Ref(API_VERSION, "Job", metadata["namespace"], metadata["name"])
    level, started = level_of(spec.get("suspend")), seconds_of(status.get("startTime"))
    manager = owner(metadata.get("managedFields") or [], leaf_of_pointer(FIELD))
    seen = MemberSeen(
        ref=ref,
        lane=lane,
        member=member,
        kind=MemberKind.JOB,
        unit=_unit(takes, spec, status),
        level=level,
        pod=takes,
        started_at=started or 0.0,
        saved_at=_saved_at(document, started, now) if level else None,
        saved_every=_saved_every(document) or math.inf,
    )
    return seen, Place(ref, metadata["uid"], FIELD), Held(level, manager)


def _unit(takes: Resources, spec: Json, status: Json) -> Resources:
    """All pods that it runs at a time."""
    many = spec.get("parallelism", 1)
    if (completions := spec.get("completions")) is not None:
        many = min(many, max(1, completions - (status.get("succeeded") or 0)))
    return takes.times(many)


def _saved_at(document: Json, started: float | None, now: float) -> float | None:
    if started is None:
        return None
    said = seconds_of((document["metadata"].get("annotations") or {}).get(SAVED_TIME))
    if said is not None:
        return max(said, started)
    period = _saved_every(document)
    return started + (now - started) // period * period if period is not None and now > started else started


def _saved_every(document: Json) -> float | None:
    template = document["spec"].get("template") or {}
    every = ((template.get("metadata") or {}).get("annotations") or {}).get(SAVED_EVERY)
    try:
        period = float(every) if every is not None else 0.0
    except ValueError:
        return None
    return period if 0 < period < math.inf else None


def seconds_of(text: object) -> float | None:
    """Epoch seconds of a time as the API writes it; None for what is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
