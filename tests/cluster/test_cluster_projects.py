"""Every project by a real Pulumi engine, with its trial settings as they are, on a bare cluster of three small nodes.

The engine, the API server, its scheduler and its controllers are real; the Kubernetes provider is our stand-in
(tests/stacks/standin.py), and no kubelet runs a container. CloudNativePG's operator is not there: pods of the size that
its objects ask for are made in its place, so that the nodes have to carry them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

auto = pytest.importorskip("pulumi.automation", reason="needs the extra [stacks]: make test-cluster-ground")

import yaml  # noqa: E402
from ground_site import CRDS, PROTECTED, Site, objects_of, prepared  # noqa: E402
from harness import eventually, tool  # noqa: E402

from tidegate_stacks import preflight  # noqa: E402
from tidegate_stacks.joined import EXPORTS  # noqa: E402

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
    pytest.mark.skipif(not CRDS, reason="needs CloudNativePG's CRDs beside Kueue's: set TIDEGATE_TEST_CRDS"),
    pytest.mark.skipif(not (tool("pulumi") and tool("helm")), reason="needs the pulumi and helm programs on PATH"),
]

ORDER = [kind.project.removeprefix("tidegate-") for kind in EXPORTS]
CNPG = "apis/postgresql.cnpg.io/v1/namespaces/{ns}"
NODES, CPU, MEMORY = 3, "2", "8Gi"
"""The bare cluster that the trial settings are for."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The projects, and three nodes that bear only what every kubelet says of itself; all others take no pods."""
    with prepared(tmp_path) as made:
        others = [node["metadata"]["name"] for node in made.cluster.send("GET", "api/v1/nodes")["items"]]
        made.cluster.run("kubectl", "cordon", *others)
        for _ in range(NODES):
            made.machine(CPU, MEMORY)
        made.disks(12)
        yield made
        for project in reversed(ORDER):
            made.of(project).stack().destroy(exclude_protected=True)
        made.cluster.run("kubectl", "uncordon", *others)


def laid(site: Site, label: str, projects: list[str] = ORDER) -> dict[str, dict[str, int]]:
    """One ``up`` of every project in order; what it changed."""
    return {project: site.of(project).timed(f"{label} {project}", site.of(project).stack().up) for project in projects}


def pods_of(site: Site) -> list[Any]:
    found = []
    for namespace in (site.namespace, site.system):
        found += site.cluster.send("GET", f"api/v1/namespaces/{namespace}/pods")["items"]
    return found


def homeless(site: Site) -> list[str]:
    """Pods without a node, in words."""
    return [
        f"{pod['metadata']['name']}: {pod['status'].get('conditions', [{}])[0].get('message', 'not looked at yet')}"
        for pod in pods_of(site)
        if "nodeName" not in pod["spec"]
    ]


def stand_in_for_cloudnative_pg(site: Site) -> None:
    """Pods of the database's size and of its poolers'."""
    database = database_of(site)
    pooler = site.cluster.send("GET", f"{CNPG.format(ns=site.namespace)}/poolers/database-pooler")["spec"]
    poolers = [one["resources"] for one in pooler["template"]["spec"]["containers"]]
    asked = [[database["resources"]]] * database["instances"] + [poolers] * pooler["instances"]
    for number, each in enumerate(asked):
        containers = [{"name": f"c{i}", "image": "postgres:17", "resources": one} for i, one in enumerate(each)]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"of-cloudnative-pg-{number}", "namespace": site.namespace},
            "spec": {"containers": containers},
        }
        site.cluster.apply(pod, manager="tests")


def database_of(site: Site) -> Any:
    return site.cluster.send("GET", f"{CNPG.format(ns=site.namespace)}/clusters/database")["spec"]


def identities(site: Site) -> dict[str, str]:
    """UIDs of pods by their names: what a restart would change."""
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods_of(site)}


def test_every_project_stands_on_a_bare_cluster_and_no_up_undoes_or_restarts_anything(site: Site) -> None:
    created = laid(site, "first up")
    assert all(set(changes) == {"create"} for changes in created.values()), created
    stand_in_for_cloudnative_pg(site)
    eventually(lambda: len(pods_of(site)) >= 18 and not homeless(site), 120, f"all pods have a node: {homeless(site)}")
    names = {pod["spec"]["nodeName"] for pod in pods_of(site)}
    assert names == set(site.nodes), "three nodes carry all of it"
    print(f"{len(pods_of(site))} pods on {NODES} nodes of {CPU} cores and {MEMORY}")  # noqa: T201 - the figure

    again = laid(site, "second up")
    assert all(set(changes) == {"same"} for changes in again.values()), again

    site.move_floors()
    held = site.floors()
    third = laid(site, "third up, floors held")
    assert all(set(changes) == {"same"} for changes in third.values()), third
    assert site.floors() == held

    eventually(lambda: not homeless(site), 120, f"what rose has a node too: {homeless(site)}")
    running = identities(site)
    parameters = database_of(site)["postgresql"]
    for project, old, new in (
        ("data", "peak: 12000", "peak: 16000"),
        ("cache", "peak: 600000", "peak: 700000"),
        ("live", "peak_mbps: 8000", "peak_mbps: 10000"),
        ("cdn", "peak_mbps: 9000", "peak_mbps: 12000"),
    ):
        site.of(project).change(old, new)
    raised = laid(site, "up, peaks raised in mid-event")
    assert all(set(changes) <= {"read", "same", "update"} for changes in raised.values()), (
        "nothing is made, or made anew"
    )
    assert raised["events"]["update"] == 1, "the policy knows the new bounds"
    hpa = site.cluster.get("HorizontalPodAutoscaler", site.namespace, "live-relay")
    assert hpa["spec"]["maxReplicas"] == 6
    assert site.floors() == held
    assert running.items() <= identities(site).items(), "no pod was replaced"
    assert database_of(site)["postgresql"] == parameters

    left: set[str] = set()
    for project in reversed(ORDER):
        stack = site.of(project).stack()
        site.timed(f"destroy {project}", lambda stack=stack: stack.destroy(exclude_protected=True))  # type: ignore[misc]
        left |= objects_of(stack)
    assert left == PROTECTED


def test_the_cluster_is_asked_first_and_says_all_that_it_lacks(site: Site) -> None:
    """Nothing of a stack is registered when its settings need what is not there."""
    laid(site, "up", ["platform"])
    cache = site.of("cache")
    cache.change("nodes: {kubernetes.io/os: linux}", "nodes: {pool: nobody}\n    storage_class: nothing")
    with pytest.raises(auto.CommandError) as refused:
        cache.stack().up()
    said = str(refused.value)
    assert "config.cache.nodes: none of 3 nodes bears pool=nobody" in said
    assert "config.cache.storage_class: the cluster has no StorageClass nothing" in said
    assert preflight.PreflightError.__name__ in said
    assert not objects_of(cache.stack())


def test_fifty_sites_stand_after_one_up_and_the_next_one_touches_itself_only(site: Site) -> None:
    laid(site, "up", ["platform", "live"])
    cdn = site.of("cdn")
    path = cdn.folder / "Pulumi.dev.yaml"
    settings = yaml.safe_load(path.read_text())
    section = settings["config"]["tidegate-cdn:cdn"]

    def sites(count: int) -> None:
        each = [{"name": f"s{number:02}", "normal_mbps": 100, "peak_mbps": 1000} for number in range(count)]
        section["sites"] = each
        path.write_text(yaml.safe_dump(settings))

    sites(50)
    fifty = cdn.timed("50 sites", cdn.stack().up)
    assert fifty["create"] > 200
    sites(51)
    one_more = cdn.timed("the 51st site", cdn.stack().up)
    per_site = one_more["create"]
    assert 4 <= per_site <= 8, one_more
    assert set(one_more) == {"create", "same"}, "no other site, and not the shield, is touched"
    assert one_more["same"] == fifty["create"]
