"""Anything with ``/scale``: Deployments, StatefulSets, custom resources. Reads what a plan needs of it.

The level of a workload without an HPA is ``/spec/replicas`` of its scale subresource, wherever the object itself keeps
that number; a custom resource says where in its CRD.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

from tidegate.planning.model import Evidence, Ref
from tidegate.planning.resources import Resources
from tidegate.ports import Json, Manager, NotFoundError, UnavailableError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import LIFETIME, Resource
from tidegate.targets.errors import ForbiddenError, NotServedError
from tidegate.targets.ownership import Leaf, fields_of, leaf_of_json_path, leaf_written, owner, value_at
from tidegate.targets.quotas import refusal
from tidegate.targets.read import child, count, mapping, maps, text, texts, version_of, whole
from tidegate.targets.rules import Rule, ScaleKind, ScaleVerbs, Where
from tidegate.targets.takes import template_takes

FIELD = "/spec/replicas"
SUBRESOURCE = "scale"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

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
    takes: Resources | None
    """What one of its pods takes; None when that cannot be told."""
    version: int
    """Of the document that the level was read from."""
    paths: ScalePaths
    ordered: bool
    """Each unit is made when the one before it is ready."""
    document: Json = field(repr=False, compare=False)
    """The object as read; empty for one that was taken from a watch."""
    refused: Evidence | None = None
    """The API server refuses its pods, as its controller says."""

    @property
    def selector(self) -> str:
        """Of its pods, as ``labelSelector`` takes it; empty when it is not told."""
        if self.paths.selector is not None:
            return text(value_at(self.document, self.paths.selector))
        if self.ref.identity.group != "apps":
            return ""
        return _spelled(child(self.document, "spec", "selector"))


class Workloads:
    """Reads scalable objects."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._paths: dict[Resource, tuple[float, ScalePaths]] = {}

    async def look(self, resource: Resource, ref: Ref) -> Workload:
        """Read one. Raises NotFoundError, RefusedError, UnavailableError."""
        document = await self._client.find(resource.path(ref.namespace, ref.name), ref.name)
        paths = await self.paths(resource)
        workload = workload_of(document, ref, paths)
        if paths.certain:
            return workload
        level, version = await self.level(resource, document, paths)
        manager = owner(fields_of(document), leaf_in(document, paths))
        return replace(workload, level=level, version=version, manager=manager)

    async def level(self, resource: Resource, document: Json, paths: ScalePaths) -> tuple[int | None, int]:
        """The level of an object that was read, and the version of the document that it stands in."""
        if not paths.certain:
            metadata = child(document, "metadata")
            name = text(metadata.get("name"))
            path = resource.path(text(metadata.get("namespace")), name, SUBRESOURCE)
            try:
                scale = await self._client.find(path, name)
            except NotFoundError as error:  # the object was read just now: it has no such subresource (any more)
                raise NotServedError(f"{path}: {error}") from error
            return whole(child(scale, "spec").get("replicas", 0)), version_of(scale)  # a real server leaves a zero out
        return whole(value_at(document, paths.level)), version_of(document)

    async def paths(self, resource: Resource) -> ScalePaths:
        """Where this kind keeps its level, as its CRD said half a minute ago at most; what it said last where there is
        no answer.
        """
        asked, known = self._paths.get(resource, (-math.inf, None))
        if known is None or time.monotonic() - asked >= LIFETIME:
            try:
                known = await self._ask(resource) if "." in resource.group else ScalePaths()
            except UnavailableError:
                if known is None:
                    raise
            self._paths[resource] = time.monotonic(), known
        return known

    async def _ask(self, resource: Resource) -> ScalePaths:
        name = f"{resource.plural}.{resource.group}"
        try:
            definition = await self._client.find(f"{DEFINITIONS}/{name}", name)
        except NotFoundError:
            return ScalePaths()  # an aggregated API, or one of the server's own groups
        except ForbiddenError:
            return ScalePaths(certain=False)
        version = resource.api_version.rpartition("/")[2]
        for served in maps(child(definition, "spec").get("versions")):
            scale = child(served, "subresources", "scale")
            if served.get("name") == version and scale:
                selector = text(scale.get("labelSelectorPath"))
                return ScalePaths(
                    leaf_of_json_path(text(scale.get("specReplicasPath"))),
                    leaf_of_json_path(text(scale.get("statusReplicasPath"))),
                    leaf_of_json_path(selector) if selector else None,
                )
        return ScalePaths()


def leaf_in(document: Json, paths: ScalePaths) -> Leaf:
    """Where an object keeps its level. Where the CRD may not be read, whoever has written through ``/scale`` shows it
    by what he owns; else it is taken to be where most keep it.
    """
    written = None if paths.certain else leaf_written(fields_of(document), SUBRESOURCE)
    return written or paths.level


def workload_of(document: Json, ref: Ref, paths: ScalePaths) -> Workload:
    """Read an object with ``/scale``; its level is None where the document does not tell it."""
    metadata = child(document, "metadata")
    ready = child(document, "status").get("readyReplicas")
    if ready is None and ref.identity.group not in ("apps", ""):
        ready = value_at(document, paths.count)  # a custom resource need not tell ready from there
    return Workload(
        ref=ref,
        uid=text(metadata.get("uid")),
        level=whole(value_at(document, paths.level)),
        ready=count(ready),
        controller=controller_of(metadata),
        manager=owner(fields_of(document), paths.level),
        units=count(value_at(document, paths.count)),
        takes=template_takes(document),
        version=version_of(document),
        paths=paths,
        ordered=ref.kind == "StatefulSet" and child(document, "spec").get("podManagementPolicy") != "Parallel",
        refused=refusal(maps(child(document, "status").get("conditions")), ref),
        document=document,
    )


def controller_of(metadata: Json) -> str | None:
    """``Kind/name`` of the owner that says it is in control."""
    for reference in maps(metadata.get("ownerReferences")):
        if reference.get("controller") is True:
            return f"{reference.get('kind')}/{reference.get('name')}"
    return None


def _spelled(selector: Json) -> str:
    """A LabelSelector as text; empty for one that cannot be spelled."""
    parts = [f"{key}={value}" for key, value in sorted(mapping(selector.get("matchLabels")).items())]
    for asked in maps(selector.get("matchExpressions")):
        key, values = text(asked.get("key")), f"({','.join(texts(asked.get('values')))})"
        spelled = {
            "In": f"{key} in {values}",
            "NotIn": f"{key} notin {values}",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }.get(text(asked.get("operator")))
        if spelled is None:
            return ""
        parts.append(spelled)
    return ",".join(parts)
