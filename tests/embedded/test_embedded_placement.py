"""The machines that pods lie on: how they come, go and fill, and what holds whatever happens."""

from __future__ import annotations

from typing import Any

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
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.pods import quantity


def test_a_node_that_is_not_ready_takes_no_new_pod_until_it_is_back() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 2)
    cluster.step()
    cluster.set_node_ready("machine-0001", False)
    cluster.create(deployment(replicas=6, cpu="1"))
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"machine-0000": 4}
    message = next(condition(p, "PodScheduled")["message"] for p in pods(cluster) if "nodeName" not in p["spec"])
    taint = "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    assert message == f"0/2 nodes are available: 1 Insufficient cpu, {taint}."
    cluster.set_node_ready("machine-0001", True)
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"machine-0000": 4, "machine-0001": 2}


def test_a_pod_that_asks_for_more_than_there_are_numbers_lies_nowhere_and_takes_nothing() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1)
    cluster.create(deployment(replicas=1, cpu="1e999999", name="odd"))
    cluster.create(deployment(replicas=4, cpu="1"))
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"machine-0000": 4}
    (odd,) = (p for p in pods(cluster) if "nodeName" not in p["spec"])
    assert condition(odd, "PodScheduled")["message"] == "0/1 nodes are available: 1 Insufficient cpu."


def test_a_cordoned_node_keeps_its_pods_and_takes_no_other() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1)
    cluster.create(deployment(replicas=2, cpu="1"))
    pass_time(cluster, clock, 5.0)
    cluster.patch("v1", "Node", "machine-0000", {"spec": {"unschedulable": True}})
    cluster.scale("apps/v1", "Deployment", "web", 3)
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"machine-0000": 2}


def test_an_added_node_brings_room_and_a_deleted_one_takes_its_pods_along() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1)
    cluster.create(deployment(replicas=6, cpu="1"))
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"machine-0000": 4}
    cluster.add_node("late", cpu="16", memory="64Gi")
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"machine-0000": 4, "late": 2}
    cluster.delete("v1", "Node", "machine-0000")
    pass_time(cluster, clock, 5.0)
    assert placed(cluster) == {"late": 6}
    assert len(pods(cluster)) == 6


def test_machines_that_are_ordered_come_whole_and_no_more_than_are_needed() -> None:
    clock = HandClock()
    cluster = cluster_with(clock, 1, machine_seconds=90.0)
    cluster.create(deployment(replicas=7, cpu="2500m"))
    cluster.create(deployment("giant", replicas=1, cpu="64"))
    pass_time(cluster, clock, 60.0)
    assert len(cluster.list("v1", "Node")) == 1
    pass_time(cluster, clock, 60.0)
    assert len(cluster.list("v1", "Node")) == 7, "one of 2.5 cores a machine of 4: six are missing"
    assert set(placed(cluster).values()) == {1}
    assert len(placed(cluster)) == 7


# ---- what always holds

ACTIONS = st.one_of(
    st.tuples(st.just("scale"), st.sampled_from(["a", "b"]), st.integers(0, 12)),
    st.tuples(st.just("parallelism"), st.just("batch"), st.integers(0, 9)),
    st.tuples(st.just("suspend"), st.just("batch"), st.booleans()),
    st.tuples(st.just("ready"), st.sampled_from(["machine-0000", "machine-0001"]), st.booleans()),
    st.tuples(st.just("drop"), st.sampled_from(["machine-0002", "extra"]), st.just(0)),
    st.tuples(st.just("add"), st.just("extra"), st.integers(1, 8)),
    st.tuples(st.just("kill"), st.just(""), st.integers(0, 9)),
)


def act(cluster: EmbeddedCluster, action: tuple[str, str, Any]) -> None:
    verb, name, value = action
    nodes = {n["metadata"]["name"] for n in cluster.list("v1", "Node")}
    if verb == "scale":
        cluster.scale("apps/v1", "Deployment", name, value)
    elif verb in ("parallelism", "suspend"):
        cluster.patch("batch/v1", "Job", name, {"spec": {verb: value}})
    elif verb == "ready" and name in nodes:
        cluster.set_node_ready(name, value)
    elif verb == "drop" and name in nodes:
        cluster.delete("v1", "Node", name)
    elif verb == "add" and name not in nodes:
        cluster.add_node(name, cpu=str(value), memory="4Gi")
    elif verb == "kill" and (shown := pods(cluster)):
        cluster.delete("v1", "Pod", shown[value % len(shown)]["metadata"]["name"])


def mixed(clock: HandClock) -> EmbeddedCluster:
    cluster = cluster_with(clock, 3)
    cluster.create(
        annotated(asking(deployment("a", replicas=3, start=3.0), cpu="700m", memory="1Gi"), stop_seconds="7")
    )
    cluster.create(asking(deployment("b", replicas=2, start=1.0), cpu="1500m", memory="5Gi"))
    batch = annotated(asking(job(parallelism=4, completions=30, run=9.0), cpu="1"), stop_seconds="4")
    cluster.create(annotated(batch, checkpoint_seconds="2"))
    cluster.step()
    return cluster


def oversold(cluster: EmbeddedCluster) -> list[str]:
    used: dict[tuple[str, str], float] = {}
    for pod in pods(cluster):
        if pod["status"]["phase"] == "Running":
            for resource, amount in pod["spec"]["containers"][0]["resources"]["requests"].items():
                key = (pod["spec"]["nodeName"], resource)
                used[key] = used.get(key, 0.0) + (quantity(amount) or 0.0)
    room = {n["metadata"]["name"]: n["status"]["allocatable"] for n in cluster.list("v1", "Node")}
    return [f"{k}: {v}" for k, v in used.items() if v > (quantity(room[k[0]][k[1]]) or 0.0) + 1e-9]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.floats(0.1, 12.0)), max_size=25))
def test_no_node_is_oversold_and_objects_agree_with_counts_whatever_happens(
    script: list[tuple[tuple[str, str, Any], float]],
) -> None:
    clock = HandClock()
    cluster = mixed(clock)
    for action, seconds in script:
        act(cluster, action)
        pass_time(cluster, clock, seconds)
        assert oversold(cluster) == []
        shown = [p for p in pods(cluster) if p["status"]["phase"] != "Succeeded"]
        for name in ("a", "b"):
            mine = [p for p in shown if p["metadata"]["labels"].get("app") == name]
            lasting = [p for p in mine if "deletionTimestamp" not in p["metadata"]]
            status = (cluster.get("apps/v1", "Deployment", name) or {})["status"]
            assert len(lasting) == status["replicas"]
            assert sum(condition(p, "Ready")["status"] == "True" for p in lasting) == status.get("readyReplicas", 0)
        theirs = [p for p in shown if p["metadata"]["labels"].get("job-name") == "batch"]
        status = (cluster.get("batch/v1", "Job", "batch") or {})["status"]
        stopping = [p for p in theirs if "deletionTimestamp" in p["metadata"]]
        assert len(theirs) - len(stopping) == status.get("active", 0)
        assert len(stopping) == status.get("terminating", 0)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.floats(1.0, 20.0)), max_size=8))
def test_where_pods_lie_does_not_depend_on_how_often_the_cluster_is_stepped(
    script: list[tuple[tuple[str, str, Any], float]],
) -> None:
    def outcome(every: float) -> object:
        clock = HandClock()
        cluster = mixed(clock)
        for action, seconds in script:
            if action[0] != "kill":  # which pod has which place in the list depends on what has been shown
                act(cluster, action)
            end = clock.time + seconds
            while clock.time < end:
                clock.time = min(end, clock.time + every)
                cluster.step()
        work = cluster.job_work("batch")
        assert work is not None
        figures = [round(n, 3) for n in (work.done_seconds, work.lost_seconds, work.left_seconds)]
        return figures, [(p["metadata"]["name"], p["spec"].get("nodeName"), p["status"]) for p in pods(cluster)]

    assert outcome(0.7) == outcome(1000.0)
