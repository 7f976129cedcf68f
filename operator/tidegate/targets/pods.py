"""Pods that are not ready: why, in the words of the scheduler and of the kubelet. Pure: documents in, evidence out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tidegate.planning.model import Evidence, Ref
from tidegate.planning.reasons import Reason
from tidegate.ports import Json
from tidegate.targets.read import child, instant, maps, text

IMAGE_REASONS = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
FAILING_REASONS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "PostStartHookError",
        "PreCreateHookError",
        "PreStartHookError",
        "RunContainerError",
    }
)
"""Why the kubelet keeps a container waiting, as it spells it."""

_LACKS = (
    (re.compile(r"Insufficient (\S+?)(?=[,.]?(?:\s|$))"), "insufficient {}"),
    (re.compile(r"Too many pods"), "too many pods"),
    (re.compile(r"untolerated taint(?:\(s\))?(?: \{([^\s}:=]*))?"), "untolerated taint {}"),
    (re.compile(r"node affinity/selector"), "node selector or affinity"),
    (re.compile(r"pod anti-affinity"), "pod anti-affinity"),
    (re.compile(r"pod affinity"), "pod affinity"),
    (re.compile(r"topology spread"), "topology spread"),
    (re.compile(r"were unschedulable"), "cordoned nodes"),
    (re.compile(r"volume node affinity"), "a volume bound elsewhere"),
    (re.compile(r"PersistentVolumeClaim", re.IGNORECASE), "an unbound volume claim"),
    (re.compile(r"free ports"), "no free host port"),
)
"""What the scheduler says it lacks, in its words and in ours. Nothing but its message tells."""

QUOTED = 200
"""Characters of a message that are kept."""


class _Found(NamedTuple):
    """What one pod shows."""

    reason: Reason
    since: float
    name: str
    field: str
    text: str


def evidence_of(pods: Iterable[Json]) -> tuple[Evidence, ...]:
    """Why pods of one workload are not ready: one piece a cause, sorted by cause."""
    by_reason: dict[Reason, list[tuple[_Found, str]]] = defaultdict(list)
    for pod in pods:
        if found := _of_pod(pod):
            by_reason[found.reason].append((found, text(child(pod, "metadata").get("namespace"))))
    return tuple(_together(by_reason[reason]) for reason in sorted(by_reason, key=lambda r: r.value))


def lacking(message: str) -> str:
    """What the scheduler lacks for a pod: ``insufficient cpu and insufficient memory``; its own words when we know none
    of them.
    """
    # What follows "preemption:" says why evicting others would not help, in the same words.
    told = " ".join(message.partition("preemption:")[0].split())
    lacks: dict[str, None] = {}
    for pattern, words in _LACKS:
        for match in pattern.finditer(told):
            lacks[words.format(*match.groups("")).strip()] = None
    return " and ".join(lacks) or told[:QUOTED] or "the scheduler does not say why"


def _together(found: list[tuple[_Found, str]]) -> Evidence:
    first, namespace = min(found, key=lambda f: (f[0].since, f[0].name))
    about = Ref("v1", "Pod", namespace, first.name)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    latest = max(one.since for one, _ in found)
    return Evidence(
        first.reason, about, first.field, f"{about}{more} {first.text}", first.since, latest, units=len(found)
    )


def _of_pod(pod: Json) -> _Found | None:
    metadata, status = child(pod, "metadata"), child(pod, "status")
    if metadata.get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    said = {text(c.get("type")): c for c in maps(status.get("conditions"))}
    ready, scheduled = said.get("Ready", {}), said.get("PodScheduled", {})
    if ready.get("status") == "True":
        return None
    name, since = text(metadata.get("name")), instant(scheduled.get("lastTransitionTime")) or 0.0
    if scheduled.get("status") == "False":
        lacks = lacking(str(scheduled.get("message") or scheduled.get("reason") or ""))
        words = f"fits on no machine: {lacks}"
        return _Found(Reason.PODS_UNSCHEDULABLE, since, name, "status.conditions[PodScheduled]", words)
    node = text(child(pod, "spec").get("nodeName"))
    if not node:
        return None  # the scheduler has not come to it yet
    if waiting := _waiting(name, since, status):
        return waiting
    # One that was ready before counts from when it stopped being so.
    since = max(since or instant(status.get("startTime")) or 0.0, instant(ready.get("lastTransitionTime")) or 0.0)
    words = f"is on machine {node} and not ready"
    if gates := _open_gates(pod, said):
        words += f": {gates}"
    return _Found(Reason.PODS_NEVER_READY, since, name, "status.conditions[Ready]", words)


def _waiting(name: str, since: float, status: Json) -> _Found | None:
    """A container that the kubelet says it cannot run."""
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in maps(status.get(field)):
            waiting = child(container, "state", "waiting")
            why = str(waiting.get("reason") or "")
            reason = (
                Reason.IMAGE_PULL_FAILED
                if why in IMAGE_REASONS
                else Reason.CONTAINERS_FAIL
                if why in FAILING_REASONS
                else None
            )
            if reason is not None:
                what = f"image {container.get('image')}" if reason is Reason.IMAGE_PULL_FAILED else "container"
                says = " ".join(str(waiting.get("message") or "").split())[:QUOTED]
                words = f"cannot run {container.get('name')}, {what}: {why}" + (f": {says}" if says else "")
                return _Found(reason, since, name, f"status.{field}[{container.get('name')}]", words)
    return None


def _open_gates(pod: Json, said: dict[str, Json]) -> str:
    """Readiness gates that nobody has opened: a load balancer that does not register the pod, say."""
    gates = [text(gate.get("conditionType")) for gate in maps(child(pod, "spec").get("readinessGates"))]
    shut = [gate for gate in gates if said.get(gate, {}).get("status") != "True"]
    return f"readiness gate {', '.join(shut)}" if shut else ""
