"""One watch of pods for all pools: what it shows is what a list would show, and it says how far behind it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder
from tidegate.planning.shift.model import Lane, MemberRef, Pool
from tidegate.shell import podwatch
from tidegate.shell.podwatch import PodWatch
from tidegate.shell.tasks import TaskGroup
from tidegate.targets.client import Form, KubeClient, Params
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

Json = dict[str, Any]
NOW = 1_794_240_000.0
MACHINES = Resources(64_000, 65_536)
MEMBER = MemberRef("nightly", "batch/v1", "Job", "shop", labels=(("work", "nightly"),))
POOL = Pool("p", (Lane("data", members=(MEMBER,)),), given=MACHINES)


def pod(name: str, node: str = "n1") -> Json:
    container = {"name": "c", "image": "a:1", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}
    spec = {"containers": [container]} | ({"nodeName": node} if node else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": name}, "spec": spec}


class Counting(KubeClient):
    """Counts lists of pods."""

    lists = 0

    def pages(self, path: str, *, size: int = 250, params: Params | None = None) -> Any:
        if path.endswith("/pods"):
            self.lists += 1
        return super().pages(path, size=size, params=params)


class Stage:
    def __init__(self, cluster: EmbeddedCluster, client: Counting, watch: PodWatch) -> None:
        self.cluster, self.client, self.watch = cluster, client, watch
        self.pools = KubePools(client, KubeTargets(client), now=lambda: NOW, watched=watch.watched)

    async def there(self) -> int | None:
        """Pods that a look counts."""
        seen = (await self.pools.see(POOL)).seen
        return sum(one.pods or 0 for one in seen.occupancy.values())


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
        client = await Counting.connect(url=url)
        assert isinstance(client, Counting)
        yield Stage(cluster, client, PodWatch(client, group=group, on_watch=lambda name, age: None))
        await group.stop()
        await client.close()


async def test_without_a_pool_no_pod_is_watched(stage: Stage) -> None:
    stage.watch.know(pools=False)
    assert stage.watch.watched() is None
    assert await stage.there() == 0
    assert stage.client.lists == 1, "a look lists them itself"


async def test_pods_are_listed_once_for_all_looks_and_followed_from_there(stage: Stage) -> None:
    stage.cluster.create(pod("a"))
    stage.watch.know(pools=True)
    await until(stage.watch.watched)
    assert [await stage.there() for _ in range(20)] == [1] * 20
    stage.cluster.create(pod("b"))
    stage.cluster.create(pod("waits", node=""))
    await until(lambda: len(stage.watch._index) == 3)
    assert await stage.there() == 2
    stage.cluster.delete("v1", "Pod", "a", namespace="shop")
    await until(lambda: len(stage.watch._index) == 2)
    assert await stage.there() == 1
    assert stage.client.lists == 1


async def test_a_pod_that_has_ended_counts_no_more(stage: Stage) -> None:
    stage.cluster.create(pod("a"))
    stage.watch.know(pools=True)
    await until(stage.watch.watched)
    await stage.client.patch("/api/v1/namespaces/shop/pods/a/status", {"status": {"phase": "Succeeded"}}, Form.MERGE)
    await until(lambda: len(stage.watch._index) == 0)
    assert await stage.there() == 0


async def test_what_a_look_shows_is_as_old_as_the_watch_may_be_behind(stage: Stage) -> None:
    stage.watch.know(pools=True)
    await until(stage.watch.watched)
    at = (await stage.pools.see(POOL)).pods_at
    assert at is not None
    assert NOW - 2.0 < at <= NOW - podwatch.BEHIND


async def test_of_a_watch_that_has_fallen_silent_nothing_is_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.cluster.create(pod("a"))
    stage.watch.know(pools=True)
    await until(stage.watch.watched)
    assert stage.watch._informer is not None
    monkeypatch.setattr(stage.watch._informer, "age_seconds", lambda: podwatch.FRESH + 1.0)
    assert stage.watch.watched() is None
    lists = stage.client.lists
    assert await stage.there() == 1
    assert stage.client.lists == lists + 1, "it is asked for"


async def test_a_silent_watch_is_begun_anew_for_a_sign_of_life(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podwatch, "PROVED_AFTER", 0.05)
    stage.watch.know(pools=True)
    await until(stage.watch.watched)
    for _ in range(10):
        await asyncio.sleep(0.1)
        shown = stage.watch.watched()
        assert shown is not None
    assert shown.age < podwatch.BEHIND + 0.5
    assert stage.client.lists == 1, "where it left off: nothing is listed again"
    holder = Holder("shop", "Pod", "late")
    stage.cluster.create(pod("late"))
    await until(lambda: len(stage.watch._index) == 1)
    assert (await stage.pools.see(POOL)).seen.occupancy[holder].pods == 1
