"""One object is one place, by whichever of its served versions a policy names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref
from tidegate.ports import Json, UnavailableError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import versions_of
from tidegate.targets.loans import loan_key
from tidegate.targets.registry import KubeTargets

GROUP = "games.example"


def version(name: str, *, storage: bool, scale: bool = True) -> Json:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    made: Json = {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}}
    if scale:
        paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        made["subresources"] = {"status": {}, "scale": paths}
    return made


def crd(*versions: Json) -> Json:
    names = {"plural": "fleets", "singular": "fleet", "kind": "Fleet"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"fleets.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": list(versions)},
    }


@pytest.fixture
async def cluster() -> EmbeddedCluster:
    return EmbeddedCluster()


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[KubeClient]:
    async with running(cluster) as url:
        made = await KubeClient.connect(url=url)
        yield made
        await made.close()


def fleet(cluster: EmbeddedCluster, name: str) -> None:
    metadata = {"name": name, "namespace": "default"}
    cluster.create({"apiVersion": f"{GROUP}/v1", "kind": "Fleet", "metadata": metadata, "spec": {"replicas": 3}})


def ref(version_name: str, name: str = "main") -> Ref:
    return Ref(f"{GROUP}/{version_name}", "Fleet", "default", name)


async def test_two_served_versions_of_one_object_are_one_place_and_one_loan(
    client: KubeClient, cluster: EmbeddedCluster
) -> None:
    cluster.create(crd(version("v1beta1", storage=True), version("v1", storage=False)))
    fleet(cluster, "main")
    targets = KubeTargets(client)
    one, two = [await targets.see(ref(name)) for name in ("v1", "v1beta1")]
    assert one.place is not None
    assert two.place is not None
    assert one.place.id == two.place.id
    assert one.place.ref.identity == ref("v1").identity
    await targets.swap(one.place, believed=3, wanted=9)
    assert (await targets.held(two.place)).value == 9
    # An older version finds the Loan by the version that the policy names.
    assert {loan_key(one.place), loan_key(two.place)} == {
        loan_key(replace(one.place, ref=ref(name))) for name in ("v1", "v1beta1")
    }


async def test_a_version_that_cannot_be_scaled_is_no_matter_where_another_is_named(
    client: KubeClient, cluster: EmbeddedCluster
) -> None:
    cluster.create(crd(version("v1", storage=True, scale=False), version("v1beta1", storage=False)))
    fleet(cluster, "main")
    sight = await KubeTargets(client).see(ref("v1beta1"))
    assert sight.place is not None
    assert sight.place.ref.api_version == f"{GROUP}/v1beta1"


@pytest.mark.parametrize("spelled", ["v1", "v1beta1", "v9"])
async def test_an_hpa_is_found_whichever_version_it_names_its_workload_by(
    client: KubeClient, cluster: EmbeddedCluster, spelled: str
) -> None:
    cluster.create(crd(version("v1", storage=True), version("v1beta1", storage=False)))
    fleet(cluster, "main")
    scales = {"apiVersion": f"{GROUP}/{spelled}", "kind": "Fleet", "name": "main"}
    spec = {"minReplicas": 2, "maxReplicas": 50, "scaleTargetRef": scales}
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "main"},
        "spec": spec,
    }
    cluster.create(hpa)
    for name in ("v1", "v1beta1"):
        sight = await KubeTargets(client).see(ref(name))
        assert sight.place is not None
        assert sight.place.field == "/spec/minReplicas"


async def test_a_version_that_is_served_no_more_is_no_deletion(client: KubeClient, cluster: EmbeddedCluster) -> None:
    """A loan of an object that was read in that version holds the only original."""
    beta, stable = version("v1beta1", storage=False), version("v1", storage=True)
    cluster.create(crd(beta, stable))
    fleet(cluster, "main")
    targets = KubeTargets(client)
    sight = await targets.see(ref("v1beta1"))
    assert sight.place is not None
    assert (await targets.held(sight.place)).value == 3
    read_as = sight.place.ref.api_version.rpartition("/")[2]
    for one in (beta, stable):
        one["served"] = one["name"] != read_as
    cluster.patch(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", f"fleets.{GROUP}", {"spec": {"versions": [beta, stable]}}
    )
    with pytest.raises(UnavailableError, match="not served any more"):
        await targets.held(sight.place)
    assert (await targets.held(sight.place)).value == 3, "it is found in the version that is left"
    await targets.swap(sight.place, believed=3, wanted=5)
    with pytest.raises(UnavailableError, match="not served any more"):
        await targets.see(ref("v1beta1"))
    assert (await targets.see(ref("v1beta1"))).observed.level == 5


def test_the_preferred_version_comes_first_and_nonsense_is_none() -> None:
    served = [{"groupVersion": f"{GROUP}/v1beta1"}, {"groupVersion": f"{GROUP}/v1"}, {"groupVersion": 3}, "v2"]
    group = {"versions": served, "preferredVersion": {"groupVersion": f"{GROUP}/v1"}}
    assert versions_of(group) == (f"{GROUP}/v1", f"{GROUP}/v1beta1")
