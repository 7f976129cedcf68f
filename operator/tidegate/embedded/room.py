"""The machines of a cluster as they are asked for, and the physics as the controllers talk to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.embedded.pods import PodBehavior
from tidegate.simulation.physics import Physics


@dataclass(frozen=True, slots=True)
class NodePool:
    """The machines of a cluster, all alike."""

    count: int
    """Machines that are up at the start."""
    cpu: float = 32.0
    """Allocatable cores of each."""
    machine_seconds: float = 0.0
    """How long a new machine takes when pods find no room; 0: none ever comes."""
    pods: int = 110
    """Allocatable pods of each. Enforced with ``show_pods``, else only shown."""
    memory: str = "128Gi"
    """Allocatable memory of each. Enforced with ``show_pods``, else only shown."""
    labels: Mapping[str, str] = field(default_factory=dict)
    show_pods: bool = False
    """Pods as objects, each on a machine of its own (``podphysics``), and machines that follow Node objects. Without
    it pods are counts, cores are all they compete for, and all machines are one room."""


class MachinePhysics(Physics):
    """The physics, and how much room all machines have together."""

    @property
    def capacity_units(self) -> float:
        """Cores of the machines that are up; infinite when there is always room."""
        return self._capacity

    def want(self, key: str, *, now: float, replicas: int, pods: PodBehavior) -> None:
        """So many pods of a template, from now on."""
        self.set_workload(
            key,
            now=now,
            replicas=replicas,
            start_seconds=pods.start_seconds,
            never_ready=pods.never_ready,
            size=pods.size,
            stop_seconds=pods.stop_seconds,
        )
