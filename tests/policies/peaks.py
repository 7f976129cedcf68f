"""Events that run, begin soon, or do not; and the same stack as the cluster holds it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from declared import Declared, Options, entry, metadata

PEAK = "no-change-in-a-peak"
STEP = "no-step-in-a-peak"
SEEN = "peaks-can-be-seen"
PULUMI = "pulumi-kubernetes-1f7b2c9a"


def schedule(minutes: float = -10, *, lasts: int = 7200, zone: str = "Asia/Shanghai", **more: Any) -> dict[str, Any]:
    """A schedule that begins in so many minutes from now."""

    start = (datetime.now(UTC) + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return {"startTime": start.isoformat(timespec="seconds"), "timeZone": zone, "durationSeconds": lasts, **more}


def changed(minutes: float, to: float | None = None, **change: Any) -> dict[str, Any]:
    """The same with a change of its occurrence; ``to``: postponed so many minutes from now."""
    made = schedule(minutes)
    moved = {} if to is None else {"postponedTo": schedule(to)["startTime"]}
    return {**made, "changes": [{"occurrence": made["startTime"], **moved, **change}]}


def weekly(minutes: float, rule: str, *, without: float | None = None) -> dict[str, Any]:
    """The same, again and again; ``without``: an occurrence so many minutes after the first does not take place."""
    made = schedule(minutes)
    recurrence: dict[str, Any] = {"rrule": rule}
    if without is not None:
        left_out = datetime.fromisoformat(made["startTime"]) + timedelta(minutes=without)
        recurrence["exclude"] = [left_out.isoformat()]
    return {**made, "recurrence": recurrence}


def event(given: Any, *, policy: Any = "events", name: str = "double-11", **status: Any) -> Declared:
    """A LiveEvent with a schedule."""
    spec = {"schedule": given, "policyRef": {"name": policy}, "expected": {"orders_per_second": 9000}}
    props: dict[str, Any] = {"metadata": metadata(name), "spec": spec}
    if status:
        props["status"] = status
    return Declared("kubernetes:tidegate.dev/v1alpha1:LiveEvent", name, props)


def container(image: str = "shop/orders:1", cpu: str = "1000m") -> dict[str, Any]:
    return {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": 80}],
        "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}},
    }


def orders(image: str = "shop/orders:1", *ignored: str, cpu: str = "1000m", **more: Any) -> Declared:
    """A Deployment that Pulumi applied, as a program declares it."""
    template = {"metadata": {"labels": {"app": "orders"}}, "spec": {"containers": [container(image, cpu)]}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "orders"}}, "template": template, **more}
    props = {"metadata": metadata("orders"), "spec": spec}
    return Declared("kubernetes:apps/v1:Deployment", "orders", props, Options(False, ["spec.replicas", *ignored]))


ORDERS_FIELDS = {
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {
                "f:containers": {
                    'k:{"name":"app"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                        "f:resources": {"f:requests": {"f:cpu": {}, "f:memory": {}}},
                    }
                }
            },
        },
    }
}
"""What Pulumi applied of it, as the API server keeps it."""


def live_orders() -> dict[str, Any]:
    """The same as the server holds it: defaults filled in, quantities in its own spelling, replicas moved."""
    made = copy.deepcopy(orders().props)
    made |= {"apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 40}}
    made["metadata"] |= {
        "uid": "1",
        "resourceVersion": "77",
        "generation": 5,
        "managedFields": [
            entry(PULUMI, ORDERS_FIELDS),
            entry("tidegate", {"f:spec": {"f:replicas": {}}}),
            entry("kube-controller-manager", {"f:status": {"f:replicas": {}}}, "Update", subresource="status"),
        ],
    }
    made["spec"] |= {"replicas": 40, "progressDeadlineSeconds": 600, "strategy": {"type": "RollingUpdate"}}
    made["spec"]["template"]["spec"] |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    (app,) = made["spec"]["template"]["spec"]["containers"]
    app["resources"]["requests"]["cpu"] = "1"
    app["ports"][0]["protocol"] = "TCP"
    app["imagePullPolicy"] = "IfNotPresent"
    return made


def as_live(one: Declared) -> dict[str, Any]:
    """An object of the API as the server holds it."""
    version, _, kind = one.resource_type.removeprefix("kubernetes:").rpartition(":")
    return {"apiVersion": version.removeprefix("core/"), "kind": kind, **one.props}


def written(folder: Path, *items: Any) -> Path:
    """What ``kubectl get … -o json`` writes of them."""
    objects = [as_live(one) if isinstance(one, Declared) else one for one in items]
    path = folder / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return path
