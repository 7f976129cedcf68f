"""One start or drain that hung, and a clock that was stepped, are not learned as what is usual."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Thing, operator, run_until
from test_control_drains import loan
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.doubts import AGREEING, APART, BACK, FAR, LEAST, UNSEEN
from tidegate.control.drains import Drains
from tidegate.control.stopwatch import Stopwatch
from tidegate.planning.model import Evidence, Measured, Ref
from tidegate.planning.reasons import Reason

KEY = (CORE, "order")
POD = Ref("v1", "Pod", NS, "order-1")
KNOWN = (Measured(8, 30.0, ordered=False), Measured(8, 34.0, ordered=False))
HOURS = 7200.0
HOUR = 3600.0


def says(reason: Reason, since: float = 0.0) -> tuple[Evidence, ...]:
    return (Evidence(reason, POD, "", reason.value, since, since),)


def watching() -> Stopwatch:
    made = Stopwatch()
    made.recall({KEY: KNOWN})
    made.know({KEY: 60.0})
    return made


def start(
    watch: Stopwatch,
    seconds: float,
    *,
    begin: float = 0.0,
    evidence: tuple[Evidence, ...] = (),
    every: float = 15.0,
    ordered: bool = False,
) -> None:
    """A step of eight that is ready after so long, looked at all the while; a third of the time something is told."""
    watch.written(KEY, level=10, there=2, now=begin)
    at = every
    while at < seconds:
        told = evidence if at < seconds / 3 else ()
        watch.seen(KEY, ready=2, now=begin + at, evidence=told, ordered=ordered)
        at += every
    watch.seen(KEY, ready=10, now=begin + seconds, ordered=ordered)


# ---- starts


@pytest.mark.parametrize("seconds", [90.0, HOURS])
@pytest.mark.parametrize(
    "reason",
    [
        Reason.IMAGE_PULL_FAILED,
        Reason.CONTAINERS_FAIL,
        Reason.PODS_UNSCHEDULABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.PODS_REFUSED,
    ],
)
def test_a_start_that_something_kept_from_being_ready_teaches_nothing(reason: Reason, seconds: float) -> None:
    watch = watching()
    for day in range(5):
        start(watch, seconds, begin=day * 86_400.0, evidence=says(reason, day * 86_400.0))
    assert watch.samples() == {KEY: KNOWN}
    start(watch, 40.0, begin=1e6)
    assert watch.samples()[KEY][2:] == (Measured(8, 40.0, ordered=False),), "and the next one does"


@pytest.mark.parametrize("reason", [Reason.PODS_NEVER_READY, Reason.SCALER_UNABLE])
def test_pods_that_are_starting_and_a_scaler_that_says_something_of_itself_spoil_nothing(reason: Reason) -> None:
    watch = watching()
    start(watch, 90.0, evidence=says(reason))
    assert watch.samples()[KEY][2:] == (Measured(8, 90.0, ordered=False),)


def test_a_pod_without_a_machine_for_a_moment_is_a_start_like_any_other() -> None:
    watch = watching()
    start(watch, 90.0, evidence=says(Reason.PODS_UNSCHEDULABLE, 20.0), every=25.0)
    assert watch.samples()[KEY][2:] == (Measured(8, 90.0, ordered=False),)


def test_what_is_told_once_all_units_are_ready_is_of_others() -> None:
    watch = watching()
    watch.written(KEY, level=10, there=2, now=0.0)
    watch.seen(KEY, ready=10, now=40.0, evidence=says(Reason.QUOTA_EXCEEDED))
    assert watch.samples()[KEY][2:] == (Measured(8, 40.0, ordered=False),)


@pytest.mark.parametrize("step", [HOUR, -HOUR, 2 * UNSEEN, -2 * BACK])
def test_a_clock_that_was_stepped_in_mid_measurement_teaches_nothing(step: float) -> None:
    watch = watching()
    watch.written(KEY, level=10, there=2, now=10_000.0)
    watch.seen(KEY, ready=2, now=10_015.0)
    for at in (30.0, 45.0):
        watch.seen(KEY, ready=2, now=10_000.0 + at + step)
    watch.seen(KEY, ready=10, now=10_060.0 + step)
    assert watch.samples() == {KEY: KNOWN}


def test_where_the_clock_runs_fast_its_seconds_pass_between_two_looks() -> None:
    watch, drains = watching(), Drains(speed=600.0)
    watch.speed = 600.0
    watch.know({KEY: HOUR})
    start(watch, HOURS, every=2 * UNSEEN)
    assert watch.samples()[KEY][2:] == (Measured(8, HOURS, ordered=False),)
    drain(drains, 0, 600.0, every=2 * UNSEEN)
    assert seen(drains) == [600.0]


def test_a_loop_measures_by_the_speed_of_its_clock() -> None:
    cluster = FakeCluster(HandClock(T0), {})
    loop = operator(cluster, FakeStore({}, {}))
    assert (loop.stopwatch.speed, loop.memory.drains.speed) == (1.0, 1.0)
    sped = replace(loop, settings=replace(loop.settings, speed=60.0), stopwatch=Stopwatch())
    assert (sped.stopwatch.speed, sped.memory.drains.speed) == (60.0, 60.0)


def test_what_became_ready_while_nobody_could_look_teaches_nothing() -> None:
    watch = watching()
    watch.written(KEY, level=10, there=2, now=0.0)
    watch.seen(KEY, ready=None, now=200.0)
    watch.seen(KEY, ready=10, now=2 * UNSEEN)
    assert watch.samples() == {KEY: KNOWN}


def test_a_start_far_from_all_that_is_usual_is_believed_once_it_was_so_three_times_in_a_row() -> None:
    """A guess may be wrong; a readiness gate that nobody opened for two hours is no start time."""
    watch, far = watching(), FAR * LEAST + 100.0
    for day, seconds in enumerate((far, far, 35.0, far, far)):
        start(watch, seconds, begin=day * 86_400.0)
    assert [one.seconds for one in watch.samples()[KEY]] == [30.0, 34.0, 35.0]
    start(watch, far, begin=6 * 86_400.0)
    assert [one.seconds for one in watch.samples()[KEY]] == [30.0, 34.0, 35.0, *[far] * AGREEING]


def test_a_large_guess_and_units_that_start_one_after_the_other_make_more_usual() -> None:
    watch = watching()
    watch.know({KEY: 800.0})
    start(watch, HOURS)
    assert watch.samples()[KEY][2:] == (Measured(8, HOURS, ordered=False),)
    watch = watching()
    start(watch, 8 * FAR * LEAST, ordered=True)
    assert [one.seconds for one in watch.samples()[KEY]] == [8 * FAR * LEAST]


@pytest.mark.parametrize("mended", [300.0, HOURS])
async def test_pods_that_hang_until_somebody_mends_them_do_not_count_as_a_start(mended: float) -> None:
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing(start_seconds=1e9)})
    show = event(duration=4 * HOUR)
    loop = operator(cluster, FakeStore({CORE: policy(target())}, {show.key: show}))
    thing = cluster.things["order"]
    thing.evidence = says(Reason.IMAGE_PULL_FAILED, T0)
    await run_until(loop, cluster.clock, T0 + mended)
    assert loop.stopwatch.runs_for([KEY])
    thing.evidence, thing.ready = (), thing.level
    await run_until(loop, cluster.clock, T0 + mended + 60.0)
    assert not loop.stopwatch.runs_for([KEY])
    assert loop.stopwatch.samples() == {}


# ---- drains


def drain(drains: Drains, number: int, seconds: float, *, stopped: float = 1000.0, every: float = 15.0) -> None:
    """Work that was stopped and is gone after so long, looked at all the while."""
    at = every
    while at < seconds:
        drains.holds(loan(number, stopped), now=stopped + at)
        at += every
    drains.free(loan(number, stopped), now=stopped + seconds, looked=stopped - 1.0, guess=60.0)


def seen(drains: Drains) -> list[float]:
    return [one for measured in drains.samples().values() for one in measured]


def test_work_that_hangs_on_its_machines_for_hours_is_no_drain_the_first_time_however_much_of_it() -> None:
    drains = Drains()
    drain(drains, 0, 14.0)
    for number in range(1, 10):
        drain(drains, number, HOURS + number)
    assert seen(drains) == [14.0], "one node that hangs is one hang"
    for day in (1, 2):
        drain(drains, 10 + day, HOURS, stopped=day * 86_400.0)
    assert seen(drains) == [14.0, HOURS + 9.0, HOURS, HOURS], "that it takes so long is believed on the third day"


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("holds_after", [0, 3])
def test_a_clock_that_was_stepped_while_work_drained_teaches_nothing(step: float, holds_after: int) -> None:
    drains, one = Drains(), loan(0, 10_000.0)
    drains.holds(one, now=10_015.0)
    for look in range(holds_after):
        drains.holds(one, now=10_030.0 + step + 15.0 * look)
    drains.free(one, now=10_090.0 + step, looked=10_015.0, guess=1000.0)
    assert seen(drains) == []


def test_what_hung_within_an_hour_counts_once() -> None:
    drains = Drains()
    for number in range(2 * AGREEING):
        drain(drains, number, HOURS, stopped=1000.0 + number * APART / 10)
    assert seen(drains) == []
