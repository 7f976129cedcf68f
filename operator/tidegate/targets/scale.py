"""Anything with ``/scale``: Deployments, StatefulSets, custom resources. Reads what a plan needs of it.

The level of a workload without an HPA is ``/spec/replicas`` of its scale subresource, wherever the object itself keeps
that number; a custom resource says where in its CRD.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.planning.model import Ref
from tidegate.ports import Json, Manager, NotFoundError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource
from tidegate.targets.errors import ForbiddenError
from tidegate.targets.ownership import Leaf, leaf_of_json_path, owner, value_at
from tidegate.targets.rules import Rule, ScaleKind, ScaleVerbs, Where

FIELD = "/spec/replicas"
SUBRESOURCE = "scale"

KINDS = (ScaleKind("apps", "Deployment", "deployments"), ScaleKind("apps", "StatefulSet", "statefulsets"))
"""Kinds that an account may scale by default; an administrator adds others."""
VERBS = ScaleVerbs(main=("get", "list", "watch", "patch"), scale=("get", "patch"))
"""Read, and watch for drift; the level is patched through ``/scale``. ``patch`` on the object itself is for its
managedFields alone: a field is handed back to its former owner there (``fields.py``). ``/scale`` is read where a level
of 0 is left out, and where the kind's CRD may not be read."""
RULES = (Rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("get",), Where.CLUSTER),)
"""Where a custom resource keeps its level stands in its CRD."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the object itself keeps what its scale subresource shows."""

    level: Leaf = ("spec", "replicas")
    count: Leaf = ("status", "replicas")
    selector: Leaf | None = None
    """Where a custom resource keeps its pods' selector as text; None when it says none."""
    certain: bool = True
    """False when we may not read the CRD: then the level is read through the subresource."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload as read."""

    ref: Ref
    uid: str
    level: int | None
    """Replicas asked for; None when the object has no such number."""
    ready: int
    controller: str | None
    """``Kind/name`` of the object that controls this one."""
    manager: Manager | None
    """Who owns the level."""
    units: int
    """Units that exist, ready or not."""
    paths: ScalePaths
    document: Json = field(repr=False)
    """The object as read."""

    @property
    def selector(self) -> str:
        """Of its pods, as ``labelSelector`` takes it; empty when it is not told."""
        if self.paths.selector is not None:
            text = value_at(self.document, self.paths.selector)
            return text if isinstance(text, str) else ""
        if not self.ref.api_version.startswith("apps/"):
            return ""
        return _spelled(self.document["spec"]["selector"])


class Workloads:
    """Reads scalable objects."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._paths: dict[tuple[str, str], ScalePaths] = {}

    async def look(self, resource: Resource, ref: Ref) -> Workload:
        """Read one. Raises NotFoundError, RefusedError, UnavailableError."""
        document = await self._client.get(resource.path(ref.namespace, ref.name))
        paths = await self.paths(resource)
        level = await self.level(resource, document, paths)
        status = document.get("status") or {}
        ready = status.get("readyReplicas")
        if ready is None and resource.group not in ("apps", ""):
            ready = value_at(document, paths.count)  # a custom resource need not tell ready from there
        metadata = document["metadata"]
        return Workload(
            ref=ref,
            uid=metadata["uid"],
            level=level,
            ready=ready if isinstance(ready, int) else 0,
            controller=controller_of(metadata),
            manager=owner(metadata.get("managedFields") or [], paths.level),
            units=count if isinstance(count := value_at(document, paths.count), int) else 0,
            paths=paths,
            document=document,
        )

    async def level(self, resource: Resource, document: Json, paths: ScalePaths) -> int | None:
        """The level of an object that was read."""
        if not paths.certain:
            metadata = document["metadata"]
            path = resource.path(metadata.get("namespace", ""), metadata["name"], SUBRESOURCE)
            scale = await self._client.get(path)
            return int((scale.get("spec") or {}).get("replicas", 0))  # a real server leaves a zero out
        value = value_at(document, paths.level)
        return value if isinstance(value, int) else None

    async def paths(self, resource: Resource) -> ScalePaths:
        """Where this kind keeps its level; asked once."""
        key = (resource.api_version, resource.plural)
        if key not in self._paths:
            self._paths[key] = await self._ask(resource) if "." in resource.group else ScalePaths()
        return self._paths[key]

    async def _ask(self, resource: Resource) -> ScalePaths:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource.plural}.{resource.group}"
        try:
            definition = await self._client.get(path)
        except NotFoundError:
            return ScalePaths()  # an aggregated API, or one of the server's own groups
        except ForbiddenError:
            return ScalePaths(certain=False)
        version = resource.api_version.rpartition("/")[2]
        for served in definition["spec"]["versions"]:
            scale = (served.get("subresources") or {}).get("scale")
            if served["name"] == version and scale:
                selector = scale.get("labelSelectorPath")
                return ScalePaths(
                    leaf_of_json_path(scale["specReplicasPath"]),
                    leaf_of_json_path(scale["statusReplicasPath"]),
                    leaf_of_json_path(selector) if selector else None,
                )
        return ScalePaths()


def controller_of(metadata: Json) -> str | None:
    """``Kind/name`` of the owner that says it is in control."""
    for reference in metadata.get("ownerReferences") or []:
        if reference.get("controller"):
            return f"{reference.get('kind')}/{reference.get('name')}"
    return None


def _spelled(selector: Json) -> str:
    """A LabelSelector as text."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or []:
        values = f"({','.join(one.get('values') or [])})"
        spelled = {
            "In": f"{one['key']} in {values}",
            "NotIn": f"{one['key']} notin {values}",
            "Exists": one["key"],
            "DoesNotExist": f"!{one['key']}",
        }
        parts.append(spelled[one["operator"]])
    return ",".join(parts)
