"""Resources as a program declares them, valid by default; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes a text that is known only in an update."""
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
STACK = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"


@dataclass(frozen=True)
class Options:
    """Options of a resource."""

    protect: bool = False
    ignore_changes: Sequence[str] = ()
    parent: str = ""


@dataclass(frozen=True)
class Provider:
    """The provider that a resource was declared with."""

    name: str
    props: dict[str, Any] = field(default_factory=dict)
    resource_type: str = "pulumi:providers:kubernetes"

    @property
    def urn(self) -> str:
        return f"urn:pulumi:dev::shop::{self.resource_type}::{self.name}"


@dataclass(frozen=True)
class Declared:
    """A resource as a rule sees it."""

    resource_type: str
    name: str
    props: dict[str, Any]
    opts: Options = field(default_factory=Options)
    provider: Provider | None = None

    @property
    def urn(self) -> str:
        return f"urn:pulumi:dev::shop::{self.resource_type}::{self.name}"

    def under(self, component: Declared) -> Declared:
        """The same as a part of a component."""
        return replace(self, opts=replace(self.opts, parent=component.urn))

    def by(self, provider: Provider) -> Declared:
        """The same with a provider."""
        return replace(self, provider=provider)

    def protected(self) -> Declared:
        """The same, protected."""
        return replace(self, opts=replace(self.opts, protect=True))

    def noted(self, allow: str) -> Declared:
        """The same with a suppression."""
        had = self.props.get("metadata", {})
        return replace(self, props={**self.props, "metadata": {**had, "annotations": {"tidegate.dev/allow": allow}}})


@dataclass(frozen=True)
class Stack:
    """All of them."""

    resources: Sequence[Declared]
    config: dict[str, Any] = field(default_factory=dict)

    def get_config(self) -> dict[str, Any]:
        return self.config


def secret(value: Any) -> dict[str, Any]:
    """A secret as the engine writes it."""
    return {SIGNATURE: SECRET, "value": value}


def metadata(name: Any, namespace: Any = "shop") -> dict[str, Any]:
    return {"name": name} if namespace is None else {"name": name, "namespace": namespace}


def thing(token: str, name: str, *ignored: str, protect: bool = False, **props: Any) -> Declared:
    """Anything in a cluster."""
    return Declared(f"kubernetes:{token}", name, {"metadata": metadata(name), **props}, Options(protect, ignored))


def hpa(
    *ignored: str, scales: str = "orders", namespace: Any = "shop", version: str = "v2", least: Any = 2
) -> Declared:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": scales}
    spec = {"scaleTargetRef": ref, **({} if least is None else {"minReplicas": least})}
    props = {"metadata": metadata(scales, namespace), "spec": spec}
    return Declared(f"kubernetes:autoscaling/{version}:HorizontalPodAutoscaler", scales, props, Options(False, ignored))


def workload(token: str, *ignored: str, name: str = "orders", replicas: Any = None, **more: Any) -> Declared:
    spec = {} if replicas is None else {"replicas": replicas}
    props = {"metadata": {**metadata(name), **more}, "spec": spec}
    return Declared(f"kubernetes:{token}", name, props, Options(False, ignored))


def deployment(*ignored: str, name: str = "orders", replicas: Any = None, **more: Any) -> Declared:
    return workload("apps/v1:Deployment", *ignored, name=name, replicas=replicas, **more)


def policy(*names: Any, api: str = "apps/v1", kind: str = "Deployment") -> Declared:
    targets = [{"name": "t", "ref": {"apiVersion": api, "kind": kind, "name": name}} for name in names]
    return policy_of(targets)


def policy_of(targets: Any) -> Declared:
    """A policy with targets as they are given."""
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


def job(*ignored: str, suspend: bool | None = False) -> Declared:
    spec = {"template": {}, **({} if suspend is None else {"suspend": suspend})}
    return Declared(
        "kubernetes:batch/v1:Job", "nightly", {"metadata": metadata("nightly"), "spec": spec}, Options(False, ignored)
    )


def database(*ignored: str, protect: bool = True) -> Declared:
    props = {"metadata": metadata("orders"), "spec": {"instances": 3}}
    return Declared("kubernetes:postgresql.cnpg.io/v1:Cluster", "orders", props, Options(protect, ignored))


def namespace(name: str = "shop", *, protect: bool = False) -> Declared:
    return Declared("kubernetes:core/v1:Namespace", name, {"metadata": {"name": name}}, Options(protect))


def component(name: str, token: str = "tidegate:cache:Cache", parent: str = STACK) -> Declared:
    return Declared(token, name, {}, Options(parent=parent))


def entry(manager: str, fields: Any, operation: str = "Apply", **more: Any) -> dict[str, Any]:
    """One of an object's managers, as the API server writes it."""
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "time": "2026-11-01T08:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


REPLICAS = {"f:spec": {"f:replicas": {}}}
TEMPLATE = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}}}}


def live(*managers: str, **more: Any) -> dict[str, Any]:
    """Metadata of an object whose replicas managers wrote."""
    return {"managedFields": [entry(manager, REPLICAS, **more) for manager in managers]}
