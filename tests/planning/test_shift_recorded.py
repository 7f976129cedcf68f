"""A new leader has no timetable yet: what the last one granted and lent stands until it has."""

from __future__ import annotations

from test_plan_pools import UNIT, pool, seen
from worlds import CORE, T0, event, policy, target

from tidegate.planning.decision import Plan
from tidegate.planning.model import Observed, Ref
from tidegate.planning.plan import make_plan
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.handover import Do
from tidegate.planning.shift.model import Mark, Notice, Promised
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.world import PoolWorld, World

OWNER = f"{CORE.namespace}/{CORE.name}/order"
JOB = Ref("batch/v1", "Job", "warehouse", "job-0")


def first(now: float, *, marks: dict[Ref, Mark], promises: tuple[Promise, ...], cluster: PoolSeen) -> Plan:
    """The first decision of a leader; one event needs fifteen units from T0 on, of twenty of which ten hold Jobs."""
    core = policy(target(lane="trading"), pool=pool().name)
    there = Observed(level=2, ready=2, desired=2, unit=UNIT)
    worlds = {pool().name: PoolWorld(pool(), cluster, marks=marks, promises=promises)}
    show = event(level=1500.0)
    return make_plan(World({CORE: core}, {show.key: show}, {(CORE, "order"): there}, pools=worlds), now)


def out(until: float) -> Mark:
    """A Job that was stopped a minute ago for the need, and seen free since."""
    stopped = T0 - 660.0
    promised = (Promised(until + 3600.0, 1),)
    return Mark(1, 0, stopped, stops=(Notice(0, stopped),), free_by=T0, until=until, promises=promised, needs=(OWNER,))


def without_job() -> PoolSeen:
    """Job 0 is suspended, and its machine free."""
    before = seen()
    members = tuple(
        one if one.ref != JOB else one.__class__(one.ref, one.lane, one.member, one.kind, UNIT, 0)
        for one in before.members
    )
    used = {holder: there for holder, there in before.occupancy.items() if holder.name != JOB.name}
    return PoolSeen(before.allocatable, used, members)


def test_work_that_was_stopped_for_a_need_is_not_started_before_the_need_comes() -> None:
    promises = (Promise(OWNER, T0 - 60.0, T0 + 3600.0, UNIT.times(13)),)
    plan = first(T0 - 600.0, marks={JOB: out(T0 + 3600.0)}, promises=promises, cluster=without_job())
    step = plan.pools[pool().name].step
    assert [act for act in step.acts if act.do in (Do.RESUME, Do.RECORD)] == []
    (lent,) = step.hand_overs
    assert (lent.asked, lent.deadline) == (0, T0 + 3600.0)


def test_what_was_granted_keeps_its_place() -> None:
    promises = (Promise(OWNER, 0.0, T0 + 3600.0, UNIT.times(13)),)
    plan = first(T0 + 60.0, marks={}, promises=promises, cluster=seen())
    (kept, *_) = plan.pools[pool().name].plan.grants
    assert (kept.promised, kept.steps[0].amount, kept.steps[0].end) == (True, UNIT.times(13), T0 + 3600.0)


def test_a_promise_of_who_asks_for_nothing_any_more_is_nobodys() -> None:
    promises = (Promise("shop/gone/order", 0.0, T0 + 3600.0, UNIT.times(13)),)
    plan = first(T0 - 600.0, marks={}, promises=promises, cluster=seen())
    assert all(grant.owner == OWNER for grant in plan.pools[pool().name].plan.grants)


def test_work_whose_need_is_gone_is_started_again() -> None:
    plan = first(T0 - 600.0, marks={JOB: out(T0 + 3600.0)}, promises=(), cluster=without_job())
    assert [act.do for act in plan.pools[pool().name].step.acts] == [Do.RESUME]
