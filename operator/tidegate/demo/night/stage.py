"""The stage of the night: what every stage records; and who holds machines, what was promised, what work was done.

Everything is read off the cluster: pods on machines at every change of its physics, levels, Loans and the pool's status
at every write. Nothing is taken from the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from tidegate.api.walltime import from_rfc3339
from tidegate.demo.night import demand as night
from tidegate.demo.night.objects import (
    CREATION_RATE,
    LOADER,
    NIGHTLY,
    NODE_LABELS,
    WAREHOUSE,
    announced,
    objects_before,
    work_left_query,
)
from tidegate.demo.night.recording import Happening, NightRecording
from tidegate.demo.objects import NAMESPACE, query
from tidegate.demo.prometheus import answering
from tidegate.demo.stage import LOANS, Json, Stage
from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.podphysics import PodPhysics
from tidegate.embedded.room import MachinePhysics
from tidegate.embedded.store import DELETED, Change
from tidegate.metrics.scoped import scoped
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.lanes import Held
from tidegate.simulation.physics import WorkloadView
from tidegate.simulation.scenario import Scenario
from tidegate.simulation.score import Tracker

JOBS, DEPLOYMENTS, POOLS = ("batch", "jobs"), ("apps", "deployments"), ("tidegate.dev", "capacitypools")


class NightStage(Stage):
    """The cluster of the night, with a Prometheus beside it that knows the demand and the work that is left."""

    recording: NightRecording

    def __init__(self, played: Scenario, clock: ScheduledClock) -> None:
        super().__init__(
            played,
            clock,
            namespace=NAMESPACE,
            creation_rate=CREATION_RATE,
            before=objects_before(),
            announced=announced(),
            more_namespaces=(WAREHOUSE,),
            nodes=NodePool(night.MACHINES, cpu=night.CORES, memory=night.MEMORY, show_pods=True, labels=NODE_LABELS),
        )
        self.metrics_url = ""
        self._data = {LOADER: f"deployments/{WAREHOUSE}/{LOADER}"}
        self._data |= {name: f"jobs/{WAREHOUSE}/{name}" for name in (f"{NIGHTLY}-{n:02d}" for n in range(night.JOBS))}
        self._per_unit = {name: 1 if name == LOADER else night.JOB_PODS for name in self._data}
        self._seen: dict[str, WorkloadView] = {}
        self._levels: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._loaded, self._loading_since = 0.0, night.FIRST

    def _blank(self) -> NightRecording:
        return NightRecording({s.name: Tracker(self._scenario) for s in self._scenario.services})

    # ---- metrics

    def _beside(self, cluster: EmbeddedCluster) -> AbstractAsyncContextManager[object]:
        def heard(url: str) -> None:
            self.metrics_url = url

        return answering(self._answers(), self._clock.now, heard)

    def _answers(self) -> dict[str, Callable[[float], float | None]]:
        """What a metrics pipeline would answer, by query."""
        found: dict[str, Callable[[float], float | None]] = {
            scoped(query(s), NAMESPACE): lambda at, s=s: self._scenario.metric(s, at)  # type: ignore[misc]
            for s in self._scenario.services
        }
        found[work_left_query(NIGHTLY)] = lambda _: self._jobs_left()
        found[work_left_query(LOADER)] = self._loader_left
        return found

    def _jobs_left(self) -> float:
        self._account()
        return night.JOBS * night.JOB_SECONDS - self.recording.work_done[NIGHTLY]

    def _loader_left(self, at: float) -> float:
        ready = self._ready(LOADER)
        return max(0.0, night.LOADERS * night.LOADER_SECONDS - self._loaded - ready * (at - self._loading_since))

    def _account(self) -> None:
        """Add up what the Jobs have done and lost, as the cluster has it."""
        assert self._cluster is not None  # noqa: S101 - asked for while it runs
        works = [self._cluster.job_work(name, namespace=WAREHOUSE) for name in self._data if name != LOADER]
        self.recording.work_done[NIGHTLY] = sum(w.done_seconds for w in works if w) / night.JOB_PODS
        self.recording.work_lost = sum(w.lost_seconds for w in works if w) / night.JOB_PODS
        self.recording.work_done[LOADER] = min(self._loaded, night.LOADERS * night.LOADER_SECONDS)

    # ---- pods

    def _noted(self, physics: MachinePhysics, at: float) -> None:
        services = [self.recording.views[name] for name in self._services]
        data = {name: physics.view(key) for name, key in self._data.items()}
        for name, view in data.items():
            before = self._seen.get(name)
            if before != view:
                self._seen[name] = view
                self._moved(name, before.ready if before else 0, view.ready, at)
        cores = night.POD_CORES
        held = Held(
            trading=cores * sum(v.scheduled for v in services),
            data=cores * sum(v.scheduled for v in data.values()),
            trading_leaving=cores * sum(v.stopping for v in services),
            data_leaving=cores * sum(v.stopping for v in data.values()),
        )
        self.recording.lanes.sample(at, held)
        self.recording.waiting[NAMESPACE].sample(at, sum(v.unschedulable for v in services))
        self.recording.waiting[WAREHOUSE].sample(at, sum(v.unschedulable for v in data.values()))
        if isinstance(physics, PodPhysics):
            full = (m.used_cpu > m.cpu or m.used_memory > m.memory for m in physics.machines.values())
            self.recording.oversold.on_machines += any(full)
        self._weigh()

    def _moved(self, name: str, before: int, now: int, at: float) -> None:
        """Pods of data work are ready, or are not any more."""
        if name == LOADER:
            self._load_until(at, before)
        each = self._per_unit[name]
        more = now // each - before // each
        if more > 0:
            owed = len(self.recording.promises.back)
            self.recording.promises.ran(name, at, more)
            if back := len(self.recording.promises.back) - owed:
                self.recording.happenings.append(Happening(at, "running again", name, back))

    def _load_until(self, at: float, ready: int) -> None:
        whole, recording = night.LOADERS * night.LOADER_SECONDS, self.recording
        if recording.loader_done_at is None and ready and self._loaded + ready * (at - self._loading_since) >= whole:
            recording.loader_done_at = self._loading_since + (whole - self._loaded) / ready
        self._loaded += ready * (at - self._loading_since)
        self._loading_since = at

    def _ready(self, name: str) -> int:
        view = self._seen.get(name)
        return view.ready if view else 0

    def _weigh(self) -> None:
        """Whether what the levels ask for, with what is leaving, is more than there is."""
        recording = self.recording
        trading = sum(
            max(view.wanted, recording.floors[name]) + view.stopping for name, view in recording.views.items()
        )
        data = sum(max(v.wanted, v.scheduled) + v.stopping for v in self._seen.values())
        recording.oversold.looked += 1
        recording.oversold.by_levels += (trading + data) * night.POD_CORES > night.MACHINES * night.CORES

    # ---- levels, Loans and the pool's status

    def _changed(self, kind: tuple[str, str], change: Change) -> None:
        super()._changed(kind, change)
        item = change.item
        if kind == LOANS:
            self._loan({} if change.type == DELETED else item.document()["spec"], item.document()["spec"])
        elif change.type == DELETED:
            return
        elif kind == JOBS:
            self._job(item.name, item.document())
        elif kind == DEPLOYMENTS and item.name == LOADER:
            self._level(LOADER, item.document()["spec"]["replicas"])
        elif kind == POOLS:
            self._pool(item.document().get("status") or {})

    def _floor(self, name: str, autoscaler: Json) -> None:
        super()._floor(name, autoscaler)
        if self.recording.views:
            self._weigh()

    def _job(self, name: str, job: Json) -> None:
        self._level(name, 0 if job["spec"].get("suspend") else 1)
        ended = (job.get("status") or {}).get("completionTime")
        if ended and name not in self.recording.jobs_done:
            self.recording.jobs_done[name] = from_rfc3339(ended)

    def _level(self, name: str, level: int) -> None:
        before, at = self._levels.get(name), self._clock.now()
        self._levels[name] = level
        if before is None or before == level:
            return
        what = "stopped" if level < before else "started"
        if level < before:
            whole = night.LOADERS if name == LOADER else 1
            self.recording.promises.stopped(name, at, whole - level)
        self.recording.happenings.append(Happening(at, what, name, abs(level - before)))

    def _loan(self, stored: Json, last: Json) -> None:
        """A Loan of the pool as it is stored now; nothing when it was deleted."""
        if "poolRef" not in last:
            return
        name, told = last["target"]["name"], stored.get("handOver") or {}
        times = [from_rfc3339(p["time"]) for p in told.get("promises") or () for _ in range(p["units"])]
        self.recording.promises.stored(name, times)
        before, notices = self._told.get(name, 0), told.get("notices") or ()
        units = max((last["original"] - notice["level"] for notice in notices), default=0)
        if units > before:
            self.recording.happenings.append(Happening(self._clock.now(), "told", name, units - before))
        self._told[name] = max(units, before) if stored else 0

    def _pool(self, status: Json) -> None:
        self.recording.pool_summary = status.get("summary") or ""
        conditions = status.get("conditions") or ()
        self.recording.oversold.by_status += any(c["type"] == "Oversold" and c["status"] == "True" for c in conditions)

    def finish(self) -> None:
        """Close the accounts; once the cluster has been stopped."""
        self._load_until(night.LAST, self._ready(LOADER))
        self._account()
        for waiting in self.recording.waiting.values():
            waiting.sample(night.LAST, waiting.now)
