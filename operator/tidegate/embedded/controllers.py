"""What the cluster does by itself: one timeline for workloads, autoscalers, jobs and machines.

``step(now)`` carries out, in order, everything that was due since the last step: changes of objects at the instant they
were made, autoscaler syncs, ends of jobs. So the outcome does not depend on how often it is called, and a clock may run
fast. Statuses are written once at the end of a step, and only where they changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tidegate.embedded.autoscalers import AUTOSCALERS, Autoscalers, Load
from tidegate.embedded.jobs import JOBS, Jobs
from tidegate.embedded.jobwork import JobWork
from tidegate.embedded.machines import NODES, FollowedMachines, Machines
from tidegate.embedded.podobjects import PODS, PodObjects
from tidegate.embedded.podphysics import PodPhysics
from tidegate.embedded.resources import Registry
from tidegate.embedded.room import MachinePhysics, NodePool
from tidegate.embedded.store import Change, Key, Store
from tidegate.embedded.workloads import KINDS, Workloads
from tidegate.embedded.writes import Writes

__all__ = ["ControllerSettings", "Controllers", "Load", "NodePool"]


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """How the cluster behaves."""

    creation_rate: float = 20.0
    """Pods per second, all workloads together."""
    nodes: NodePool | None = None
    """None: there is always room, and no Node objects."""
    hpa_sync_seconds: float = 15.0


class Controller(Protocol):
    """One kind's behaviour."""

    def changed(self, kind: tuple[str, str], change: Change, at: float) -> None:
        """An object of some kind came, changed or went."""

    def next_instant(self) -> float | None:
        """When it wants to act by itself."""

    def act(self, at: float) -> None:
        """Do what is due."""

    def publish(self, at: float) -> None:
        """Write statuses that are no longer true."""


_FOLLOWED = {*KINDS, JOBS, AUTOSCALERS}


class Controllers:
    """All of them on one timeline."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        writes: Writes,
        load: Load | None,
        settings: ControllerSettings,
        now: Callable[[], float],
    ) -> None:
        self._now = now
        nodes = settings.nodes
        self._followed = _FOLLOWED
        self.physics = (
            PodPhysics(creation_rate=settings.creation_rate, pool=nodes)
            if nodes is not None and nodes.show_pods
            else MachinePhysics(
                creation_rate=settings.creation_rate,
                capacity_units=nodes.count * nodes.cpu if nodes else None,
                machine_seconds=nodes.machine_seconds if nodes else 0.0,
            )
        )
        workloads = Workloads(store, registry, writes, self.physics)
        self._jobs = Jobs(store, registry, writes, self.physics)
        autoscalers = Autoscalers(
            store, registry, writes, workloads.ready, load=load, sync_seconds=settings.hpa_sync_seconds
        )
        self._all: list[Controller] = [workloads, self._jobs, autoscalers]
        if nodes is not None and isinstance(self.physics, PodPhysics):
            self._followed = _FOLLOWED | {NODES, PODS}
            self.physics.on_lost = self._jobs.lost
            self._all.append(FollowedMachines(registry, writes, self.physics, nodes))
            self._all.append(PodObjects(store, registry, writes, self.physics))
        elif nodes is not None:
            self._all.append(Machines(registry, writes, self.physics, nodes))
        self._changes: deque[tuple[float, tuple[str, str], Change]] = deque()
        self._moment: float | None = None
        self.stepped_to = float("-inf")
        """The instant that everything has happened up to."""
        self._stale = True
        store.listen(self._listen)

    def _listen(self, kind: tuple[str, str], change: Change) -> None:
        if kind not in self._followed:
            return
        at = self._moment if self._moment is not None else self._now()
        self._changes.append((at, kind, change))

    def job_work(self, key: Key) -> JobWork | None:
        """What a Job's pods have done until the last step; None when there is no such Job."""
        return self._jobs.work(key, self.stepped_to)

    def step(self, now: float) -> float | None:
        """Carry out what was due until ``now``. Returns when something happens next by itself."""
        try:
            while (at := self._next_instant()) is not None and at <= now:
                self._moment = at
                self._act(at)
            due = self.physics.next_change()
            if due is not None and due <= now:
                self._stale = True
            self.physics.advance(now)
            self._moment = now
            if self._stale:
                self._stale = False
                for controller in self._all:
                    controller.publish(now)
        finally:
            self._moment = None
        self.stepped_to = now
        instants = [i for i in (self._next_instant(), self.physics.next_change()) if i is not None]
        return min(instants, default=None)

    def _next_instant(self) -> float | None:
        instants = [controller.next_instant() for controller in self._all]
        if self._changes:
            instants.append(self._changes[0][0])
        if self._jobs.working:  # a job's end follows from the instant in which its pods got ready
            instants.append(self.physics.next_change())
        return min((i for i in instants if i is not None), default=None)

    def _act(self, at: float) -> None:
        self._stale = True
        self.physics.advance(at)
        while self._changes and self._changes[0][0] <= at:
            _, kind, change = self._changes.popleft()
            for controller in self._all:
                controller.changed(kind, change, at)
        for controller in self._all:
            controller.act(at)
