"""What is served: the table of built-in kinds, and the kinds that a CustomResourceDefinition adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.embedded.errors import Json
from tidegate.embedded.schema import Checker, compile_schema
from tidegate.embedded.shape import BUILTIN, SchemaShape, Shape

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
OBJECT_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
"""Field selectors that every kind understands."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a kind keeps what ``/scale`` shows."""

    spec: str = ".spec.replicas"
    status: str = ".status.replicas"
    selector: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column that ``kubectl get`` prints."""

    name: str
    type: str
    path: str
    description: str = ""
    priority: int = 0
    format: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One served version of one kind."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    singular: str = ""
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    has_generation: bool = False
    scale: ScalePaths | None = None
    selectable: frozenset[str] = OBJECT_FIELDS
    custom: bool = False
    storage_version: str = ""
    """The version in which objects are kept; the only other difference between versions is their ``apiVersion``."""
    schema: Json = field(default_factory=dict)
    checker: Checker | None = None
    shape: Shape = BUILTIN
    columns: tuple[Column, ...] = ()

    @property
    def api_version(self) -> str:
        """As objects spell it: ``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        """The ``apiVersion`` of the objects as they are kept."""
        version = self.storage_version or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def bucket(self) -> tuple[str, str]:
        """All versions of a kind share one bucket of objects."""
        return self.group, self.plural


def _row(
    api_version: str,
    plural: str,
    kind: str,
    *,
    short: str = "",
    namespaced: bool = True,
    subs: str = "",
    fields: Sequence[str] = (),
) -> Resource:
    group, _, version = api_version.rpartition("/")
    subresources = frozenset(subs.split())
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        short_names=tuple(short.split()),
        singular=kind.lower(),
        categories=("all",) if kind in _IN_ALL else (),
        subresources=subresources,
        has_generation=kind in _WITH_GENERATION,
        scale=ScalePaths(selector=".spec.selector") if "scale" in subresources else None,
        selectable=OBJECT_FIELDS | frozenset(fields),
    )


_IN_ALL = {
    "Pod",
    "Service",
    "Deployment",
    "StatefulSet",
    "ReplicaSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
}
_WITH_GENERATION = {
    *("Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Job", "CronJob", "PodDisruptionBudget"),
    *("CustomResourceDefinition", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
}
_EVENT_FIELDS = (
    *("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid"),
    *("involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath"),
    *("reason", "reportingComponent", "source", "type"),
)

BUILTINS: tuple[Resource, ...] = (
    _row("v1", "namespaces", "Namespace", short="ns", namespaced=False, subs="status", fields=("status.phase",)),
    _row("v1", "pods", "Pod", short="po", subs="status", fields=("spec.nodeName", "status.phase")),
    _row("v1", "configmaps", "ConfigMap", short="cm"),
    _row("v1", "secrets", "Secret", fields=("type",)),
    _row("v1", "services", "Service", short="svc", subs="status"),
    _row("v1", "serviceaccounts", "ServiceAccount", short="sa"),
    _row("v1", "events", "Event", short="ev", fields=_EVENT_FIELDS),
    _row("v1", "nodes", "Node", short="no", namespaced=False, subs="status", fields=("spec.unschedulable",)),
    _row("v1", "persistentvolumeclaims", "PersistentVolumeClaim", short="pvc", subs="status"),
    _row("v1", "resourcequotas", "ResourceQuota", short="quota", subs="status"),
    _row("v1", "limitranges", "LimitRange", short="limits"),
    _row("apps/v1", "deployments", "Deployment", short="deploy", subs="status scale"),
    _row("apps/v1", "statefulsets", "StatefulSet", short="sts", subs="status scale"),
    _row("apps/v1", "replicasets", "ReplicaSet", short="rs", subs="status scale"),
    _row("apps/v1", "daemonsets", "DaemonSet", short="ds", subs="status"),
    _row("batch/v1", "jobs", "Job", subs="status", fields=("status.successful",)),
    _row("batch/v1", "cronjobs", "CronJob", short="cj", subs="status"),
    _row("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short="hpa", subs="status"),
    _row("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", short="pdb", subs="status"),
    _row("coordination.k8s.io/v1", "leases", "Lease"),
    _row("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", short="netpol"),
    _row("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", short="pc", namespaced=False),
    _row("rbac.authorization.k8s.io/v1", "roles", "Role"),
    _row("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding"),
    _row("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", namespaced=False),
    _row("rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _row(
        "admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        namespaced=False,
    ),
    _row(
        "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        namespaced=False,
    ),
    _row(
        "admissionregistration.k8s.io/v1",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        namespaced=False,
        subs="status",
    ),
    _row(
        "admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        namespaced=False,
    ),
    _row(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        short="crd crds",
        namespaced=False,
        subs="status",
    ),
)
"""Every built-in kind. They carry no schema: what clients send is kept, but for the rules in ``admission``."""


def from_definition(definition: Json) -> list[Resource]:
    """The served versions of a CustomResourceDefinition."""
    spec = definition["spec"]
    storage = next((v["name"] for v in spec["versions"] if v.get("storage")), spec["versions"][0]["name"])
    return [_custom(spec, version, storage) for version in spec["versions"] if version.get("served", True)]


def _custom(spec: Json, version: Json, storage: str) -> Resource:
    names = spec["names"]
    subresources = version.get("subresources") or {}
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True}
    scale = subresources.get("scale")
    selectable = [f["jsonPath"].lstrip(".") for f in version.get("selectableFields") or ()]
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec.get("scope", "Namespaced") == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        singular=names.get("singular") or names["kind"].lower(),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(subresources),
        has_generation=True,
        scale=_scale_paths(scale) if scale else None,
        selectable=OBJECT_FIELDS | frozenset(selectable),
        custom=True,
        storage_version=storage,
        schema=schema,
        checker=compile_schema(schema, root=True),
        shape=SchemaShape(schema, root=True),
        columns=tuple(_column(c) for c in version.get("additionalPrinterColumns") or ()),
    )


def _scale_paths(scale: Mapping[str, str]) -> ScalePaths:
    return ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath"))


def _column(c: Json) -> Column:
    return Column(
        name=c["name"],
        type=c["type"],
        path=c["jsonPath"],
        description=c.get("description", ""),
        priority=c.get("priority", 0),
        format=c.get("format", ""),
    )


class Registry:
    """What is served right now, by group, version and plural name."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str], Resource] = {}
        for resource in BUILTINS:
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._served.values())

    def add(self, resource: Resource) -> None:
        """Serve a resource, in place of an earlier one of that name."""
        self._served[resource.group, resource.version, resource.plural] = resource

    def drop(self, group: str, plural: str) -> None:
        """Stop serving all versions of a kind."""
        for key in [k for k in self._served if (k[0], k[2]) == (group, plural)]:
            del self._served[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource behind a path."""
        return self._served.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource behind an object's ``apiVersion`` and ``kind``."""
        return next((r for r in self if r.api_version == api_version and r.kind == kind), None)

    def any_version(self, group: str, kind: str) -> Resource | None:
        """Some served version of a kind; references name a version that may have gone."""
        return next((r for r in self if r.group == group and r.kind == kind), None)

    def versions(self) -> dict[str, list[str]]:
        """Served versions by group, groups in the order in which they were added."""
        found: dict[str, list[str]] = {}
        for resource in self:
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return found
