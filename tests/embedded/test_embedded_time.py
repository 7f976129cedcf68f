"""What the cluster does in its own time, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest
from builders_embedded import HandClock, autoscaler, deployment, job
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.embedded.cluster import EmbeddedCluster, NodePool


def cluster_at(clock: HandClock, **options: Any) -> EmbeddedCluster:
    return EmbeddedCluster(clock=clock, **options)


def pass_time(cluster: EmbeddedCluster, clock: HandClock, seconds: float, *, every: float = 1.0) -> None:
    end = clock.time + seconds
    while clock.time < end:
        clock.time = min(end, clock.time + every)
        cluster.step()


def status(cluster: EmbeddedCluster, kind: str = "Deployment", name: str = "web") -> dict[str, Any]:
    api_version = {"Job": "batch/v1", "HorizontalPodAutoscaler": "autoscaling/v2"}.get(kind, "apps/v1")
    found = cluster.get(api_version, kind, name)
    assert found is not None
    return found.get("status", {})  # type: ignore[no-any-return]


def replicas(cluster: EmbeddedCluster, name: str = "web") -> int:
    found = cluster.get("apps/v1", "Deployment", name)
    assert found is not None
    return int(found["spec"]["replicas"])


# ---- workloads


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet"])
def test_pods_are_ready_after_their_start_time_and_not_before(kind: str) -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(deployment(replicas=4, start=20.0, kind=kind))
    pass_time(cluster, clock, 19.0)
    assert status(cluster, kind).get("readyReplicas", 0) == 0
    assert status(cluster, kind)["replicas"] == 4
    pass_time(cluster, clock, 2.0)
    assert status(cluster, kind)["readyReplicas"] == 4
    assert status(cluster, kind)["availableReplicas"] == 4


def test_conditions_and_observed_generation_of_a_deployment_follow_its_pods() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(deployment(replicas=4, start=10.0))
    pass_time(cluster, clock, 1.0)
    held = {c["type"]: c["status"] for c in status(cluster)["conditions"]}
    assert held == {"Available": "False", "Progressing": "True"}
    pass_time(cluster, clock, 15.0)
    available = next(c for c in status(cluster)["conditions"] if c["type"] == "Available")
    assert available["status"] == "True"
    cluster.scale("apps/v1", "Deployment", "web", 5)
    assert status(cluster)["observedGeneration"] == 1
    pass_time(cluster, clock, 1.0)
    assert status(cluster)["observedGeneration"] == 2
    again = next(c for c in status(cluster)["conditions"] if c["type"] == "Available")
    assert again["lastTransitionTime"] == available["lastTransitionTime"]


def test_workloads_share_one_creation_rate() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, creation_rate=20.0)
    for n in range(4):
        cluster.create(deployment(f"web-{n}", replicas=50, start=0.0))
    pass_time(cluster, clock, 5.0)
    ready = [status(cluster, name=f"web-{n}").get("readyReplicas", 0) for n in range(4)]
    assert 96 <= sum(ready) <= 104, "20 a second for all together"
    assert max(ready) - min(ready) <= 2, "nobody is served before the others"
    pass_time(cluster, clock, 6.0)
    assert [status(cluster, name=f"web-{n}")["readyReplicas"] for n in range(4)] == [50] * 4


def test_pods_that_never_get_ready_are_counted_as_unavailable() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(deployment(replicas=3, never_ready=True))
    pass_time(cluster, clock, 600.0, every=60.0)
    assert status(cluster)["replicas"] == 3
    assert status(cluster)["unavailableReplicas"] == 3
    assert status(cluster)["availableReplicas"] == 0


def test_fewer_replicas_take_effect_at_once_and_a_deleted_workload_frees_its_room() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, nodes=NodePool(1, cpu=4.0))
    cluster.create(deployment("first", replicas=4, start=0.0, cpu="1"))
    cluster.create(deployment("second", replicas=4, start=0.0, cpu="1"))
    pass_time(cluster, clock, 5.0)
    assert (status(cluster, name="first")["readyReplicas"], status(cluster, name="second").get("readyReplicas", 0)) in {
        (4, 0),
        (2, 2),
    }
    cluster.delete("apps/v1", "Deployment", "first")
    pass_time(cluster, clock, 2.0)
    assert status(cluster, name="second")["readyReplicas"] == 4
    cluster.scale("apps/v1", "Deployment", "second", 1)
    cluster.step()
    assert status(cluster, name="second")["replicas"] == 1


def test_a_new_machine_comes_after_its_lag_and_shows_as_a_node() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, nodes=NodePool(1, cpu=4.0, machine_seconds=90.0))
    cluster.create(deployment(replicas=6, start=0.0, cpu="1"))
    pass_time(cluster, clock, 60.0)
    assert status(cluster)["readyReplicas"] == 4
    assert len(cluster.list("v1", "Node")) == 1
    pass_time(cluster, clock, 35.0)
    assert status(cluster)["readyReplicas"] == 6
    nodes = cluster.list("v1", "Node")
    assert [n["status"]["allocatable"]["cpu"] for n in nodes] == ["4", "4"]


def test_nothing_is_written_when_nothing_changes() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, load=lambda namespace, name, now: 1.0)
    cluster.create(deployment(replicas=2))
    cluster.create(autoscaler())
    cluster.create(job(completions=1))
    pass_time(cluster, clock, 120.0)
    revision = cluster.store.revision
    pass_time(cluster, clock, 600.0)
    assert cluster.store.revision == revision


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.floats(0.05, 30.0), min_size=1, max_size=20),
    demand=st.floats(0.1, 60.0),
    low=st.integers(1, 20),
)
def test_the_outcome_does_not_depend_on_how_often_the_cluster_is_stepped(
    cuts: list[float], demand: float, low: int
) -> None:
    def outcome(steps: list[float]) -> tuple[int, int, int]:
        clock = HandClock()
        cluster = cluster_at(clock, load=lambda namespace, name, now: demand)
        cluster.create(deployment(replicas=2, start=7.0))
        cluster.create(autoscaler(low=low))
        cluster.create(job(run=4.0))
        for seconds in steps:
            clock.advance(seconds)
            cluster.step()
        return (
            replicas(cluster),
            status(cluster).get("readyReplicas", 0),
            status(cluster, "Job", "batch").get("succeeded", 0),
        )

    assert outcome(cuts) == outcome([sum(cuts)])


# ---- autoscalers


def test_a_raised_floor_acts_within_one_sync_without_a_metric() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(deployment(replicas=2))
    cluster.create(autoscaler(low=2))
    pass_time(cluster, clock, 20.0)
    cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"spec": {"minReplicas": 40}})
    pass_time(cluster, clock, 15.0)
    assert replicas(cluster) == 40


def test_a_lifted_floor_falls_to_the_metric_in_one_sync() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, load=lambda namespace, name, now: 1.0)
    cluster.create(deployment(replicas=40, start=1.0))
    cluster.create(autoscaler(low=40))
    pass_time(cluster, clock, 400.0)  # the window forgets the first number
    assert replicas(cluster) == 40
    cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"spec": {"minReplicas": 2}})
    pass_time(cluster, clock, 15.0)
    assert replicas(cluster) == 2


def test_a_gentle_autoscaler_comes_down_in_steps_when_its_floor_is_lifted() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, load=lambda namespace, name, now: 1.0)
    cluster.create(deployment(replicas=40, start=1.0))
    gentle = autoscaler(low=40)
    policy = {"type": "Percent", "value": 20, "periodSeconds": 60}
    gentle["spec"]["behavior"] = {"scaleDown": {"policies": [policy], "stabilizationWindowSeconds": 0}}
    cluster.create(gentle)
    pass_time(cluster, clock, 60.0)
    cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"spec": {"minReplicas": 2}})
    pass_time(cluster, clock, 15.0)
    assert replicas(cluster) == 32
    pass_time(cluster, clock, 60.0)
    assert replicas(cluster) == 25


def test_an_autoscaler_follows_the_demand() -> None:
    clock = HandClock()
    demand = {"web": 1.0}
    cluster = cluster_at(clock, load=lambda namespace, name, now: demand[name])
    cluster.create(deployment(replicas=2, start=1.0))
    cluster.create(autoscaler(low=2, percent=50))
    pass_time(cluster, clock, 60.0)
    assert replicas(cluster) == 2, "1 pod's worth on 2 pods is the 50 % that is wanted"
    demand["web"] = 10.0
    pass_time(cluster, clock, 180.0)
    assert replicas(cluster) == 20
    shown = status(cluster, "HorizontalPodAutoscaler")
    assert (shown["currentReplicas"], shown["desiredReplicas"]) == (20, 20)
    assert shown["currentMetrics"][0]["resource"]["current"] == {"averageUtilization": 50}


def test_an_external_metric_sees_the_demand_itself() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, load=lambda namespace, name, now: 30.0)
    cluster.create(deployment(replicas=10, start=1.0))
    hpa = autoscaler(low=1)
    metric = {"metric": {"name": "orders"}, "target": {"type": "AverageValue", "averageValue": "2500m"}}
    hpa["spec"]["metrics"] = [{"type": "External", "external": metric}]
    cluster.create(hpa)
    pass_time(cluster, clock, 30.0)
    assert replicas(cluster) == 12


def test_a_missing_metric_changes_nothing_and_says_so() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, load=lambda namespace, name, now: None)
    cluster.create(deployment(replicas=7))
    cluster.create(autoscaler(low=2))
    pass_time(cluster, clock, 600.0, every=5.0)
    assert replicas(cluster) == 7
    active = next(c for c in status(cluster, "HorizontalPodAutoscaler")["conditions"] if c["type"] == "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "FailedGetMetric")


def test_an_autoscaler_leaves_a_workload_at_zero_alone() -> None:
    clock = HandClock()
    cluster = cluster_at(clock, load=lambda namespace, name, now: 50.0)
    cluster.create(deployment(replicas=0))
    cluster.create(autoscaler(low=2))
    pass_time(cluster, clock, 60.0)
    assert replicas(cluster) == 0
    reasons = {c["reason"] for c in status(cluster, "HorizontalPodAutoscaler")["conditions"]}
    assert "ScalingDisabled" in reasons


def test_an_autoscaler_owns_the_replicas_it_set_through_scale() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(deployment(replicas=2))
    cluster.create(autoscaler(low=9))
    pass_time(cluster, clock, 20.0)
    found = cluster.get("apps/v1", "Deployment", "web")
    assert found is not None
    owner = next(m for m in found["metadata"]["managedFields"] if "f:replicas" in m["fieldsV1"].get("f:spec", {}))
    assert (owner["manager"], owner["subresource"]) == ("kube-controller-manager", "scale")


# ---- jobs


def test_a_job_runs_in_waves_and_completes() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(job(parallelism=2, completions=4, run=10.0))
    pass_time(cluster, clock, 5.0)
    assert status(cluster, "Job", "batch")["active"] == 2
    pass_time(cluster, clock, 10.0)
    assert status(cluster, "Job", "batch")["succeeded"] == 2
    pass_time(cluster, clock, 15.0)
    shown = status(cluster, "Job", "batch")
    assert shown["succeeded"] == 4
    assert "active" not in shown
    assert {c["type"]: c["status"] for c in shown["conditions"]}["Complete"] == "True"


def test_a_suspended_job_gives_up_its_pods_keeps_what_succeeded_and_resumes() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(job(parallelism=2, completions=4, run=10.0))
    pass_time(cluster, clock, 15.0)
    assert status(cluster, "Job", "batch")["succeeded"] == 2
    cluster.patch("batch/v1", "Job", "batch", {"spec": {"suspend": True}})
    pass_time(cluster, clock, 60.0)
    shown = status(cluster, "Job", "batch")
    assert shown["succeeded"] == 2
    assert "active" not in shown
    assert {c["type"]: c["status"] for c in shown["conditions"]} == {"Suspended": "True"}
    cluster.patch("batch/v1", "Job", "batch", {"spec": {"suspend": False}})
    pass_time(cluster, clock, 15.0)
    held = {c["type"]: c["status"] for c in status(cluster, "Job", "batch")["conditions"]}
    assert (held["Suspended"], held["Complete"]) == ("False", "True")


def test_a_job_created_suspended_starts_no_pod() -> None:
    clock = HandClock()
    cluster = cluster_at(clock)
    cluster.create(job(suspend=True))
    pass_time(cluster, clock, 60.0)
    assert "active" not in status(cluster, "Job", "batch")
    assert "startTime" not in status(cluster, "Job", "batch")
