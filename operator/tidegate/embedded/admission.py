"""What the real API server does to built-in objects before it keeps them: defaults, and the checks that matter here.

Only fields that somebody in this cluster acts on are defaulted or checked; the rest is kept as sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tidegate.embedded.errors import Cause, Json, bad_request, invalid
from tidegate.embedded.resources import Resource, from_definition

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_FREE_NAMES = "rbac.authorization.k8s.io"
"""The group whose names may hold colons."""

Rule = Callable[[Json], Iterator[Cause]]


def admit(resource: Resource, document: Json) -> None:
    """Fill in defaults in place; ApiError 422 with every cause found."""
    causes = list(_metadata(resource, document))
    rule = _RULES.get(resource.kind) if not resource.custom else None
    if rule is not None:
        causes += _spec_is_a_map(document) or rule(document)
    if causes:
        raise invalid(resource.kind, resource.group, document["metadata"].get("name", ""), causes)


def without_nulls(value: Any) -> Any:
    """Built-in kinds are typed on the real server: a null member is the same as none."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _metadata(resource: Resource, document: Json) -> Iterator[Cause]:
    meta = document["metadata"]
    name = meta["name"]
    if resource.group != _FREE_NAMES and (not _SUBDOMAIN.match(name) or len(name) > 253):
        yield Cause(
            "metadata.name",
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
            "characters, '-' or '.', and must start and end with an alphanumeric character",
        )
    if resource.kind == "Namespace" and (not _LABEL.match(name) or len(name) > 63):
        yield Cause(
            "metadata.name", f'Invalid value: "{name}": must be a lowercase RFC 1123 label of at most 63 characters'
        )
    for field in ("labels", "annotations"):
        members = meta.get(field) or {}
        if not isinstance(members, dict) or not all(isinstance(v, str) for v in members.values()):
            raise bad_request(f"metadata.{field}: must be a map of strings to strings")
        for value in members.values() if field == "labels" else ():
            if len(value) > 63:
                yield Cause(f"metadata.{field}", f'Invalid value: "{value}": must be no more than 63 characters')


def _spec_is_a_map(document: Json) -> list[Cause]:
    spec = document.setdefault("spec", {}) if document.get("kind") != "Lease" else document.get("spec", {})
    return [] if isinstance(spec, dict) else [Cause("spec", "Invalid value: must be a map", "FieldValueTypeInvalid")]


# ---- workloads


def _count(spec: Json, field: str, *, default: int | None = None, least: int = 0) -> Iterator[Cause]:
    if default is not None:
        spec.setdefault(field, default)
    value = spec.get(field)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(f"spec.{field}: cannot unmarshal {value!r} into a field of type int32")
    if value < least:
        yield Cause(f"spec.{field}", f"Invalid value: {value}: must be greater than or equal to {least}")


def _pods_of(spec: Json) -> Iterator[Cause]:
    template = spec.get("template")
    if not isinstance(template, dict) or not (template.get("spec") or {}).get("containers"):
        yield Cause("spec.template.spec.containers", "Required value", "FieldValueRequired")
        return
    for n, container in enumerate(template["spec"]["containers"]):
        for field in ("name", "image"):
            if not container.get(field):
                path = f"spec.template.spec.containers[{n}].{field}"
                yield Cause(path, "Required value", "FieldValueRequired")


def _selected(spec: Json) -> Iterator[Cause]:
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    if not spec.get("selector"):
        yield Cause("spec.selector", "Required value", "FieldValueRequired")
        return
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if any(labels.get(name) != value for name, value in wanted.items()):
        yield Cause(
            "spec.template.metadata.labels", f"Invalid value: {labels}: `selector` does not match template `labels`"
        )


def _workload(document: Json) -> Iterator[Cause]:
    spec = document["spec"]
    yield from _count(spec, "replicas", default=1)
    yield from _selected(spec)
    yield from _pods_of(spec)


def _deployment(document: Json) -> Iterator[Cause]:
    spec = document["spec"]
    spec.setdefault(
        "strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    )
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    yield from _workload(document)


def _stateful_set(document: Json) -> Iterator[Cause]:
    spec = document["spec"]
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    spec.setdefault("revisionHistoryLimit", 10)
    yield from _workload(document)


def _job(document: Json) -> Iterator[Cause]:
    spec = document["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("suspend", False)
    spec.setdefault("completionMode", "NonIndexed")
    yield from _count(spec, "parallelism", default=1)
    yield from _count(spec, "completions")
    yield from _count(spec, "backoffLimit", default=6)
    yield from _pods_of(spec)
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy not in ("Never", "OnFailure"):
        told = f'Unsupported value: "{policy}": supported values: "OnFailure", "Never"'
        yield Cause("spec.template.spec.restartPolicy", told, "FieldValueNotSupported")


# ---- autoscalers

_UP_DEFAULTS: Json = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN_DEFAULTS: Json = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _autoscaler(document: Json) -> Iterator[Cause]:
    spec = document["spec"]
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
        spec["metrics"] = [{"type": "Resource", "resource": cpu}]
    behavior = spec.get("behavior")
    if isinstance(behavior, dict):
        behavior["scaleUp"] = {**_UP_DEFAULTS, **(behavior.get("scaleUp") or {})}
        behavior["scaleDown"] = {**_DOWN_DEFAULTS, **(behavior.get("scaleDown") or {})}
    target = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        if not target.get(field):
            yield Cause(f"spec.scaleTargetRef.{field}", "Required value", "FieldValueRequired")
    if "maxReplicas" not in spec:
        yield Cause("spec.maxReplicas", "Required value", "FieldValueRequired")
    problems = [*_count(spec, "minReplicas", least=1), *_count(spec, "maxReplicas", least=1)]
    yield from problems
    if not problems and spec.get("maxReplicas", spec["minReplicas"]) < spec["minReplicas"]:
        told = f"Invalid value: {spec['maxReplicas']}: must be greater than or equal to `minReplicas`"
        yield Cause("spec.maxReplicas", told)


# ---- the rest


def _namespace(document: Json) -> Iterator[Cause]:
    meta = document["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
    document["spec"].setdefault("finalizers", ["kubernetes"])
    document.setdefault("status", {"phase": "Active"})
    yield from ()


def _pod(document: Json) -> Iterator[Cause]:
    document.setdefault("status", {"phase": "Pending"})
    yield from ()


def _lease(document: Json) -> Iterator[Cause]:
    yield from _count(document.get("spec") or {}, "leaseDurationSeconds", least=1)
    yield from _count(document.get("spec") or {}, "leaseTransitions")


def _definition(document: Json) -> Iterator[Cause]:
    spec, name = document["spec"], document["metadata"]["name"]
    names = spec.get("names") or {}
    for field, value in (
        ("spec.group", spec.get("group")),
        ("spec.names.plural", names.get("plural")),
        ("spec.names.kind", names.get("kind")),
        ("spec.versions", spec.get("versions")),
    ):
        if not value:
            yield Cause(field, "Required value", "FieldValueRequired")
            return
    if name != f"{names['plural']}.{spec['group']}":
        told = f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        yield Cause("metadata.name", told)
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    spec.setdefault("conversion", {"strategy": "None"})
    if [bool(v.get("storage")) for v in spec["versions"]].count(True) != 1:
        yield Cause("spec.versions", "Invalid value: must have exactly one version marked as storage version")
    try:
        from_definition(document)
    except (KeyError, TypeError, AttributeError, re.error) as error:
        yield Cause("spec.versions", f"Invalid value: the schema cannot be read: {error!r}")


_RULES: dict[str, Rule] = {
    "CustomResourceDefinition": _definition,
    "Deployment": _deployment,
    "HorizontalPodAutoscaler": _autoscaler,
    "Job": _job,
    "Lease": _lease,
    "Namespace": _namespace,
    "Pod": _pod,
    "ReplicaSet": _workload,
    "StatefulSet": _stateful_set,
}
