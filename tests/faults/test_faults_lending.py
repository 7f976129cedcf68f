"""How long a pool's lending excuses a short level: by the lender's own times, and never what lies free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import fault_run
import pytest
from fault_lending import SLACK, Lending
from fault_list import Fault
from fault_run import run
from fault_scene import CORES, MACHINES, Scene, Show, Workload, draw_scene

from tidegate.control.poolwork import PoolWork
from tidegate.planning.resources import Resources
from tidegate.planning.shift import handover
from tidegate.planning.shift.model import Lane, Mark, Member
from tidegate.ports import Json
from tidegate.targets import podindex
from tidegate.targets.takes import pod_takes

WEB = Workload("shop", "shop-core", "web", "Deployment", False, 10, 100, 4, 60, 10.0, lane="trading", stop_seconds=5.0)
LOADER = Workload("warehouse", "", "loader", "Deployment", False, 30, 1, 1, 10, 5.0, lender=True, stop_seconds=15.0)
NEW = Workload("warehouse", "", "more", "Job", False, 1, 1, 1, 1, 2.0, lender=True, stop_seconds=20.0)
NOTICE, MINIMUM_RUN = 60.0, 120.0
BROUGHT = LOADER.stop_seconds + WEB.start_seconds + SLACK
"""Seconds from a stop to the end of all patience."""
WITH_A_POOL = 2000330
"""A seed whose scene has a pool."""

pytestmark = pytest.mark.timeout(600)


@dataclass
class Stage:
    """A pool in which levels are set by hand."""

    web: int = 10
    loader: int = 30

    def __post_init__(self) -> None:
        scene = Scene(0, (WEB, LOADER), (), ("a",), pool=True)
        self.lending = Lending(scene, lambda: ((WEB, self.web), (LOADER, self.loader)))

    def run(self, one: Workload, count: int, cpu: str = "1") -> None:
        """Pods on machines."""
        spec = {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": cpu}}}]}
        for number in range(count):
            metadata = {"namespace": one.namespace, "name": f"{one.name}-{number}", "labels": {"app": one.name}}
            self.lending.pod("ADDED", {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}})

    def create(self, count: int, at: float) -> list[Workload]:
        """New Jobs, whose pods have no machine yet."""
        jobs = [replace(NEW, name=f"{NEW.name}-{number}") for number in range(count)]
        for one in jobs:
            self.lending.came(one, at)
        return jobs

    def crowd(self, count: int, at: float) -> None:
        """New Jobs, whose pods found machines at once."""
        for one in self.create(count, at):
            self.run(one, 1)
        self.lending.look(at)

    def excused(self, since: float, now: float) -> bool:
        """Whether web is excused each second from an instant to another; looked at once a second."""
        found = []
        for at in range(int(since), int(now) + 1):
            self.lending.look(float(at))
            found.append(self.lending.excuses(WEB, since, float(at)))
        return all(found)


def test_a_level_may_be_short_until_notice_drain_start_and_one_beat_are_over() -> None:
    last = NOTICE + BROUGHT
    assert Stage().excused(0.0, last - 1.0)
    assert not Stage().excused(0.0, last)


def test_work_that_had_just_started_has_its_minimum_run_first() -> None:
    stage = Stage()
    stage.lending.moved(LOADER, 26, 30, -30.0)
    last = -30.0 + MINIMUM_RUN + BROUGHT
    assert stage.excused(0.0, last - 1.0)
    assert not stage.excused(0.0, last)


def test_work_that_was_started_after_it_was_needed_excuses_nobody() -> None:
    stage = Stage()
    stage.lending.moved(LOADER, 26, 30, 50.0)
    assert not stage.excused(0.0, NOTICE + BROUGHT)


def test_a_level_may_not_be_short_of_what_lies_free() -> None:
    stage = Stage(loader=26)
    assert stage.excused(0.0, SLACK)
    assert not stage.excused(0.0, SLACK + 1.0)


def test_new_work_that_took_free_machines_excuses_as_many_units_until_other_work_can_be_gone() -> None:
    stage = Stage(loader=26)
    stage.crowd(4, 0.0)
    last = NOTICE + BROUGHT
    stage.lending.look(last)
    assert stage.lending.was_taken(WEB, 4, last - 1.0)
    assert not stage.lending.was_taken(WEB, 5, last - 1.0), "one more than was taken"
    assert not stage.lending.was_taken(WEB, 1, last)


def test_new_work_excuses_nobody_who_is_short_of_what_lies_free() -> None:
    stage = Stage(loader=25)
    stage.crowd(4, 0.0)
    stage.lending.look(SLACK)
    assert stage.lending.was_taken(WEB, 1, SLACK)
    assert not stage.lending.was_taken(WEB, 1, SLACK + 1.0)


def test_new_work_that_was_long_without_a_machine_excuses_nobody() -> None:
    stage = Stage(loader=26)
    (job,) = stage.create(1, 0.0)
    stage.lending.look(SLACK)
    stage.run(job, 1)
    stage.lending.look(SLACK + 1.0)
    assert not stage.lending.was_taken(WEB, 1, SLACK + 1.0), "it could have been held: it had nothing to lose"


def test_nobody_waits_for_the_minimum_run_of_new_work_that_fits_beside_any_need() -> None:
    stage = Stage(loader=26)
    stage.crowd(4, -30.0)
    assert stage.excused(0.0, NOTICE + BROUGHT - 1.0)
    assert not stage.excused(0.0, NOTICE + BROUGHT)
    stage = Stage(loader=25)
    stage.crowd(5, -30.0)
    last = -30.0 + MINIMUM_RUN + BROUGHT
    assert stage.excused(0.0, last - 1.0)
    assert not stage.excused(0.0, last)


def test_machines_of_pods_that_are_leaving_do_not_lie_free() -> None:
    stage = Stage(loader=26)
    stage.run(LOADER, 30)
    assert stage.lending.asked() == MACHINES * CORES
    assert stage.excused(0.0, NOTICE)


def test_what_lies_in_gaps_too_small_for_larger_pods_is_not_free() -> None:
    stage = Stage(loader=26)
    stage.lending.injected = True
    assert stage.excused(0.0, NOTICE), "4 cores are free, on five machines"
    stage = Stage(loader=24)
    stage.lending.injected = True
    assert not stage.excused(0.0, NOTICE), "6 cores are more than five gaps of 1.1"


def test_pods_count_as_they_were_admitted_and_those_that_come_like_the_largest() -> None:
    stage = Stage(web=12, loader=0)
    stage.run(WEB, 10, "1100m")
    assert stage.lending.asked() == 13.2


def test_pods_that_are_larger_than_those_before_may_make_somebody_wait() -> None:
    stage = Stage()
    stage.lending.look(10.0)
    assert stage.lending.changed_at < 0
    stage.run(WEB, 1, "1100m")
    stage.lending.look(20.0)
    stage.lending.look(30.0)
    assert stage.lending.changed_at == 20.0


def test_a_pool_carries_what_work_that_nobody_may_stop_leaves() -> None:
    stage = Stage()
    stage.run(LOADER, 12)
    stage.lending.look(1.0)
    assert stage.lending.carried == 36
    stage.lending.taken_over(LOADER.key, 12, 2.0)
    stage.lending.look(3.0)
    assert (stage.lending.carried, stage.lending.changed_at) == (28, 3.0)


def test_one_value_written_nine_times_in_ten_minutes_is_a_loop_and_steps_are_none() -> None:
    lending = Stage().lending
    assert not any(lending.loops(LOADER, 30 - step, 10.0 * step) for step in range(20))
    assert [lending.loops(LOADER, 5, 200.0 + step) for step in range(9)] == [False] * 8 + [True]


def judged(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A run in which a clock is a day ahead for two minutes: the work is given back in mid-event, and has to be told
    anew. The event goes on for long enough that all of it can come.
    """
    scene = draw_scene(WITH_A_POOL)
    shows = (replace(scene.shows[0], seconds=400.0), *scene.shows[1:])
    monkeypatch.setattr(fault_run, "draw_scene", lambda seed: replace(scene, shows=shows))
    clock = Fault(1, "clock", shows[0].start - 14.0, 113.0, {"slot": "a", "by": 86400})
    return {str(found).partition(": ")[2] for found in run(WITH_A_POOL, [clock]).findings}


def test_work_that_has_to_be_told_anew_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch) == set()


def stop_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is stopped a minute after it may be."""
    released = handover._released

    def late(member: Member, mark: Mark, lane: Lane, now: float) -> int:
        return released(member, mark, lane, now - 60.0)

    monkeypatch.setattr(handover, "_released", late)


def test_the_judge_finds_work_that_is_stopped_a_minute_late(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_late(monkeypatch)
    assert judged(monkeypatch) == {"shop/web: 14, 18 are needed"}


def crowded(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A run in which four new Jobs take the machines that lie free for an event, a minute before it."""
    crowd = {"how": "crowd", "namespace": "warehouse", "name": "nightly-00", "value": 0, "many": 4}
    return found(monkeypatch, (show(2200),), Fault(1, "lender", 502.0, 300.0, crowd))


def test_other_work_goes_in_the_stead_of_new_work_when_its_notice_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert crowded(monkeypatch) == set()


def test_the_judge_finds_work_that_goes_a_minute_late_in_the_stead_of_new_work(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_late(monkeypatch)
    assert crowded(monkeypatch) == {"below-need"}


# ---- who comes in front of lent work, and what makes it larger


def found(monkeypatch: pytest.MonkeyPatch, shows: tuple[Show, ...], fault: Fault) -> set[str]:
    """The kinds of what is found in the scene with a pool, with these shows and one fault."""
    scene = draw_scene(WITH_A_POOL)
    monkeypatch.setattr(fault_run, "draw_scene", lambda seed: replace(scene, shows=(*shows, *scene.shows[1:])))
    return {finding.kind for finding in run(WITH_A_POOL, [fault]).findings}


def show(orders: int, *, name: str = "show-0", start: float = 572.0, seconds: float = 400.0) -> Show:
    return Show("shop", "shop-core", name, start, seconds, orders)


def taken_by_an_autoscaler(monkeypatch: pytest.MonkeyPatch, *, orders: int, seconds: float) -> set[str]:
    """An autoscaler comes in front of the loader while it is lent."""
    what = {"how": "hpa", "namespace": "warehouse", "name": "loader", "value": 7}
    return found(monkeypatch, (show(orders),), Fault(1, "lender", 602.0, seconds, what))


def larger_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """New pods of the shop are larger than their template, and in mid-event more of them are needed."""
    what = {"how": "sidecar", "namespace": "shop"}
    shows = show(1600, seconds=600.0), show(600, name="more", start=772.0, seconds=300.0)
    return found(monkeypatch, shows, Fault(1, "lender", 272.0, 900.0, what))


def test_lent_work_is_left_to_an_autoscaler_and_pods_count_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_by_an_autoscaler(monkeypatch, orders=1800, seconds=300.0) == set()
    assert larger_in_the_middle(monkeypatch) == set()


def test_the_judge_finds_work_that_is_kept_from_its_autoscaler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PoolWork, "_orphans", lambda *args: iter(()))
    assert "kept-from-its-scaler" in taken_by_an_autoscaler(monkeypatch, orders=1800, seconds=300.0)


def test_the_judge_finds_work_that_is_left_at_nothing_to_an_autoscaler(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_by_an_autoscaler(monkeypatch, orders=2400, seconds=800.0) == set()
    monkeypatch.setattr(PoolWork, "_sleeps", lambda *args: False)
    assert taken_by_an_autoscaler(monkeypatch, orders=2400, seconds=800.0) == {"not-returned"}


def test_the_judge_finds_pods_that_are_counted_as_their_template_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def templated(spec: Json, status: Json) -> Resources:
        return pod_takes({**spec, "containers": [one for one in spec["containers"] if one["name"] != "sidecar"]})

    monkeypatch.setattr(podindex, "admitted_takes", templated)
    assert larger_in_the_middle(monkeypatch) == {"oversold"}
