"""The shift while others do their worst: half of 300 Jobs get a sidecar at admission, and a machine is lost at T-2 min.

Takes seven minutes of a control plane of its own, and costs it a machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import shift_scene as play
from harness import Json, eventually
from operators import Operator
from shift_plane import on_the_shifts_plane, opened
from shift_scene import PoolScene
from shop import condition_of, event

SIDECAR = 200
"""Millicores that admission adds to each pod of one namespace."""
LOST = -120.0

pytestmark = [*on_the_shifts_plane, pytest.mark.long]


@dataclass
class Disturbed(PoolScene):
    """The pool of the shift, with work in two namespaces."""

    beside: str = ""
    """Namespace whose pods get more than their template asks for."""
    lost_at: float = 0.0
    verdicts: list[tuple[float, Any]] = field(default_factory=list)

    def prepare(self) -> None:
        self.cluster.install_crds()
        names = ("shop", "warehouse", "beside", "tidegate")
        self.shop, self.warehouse, self.beside, self.home = (self.cluster.namespace(name) for name in names)
        limits = {"type": "Container", "defaultRequest": {"cpu": f"{SIDECAR}m", "memory": "32Mi"}}
        metadata = {"namespace": self.beside, "name": "sidecars"}
        body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [limits]}}
        self.cluster.send("POST", f"api/v1/namespaces/{self.beside}/limitranges", body)
        time.sleep(1.0)  # admission knows of it by then
        for number in range(play.JOBS):
            made = play._job(self.warehouse if number % 2 else self.beside, number)
            made["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "registry.example/mesh:1"})
            self.cluster.create(made)
        self.cluster.create(play._deployment(self.warehouse, "loader", play.LOADERS, play.LOADER_MILLI))
        for name, low in (("web", play.WEB), ("pay", play.PAY)):
            self.cluster.create(play._deployment(self.shop, name, low, play.TRADING_MILLI, start=10))
            self.cluster.create(play._hpa(self.shop, name, low))
        eventually(lambda: self._running() == play.JOBS + play.LOADERS + play.WEB + play.PAY, 180, "all pods run")
        self.before = self.levels()

    def play(self) -> None:
        account = self.cluster.account(self.home, "operator", self.folder, whole_cluster=True)
        self.operator = Operator(self.home, "one", account, self.folder, whole_cluster=True)
        made = play._pool(self.shop, self.warehouse)
        jobs = {"namespace": self.beside, "matchLabels": {"work": "nightly"}}
        made["spec"]["lanes"][1]["members"].append({"name": "nightly-beside", "jobs": jobs})
        self.cluster.create(made)
        self.operator.start()
        eventually(lambda: (self._pool().get("status") or {}).get("capacity"), 60, "the operator has seen the pool")
        self.t0 = round(time.time() + play.AHEAD + 60)
        self.cluster.create(play._policy(self.shop))
        show = event(self.shop, "opening", t0=self.t0, duration=play.LENGTH, floor=play.WEB_PEAK, policy="core")
        self.cluster.create(show)
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        watcher.start()
        try:
            time.sleep(max(0.0, self.t0 + LOST - time.time()))
            self.cluster.send("DELETE", f"api/v1/nodes/{self._a_node()}")
            self.marks.append((time.time(), "a machine is lost"))
            self._until_returned()
        finally:
            over.set()
            watcher.join()
            self.after = self.levels()
            self.operator.stop()

    def _sample(self, at: float) -> Any:
        shown = self.cluster.get("LiveEvent", self.shop, "opening")
        self.verdicts.append((at, (condition_of(shown, "OnTime"), (shown.get("status") or {}).get("summary"))))
        return super()._sample(at)

    def levels(self) -> dict[str, Any]:
        found = super().levels()
        jobs = self.cluster.list("Job", self.beside)["items"]
        return found | {job["metadata"]["name"]: bool(job["spec"].get("suspend")) for job in jobs}

    def _loans(self) -> list[Json]:
        return [*super()._loans(), *self.cluster.list("Loan", self.beside)["items"]]

    def _running(self) -> int:
        pods = [
            one for name in (self.shop, self.warehouse, self.beside) for one in self.cluster.list("Pod", name)["items"]
        ]
        return sum(one["status"].get("phase") == "Running" for one in pods)

    def _a_node(self) -> str:
        return str(self.cluster.send("GET", "api/v1/nodes")["items"][-1]["metadata"]["name"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    with opened() as cluster:
        made = Disturbed(cluster, tmp_path_factory.mktemp("disturbed"))
        try:
            made.prepare()
            made.play()
            print(f"\n{made.story()}")  # noqa: T201  the measurement
            yield made
        finally:
            made.close()
            if made.beside:
                cluster.drop_namespace(made.beside)


def test_trading_is_ready_at_t0_or_said_to_be_late(scene: Disturbed) -> None:
    at = max((s for s in scene.samples if s.at <= scene.t0), key=lambda s: s.at)
    verdict = max((v for v in scene.verdicts if v[0] <= scene.t0), key=lambda v: v[0])[1]
    print(f"\nat T-0: ready {at.ready}, verdict {verdict}")  # noqa: T201
    ready = at.ready >= (play.WEB_PEAK, play.PAY_PEAK)
    assert ready or (verdict[0] is not None and verdict[0][1] == "Late"), (at, verdict, scene.story())


def test_all_that_was_lent_is_returned(scene: Disturbed) -> None:
    assert scene.after == scene.before
    assert scene._loans() == []
    print(f"\nreturned {scene.marks[-1][0] - scene.t0:+.0f} s from T-0")  # noqa: T201


def test_sidecars_and_the_lost_machine_oversell_nothing(scene: Disturbed) -> None:
    full = [s for s in scene.samples if sum(s.milli.values()) > play.NODES * play.CORES * 1000]
    assert full == []
