"""``plan`` and ``explain`` on a cluster: pools are looked at over the operator's own doors, and what is not is said."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from typer.testing import CliRunner

from tidegate.api.crd import all_crds
from tidegate.api.learned import learned_to_object
from tidegate.cli.cluster import Reading
from tidegate.cli.main import app
from tidegate.control.stop import stop_object
from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.routes import application
from tidegate.embedded.server import write_kubeconfig
from tidegate.planning.model import Key, LoanState, Observed, TargetKey
from tidegate.planning.resources import Resources
from tidegate.ports import Learned
from tidegate.targets.learned import learned_name

GROUP = "tidegate.dev/v1alpha1"
BEFORE = ("--at", "2026-12-01T09:00:00Z")


def run(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(args))
    return done.exit_code, done.stdout, done.stderr


def deployment(namespace: str) -> dict[str, Any]:
    pod = {"containers": [{"name": "m", "image": "m", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "orders"}},
            "template": {"metadata": {"labels": {"app": "orders"}}, "spec": pod},
        },
    }


def tenant(namespace: str) -> list[dict[str, Any]]:
    """A workload of two, and a show at 10:00 that needs 20 of it."""
    target = {"name": "orders", "lane": "trading", "capacity": {"orders": 50}, "headroomPercent": 0, "min": 2}
    target |= {"max": 80, "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"}}
    schedule = {"startTime": "2026-12-01T10:00:00", "timeZone": "UTC", "durationSeconds": 600}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        deployment(namespace),
        {
            "apiVersion": GROUP,
            "kind": "ScalingPolicy",
            "metadata": {"name": "core", "namespace": namespace},
            "spec": {"mode": "Enforce", "poolRef": {"name": "hz"}, "targets": [target]},
        },
        {
            "apiVersion": GROUP,
            "kind": "LiveEvent",
            "metadata": {"name": "show", "namespace": namespace},
            "spec": {"schedule": schedule, "expected": {"orders": 1000}, "policyRef": {"name": "core"}},
        },
    ]


def pool(cpu: int, *namespaces: str) -> dict[str, Any]:
    lanes = [{"name": "trading", "guaranteePercent": 20, "allowedNamespaces": list(namespaces)}, {"name": "data"}]
    capacity = {"given": {"cpu": str(cpu), "memory": "400Gi"}}
    spec = {"capacity": capacity, "lanes": lanes}
    return {"apiVersion": GROUP, "kind": "CapacityPool", "metadata": {"name": "hz"}, "spec": spec}


class Site:
    """An API server on a port of its own, that refuses what it is told to refuse."""

    def __init__(self, documents: list[dict[str, Any]], kubeconfig: Path) -> None:
        nodes = NodePool(20, cpu=16, memory="64Gi", show_pods=True)
        self.refused: tuple[str, ...] = ()
        self.cluster = EmbeddedCluster(nodes=nodes)
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate"}}
        self.cluster.apply_manifests(yaml.safe_dump_all([*all_crds(), home, *documents]))
        for _ in range(20):
            self.cluster.step()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner, url = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(20)
        write_kubeconfig(kubeconfig, url)

    async def _serve(self) -> tuple[web.AppRunner, str]:
        served = application(self.cluster)
        served.middlewares.insert(0, self._refuse)
        runner = web.AppRunner(served, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address: Any = runner.addresses[0]
        return runner, f"http://127.0.0.1:{address[1]}"

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        if request.path.endswith(self.refused) and self.refused:
            said = {"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": "you may not", "code": 403}
            return web.json_response(said, status=403)
        answer: web.StreamResponse = await handler(request)
        return answer

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    def make(*documents: dict[str, Any]) -> Site:
        made.append(Site(list(documents), kubeconfig))
        return made[-1]

    yield make
    for one in made:
        one.close()


def levels(told: dict[str, Any], namespace: str) -> list[int]:
    return [step["to"] for step in told["steps"] if step["namespace"] == namespace]


def test_a_raise_that_a_pool_of_the_cluster_refuses_is_not_shown_as_coming(site: Callable[..., Site]) -> None:
    site(*tenant("shop"), pool(12, "shop"))
    code, out, said = run("plan", *BEFORE, "-o", "json")
    told = json.loads(out)
    assert (code, said) == (0, "")
    assert levels(told, "shop")[0] <= 12
    assert told["notDone"][0]["needed"] == 20
    assert "trading of hz" in told["notDone"][0]["message"]


def test_a_pool_with_room_for_all_takes_nothing_away(site: Callable[..., Site]) -> None:
    site(*tenant("shop"), pool(200, "shop"))
    told = json.loads(run("plan", *BEFORE, "-o", "json")[1])
    assert levels(told, "shop")[0] == 20
    assert told["notDone"] == []


@pytest.mark.parametrize(("extra", "all_fit"), [(0, True), (1000, False)])
def test_pods_that_are_gone_are_as_large_as_the_operator_last_saw_them(
    site: Callable[..., Site], extra: int, all_fit: bool
) -> None:
    documents = tenant("shop")
    documents[1]["spec"]["replicas"] = 0
    there = site(*documents, pool(30, "shop"))
    of = Key("shop", "core")
    learned = Learned(of, sizes={"orders": Resources(extra, 0)} if extra else {})
    there.cluster.create(learned_to_object(learned, Key("shop", learned_name(of))))
    told = json.loads(run("plan", *BEFORE, "-o", "json")[1])
    assert (levels(told, "shop")[0] == 20) is all_fit, "twenty of one core fit on thirty, of two cores they do not"


def test_explain_names_the_pool_that_limits_a_level(site: Callable[..., Site]) -> None:
    site(*tenant("shop"), pool(12, "shop"))
    told = json.loads(run("explain", "core", "orders", "--at", "2026-12-01T10:01:00Z", "-o", "json")[1])
    assert told["level"] <= 12
    assert any("trading of hz" in judgement["message"] for judgement in told["guardrails"])


def test_a_pool_that_does_not_exist_lets_nothing_in(site: Callable[..., Site]) -> None:
    site(*tenant("shop"))
    told = json.loads(run("plan", *BEFORE, "-o", "json")[1])
    assert told["steps"] == []
    assert told["notDone"][0]["reason"] == "PoolMissing"


@pytest.mark.parametrize("refused", ["/capacitypools", "/api/v1/pods"])
def test_a_pool_that_may_not_be_looked_at_is_said_with_what_follows(site: Callable[..., Site], refused: str) -> None:
    there = site(*tenant("shop"), pool(12, "shop"))
    there.refused = (refused,)
    code, out, said = run("plan", *BEFORE, "-o", "json")
    assert code == 0
    assert levels(json.loads(out), "shop")[0] == 20
    assert "CapacityPool hz was not looked at" in said
    assert "you may not" in said
    assert "is taken to have room for all; a raise that it refuses" in said
    assert json.loads(out)["notes"] == said.splitlines()


def test_loans_and_measurements_that_may_not_be_read_are_said_with_what_follows(site: Callable[..., Site]) -> None:
    there = site(*tenant("shop"), pool(200, "shop"))
    there.refused = ("/loans", "/learned", "/configmaps/tidegate-stop")
    code, _, said = run("plan", *BEFORE)
    assert code == 0
    assert "no step down and no return is shown" in said
    assert "not what the operator has measured" in said
    assert "whether the operator was stopped" in said


def test_others_on_the_same_pool_take_their_part_also_where_one_namespace_is_asked_for(
    site: Callable[..., Site],
) -> None:
    site(*tenant("shop"), *tenant("other"), pool(30, "shop", "other"))
    both = json.loads(run("plan", *BEFORE, "-o", "json")[1])
    mine = json.loads(run("plan", *BEFORE, "-n", "shop", "-o", "json")[1])
    assert {step["namespace"] for step in both["steps"]} == {"shop", "other"}
    assert {step["namespace"] for step in mine["steps"]} == {"shop"}
    assert levels(mine, "shop") == levels(both, "shop")
    assert levels(mine, "shop")[0] < 20


def test_who_may_read_one_namespace_only_is_told_that_the_others_are_not_counted(site: Callable[..., Site]) -> None:
    there = site(*tenant("shop"), pool(200, "shop"))
    there.refused = tuple(f"/{GROUP}/{plural}" for plural in ("scalingpolicies", "liveevents", "overrides"))
    code, out, said = run("plan", *BEFORE, "-n", "shop", "-o", "json")
    assert (code, levels(json.loads(out), "shop")[0]) == (0, 20)
    assert "only namespace shop was read" in said
    assert run("plan", *BEFORE)[0] == 2


def test_a_stopped_operator_is_shown_to_do_nothing(site: Callable[..., Site]) -> None:
    site(*tenant("shop"), pool(200, "shop"), stop_object("tidegate", by="me", at="2026-12-01T08:00:00Z"))
    _, out, _ = run("plan", *BEFORE)
    assert "The operator is stopped (tidegate release)" in out
    assert "Nothing will be done." in out
    out = run("explain", "core", "orders", *BEFORE)[1]
    assert "not written  the durable stop is set (tidegate resume lifts it)" in out


@pytest.mark.parametrize(
    ("at", "asked"),
    [
        ("2026-12-01T09:50:00Z", "asked by (for 2026-12-01T10:00:00Z: 20 units are needed then"),
        ("2026-12-01T10:30:00Z", "nobody: what was lent is kept, or on its way back to the owner's 2"),
    ],
)
def test_explain_never_says_that_nobody_needs_a_level_that_stands_for_something(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, at: str, asked: str
) -> None:
    """Kept for a show that is near, and on the way back after it."""
    site(*tenant("shop"), pool(200, "shop"))
    began = datetime(2026, 12, 1, 9, 40, tzinfo=UTC).timestamp()
    loan = LoanState(2, 20, began, began, began + 3600.0)

    async def observed(*_: Any) -> dict[TargetKey, Observed]:
        return {(Key("shop", "core"), "orders"): Observed(20, 20, 20, loan=loan, unit=Resources(1000, 1024))}

    monkeypatch.setattr(Reading, "_observed", observed)
    out = run("explain", "core", "orders", "--at", at)[1]
    assert ": level " in out
    assert asked in out
    assert "None" not in out
