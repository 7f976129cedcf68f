"""Jobs: ``parallelism`` pods at a time until ``completions`` have succeeded, and none while suspended.

A pod works ``tidegate.dev/run-seconds`` once it is ready, always succeeds, and leaves its room at once; the next one is
created for it. Suspending stops what runs and keeps what has succeeded; with ``tidegate.dev/checkpoint-seconds`` a
stopped pod's work is kept up to its last checkpoint, and a later pod goes on from there (``jobwork``). Lower
parallelism stops pods as fewer replicas do. Pods never fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.embedded.errors import Json
from tidegate.embedded.jobwork import JobWork, Work
from tidegate.embedded.pods import Condition, PodBehavior, behavior_of, conditions
from tidegate.embedded.resources import Registry
from tidegate.embedded.room import MachinePhysics
from tidegate.embedded.store import DELETED, Change, Key, Store
from tidegate.embedded.timestamps import rfc3339
from tidegate.embedded.workloads import MANAGER, Kind, pods_key
from tidegate.embedded.writes import Options, Writes

JOBS: Kind = ("batch", "jobs")


@dataclass(slots=True)
class _Job:
    parallelism: int
    completions: int
    suspended: bool
    pods: PodBehavior
    work: Work
    succeeded: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    ever_suspended: bool = False
    shown: Json | None = None

    @property
    def working(self) -> bool:
        return not self.suspended and self.finished_at is None


class Jobs:
    """The kind whose pods come to an end."""

    def __init__(self, store: Store, registry: Registry, writes: Writes, physics: MachinePhysics) -> None:
        self._store, self._registry, self._writes, self._physics = store, registry, writes, physics
        self._jobs: dict[Key, _Job] = {}

    @property
    def working(self) -> bool:
        """Whether pods of some job are on their way."""
        return any(job.working for job in self._jobs.values())

    def work(self, key: Key, at: float) -> JobWork | None:
        """What a job's pods have done until an instant; None when there is no such job."""
        job = self._jobs.get(key)
        return job.work.told(job.completions, at) if job is not None else None

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
            work = Work(pods.run_seconds, pods.checkpoint_seconds)
            job = self._jobs[key] = _Job(parallelism, completions, suspended, pods, work, ever_suspended=suspended)
            if not suspended:
                self._follow(key, job, at)
            return
        if job.finished_at is not None:
            return
        self._note_ready(key, job, at)
        job.pods, job.work.run_seconds, job.work.checkpoint_seconds = pods, pods.run_seconds, pods.checkpoint_seconds
        wanted = (parallelism, completions, suspended)
        if wanted == (job.parallelism, job.completions, job.suspended):
            return
        if suspended and not job.suspended:
            job.ever_suspended, job.started_at = True, None
        job.parallelism, job.completions, job.suspended = wanted
        self._follow(key, job, at)

    def lost(self, pods: str, position: int, at: float) -> None:
        """A ready pod is about to go with its machine; ``pods`` is the name under which the physics knows its owner."""
        for key, job in self._jobs.items():
            if pods_key(JOBS, key) == pods:
                self._note_ready(key, job, at)
                job.work.stop_one(position, at)

    def next_instant(self) -> float | None:
        """The next end of a pod."""
        ends = (job.work.next_end() for job in self._jobs.values() if job.working)
        return min((end for end in ends if end is not None), default=None)

    def act(self, at: float) -> None:
        """Note pods that got ready and pods that are done, and have the next ones created."""
        followed = False
        for key, job in self._jobs.items():
            if not job.working:
                continue
            self._note_ready(key, job, at)
            before = job.succeeded
            while (done := job.work.end(at)) is not None:
                position, count = done
                self._physics.finish(pods_key(JOBS, key), now=at, position=position, count=count)
                job.succeeded += count
            if job.succeeded != before:
                self._follow(key, job, at)
                followed = True
        if followed:  # pods of any job may have got the room just now, and be ready without delay
            for key, job in self._jobs.items():
                if job.working:
                    self._note_ready(key, job, at)

    def _note_ready(self, key: Key, job: _Job, at: float) -> None:
        job.work.start(self._physics.view(pods_key(JOBS, key)).ready - job.work.running, at)

    def _follow(self, key: Key, job: _Job, at: float) -> None:
        """Ask for as many pods as the job should have now; stopped ones fall back to their checkpoints."""
        pods, left = pods_key(JOBS, key), job.completions - job.succeeded
        wanted = 0 if job.suspended else max(0, min(job.parallelism, left))
        if not job.suspended and job.started_at is None:
            job.started_at = at
        self._physics.want(pods, now=at, replicas=wanted, pods=job.pods)
        job.work.stop_last(job.work.running - self._physics.view(pods).ready, at)
        if not job.suspended and left <= 0:
            job.finished_at = at
            self._physics.remove(pods, now=at)

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
        view = self._physics.view(pods_key(JOBS, key))
        status: Json = {
            "active": view.created,
            "ready": view.ready,
            "terminating": view.stopping,
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
