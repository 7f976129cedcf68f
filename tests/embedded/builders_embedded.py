"""Small objects, valid by default, and a clock that a test moves."""

from __future__ import annotations

from typing import Any

from tidegate.embedded.cluster import EmbeddedCluster, NodePool

Json = dict[str, Any]


class HandClock:
    """Time that passes when a test says so."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


def deployment(
    name: str = "web",
    *,
    replicas: int | None = 2,
    start: float = 5.0,
    cpu: str | None = None,
    never_ready: bool = False,
    namespace: str = "default",
    kind: str = "Deployment",
) -> Json:
    annotations = {"tidegate.dev/start-seconds": str(start)}
    if never_ready:
        annotations["tidegate.dev/never-ready"] = "true"
    container: Json = {"name": "main", "image": "web:1"}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    spec: Json = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}, "annotations": annotations},
            "spec": {"containers": [container]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def autoscaler(name: str = "web", *, low: int = 2, high: int = 100, target: str = "web", percent: int = 50) -> Json:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "minReplicas": low,
            "maxReplicas": high,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def job(
    name: str = "batch", *, parallelism: int = 2, completions: int = 4, run: float = 10.0, suspend: bool = False
) -> Json:
    annotations = {"tidegate.dev/start-seconds": "1", "tidegate.dev/run-seconds": str(run)}
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "batch:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parallelism": parallelism,
            "completions": completions,
            "suspend": suspend,
            "template": {"metadata": {"annotations": annotations}, "spec": pod},
        },
    }


GROUP = "shows.example.com"
API_VERSION = f"{GROUP}/v1"


def definition(*, versions: tuple[str, ...] = ("v1",), spec: Json | None = None) -> Json:
    """A CRD ``Show`` with defaults, bounds, a keyed list and both subresources; the first version is the stored one."""
    spec = spec or {
        "type": "object",
        "required": ["startsAt"],
        "properties": {
            "startsAt": {"type": "string", "format": "date-time"},
            "title": {"type": "string", "minLength": 1, "maxLength": 20, "pattern": "^[a-z]"},
            "phase": {"type": "string", "default": "Planned", "enum": ["Planned", "Live"]},
            "replicas": {"type": "integer", "minimum": 0, "maximum": 500},
            "share": {"x-kubernetes-int-or-string": True},
            "tags": {"type": "array", "maxItems": 3, "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "signals": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "level": {"type": "integer", "default": 1},
                        "note": {"type": "string", "nullable": True},
                    },
                },
            },
            "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"shows.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "shows", "singular": "show", "kind": "Show", "shortNames": ["sh"]},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": n == 0,
                    "schema": schema,
                    "subresources": {"status": {}, "scale": scale},
                    "additionalPrinterColumns": [{"name": "Phase", "type": "string", "jsonPath": ".spec.phase"}],
                }
                for n, version in enumerate(versions)
            ],
        },
    }


def show(name: str = "friday", **spec: Any) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "Show",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"startsAt": "2026-11-10T12:00:00Z", **spec},
    }


# ---- pods as objects


def cluster_with(clock: HandClock, count: int = 2, **pool: Any) -> EmbeddedCluster:
    options = {"cpu": 4.0, "memory": "16Gi", "show_pods": True, **pool}
    return EmbeddedCluster(clock=clock, nodes=NodePool(count, **options))


def pass_time(cluster: EmbeddedCluster, clock: HandClock, seconds: float) -> None:
    clock.advance(seconds)
    cluster.step()


def pods(cluster: EmbeddedCluster) -> list[Json]:
    return list(cluster.list("v1", "Pod"))


def placed(cluster: EmbeddedCluster) -> dict[str, int]:
    """How many unfinished pods each node carries."""
    counts: dict[str, int] = {}
    for pod in pods(cluster):
        if (node := pod["spec"].get("nodeName")) and pod["status"]["phase"] == "Running":
            counts[node] = counts.get(node, 0) + 1
    return counts


def condition(pod: Json, kind: str) -> Json:
    found: Json = next((c for c in pod["status"]["conditions"] if c["type"] == kind), {"status": "missing"})
    return found


def annotated(document: Json, **annotations: str) -> Json:
    said = document["spec"]["template"]["metadata"]["annotations"]
    said |= {f"tidegate.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return document


def asking(document: Json, **requests: str) -> Json:
    document["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": requests}
    return document
