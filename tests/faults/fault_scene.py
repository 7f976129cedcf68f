"""Small random worlds: a few workloads, one or two policies, a handful of events.

Numbers are plain on purpose: profiles are flat and headroom is none, so that a judge can tell each need by arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tidegate.api.walltime import to_rfc3339
from tidegate.planning.model import Ref
from tidegate.ports import Place
from tidegate.targets.loans import loan_name

Json = dict[str, Any]

BEGIN = 1_793_980_800.0
"""Epoch seconds at which each scene begins; nothing depends on it."""
QUIET = 960.0
"""Seconds of peace at the end, in which everything has to be returned: a field that was left to somebody else for ten
minutes is among it."""
API = "tidegate.dev/v1alpha1"
MACHINES, CORES = 5, 8
"""Of a pool."""
CARRIED = MACHINES * CORES * 90 // 100
"""Units of a core that a pool can carry beside what it guarantees to data."""
SIDECAR = 100
"""Thousandths of a core that a webhook adds to each new pod: with it on every pod all work still fits on the pool."""
SIGNAL = "orders_per_second"


@dataclass(frozen=True, slots=True)
class Workload:
    """One target, and where its level lies."""

    namespace: str
    policy: str
    name: str
    kind: str
    hpa: bool
    original: int
    capacity: int
    low: int
    high: int
    start_seconds: float
    lane: str = ""
    """Of a pool: in which it is served."""
    lender: bool = False
    """Of a pool: its machines are lent; no policy speaks of it."""
    stop_seconds: float = 0.0
    takes: bool = True
    """Its pods request a core each."""

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def held_by(self) -> tuple[str, str, str]:
        """API version, kind and plural of the object that holds the level."""
        if self.hpa:
            return "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
        if self.kind == "Job":
            return "batch/v1", "Job", "jobs"
        return "apps/v1", self.kind, f"{self.kind.lower()}s"

    @property
    def pointer(self) -> str:
        """The field itself."""
        return "/spec/minReplicas" if self.hpa else "/spec/suspend" if self.kind == "Job" else "/spec/replicas"

    def value_in(self, spec: Json) -> int:
        """The level as the object's spec says it; a Job's is 1 while it may run."""
        if self.kind == "Job":
            return 0 if spec.get("suspend") else 1
        return int(spec.get("minReplicas" if self.hpa else "replicas", 1))


@dataclass(frozen=True, slots=True)
class Show:
    """One event as announced: a flat need from start to end, in seconds from the scene's beginning."""

    namespace: str
    policy: str
    name: str
    start: float
    seconds: float
    orders: int
    told_at: float = 0.0
    """When it is announced."""

    @property
    def end(self) -> float:
        return self.start + self.seconds

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is."""

    seed: int
    workloads: tuple[Workload, ...]
    shows: tuple[Show, ...]
    slots: tuple[str, ...]
    """Replicas of the operator."""
    measured: frozenset[tuple[str, str]] = frozenset()
    """Policies whose signal is measured."""
    pool: bool = False
    """There is a pool of machines, and lanes that lend."""

    @property
    def policies(self) -> tuple[tuple[str, str], ...]:
        return tuple(dict.fromkeys((one.namespace, one.policy) for one in self.workloads if one.policy))

    @property
    def namespaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.namespace for one in self.workloads))

    @property
    def scope(self) -> tuple[str, ...] | None:
        """The namespaces that the operator is of, in one scene of six without a pool; None: the whole cluster."""
        if self.pool or Random(f"scope {self.seed}").random() >= 1 / 6:
            return None
        return (*self.namespaces, "tenant")

    @property
    def last_end(self) -> float:
        return max(show.end for show in self.shows)


def draw_scene(seed: int) -> Scene:
    """The world of a seed; one in six has a pool."""
    chance = Random(f"scene {seed}")
    if chance.random() < 1 / 6:
        return _pool_scene(seed, chance)
    namespaces = ["shop", "live"][: chance.choice((1, 2, 2))]
    workloads: list[Workload] = []
    for namespace in namespaces:
        names = chance.sample(["web", "cart", "pay", "chat", "feed"], chance.randint(1, 3))
        workloads.extend(_workload(chance, namespace, name) for name in names)
    policies = list(dict.fromkeys((one.namespace, one.policy) for one in workloads))
    shows = []
    for number in range(chance.randint(1, 4)):
        namespace, policy = policies[number % len(policies)]
        told = 0.0 if chance.random() < 0.7 else chance.uniform(60.0, 240.0)
        start = told + chance.uniform(150.0, 600.0) if number else chance.uniform(150.0, 400.0)
        seconds = float(chance.randrange(90, 420, 10))
        shows.append(
            Show(
                namespace, policy, f"show-{number}", float(round(start)), seconds, chance.randrange(400, 3000, 50), told
            )
        )
    slots = ("a", "b") if chance.random() < 0.6 else ("a",)
    measured = frozenset(one for one in policies if chance.random() < 0.5)
    return Scene(seed, tuple(workloads), tuple(shows), slots, measured)


def _pool_scene(seed: int, chance: Random) -> Scene:
    """Five machines of eight cores: trading serves on ten, data works on all but four; one target asks no pool."""
    web = Workload(
        "shop", "shop-core", "web", "Deployment", False, 10, 100, 4, 60, 10.0, lane="trading", stop_seconds=5.0
    )
    loader = Workload("warehouse", "", "loader", "Deployment", False, 10, 1, 1, 10, 5.0, lender=True, stop_seconds=15.0)
    jobs = [
        Workload("warehouse", "", f"nightly-{n:02d}", "Job", False, 1, 1, 1, 1, 2.0, lender=True, stop_seconds=30.0)
        for n in range(16)
    ]
    beside = replace(_workload(chance, "live", "feed"), takes=False)
    shows = []
    start = 0.0
    for number in range(chance.randint(1, 2)):
        start += chance.uniform(420.0, 600.0)
        seconds = float(chance.randrange(120, 300, 10))
        shows.append(
            Show("shop", "shop-core", f"show-{number}", float(round(start)), seconds, chance.randrange(1500, 2900, 100))
        )
        start += seconds
    shows.append(Show("live", "live-core", "small", float(round(chance.uniform(200.0, 900.0))), 180.0, 900))
    slots = ("a", "b") if chance.random() < 0.6 else ("a",)
    return Scene(seed, (web, loader, *jobs, beside), tuple(shows), slots, pool=True)


def _workload(chance: Random, namespace: str, name: str) -> Workload:
    return Workload(
        namespace=namespace,
        policy=f"{namespace}-core",
        name=name,
        kind=chance.choice(("Deployment", "Deployment", "StatefulSet")),
        hpa=chance.random() < 0.4,
        original=chance.randint(1, 5),
        capacity=chance.choice((50, 100, 100, 150)),
        low=chance.randint(1, 4),
        high=chance.choice((20, 40, 60)),
        start_seconds=float(chance.choice((5, 10, 20))),
    )


# ---- as objects


def workload_object(one: Workload, level: int | None = None) -> Json:
    """A Deployment, StatefulSet or Job; behind an autoscaler it says no replicas."""
    if one.kind == "Job":
        return _job_object(one, level)
    labels = {"app": one.name}
    spec: Json = {"selector": {"matchLabels": labels}, "template": _template(one)}
    if one.kind == "StatefulSet":
        spec |= {"serviceName": one.name, "podManagementPolicy": "Parallel"}
    if not one.hpa:
        spec["replicas"] = one.original if level is None else level
    return {
        "apiVersion": "apps/v1",
        "kind": one.kind,
        "metadata": {"name": one.name, "namespace": one.namespace},
        "spec": spec,
    }


def _template(one: Workload) -> Json:
    said = {
        "tidegate.dev/start-seconds": f"{one.start_seconds:g}",
        "tidegate.dev/stop-seconds": f"{one.stop_seconds:g}",
    }
    container: Json = {"name": "main", "image": "registry.example/x:1"}
    if one.takes:
        container["resources"] = {"requests": {"cpu": "1", "memory": "1Gi"}}
    return {"metadata": {"labels": {"app": one.name}, "annotations": said}, "spec": {"containers": [container]}}


def _job_object(one: Workload, level: int | None) -> Json:
    template = _template(one)
    template["metadata"]["annotations"] |= {
        "tidegate.dev/run-seconds": "36000",
        "tidegate.dev/checkpoint-seconds": "300",
    }
    template["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": one.name, "namespace": one.namespace, "labels": {"work": "nightly"}},
        "spec": {"parallelism": 1, "completions": 1, "suspend": level == 0, "template": template},
    }


def pool_object() -> Json:
    """The pool: data lends its machines to trading."""
    loader = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "warehouse", "name": "loader"}
    data = {
        "name": "data",
        "guaranteePercent": 10,
        "members": [
            {"name": "nightly", "jobs": {"namespace": "warehouse", "matchLabels": {"work": "nightly"}}},
            {"name": "loader", "ref": loader},
        ],
        "drain": {"noticeSeconds": 60, "minimumRunSeconds": 120, "guessSeconds": 60},
        "giveBackWithinSeconds": 300,
    }
    trading = {"name": "trading", "guaranteePercent": 40, "allowedNamespaces": ["shop"]}
    return {
        "apiVersion": API,
        "kind": "CapacityPool",
        "metadata": {"name": "hangzhou-a"},
        "spec": {"capacity": {"nodeSelector": {"pool": "hangzhou-a"}}, "lanes": [trading, data]},
    }


def hpa_object(one: Workload, level: int | None = None) -> Json:
    """The autoscaler in front of it, with its own name."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": one.name, "namespace": one.namespace},
        "spec": {
            "minReplicas": one.original if level is None else level,
            "maxReplicas": 100,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": one.kind, "name": one.name},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                }
            ],
        },
    }


def level_object(one: Workload, level: int) -> Json:
    """The object that holds the level, with that level, as its owner applies it."""
    return hpa_object(one, level) if one.hpa else workload_object(one, level)


def query_of(namespace: str, policy: str) -> str:
    """The query of a policy's only signal."""
    return f"orders_{namespace}_{policy}".replace("-", "_")


def policy_object(namespace: str, policy: str, workloads: tuple[Workload, ...], *, measured: bool) -> Json:
    """The policy of these workloads."""
    targets = [
        {
            "name": one.name,
            "ref": {"apiVersion": "apps/v1", "kind": one.kind, "name": one.name},
            "capacity": {SIGNAL: one.capacity},
            "headroomPercent": 0,
            "min": one.low,
            "max": one.high,
            "leadTime": {"guessSeconds": int(one.start_seconds) + 15},
            **({"lane": one.lane} if one.lane else {}),
        }
        for one in workloads
    ]
    pool = {"poolRef": {"name": "hangzhou-a"}} if any(one.lane for one in workloads) else {}
    signals = [{"name": SIGNAL, "query": query_of(namespace, policy), "staleAfterSeconds": 60}] if measured else []
    return {
        "apiVersion": API,
        "kind": "ScalingPolicy",
        "metadata": {"name": policy, "namespace": namespace},
        "spec": {
            "mode": "Enforce",
            **pool,
            "targets": targets,
            "signals": signals,
            "release": {"holdSeconds": 45, "maxStepPercentPerMinute": 60},
            "blindMaxSeconds": 300,
        },
    }


def show_object(show: Show) -> Json:
    """The LiveEvent of a show."""
    return {
        "apiVersion": API,
        "kind": "LiveEvent",
        "metadata": {"name": show.name, "namespace": show.namespace},
        "spec": {
            "schedule": {
                "startTime": to_rfc3339(BEGIN + show.start).removesuffix("Z"),
                "timeZone": "UTC",
                "durationSeconds": int(show.seconds),
            },
            "expected": {SIGNAL: show.orders},
            "profile": "flat",
            "policyRef": {"name": show.policy},
        },
    }


def odd_loan(number: int) -> Json:
    """A Loan that nobody of ours wrote, of something that does not exist, and that may not be deleted. It bears the
    name that a loan of its field has: any other is not obeyed.
    """
    long_ago = "2026-01-01T00:00:00Z"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "tenant", "name": "nothing"}
    target["uid"] = f"nobody-{number}"
    ref = Ref("apps/v1", "Deployment", "tenant", "nothing")
    return {
        "apiVersion": API,
        "kind": "Loan",
        "metadata": {
            "name": loan_name(Place(ref, target["uid"], "/spec/replicas", "scale")),
            "namespace": "tenant",
            "finalizers": ["example.org/mine"],
        },
        "spec": {
            "target": target,
            "field": "/spec/replicas",
            "subresource": "scale",
            "policyRef": {"namespace": "tenant", "name": "none"},
            "targetName": "nothing",
            "original": 1,
            "pending": 2,
            "highest": 2,
            "epoch": 1,
            **dict.fromkeys(("startedAt", "steppedAt", "until"), long_ago),
        },
    }


def moved(show: Show, by: float) -> Show:
    """The same show, later or earlier."""
    return replace(show, start=float(round(show.start + by)))
