"""What pods take of machines: CPU and memory as their requests say."""

from __future__ import annotations

import math
from decimal import Decimal

from tidegate.planning.resources import Resources
from tidegate.ports import Json
from tidegate.targets.quantity import quantity
from tidegate.targets.quotas import taken_by

MIB = 2**20


def there_is(named: Json | None) -> Resources:
    """What a node has, by resource name: whole millicores and MiB, rounded down."""
    cpu, memory = (quantity((named or {}).get(name)) or 0 for name in ("cpu", "memory"))
    return Resources(math.floor(cpu * 1000), math.floor(memory / MIB))


def pod_takes(spec: Json) -> Resources:
    """Of a pod's spec (or its template's), as the scheduler counts it: sidecars, what runs first, overhead."""
    taken = taken_by(spec)
    cpu, memory = (taken.get(f"requests.{name}", Decimal(0)) for name in ("cpu", "memory"))
    return Resources(math.ceil(cpu * 1000), math.ceil(memory / MIB))


def template_takes(document: Json) -> Resources | None:
    """Of one pod of a workload; None when its object holds no pod template, or one that requests nothing."""
    template = (document.get("spec") or {}).get("template")
    if not isinstance(template, dict):
        return None
    takes = pod_takes(template.get("spec") or {})
    return None if takes.nothing else takes
