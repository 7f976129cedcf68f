"""A return has a claim: what was lent goes back before new work of its lane, by promise, and what fits goes first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pools import CORE, ObedientPool, Running, cores, facts, job, lane, need, pool

from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.handover import RETURNS, Do, State
from tidegate.planning.shift.inputs import TimetableInputs
from tidegate.planning.shift.model import MEMBERS_MOST, Drain, LaneUse, Mark, Member, Notice, PoolFacts, Promised
from tidegate.planning.shift.outcome import PoolPlan
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.present import present
from tidegate.planning.shift.step import PoolStep, step

T0 = 1_794_240_000.0
TRADING = lane("trading")
DATA = lane("data", drain=Drain(60.0, 30.0, 30.0), give_back_within=600.0)
POOL = pool(TRADING, DATA)
NOBODY = PoolPlan(T0, "p", (), ())


def lent(name: str, *, unit: Resources = CORE, by: float = T0 + 300.0, pods: int = 0) -> Member:
    """A Job that is out, wanted back now, and promised back by then."""
    mark = Mark(1, 0, T0 - 3600.0, free_by=T0 - 3500.0, until=T0, promises=(Promised(by, 1),), needs=("shop/core/t",))
    return job(name, unit, level=0, used=unit.times(pods), mark=mark, pods=pods)


def new(name: str, *, pods: int = 0, made: float = T0 - 60.0, mark: Mark | None = None, since: float = T0) -> Member:
    level = 1 if mark is None else mark.asked
    return job(name, level=level, used=CORE.times(pods), pods=pods, running_since=since, created_at=made, mark=mark)


def at(seen: PoolFacts, now: float = T0) -> tuple[PoolStep, dict[str, Do]]:
    todo = step(POOL, seen, NOBODY, now)
    return todo, {act.ref.name: act.do for act in todo.acts}


# ---- new work of the lane


def test_new_work_that_has_no_machine_yet_waits_without_notice_while_what_was_lent_is_not_back() -> None:
    todo, done = at(facts(cores(2), lent("a"), lent("b"), new("late")))
    assert done["late"] is Do.STOP
    (stop,) = (act for act in todo.acts if act.ref.name == "late")
    assert stop.reason is Reason.WAITS_FOR_RETURNS
    assert (stop.mark.original, stop.mark.asked, stop.mark.needs) == (1, 0, (RETURNS,))
    assert stop.mark.return_by > T0 + 300.0, "its own promise lies behind theirs"


def test_new_work_that_fits_beside_all_that_was_lent_goes_on() -> None:
    _, done = at(facts(cores(3), lent("a"), lent("b"), new("late")))
    assert "late" not in done


def test_new_work_that_runs_already_is_told_first() -> None:
    _, done = at(facts(cores(2), lent("a"), lent("b"), new("late", pods=1, since=T0 - 60.0)))
    assert done["late"] is Do.NOTIFY


def test_work_that_ran_before_anything_was_lent_is_not_new() -> None:
    _, done = at(facts(cores(2), lent("a"), lent("b"), new("old", pods=1, made=T0 - 7200.0, since=T0 - 7200.0)))
    assert "old" not in done


def test_work_that_has_waited_for_a_machine_all_the_while_waits_on() -> None:
    _, done = at(facts(cores(2), lent("a"), lent("b"), new("old", made=T0 - 7200.0, since=T0 - 7200.0)))
    assert done["old"] is Do.STOP


def test_work_that_was_lent_and_is_started_again_is_not_new() -> None:
    """Its pods may have no machine for a moment."""
    _, done = at(facts(cores(2), lent("a"), new("back", made=T0 - 7200.0), new("late", pods=1)))
    assert done == {"late": Do.NOTIFY}


def test_work_of_a_lane_that_has_lent_nothing_waits_for_nobody() -> None:
    other = lane("reports", drain=Drain(60.0, 30.0, 30.0))
    mine = replace(new("late"), lane="reports")
    todo = step(pool(TRADING, DATA, other), facts(cores(2), lent("a"), lent("b"), mine), NOBODY, T0)
    assert "late" not in {act.ref.name for act in todo.acts}


def test_in_a_pool_with_more_work_than_is_planned_none_is_stopped_to_wait() -> None:
    """Whoever makes Jobs by the thousand makes us write no Loans by the thousand."""
    crowd = [new(f"late-{n:04}") for n in range(MEMBERS_MOST)]
    _, done = at(facts(cores(2), lent("a"), *crowd))
    assert Do.STOP not in done.values()


def test_new_work_has_its_turn_when_all_is_back() -> None:
    waits = Mark(1, 0, T0 - 60.0, until=T0 + 300.0, promises=(Promised(T0 + 900.0, 1),), needs=(RETURNS,))
    _, done = at(facts(cores(2), lent("a"), job("b", pods=1), new("late", mark=waits)))
    assert done == {"a": Do.RESUME}
    _, done = at(facts(cores(3), job("a", pods=1), job("b", pods=1), new("late", mark=waits)))
    assert done == {"late": Do.RESUME}


def test_new_work_has_no_turn_before_all_that_is_back_has_its_machines() -> None:
    """Started together, the pods of both would race for one machine."""
    waits = Mark(1, 0, T0 - 60.0, until=T0, promises=(Promised(T0 + 900.0, 1),), needs=(RETURNS,))
    late, back = new("late", mark=waits), job("back", pods=0, used=NOTHING, running_since=T0)
    _, done = at(facts(cores(2), job("a", pods=1), back, late))
    assert done == {}
    _, done = at(facts(cores(2), job("a", pods=1), job("back", pods=1), late))
    assert done == {"late": Do.RESUME}, "as its owner made it: its pods wait for a machine"
    _, done = at(facts(cores(2), job("a", pods=1), back, late), T0 + 900.0)
    assert done == {"late": Do.RESUME}, "its own promise is kept whoever waits"


# ---- in the order of promises


def test_what_was_promised_first_keeps_its_claim_while_something_smaller_would_fit() -> None:
    big, small = lent("big", unit=cores(4), by=T0 + 60.0), lent("small", by=T0 + 600.0)
    leaving = LaneUse(NOTHING, {}, cores(3))
    todo, done = at(facts(cores(5), big, small, trading=leaving))
    assert done == {}, "two are free: the four that are due first wait for them"
    assert {h.ref.name: h.reason for h in todo.hand_overs} == {
        "big": Reason.BORROWER_NOT_FREE,
        "small": Reason.BORROWER_NOT_FREE,
    }
    _, done = at(facts(cores(6), big, small, trading=leaving))
    assert done == {}
    _, done = at(facts(cores(8), big, small, trading=leaving))
    assert done == {"big": Do.RESUME, "small": Do.RESUME}


def test_work_whose_own_pods_do_not_leave_keeps_nobody_else_waiting_and_is_told_so() -> None:
    stuck, other = lent("stuck", by=T0 + 60.0, pods=1), lent("other", by=T0 + 600.0)
    todo, done = at(facts(cores(2), stuck, other))
    assert done == {"other": Do.RESUME}
    reasons = {h.ref.name: h.reason for h in todo.hand_overs}
    assert reasons["stuck"] is Reason.OWN_PODS_LEAVING


# ---- machines that are gone


def test_of_a_pool_that_lost_machines_what_fits_goes_back_and_the_rest_is_started_so_that_its_pods_can_be_seen() -> (
    None
):
    big, small = lent("big", unit=cores(20), by=T0 + 60.0), lent("small", by=T0 + 600.0)
    _, done = at(facts(cores(8), big, small), T0 + 10.0)
    assert done == {"small": Do.RESUME}, "until its promise is due somebody may leave"
    todo, done = at(facts(cores(8), big, small), T0 + 40.0)
    assert done == {"big": Do.RESUME, "small": Do.RESUME}
    reasons = {act.ref.name: act.reason for act in todo.acts}
    assert reasons == {"big": Reason.MACHINES_MISSING, "small": Reason.GIVING_BACK}


def test_nothing_is_started_beyond_the_machines_while_a_borrower_holds_some() -> None:
    todo, done = at(facts(cores(8), lent("big", unit=cores(20)), trading=LaneUse(NOTHING, {}, cores(1))), T0 + 400.0)
    assert done == {}
    (one,) = todo.hand_overs
    assert (one.state, one.reason) == (State.HOLD, Reason.RETURN_LATE)


# ---- a whole night


@pytest.mark.parametrize("jobs", [18, 26])
@pytest.mark.parametrize("created", [600.0, 3700.0])
def test_jobs_that_are_created_in_the_peak_or_after_it_delay_no_return(jobs: int, created: float) -> None:
    """18 cores: 18 Jobs, and as many more as come."""
    running = {one.ref: Running(one) for one in (job(f"job-{n:02}") for n in range(18))}
    night = ObedientPool(POOL, cores(18), running, (need("t", T0 + 300.0, T0 + 3600.0, cores(10)),))

    def come(it: ObedientPool) -> None:
        for n in range(18, jobs):
            late = job(f"job-{n:02}", used=NOTHING, running_since=T0 + created, created_at=T0 + created)
            it.running[late.ref] = Running(late, waiting=1)

    night.upsets = [(T0 + created, come)]
    now, late_units = T0, 0.0
    while now < T0 + 3 * 3600.0:
        night.beat(now)
        for ref, mark in night.marks.items():
            if mark.needs != (RETURNS,) and now > mark.due_back and night.running[ref].member.level < mark.original:
                late_units += 1
        now += 5.0
    assert late_units == 0, "no promise was broken"
    first = [night.running[one.ref] for one in (job(f"job-{n:02}") for n in range(18))]
    assert all(work.member.level == 1 and not work.waiting for work in first)
    rest = [work for work in night.running.values() if work not in first]
    assert all(work.member.level == 1 for work in rest), "and the others have their turn, when there is a machine"
    assert not night.marks


# ---- work whose pods wait for a machine


def full(*more: Member) -> TimetableInputs:
    """Forty cores in mid-event: trading has 26 of them and work has 14: there is no machine for more."""
    told = LaneUse(cores(14), {"shop/core/web": cores(12)}, cores(26))
    work = [job(f"old-{n}", pods=1) for n in range(14)]
    show = need("web", T0 - 300.0, T0 + 1800.0, cores(12))
    return TimetableInputs(POOL, facts(cores(40), *work, *more, trading=told), (show,), (), T0, 0.0)


def test_work_that_waits_for_a_machine_takes_none_from_what_runs_nor_from_a_need_that_is_served() -> None:
    """It came in mid-event, into a full pool. All that was asked for stands, and goes on standing."""
    late = [new(f"late-{n}") for n in range(4)]
    inputs = full(*late)
    made = timetable(inputs)
    assert made.plan.refusals == ()
    assert set(made.plan.lendings) == {one.ref for one in late}
    for (one,) in made.plan.lendings.values():
        assert (one.notify_at, one.stop_at, one.free_by) == (T0, T0, T0)
    todo = step(POOL, inputs.facts, present(replace(inputs, standing=made)), T0)
    assert {act.ref.name: act.do for act in todo.acts} == {one.ref.name: Do.STOP for one in late}


def test_work_that_waits_is_not_counted_on_for_later_because_it_may_run_by_then() -> None:
    """Whoever is to stop then is told in time, or is stopped now."""
    show = need("web", T0 + 95.0, T0 + 1800.0, cores(4))
    quiet = LaneUse(cores(10), {}, cores(10))
    work = [job(f"old-{n}", pods=1) for n in range(14)]
    late = [new(f"late-{n}") for n in range(4)]
    inputs = TimetableInputs(POOL, facts(cores(24), *work, *late, trading=quiet), (show,), (), T0, 0.0)
    plan = timetable(inputs).plan
    assert plan.refusals == ()
    lendings = [(ref.name, one) for ref, ones in plan.lendings.items() for one in ones]
    assert len(lendings) == 8, "four that wait for a machine, and four machines"
    told = [one for name, one in lendings if one.stop_at > T0]
    assert len(told) >= 4
    assert all(one.notify_at == T0 and one.stop_at >= T0 + 60.0 for one in told)
    assert all(name.startswith("late") for name, one in lendings if one.stop_at <= T0)


def test_work_that_runs_has_its_notice_and_is_missed_until_then() -> None:
    late = [new(f"late-{n}", pods=1, since=T0 - 30.0) for n in range(4)]
    made = timetable(full(*late))
    assert made.plan.refusals
    assert all(one.stop_at >= T0 + 60.0 for ones in made.plan.lendings.values() for one in ones)


def test_a_timetable_is_made_anew_when_work_finds_a_machine() -> None:
    assert full(new("late", pods=0)).digest != full(new("late", pods=1)).digest


def test_a_stop_under_way_of_work_without_a_pod_is_nothing_to_wait_for() -> None:
    """Its object still says that it may run; nothing of it stands anywhere."""
    mark = Mark(1, 0, T0 - 1.0, stops=(Notice(0, T0 - 1.0),), promises=(Promised(T0 + 2400.0, 1),), until=T0 + 1800.0)
    late = [replace(new(f"late-{n}", mark=mark), level=1) for n in range(4)]
    assert timetable(full(*late)).plan.refusals == ()
    there = [replace(one, pods=1, used=CORE) for one in late]
    assert timetable(full(*there)).plan.refusals
