"""Nodes: the machines that are up, as Node objects. A machine that the physics orders appears when it arrives."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tidegate.embedded.errors import ApiError, Json
from tidegate.embedded.podphysics import Machine, PodPhysics
from tidegate.embedded.pods import Condition, conditions, quantity
from tidegate.embedded.resources import Registry
from tidegate.embedded.room import MachinePhysics, NodePool
from tidegate.embedded.store import DELETED, Change
from tidegate.embedded.workloads import MANAGER, Kind
from tidegate.embedded.writes import Options, Writes

NODES: Kind = ("", "nodes")


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
            name = f"machine-{self._shown:04d}"
            _create(self._registry, self._writes, name, self._pool.labels, _room(self._pool), at)
            self._shown += 1


class FollowedMachines:
    """Node objects both ways: those of machines that came up are created; what clients do to Nodes happens to machines.

    A Node that a client creates adds its room once its status says what is allocatable; a deleted one takes its pods
    along. ``Ready`` other than True, or ``spec.unschedulable``, keeps new pods off.
    """

    def __init__(self, registry: Registry, writes: Writes, physics: PodPhysics, pool: NodePool) -> None:
        self._registry, self._writes, self._physics, self._pool = registry, writes, physics, pool
        self._shown: set[str] = set()

    def changed(self, kind: Kind, change: Change, at: float) -> None:
        """Do to the machine what was done to its Node."""
        if kind != NODES:
            return
        name = change.item.name
        if change.type == DELETED:
            self._shown.discard(name)
            self._physics.remove_machine(name, now=at)
            return
        document = change.item.document()
        status = document.get("status") or {}
        room = status.get("allocatable")
        if not isinstance(room, dict):
            return
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
        machine = Machine(
            name,
            cpu=math.floor((quantity(room.get("cpu")) or 0.0) * 1000 + 1e-6),
            memory=math.floor(quantity(room.get("memory")) or 0.0),
            pods=math.floor(quantity(room.get("pods")) or 0.0),
            labels=change.item.labels,
            ready=ready,
            cordoned=bool((document.get("spec") or {}).get("unschedulable")),
        )
        self._shown.add(name)
        self._physics.set_machine(name, now=at, like=machine)

    def next_instant(self) -> float | None:
        """The physics keeps the time."""
        return None

    def act(self, at: float) -> None:
        """Nothing is due."""

    def publish(self, at: float) -> None:
        """Create the Node objects of machines that have come up."""
        for name, machine in self._physics.machines.items():
            if name not in self._shown:
                self._shown.add(name)
                _create(self._registry, self._writes, name, machine.labels, _room(self._pool), at)


def node_status(room: Json, at: float, *, ready: bool = True, before: Json | None = None) -> Json:
    """The status of a Node with so much room, as its kubelet would write it."""
    condition = (
        Condition("Ready", True, "KubeletReady", "kubelet is posting ready status")
        if ready
        else Condition("Ready", False, "KubeletNotReady", "the machine is down")
    )
    return {
        "allocatable": room,
        "capacity": room,
        "conditions": conditions((before or {}).get("conditions"), [condition], at),
        "nodeInfo": {"kubeletVersion": "v1.32.0", "operatingSystem": "linux", "architecture": "amd64"},
    }


def _room(pool: NodePool) -> Json:
    return {"cpu": f"{pool.cpu:g}", "memory": pool.memory, "pods": str(pool.pods)}


def _create(registry: Registry, writes: Writes, name: str, labels: Mapping[str, str], room: Json, at: float) -> None:
    resource = registry.find("", "v1", "nodes")
    if resource is None:
        return
    shown = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels}
    node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": shown}, "spec": {}}
    try:
        writes.create(resource, "", node, Options(manager=MANAGER))
    except ApiError as error:
        if error.code != 409:  # somebody's own Node of that name stands for the machine
            raise

    def change(document: Json) -> Json:
        document["status"] = node_status(room, at)
        return document

    writes.update(resource, ("", name), change, Options(manager=MANAGER), subresource="status")
