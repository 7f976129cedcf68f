"""What pods take of machines: CPU and memory as their requests say."""

from __future__ import annotations

import math
from decimal import Decimal
from hashlib import blake2b

from tidegate.planning.resources import NAMES, Resources
from tidegate.ports import Json
from tidegate.targets.quantity import LONGEST, quantity
from tidegate.targets.quotas import taken_by
from tidegate.targets.read import child, mapping, maps, text

MIB = 2**20
MOST = Resources(1_000_000_000, 2**33)
"""A million cores, eight pebibytes: more than any machine or pool. A template that asks for more says nothing that can
be planned with, and numbers of its size would spoil the solver's."""

_KEPT = 4096
"""Different pods whose amounts are remembered: a pool's pods are copies of a few hundred templates."""
_takes: dict[bytes, Resources] = {}
"""By digest: what is kept is as small for a template that somebody made huge as for any other."""


def there_is(named: object) -> Resources:
    """What a node has, by resource name: whole millicores and MiB, rounded down."""
    cpu, memory = (quantity(mapping(named).get(name)) or 0 for name in ("cpu", "memory"))
    return Resources(math.floor(cpu * 1000), math.floor(memory / MIB)).positive.least(MOST)


def pod_takes(spec: Json) -> Resources:
    """Of a pod's spec (or its template's), as the scheduler counts it: sidecars, what runs first, overhead. A request
    that cannot be read counts as none.
    """
    asked = _asked(spec)
    takes = _takes.get(asked)
    if takes is None:
        taken = taken_by(spec)
        cpu, memory = (taken.get(f"requests.{name}", Decimal(0)) for name in ("cpu", "memory"))
        takes = Resources(math.ceil(cpu * 1000), math.ceil(memory / MIB))
        if len(_takes) >= _KEPT:
            _takes.clear()
        _takes[asked] = takes
    return takes


def admitted_takes(spec: Json, status: Json) -> Resources:
    """Of a pod that was admitted: what it asks for now, or what a resize in place has not let go of yet where that is
    more. Of a resize that its machine can never carry out the new amounts do not count, as for the scheduler
    (k8s.io/component-helpers/resource, ``PodRequests`` with ``UseStatusResources``).
    """
    allotted = {
        text(one.get("name")): one
        for field in ("initContainerStatuses", "containerStatuses")
        for one in maps(status.get(field))
        if one.get("allocatedResources") or child(one, "resources", "requests")
    }
    if not allotted:
        return pod_takes(spec)
    conditions = maps(status.get("conditions"))
    never = any(c.get("type") == "PodResizePending" and c.get("reason") == "Infeasible" for c in conditions)
    held: Json = {**spec}
    for field in ("initContainers", "containers"):
        held[field] = [
            _allotted(one, allotted.get(text(one.get("name"))), never=never) for one in maps(spec.get(field))
        ]
    return pod_takes(held)


def _allotted(container: Json, status: Json | None, *, never: bool) -> Json:
    """A container with the larger of what it asks for and what it was allotted; of each resource that it names."""
    if status is None:
        return container
    asked = child(container, "resources", "requests")
    known = [child(status, "allocatedResources"), child(status, "resources", "requests")]
    larger = {}
    for name in (name for name in NAMES if name in asked):
        wanted = asked[name]
        amounts = [one[name] for one in known if quantity(one.get(name)) is not None]
        larger[name] = max([*([] if never and amounts else [wanted]), *amounts], key=lambda one: quantity(one) or 0)
    return {**container, "resources": {**child(container, "resources"), "requests": larger}}


def template_takes(document: Json) -> Resources | None:
    """Of one pod of a workload; None when its object holds no pod template, one that requests nothing, or one that
    requests more than any machine has.
    """
    takes = pod_takes(child(document, "spec", "template", "spec"))
    return None if takes.nothing or not takes.fits(MOST) else takes


def _asked(spec: Json) -> bytes:
    """A digest of all of a pod's spec that decides what it takes of CPU and memory. Nothing else of it is read: a
    container may name tens of thousands of other resources.
    """
    containers = [
        [(*_amounts(one.get("resources")), one.get("restartPolicy") == "Always") for one in maps(spec.get(name))]
        for name in ("initContainers", "containers")
    ]
    amounts = _amounts(spec.get("resources")), _named(spec.get("overhead"))
    return blake2b(repr((amounts, containers)).encode(), digest_size=16).digest()


def _amounts(resources: object) -> tuple[object, ...]:
    if not resources or not isinstance(resources, dict):
        return ()
    return _named(resources.get("requests")), _named(resources.get("limits"))


def _named(amounts: object) -> tuple[object, ...]:
    """CPU and memory as they are written. What is not named (``...``) is not the same as what cannot be read (None):
    the one is its limit, the other is nothing.
    """
    if not amounts or not isinstance(amounts, dict):
        return ()
    return tuple(_written(amounts.get(name, ...)) for name in NAMES)


def _written(amount: object) -> object:
    if isinstance(amount, str):
        return amount if len(amount) <= LONGEST else None
    return amount if amount is ... else quantity(amount)
