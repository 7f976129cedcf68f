"""How long a pool's lending excuses a short level: by the lender's own times, and never what lies free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import fault_run
import pytest
from fault_lending import SLACK, Lending
from fault_list import Fault
from fault_run import run
from fault_scene import CORES, MACHINES, Scene, Workload, draw_scene

from tidegate.planning.shift import handover
from tidegate.planning.shift.model import Lane, Mark, Member

WEB = Workload("shop", "shop-core", "web", "Deployment", False, 10, 100, 4, 60, 10.0, lane="trading", stop_seconds=5.0)
LOADER = Workload("warehouse", "", "loader", "Deployment", False, 30, 1, 1, 10, 5.0, lender=True, stop_seconds=15.0)
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


def test_machines_of_pods_that_are_leaving_do_not_lie_free() -> None:
    stage = Stage(loader=26)
    stage.run(LOADER, 30)
    assert stage.lending.asked() == MACHINES * CORES
    assert stage.excused(0.0, NOTICE)


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


def test_the_judge_finds_work_that_is_stopped_a_minute_late(monkeypatch: pytest.MonkeyPatch) -> None:
    released = handover._released

    def late(member: Member, mark: Mark, lane: Lane, now: float) -> int:
        return released(member, mark, lane, now - 60.0)

    monkeypatch.setattr(handover, "_released", late)
    assert judged(monkeypatch) == {"shop/web: 14, 18 are needed"}
