"""The stage: an embedded cluster in a thread of its own, on the demonstration's clock, that records what happens.

Ready and paid pods are noted at every change of the cluster's physics, levels at every change of an autoscaler's
minimum (or of what a stage says its levels are), reasons as the operator shows them in its policy's status. Nothing is
taken from the plan.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from tidegate.api.crd import all_crds
from tidegate.demo.recording import Move, Recording
from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.room import MachinePhysics
from tidegate.embedded.server import start, write_kubeconfig
from tidegate.embedded.store import DELETED, Change
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.scenario import Scenario, Service
from tidegate.simulation.score import Run, Tracker

Json = dict[str, Any]

AUTOSCALERS = ("autoscaling", "horizontalpodautoscalers")
POLICIES = ("tidegate.dev", "scalingpolicies")
EVENTS = ("tidegate.dev", "liveevents")
LOANS = ("tidegate.dev", "loans")


class Stage:
    """Start it, let time pass, stop it; in between it can be watched through ``recording``."""

    levels: ClassVar[tuple[str, str]] = AUTOSCALERS
    """The kind of the objects that hold the levels, one by the name of each service."""
    level_field: ClassVar[str] = "minReplicas"
    """Where in their ``spec`` it stands."""

    def __init__(
        self,
        scenario: Scenario,
        clock: ScheduledClock,
        *,
        namespace: str,
        creation_rate: float,
        before: Iterable[Json],
        announced: Iterable[Json],
        more_namespaces: Iterable[str] = (),
        nodes: NodePool | None = None,
    ) -> None:
        """``before`` is there when the clock stands at its start; ``announced`` is created right after it."""
        self._scenario, self._clock, self._namespace = scenario, clock, namespace
        self._namespaces = ("default", namespace, *more_namespaces, "tidegate")
        self._creation_rate, self._nodes = creation_rate, nodes
        self._documents = [*before, *announced]
        self._services = {s.name: s for s in scenario.services}
        self.recording = self._blank()
        self.url = ""
        self._error: BaseException | None = None
        self._cluster: EmbeddedCluster | None = None
        self._up, self._down = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    def start(self) -> str:
        """Start the cluster; returns its URL. RuntimeError when it does not come up."""
        self._thread.start()
        self._up.wait()
        if self._error is not None:
            raise RuntimeError("the embedded cluster did not start") from self._error
        return self.url

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for it."""
        return write_kubeconfig(path, self.url, namespace=self._namespace)

    def caught_up(self, instant: float) -> bool:
        """Whether all that happens until a simulated instant has happened: on a busy machine the cluster is behind."""
        return self.seen_to() >= instant

    def seen_to(self) -> float:
        """The instant up to which everything has happened."""
        return self._cluster.controllers.stepped_to if self._cluster is not None else -math.inf

    def stop(self) -> None:
        """Stop it and wait. Idempotent."""
        self._down.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def run_of(self, name: str) -> Run:
        """What was recorded, as a contestant's run."""
        tracks = {key: tracker.track() for key, tracker in self.recording.trackers.items()}
        return Run(name, tracks, writes=len(self.recording.moves))

    # ---- in the cluster's thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        cluster = EmbeddedCluster(
            clock=self._clock,
            load=self._load,
            creation_rate=self._creation_rate,
            namespaces=self._namespaces,
            nodes=self._nodes,
        )
        self._cluster = cluster
        for document in [*all_crds(), *self._documents]:
            cluster.create(document)
        for service in self._scenario.services:
            self.recording.floors[service.name] = self._owners_level(service)
        self._watch_physics(cluster)
        cluster.store.listen(self._changed)
        running = await start(cluster)
        self.url = running.url
        async with self._beside(cluster):
            self._up.set()
            try:
                while not self._down.is_set():
                    self.recording.write_requests = cluster.writes_seen()
                    await asyncio.sleep(0.1)
            finally:
                await running.stop()

    def _owners_level(self, service: Service) -> int:
        """What stands there before anything is borrowed."""
        return service.minimum

    def _blank(self) -> Recording:
        """What is filled from now on."""
        return Recording({s.name: Tracker(self._scenario) for s in self._scenario.services})

    def _beside(self, cluster: EmbeddedCluster) -> AbstractAsyncContextManager[object]:
        """What else runs in the cluster's thread for as long as the cluster does."""
        return nullcontext()

    def _load(self, namespace: str, workload: str, now: float) -> float | None:
        """Demand in pods that would be fully used, as a metrics pipeline shows it."""
        service = self._services.get(workload)
        value = self._scenario.metric(service, now) if service is not None else None
        return None if service is None or value is None else value / service.capacity

    def _watch_physics(self, cluster: EmbeddedCluster) -> None:
        physics = cluster.controllers.physics
        keys = {s.name: f"deployments/{self._namespace}/{s.name}" for s in self._scenario.services}

        def note(at: float) -> None:
            for name, key in keys.items():
                view = physics.view(key)
                if self.recording.views.get(name) != view:
                    self.recording.views[name] = view
                    self.recording.trackers[name].sample(at, ready=view.ready, billed=view.scheduled)
            self._noted(physics, at)

        physics.on_change = note

    def _noted(self, physics: MachinePhysics, at: float) -> None:
        """The physics changed, and the services' pods were counted: for what else is recorded."""

    def _changed(self, kind: tuple[str, str], change: Change) -> None:
        if kind == LOANS:
            self.recording.loans.add(change.item.name)
        if change.type == DELETED:
            self.recording.loans.discard(change.item.name)
            return
        if kind == self.levels:
            self._floor(change.item.name, change.item.document())
        elif kind == POLICIES:
            self._policy(change.item.document().get("status") or {})
        elif kind == EVENTS:
            self._verdict(change.item.name, change.item.document().get("status") or {})

    def _floor(self, name: str, holder: Json) -> None:
        floor = holder["spec"][self.level_field]
        before = self.recording.floors.get(name)
        if before is not None and floor != before:
            self.recording.floors[name] = floor
            self.recording.moves.append(Move(self._clock.now(), name, before, floor))

    def _policy(self, status: Json) -> None:
        """The first status that shows a floor tells why it is that one."""
        said = {target["name"]: target for target in status.get("targets") or ()}
        self.recording.policy_ready = self.recording.policy_ready or bool(said)
        self.recording.next_step = status.get("nextStepTime") or ""
        for move in self.recording.moves[-len(self._services) * 2 :]:
            target = said.get(move.service)
            if not move.why and target is not None and target.get("floor") == move.after:
                move.why = f"{target.get('reason', '')}: {target.get('message', '')}"

    def _verdict(self, name: str, status: Json) -> None:
        verdict = status.get("verdict")
        if not verdict:
            return
        last = next((told for _, event, told in reversed(self.recording.verdicts) if event == name), "")
        if verdict.split(":")[0] != last.split(":")[0]:
            self.recording.verdicts.append((self._clock.now(), name, verdict))
