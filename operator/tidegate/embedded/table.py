"""What ``kubectl get`` prints: objects as rows of a ``Table``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tidegate.embedded.errors import Json
from tidegate.embedded.jsonpath import find
from tidegate.embedded.resources import Column, Resource
from tidegate.embedded.timestamps import epoch

_AGE = Column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created")
_NAME = Column("Name", "string", ".metadata.name", "Name of the object", format="name")

Compute = Callable[[Json, float], Any]


def table(resource: Resource, documents: Iterable[Json], *, meta: Json, now: float, include: str = "Metadata") -> Json:
    """A Table; ``include`` says what goes along with each row: ``None``, ``Metadata`` or ``Object``."""
    columns = [_NAME, *_columns(resource)]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [_definition(c) for c in columns],
        "rows": [_row(d, columns, now, include) for d in documents],
    }


def _columns(resource: Resource) -> tuple[Column, ...]:
    if resource.custom:
        return resource.columns or (_AGE,)
    return _BUILTIN.get(resource.kind, (_AGE,))


def _definition(column: Column) -> Json:
    return {
        "name": column.name,
        "type": "string" if column.type == "date" else column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(document: Json, columns: list[Column], now: float, include: str) -> Json:
    row: Json = {"cells": [_cell(document, column, now) for column in columns]}
    if include == "Object":
        row["object"] = document
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": document["metadata"],
        }
    return row


def _cell(document: Json, column: Column, now: float) -> Any:
    computed = _COMPUTED.get(column.path)
    if computed is not None:
        return computed(document, now)
    found = find(document, column.path)
    if not found:
        return None
    if column.type == "date":
        since = epoch(str(found[0]))
        return age(now - since) if since is not None else "<unknown>"
    # As the API server: numbers and words as they are, a list or a map as JSON.
    return found[0] if isinstance(found[0], str | int | float | bool) else json.dumps(found[0], separators=(",", ":"))


def age(seconds: float) -> str:
    """A length of time in the one or two units that kubectl shows."""
    seconds = int(seconds)
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


# ---- built-in kinds: what is more than a path


def _ready(document: Json, _: float) -> str:
    status, spec = document.get("status") or {}, document.get("spec") or {}
    return f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"


def _reference(document: Json, _: float) -> str:
    target = document["spec"]["scaleTargetRef"]
    return f"{target.get('kind')}/{target.get('name')}"


def _targets(document: Json, _: float) -> str:
    current = (document.get("status") or {}).get("currentMetrics") or []
    shown = []
    for n, metric in enumerate(document["spec"].get("metrics") or ()):
        source = metric.get(_source_key(metric), {})
        seen = current[n].get(_source_key(current[n]), {}).get("current", {}) if n < len(current) else {}
        name = (source.get("name") or source.get("metric", {}).get("name") or "?") + ": "
        shown.append(
            (name if metric["type"] == "Resource" else "") + f"{_amount(seen)}/{_amount(source.get('target', {}))}"
        )
    return ", ".join(shown) or "<none>"


def _source_key(metric: Json) -> str:
    kind = str(metric.get("type", ""))
    return kind[:1].lower() + kind[1:]


def _amount(value: Json) -> str:
    if "averageUtilization" in value:
        return f"{value['averageUtilization']}%"
    if "averageValue" in value:
        return f"{value['averageValue']} (avg)"
    return str(value.get("value", "<unknown>"))


def _job_status(document: Json, _: float) -> str:
    conditions = (document.get("status") or {}).get("conditions") or ()
    held = [c["type"] for c in conditions if c["status"] == "True"]
    return next((c for c in ("Complete", "Failed", "Suspended") if c in held), "Running")


def _completions(document: Json, _: float) -> str:
    spec, done = document["spec"], (document.get("status") or {}).get("succeeded", 0)
    return f"{done}/{spec.get('completions') or spec.get('parallelism', 1)}"


def _node_status(document: Json, _: float) -> str:
    conditions = (document.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ("Ready" if ready else "NotReady") + (",SchedulingDisabled" if document["spec"].get("unschedulable") else "")


def _pod_ready(document: Json, _: float) -> str:
    conditions = (document.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    containers = len(document["spec"].get("containers") or ())
    return f"{containers if ready else 0}/{containers}"


def _pod_status(document: Json, _: float) -> str:
    if document["metadata"].get("deletionTimestamp"):
        return "Terminating"
    phase = (document.get("status") or {}).get("phase", "Unknown")
    return "Completed" if phase == "Succeeded" else str(phase)


def _event_object(document: Json, _: float) -> str:
    involved = document.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _last_seen(document: Json, now: float) -> str:
    last = epoch(
        document.get("lastTimestamp") or document.get("eventTime") or document["metadata"]["creationTimestamp"]
    )
    return age(now - last) if last is not None else "<unknown>"


def _data(document: Json, _: float) -> int:
    return len(document.get("data") or {}) + len(document.get("binaryData") or {})


_COMPUTED: dict[str, Compute] = {
    "@ready": _ready,
    "@reference": _reference,
    "@targets": _targets,
    "@jobStatus": _job_status,
    "@completions": _completions,
    "@nodeStatus": _node_status,
    "@podReady": _pod_ready,
    "@podStatus": _pod_status,
    "@eventObject": _event_object,
    "@lastSeen": _last_seen,
    "@data": _data,
}

_BUILTIN: dict[str, tuple[Column, ...]] = {
    "ConfigMap": (Column("Data", "integer", "@data"), _AGE),
    "CustomResourceDefinition": (Column("Created At", "string", ".metadata.creationTimestamp"),),
    "Deployment": (
        Column("Ready", "string", "@ready"),
        Column("Up-to-date", "integer", ".status.updatedReplicas"),
        Column("Available", "integer", ".status.availableReplicas"),
        _AGE,
    ),
    "Event": (
        Column("Last Seen", "string", "@lastSeen"),
        Column("Type", "string", ".type"),
        Column("Reason", "string", ".reason"),
        Column("Object", "string", "@eventObject"),
        Column("Message", "string", ".message"),
    ),
    "HorizontalPodAutoscaler": (
        Column("Reference", "string", "@reference"),
        Column("Targets", "string", "@targets"),
        Column("MinPods", "string", ".spec.minReplicas"),
        Column("MaxPods", "integer", ".spec.maxReplicas"),
        Column("Replicas", "integer", ".status.currentReplicas"),
        _AGE,
    ),
    "Job": (Column("Status", "string", "@jobStatus"), Column("Completions", "string", "@completions"), _AGE),
    "Lease": (Column("Holder", "string", ".spec.holderIdentity"), _AGE),
    "Namespace": (Column("Status", "string", ".status.phase"), _AGE),
    "Node": (
        Column("Status", "string", "@nodeStatus"),
        Column("Version", "string", ".status.nodeInfo.kubeletVersion"),
        _AGE,
    ),
    "Pod": (
        Column("Ready", "string", "@podReady"),
        Column("Status", "string", "@podStatus"),
        _AGE,
        Column("Node", "string", ".spec.nodeName", priority=1),
    ),
    "PodDisruptionBudget": (
        Column("Min Available", "string", ".spec.minAvailable"),
        Column("Max Unavailable", "string", ".spec.maxUnavailable"),
        _AGE,
    ),
    "ReplicaSet": (
        Column("Desired", "integer", ".spec.replicas"),
        Column("Current", "integer", ".status.replicas"),
        Column("Ready", "integer", ".status.readyReplicas"),
        _AGE,
    ),
    "StatefulSet": (Column("Ready", "string", "@ready"), _AGE),
}
