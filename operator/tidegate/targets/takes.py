"""What pods take of machines: CPU and memory as their requests say."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.ports import Json
from tidegate.targets.quantity import quantity

MIB = 2**20


def amount_of(named: Json | None, *, up: bool) -> Resources:
    """Quantities by resource name as whole millicores and MiB; requests are rounded up, what there is down."""
    whole = math.ceil if up else math.floor
    cpu, memory = (quantity((named or {}).get(name)) or 0 for name in ("cpu", "memory"))
    return Resources(whole(cpu * 1000), whole(memory / MIB))


def pod_takes(spec: Json) -> Resources:
    """Of a pod's spec (or its template's): the containers together, or the largest that runs before them."""
    running = total(_requests(spec.get("containers")))
    first = NOTHING
    for one in _requests(spec.get("initContainers")):
        first = first.most(one)
    return running.most(first) + amount_of(spec.get("overhead"), up=True)


def template_takes(document: Json) -> Resources | None:
    """Of one pod of a workload; None when its object holds no pod template, or one that requests nothing."""
    template = (document.get("spec") or {}).get("template")
    if not isinstance(template, dict):
        return None
    takes = pod_takes(template.get("spec") or {})
    return None if takes.nothing else takes


def _requests(containers: list[Json] | None) -> Iterable[Resources]:
    for container in containers or ():
        resources = container.get("resources") or {}
        # A limit without a request is a request: the API server sets it so on every pod.
        yield amount_of({**(resources.get("limits") or {}), **(resources.get("requests") or {})}, up=True)
