"""A cluster in mid-event behind its real HTTP door, and operators of two versions that take turns at it.

The cluster is this version's; each operator is a process of its own, with the code of its version. Time is moved by
hand and told to whoever plays.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shift_stage import CORES, START, Clock, Json, deployment, event, job, policy, pool
from test_targets_identity import crd, version

from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.server import running

THIS = Path(__file__).parents[2] / "operator"
DRIVER = Path(__file__).with_name("upgrade_driver.py")
NODES, JOBS = 5, 16
LEAD, LENGTH = 420.0, 600
STEP = 10.0
OWNERS = {"web": "helm", "order": "argocd", "main": "kubectl-apply", "loader": "helm", "nightly": "airflow"}
"""Who wrote the level of each thing, or of things that are named like it, before anybody borrowed it."""


class Process:
    """An operator of the version that lies in a tree."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, tree: Path, url: str) -> Process:
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
        pipe = asyncio.subprocess.PIPE
        made = await asyncio.create_subprocess_exec(
            sys.executable, str(DRIVER), url, stdin=pipe, stdout=pipe, env=environment, limit=2**24
        )
        return cls(made)

    async def ask(self, *words: Any) -> Any:
        """What it answers to one line."""
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        to.write(json.dumps(words).encode() + b"\n")
        await to.drain()
        line = await back.readline()
        assert line, "the operator's process ended"
        return json.loads(line)

    async def kill(self) -> None:
        """End it as a node that dies would: it hands nothing over."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@dataclass
class UpgradeStage:
    """What stands there, who leads, and what was seen."""

    clock: Clock
    cluster: EmbeddedCluster
    url: str
    leading: Process | None = None
    seen: dict[float, dict[str, int]] = field(default_factory=dict)
    """Levels by instant, after the beat of that instant."""
    failed: list[str] = field(default_factory=list)

    @property
    def start_time(self) -> float:
        """T-0."""
        return START + 400.0 + LEAD

    async def change_to(self, tree: Path, *, crds: bool = True) -> None:
        """Another version takes over; its CRDs come with it, unless whoever installed it forgot them."""
        await self.close()
        self.leading = await Process.start(tree, self.url)
        if crds:
            for one in await self.leading.ask("crds"):
                self.cluster.apply(one, manager="helm", force=True)

    async def play(self, until: float) -> None:
        """A beat each step."""
        assert self.leading is not None
        while self.clock.at < until:
            self.failed += await self.leading.ask("beat", self.clock.at)
            self.seen[self.clock.at] = self.levels()
            self.clock.at += STEP
            self.cluster.step()

    async def close(self) -> None:
        """Nobody leads."""
        if self.leading is not None:
            await self.leading.kill()
            self.leading = None

    # ---- what there is

    def borrowable(self) -> dict[str, tuple[Json, str]]:
        """Everything that has a level, with the name of its field."""
        jobs = {one["metadata"]["name"]: (one, "suspend") for one in self.cluster.list("batch/v1", "Job")}
        rest = {
            "web": ("apps/v1", "Deployment", "web", "shop"),
            "loader": ("apps/v1", "Deployment", "loader", "warehouse"),
            "main": ("games.example/v1", "Fleet", "main", "shop"),
            "order": ("autoscaling/v2", "HorizontalPodAutoscaler", "order", "shop"),
        }
        found = {name: self.cluster.get(*where) for name, where in rest.items()}
        fields = {"order": "minReplicas"}
        scaled = {name: (one, fields.get(name, "replicas")) for name, one in found.items() if one is not None}
        return {**jobs, **scaled}

    def levels(self) -> dict[str, int]:
        """Every level that may be moved."""
        return {name: int(one["spec"].get(field) or 0) for name, (one, field) in self.borrowable().items()}

    def owners(self) -> dict[str, set[str]]:
        """Whose each of those fields is."""
        return {
            name: {
                entry["manager"]
                for entry in one["metadata"].get("managedFields", ())
                if f"f:{field}" in entry["fieldsV1"].get("f:spec", {})
            }
            for name, (one, field) in self.borrowable().items()
        }

    def loans(self) -> list[Json]:
        """All Loans."""
        return list(self.cluster.list("tidegate.dev/v1alpha1", "Loan"))


def written() -> list[tuple[Json, str]]:
    """What stands there before, with who wrote it."""
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "order"}
    load = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "order", "namespace": "shop"},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 60,
            "scaleTargetRef": scaled,
            "metrics": [{"type": "Resource", "resource": load}],
        },
    }
    fleet = {
        "apiVersion": "games.example/v1",
        "kind": "Fleet",
        "metadata": {"name": "main", "namespace": "shop"},
        "spec": {"replicas": 3},
    }
    elsewhere = deployment("order", "shop", 2)
    elsewhere["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "elsewhere"}
    return [
        (deployment("web", "shop", 10), OWNERS["web"]),
        (deployment("loader", "warehouse", 10, stop=20.0), OWNERS["loader"]),
        (elsewhere, "helm"),
        (hpa, OWNERS["order"]),
        (fleet, OWNERS["main"]),
        *((job(number), OWNERS["nightly"]) for number in range(JOBS)),
    ]


def asked(fleet_version: str) -> list[Json]:
    """Policy, pool and event, as people wrote them."""
    core = policy()
    orders = {"capacity": {"orders_per_second": 200}, "headroomPercent": 0, "leadTime": {"guessSeconds": 30}}
    fleet = {"apiVersion": f"games.example/{fleet_version}", "kind": "Fleet", "name": "main"}
    core["spec"]["targets"] += [
        {"name": "order", "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "order"}, **orders, "max": 50},
        {"name": "fleet", "ref": fleet, **orders, "max": 50},
    ]
    drain = {"noticeSeconds": 60, "minimumRunSeconds": 120, "guessSeconds": 60}
    show = event(START + 400.0 + LEAD, units=26, seconds=LENGTH)
    return [pool(drain=drain, giveBackWithinSeconds=300), core, show]


@asynccontextmanager
async def upgrade_stage(first: Path, *, fleet_version: str = "v1beta1") -> AsyncIterator[UpgradeStage]:
    """The scene 420 s before the event, with the version of a tree installed. The policy names the fleet by one of the
    two versions in which it is served; the server prefers v1.
    """
    clock = Clock(START)
    machines = NodePool(NODES, cpu=CORES, memory="64Gi", show_pods=True, labels={"pool": "hangzhou-a"})
    cluster = EmbeddedCluster(
        clock=clock,
        nodes=machines,
        creation_rate=100.0,
        namespaces=("shop", "warehouse", "tidegate"),
        load=lambda namespace, workload, now: 1.0,
    )
    cluster.create(crd(version("v1", storage=True), version("v1beta1", storage=False)))
    for document, owner in written():
        cluster.create(document, manager=owner)
    cluster.add_node("elsewhere", cpu="64", memory="256Gi", labels={"pool": "elsewhere"})
    async with running(cluster) as url:
        stage = UpgradeStage(clock, cluster, url)
        try:
            await stage.change_to(first)
            for document in asked(fleet_version):
                cluster.create(document, manager="people")
            clock.at += 400.0  # the work has had its minimum run
            cluster.step()
            yield stage
        finally:
            await stage.close()
