"""What watches show of a target is what the server would say, and where they cannot tell the server is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from builders_embedded import HandClock

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref
from tidegate.ports import Json, Sight
from tidegate.shell.informer import Informer
from tidegate.targets.client import KubeClient, Params
from tidegate.targets.registry import KubeTargets
from tidegate.targets.shelf import FRESH, HPA, Kind, Shelf

DEPLOYMENT, STATEFUL_SET = ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")
PLURALS = {DEPLOYMENT: "deployments", STATEFUL_SET: "statefulsets", HPA: "horizontalpodautoscalers"}
NOW = 1_794_240_000.0


class Counting(KubeClient):
    """A client that knows what it was asked for."""

    asked: list[str]

    async def get(self, path: str, params: Params | None = None) -> Json:
        self.asked = [*getattr(self, "asked", []), path]
        return await super().get(path, params)


def workload(name: str, kind: Kind = DEPLOYMENT, *, replicas: int = 2, owner: Json | None = None) -> Json:
    labels = {"app": name}
    requests = {"requests": {"cpu": "500m", "memory": "1Gi"}}
    containers = [{"name": "c", "image": "web:1", "resources": requests}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": "default", **({"ownerReferences": [owner]} if owner else {})}
    return {"apiVersion": kind[0], "kind": kind[1], "metadata": metadata, "spec": spec}


def hpa(name: str, points_to: str, *, minimum: int = 3, kind: str = "Deployment", owner: Json | None = None) -> Json:
    scales = {"apiVersion": "apps/v1", "kind": kind, "name": points_to}
    spec = {"minReplicas": minimum, "maxReplicas": 50, "scaleTargetRef": scales}
    metadata = {"name": name, "namespace": "default", **({"ownerReferences": [owner]} if owner else {})}
    return {"apiVersion": HPA[0], "kind": HPA[1], "metadata": metadata, "spec": spec}


KEDA: Json = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "x", "uid": "1", "controller": True}
OBJECTS = [
    workload("alone"),
    workload("floored"),
    hpa("floored", "floored"),
    workload("twice"),
    hpa("one", "twice"),
    hpa("two", "twice"),
    workload("foreign"),
    hpa("foreign", "foreign", owner=KEDA),
    workload("owned", owner={**KEDA, "apiVersion": "games.example/v1", "kind": "Fleet"}),
    workload("zero", replicas=0),
    hpa("zero", "zero"),
    workload("data", STATEFUL_SET, replicas=5),
    workload("floored-data", STATEFUL_SET),
    hpa("data", "floored-data", kind="StatefulSet", minimum=7),
]
REFS = [
    Ref(one["apiVersion"], one["kind"], "default", one["metadata"]["name"]) for one in OBJECTS if one["kind"] != HPA[1]
]
ALONE = REFS[0]


@pytest.fixture
def cluster() -> EmbeddedCluster:
    """Its controllers stand still: nothing changes between a list and the look that is compared with it."""
    made = EmbeddedCluster(clock=HandClock())
    for document in OBJECTS:
        made.apply(document, manager="helm")
    return made


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[Counting]:
    async with running(cluster) as url:
        made = await Counting.connect(url=url)
        assert isinstance(made, Counting)
        yield made
        await made.close()


class Fed:
    """A shelf that is fed by lists; the age of its watches is told by the test."""

    def __init__(self) -> None:
        self.ages: dict[Kind, float] = {}
        self.shelf = Shelf(age=lambda kind, _: self.ages.get(kind, 1.0), now=lambda: NOW)

    async def fill(self, client: KubeClient, *, scope: str = "", but: Kind | None = None) -> None:
        for kind, plural in PLURALS.items():
            namespaced = f"namespaces/{scope}/{plural}" if scope else plural
            for document in await client.items(f"/apis/{kind[0]}/{namespaced}"):
                self.shelf.seen(kind, "ADDED", document)
            if kind != but:
                self.shelf.synced(kind, scope)


def unwatched(sight: Sight | None) -> Sight:
    assert sight is not None
    assert sight.watched_at is not None
    return replace(sight, watched_at=None)


async def test_a_look_at_the_shelf_tells_what_the_server_would(client: Counting) -> None:
    fed = Fed()
    await fed.fill(client)
    plain, shelved = KubeTargets(client), KubeTargets(client, shelf=fed.shelf)
    for ref in REFS:
        want = await plain.see(ref)
        client.asked = []
        assert unwatched(await shelved.see(ref)) == want, ref
        assert client.asked == [], "without a request"


async def test_a_sight_bears_the_last_sign_of_life_of_the_older_watch(client: Counting) -> None:
    fed = Fed()
    await fed.fill(client)
    fed.ages = {DEPLOYMENT: 2.0, HPA: 5.0}
    assert (await KubeTargets(client, shelf=fed.shelf).see(ALONE)).watched_at == NOW - 5.0


@pytest.mark.parametrize("kind", [DEPLOYMENT, HPA])
@pytest.mark.parametrize("how", ["silent", "not complete"])
async def test_a_watch_that_cannot_tell_leaves_it_to_the_server(client: Counting, kind: Kind, how: str) -> None:
    """Without the watch of HPAs nobody knows whether one stands in front."""
    fed = Fed()
    await fed.fill(client, but=kind if how == "not complete" else None)
    if how == "silent":
        fed.ages[kind] = FRESH + 1.0
    sight = await KubeTargets(client, shelf=fed.shelf).see(ALONE)
    assert sight.watched_at is None
    assert sight.observed.level == 2


async def test_a_watch_of_one_namespace_tells_nothing_of_another(client: Counting, cluster: EmbeddedCluster) -> None:
    fed = Fed()
    await fed.fill(client, scope="default")
    other = workload("alone")
    other["metadata"]["namespace"] = "other"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    cluster.create(other)
    fed.shelf.seen(DEPLOYMENT, "ADDED", other)
    targets = KubeTargets(client, shelf=fed.shelf)
    assert (await targets.see(ALONE)).watched_at is not None
    assert (await targets.see(ALONE._replace(namespace="other"))).watched_at is None


async def test_what_the_shelf_does_not_know_is_asked_for(client: Counting, cluster: EmbeddedCluster) -> None:
    """A watch may be behind: only the server says that an object is not there."""
    fed = Fed()
    await fed.fill(client)
    cluster.create(workload("new"))
    sight = await KubeTargets(client, shelf=fed.shelf).see(ALONE._replace(name="new"))
    assert (sight.watched_at, sight.observed.level) == (None, 2)


async def test_an_examination_asks_the_server(client: Counting) -> None:
    fed = Fed()
    await fed.fill(client)
    assert (await KubeTargets(client, shelf=fed.shelf).examine(ALONE)).watched_at is None


async def test_an_hpa_that_comes_turns_elsewhere_or_goes_is_seen_to(client: Counting, cluster: EmbeddedCluster) -> None:
    """And each time the shelf tells what the server would."""
    fed = Fed()
    await fed.fill(client)
    plain = KubeTargets(client, lifetime=0.0)

    async def told(what: str, document: Json) -> list[int | None]:
        fed.shelf.seen(HPA, what, document)
        both = [ref for ref in REFS if ref.name in ("alone", "floored")]
        for ref in both:
            assert unwatched(fed.shelf.sight(ref)) == await plain.see(ref), (what, ref)
        return [unwatched(fed.shelf.sight(ref)).observed.level for ref in both]

    made = cluster.create(hpa("late", "alone", minimum=9))
    assert await told("ADDED", made) == [9, 3]
    cluster.delete(*HPA, "floored")
    assert await told("DELETED", {"metadata": {"name": "floored", "namespace": "default"}}) == [9, 2]
    scales = {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "floored"}}}
    assert await told("MODIFIED", cluster.patch(*HPA, "late", scales)) == [2, 9]
    fed.shelf.seen(HPA, "MODIFIED", {"metadata": {"name": "late", "namespace": "default"}, "spec": None})
    assert unwatched(fed.shelf.sight(REFS[1])).observed.level == 2, "one that scales nothing any more"


async def test_of_a_sight_and_a_read_back_the_version_tells_which_is_newer(client: Counting) -> None:
    fed = Fed()
    await fed.fill(client)
    targets = KubeTargets(client, shelf=fed.shelf)
    before = await targets.see(ALONE)
    assert before.place is not None
    await targets.swap(before.place, believed=2, wanted=8)
    behind, back = await targets.see(ALONE), await targets.held(before.place)
    assert behind.held is not None
    assert (behind.held.value, back.value) == (2, 8), "the watch has not told yet"
    assert behind.held.version < back.version


async def test_informers_fill_it(client: Counting, cluster: EmbeddedCluster) -> None:
    informers: dict[Kind, Informer] = {}
    shelf = Shelf(age=lambda kind, _: informers[kind].age_seconds(), now=lambda: NOW)
    synced = asyncio.Event()

    def complete(kind: Kind) -> None:
        shelf.synced(kind, "")
        if all(informer.synced for informer in informers.values()):
            synced.set()

    moved = asyncio.Event()

    def tell(kind: Kind, what: str, document: Json) -> None:
        shelf.seen(kind, what, document)
        if what == "MODIFIED" and document["spec"].get("minReplicas") == 11:
            moved.set()

    async with AsyncExitStack() as stack:
        for kind, plural in PLURALS.items():
            informers[kind] = Informer(
                client,
                f"/apis/{kind[0]}/{plural}",
                on_object=lambda what, document, kind=kind: tell(kind, what, document),  # type: ignore[misc]
                on_sync=lambda kind=kind: complete(kind),  # type: ignore[misc]
            )
            informers[kind].start()
            stack.push_async_callback(informers[kind].stop)
        await asyncio.wait_for(synced.wait(), 30)
        cluster.patch(*HPA, "floored", {"spec": {"minReplicas": 11}})
        await asyncio.wait_for(moved.wait(), 30)
        plain = KubeTargets(client)
        for ref in REFS:
            assert unwatched(shelf.sight(ref)) == await plain.see(ref)
