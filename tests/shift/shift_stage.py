"""A pool on the embedded cluster, behind its real HTTP door, and operators that live and die on it.

Everything is real but time, pods and metrics: adapters, loans, loop, planner. Time is moved by hand, so that an hour
passes in seconds; a death is an exception at the n-th write that nothing catches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.api.walltime import to_rfc3339
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.control.wishes import Applied
from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.server import Running, start
from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import PlanSettings, Ref
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient
from tidegate.targets.loans import KubeLoanBook, latest_epoch, loan_key
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

Json = dict[str, Any]

START = 1_793_980_800.0
"""Some instant; nothing depends on it."""
NODES, CORES = 10, 8


class Killed(BaseException):
    """SIGKILL: nothing catches it, nothing is cleaned up."""


class Clock:
    """Time that passes when the stage says so."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        self.at = max(self.at, until)


@dataclass
class Leader:
    """Leads until it is told that another does."""

    epoch: int
    leads: bool = True

    def may_write(self) -> bool:
        return self.leads


@dataclass
class Deaths:
    """Ends the operator at its n-th write: before it reaches the cluster, or after."""

    at: int | None = None
    after: bool = False
    writes: int = 0
    dead: bool = False

    def around(self, client: KubeClient) -> KubeClient:
        send = client._send

        async def counted(method: str, path: str, *args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise Killed  # what was under way at the same time dies with it
            if method == "GET":
                return await send(method, path, *args, **kwargs)
            self.writes += 1
            last = self.writes == self.at
            self.dead = last
            if last and not self.after:
                raise Killed
            answer = await send(method, path, *args, **kwargs)
            if last:
                raise Killed
            return answer

        client._send = counted  # type: ignore[method-assign]
        return client


# ---- what stands there


def template(name: str, *, start: float, stop: float, run: float | None = None, cpu: str = "1") -> Json:
    said = {"tidegate.dev/start-seconds": f"{start:g}", "tidegate.dev/stop-seconds": f"{stop:g}"}
    if run is not None:
        said |= {"tidegate.dev/run-seconds": f"{run:g}", "tidegate.dev/checkpoint-seconds": "300"}
    requests = {"cpu": cpu, "memory": "1Gi"}
    containers = [{"name": "main", "image": "registry.example/x:1", "resources": {"requests": requests}}]
    return {"metadata": {"labels": {"app": name}, "annotations": said}, "spec": {"containers": containers}}


def deployment(name: str, namespace: str, replicas: int, *, start: float = 20.0, stop: float = 5.0) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name, start=start, stop=stop),
        },
    }


def job(number: int, *, stop: float = 40.0, run: float = 36_000.0) -> Json:
    made = template("nightly", start=2.0, stop=stop, run=run)
    made["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"nightly-{number:03d}", "namespace": "warehouse", "labels": {"work": "nightly"}},
        "spec": {"parallelism": 1, "completions": 1, "suspend": False, "template": made},
    }


def pool(**changes: Any) -> Json:
    data: Json = {
        "name": "data",
        "guaranteePercent": 10,
        "members": [
            {"name": "nightly", "jobs": {"namespace": "warehouse", "matchLabels": {"work": "nightly"}}},
            {
                "name": "loader",
                "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "warehouse", "name": "loader"},
            },
        ],
        "drain": {"noticeSeconds": 120, "minimumRunSeconds": 300, "guessSeconds": 60},
        "giveBackWithinSeconds": 900,
    }
    trading = {"name": "trading", "guaranteePercent": 40, "allowedNamespaces": ["shop"]}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "CapacityPool",
        "metadata": {"name": "hangzhou-a", "uid": "pool-1", "generation": 1},
        "spec": {"capacity": {"nodeSelector": {"pool": "hangzhou-a"}}, "lanes": [trading, data | changes]},
    }


def policy() -> Json:
    target = {
        "name": "web",
        "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "lane": "trading",
        "capacity": {"orders_per_second": 100},
        "headroomPercent": 0,
        "min": 4,
        "max": 100,
        "leadTime": {"guessSeconds": 30},
    }
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ScalingPolicy",
        "metadata": {"name": "core", "namespace": "shop", "uid": "policy-1", "generation": 1},
        "spec": {
            "mode": "Enforce",
            "poolRef": {"name": "hangzhou-a"},
            "targets": [target],
            "release": {"holdSeconds": 60, "maxStepPercentPerMinute": 50},
        },
    }


def event(start: float, *, units: int = 50, seconds: int = 900, name: str = "opening") -> Json:
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "LiveEvent",
        "metadata": {"name": name, "namespace": "shop", "uid": f"event-{name}", "generation": 1},
        "spec": {
            "schedule": {
                "startTime": to_rfc3339(start).removesuffix("Z"),
                "timeZone": "UTC",
                "durationSeconds": seconds,
            },
            "expected": {"orders_per_second": units * 100},
            "profile": "flat",
            "policyRef": {"name": "core"},
        },
    }


@dataclass
class Sample:
    """One instant, as the cluster shows it."""

    at: float
    used: dict[str, int]
    """Cores that pods on machines hold, by namespace."""
    pending: int
    suspended: int
    loader: int
    web: int
    ready: int
    out: frozenset[str]
    """Names of suspended Jobs."""


@dataclass
class Stage:
    """The cluster and its clock; operators come and go."""

    clock: Clock
    cluster: EmbeddedCluster
    store: WatchedStore
    running: Running
    epoch: int = 0
    samples: list[Sample] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    told: list[tuple[float, Ref]] = field(default_factory=list)
    """Notices as the work gets them."""
    words: dict[Ref, str] = field(default_factory=dict)
    """What the last notice of each said."""

    def emit(
        self,
        subject: Ref,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        about: str = "",
        until: float | None = None,
    ) -> None:
        """``ports.EventSink``."""
        if reason == "NoticeGiven":
            self.told.append((self.clock.at, subject))
            self.words[subject] = message

    @classmethod
    async def open(cls, objects: Iterable[Json], *, jobs: int = 40, nodes: int = NODES) -> Stage:
        clock = Clock(START)
        machines = NodePool(nodes, cpu=CORES, memory="64Gi", show_pods=True, labels={"pool": "hangzhou-a"})
        cluster = EmbeddedCluster(
            clock=clock, nodes=machines, creation_rate=100.0, namespaces=("shop", "warehouse", "tidegate")
        )
        for crd in all_crds():
            cluster.create(crd)
        cluster.create(deployment("web", "shop", 10))
        cluster.create(deployment("loader", "warehouse", 10, stop=20.0))
        for number in range(jobs):
            cluster.create(job(number))
        cluster.step()
        stage = cls(clock, cluster, WatchedStore(clock.now), await start(cluster))
        for obj in objects:
            stage.put(obj)
        stage.store.policies_synced = stage.store.events_synced = stage.store.stop_synced = True
        clock.at += 400.0  # the work has had its minimum run
        cluster.step()
        return stage

    def put(self, obj: Json) -> None:
        """What a watch would have told."""
        feed: dict[str, Callable[[Json], object]] = {
            "CapacityPool": self.store.put_pool,
            "ScalingPolicy": self.store.put_policy,
            "LiveEvent": self.store.put_event,
            "Override": self.store.put_override,
        }
        feed[obj["kind"]](obj)

    async def close(self) -> None:
        await self.running.stop()

    # ---- operators

    async def operator(self, deaths: Deaths | None = None, leader: Leader | None = None) -> tuple[Loop, KubeClient]:
        """A fresh operator: nothing but the cluster and what watches tell is remembered."""
        client = await KubeClient.connect(url=self.running.url)
        self.epoch += 1
        leading = leader or Leader(max(self.epoch, await latest_epoch(client) + 1))
        if deaths is not None:
            deaths.around(client)
        targets = KubeTargets(client, lifetime=0.0)
        loop = Loop(
            clock=self.clock,
            store=self.store,
            targets=targets,
            metrics=RecordedSource({}),
            book=KubeLoanBook(client, to_object=loan_to_object, from_object=loan_from_object),
            key_of=loan_key,
            leadership=leading,
            events=self,
            pools=KubePools(client, targets, now=self.clock.now),
            settings=LoopSettings(),
            plan_settings=PlanSettings(fail_over=5.0, reaction=3.0, creation_rate=100.0),
        )
        return loop, client

    async def play(self, loop: Loop, until: float, *, step: float = 5.0) -> None:
        """Let time pass with one operator, a turn each step."""
        while self.clock.at < until:
            beat = await loop.turn()
            if beat is not None:
                self.applied.extend(beat.applied)
                self.beats.append(beat)
            self.sample()
            self.clock.at += step
            self.cluster.step()

    def sample(self) -> None:
        used: dict[str, int] = {}
        pending = 0
        for pod in self.cluster.list("v1", "Pod"):
            if pod["status"]["phase"] in ("Succeeded", "Failed"):
                continue
            if not pod["spec"].get("nodeName"):
                pending += 1
                continue
            namespace = pod["metadata"]["namespace"]
            used[namespace] = used.get(namespace, 0) + 1
        web = self.cluster.get("apps/v1", "Deployment", "web", "shop")
        loader = self.cluster.get("apps/v1", "Deployment", "loader", "warehouse")
        jobs = self.cluster.list("batch/v1", "Job")
        out = frozenset(j["metadata"]["name"] for j in jobs if j["spec"].get("suspend"))
        self.samples.append(
            Sample(
                self.clock.at,
                used,
                pending,
                len(out),
                loader["spec"]["replicas"],
                web["spec"]["replicas"],
                (web.get("status") or {}).get("readyReplicas", 0),
                out,
            )
        )

    # ---- looking back

    def at(self, instant: float) -> Sample:
        return max((s for s in self.samples if s.at <= instant), key=lambda s: s.at)

    def loans(self) -> list[Json]:
        return list(self.cluster.list("tidegate.dev/v1alpha1", "Loan"))

    def levels(self) -> dict[str, Any]:
        """Every level that may have been moved, for comparing end states."""
        jobs = {j["metadata"]["name"]: bool(j["spec"].get("suspend")) for j in self.cluster.list("batch/v1", "Job")}
        named = (("shop", "web"), ("warehouse", "loader"))
        scaled = {n: self.cluster.get("apps/v1", "Deployment", n, ns)["spec"]["replicas"] for ns, n in named}
        return {**jobs, **scaled}
