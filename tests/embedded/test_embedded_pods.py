"""Pods as objects: what somebody who reads them sees."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from builders_embedded import (
    HandClock,
    annotated,
    asking,
    cluster_with,
    condition,
    deployment,
    job,
    pass_time,
    placed,
    pods,
)

from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.embedded.server import running

# ---- what a pod shows


def test_without_being_asked_for_there_are_no_pod_objects() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, nodes=NodePool(2))
    cluster.create(deployment(replicas=3, cpu="1"))
    pass_time(cluster, clock, 30.0)
    assert pods(cluster) == []


def test_a_pod_lies_on_a_node_from_its_scheduling_and_is_ready_after_its_start_time() -> None:
    clock = HandClock(1_700_000_000.0)
    cluster = cluster_with(clock)
    cluster.create(deployment(replicas=3, start=20.0, cpu="1"))
    pass_time(cluster, clock, 5.0)
    (one, *_) = shown = pods(cluster)
    assert len(shown) == 3
    assert one["metadata"]["labels"]["app"] == "web"
    assert one["spec"]["nodeName"] == "machine-0000"
    assert one["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1"}
    assert one["status"]["phase"] == "Running"
    assert one["status"]["startTime"] == "2023-11-14T22:13:20Z"
    assert condition(one, "PodScheduled")["status"] == "True"
    assert condition(one, "Ready")["status"] == "False"
    pass_time(cluster, clock, 20.0)
    ready = [condition(pod, "Ready") for pod in pods(cluster)]
    assert [(c["status"], c["lastTransitionTime"]) for c in ready] == [("True", "2023-11-14T22:13:40Z")] * 3


def test_a_pod_without_room_says_so_in_the_schedulers_words_and_goes_when_room_comes() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 2)
    cluster.create(deployment("first", replicas=2, cpu="3"))
    cluster.create(deployment("second", replicas=1, cpu="2"))
    pass_time(cluster, clock, 5.0)
    (waiting,) = cluster.list("v1", "Pod", labels="app=second")
    assert "nodeName" not in waiting["spec"]
    assert "startTime" not in waiting["status"]
    assert waiting["status"]["phase"] == "Pending"
    said = condition(waiting, "PodScheduled")
    assert (said["status"], said["reason"]) == ("False", "Unschedulable")
    assert said["message"] == "0/2 nodes are available: 2 Insufficient cpu."
    cluster.scale("apps/v1", "Deployment", "first", 1)
    pass_time(cluster, clock, 1.0)
    (waiting,) = cluster.list("v1", "Pod", labels="app=second")
    assert waiting["status"]["phase"] == "Running"


def test_memory_limits_room_too_and_each_reason_is_counted() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 2)
    cluster.create(asking(deployment("lean", replicas=1), cpu="3", memory="1Gi"))
    pass_time(cluster, clock, 1.0)
    cluster.create(asking(deployment("fat", replicas=3), cpu="2", memory="12Gi"))
    pass_time(cluster, clock, 5.0)
    fat = cluster.list("v1", "Pod", labels="app=fat")
    assert sum("nodeName" in pod["spec"] for pod in fat) == 1
    message = next(condition(pod, "PodScheduled")["message"] for pod in fat if "nodeName" not in pod["spec"])
    assert message == "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."


def test_a_limit_without_a_request_is_the_request_too() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1)
    limited = deployment(replicas=2)
    limited["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "3"}}
    cluster.create(limited)
    pass_time(cluster, clock, 5.0)
    assert [pod["spec"]["containers"][0]["resources"]["requests"] for pod in pods(cluster)] == [{"cpu": "3"}] * 2
    assert placed(cluster) == {"machine-0000": 1}


def test_a_sidecar_of_a_webhook_stands_in_new_pods_alone_and_takes_room() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 2)
    cluster.create(deployment(replicas=1, cpu="1"))
    pass_time(cluster, clock, 5.0)
    cluster.add_sidecar("default", cpu="2", memory="1Gi")
    cluster.scale("apps/v1", "Deployment", "web", 3)
    pass_time(cluster, clock, 5.0)
    cluster.remove_sidecar("default")
    cluster.scale("apps/v1", "Deployment", "web", 4)
    pass_time(cluster, clock, 5.0)
    asked = [[c["resources"]["requests"]["cpu"] for c in pod["spec"]["containers"]] for pod in pods(cluster)]
    assert sorted(asked) == [["1"], ["1"], ["1", "2"], ["1", "2"]]
    stored = cluster.get("apps/v1", "Deployment", "web")
    assert stored is not None
    assert len(stored["spec"]["template"]["spec"]["containers"]) == 1
    assert sorted(m.used_cpu for m in cluster.controllers.physics.machines.values()) == [4000, 4000]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet", "Job"])
def test_a_pod_names_its_controller(kind: str) -> None:
    clock = HandClock()
    cluster = cluster_with(clock)
    made = cluster.create(job("web", run=60.0) if kind == "Job" else deployment(replicas=2, kind=kind))
    pass_time(cluster, clock, 5.0)
    shown = pods(cluster)
    assert len(shown) == 2
    for pod in shown:
        (owner,) = pod["metadata"]["ownerReferences"]
        assert owner["controller"] is True
        if kind == "Deployment":
            digest = pod["metadata"]["labels"]["pod-template-hash"]
            assert (owner["kind"], owner["name"]) == ("ReplicaSet", f"web-{digest}")
        else:
            assert (owner["kind"], owner["name"], owner["uid"]) == (kind, "web", made["metadata"]["uid"])
    if kind == "StatefulSet":
        assert [pod["metadata"]["name"] for pod in shown] == ["web-0", "web-1"]


def test_a_node_selector_keeps_pods_on_the_machines_that_match() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1, labels={"pool": "a"})
    cluster.step()
    cluster.add_node("other", cpu="8", memory="8Gi", labels={"pool": "b"})
    picky = deployment(replicas=12, cpu="1")
    picky["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "b"}
    cluster.create(picky)
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"other": 8}
    message = next(condition(p, "PodScheduled")["message"] for p in pods(cluster) if "nodeName" not in p["spec"])
    assert (
        message == "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector."
    )


# ---- stopping


def test_a_stopping_pod_shows_when_it_will_be_gone_and_keeps_its_room_until_then() -> None:
    clock = HandClock(1_700_000_000.0)
    cluster = cluster_with(clock, 1)
    cluster.create(annotated(deployment("first", replicas=4, cpu="1", start=0.0), stop_seconds="45"))
    pass_time(cluster, clock, 10.0)
    cluster.scale("apps/v1", "Deployment", "first", 1)
    cluster.create(deployment("second", replicas=3, cpu="1", start=0.0))
    pass_time(cluster, clock, 44.0)
    stopping = [p for p in pods(cluster) if "deletionTimestamp" in p["metadata"]]
    assert [p["metadata"]["deletionTimestamp"] for p in stopping] == ["2023-11-14T22:14:15Z"] * 3
    assert [p["metadata"]["deletionGracePeriodSeconds"] for p in stopping] == [45] * 3
    assert [p["spec"]["nodeName"] for p in stopping] == ["machine-0000"] * 3
    assert {p["status"]["phase"] for p in cluster.list("v1", "Pod", labels="app=second")} == {"Pending"}
    found = cluster.get("apps/v1", "Deployment", "first")
    assert found is not None
    assert found["status"]["replicas"] == 1
    pass_time(cluster, clock, 1.0)
    assert not [p for p in pods(cluster) if "deletionTimestamp" in p["metadata"]]
    assert {p["status"]["phase"] for p in cluster.list("v1", "Pod", labels="app=second")} == {"Running"}


@pytest.mark.parametrize("shown", [True, False])
def test_a_suspended_job_frees_its_room_after_its_stop_time_whether_pods_are_shown_or_not(shown: bool) -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1, show_pods=shown)
    batch = annotated(asking(job(parallelism=4, completions=40, run=600.0), cpu="1"), stop_seconds="30")
    cluster.create(batch)
    pass_time(cluster, clock, 10.0)
    cluster.patch("batch/v1", "Job", "batch", {"spec": {"suspend": True}})
    cluster.create(deployment(replicas=4, cpu="1", start=0.0))
    pass_time(cluster, clock, 29.0)
    status = (cluster.get("batch/v1", "Job", "batch") or {})["status"]
    assert "active" not in status
    assert status["terminating"] == 4
    assert (cluster.get("apps/v1", "Deployment", "web") or {})["status"].get("readyReplicas", 0) == 0
    pass_time(cluster, clock, 1.5)
    assert "terminating" not in (cluster.get("batch/v1", "Job", "batch") or {})["status"]
    assert (cluster.get("apps/v1", "Deployment", "web") or {})["status"]["readyReplicas"] == 4


def test_a_lower_parallelism_stops_the_youngest_pods_and_leaves_the_others_at_work() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 2)
    cluster.create(annotated(asking(job(parallelism=6, completions=60, run=600.0), cpu="1"), stop_seconds="30"))
    pass_time(cluster, clock, 10.0)
    before = {p["metadata"]["name"] for p in pods(cluster)}
    cluster.patch("batch/v1", "Job", "batch", {"spec": {"parallelism": 2}})
    pass_time(cluster, clock, 1.0)
    stay = {p["metadata"]["name"] for p in pods(cluster) if "deletionTimestamp" not in p["metadata"]}
    assert len(before) == 6
    assert len(stay) == 2
    pass_time(cluster, clock, 60.0)
    assert {p["metadata"]["name"] for p in pods(cluster)} == stay < before


def test_a_deleted_workload_takes_its_pods_along_and_those_of_a_job_that_were_done() -> None:
    clock = HandClock()
    cluster = cluster_with(clock)
    cluster.create(annotated(deployment(replicas=3, cpu="1"), stop_seconds="20"))
    cluster.create(job(parallelism=2, completions=4, run=10.0))
    pass_time(cluster, clock, 15.0)
    assert sorted(p["status"]["phase"] for p in pods(cluster)) == ["Running"] * 5 + ["Succeeded"] * 2
    cluster.delete("apps/v1", "Deployment", "web")
    cluster.delete("batch/v1", "Job", "batch")
    pass_time(cluster, clock, 1.0)
    assert ["deletionTimestamp" in p["metadata"] for p in pods(cluster)] == [True] * 3
    pass_time(cluster, clock, 20.0)
    assert pods(cluster) == []


def test_an_emptied_namespace_leaves_no_pod_and_no_room_taken() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1)
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    cluster.create(annotated(deployment(replicas=4, cpu="1", namespace="shop"), stop_seconds="20"))
    pass_time(cluster, clock, 5.0)
    cluster.delete("v1", "Namespace", "shop")
    pass_time(cluster, clock, 30.0)
    assert pods(cluster) == []
    assert cluster.get("v1", "Namespace", "shop") is None
    assert cluster.controllers.physics.spare_units == 4.0


def test_what_was_ready_last_is_given_up_first_whenever_it_was_scheduled() -> None:
    clock = HandClock()
    cluster = cluster_with(clock)
    cluster.create(deployment(replicas=1, start=60.0))
    pass_time(cluster, clock, 5.0)
    (slow,) = (p["metadata"]["name"] for p in pods(cluster))
    cluster.apply(deployment(replicas=2, start=1.0), force=True)
    pass_time(cluster, clock, 60.0)
    assert [condition(p, "Ready")["status"] for p in pods(cluster)] == ["True", "True"]
    cluster.scale("apps/v1", "Deployment", "web", 1)
    pass_time(cluster, clock, 1.0)
    (stays,) = (p["metadata"]["name"] for p in pods(cluster))
    assert stays != slow


def test_a_stateful_sets_numbers_are_used_again() -> None:
    clock = HandClock()
    cluster = cluster_with(clock)
    cluster.create(deployment(replicas=3, kind="StatefulSet"))
    for replicas in (1, 3):
        pass_time(cluster, clock, 5.0)
        cluster.scale("apps/v1", "StatefulSet", "web", replicas)
    pass_time(cluster, clock, 5.0)
    assert [p["metadata"]["name"] for p in pods(cluster)] == ["web-0", "web-1", "web-2"]


def test_a_deleted_pod_is_gone_at_once_and_another_takes_its_place() -> None:
    clock = HandClock()
    cluster = cluster_with(clock)
    cluster.create(annotated(deployment(replicas=2, cpu="1"), stop_seconds="600"))
    pass_time(cluster, clock, 10.0)
    victim = pods(cluster)[0]["metadata"]["name"]
    cluster.delete("v1", "Pod", victim)
    pass_time(cluster, clock, 10.0)
    names = {p["metadata"]["name"] for p in pods(cluster)}
    assert len(names) == 2
    assert victim not in names


async def test_a_watch_of_one_nodes_pods_sees_them_come_get_ready_stop_and_go() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1)
    cluster.create(annotated(deployment(replicas=1, cpu="1", start=20.0), stop_seconds="30"))
    seen: list[tuple[str, str, bool]] = []
    async with running(cluster) as url, aiohttp.ClientSession() as session:
        wish = {"watch": "true", "fieldSelector": "spec.nodeName=machine-0000"}
        async with session.get(f"{url}/api/v1/pods", params=wish) as answer:
            for seconds, replicas in ((1.0, 1), (20.0, 0), (1.0, 0), (40.0, 0)):
                pass_time(cluster, clock, seconds)
                event = json.loads(await asyncio.wait_for(answer.content.readline(), 10.0))
                pod = event["object"]
                stopping = "deletionTimestamp" in pod["metadata"]
                seen.append((event["type"], condition(pod, "Ready")["status"], stopping))
                cluster.scale("apps/v1", "Deployment", "web", replicas)
    assert seen == [
        ("ADDED", "False", False),
        ("MODIFIED", "True", False),
        ("MODIFIED", "True", True),
        ("DELETED", "True", True),
    ]
