"""What the contract borrows levels of: documents as people apply them, and a look until they are as wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tidegate.planning.model import Ref
from tidegate.ports import Manager, Sight
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.registry import KubeTargets

Json = dict[str, Any]
HELM = Manager("helm", "Apply")


def template(name: str, *, cpu: str = "100m", selector: Json | None = None) -> Json:
    requests = {"cpu": cpu, "memory": "64Mi"}
    container = {"name": "main", "image": "registry.example/web:1", "resources": {"requests": requests}}
    spec = {"containers": [container], **({"nodeSelector": selector} if selector else {})}
    starts = {"tidegate.dev/start-seconds": "0.3"}  # of the embedded one's pods
    return {"metadata": {"labels": {"app": name}, "annotations": starts}, "spec": spec}


def deployment(ns: str, name: str = "web", replicas: int = 2, **pods: Any) -> Json:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": template(name, **pods),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": ns}, "spec": spec}


def hpa(ns: str, name: str = "web", minimum: int = 2, *, workload: str = "web", owner: Json | None = None) -> Json:
    metadata: Json = {"name": name, "namespace": ns}
    if owner:
        metadata["ownerReferences"] = [owner]
    resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec = {
        "minReplicas": minimum,
        "maxReplicas": 50,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
        "metrics": [{"type": "Resource", "resource": resource}],
    }
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def job(ns: str, name: str = "night", *, labels: Json | None = None, suspend: bool = False, **pods: Any) -> Json:
    pod = template(name, **pods)
    pod["spec"]["restartPolicy"] = "Never"
    pod["metadata"]["annotations"] |= {"tidegate.dev/run-seconds": "3600", "tidegate.test/run": "3600s"}
    metadata = {"name": name, "namespace": ns, "labels": labels or {}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": suspend, "parallelism": 2, "completions": 2, "template": pod},
    }


def path(document: Json, *, collection: bool = False) -> str:
    plural = document["kind"].lower() + "s"
    metadata = document["metadata"]
    root = f"/apis/{document['apiVersion']}/namespaces/{metadata['namespace']}/{plural}"
    return root if collection else f"{root}/{metadata['name']}"


async def apply(kube: KubeClient, document: Json, *, manager: str = "helm", force: bool = False) -> Json:
    return await kube.patch(path(document), document, Form.APPLY, manager=manager, force=force)


def ref(document: Json) -> Ref:
    metadata = document["metadata"]
    return Ref(document["apiVersion"], document["kind"], metadata["namespace"], metadata["name"])


async def eventually(look: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool], seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            if wanted(seen := await look()):
                return seen
            await asyncio.sleep(0.1)


async def see_place(targets: KubeTargets, document: Json) -> Sight:
    sight = await targets.see(ref(document))
    assert sight.place is not None, sight.observed.note
    return sight
