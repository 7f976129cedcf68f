"""The ``/scale`` subresource: one small document in front of many kinds."""

from __future__ import annotations

from typing import Any

from tidegate.embedded.errors import Cause, Json, invalid
from tidegate.embedded.resources import Resource, ScalePaths


def scale_of(resource: Resource, document: Json) -> Json:
    """The ``Scale`` view of an object. Annotations and labels are not in it, so none can be written through it."""
    paths = _paths(resource)
    meta = document["metadata"]
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Json = {"replicas": at(document, paths.status) or 0}
    selector = at(document, paths.selector) if paths.selector else None
    if selector:
        status["selector"] = selector if isinstance(selector, str) else _selector_text(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in shown if name in meta},
        "spec": {"replicas": at(document, paths.spec) or 0},
        "status": status,
    }


def with_replicas(resource: Resource, document: Json, scale: Json) -> Json:
    """The object with the replicas that a ``Scale`` asks for (changed in place); 422 for a number below 0."""
    wanted = (scale.get("spec") or {}).get("replicas", 0)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 0:
        cause = Cause("spec.replicas", f"Invalid value: {wanted!r}: must be greater than or equal to 0")
        raise invalid("Scale", "autoscaling", document["metadata"].get("name", ""), [cause])
    *parents, last = _paths(resource).spec.strip(".").split(".")
    place = document
    for step in parents:
        place = place.setdefault(step, {})
    place[last] = wanted
    return document


def at(document: Any, path: str) -> Any:
    """What stands at ``.spec.replicas``; None when nothing does."""
    for step in path.strip(".").split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _paths(resource: Resource) -> ScalePaths:
    return resource.scale or ScalePaths()


def _selector_text(selector: Json) -> str:
    parts = [f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = expression["key"], expression["operator"], ",".join(expression.get("values") or ())
        if operator in ("In", "NotIn"):
            parts.append(f"{key} {operator.lower()} ({values})")
        else:
            parts.append(key if operator == "Exists" else f"!{key}")
    return ",".join(parts)
