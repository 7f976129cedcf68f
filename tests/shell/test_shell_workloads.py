"""Changes of workloads: those of a status alone are told apart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from test_shell_kinds import Clocked
from test_shell_store import scaling_policy

from tidegate.api.parse import parse_policy
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Key, Policy, Ref
from tidegate.shell import workloads
from tidegate.shell.tasks import TaskGroup
from tidegate.shell.workloads import HPA, Kind, WorkloadWatch, spec_of
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Discovery, Resource
from tidegate.targets.shelf import Shelf

Json = dict[str, Any]
DEPLOYMENT = ("apps/v1", "Deployment")
ORDER = Ref(*DEPLOYMENT, "shop", "order")
SCALER = Ref(*HPA, "shop", "order")


def deployment(replicas: int = 2) -> Json:
    labels = {"app": "order"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "order", "namespace": "shop"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def autoscaler(**changes: Any) -> Json:
    spec = {"minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "order"}}
    return {"metadata": {"name": "order", "namespace": "shop", "uid": "h"}, "spec": {**spec, **changes}}


def test_of_an_autoscaler_bounds_and_aim_count_and_its_status_and_metrics_do_not() -> None:
    before = spec_of(HPA, autoscaler())
    busy = {**autoscaler(metrics=[{"type": "Resource"}]), "status": {"currentReplicas": 7}}
    busy["metadata"] = {**busy["metadata"], "resourceVersion": "77", "annotations": {"a": "b"}}
    assert spec_of(HPA, busy) == before
    aim = {"kind": "Deployment", "name": "cart"}
    for change in ({"minReplicas": 3}, {"maxReplicas": 8}, {"scaleTargetRef": aim}):
        assert spec_of(HPA, autoscaler(**change)) != before


def test_what_has_no_generation_always_counts_as_changed() -> None:
    assert spec_of(("odd.example/v1", "Thing"), {"metadata": {"name": "x"}}) is None


@dataclass
class Stage:
    cluster: EmbeddedCluster
    group: TaskGroup
    watch: WorkloadWatch
    told: list[tuple[Ref, bool]] = field(default_factory=list)

    def know(self) -> None:
        self.watch.know([parse_policy(scaling_policy())], [])


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110  the test's own limit ends it
        await asyncio.sleep(0.005)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    cluster = EmbeddedCluster()
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    loop = asyncio.get_running_loop()
    group = TaskGroup(clock=loop.time, later=loop.call_later, on_restart=lambda name: None)
    async with running(cluster) as url:
        client = await KubeClient.connect(url=url)
        made = Stage(cluster, group, None)  # type: ignore[arg-type]
        made.watch = WorkloadWatch(
            client,
            Discovery(client),
            None,
            group=group,
            on_change=lambda ref, spec: made.told.append((ref, spec)),
            on_watch=lambda name, age: None,
            shelf=Shelf(age=lambda kind, scope: made.watch.age(kind, scope), now=lambda: 0.0),
        )
        yield made
        await group.stop()
        await client.close()


async def test_a_change_of_the_spec_is_told_as_one_and_a_change_of_the_status_is_not(stage: Stage) -> None:
    stage.cluster.create(deployment())
    stage.know()
    await until(lambda: stage.told and stage.told[0] == (ORDER, True))  # seen for the first time
    stage.told.clear()
    stage.cluster.patch("apps/v1", "Deployment", "order", {"spec": {"replicas": 3}}, namespace="shop")
    await until(lambda: (ORDER, True) in stage.told)
    await until(lambda: (ORDER, False) in stage.told)  # its pods start


async def test_a_change_of_the_spec_that_was_not_taken_in_is_told_again_as_one(stage: Stage) -> None:
    stage.cluster.create(deployment())
    stage.know()
    await until(lambda: stage.told)
    failed, tell = list[Ref](), stage.watch._on_change

    def fails_once(ref: Ref, spec: bool) -> None:
        if spec and not failed:
            failed.append(ref)
            raise ValueError(ref)
        tell(ref, spec)

    stage.watch._on_change = fails_once
    stage.told.clear()
    stage.cluster.patch("apps/v1", "Deployment", "order", {"spec": {"replicas": 3}}, namespace="shop")
    await until(lambda: failed)
    stage.watch._informers[DEPLOYMENT, ""].again()
    await until(lambda: (ORDER, True) in stage.told)


async def test_a_kind_that_was_not_served_is_looked_for_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "ASKED_AGAIN", 0.0)
    found, asked = stage.watch._discovery.find, 0

    async def find(api_version: str, kind: str) -> Any:
        nonlocal asked
        asked += 1
        return None if asked <= 2 else await found(api_version, kind)  # the first try of both kinds

    monkeypatch.setattr(stage.watch._discovery, "find", find)
    stage.cluster.create(deployment())
    stage.know()
    await until(lambda: asked == 2)
    assert not stage.told
    stage.know()
    await until(lambda: stage.told)


@pytest.mark.parametrize(("version", "kind"), [("batch/v1", "Job"), ("v1", "Secret"), ("v1", "Node"), ("v1", "Pod")])
async def test_of_a_kind_without_a_level_nothing_is_watched_whoever_names_it(
    stage: Stage, version: str, kind: str
) -> None:
    """Else anybody's policy makes the operator list all of a kind of the whole cluster."""
    named = parse_policy(scaling_policy())
    target = replace(named.targets[0], ref=Ref(version, kind, "shop", "order"))
    stage.watch.know([named, replace(named, targets=(target,))], [])
    await until(lambda: stage.watch._asked.keys() >= {(version, kind), DEPLOYMENT, HPA})
    await until(lambda: max(stage.watch.age(one, "") for one in (DEPLOYMENT, HPA)) < 60.0)
    assert set(stage.watch._informers) == {(DEPLOYMENT, ""), (HPA, "")}


class Inventive:
    """A server's discovery that knows Deployments and HPAs alone, and takes its time."""

    def __init__(self) -> None:
        self.asked: list[Kind] = []
        self.under_way: Counter[str] = Counter()
        self.most = self.most_of_one = 0

    async def find(self, api_version: str, kind: str) -> Resource | None:
        self.asked.append((api_version, kind))
        self.under_way[kind] += 1
        self.most = max(self.most, self.under_way.total())
        self.most_of_one = max(self.most_of_one, *self.under_way.values())
        await asyncio.sleep(0)
        self.under_way[kind] -= 1
        if (api_version, kind) not in (DEPLOYMENT, HPA):
            return None
        return Resource(api_version, kind, f"{kind.lower()}s", namespaced=True, scale=True)


def inventing(namespace: str, versions: int) -> Policy:
    """A policy whose author has invented versions; its kinds bear the name of its namespace."""
    named = parse_policy(scaling_policy())
    refs = [Ref(f"apps/vx{number:04}", namespace, namespace, "x") for number in range(versions)]
    targets = tuple(replace(named.targets[0], ref=ref) for ref in refs)
    return replace(named, key=Key(namespace, "invented"), targets=targets)


async def test_a_thousand_invented_versions_are_looked_for_a_few_at_a_time_and_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    discovery, clock = Inventive(), Clocked()
    monkeypatch.setattr(workloads, "time", clock)
    monkeypatch.setattr(stage.watch, "_discovery", discovery)
    honest, names = parse_policy(scaling_policy()), [f"n{number}" for number in range(6)]
    for _ in range(10):
        before = len(discovery.asked)
        stage.watch.know([*(inventing(name, 1000) for name in names), honest], [])
        await until(lambda: not stage.watch._looking)
        assert len(discovery.asked) - before <= (len(names) + 2) * workloads.EACH
        clock.at += workloads.ASKED_AGAIN + 1.0
    assert discovery.most <= workloads.AT_ONCE
    assert discovery.most_of_one == 1, "of one namespace one at a time"
    assert {kind for kind, _ in stage.watch._informers} == {DEPLOYMENT, HPA}, "whoever names what is served gets it"
    asked = Counter(discovery.asked)
    assert all(asked[f"apps/vx{number:04}", "n0"] == 1 for number in range(10 * workloads.EACH)), "each in its turn"
    stage.watch.know([honest], [])
    assert stage.watch._asked.keys() == {DEPLOYMENT, HPA}
    assert stage.watch._turns.keys() <= {"", "shop"}
    stage.watch.know([], [])
    assert not stage.watch._lines


async def test_what_is_named_again_while_it_is_looked_for_is_watched_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, go = stage.watch._discovery.find, asyncio.Event()

    async def find(api_version: str, kind: str) -> Any:
        await go.wait()
        return await found(api_version, kind)

    monkeypatch.setattr(stage.watch._discovery, "find", find)
    other = parse_policy(scaling_policy())
    ref = ORDER._replace(namespace="other")
    stage.know()
    stage.watch.know([], [])
    stage.watch.know([replace(other, targets=(replace(other.targets[0], ref=ref),))], [])
    go.set()
    await until(lambda: not stage.watch._looking)
    assert set(stage.watch._informers) == {(DEPLOYMENT, ""), (HPA, "")}
    await until(lambda: max(stage.watch.age(one, "") for one in (DEPLOYMENT, HPA)) < 60.0)
