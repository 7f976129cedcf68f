"""Pools of two machines each on one control plane, an operator for all of them, and one moment that all wait for."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Cluster, Json, eventually, path_of
from operators import Operator
from recorder import Recorder, Series
from shop import condition_of, event, policy

CORES = 32
"""Of each of a pool's two machines."""
LOW, FLOOR, UNIT = 4, 20, 2
"""Trading's units at rest and at T-0, and the cores of one."""
AHEAD, LENGTH, HOLD = 110, 40, 10
NOTICE, MINIMUM_RUN, PROMISE = 20, 5, 60
LAST = 300
"""Seconds after T-0 at which all that was lent must have been back for long."""
MARK = "tidegate.test/pool"
"""Label of a pool's machines."""


@dataclass
class LendingScene:
    """One pool with its shop and its warehouse."""

    name: str
    site: LendingSite
    shop: str = ""
    data: str = ""
    machines: tuple[str, ...] = ()
    marks: list[tuple[float, str]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        return self.site.cluster

    @property
    def t0(self) -> float:
        return self.site.t0

    @property
    def pool(self) -> str:
        return f"{self.name}-{self.site.home}"

    # ---- acting

    def mark(self, what: str) -> None:
        self.marks.append((time.time(), what))

    def wait(self, after: float, what: str = "") -> None:
        """Until so many seconds after T-0."""
        time.sleep(max(0.0, self.t0 + after - time.time()))
        if what:
            self.mark(what)

    def jobs(self, count: int, cores: float, *, first: int = 0, name: str = "nightly", **spec: Any) -> list[str]:
        """Make Jobs of one pod each on this pool's machines."""
        names = [f"{name}-{number:02d}" for number in range(first, first + count)]
        for one in names:
            self.own(job_of(self.data, one, cores, self.name, **spec))
        return names

    def own(self, work: Json) -> None:
        """Work as its owner's tool applies it: that says its level, and owns it."""
        self.cluster.apply(work, manager="data-team")

    def shop_of(self, **spec: Any) -> None:
        """The shop's workload, at rest."""
        self.cluster.create(workload_of(self.shop, "web", LOW, UNIT, self.name, start=5, **spec))

    def announce(self, *members: Json) -> None:
        """The pool, and what trading needs of it."""
        self.cluster.create(pool_of(self.pool, self.name, self.shop, members))
        made = policy(self.shop, "web", hold=HOLD, step=100, guess=25)
        made["spec"]["poolRef"] = {"name": self.pool}
        made["spec"]["targets"][0]["lane"] = "trading"
        self.cluster.create(made)
        self.cluster.create(event(self.shop, "show", t0=self.t0, duration=LENGTH, floor=FLOOR))

    def until(self, look: Callable[[], Any], seconds: float, claim: str) -> Any:
        return eventually(look, seconds, f"{self.name}: {claim}")

    # ---- looking

    def loan(self, name: str) -> Json | None:
        """The Loan of a piece of work, as it stands."""
        loans = self.cluster.list("Loan", self.data)["items"]
        return next((one["spec"] for one in loans if one["spec"]["target"]["name"] == name), None)

    def told(self) -> list[str]:
        """Work that was told, or that is lent."""
        return [one["spec"]["target"]["name"] for one in self.cluster.list("Loan", self.data)["items"]]

    def suspended(self) -> list[str]:
        jobs = self.cluster.list("Job", self.data)["items"]
        return [one["metadata"]["name"] for one in jobs if one["spec"].get("suspend")]

    def active(self) -> list[str]:
        """Jobs that have a pod on a machine."""
        pods = self.cluster.list("Pod", self.data)["items"]
        return [one["metadata"]["labels"]["job-name"] for one in pods if one["spec"].get("nodeName") and is_there(one)]

    def ready(self) -> int:
        return int(self.cluster.get("Deployment", self.shop, "web").get("status", {}).get("readyReplicas", 0))

    def verdict(self) -> tuple[str, str] | None:
        return condition_of(self.cluster.get("LiveEvent", self.shop, "show"), "OnTime")

    def status(self) -> Json:
        status: Json = self.cluster.send("GET", path_of("CapacityPool", "", self.pool)).get("status") or {}
        return status

    def level(self, name: str, kind: str = "Job") -> Series[Any]:
        """Suspended or not, or replicas, over time."""
        pick = suspended_of if kind == "Job" else replicas_of
        return self.site.recorder.series(kind, self.data, name, pick)

    def lent(self) -> list[str]:
        """Jobs that were suspended at any time."""
        names = self.site.recorder.names("Job", self.data)
        return [name for name in names if True in self.level(name).values]

    def promised(self, name: str) -> float:
        """The first promise that a Loan of this work ever showed, seconds from T-0; it only ever moves to earlier."""
        found = []
        for loan in self.site.recorder.names("Loan", self.data):
            for version in self.site.recorder.versions("Loan", self.data, loan):
                spec = version.obj["spec"] if version.obj is not None else {}
                if spec.get("target", {}).get("name") == name:
                    found += [self.site.seconds(one["time"]) for one in spec["handOver"].get("promises", [])]
        assert found, f"{name} was never promised back"
        return min(found) - self.t0

    def story(self) -> str:
        lines = [f"{at - self.t0:+8.1f}  --- {what}" for at, what in self.marks]
        for kind in ("Job", "Deployment"):
            for name in self.site.recorder.names(kind, self.data):
                points = self.level(name, kind).points
                lines += [f"{at - self.t0:+8.1f}  {kind} {name}: {value}" for at, _, value in points[1:]]
        lines.sort(key=lambda line: float(line.split()[0]))
        return "\n".join([f"== {self.name}", *lines, str(self.status())])


Body = Callable[[LendingScene], None]


@dataclass
class LendingSite:
    """All scenes, and what they share."""

    cluster: Cluster
    folder: Path
    seconds: Callable[[str], float]
    home: str = ""
    t0: float = 0.0
    scenes: dict[str, LendingScene] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    operator: Operator | None = None
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.cluster, ("Job", "Deployment", "Loan"))

    def play(self, bodies: dict[str, tuple[Body, Body]]) -> None:
        """Set all scenes up, announce one moment for all of them, and play them side by side."""
        self.cluster.install_crds()
        self.home = self.cluster.namespace("tidegate")
        nodes = sorted(one["metadata"]["name"] for one in self.cluster.send("GET", "api/v1/nodes")["items"])
        for name in bodies:
            scene = self.scenes[name] = LendingScene(name, self, machines=tuple(nodes[:2]))
            del nodes[:2]
            scene.shop, scene.data = self.cluster.namespace(f"shop-{name}"), self.cluster.namespace(f"data-{name}")
            for machine in scene.machines:
                self.label(machine, name)
        for machine in nodes:
            self.label(machine, "none")
        self.recorder.start()
        self._all({name: prepare for name, (prepare, _) in bodies.items()})
        account = self.cluster.account(self.home, "operator", self.folder, whole_cluster=True)
        self.operator = Operator(self.home, "one", account, self.folder, whole_cluster=True)
        self.operator.start()
        self.t0 = round(time.time() + AHEAD)
        self._all({name: act for name, (_, act) in bodies.items()})

    def label(self, machine: str, pool: str) -> None:
        self.patch(f"api/v1/nodes/{machine}", {"metadata": {"labels": {MARK: pool}}})

    def patch(self, path: str, body: Json, *, manager: str = "somebody") -> None:
        """A merge patch by whoever."""
        self.cluster.send("PATCH", path, body, form="application/merge-patch+json", fieldManager=manager)

    def close(self) -> None:
        self.recorder.stop()
        if self.operator is not None:
            self.operator.make_sure_it_ended()
        stories = [scene.story() for scene in self.scenes.values()]
        (self.folder / "lending.story").write_text("\n".join(stories))
        for scene in self.scenes.values():
            for namespace in (scene.shop, scene.data):
                self.cluster.drop_namespace(namespace)
        self.cluster.drop_namespace(self.home)

    def _all(self, bodies: dict[str, Body]) -> None:
        def run(name: str, body: Body) -> None:
            try:
                if name not in self.failed:
                    body(self.scenes[name])
            except Exception:  # noqa: BLE001 - the tests of this scene tell it
                self.failed[name] = traceback.format_exc()

        with ThreadPoolExecutor(len(bodies)) as pool:
            list(pool.map(lambda one: run(*one), bodies.items()))


class Rival(threading.Thread):
    """Another controller that keeps a Job suspended."""

    def __init__(self, scene: LendingScene, name: str) -> None:
        super().__init__(daemon=True)
        self.scene, self.name_, self.writes = scene, name, 0
        self.over = threading.Event()

    def run(self) -> None:
        path = path_of("Job", self.scene.data, self.name_)
        while not self.over.wait(0.1):
            found = self.scene.cluster.find("Job", self.scene.data, self.name_)
            if found is not None and not found["spec"].get("suspend"):
                self.scene.site.patch(path, {"spec": {"suspend": True}}, manager="queue")
                self.writes += 1


# ---- what stands there


def pod_of(name: str, cores: float, pool: str, *, start: int = 2, **spec: Any) -> Json:
    container = {
        "name": "main",
        "image": "registry.example/x:1",
        "resources": {"requests": {"cpu": f"{int(cores * 1000)}m", "memory": "1Gi"}},
    }
    return {
        "metadata": {
            "labels": {"app": name},
            "annotations": {"tidegate.test/start": f"{start}s", "tidegate.test/run": "3600s"},
        },
        "spec": {
            "containers": [container, *spec.pop("beside", [])],
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
            "nodeSelector": {MARK: pool},
            "terminationGracePeriodSeconds": 0,
            **spec,
        },
    }


def workload_of(namespace: str, name: str, replicas: int, cores: float, pool: str, **spec: Any) -> Json:
    template = pod_of(name, cores, pool, **spec)
    made = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": made}


def job_of(namespace: str, name: str, cores: float, pool: str, **spec: Any) -> Json:
    template = pod_of("nightly", cores, pool, restartPolicy="Never", **spec)
    metadata = {"namespace": namespace, "name": name, "labels": {"work": "nightly"}}
    made = {"suspend": False, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": made}


def all_jobs(namespace: str, name: str = "nightly") -> Json:
    return {"name": name, "jobs": {"namespace": namespace, "matchLabels": {"work": "nightly"}}}


def the_loader(namespace: str) -> Json:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": "loader"}
    return {"name": "loader", "ref": ref}


def pool_of(name: str, label: str, shop: str, members: tuple[Json, ...]) -> Json:
    drain = {"noticeSeconds": NOTICE, "minimumRunSeconds": MINIMUM_RUN, "guessSeconds": 10}
    data = {"name": "data", "members": list(members), "drain": drain, "giveBackWithinSeconds": PROMISE}
    trading = {"name": "trading", "allowedNamespaces": [shop]}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "CapacityPool",
        "metadata": {"name": name},
        "spec": {"capacity": {"nodeSelector": {MARK: label}}, "lanes": [trading, data]},
    }


def suspended_of(job: Json) -> bool:
    return bool(job["spec"].get("suspend"))


def replicas_of(deployment: Json) -> int:
    return int(deployment["spec"]["replicas"])


def is_there(pod: Json) -> bool:
    return pod["status"].get("phase") not in ("Succeeded", "Failed") and not pod["metadata"].get("deletionTimestamp")
