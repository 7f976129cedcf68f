"""A small shop to scale: workloads, HPAs, a policy and an event, each valid as it is."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

from harness import Json

METRIC = "tidegate_test_demand"
"""The external metric of the HPAs; it says next to nothing, so that an HPA falls as far as it is let."""
APPLIER = "shop-team"
"""The field manager that applies the shop."""
ZONE = "Asia/Shanghai"
ORIGINAL = 3
"""Not 1: a floor that falls back to an API's default would look like a return."""
FLOOR = 20
PER_UNIT = 100
SIGNAL = "orders_per_second"
START_SECONDS = 20
HPA_SYNC_SECONDS = 15


def deployment(namespace: str, name: str, *, replicas: int | None = ORIGINAL, start: int = START_SECONDS) -> Json:
    """A workload whose pods need ``start`` seconds; None leaves replicas to its HPA."""
    labels = {"app": name}
    pod = {
        "metadata": {"labels": labels, "annotations": {"tidegate.test/start": f"{start}s"}},
        "spec": {
            "containers": [{"name": "main", "image": "registry.example/shop:1"}],
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    spec: Json = {"selector": {"matchLabels": labels}, "template": pod}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _named(namespace, name), "spec": spec}


def hpa(namespace: str, name: str, *, minimum: int = ORIGINAL, maximum: int = 60) -> Json:
    """A real HPA whose metric wants next to nothing, with the default behaviour: a lost floor is a cliff."""
    metric = {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "10"}}
    spec = {
        "minReplicas": minimum,
        "maxReplicas": maximum,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "metrics": [{"type": "External", "external": metric}],
    }
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    return {**kind, "metadata": _named(namespace, name), "spec": spec}


def policy(
    namespace: str,
    *targets: str,
    name: str = "shop",
    hold: int = 30,
    step: int = 40,
    guess: int = START_SECONDS + HPA_SYNC_SECONDS + 5,
) -> Json:
    """A policy that acts, without headroom: 2,000 orders a second are 20 units."""
    spec = {
        "mode": "Enforce",
        "targets": [
            {
                "name": target,
                "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "capacity": {SIGNAL: PER_UNIT},
                "headroomPercent": 0,
                "max": 100,
                "leadTime": {"guessSeconds": guess},
            }
            for target in targets
        ],
        "release": {"holdSeconds": hold, "maxStepPercentPerMinute": step},
    }
    return _ours("ScalingPolicy", namespace, name, spec)


def local(instant: float) -> str:
    """Epoch seconds as an event's zone writes them."""
    return datetime.fromtimestamp(instant, ZoneInfo(ZONE)).strftime("%Y-%m-%dT%H:%M:%S")


def event(
    namespace: str, name: str, *, t0: float, duration: int = 60, floor: int = FLOOR, policy: str = "shop"
) -> Json:
    """An event that needs ``floor`` units from T-0 (epoch seconds, whole) on."""
    spec = {
        "schedule": {"startTime": local(t0), "timeZone": ZONE, "durationSeconds": duration},
        "expected": {SIGNAL: floor * PER_UNIT},
        "policyRef": {"name": policy},
    }
    return _ours("LiveEvent", namespace, name, spec)


def in_seconds(seconds: float) -> int:
    """A whole second that lies so far ahead."""
    return round(time.time() + seconds)


def minimum_of(hpa: Json) -> int:
    """An HPA's floor."""
    return int(hpa["spec"]["minReplicas"])


def replicas_of(deployment: Json) -> int:
    """What a Deployment is asked for."""
    return int(deployment["spec"]["replicas"])


def ready_of(deployment: Json) -> int:
    """How much of it is ready."""
    return int(deployment.get("status", {}).get("readyReplicas", 0))


def owners_of(obj: Json, field: str) -> list[str]:
    """Field managers of a field right under spec, as ``name/operation``."""
    return [
        f"{entry['manager']}/{entry['operation']}"
        for entry in obj["metadata"].get("managedFields", [])
        if f"f:{field}" in entry["fieldsV1"].get("f:spec", {})
    ]


def condition_of(obj: Json, kind: str) -> tuple[str, str] | None:
    """(status, reason) of a condition; None without it."""
    for condition in obj.get("status", {}).get("conditions", []):
        if condition["type"] == kind:
            return condition["status"], condition["reason"]
    return None


def _named(namespace: str, name: str) -> Json:
    return {"namespace": namespace, "name": name}


def _ours(kind: str, namespace: str, name: str, spec: Json) -> Json:
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": _named(namespace, name), "spec": spec}
