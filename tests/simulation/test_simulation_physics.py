"""The physics of pods: nothing is lost, nothing is made up, and the limits hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.simulation.physics import Physics, WorkloadView, fair_shares

T0 = 1_573_400_000.0


def seconds_until_ready(physics: Physics, wanted: dict[str, int]) -> float:
    now = T0
    while any(physics.view(key).ready < count for key, count in wanted.items()):
        at = physics.next_change()
        assert at is not None, "nothing will ever happen, and pods are missing"
        physics.advance(now := at)
    return now - T0


def test_twenty_workloads_that_step_together_wait_for_one_limit() -> None:
    """Measured on a real control plane at stock rates: 53 s for 20 x 50 pods, 7 s for one."""
    together = Physics()
    for i in range(20):
        together.set_workload(f"w{i}", now=T0, replicas=50, start_seconds=3.0)
    assert seconds_until_ready(together, {f"w{i}": 50 for i in range(20)}) == pytest.approx(53.0, abs=1.0)
    alone = Physics()
    alone.set_workload("w", now=T0, replicas=50, start_seconds=3.0)
    assert seconds_until_ready(alone, {"w": 50}) == pytest.approx(5.5, abs=1.0)


def test_a_pod_is_ready_its_start_time_after_it_was_scheduled() -> None:
    physics = Physics(creation_rate=100.0)
    physics.set_workload("order", now=T0, replicas=25, start_seconds=45.0)
    physics.advance(T0 + 45.2)
    assert physics.view("order") == WorkloadView(wanted=25, created=25, scheduled=25, ready=0, unschedulable=0)
    physics.advance(T0 + 45.25)
    assert physics.view("order").ready == 25


def test_lowering_takes_what_is_not_ready_and_then_the_youngest() -> None:
    physics = Physics(creation_rate=100.0)
    physics.set_workload("order", now=T0, replicas=10, start_seconds=5.0)
    physics.advance(T0 + 10)
    physics.set_workload("order", now=T0 + 10, replicas=30, start_seconds=60.0)
    physics.advance(T0 + 20)
    assert physics.view("order") == WorkloadView(30, 30, 30, 10, 0)
    physics.set_workload("order", now=T0 + 20, replicas=12, start_seconds=60.0)
    assert physics.view("order") == WorkloadView(12, 12, 12, 10, 0)
    physics.set_workload("order", now=T0 + 20, replicas=7, start_seconds=60.0)
    assert physics.view("order") == WorkloadView(7, 7, 7, 7, 0)


def test_pods_that_never_get_ready_do_so_once_the_fault_is_gone() -> None:
    physics = Physics(creation_rate=100.0)
    physics.set_workload("order", now=T0, replicas=5, start_seconds=5.0, never_ready=True)
    physics.advance(T0 + 3600)
    assert physics.view("order").ready == 0
    assert physics.next_change() is None
    physics.set_workload("order", now=T0 + 3600, replicas=5, start_seconds=5.0)
    physics.advance(T0 + 3605)
    assert physics.view("order").ready == 5


def test_without_new_machines_pods_wait_until_others_leave() -> None:
    physics = Physics(creation_rate=100.0, capacity_units=10.0)
    physics.set_workload("data", now=T0, replicas=8, start_seconds=0.0)
    physics.advance(T0 + 1)
    physics.set_workload("order", now=T0 + 1, replicas=4, start_seconds=0.0)
    physics.advance(T0 + 100)
    assert physics.view("order") == WorkloadView(4, 4, 2, 2, 2)
    physics.set_workload("data", now=T0 + 100, replicas=5, start_seconds=0.0)
    physics.advance(T0 + 100)
    assert physics.view("order") == WorkloadView(4, 4, 4, 4, 0)


def test_machines_come_after_their_time_and_just_enough_of_them() -> None:
    physics = Physics(creation_rate=1000.0, capacity_units=4.0, machine_seconds=90.0)
    physics.set_workload("order", now=T0, replicas=10, start_seconds=5.0, size=2.0)
    physics.advance(T0 + 90.2)
    assert physics.view("order").scheduled == 2
    physics.advance(T0 + 90.25)
    assert physics.view("order").scheduled == 10
    assert physics.spare_units == 0.0
    physics.advance(T0 + 95.25)
    assert physics.view("order").ready == 10


def test_removed_workloads_leave_nothing_behind() -> None:
    physics = Physics(capacity_units=10.0)
    physics.set_workload("order", now=T0, replicas=20)
    physics.advance(T0 + 1)
    physics.remove("order", now=T0 + 1)
    physics.remove("order", now=T0 + 1)
    assert physics.view("order") == WorkloadView(0, 0, 0, 0, 0)
    assert physics.spare_units == 10.0
    assert physics.next_change() is None


def test_every_change_is_told_at_its_own_instant_however_late_it_is_worked_out() -> None:
    physics, seen = Physics(creation_rate=4.0), []
    physics.on_change = lambda at: seen.append((at - T0, physics.view("order").ready))
    physics.set_workload("order", now=T0, replicas=2, start_seconds=1.0)
    physics.advance(T0 + 100)
    assert seen == [(0.0, 0), (0.25, 0), (0.5, 0), (1.25, 1), (1.5, 2)]


changes = st.lists(
    st.tuples(
        st.floats(0.0, 30.0),
        st.sampled_from(["a", "b", "c"]),
        st.one_of(st.none(), st.integers(0, 60)),
        st.floats(0.0, 20.0),
        st.booleans(),
    ),
    max_size=12,
)


@given(changes, st.sampled_from([0.7, 20.0, 100.0]), st.sampled_from([None, 25.0]), st.sampled_from([0.0, 15.0]))
def test_pods_are_conserved_and_every_limit_holds(
    script: list[tuple[float, str, int | None, float, bool]], rate: float, room: float | None, machines: float
) -> None:
    physics, now, created_before = Physics(creation_rate=rate, capacity_units=room, machine_seconds=machines), T0, 0
    for pause, key, replicas, start, never in script:
        now += pause
        physics.advance(now)
        created = sum(physics.view(k).created for k in "abc")
        assert created - created_before <= rate * (pause + max(0.25, 1 / rate)) + 1
        if replicas is None:
            physics.remove(key, now=now)
        else:
            physics.set_workload(key, now=now, replicas=replicas, start_seconds=start, never_ready=never)
            assert physics.view(key).wanted == replicas
        for view in map(physics.view, "abc"):
            assert 0 <= view.ready <= view.scheduled <= view.created <= view.wanted
            assert view.unschedulable == view.created - view.scheduled
        created_before = sum(physics.view(k).created for k in "abc")
        if room is not None and not machines:
            assert sum(physics.view(k).scheduled for k in "abc") == room - physics.spare_units <= room


@given(changes, st.lists(st.floats(0.0, 5.0), max_size=30))
def test_asking_more_often_changes_nothing(
    script: list[tuple[float, str, int | None, float, bool]], pauses: list[float]
) -> None:
    seldom, often, now, asked = Physics(capacity_units=30.0), Physics(capacity_units=30.0), T0, T0
    for pause, key, replicas, start, never in script:
        now += pause
        for more in pauses:
            asked = max(asked, min(now, asked + more))
            often.advance(asked)
        for physics in (seldom, often):
            physics.set_workload(key, now=now, replicas=replicas or 0, start_seconds=start, never_ready=never)
    for physics in (seldom, often):
        physics.advance(now + 13)
    assert [seldom.view(k) for k in "abc"] == [often.view(k) for k in "abc"]


@given(changes)
def test_left_alone_everybody_gets_what_was_asked(
    script: list[tuple[float, str, int | None, float, bool]],
) -> None:
    physics, now = Physics(), T0
    for pause, key, replicas, start, _ in script:
        now += pause
        physics.set_workload(key, now=now, replicas=replicas or 0, start_seconds=start)
    physics.advance(now + 3600)
    assert physics.next_change() is None
    for view in map(physics.view, "abc"):
        assert view.ready == view.wanted


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 200), st.integers(0, 1000))
def test_shares_are_complete_and_fair(wanted: list[int], budget: int, turn: int) -> None:
    shares = fair_shares(wanted, budget, turn)
    assert sum(shares) == min(budget, sum(wanted))
    assert all(0 <= share <= want for share, want in zip(shares, wanted, strict=True))
    unmet = [share for share, want in zip(shares, wanted, strict=True) if share < want]
    if unmet:
        assert max(shares) <= min(unmet) + 1


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="creation_rate"):
        Physics(creation_rate=0.0)
    with pytest.raises(ValueError, match="replicas"):
        Physics().set_workload("order", now=T0, replicas=-1)


def test_stopped_pods_leave_the_counts_at_once_and_their_room_after_their_stop_time() -> None:
    physics = Physics(creation_rate=100.0, capacity_units=10.0)
    physics.set_workload("order", now=T0, replicas=10, start_seconds=0.0, stop_seconds=30.0)
    physics.advance(T0 + 1)
    physics.set_workload("order", now=T0 + 1, replicas=4, start_seconds=0.0, stop_seconds=30.0)
    physics.set_workload("batch", now=T0 + 1, replicas=6, start_seconds=0.0)
    physics.advance(T0 + 30.9)
    assert physics.view("order") == WorkloadView(4, 4, 4, 4, 0, stopping=6)
    assert physics.view("batch") == WorkloadView(6, 6, 0, 0, 6)
    physics.advance(T0 + 31)
    assert physics.view("order") == WorkloadView(4, 4, 4, 4, 0)
    assert physics.view("batch") == WorkloadView(6, 6, 6, 6, 0)
    physics.remove("order", now=T0 + 31)
    assert physics.view("order") == WorkloadView(0, 0, 0, 0, 0, stopping=4)
    physics.advance(T0 + 61)
    assert physics.spare_units == 4.0


def test_pods_that_come_to_their_end_leave_at_once_and_nobody_replaces_them() -> None:
    physics = Physics(creation_rate=100.0)
    physics.set_workload("batch", now=T0, replicas=10, start_seconds=0.0, stop_seconds=30.0)
    physics.advance(T0 + 1)
    physics.finish("batch", now=T0 + 2, position=3, count=4)
    physics.advance(T0 + 60)
    assert physics.view("batch") == WorkloadView(6, 6, 6, 6, 0)
