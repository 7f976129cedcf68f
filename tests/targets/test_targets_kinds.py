"""What a kind is, and where it keeps its level: asked of the server, believed for as long as is said, never guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from test_targets_identity import GROUP, crd, version
from test_targets_registry import Hooked, deployment, hpa

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref, Trouble
from tidegate.ports import Place
from tidegate.targets import discovery
from tidegate.targets.discovery import MISS_LIFETIME, Discovery
from tidegate.targets.registry import KubeTargets


@pytest.fixture
def cluster() -> EmbeddedCluster:
    return EmbeddedCluster()


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[Hooked]:
    async with running(cluster) as url:
        made = await Hooked.connect(url=url)
        assert isinstance(made, Hooked)
        yield made
        await made.close()


FLEET = Ref(f"{GROUP}/v1", "Fleet", "default", "main")


async def test_that_a_kind_is_not_there_is_asked_once_in_ten_seconds(
    client: Hooked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = Discovery(client)
    for _ in range(5):
        assert await kinds.find(f"{GROUP}/v1", "Fleet") is None
    assert client.asked.count(f"/apis/{GROUP}/v1") == 1
    later = discovery.time.monotonic() + MISS_LIFETIME + 1.0
    monkeypatch.setattr(discovery.time, "monotonic", lambda: later)
    assert await kinds.find(f"{GROUP}/v1", "Fleet") is None
    assert client.asked.count(f"/apis/{GROUP}/v1") == 2


async def test_a_kind_that_is_installed_later_is_found(
    client: Hooked,
    cluster: EmbeddedCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = Discovery(client)
    assert await kinds.find(f"{GROUP}/v1", "Fleet") is None
    cluster.create(crd(version("v1", storage=True)))
    later = discovery.time.monotonic() + MISS_LIFETIME + 1.0
    monkeypatch.setattr(discovery.time, "monotonic", lambda: later)
    found = await kinds.find(f"{GROUP}/v1", "Fleet")
    assert found is not None
    assert (found.plural, found.scale) == ("fleets", True)


@pytest.mark.parametrize("forbidden", ["nothing", f"fleets.{GROUP}"])
async def test_where_a_kind_keeps_its_level_is_asked_and_never_guessed(
    client: Hooked,
    cluster: EmbeddedCluster,
    forbidden: str,
) -> None:
    """Its definition says so; where that may not be read, the scale subresource tells the level."""
    made = version("v1", storage=True)
    made["subresources"]["scale"]["specReplicasPath"] = ".spec.workers"
    cluster.create(crd(made))
    metadata = {"name": "main", "namespace": "default"}
    spec: dict[str, Any] = {"workers": 3, "replicas": 77}
    cluster.create({"apiVersion": f"{GROUP}/v1", "kind": "Fleet", "metadata": metadata, "spec": spec})
    client.forbidden = forbidden
    targets = KubeTargets(client)
    sight = await targets.see(FLEET)
    assert sight.observed.level == 3
    assert sight.place is not None
    await targets.swap(sight.place, believed=3, wanted=5)
    assert (await targets.see(FLEET)).observed.level == 5


async def test_the_switch_of_a_job_is_written_as_yes_or_no(client: Hooked, cluster: EmbeddedCluster) -> None:
    """A real API server refuses a number there."""
    pods = {"spec": {"containers": [{"name": "c", "image": "c"}], "restartPolicy": "Never"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly", "namespace": "default"}}
    made = cluster.create({**job, "spec": {"suspend": False, "template": pods}})
    place = Place(Ref("batch/v1", "Job", "default", "nightly"), made["metadata"]["uid"], "/spec/suspend", "")
    targets = KubeTargets(client)
    await targets.swap(place, believed=1, wanted=0)
    assert (await client.get("/apis/batch/v1/namespaces/default/jobs/nightly"))["spec"]["suspend"] is True
    assert (await targets.held(place)).value == 0
    await targets.swap(place, believed=0, wanted=1)
    assert (await client.get("/apis/batch/v1/namespaces/default/jobs/nightly"))["spec"]["suspend"] is False


@pytest.mark.parametrize("behind_an_hpa", [False, True])
async def test_a_replicaset_that_a_deployment_controls_is_left_to_it(
    client: Hooked, cluster: EmbeddedCluster, behind_an_hpa: bool
) -> None:
    labels = {"app": "web"}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d-1", "controller": True}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    metadata: dict[str, Any] = {"name": "web-1", "namespace": "default"}
    kind = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": spec}
    cluster.create({**kind, "metadata": metadata | {"ownerReferences": [owner]}})
    cluster.create({**kind, "metadata": metadata | {"name": "alone"}})
    if behind_an_hpa:
        scales = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1"}
        bounds = {"minReplicas": 2, "maxReplicas": 50, "scaleTargetRef": scales}
        hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": bounds}
        cluster.create({**hpa, "metadata": {"name": "web", "namespace": "default"}})
    targets = KubeTargets(client)
    sight = await targets.see(Ref("apps/v1", "ReplicaSet", "default", "web-1"))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.FOREIGN_OWNER)
    assert "Deployment" in sight.observed.note
    assert (await targets.see(Ref("apps/v1", "ReplicaSet", "default", "alone"))).observed.level == 2


async def test_a_job_of_a_queue_is_left_to_kueue_by_name(client: Hooked, cluster: EmbeddedCluster) -> None:
    pods = {"spec": {"containers": [{"name": "c", "image": "c"}], "restartPolicy": "Never"}}
    metadata = {"name": "queued", "namespace": "default", "labels": {"kueue.x-k8s.io/queue-name": "night"}}
    cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": pods}})
    sight = await KubeTargets(client).see(Ref("batch/v1", "Job", "default", "queued"))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.FOREIGN_OWNER)
    assert "Kueue (queue night)" in sight.observed.note


@pytest.mark.parametrize(("replicas", "want"), [(0, Trouble.SCALING_DISABLED), (1, None)])
async def test_a_workload_at_zero_has_switched_its_hpa_off(
    client: Hooked, cluster: EmbeddedCluster, replicas: int, want: Trouble | None
) -> None:
    made = deployment()
    made["spec"]["replicas"] = replicas
    cluster.create(made)
    cluster.create(hpa())
    sight = await KubeTargets(client).see(Ref("apps/v1", "Deployment", "default", "web"))
    assert (sight.observed.trouble, sight.place is None) == (want, want is not None)
