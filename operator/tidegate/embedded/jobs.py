"""Jobs: they run in waves of ``parallelism`` pods until ``completions`` have succeeded, and stop while suspended.

A pod works ``tidegate.dev/run-seconds`` once it is ready, and always succeeds. A wave keeps its room until its last pod
is done; only then the next one starts. Suspending loses what runs; what has succeeded stays. Pods never fail.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tidegate.embedded.errors import Json
from tidegate.embedded.pods import Condition, PodBehavior, behavior_of, conditions
from tidegate.embedded.resources import Registry
from tidegate.embedded.store import DELETED, Change, Key, Store
from tidegate.embedded.timestamps import rfc3339
from tidegate.embedded.workloads import MANAGER, Kind, pods_key
from tidegate.embedded.writes import Options, Writes
from tidegate.simulation.physics import Physics

JOBS: Kind = ("batch", "jobs")


@dataclass(slots=True)
class _Job:
    parallelism: int
    completions: int
    suspended: bool
    pods: PodBehavior
    succeeded: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    ever_suspended: bool = False
    wave: int = 0
    """Pods of the wave that runs."""
    seen_ready: int = 0
    """Pods of this wave that have got ready so far."""
    done: int = 0
    """Pods of this wave that have finished."""
    running: deque[tuple[float, int]] = field(default_factory=deque)
    """(instant of the end, pods)."""
    shown: Json | None = None


class Jobs:
    """The kind whose pods come to an end."""

    def __init__(self, store: Store, registry: Registry, writes: Writes, physics: Physics) -> None:
        self._store, self._registry, self._writes, self._physics = store, registry, writes, physics
        self._jobs: dict[Key, _Job] = {}

    @property
    def working(self) -> bool:
        """Whether pods of some job are on their way."""
        return any(job.wave for job in self._jobs.values())

    def changed(self, kind: Kind, change: Change, at: float) -> None:
        """Take in a job's spec: suspend, resume, more or fewer pods at once."""
        if kind != JOBS:
            return
        key = (change.item.namespace, change.item.name)
        if change.type == DELETED:
            self._jobs.pop(key, None)
            self._physics.remove(pods_key(JOBS, key), now=at)
            return
        spec = change.item.document()["spec"]
        parallelism = spec.get("parallelism", 1)
        completions = spec.get("completions") or max(1, parallelism)
        pods, suspended = behavior_of(spec.get("template") or {}), bool(spec.get("suspend"))
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job(parallelism, completions, suspended, pods, ever_suspended=suspended)
            if not suspended:
                self._start(key, job, at)
            return
        job.completions, job.pods = completions, pods
        if (parallelism, suspended) == (job.parallelism, job.suspended) or job.finished_at is not None:
            return
        job.parallelism, job.suspended = parallelism, suspended
        self._stop(key, job, at)
        if suspended:
            job.ever_suspended, job.started_at = True, None
        else:
            self._start(key, job, at)

    def next_instant(self) -> float | None:
        """The next end of a pod."""
        return min((job.running[0][0] for job in self._jobs.values() if job.running), default=None)

    def act(self, at: float) -> None:
        """Note pods that got ready and pods that are done; start the next wave."""
        for key, job in self._jobs.items():
            if not job.wave:
                continue
            ready = self._physics.view(pods_key(JOBS, key)).ready
            if ready > job.seen_ready:
                job.running.append((at + job.pods.run_seconds, ready - job.seen_ready))
                job.seen_ready = ready
            while job.running and job.running[0][0] <= at:
                count = job.running.popleft()[1]
                job.done += count
                job.succeeded += count
            if job.done == job.wave:
                self._stop(key, job, at)
                self._start(key, job, at)

    def _start(self, key: Key, job: _Job, at: float) -> None:
        """Start a wave, or finish."""
        if job.started_at is None:
            job.started_at = at
        left = job.completions - job.succeeded
        if left <= 0:
            job.finished_at = at
            return
        job.wave = min(job.parallelism, left)
        self._physics.set_workload(
            pods_key(JOBS, key),
            now=at,
            replicas=job.wave,
            start_seconds=job.pods.start_seconds,
            never_ready=job.pods.never_ready,
            size=job.pods.size,
        )

    def _stop(self, key: Key, job: _Job, at: float) -> None:
        self._physics.remove(pods_key(JOBS, key), now=at)
        job.wave = job.seen_ready = job.done = 0
        job.running.clear()

    def publish(self, at: float) -> None:
        """Bring statuses up to date."""
        resource = self._registry.find("batch", "v1", "jobs")
        for key, job in list(self._jobs.items()):
            status = self._status(key, job, at)
            if resource is None or status == job.shown or self._store.bucket(JOBS).get(key) is None:
                continue

            def change(document: Json, status: Json = status) -> Json:
                document["status"] = status
                return document

            self._writes.update(resource, key, change, Options(manager=MANAGER), subresource="status")
            job.shown = status

    def _status(self, key: Key, job: _Job, at: float) -> Json:
        created = self._physics.view(pods_key(JOBS, key)).created
        status: Json = {
            "active": created - job.done,
            "ready": job.seen_ready - job.done,
            "succeeded": job.succeeded,
            "startTime": rfc3339(job.started_at) if job.started_at is not None else None,
            "completionTime": rfc3339(job.finished_at) if job.finished_at is not None else None,
        }
        before = (job.shown or {}).get("conditions")
        status["conditions"] = conditions(before, _conditions(job), at)
        return {name: value for name, value in status.items() if value or name == "ready"}


def _conditions(job: _Job) -> list[Condition]:
    found = []
    if job.ever_suspended:
        reason, message = ("JobSuspended", "Job suspended") if job.suspended else ("JobResumed", "Job resumed")
        found.append(Condition("Suspended", job.suspended, reason, message))
    if job.finished_at is not None:
        message = "Reached expected number of succeeded pods"
        found.append(Condition("SuccessCriteriaMet", True, "CompletionsReached", message))
        found.append(Condition("Complete", True, "CompletionsReached", message))
    return found
