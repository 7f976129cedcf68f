"""The planner against an exhaustive check of small pools: it refuses only where there is no timetable, and keeps its
own.
"""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pools import NS, facts, job, lane, pool
from shift_oracle import Case, timetable_exists

from tidegate.planning.shift.asks import asks_of
from tidegate.planning.shift.model import (
    Drain,
    Lane,
    LaneUse,
    Mark,
    Member,
    Need,
    NeedStep,
    Notice,
    Pool,
    PoolFacts,
    amount_at,
    base_of,
    floor_of,
)
from tidegate.planning.shift.outcome import PoolPlan
from tidegate.planning.shift.pieces import pieces_of
from tidegate.planning.shift.plan import plan_pool
from tidegate.planning.shift.resources import NOTHING, Resources, total
from tidegate.planning.shift.served import Standing

NOW = 100
END = NOW + 12

sizes = st.builds(Resources, st.integers(1, 3), st.integers(1, 3))


@st.composite
def lenders(draw: st.DrawFn, name: str) -> Lane:
    drain = Drain(draw(st.integers(0, 3)), draw(st.integers(0, 5)), draw(st.integers(0, 2)))
    return lane(
        name, guarantee=draw(st.sampled_from([0, 20, 40])), drain=drain, give_back_within=draw(st.integers(0, 6))
    )


@st.composite
def works(draw: st.DrawFn, number: int, lanes: list[Lane]) -> Member:
    """A Job that runs, was told, drains or is out."""
    size, its = draw(sizes), draw(st.sampled_from(lanes))
    since = NOW - draw(st.sampled_from([0, 1, 3, 50]))
    late = {"finish_by": draw(st.integers(NOW + 3, END + 8)), "remaining": 0.0} if draw(st.integers(0, 4)) == 0 else {}
    kind = draw(st.sampled_from(["runs", "runs", "told", "drains", "out"]))
    if kind == "runs":
        return job(f"job-{number}", size, lane=its.name, running_since=since, **late)
    if kind == "told":
        mark = Mark(1, 1, 0.0, (Notice(0, NOW - draw(st.integers(0, 3))),), (), NOW, NOW, NOW)
        return job(f"job-{number}", size, lane=its.name, running_since=since, mark=mark, **late)
    ago = draw(st.integers(0, 3))
    if kind == "drains" and its.drain.seconds > ago:
        free_by = NOW - ago + its.drain.seconds
        mark = Mark(1, 0, NOW - ago, (), (Notice(0, NOW - ago),), free_by, NOW, NOW)
        return job(f"job-{number}", size, lane=its.name, running_since=since, level=0, mark=mark, **late)
    mark = Mark(1, 0, NOW - 10.0, (), (), NOW - 5.0, NOW - ago, NOW + 5.0)
    return job(f"job-{number}", size, lane=its.name, running_since=since, level=0, used=NOTHING, mark=mark, **late)


@st.composite
def small_pools(draw: st.DrawFn) -> tuple[Pool, PoolFacts, tuple[Need, ...]]:
    lending = [draw(lenders("data")), draw(lenders("reports"))][: draw(st.integers(1, 2))]
    borrowing = [lane("trading", guarantee=draw(st.sampled_from([0, 30]))), lane("ads", guarantee=10)]
    members = [draw(works(n, lending)) for n in range(draw(st.integers(1, 4)))]
    standing = LaneUse(standing=draw(sizes))
    use = total(m.unit for m in members) + standing.standing
    capacity = use + Resources(draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    asked = []
    for n in range(draw(st.integers(1, 3))):
        start = draw(st.integers(NOW, END - 2))
        until = draw(st.integers(start + 1, END))
        amount = Resources(draw(st.integers(1, 6)), draw(st.integers(0, 6)))
        its = draw(st.sampled_from(borrowing)).name
        asked.append(Need(f"{NS}/core/t{n}@{start}", its, NS, (NeedStep(start, until, amount),)))
    the_pool, seen = pool(*borrowing, *lending), facts(capacity, *members, trading=standing)
    for one in lending:  # a lane that is below its guarantee already is no state that the plan leads to
        out = total(m.unit for m in seen.of_lane(one.name) if m.asked == 0)
        assume(out.fits(base_of(one, seen) - floor_of(one, seen)))
    return the_pool, seen, tuple(asked)


def case_of(the_pool: Pool, seen: PoolFacts, load: list[NeedStep]) -> Case:
    bases = {one.name: base_of(one, seen) for one in the_pool.lanes}
    return Case(
        pieces=pieces_of(the_pool, seen, NOW),
        limits={one.name: bases[one.name] - floor_of(one, seen) for one in the_pool.lanes},
        free=seen.capacity - total(bases.values()),
        loads=[amount_at(load, second) for second in range(NOW, END)],
        now=NOW,
    )


def loads_of(
    the_pool: Pool, seen: PoolFacts, asked: tuple[Need, ...], plan: PoolPlan
) -> list[tuple[bool, list[NeedStep]]]:
    """(granted in full and in time, load with all that was granted before) of each ask, in the planner's order."""
    load: list[NeedStep] = []
    found = []
    for ask in asks_of(the_pool, seen, asked, NOW, Standing(seen, (), NOW)):
        mine = (ask.need.key, ask.guaranteed)
        granted = any((g.key, g.guaranteed) == mine and not g.late for g in plan.grants)
        found.append((granted, [*load, *ask.steps]))
        load += ask.steps if granted else ()
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(small_pools())
def test_refused_is_only_what_no_timetable_could_serve(
    given_pool: tuple[Pool, PoolFacts, tuple[Need, ...]],
) -> None:
    the_pool, seen, asked = given_pool
    plan = plan_pool(the_pool, seen, asked, NOW)
    for granted, load in loads_of(the_pool, seen, asked, plan):
        exists = timetable_exists(case_of(the_pool, seen, load))
        assert exists or not granted, f"granted, but nothing serves {load}"
        assert granted or not exists, f"refused, but a timetable exists for {load}: {plan.refusals}"
    assert all(r.sure for r in plan.refusals)
