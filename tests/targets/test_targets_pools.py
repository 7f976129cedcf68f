"""Members of a pool that are scaled: what is seen of them on a real API over HTTP, and when they lend nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.facts import Holder, Occupancy
from tidegate.planning.shift.model import CannotStop, Lane, MemberKind, MemberRef, Pool
from tidegate.ports import Json, Manager, PoolSight
from tidegate.targets.client import KubeClient, Params
from tidegate.targets.errors import ForbiddenError
from tidegate.targets.jobs import member_of
from tidegate.targets.podindex import AT_ONCE, PodIndex
from tidegate.targets.pools import PAGE, KubePools
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


# ---- what pods are, and where


def pod(name: str, owner: Json, *, node: str = "", cpu: str = "2", **status: object) -> Json:
    container = {"name": "c", "image": "load:1", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    metadata = {"name": name, "namespace": "default", "uid": name, **owner}
    spec: Json = {"containers": [container]} | ({"nodeName": node} if node else {})
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running" if node else "Pending", **status}}


def of_loader(digest: str = "abc") -> Json:
    reference = {"kind": "ReplicaSet", "name": f"loader-{digest}", "controller": True}
    return {"ownerReferences": [reference], "labels": {"pod-template-hash": digest}}


NODES = {"n1": Resources(32_000, 65_536), "n2": Resources(32_000, 65_536)}
LOADER = Holder("default", "Deployment", "loader")


async def counted(*pods: Json) -> Occupancy:
    index = PodIndex()
    for one in pods:
        index.put(one)
    return (await index.occupancy(NODES, total(NODES.values()), {"default"}))[LOADER]


async def test_pods_are_counted_by_where_they_stand_and_what_they_were_admitted_with() -> None:
    mine = of_loader()
    seen = await counted(
        pod("a", mine, node="n1"),
        pod("b", mine, node="n2", cpu="3100m"),
        pod("c", mine, node="elsewhere"),
        pod("d", mine),
        pod("e", mine, node="n1") | {"status": {"phase": "Succeeded"}},
    )
    assert (seen.used, seen.pods) == (Resources(5100, 2048), 2)
    assert seen.largest == Resources(3100, 1024)
    assert (seen.elsewhere, seen.waiting) == (1, 1)


async def test_what_stands_on_a_machine_that_is_lost_does_not_run_and_waits_for_another() -> None:
    index = PodIndex()
    for name, node in (("a", "n1"), ("b", "lost"), ("c", "cordoned")):
        index.put(pod(name, of_loader(), node=node))
    seen = (await index.occupancy(NODES, total(NODES.values()), {"default"}, {"lost"}))[LOADER]
    assert (seen.pods, seen.elsewhere, seen.waiting) == (1, 1, 1)


@pytest.mark.parametrize(
    ("spec", "ready", "there"),
    [({}, "True", (True, False)), ({"unschedulable": True}, "True", (False, False)), ({}, "Unknown", (False, True))],
)
async def test_a_machine_is_there_cordoned_or_lost(spec: Json, ready: str, there: tuple[bool, bool]) -> None:
    node = {
        "metadata": {"name": "n1"},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"cpu": "8", "memory": "8Gi"}},
    }

    class Nodes:
        async def pages(self, path: str, size: int, params: object = None) -> AsyncIterator[Json]:
            yield {"items": [node]}

    made = KubePools(Nodes(), None, now=lambda: NOW)  # type: ignore[arg-type]
    found, lost = await made._nodes(pool_of())
    assert ("n1" in found, "n1" in lost) == there


@pytest.mark.parametrize("nodes", [NODES, {"elsewhere": Resources(1, 1)}], ids=["on one node", "in one namespace"])
async def test_while_ten_thousand_pods_are_counted_others_get_their_turn(nodes: dict[str, Resources]) -> None:
    """Also where one namespace, or one machine that stands for many, has them all; and some may go meanwhile."""
    index, turns = PodIndex(), 0
    for number in range(5 * AT_ONCE):
        index.put(pod(f"p{number}", of_loader(), node="n1"))

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            index.drop(f"p{turns}")
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    seen = (await index.occupancy(nodes, Resources(1, 1), {"default"}))[LOADER]
    task.cancel()
    assert turns >= 5
    assert seen.pods + seen.elsewhere > 4.9 * AT_ONCE


async def test_while_thousands_of_jobs_are_read_others_get_their_turn() -> None:
    member = MemberRef("nightly", "batch/v1", "Job", "default", labels=(("work", "nightly"),))
    pool, turns = Pool("p", (Lane("data", members=(member,)),), given=Resources(1, 1)), 0
    template = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}}

    class Many:
        async def pages(self, path: str, size: int, params: object = None) -> AsyncIterator[Json]:
            spec = {"parallelism": 1, "suspend": False, "template": template}
            for page in range(8 if path.endswith("/jobs") else 0):
                names = (f"j{page * size + n}" for n in range(size))
                yield {
                    "items": [{"metadata": {"name": n, "namespace": "default", "uid": n}, "spec": spec} for n in names]
                }

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    seen = await KubePools(Many(), None, now=lambda: NOW).see(pool)  # type: ignore[arg-type]
    task.cancel()
    assert len(seen.seen.members) == 8 * PAGE
    assert turns >= 8


async def test_a_pod_that_moved_or_went_is_counted_where_it_is_now() -> None:
    index = PodIndex()
    index.put(pod("a", of_loader()))
    index.put(pod("a", of_loader(), node="n1"))
    seen = (await index.occupancy(NODES, total(NODES.values()), {"default"}))[LOADER]
    assert (seen.pods, seen.waiting) == (1, 0)
    index.drop("a")
    assert await index.occupancy(NODES, total(NODES.values()), {"default"}) == {}
    assert len(index) == 0


async def test_a_resize_in_place_counts_until_it_is_done_and_not_where_it_never_can_be() -> None:
    held = [{"name": "c", "allocatedResources": {"cpu": "4", "memory": "1Gi"}}]
    shrinks = pod("a", of_loader(), node="n1", containerStatuses=held)
    assert (await counted(shrinks)).used == Resources(4000, 1024), "what the kubelet has not let go of"
    small = [{"name": "c", "allocatedResources": {"cpu": "1", "memory": "1Gi"}}]
    grows = pod("a", of_loader(), node="n1", containerStatuses=small)
    assert (await counted(grows)).used == Resources(2000, 1024)
    never = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    hopeless = pod("a", of_loader(), node="n1", containerStatuses=small, conditions=never)
    assert (await counted(hopeless)).used == Resources(1000, 1024)


# ---- who cannot be stopped, by name


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        (
            {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "night"}}},
            Reason.MANAGED_ELSEWHERE,
            "Kueue (queue night)",
        ),
        ({"spec": {"managedBy": "example.com/fleet"}}, Reason.MANAGED_ELSEWHERE, "example.com/fleet"),
        (
            {"metadata": {"ownerReferences": [{"kind": "JobSet", "name": "etl", "controller": True}]}},
            Reason.MANAGED_ELSEWHERE,
            "JobSet/etl",
        ),
        ({"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}, Reason.NO_REQUESTS, "not known"),
    ],
)
def test_a_job_that_is_anothers_to_stop_is_named_with_its_reason(change: Json, reason: Reason, named: str) -> None:
    containers = [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]
    job: Json = {
        "metadata": {"namespace": "default", "name": "etl", "uid": "u"} | change.get("metadata", {}),
        "spec": {"template": {"spec": {"containers": containers}}} | change.get("spec", {}),
    }
    found = member_of(job, lane="data", member="nightly", now=NOW)
    assert isinstance(found, CannotStop)
    assert (found.ref, found.lane, found.reason) == (Ref("batch/v1", "Job", "default", "etl"), "data", reason)
    assert named in found.message


def test_a_cronjob_only_makes_its_jobs_and_its_name_is_known() -> None:
    containers = [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]
    owner = {"kind": "CronJob", "name": "nightly", "controller": True}
    job: Json = {
        "metadata": {"namespace": "default", "name": "etl-1", "uid": "u", "ownerReferences": [owner]},
        "spec": {"template": {"spec": {"containers": containers}}},
    }
    found = member_of(job, lane="data", member="nightly", now=NOW)
    assert not isinstance(found, CannotStop)
    assert found[0].maker == "nightly"


async def test_scaled_work_that_lends_nothing_is_named_with_its_reason(
    client: Guarded, cluster: EmbeddedCluster
) -> None:
    cluster.apply(loader(cpu=None), manager="helm")
    (bare,) = (await seen(client)).seen.cannot
    assert bare.reason is Reason.NO_REQUESTS
    cluster.apply(loader(), manager="helm")
    cluster.apply(hpa(), manager="helm")
    (scaled,) = (await seen(client)).seen.cannot
    assert scaled.reason is Reason.OWNED_BY_OTHER_SCALER
    assert "HorizontalPodAutoscaler" in scaled.message


REFUSED = {
    'pods "loader-1" is forbidden: exceeded quota: small, requested: requests.cpu=2, used: requests.cpu=0, limited: '
    "requests.cpu=1": (Reason.QUOTA_EXCEEDED, "ResourceQuota/small has no requests.cpu left for another pod"),
    'admission webhook "images.example.com" denied the request: no digest': (Reason.PODS_REFUSED, "no digest"),
}


@pytest.mark.parametrize("says", REFUSED)
async def test_scaled_work_whose_pods_are_refused_tells_what_its_controller_says(
    client: Guarded, cluster: EmbeddedCluster, says: str
) -> None:
    cluster.apply(loader(), manager="helm")
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": says}
    status = {"status": {"conditions": [failure]}}
    cluster.patch("apps/v1", "Deployment", "loader", status, namespace="default", subresource="status")
    (member,) = (await seen(client)).seen.members
    assert member.refused is not None
    reason, words = REFUSED[says]
    assert member.refused.reason is reason
    assert words in member.refused.message


async def test_scaled_work_without_pods_is_settled_after_a_minute_in_which_none_came(
    client: Guarded, cluster: EmbeddedCluster
) -> None:
    cluster.apply(loader(), manager="helm")
    now = [NOW]
    pools = KubePools(client, KubeTargets(client), now=lambda: now[0])

    async def settled() -> bool:
        (member,) = (await pools.see(pool_of())).seen.members
        return member.settled

    assert not await settled()
    now[0] += 61.0
    assert await settled()
    cluster.scale("apps/v1", "Deployment", "loader", 0)
    assert not await settled(), "it asks for none"
    cluster.scale("apps/v1", "Deployment", "loader", 3)
    assert not await settled(), "its time counts anew"
