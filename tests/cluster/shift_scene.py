"""A pool on a real control plane: 20 nodes, 300 Jobs, a loader, two trading Deployments behind HPAs, and T-0 in three
minutes; looked at every second from outside.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Cluster, Json, eventually, path_of
from operators import Operator
from shop import METRIC, condition_of, event, policy

JOBS, NODES, CORES = 300, 20, 32
JOB_MILLI, TRADING_MILLI, LOADER_MILLI = 1500, 2000, 2000
LOADERS, WEB, PAY = 20, 20, 10
WEB_PEAK, PAY_PEAK = 100, 60
"""Units at T-0: 320 cores of 640, where 90 are free."""
NOTICE, MINIMUM_RUN, PROMISE = 30, 10, 120
AHEAD, LENGTH, HOLD = 180, 60, 15
POOL = "hangzhou-a"
WANTED = (JOBS * JOB_MILLI + LOADERS * LOADER_MILLI + (WEB + PAY) * TRADING_MILLI) // 1000


@dataclass
class Sample:
    """One second, as the API server tells it."""

    at: float
    milli: dict[str, int]
    """Millicores that pods on nodes request, by role."""
    waiting: int
    """Trading pods that the scheduler found no room for."""
    suspended: int
    floors: tuple[int, int]
    ready: tuple[int, int]
    pool: Json
    loans: list[Json]


@dataclass
class PoolScene:
    """Everything that stands and happens there."""

    cluster: Cluster
    folder: Path
    shop: str = ""
    warehouse: str = ""
    home: str = ""
    t0: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    operator: Operator | None = None
    marks: list[tuple[float, str]] = field(default_factory=list)
    greedy: list[tuple[float, Json]] = field(default_factory=list)
    """The verdict of an event that the pool is too small for, each second."""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Namespaces, work, shops and autoscalers; returns when all pods run."""
        self.cluster.install_crds()
        self.shop, self.warehouse, self.home = (self.cluster.namespace(n) for n in ("shop", "warehouse", "tidegate"))
        for number in range(JOBS):
            self.cluster.create(_job(self.warehouse, number))
        self.cluster.create(_deployment(self.warehouse, "loader", LOADERS, LOADER_MILLI))
        for name, low in (("web", WEB), ("pay", PAY)):
            self.cluster.create(_deployment(self.shop, name, low, TRADING_MILLI, start=10))
            self.cluster.create(_hpa(self.shop, name, low))
        eventually(lambda: sum(self._pods()[0].values()) == WANTED * 1000, 120, f"pods on {WANTED} cores run")
        self.before = self.levels()

    def play(self) -> None:
        """From the announcement to the last return, and half a minute beyond."""
        account = self.cluster.account(self.home, "operator", self.folder, whole_cluster=True)
        self.operator = Operator(self.home, "one", account, self.folder, whole_cluster=True)
        self.cluster.create(_pool(self.shop, self.warehouse))
        self.operator.start()
        eventually(lambda: (self._pool().get("status") or {}).get("capacity"), 60, "the operator has seen the pool")
        self.t0 = round(time.time() + AHEAD)
        self.cluster.create(_policy(self.shop))
        self.cluster.create(event(self.shop, "opening", t0=self.t0, duration=LENGTH, floor=WEB_PEAK, policy="core"))
        self.marks.append((time.time(), "announced"))
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        watcher.start()
        try:
            self._ask_too_much()
            self._until_returned()
            time.sleep(20)
        finally:
            over.set()
            watcher.join()
            self.after = self.levels()
            self.operator.stop()

    def _ask_too_much(self) -> None:
        """Twenty minutes ahead, twice the pool."""
        asked = _policy(self.shop, name="greedy", targets=("late",))
        asked["spec"]["targets"][0] |= {"min": 1, "max": 5000, "unit": {"cpu": "2", "memory": "1Gi"}}
        self.cluster.create(_deployment(self.shop, "late", 1, 100))
        self.cluster.create(asked)
        self.cluster.create(event(self.shop, "greedy", t0=self.t0 + 1200, duration=60, floor=700, policy="greedy"))
        self.marks.append((time.time(), "asked for twice the pool"))

    def _until_returned(self) -> None:
        def returned() -> bool:
            return time.time() > self.t0 + LENGTH and self.levels() == self.before and not self._loans()

        eventually(returned, AHEAD + LENGTH + HOLD + 300, "everything is returned", pause=1.0)
        self.marks.append((time.time(), "everything returned"))

    # ---- looking

    def _watch(self, over: threading.Event) -> None:
        while not over.is_set():
            began = time.time()
            self.samples.append(self._sample(began))
            show = self.cluster.find("LiveEvent", self.shop, "greedy")
            if show is not None:
                self.greedy.append((began, show.get("status") or {}))
            over.wait(max(0.0, 1.0 - (time.time() - began)))

    def _sample(self, at: float) -> Sample:
        milli, waiting = self._pods()
        jobs = self.cluster.list("Job", self.warehouse)["items"]
        deployments = [self.cluster.get("Deployment", self.shop, name) for name in ("web", "pay")]
        autoscalers = [self.cluster.get("HorizontalPodAutoscaler", self.shop, name) for name in ("web", "pay")]
        floors = [autoscaler["spec"]["minReplicas"] for autoscaler in autoscalers]
        ready = [d.get("status", {}).get("readyReplicas", 0) for d in deployments]
        return Sample(
            at,
            milli,
            waiting,
            sum(bool(j["spec"].get("suspend")) for j in jobs),
            (floors[0], floors[1]),
            (ready[0], ready[1]),
            self._pool().get("status") or {},
            self._loans(),
        )

    def _pods(self) -> tuple[dict[str, int], int]:
        milli, waiting = {"trading": 0, "data": 0}, 0
        for lane, namespace in (("trading", self.shop), ("data", self.warehouse)):
            for pod in self.cluster.send("GET", f"api/v1/namespaces/{namespace}/pods", resourceVersion="0")["items"]:
                if pod["status"].get("phase") in ("Succeeded", "Failed"):
                    continue
                if pod["spec"].get("nodeName"):
                    request = pod["spec"]["containers"][0]["resources"]["requests"]["cpu"]
                    milli[lane] += int(request[:-1]) if request.endswith("m") else int(request) * 1000
                elif lane == "trading":
                    unfit = [c for c in pod["status"].get("conditions", []) if c.get("reason") == "Unschedulable"]
                    waiting += bool(unfit)
        return milli, waiting

    def _pool(self) -> Json:
        return self.cluster.send("GET", path_of("CapacityPool", "", POOL))

    def _loans(self) -> list[Json]:
        mine = (self.cluster.list("Loan", namespace)["items"] for namespace in (self.shop, self.warehouse))
        return [loan for ones in mine for loan in ones]

    def levels(self) -> dict[str, Any]:
        """Every level that may be moved."""
        jobs = self.cluster.list("Job", self.warehouse)["items"]
        found: dict[str, Any] = {j["metadata"]["name"]: bool(j["spec"].get("suspend")) for j in jobs}
        found["loader"] = self.cluster.get("Deployment", self.warehouse, "loader")["spec"]["replicas"]
        for name in ("web", "pay"):
            found[name] = self.cluster.get("HorizontalPodAutoscaler", self.shop, name)["spec"]["minReplicas"]
        return found

    def story(self) -> str:
        """What happened, a line a change, seconds from T-0."""
        lines, last = [], None
        for s in self.samples:
            row = (s.milli["trading"] // 1000, s.milli["data"] // 1000, s.waiting, s.suspended, s.floors, s.ready)
            if row != last:
                used = f"trading {row[0]}, data {row[1]} cores; {row[2]} waiting; {row[3]} Jobs suspended"
                lines.append(f"{s.at - self.t0:+8.1f}  {used}; floors {row[4]}, ready {row[5]}; {len(s.loans)} loans")
            last = row
        lines += [f"{at - self.t0:+8.1f}  --- {what}" for at, what in self.marks]
        tail = self.operator.tail() if self.operator else ""
        return "\n".join([*sorted(lines, key=lambda line: float(line.split()[0])), tail])

    def close(self) -> None:
        """Leave the story, and nothing else."""
        (self.folder / "shift.story").write_text(self.story())
        if self.operator is not None:
            self.operator.make_sure_it_ended()
        for namespace in (self.shop, self.warehouse, self.home):
            if namespace:
                self.cluster.drop_namespace(namespace)


# ---- what stands there


def _pod(name: str, milli: int, start: int, **annotations: str) -> Json:
    said = {"tidegate.test/start": f"{start}s", **{f"tidegate.test/{k}": v for k, v in annotations.items()}}
    container = {
        "name": "main",
        "image": "registry.example/x:1",
        "resources": {"requests": {"cpu": f"{milli}m", "memory": "1Gi"}},
    }
    return {
        "metadata": {"labels": {"app": name}, "annotations": said},
        "spec": {
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
        },
    }


def _deployment(namespace: str, name: str, replicas: int, milli: int, start: int = 3) -> Json:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": _pod(name, milli, start)}
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _job(namespace: str, number: int) -> Json:
    template = _pod("nightly", JOB_MILLI, 2, run="3600s")
    template["spec"]["restartPolicy"] = "Never"
    metadata = {"namespace": namespace, "name": f"nightly-{number:03d}", "labels": {"work": "nightly"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


def _hpa(namespace: str, name: str, low: int) -> Json:
    metric = {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "10"}}
    spec = {
        "minReplicas": low,
        "maxReplicas": 200,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "metrics": [{"type": "External", "external": metric}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _policy(namespace: str, *, name: str = "core", targets: tuple[str, ...] = ("web", "pay")) -> Json:
    made = policy(namespace, *targets, name=name, hold=HOLD, step=100, guess=30)
    made["spec"]["poolRef"] = {"name": POOL}
    for target in made["spec"]["targets"]:
        target["lane"] = "trading"
        if target["name"] == "pay":
            target["capacity"] = {"orders_per_second": "166.7"}
    return made


def _pool(shop: str, warehouse: str) -> Json:
    loader = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": warehouse, "name": "loader"}
    data = {
        "name": "data",
        "guaranteePercent": 20,
        "members": [
            {"name": "nightly", "jobs": {"namespace": warehouse, "matchLabels": {"work": "nightly"}}},
            {"name": "loader", "ref": loader},
        ],
        "drain": {"noticeSeconds": NOTICE, "minimumRunSeconds": MINIMUM_RUN, "guessSeconds": 15},
        "giveBackWithinSeconds": PROMISE,
    }
    trading = {"name": "trading", "guaranteePercent": 30, "allowedNamespaces": [shop]}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "CapacityPool",
        "metadata": {"name": POOL},
        "spec": {"capacity": {"nodeSelector": {"type": "kwok"}}, "lanes": [trading, data]},
    }


def named(status: Json) -> tuple[str, str] | None:
    """(status, reason) of an event's verdict."""
    return condition_of({"status": status}, "OnTime")
