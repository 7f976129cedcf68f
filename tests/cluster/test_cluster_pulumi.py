"""The all-in-one stack by a real Pulumi engine, on a real API server, and an operator that moves floors meanwhile.

The engine is real, and so are the API server, its controllers and Helm. The Kubernetes provider is our stand-in
(tests/stacks/standin.py), said here so that nobody takes this for a test of the real one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

auto = pytest.importorskip("pulumi.automation", reason="needs the extra [stacks]: make test-cluster-ground")

from chart_release import Release  # noqa: E402
from ground_site import CRDS, FLOORS, PROTECTED, Nightly, Site, objects_of, prepared  # noqa: E402
from harness import eventually, tool  # noqa: E402
from shop import APPLIER, event, in_seconds  # noqa: E402

from tidegate_stacks import component  # noqa: E402
from tidegate_stacks.ownership import FIELD_MANAGER  # noqa: E402

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
    pytest.mark.skipif(not CRDS, reason="needs CloudNativePG's CRDs beside Kueue's: set TIDEGATE_TEST_CRDS"),
    pytest.mark.skipif(not (tool("pulumi") and tool("helm")), reason="needs the pulumi and helm programs on PATH"),
]

SLACK = 3940
"""Millicores of the pool that nothing uses before the show."""
CDN = "    host: live.example.com"
"""A line of the section, behind which others are put."""
SHOW = {
    "cache_reads_per_second": 500_000,
    "egress_mbps_cn_east": 8_000,
    "egress_mbps_cn_south": 4_000,
    "orders_per_second": 12_000,
    "relay_mbps": 8_000,
}
"""What an event asks of every target of the stack's policy."""

MOVED = {
    **{f"apis/apps/v1/namespaces/{{ns}}/statefulsets/cache-{shard}/scale": "/spec/replicas" for shard in range(3)},
    "apis/postgresql.cnpg.io/v1/namespaces/{ns}/poolers/database-pooler/scale": "/spec/replicas",
    **{
        f"apis/autoscaling/v2/namespaces/{{ns}}/horizontalpodautoscalers/{name}": "/spec/minReplicas"
        for name in ("cdn-cn-east", "cdn-cn-south", "live-relay")
    },
}
"""Where the levels of those targets stand."""

LENDING = {
    "apis/apps/v1/namespaces/{ns}/deployments/batch-loader/scale": "/spec/replicas",
    "apis/batch/v1/namespaces/{ns}/jobs/nightly-1": "/spec/suspend",
}
"""Where the levels of the pool's members stand."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The stack in a folder of its own, and a server that knows every kind."""
    with prepared(tmp_path) as made:
        yield made


def test_the_ground_stands_and_what_the_operator_holds_is_never_undone(site: Site) -> None:
    site.machine("64")
    stack = site.stack()

    planned = stack.preview().change_summary
    created = site.timed("first up", stack.up)
    assert {str(kind): count for kind, count in planned.items()} == created, "a preview says what will be made"
    assert created["create"] > 40, created
    before = site.floors()

    again = site.timed("second up", stack.up)
    assert set(again) == {"same"}, f"a second up changes nothing: {again}"

    site.move_floors()
    held = site.floors()
    assert {path: value for path, (_, value) in FLOORS.items()} == held
    assert all(held[path] != before[path] for path in held), "each of them was moved"

    third = site.timed("third up, floors held", stack.up)
    assert set(third) == {"same"}, f"the floors are none of Pulumi's business: {third}"
    assert site.floors() == held

    site.change(CDN, f"{CDN}\n    cpu_percent: 55")  # another field of the same HPAs
    site.change("origins: 2", "origins: 2\n    cpu_percent: 50")
    site.change("memory: 1Gi\n", "memory: 2Gi\n")  # of the same Cluster
    site.change("cohort: everywhere", "cohort: elsewhere")  # of the same ClusterQueue
    fourth = site.timed("fourth up, other fields of the same objects changed", stack.up)
    assert fourth["update"] >= 5, fourth
    assert site.floors() == held
    hpa = site.cluster.get("HorizontalPodAutoscaler", site.namespace, "cdn-cn-east")
    assert hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 55

    site.timed("destroy", lambda: stack.destroy(exclude_protected=True))
    assert objects_of(stack) == PROTECTED
    assert not site.exists(f"api/v1/namespaces/{site.system}"), "the operator's namespace holds nothing to protect"
    assert site.exists("api/v1/namespaces/{ns}")
    assert site.exists("apis/postgresql.cnpg.io/v1/namespaces/{ns}/clusters/database")
    assert site.exists("apis/apiextensions.k8s.io/v1/customresourcedefinitions/scalingpolicies.tidegate.dev")
    for path in FLOORS:
        if "clusters/database" not in path:
            gone = path.removesuffix("/scale")
            eventually(lambda where=gone: not site.exists(where), 30, f"{gone} is gone")  # type: ignore[misc]


def test_the_operator_that_the_stack_brings_lifts_all_of_it_and_no_up_takes_it_down(site: Site, tmp_path: Path) -> None:
    """The whole way: Pulumi lays the ground, the operator runs as its Deployment says and with its account."""
    site.machine("200")  # enough for both lanes
    site.change("mode: Observe", "mode: Enforce")
    stack = site.stack()
    site.timed("up, enforcing", stack.up)
    before = site.levels(MOVED)
    operator = Release(site.cluster, site.system, {}, tmp_path)
    operator.start()
    try:
        show = event(site.namespace, "show", t0=in_seconds(5), duration=900, policy="events")
        show["spec"] |= {"expected": SHOW, "profile": "flat"}
        site.cluster.apply(show, manager=APPLIER)

        def lifted() -> bool:
            return all(level > before[path] for path, level in site.levels(MOVED).items())

        eventually(lifted, 60, f"every level is lifted; {operator.tail()}")
        held = site.levels(MOVED)
        assert site.loans() == len(MOVED), "one loan for each"

        again = site.timed("up, in mid-event", stack.up)
        assert set(again) == {"same"}, again
        site.change(CDN, f"{CDN}\n    cpu_percent: 55")
        assert site.timed("up, in mid-event, another field of the HPAs changed", stack.up)["update"] == 2
        assert site.levels(MOVED) == held

        home = ("--operator-namespace", site.system)
        told = site.cluster.run(sys.executable, "-m", "tidegate.cli.main", "release", "--all", "--now", *home)
        assert f"{len(MOVED)} returned, 0 left" in told.stdout
        assert site.levels(MOVED) == before
    finally:
        operator.stop()
    site.change("cpu_percent: 55", "cpu_percent: 60")
    after = site.timed("up, after all was returned, the same field changed", stack.up)
    assert after["update"] == 2, "the fields have their former owner again, so that nothing is refused"
    assert site.levels(MOVED) == before


def test_work_that_was_stopped_for_a_peak_is_not_started_by_an_up_in_mid_event(site: Site, tmp_path: Path) -> None:
    """Machines for both lanes as they stand, and next to nothing more: what the show needs, data has to lend."""
    site.disks(24)
    site.change("protectData: true", "protectData: true\n  tidegate-all-in-one:preflight: false")  # they come later
    site.change("mode: Observe", "mode: Enforce")
    # Machines of their own, and pods that fill them: a show on a trial's sizes would need nothing of data's.
    site.change("nodes: {kubernetes.io/os: linux}", f"nodes: {{pool: {site.namespace}}}")
    site.change("cache:\n    data_gib: 1\n    cpu: 100m", 'cache:\n    data_gib: 1\n    cpu: "2"')
    site.change("relay_cpu: 100m", 'relay_cpu: "2"')
    site.change("replicas: 2\n        cpu: 100m", 'replicas: 8\n        cpu: "2"')
    site.change("notice_seconds: 600", "notice_seconds: 5")
    site.change("minimum_run_seconds: 900", "minimum_run_seconds: 5\n        drain_seconds: 5")
    site.change("guarantee_percent: 10", "guarantee_percent: 0")
    night = "          work: {deadline"
    site.change(night, night.replace("work", "# work"))
    job = Nightly(site.namespace, nodes={"pool": site.namespace})
    stack = site.stack(beside=job.declare)
    site.timed("up, with a Job", stack.up)
    eventually(lambda: site.asked() >= 48_000, 60, "16 cores of shards and relays, 16 of workers, 16 of the Job wait")
    eventually(lambda: not site.homeless(), 60, "others stand elsewhere, before these machines are there")
    room = site.asked() + SLACK
    for _ in range(2):  # pods of a shard share no machine with its first
        site.machine(f"{room // 2}m", labels={"pool": site.namespace})
    eventually(lambda: site.used() == room - SLACK, 60, "all that was asked for runs")
    before = {**site.levels(MOVED), **site.levels(LENDING)}
    operator = Release(site.cluster, site.system, {}, tmp_path)
    operator.start()
    try:
        show = event(site.namespace, "show", t0=in_seconds(60), duration=900, policy="events")
        show["spec"] |= {"expected": SHOW, "profile": "flat"}
        site.cluster.apply(show, manager=APPLIER)
        loader, nightly = LENDING

        def lent() -> bool:
            now = site.levels({**LENDING, **MOVED})
            lifted = all(now[path] > before[path] for path in MOVED)
            return now[nightly] is True and (now[loader] or 0) < before[loader] and lifted

        eventually(lent, 240, f"work is stopped and the floors rise; {operator.tail()}")
        assert site.used() <= room

        again = site.timed("up, in mid-event, work stopped", stack.up)
        assert set(again) == {"same"}, again
        job.retries = 5
        site.change("peak_mbps: 8000", "peak_mbps: 8000\n    viewer_grace_seconds: 90")
        third = site.timed("up, in mid-event, another field of the Job and of the relays changed", stack.up)
        assert third["update"] == 2, third
        assert site.cluster.get("Job", site.namespace, "nightly-1")["spec"]["backoffLimit"] == 5
        known, stands = site.written("batch-loader"), site.levels(LENDING)  # the operator may have moved it meanwhile
        assert stands[nightly] is True
        assert stands[loader] in known | site.written("batch-loader")
        assert stands[loader] < before[loader]

        home = ("--operator-namespace", site.system)
        told = site.cluster.run(sys.executable, "-m", "tidegate.cli.main", "release", "--all", "--now", *home)
        assert "0 left" in told.stdout
        assert {**site.levels(MOVED), **site.levels(LENDING)} == before
        assert site.loans() == 0
    finally:
        operator.stop()
    job.retries = 4
    after = site.timed("up, after all was returned, the Job changed again", stack.up)
    assert after["update"] == 1, "its suspend has its former owner again, so that nothing is refused"
    assert site.levels(LENDING) == {path: before[path] for path in LENDING}


def test_without_ignore_changes_a_held_floor_would_stop_the_update(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim above can fail: the server refuses, and names who holds the field."""
    monkeypatch.setattr(component, "ignored", lambda *_: [])
    site.machine("64")
    stack = site.stack()
    stack.up()
    site.move_floors()
    site.change(CDN, f"{CDN}\n    cpu_percent: 55")
    with pytest.raises(auto.CommandError, match=f'conflict with "{FIELD_MANAGER}".*spec.minReplicas'):
        stack.up()


def test_a_refresh_in_mid_event_takes_the_level_into_the_state_and_no_up_writes_it_anywhere(site: Site) -> None:
    """What the page says of a refresh: the state has the moved level, and neither it nor a stale one is ever sent."""
    site.machine("64")
    stack = site.stack()
    site.timed("up", stack.up)
    name = "horizontalpodautoscalers/live-relay"
    path = f"apis/autoscaling/v2/namespaces/{{ns}}/{name}"
    before = site.levels({path: "/spec/minReplicas"})[path]
    site.move_floors()
    held = site.floors()
    assert held[path] != before

    site.timed("refresh, floors held", stack.refresh)
    assert level_in_state(stack, "live-relay") == held[path]
    assert set(site.timed("up, after the refresh", stack.up)) == {"same"}
    site.change("origins: 2", "origins: 2\n    cpu_percent: 50")
    assert site.timed("up, another field of the same HPA changed", stack.up)["update"] == 1
    assert site.floors() == held

    site.give_back(path, "/spec/minReplicas", before)
    assert level_in_state(stack, "live-relay") == held[path], "stale, until the next refresh"
    assert set(site.timed("up, all returned", stack.up)) == {"same"}
    site.change("cpu_percent: 50", "cpu_percent: 55")
    assert site.timed("up, the same field changed again", stack.up)["update"] == 1
    assert site.levels({path: "/spec/minReplicas"})[path] == before, "the stale level was not written"
    hpa = site.cluster.get("HorizontalPodAutoscaler", site.namespace, "live-relay")
    assert hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 55


def level_in_state(stack: Any, name: str) -> Any:
    """An HPA's level as the stack's state has it."""
    resources = stack.export_stack().deployment["resources"]
    (found,) = [one for one in resources if one["urn"].endswith(f":HorizontalPodAutoscaler::{name}")]
    return found["inputs"]["spec"]["minReplicas"]
