"""Resources as a program declares them, valid by default; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Options:
    """Options of a resource."""

    protect: bool = False
    ignore_changes: Sequence[str] = ()


@dataclass(frozen=True)
class Declared:
    """A resource as a rule sees it."""

    resource_type: str
    name: str
    props: dict[str, Any]
    opts: Options = field(default_factory=Options)

    @property
    def urn(self) -> str:
        return f"urn:pulumi:dev::shop::{self.resource_type}::{self.name}"


@dataclass(frozen=True)
class Stack:
    """All of them."""

    resources: Sequence[Declared]


def metadata(name: str, namespace: str = "shop") -> dict[str, Any]:
    return {"name": name, "namespace": namespace}


def hpa(*ignored: str, scales: str = "orders", namespace: str = "shop") -> Declared:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": scales}
    props = {"metadata": metadata(scales, namespace), "spec": {"scaleTargetRef": ref, "minReplicas": 2}}
    return Declared("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", scales, props, Options(False, ignored))


def deployment(*ignored: str, name: str = "orders", replicas: int | None = None, **more: Any) -> Declared:
    spec = {} if replicas is None else {"replicas": replicas}
    props = {"metadata": {**metadata(name), **more}, "spec": spec}
    return Declared("kubernetes:apps/v1:Deployment", name, props, Options(False, ignored))


def policy(*names: str) -> Declared:
    targets = [{"name": name, "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}} for name in names]
    props = {"metadata": metadata("events"), "spec": {"targets": targets}}
    return Declared("kubernetes:tidegate.dev/v1alpha1:ScalingPolicy", "events", props)


def pool(*names: str, namespace: str = "shop") -> Declared:
    """Lends the Deployments of these names, and Jobs by their labels."""
    refs = [{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": name} for name in names]
    jobs = {"namespace": namespace, "matchLabels": {"workload": "nightly"}}
    members = [*({"name": ref["name"], "ref": ref} for ref in refs), {"name": "nightly", "jobs": jobs}]
    lanes = [{"name": "trading", "allowedNamespaces": ["shop"]}, {"name": "data", "members": members}]
    props = {"metadata": {"name": "machines"}, "spec": {"lanes": lanes}}
    return Declared("kubernetes:tidegate.dev/v1alpha1:CapacityPool", "machines", props)


def job(*ignored: str) -> Declared:
    props = {"metadata": metadata("nightly"), "spec": {"suspend": False}}
    return Declared("kubernetes:batch/v1:Job", "nightly", props, Options(False, ignored))


def database(*ignored: str, protect: bool = True) -> Declared:
    props = {"metadata": metadata("orders"), "spec": {"instances": 3}}
    return Declared("kubernetes:postgresql.cnpg.io/v1:Cluster", "orders", props, Options(protect, ignored))


def live(manager: str) -> dict[str, Any]:
    """Metadata of an object whose replicas a manager wrote."""
    return {"managedFields": [{"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}
