"""The cluster behind the HTTP door: objects, rules, controllers, and a Python door for tests, demos and benchmarks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import yaml

from tidegate.embedded.controllers import Controllers, ControllerSettings, Load, NodePool
from tidegate.embedded.errors import ApiError, Json, bad_request
from tidegate.embedded.jobwork import JobWork
from tidegate.embedded.lifecycle import Lifecycle
from tidegate.embedded.lists import Filter, Lists
from tidegate.embedded.machines import node_status
from tidegate.embedded.merge import json_patch, merge_patch
from tidegate.embedded.podphysics import PodPhysics, Sidecar
from tidegate.embedded.resources import Registry, Resource
from tidegate.embedded.scale import scale_of, with_replicas
from tidegate.embedded.store import Store
from tidegate.embedded.timestamps import rfc3339
from tidegate.embedded.writes import Options, Writes

MANAGER = "embedded-python"
"""Field manager of the Python door, unless one is given."""


class Clock(Protocol):
    """Where the cluster's time comes from; it may run faster than the machine's."""

    def now(self) -> float:
        """Epoch seconds, UTC."""


class WallClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        return time.time()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request, as it was answered."""

    time: float
    """The cluster's time, epoch seconds."""
    verb: str
    resource: str
    """Plural name, with ``/subresource`` where there is one."""
    namespace: str
    name: str
    agent: str
    """First word of the user agent."""
    code: int

    @property
    def is_write(self) -> bool:
        """Whether it could have changed something."""
        return self.verb in WRITE_VERBS


WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class EmbeddedCluster:
    """An in-memory cluster. Everything happens on one event loop: call it from there (or before it runs).

    ``clock`` gives the time of stamps and controllers. ``load`` tells autoscalers the demand on a workload (see
    ``controllers``). ``creation_rate`` is in pods per second for the whole cluster; ``nodes`` limits its room (None:
    always room) and may show pods as objects. ``log_size`` is how many changes of each kind a watch can look back on
    before it is told 410. With ``audit=True`` every request is kept in ``audit``; ``requests`` counts them by (verb,
    resource, agent) in any case.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        load: Load | None = None,
        creation_rate: float = 20.0,
        nodes: NodePool | None = None,
        hpa_sync_seconds: float = 15.0,
        log_size: int = 100_000,
        bookmark_seconds: float = 30.0,
        audit: bool = False,
        namespaces: Iterable[str] = ("default", "kube-system"),
    ) -> None:
        self.clock: Clock = clock or WallClock()
        self.bookmark_seconds = bookmark_seconds
        """Real seconds of silence after which a watch that allows it gets a bookmark."""
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.audit: list[AuditEntry] = []
        self.keeps_audit = audit
        self.registry = Registry()
        self.store = Store(log_size=log_size)
        self.writes = Writes(self.store, self._stamp)
        self.lists = Lists(self.store)
        self._lifecycle = Lifecycle(self.store, self.registry, self.writes, self._stamp)
        self.controllers = Controllers(
            store=self.store,
            registry=self.registry,
            writes=self.writes,
            load=load,
            settings=ControllerSettings(creation_rate=creation_rate, nodes=nodes, hpa_sync_seconds=hpa_sync_seconds),
            now=self.clock.now,
        )
        for name in namespaces:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def _stamp(self) -> str:
        return rfc3339(self.clock.now())

    # ---- time

    def step(self) -> float | None:
        """Let the controllers catch up with the clock. The HTTP server does so by itself about every 50 ms; a test on a
        clock of its own calls it after moving the clock. Returns when something happens next by itself.
        """
        return self.controllers.step(self.clock.now())

    # ---- the Python door

    def create(self, document: Json, *, manager: str | None = MANAGER, dry_run: bool = False) -> Json:
        """Create an object, as a POST would. ApiError as the server would answer."""
        resource = self.resource_of(document)
        namespace = (document.get("metadata") or {}).get("namespace", "")
        outcome = self.writes.create(resource, namespace, _copy(document), Options(manager=manager, dry_run=dry_run))
        return _parse(outcome.raw)

    def load(self, documents: Iterable[Json]) -> int:
        """Create many objects fast: checked like any other, without a record of field owners. Returns how many. A
        document becomes the cluster's own: hand in fresh ones.
        """
        options = Options(manager=None, field_validation="Ignore")
        count = 0
        for document in documents:
            resource = self.resource_of(document)
            self.writes.create(resource, document["metadata"].get("namespace", ""), document, options)
            count += 1
        return count

    def get(self, api_version: str, kind: str, name: str, namespace: str = "default") -> Json | None:
        """One object as a copy of the caller's own, or None."""
        resource = self.resource(api_version, kind)
        stored = self.store.bucket(resource.bucket).get((namespace if resource.namespaced else "", name))
        return stored.document() if stored else None

    def list(self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "") -> Sequence[Json]:
        """All objects of a kind (in one namespace, with those labels), as copies."""
        resource = self.resource(api_version, kind)
        chosen = Filter.parse(resource, namespace, labels, "")
        return [item.document() for item in self.lists.all(resource, chosen)]

    def apply(self, document: Json, *, manager: str = MANAGER, force: bool = False) -> Json:
        """Server-side apply."""
        resource = self.resource_of(document)
        key = self._key(resource, document["metadata"]["name"], document["metadata"].get("namespace", "default"))
        outcome = self.writes.apply(resource, key, _copy(document), Options(manager=manager, force=force))
        return _parse(outcome.raw)

    def apply_manifests(self, text: str, *, manager: str = MANAGER) -> Sequence[Json]:
        """Server-side apply of every document of a YAML text."""
        return [self.apply(d, manager=manager, force=True) for d in yaml.safe_load_all(text) if d]

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        change: Json | Sequence[Json],
        *,
        namespace: str = "default",
        subresource: str = "",
        manager: str = MANAGER,
    ) -> Json:
        """A merge patch (a map) or a JSON patch (a list)."""
        resource = self.resource(api_version, kind)
        key = self._key(resource, name, namespace)

        def changed(document: Json) -> Json:
            if subresource != "scale":
                return merge_patch(document, change) if isinstance(change, dict) else json_patch(document, change)
            view = scale_of(resource, document)
            view = merge_patch(view, change) if isinstance(change, dict) else json_patch(view, change)
            return with_replicas(resource, document, view)

        outcome = self.writes.update(resource, key, changed, Options(manager=manager), subresource=subresource)
        return _parse(outcome.raw)

    def scale(self, api_version: str, kind: str, name: str, replicas: int, *, namespace: str = "default") -> Json:
        """Set a workload's replicas through ``/scale``."""
        change = {"spec": {"replicas": replicas}}
        return self.patch(api_version, kind, name, change, namespace=namespace, subresource="scale")

    def delete(self, api_version: str, kind: str, name: str, *, namespace: str = "default") -> None:
        """Delete an object (finalizers hold it)."""
        resource = self.resource(api_version, kind)
        self.writes.delete(resource, self._key(resource, name, namespace))

    # ---- machines and jobs

    def add_node(
        self,
        name: str,
        *,
        cpu: str = "32",
        memory: str = "128Gi",
        pods: int = 110,
        labels: Mapping[str, str] | None = None,
    ) -> Json:
        """Create a Node and let it be ready with so much allocatable. It adds room with ``NodePool.show_pods`` only."""
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})}
        self.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}})
        status = node_status({"cpu": cpu, "memory": memory, "pods": str(pods)}, self.clock.now())
        return self.patch("v1", "Node", name, {"status": status}, subresource="status")

    def set_node_ready(self, name: str, ready: bool) -> Json:
        """Let a machine go down or come back. A node is taken away with ``delete("v1", "Node", name)``, and kept from
        new pods with ``patch("v1", "Node", name, {"spec": {"unschedulable": True}})``.
        """
        before = (self.get("v1", "Node", name) or {}).get("status") or {}
        status = node_status(before.get("allocatable") or {}, self.clock.now(), ready=ready, before=before)
        return self.patch("v1", "Node", name, {"status": status}, subresource="status")

    def add_sidecar(self, namespace: str, *, cpu: str = "100m", memory: str = "64Mi") -> None:
        """From now on an admission webhook adds a container with these requests to each pod that is created in a
        namespace. Pods have to be shown (``NodePool.show_pods``), else nobody could see it.
        """
        self._pods_shown().sidecars[namespace] = Sidecar(cpu, memory)

    def remove_sidecar(self, namespace: str) -> None:
        """The webhook is gone: pods that exist stay as they were admitted."""
        self._pods_shown().sidecars.pop(namespace, None)

    def _pods_shown(self) -> PodPhysics:
        physics = self.controllers.physics
        if not isinstance(physics, PodPhysics):
            raise bad_request("pods are counts here: a sidecar needs NodePool(show_pods=True)")
        return physics

    def job_work(self, name: str, *, namespace: str = "default") -> JobWork | None:
        """Pod-seconds that a Job's pods have done and lost until the last step; None when there is no such Job."""
        return self.controllers.job_work((namespace, name))

    # ---- look-ups

    def resource(self, api_version: str, kind: str) -> Resource:
        """The served resource of a kind; ApiError 400 when there is none."""
        found = self.registry.of_kind(api_version, kind)
        if found is None:
            raise bad_request(f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def resource_of(self, document: Json) -> Resource:
        """The served resource of an object."""
        return self.resource(document.get("apiVersion", ""), document.get("kind", ""))

    def writes_seen(self, *, agent: str | None = None, ignore: Iterable[str] = ("leases",)) -> int:
        """How many writing requests came over HTTP (from one user agent), some resources not counted."""
        ignored = set(ignore)
        return sum(
            count
            for (verb, resource, who), count in self.requests.items()
            if verb in WRITE_VERBS and resource not in ignored and (agent is None or who == agent)
        )

    @staticmethod
    def _key(resource: Resource, name: str, namespace: str) -> tuple[str, str]:
        return (namespace if resource.namespaced else "", name)


def _copy(document: Json) -> Json:
    return _parse(orjson.dumps(document))


def _parse(raw: bytes) -> Json:
    document: Any = orjson.loads(raw)
    return document  # type: ignore[no-any-return]


__all__ = ["ApiError", "AuditEntry", "Clock", "EmbeddedCluster", "JobWork", "Load", "NodePool", "WallClock"]
