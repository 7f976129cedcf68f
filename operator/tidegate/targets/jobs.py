"""Jobs as work that may stop: level 1 runs, level 0 is suspended. The field is ``/spec/suspend``."""

from __future__ import annotations

import math

from tidegate.planning.model import Ref
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.shift.facts import MemberSeen
from tidegate.planning.shift.model import CannotStop, MemberKind
from tidegate.ports import Held, Json, Place
from tidegate.targets.ownership import fields_of, leaf_of_pointer, owner
from tidegate.targets.read import child, count, instant, maps, text, version_of, whole
from tidegate.targets.rules import Rule, Where
from tidegate.targets.takes import MOST, template_takes

API_VERSION = "batch/v1"
FIELD = "/spec/suspend"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""By which Kueue knows a Job as its own: it undoes a foreign suspend within seconds."""
OWN_CONTROLLER = "kubernetes.io/job-controller"
"""What ``spec.managedBy`` says of a Job that the cluster's own controller runs; absent says the same."""
SETTLED = 60.0
"""Seconds after its start in which a Job's controller has made the pods that it can make. Judgment: a controller that
is behind by more than that is in trouble of its own."""
SAVED_TIME = "tidegate.dev/checkpoint-time"
"""Annotation of a Job: when its work was last safe, RFC 3339. Written by the work itself."""
SAVED_EVERY = "tidegate.dev/checkpoint-seconds"
"""Annotation of a Job's pod template: its work is made safe each time that so many seconds have passed."""
SHORTEST_PERIOD = 1.0
"""Seconds: nobody saves more often, and a far smaller number would leave the range of a float."""

RULES = (Rule("batch", ("jobs",), ("get", "list", "patch"), Where.CLUSTER),)


def level_of(suspended: object) -> int:
    """The level that ``spec.suspend`` stands for; absent is false."""
    return 0 if suspended is True else 1


def written(level: int) -> bool:
    """``spec.suspend`` for a level."""
    return level == 0


def is_work(document: Json) -> bool:
    """Whether a Job has not ended."""
    metadata, status = child(document, "metadata"), child(document, "status")
    conditions = maps(status.get("conditions"))
    ended = any(c.get("status") == "True" and c.get("type") in ("Complete", "Failed") for c in conditions)
    return not ended and not metadata.get("deletionTimestamp")


def driven_by(document: Json) -> str:
    """Who else starts and stops a Job, in words; empty when nobody does. A CronJob only makes it."""
    metadata, spec = child(document, "metadata"), child(document, "spec")
    if queue := child(metadata, "labels").get(QUEUE_LABEL):
        return f"Kueue (queue {text(queue)})"
    if (manager := text(spec.get("managedBy"))) not in ("", OWN_CONTROLLER):
        return f"{manager} (spec.managedBy)"
    for reference in maps(metadata.get("ownerReferences")):
        if reference.get("controller") and reference.get("kind") != "CronJob":
            return f"{text(reference.get('kind'))}/{text(reference.get('name'))}"
    return ""


def _maker(metadata: Json) -> str:
    """The CronJob that made a Job, by its name."""
    owners = maps(metadata.get("ownerReferences"))
    return next((text(one.get("name")) for one in owners if one.get("controller") and one.get("kind") == "CronJob"), "")


def member_of(document: Json, *, lane: str, member: str, now: float) -> tuple[MemberSeen, Place, Held] | CannotStop:
    """A Job as a member of a lane, or why it may not be stopped."""
    metadata, spec, status = child(document, "metadata"), child(document, "spec"), child(document, "status")
    ref = Ref(API_VERSION, "Job", text(metadata.get("namespace")), text(metadata.get("name")))
    if driver := driven_by(document):
        message = f"{ref} is started and stopped by {driver}"
        return CannotStop(ref, lane, Reason.MANAGED_ELSEWHERE, message)
    takes, many, uid = template_takes(document), _many(document), text(metadata.get("uid"))
    unit = takes.times(many) if takes is not None and many is not None else None
    if takes is None or many is None or unit is None or not unit.fits(MOST) or not (ref.name and uid):
        return CannotStop(ref, lane, Reason.NO_REQUESTS, SENTENCES[Reason.NO_REQUESTS])
    level, started = level_of(spec.get("suspend")), instant(status.get("startTime"))
    manager = owner(fields_of(document), leaf_of_pointer(FIELD))
    seen = MemberSeen(
        ref=ref,
        lane=lane,
        member=member,
        kind=MemberKind.JOB,
        unit=unit,
        level=level,
        pod=takes,
        started_at=started or 0.0,
        saved_at=_saved_at(document, started, now) if level else None,
        saved_every=_saved_every(document) or math.inf,
        many=many,
        settled=started is not None and now - started > SETTLED,
        created_at=instant(metadata.get("creationTimestamp")) or 0.0,
        maker=_maker(metadata),
    )
    return seen, Place(ref, uid, FIELD), Held(level, manager, version_of(document))


def _many(document: Json) -> int | None:
    """Pods that it runs at a time; None when nobody can tell."""
    spec = child(document, "spec")
    many = 1 if spec.get("parallelism") is None else whole(spec["parallelism"])
    if many is None or many < 0:
        return None
    if (completions := whole(spec.get("completions"))) is not None:
        many = min(many, max(1, completions - count(child(document, "status").get("succeeded"))))
    return many


def _saved_at(document: Json, started: float | None, now: float) -> float | None:
    """When its work was last safe: not before it started, and not later than now, whatever it says."""
    if started is None:
        return None
    said = instant(child(document, "metadata", "annotations").get(SAVED_TIME))
    if said is not None:
        return min(max(said, started), now)
    period = _saved_every(document)
    return min(started + (now - started) // period * period if period is not None and now > started else started, now)


def _saved_every(document: Json) -> float | None:
    every = child(document, "spec", "template", "metadata", "annotations").get(SAVED_EVERY)
    try:
        period = float(every) if isinstance(every, str) else 0.0
    except ValueError:
        return None
    return max(period, SHORTEST_PERIOD) if 0 < period < math.inf else None
