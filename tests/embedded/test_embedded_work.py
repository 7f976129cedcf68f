"""What a Job's pods have done: kept, lost, and gone on with."""

from __future__ import annotations

from typing import Any

import pytest
from builders_embedded import HandClock, deployment, job
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.embedded.cluster import EmbeddedCluster, JobWork, NodePool

Json = dict[str, Any]


def working(name: str = "batch", *, checkpoint: float | None = None, cpu: str | None = None, **options: Any) -> Json:
    document = job(name, **options)
    template = document["spec"]["template"]
    template["metadata"]["annotations"]["tidegate.dev/start-seconds"] = "0"
    if checkpoint is not None:
        template["metadata"]["annotations"]["tidegate.dev/checkpoint-seconds"] = str(checkpoint)
    if cpu is not None:
        template["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return document


def pass_time(cluster: EmbeddedCluster, clock: HandClock, seconds: float) -> None:
    clock.advance(seconds)
    cluster.step()


def work(cluster: EmbeddedCluster, name: str = "batch") -> JobWork:
    found = cluster.job_work(name)
    assert found is not None
    return found


def set_spec(cluster: EmbeddedCluster, **spec: Any) -> None:
    cluster.patch("batch/v1", "Job", "batch", {"spec": spec})
    cluster.step()


def status(cluster: EmbeddedCluster, name: str = "batch") -> Json:
    found = cluster.get("batch/v1", "Job", name)
    assert found is not None
    return found["status"]  # type: ignore[no-any-return]


def started(cluster: EmbeddedCluster, clock: HandClock, document: Json) -> None:
    """Create a Job and let time pass until its pods are ready: their creation takes a quarter of a second."""
    cluster.create(document)
    pass_time(cluster, clock, 0.25)
    assert status(cluster)["ready"] == document["spec"]["parallelism"]


def test_work_is_done_by_the_second_and_adds_up_to_all_that_was_asked() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock)
    started(cluster, clock, working(parallelism=2, completions=4, run=100.0))
    pass_time(cluster, clock, 30.0)
    told = work(cluster)
    assert (told.total_seconds, told.done_seconds, told.lost_seconds) == (400.0, pytest.approx(60.0), 0.0)
    assert told.left_seconds == pytest.approx(340.0)
    pass_time(cluster, clock, 300.0)
    assert work(cluster) == JobWork(400.0, pytest.approx(400.0), 0.0, 0.0)
    assert status(cluster)["succeeded"] == 4


def test_without_checkpoints_a_suspended_job_loses_what_was_running_and_keeps_what_succeeded() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock)
    started(cluster, clock, working(parallelism=2, completions=4, run=100.0))
    pass_time(cluster, clock, 130.25)
    assert work(cluster).at_risk_seconds == pytest.approx(60.0), (
        "the next two were created within a quarter of a second"
    )
    set_spec(cluster, suspend=True)
    told = work(cluster)
    assert (told.done_seconds, told.lost_seconds) == (pytest.approx(200.0), pytest.approx(60.0))
    pass_time(cluster, clock, 1000.0)
    assert work(cluster) == told, "a suspended job does and loses nothing"


def test_with_checkpoints_only_the_work_since_the_last_one_is_lost_and_pods_go_on_with_the_rest() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock)
    started(cluster, clock, working(parallelism=2, completions=2, run=100.0, checkpoint=20.0))
    pass_time(cluster, clock, 50.0)
    assert work(cluster).at_risk_seconds == pytest.approx(20.0)
    set_spec(cluster, suspend=True)
    told = work(cluster)
    assert (told.done_seconds, told.lost_seconds) == (pytest.approx(80.0), pytest.approx(20.0))
    set_spec(cluster, suspend=False)
    pass_time(cluster, clock, 0.25)
    pass_time(cluster, clock, 59.5)
    assert "completionTime" not in status(cluster)
    pass_time(cluster, clock, 1.0)
    assert status(cluster)["succeeded"] == 2
    assert work(cluster).lost_seconds == pytest.approx(20.0)


def test_lower_parallelism_stops_the_youngest_and_the_next_pods_take_up_what_is_furthest_along() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock)
    started(cluster, clock, working(parallelism=1, completions=4, run=100.0, checkpoint=10.0))
    pass_time(cluster, clock, 30.0)
    set_spec(cluster, parallelism=3)
    pass_time(cluster, clock, 45.25)
    set_spec(cluster, parallelism=1)
    told = work(cluster)
    assert told.lost_seconds == pytest.approx(10.0), "two pods, five seconds past a checkpoint each"
    assert told.done_seconds == pytest.approx(75.25 + 2 * 40.0)
    assert status(cluster)["ready"] == 1
    pass_time(cluster, clock, 25.0)  # the eldest is done, the next takes up one of the two
    pass_time(cluster, clock, 60.5)
    assert status(cluster)["succeeded"] == 2


def test_pods_that_wait_for_room_do_not_keep_those_that_are_done_from_leaving() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, nodes=NodePool(1, cpu=2.0))
    cluster.create(working(parallelism=6, completions=6, run=10.0, cpu="1"))
    pass_time(cluster, clock, 35.0)
    assert status(cluster)["succeeded"] == 6


def test_a_machine_that_goes_costs_its_pods_the_work_since_their_checkpoints() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, nodes=NodePool(2, cpu=2.0, show_pods=True))
    started(cluster, clock, working(parallelism=4, completions=4, run=100.0, checkpoint=20.0, cpu="1"))
    pass_time(cluster, clock, 50.0)
    cluster.delete("v1", "Node", "machine-0000")
    cluster.step()
    told = work(cluster)
    assert (told.done_seconds, told.lost_seconds) == (pytest.approx(4 * 40.0 + 2 * 10.0), pytest.approx(20.0))
    pass_time(cluster, clock, 50.5)
    assert status(cluster)["succeeded"] == 2
    assert status(cluster)["active"] == 2


def test_a_job_that_is_not_there_has_no_account() -> None:
    assert EmbeddedCluster(clock=HandClock()).job_work("nothing") is None


STEPS = st.lists(
    st.tuples(st.one_of(st.booleans(), st.integers(0, 8)), st.floats(0.1, 60.0)),
    max_size=15,
)


@settings(max_examples=50, deadline=None)
@given(STEPS, st.sampled_from([None, 7.0, 20.0]), st.booleans())
def test_every_second_of_work_is_kept_or_lost_and_never_both(
    script: list[tuple[bool | int, float]], checkpoint: float | None, shown: bool
) -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, nodes=NodePool(3, cpu=2.0, show_pods=shown))
    cluster.create(working(parallelism=4, completions=12, run=50.0, checkpoint=checkpoint, cpu="1"))
    cluster.create(deployment(replicas=2, cpu="1"))
    worked, lost = 0.0, 0.0
    for action, seconds in script:
        # The wish is carried out at once: no work is done between it and the next look at the ledger.
        set_spec(cluster, **({"suspend": action} if isinstance(action, bool) else {"parallelism": action}))
        told = work(cluster)
        assert told.lost_seconds >= lost - 1e-6
        assert told.done_seconds + told.lost_seconds == pytest.approx(worked, abs=1e-3)
        assert told.at_risk_seconds <= told.done_seconds + 1e-6
        assert told.done_seconds <= told.total_seconds + 1e-6
        for _ in range(4):
            ready = status(cluster)["ready"]
            assert ready <= 6
            pass_time(cluster, clock, seconds / 4)
            now = work(cluster)
            assert now.lost_seconds == pytest.approx(told.lost_seconds), "time alone loses nothing"
            assert now.done_seconds >= told.done_seconds - 1e-6
        lost, worked = now.lost_seconds, now.done_seconds + now.lost_seconds
        succeeded = status(cluster).get("succeeded", 0)
        assert now.done_seconds >= succeeded * 50.0 - 1e-6
        assert (now.done_seconds >= 600.0 - 1e-6) == ("completionTime" in status(cluster))


def test_a_job_resumed_with_fewer_pods_takes_up_what_is_furthest_along_first() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock)
    started(cluster, clock, working(parallelism=1, completions=2, run=100.0, checkpoint=10.0))
    pass_time(cluster, clock, 40.0)
    set_spec(cluster, parallelism=2)
    pass_time(cluster, clock, 30.25)
    set_spec(cluster, suspend=True, parallelism=1)
    assert work(cluster).done_seconds == pytest.approx(70.0 + 30.0)
    set_spec(cluster, suspend=False)
    pass_time(cluster, clock, 31.0)
    assert status(cluster)["succeeded"] == 1


def on_machines(cluster: EmbeddedCluster, clock: HandClock) -> None:
    """Three pods of one core on three machines: the first at 90 s of its work, the others at 30 s and 29.75 s."""
    started(cluster, clock, working(parallelism=1, completions=9, run=100.0, checkpoint=20.0, cpu="1"))
    pass_time(cluster, clock, 59.75)
    set_spec(cluster, parallelism=2)
    pass_time(cluster, clock, 0.25)
    set_spec(cluster, parallelism=3)
    pass_time(cluster, clock, 30.0)
    where = sorted((p["status"]["startTime"], p["spec"]["nodeName"]) for p in cluster.list("v1", "Pod"))
    assert [node for _, node in where] == ["machine-0000", "machine-0001", "machine-0002"]


def test_the_pod_that_is_done_is_the_one_whose_work_ended_and_not_the_eldest() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, nodes=NodePool(3, cpu=1.0, show_pods=True))
    on_machines(cluster, clock)
    cluster.add_node("new", cpu="1", memory="8Gi")
    cluster.delete("v1", "Node", "machine-0000")  # the next pod goes on at 80 s, and is the youngest
    pass_time(cluster, clock, 21.0)
    (done,) = [p for p in cluster.list("v1", "Pod") if p["status"]["phase"] == "Succeeded"]
    assert done["spec"]["nodeName"] == "new"


def test_a_machine_that_goes_costs_the_work_of_the_pod_that_was_on_it() -> None:
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, nodes=NodePool(3, cpu=1.0, show_pods=True))
    on_machines(cluster, clock)
    before = work(cluster)
    cluster.delete("v1", "Node", "machine-0002")
    cluster.step()
    assert work(cluster).lost_seconds == pytest.approx(9.75)
    assert work(cluster).done_seconds == pytest.approx(before.done_seconds - 9.75)
