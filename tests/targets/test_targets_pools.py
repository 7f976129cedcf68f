"""Members of a pool that are scaled: what is seen of them on a real API over HTTP, and when they lend nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Lane, MemberKind, MemberRef, Pool
from tidegate.ports import Json, Manager, PoolSight
from tidegate.targets.client import KubeClient, Params
from tidegate.targets.errors import ForbiddenError
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

NOW = 1_794_240_000.0


class Guarded(KubeClient):
    """A client that may not read everything."""

    forbidden: str = "nothing"

    async def get(self, path: str, params: Params | None = None) -> Json:
        if path.endswith(self.forbidden):
            raise ForbiddenError(f"GET {path}: may not")
        return await super().get(path, params)


def loader(name: str = "loader", *, cpu: str | None = "2") -> Json:
    labels = {"app": name}
    container: Json = {"name": "c", "image": "load:1"}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu, "memory": "1Gi"}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def hpa(points_to: str = "loader") -> Json:
    scales = {"apiVersion": "apps/v1", "kind": "Deployment", "name": points_to}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": points_to, "namespace": "default"},
        "spec": {"minReplicas": 2, "maxReplicas": 50, "scaleTargetRef": scales},
    }


def pool_of(name: str = "loader") -> Pool:
    member = MemberRef("loaders", "apps/v1", "Deployment", "default", object_name=name)
    return Pool("p", (Lane("data", members=(member,)),), node_selector=(("pool", "a"),))


@pytest.fixture
def cluster() -> EmbeddedCluster:
    return EmbeddedCluster()


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[Guarded]:
    async with running(cluster) as url:
        made = await Guarded.connect(url=url)
        assert isinstance(made, Guarded)
        yield made
        await made.close()


async def seen(client: Guarded, pool: Pool | None = None) -> PoolSight:
    return await KubePools(client, KubeTargets(client), now=lambda: NOW).see(pool or pool_of())


async def test_a_scaled_member_is_seen_with_its_level_and_what_one_unit_takes(
    client: Guarded, cluster: EmbeddedCluster
) -> None:
    cluster.apply(loader(), manager="helm")
    sight = await seen(client)
    (member,) = sight.seen.members
    assert (member.kind, member.unit, member.level) == (MemberKind.SCALE, Resources(2000, 1024), 3)
    place, held = sight.places[member.ref]
    assert place.field == "/spec/replicas"
    assert (held.value, held.manager) == (3, Manager("helm", "Apply"))


async def test_a_member_with_an_autoscaler_in_front_lends_nothing(client: Guarded, cluster: EmbeddedCluster) -> None:
    cluster.apply(loader(), manager="helm")
    cluster.apply(hpa(), manager="helm")
    assert (await seen(client)).seen.members == ()


async def test_a_member_with_two_autoscalers_in_front_has_no_place_and_lends_nothing(
    client: Guarded, cluster: EmbeddedCluster
) -> None:
    cluster.apply(loader(), manager="helm")
    cluster.apply(hpa(), manager="helm")
    other = hpa()
    other["metadata"]["name"] = "another"
    cluster.apply(other, manager="helm")
    assert (await seen(client)).seen.members == ()


async def test_a_member_whose_units_take_nothing_that_is_known_lends_nothing(
    client: Guarded, cluster: EmbeddedCluster
) -> None:
    cluster.apply(loader(cpu=None), manager="helm")
    assert (await seen(client)).seen.members == ()


async def test_a_member_that_does_not_exist_lends_nothing(client: Guarded) -> None:
    assert (await seen(client)).seen.members == ()


async def test_a_scaled_member_that_may_not_be_read_any_more_is_there_as_it_was_last_seen(
    client: Guarded, cluster: EmbeddedCluster
) -> None:
    cluster.apply(loader(), manager="helm")
    pools = KubePools(client, KubeTargets(client), now=lambda: NOW)
    (before,) = (await pools.see(pool_of())).seen.members
    client.forbidden = "deployments/loader"
    (after,) = (await pools.see(pool_of())).seen.members
    assert (before.seen, after.seen) == (True, False)
    assert (after.ref, after.unit, after.level) == (before.ref, before.unit, before.level)
