"""Deployments, StatefulSets and ReplicaSets: their replicas go to the physics, its counts come back as status.

Pods are counts here, and there are no intermediate ReplicaSet objects (``podobjects`` shows pods). A changed template
holds for pods that start from then on: there is no rollout. StatefulSets start their pods side by side
(``podManagementPolicy: Parallel``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.embedded.errors import Json
from tidegate.embedded.pods import Condition, behavior_of, conditions
from tidegate.embedded.resources import Registry
from tidegate.embedded.room import MachinePhysics
from tidegate.embedded.store import DELETED, Change, Key, Store
from tidegate.embedded.writes import Options, Writes
from tidegate.simulation.physics import WorkloadView

MANAGER = "kube-controller-manager"
KINDS = {
    ("apps", "deployments"): "Deployment",
    ("apps", "statefulsets"): "StatefulSet",
    ("apps", "replicasets"): "ReplicaSet",
}

Kind = tuple[str, str]


def pods_key(kind: Kind, key: Key) -> str:
    """The name under which the physics knows an object's pods."""
    return f"{kind[1]}/{key[0]}/{key[1]}"


@dataclass(slots=True)
class _Known:
    generation: int
    shown: tuple[WorkloadView, int] | None = field(default=None)
    """View and generation that the status tells of."""


class Workloads:
    """The three kinds whose pods run until further notice."""

    def __init__(self, store: Store, registry: Registry, writes: Writes, physics: MachinePhysics) -> None:
        self._store, self._registry, self._writes, self._physics = store, registry, writes, physics
        self._known: dict[tuple[Kind, Key], _Known] = {}

    def ready(self, kind: Kind, key: Key) -> int | None:
        """Ready pods of a workload; None when it is not one of ours."""
        return self._physics.view(pods_key(kind, key)).ready if (kind, key) in self._known else None

    def changed(self, kind: Kind, change: Change, at: float) -> None:
        """Hand the wanted replicas to the physics."""
        if kind not in KINDS:
            return
        key = (change.item.namespace, change.item.name)
        if change.type == DELETED:
            self._known.pop((kind, key), None)
            self._physics.remove(pods_key(kind, key), now=at)
            return
        document = change.item.document()
        generation = document["metadata"].get("generation", 0)
        known = self._known.get((kind, key))
        if known is not None and known.generation == generation:
            return
        spec = document["spec"]
        pods = behavior_of(spec.get("template") or {})
        self._physics.want(pods_key(kind, key), now=at, replicas=spec.get("replicas", 1), pods=pods)
        if known is None:
            self._known[kind, key] = _Known(generation)
        else:
            known.generation = generation

    def next_instant(self) -> float | None:
        """The physics keeps the time."""
        return None

    def act(self, at: float) -> None:
        """Nothing is due but what the physics does."""

    def publish(self, at: float) -> None:
        """Bring statuses up to date."""
        for (kind, key), known in list(self._known.items()):
            view = self._physics.view(pods_key(kind, key))
            if known.shown != (view, known.generation):
                self._show(kind, key, view, at)
                known.shown = (view, known.generation)

    def _show(self, kind: Kind, key: Key, view: WorkloadView, at: float) -> None:
        resource = self._registry.find(kind[0], "v1", kind[1])
        if resource is None or self._store.bucket(kind).get(key) is None:
            return

        def change(document: Json) -> Json:
            before = document.get("status") or {}
            generation = document["metadata"].get("generation", 1)
            document["status"] = _status(KINDS[kind], view, before, generation, at)
            return document

        self._writes.update(resource, key, change, Options(manager=MANAGER), subresource="status")


def _status(kind: str, view: WorkloadView, before: Json, generation: int, at: float) -> Json:
    status: Json = {"observedGeneration": generation, "replicas": view.created}
    counts = {"readyReplicas": view.ready, "availableReplicas": view.ready}
    if kind == "Deployment":
        counts |= {"updatedReplicas": view.created, "unavailableReplicas": max(0, view.wanted - view.ready)}
        status["conditions"] = conditions(before.get("conditions"), _deployment_conditions(view), at, updates=True)
    elif kind == "StatefulSet":
        counts |= {"currentReplicas": view.created, "updatedReplicas": view.created}
        status["collisionCount"] = 0
    else:
        counts["fullyLabeledReplicas"] = view.created
    return {**status, **{name: count for name, count in counts.items() if count or name == "availableReplicas"}}


def _deployment_conditions(view: WorkloadView) -> list[Condition]:
    needed = view.wanted - view.wanted // 4  # the stock strategy lets a quarter be unavailable
    available = (
        Condition("Available", True, "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if view.ready >= needed
        else Condition(
            "Available", False, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
        )
    )
    progressing = (
        Condition("Progressing", True, "NewReplicaSetAvailable", "All replicas are available.")
        if view.ready >= view.wanted
        else Condition("Progressing", True, "ReplicaSetUpdated", "Replicas are being created or started.")
    )
    return [available, progressing]
