"""Nodes: the machines that are up, as Node objects. A machine that the physics orders appears when it arrives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.embedded.errors import ApiError, Json
from tidegate.embedded.pods import Condition, conditions
from tidegate.embedded.resources import Registry
from tidegate.embedded.store import Change
from tidegate.embedded.workloads import MANAGER, Kind
from tidegate.embedded.writes import Options, Writes
from tidegate.simulation.physics import Physics


@dataclass(frozen=True, slots=True)
class NodePool:
    """The machines of a cluster, all alike."""

    count: int
    """Machines that are up at the start."""
    cpu: float = 32.0
    """Allocatable cores of each: the only thing that pods compete for."""
    machine_seconds: float = 0.0
    """How long a new machine takes when pods find no room; 0: none ever comes."""
    pods: int = 110
    """Shown as allocatable, not enforced."""
    memory: str = "128Gi"
    """Shown as allocatable, not enforced."""
    labels: Mapping[str, str] = field(default_factory=dict)


class MachinePhysics(Physics):
    """The physics, and how much room all machines have together."""

    @property
    def capacity_units(self) -> float:
        """Cores of the machines that are up; infinite when there is always room."""
        return self._capacity


class Machines:
    """Keeps one Node object for each machine. Node objects that clients create add no room."""

    def __init__(self, registry: Registry, writes: Writes, physics: MachinePhysics, pool: NodePool) -> None:
        self._registry, self._writes, self._physics, self._pool = registry, writes, physics, pool
        self._shown = 0

    def changed(self, kind: Kind, change: Change, at: float) -> None:
        """Machines follow the physics, not objects."""

    def next_instant(self) -> float | None:
        """The physics keeps the time."""
        return None

    def act(self, at: float) -> None:
        """Nothing is due."""

    def publish(self, at: float) -> None:
        """Create the Node objects of machines that have arrived."""
        wanted = math.ceil(self._physics.capacity_units / self._pool.cpu - 1e-6)
        while self._shown < wanted:
            self._create(f"machine-{self._shown:04d}", at)
            self._shown += 1

    def _create(self, name: str, at: float) -> None:
        resource = self._registry.find("", "v1", "nodes")
        if resource is None:
            return
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **self._pool.labels}
        node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}
        try:
            self._writes.create(resource, "", node, Options(manager=MANAGER))
        except ApiError as error:
            if error.code != 409:  # somebody's own Node of that name stands for the machine
                raise

        def change(document: Json) -> Json:
            document["status"] = self._status(at)
            return document

        self._writes.update(resource, ("", name), change, Options(manager=MANAGER), subresource="status")

    def _status(self, at: float) -> Json:
        room = {"cpu": f"{self._pool.cpu:g}", "memory": self._pool.memory, "pods": str(self._pool.pods)}
        ready = Condition("Ready", True, "KubeletReady", "the machine is up")
        return {
            "allocatable": room,
            "capacity": room,
            "conditions": conditions(None, [ready], at),
            "nodeInfo": {"kubeletVersion": "v1.32.0", "operatingSystem": "linux", "architecture": "amd64"},
        }
