"""What the benchmarks of the whole process share: the embedded API here, the real operator in a process of its own.

The API server runs in the benchmark's own event loop, so that the benchmark makes objects, moves statuses and reads the
audit without a request. The operator is started as a cluster would start it. Its processor time is told beside wall
time, and with it how long its threads were ready to run and had no processor: what a busy machine adds.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from tidegate.api.crd import all_crds
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.routes import application
from tidegate.embedded.server import write_kubeconfig

ROOT = Path(__file__).resolve().parents[1]
Json = dict[str, Any]
TICKS = os.sysconf("SC_CLK_TCK")
GROUP = "tidegate.dev/v1alpha1"


# ---- the cluster


def empty_cluster(namespaces: Iterable[str], **options: Any) -> EmbeddedCluster:
    """A cluster with our kinds and these namespaces, whose autoscalers do nothing by themselves."""
    cluster = EmbeddedCluster(creation_rate=5000.0, hpa_sync_seconds=1e9, audit=True, **options)
    for crd in all_crds():
        cluster.create(crd)
    for name in ("tidegate", *namespaces):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return cluster


def deployment(namespace: str, name: str, *, replicas: int = 2, start_seconds: int = 5) -> Json:
    """A workload whose pods need so long to be ready."""
    labels = {"app": name}
    resources = {"requests": {"cpu": "100m", "memory": "128Mi"}}
    template = {
        "metadata": {"labels": labels, "annotations": {"tidegate.dev/start-seconds": str(start_seconds)}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def policy(namespace: str, targets: Sequence[str], *, lead: int = 30, query: str = "") -> Json:
    """A policy named ``core``: one unit of each target carries 10 orders."""
    signals = [{"name": "orders", "query": query}] if query else []
    return {
        "apiVersion": GROUP,
        "kind": "ScalingPolicy",
        "metadata": {"name": "core", "namespace": namespace},
        "spec": {
            "mode": "Enforce",
            "signals": signals,
            "targets": [
                {
                    "name": name,
                    "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "capacity": {"orders": 10},
                    "headroomPercent": 0,
                    "max": 1000,
                    "leadTime": {"guessSeconds": lead},
                }
                for name in targets
            ],
        },
    }


def live_event(namespace: str, name: str, start: float, *, orders: int, seconds: int = 6 * 3600) -> Json:
    """A show of the policy ``core`` that brings so many orders from its start to its end."""
    return {
        "apiVersion": GROUP,
        "kind": "LiveEvent",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "schedule": {"startTime": local_time(start), "timeZone": "UTC", "durationSeconds": seconds},
            "expected": {"orders": orders},
            "spreadPercent": 0,
            "profile": "flat",
            "policyRef": {"name": "core"},
        },
    }


def local_time(instant: float) -> str:
    """As a schedule has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(instant))


@asynccontextmanager
async def served(cluster: EmbeddedCluster, *, latency: float = 0.0) -> AsyncIterator[str]:
    """The cluster behind a port; each request takes ``latency`` seconds more than the work that it makes."""

    @web.middleware
    async def later(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        if latency:
            await asyncio.sleep(latency)
        return await handler(request)

    async def control() -> None:
        while True:
            cluster.step()
            await asyncio.sleep(0.1)

    app = application(cluster)
    app.middlewares.append(later)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    task = asyncio.create_task(control())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# ---- the operator


@dataclass(frozen=True, slots=True)
class Spent:
    """What the operator's processes have used up so far, in seconds."""

    wall: float
    cpu: float
    waited: float
    """Ready to run, without a processor."""

    def since(self, before: Spent) -> Spent:
        """Since another look."""
        return Spent(self.wall - before.wall, self.cpu - before.cpu, self.waited - before.waited)


class Operator:
    """The real process: kopf, informer, Lease and all."""

    def __init__(self, url: str, folder: Path, tree: Path = ROOT, /, *, nice: int, **settings: str) -> None:
        """``settings`` are more ``TIDEGATE_*`` variables, without the prefix. ``tree``: the checkout that runs."""
        self.port = free_port()
        self.log = folder / f"operator-{self.port}.log"
        kubeconfig = write_kubeconfig(folder / "kubeconfig", url)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "KUBERNETES_"))}
        environment = {
            **inherited,
            "PYTHONPATH": str(tree / "operator"),
            "PYTHONUNBUFFERED": "1",
            "KUBECONFIG": str(kubeconfig),
            "TIDEGATE_LISTEN_PROBES": "0",
            "TIDEGATE_LISTEN_METRICS": str(self.port),
            "TIDEGATE_PLAN_CREATION_RATE": "5000",
            **{f"TIDEGATE_{name}": value for name, value in settings.items()},
        }
        self.begun = time.time()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kopf", "run", "-m", "tidegate.shell.app", "--standalone", "--all-namespaces"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                preexec_fn=(lambda: os.nice(nice)) if nice else None,
            )

    async def until_logged(self, pattern: str, *, patience: float = 600.0) -> re.Match[str]:
        """The first line of its log that matches."""
        end = time.monotonic() + patience
        while time.monotonic() < end and self._process.poll() is None:
            if found := re.search(pattern, self.log.read_text(errors="replace")):
                return found
            await asyncio.sleep(0.05)
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        raise SystemExit(f"the operator never logged {pattern!r}:\n{tail}")

    async def metric(self, name: str) -> float:
        """A number of its own, as Prometheus would read it."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = await answer.text()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else float("nan")

    def spent(self) -> Spent:
        """Of the process and of those that it started."""
        cpu = waited = 0.0
        for pid in self._pids():
            with suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu += (int(stat[11]) + int(stat[12])) / TICKS
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waited += int((thread / "schedstat").read_text().split()[1]) / 1e9
        return Spent(time.monotonic(), cpu, waited)

    def peak_mib(self) -> float:
        """Highest resident memory so far: what a memory limit of the container has to hold, children included."""
        peak = 0
        for pid in self._pids():
            with suppress(OSError):
                found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                peak += int(found[1]) if found else 0
        return peak / 1024

    def complaints(self) -> int:
        """Lines of its log that are errors or tracebacks."""
        return len(re.findall(r"ERROR|Traceback", self.log.read_text(errors="replace")))

    def end(self) -> None:
        """SIGTERM, and SIGKILL when that does not help within half a minute."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _pids(self) -> Iterator[int]:
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    parents.setdefault(parent, []).append(int(entry.name))
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            waiting += parents.get(pid, [])


async def until(holds: Callable[[], bool], *, patience: float, every: float = 0.2) -> bool:
    """Wait for something to hold; whether it came to that."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if holds():
            return True
        await asyncio.sleep(every)
    return holds()


async def until_quiet(cluster: EmbeddedCluster, *, seconds: float, patience: float) -> bool:
    """Wait until nothing but the Lease was written for so long; whether it came to that."""
    seen, since, end = -1, time.monotonic(), time.monotonic() + patience
    while time.monotonic() < end:
        if (now_seen := cluster.writes_seen()) != seen:
            seen, since = now_seen, time.monotonic()
        if time.monotonic() - since >= seconds:
            return True
        await asyncio.sleep(0.5)
    return False


# ---- figures


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share does not exceed; NaN without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table."""

    name: str
    value: float
    unit: str = ""
    goal: str = ""


def surroundings() -> Json:
    """The commit that was measured and the load of the machine, without which no figure means anything."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {"commit": commit, "load": [round(one, 1) for one in os.getloadavg()], "cores": os.cpu_count()}


def show(figures: Sequence[Figure], *, output: str, title: str) -> None:
    """The table, or the same as JSON."""
    about = surroundings()
    if output == "json":
        values = {f.name: {"value": round(f.value, 3), "unit": f.unit, "goal": f.goal} for f in figures}
        print(json.dumps({"bench": title, **about, "figures": values}))
        return
    print(f"{title}: commit {about['commit']}, load {about['load']} on {about['cores']} cores")
    for f in figures:
        print(f"{f.name:58} {f.value:10.3f} {f.unit:6}" + (f" goal {f.goal}" if f.goal else ""))
