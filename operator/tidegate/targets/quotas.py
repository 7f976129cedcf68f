"""ResourceQuotas: what a namespace's quotas leave for more pods of a workload. Pure: documents in, ``Room`` out.

A pod's requests are added up as the API server does: containers and sidecars together, or the largest init container
if that is more, plus overhead; a request that is missing is its limit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from itertools import islice

from tidegate.planning.model import Evidence, Ref, Room
from tidegate.planning.reasons import Reason
from tidegate.ports import Json
from tidegate.targets.quantity import quantity
from tidegate.targets.read import child, instant, maps, text, texts
from tidegate.targets.rules import Rule

RULES = (Rule("", ("resourcequotas",), ("list",)),)
"""Of the namespaces of targets that an event is near."""

Amounts = dict[str, Decimal]
"""By name of a resource."""

_EXCEEDED = re.compile(r"exceeded quota: (?P<quota>[a-z0-9.-]+), requested: (?P<asked>.*?), used: ")
_FAILED = re.compile(r"failed quota: (?P<quota>[a-z0-9.-]+): ")
QUOTED = 240
"""Characters of a controller's message that are kept."""
BOUNDED = 256
"""Names of resources that are read of one quota. Judgment: real quotas bound some dozens."""
MACHINE = frozenset({"cpu", "memory"})
"""What a machine is planned with."""


def rooms(quotas: Iterable[Json], pod: Json, units: int) -> tuple[Room, ...]:
    """Bounds on more pods like ``pod`` (a pod's or template's document), of which ``units`` exist, sorted.

    A quota whose status is not worked out yet, or whose scope is none that a pod's spec tells, says nothing.
    """
    spec = child(pod, "spec")
    found = []
    for quota in quotas:
        if not covers(quota, spec):
            continue
        metadata, status = child(quota, "metadata"), child(quota, "status")
        about = Ref("v1", "ResourceQuota", text(metadata.get("namespace")), text(metadata.get("name")))
        bounds = dict(islice(child(status, "hard").items(), BOUNDED))
        each = taken_by(spec, {_charged(resource).partition(".")[2] for resource in bounds})
        for resource, hard in bounds.items():
            most, used = quantity(hard), quantity(child(status, "used").get(resource))
            takes = each.get(_charged(resource), Decimal(0))
            if most is not None and used is not None and takes > 0:
                field = f'spec.hard["{resource}"]'
                found.append(Room(about, field, resource, float(most - used), float(takes), units))
    return tuple(sorted(found, key=lambda room: (room.object, room.resource)))


def refusal(conditions: Iterable[Json], ref: Ref) -> Evidence | None:
    """What a workload's ReplicaFailure condition says; None without one."""
    failure = next((c for c in conditions if c.get("type") == "ReplicaFailure" and c.get("status") == "True"), None)
    if failure is None:
        return None
    since = instant(failure.get("lastTransitionTime")) or 0.0
    says = " ".join(str(failure.get("message") or failure.get("reason") or "").split())
    if exceeded := _EXCEEDED.search(says):
        about = Ref("v1", "ResourceQuota", ref.namespace, exceeded["quota"])
        resources = [part.partition("=")[0] for part in exceeded["asked"].split(",")]
        message = f"{about} has no {' and no '.join(resources)} left for another pod"
        return Evidence(Reason.QUOTA_EXCEEDED, about, f'spec.hard["{resources[0]}"]', message, since, since)
    failed = _FAILED.search(says)
    about = Ref("v1", "ResourceQuota", ref.namespace, failed["quota"]) if failed else ref
    field = "spec.hard" if failed else "status.conditions[ReplicaFailure]"
    return Evidence(Reason.PODS_REFUSED, about, field, f"its pods are refused: {says[:QUOTED]}", since, since)


def taken_by(spec: Json, names: Collection[str] = MACHINE) -> Amounts:
    """What one pod is charged for: ``requests.NAME`` and ``limits.NAME`` of these resources, and 1 of ``pods``.

    Only these are read: whoever may edit a Deployment may write tens of thousands of others into it.
    """
    total = {"pods": Decimal(1)}
    for kind in ("requests", "limits"):
        for name, amount in _of_pod(spec, kind, names).items():
            total[f"{kind}.{name}"] = amount
    return total


def covers(quota: Json, spec: Json) -> bool:
    """Whether a quota's scopes take a pod in."""
    asked = child(quota, "spec")
    scopes: list[Json] = [{"scopeName": name, "operator": "Exists"} for name in texts(asked.get("scopes"))]
    scopes += maps(child(asked, "scopeSelector").get("matchExpressions"))
    return all(_in_scope(scope, spec) for scope in scopes)


def _in_scope(scope: Json, spec: Json) -> bool:
    name = scope.get("scopeName")
    if name in ("Terminating", "NotTerminating"):
        return bool((spec.get("activeDeadlineSeconds") is not None) == (name == "Terminating"))
    if name in ("BestEffort", "NotBestEffort"):
        return bool(_best_effort(spec) == (name == "BestEffort"))
    if name == "PriorityClass":
        mine, values = text(spec.get("priorityClassName")), texts(scope.get("values"))
        kept = {"In": mine in values, "NotIn": mine not in values, "Exists": bool(mine), "DoesNotExist": not mine}
        return bool(kept.get(str(scope.get("operator"))))
    return False  # whatever else there is, it is not told by the pod alone


def _best_effort(spec: Json) -> bool:
    asked = (_of_pod(spec, kind, MACHINE) for kind in ("requests", "limits"))
    return not any(amounts.get(name) for amounts in asked for name in MACHINE)


def _charged(resource: str) -> str:
    """A quota's name of a resource as ``taken_by`` spells it."""
    if resource == "count/pods":
        return "pods"
    return f"requests.{resource}" if resource in ("cpu", "memory", "ephemeral-storage") else resource


def _of_pod(spec: Json, kind: str, names: Collection[str]) -> Amounts:
    running: Amounts = defaultdict(Decimal)
    largest: Amounts = defaultdict(Decimal)
    for container in maps(spec.get("initContainers")):
        amounts = _of_container(container, kind, names)
        if container.get("restartPolicy") == "Always":
            _add(running, amounts)
            amounts = {}
        _most(largest, [running, amounts])
    for container in maps(spec.get("containers")):
        _add(running, _of_container(container, kind, names))
    _most(largest, [running])
    for name, amount in _amounts(child(spec, "resources", kind), names).items():
        largest[name] = amount  # the pod's own word comes before its containers'
    if kind == "requests":
        _add(largest, _amounts(child(spec, "overhead"), names))
    return largest


def _of_container(container: Json, kind: str, names: Collection[str]) -> Amounts:
    amounts = _amounts(child(container, "resources", "limits"), names)
    if kind == "requests":
        asked = child(container, "resources", "requests")
        kept = {name: amount for name, amount in amounts.items() if name not in asked}
        return kept | _amounts(asked, names)
    return amounts


def _amounts(named: Json, names: Collection[str]) -> Amounts:
    """What can be read of these names; an amount below 0 is none that anybody could ask for."""
    fewer = names if len(names) <= len(named) else named
    read = {name: quantity(named[name]) for name in fewer if name in names and name in named}
    return {name: amount for name, amount in read.items() if amount is not None and amount >= 0}


def _add(total: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        total[name] += amount


def _most(largest: Amounts, together: Sequence[Amounts]) -> None:
    """Raise ``largest`` to the sum of what runs together, name by name."""
    for name in {name for amounts in together for name in amounts}:
        largest[name] = max(largest[name], sum((amounts.get(name, Decimal(0)) for amounts in together), Decimal(0)))
