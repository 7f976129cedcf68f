"""The planner against an exhaustive search of small pools: it grants what a timetable can serve, and refuses only where
there is none.

``TIDEGATE_HUNT=5000`` looks at so many pools; by default a few hundred are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pools import NS, job, lane, loader, pool
from shift_oracle import timetable_exists

from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.asks import Ask, asks_of
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
    Promised,
    Work,
    amount_at,
)
from tidegate.planning.shift.outcome import Grant, Promise
from tidegate.planning.shift.plan import plan_pool

NOW = 100
END = NOW + 12
MALL = "mall"

Small = tuple[Pool, PoolFacts, tuple[Need, ...], tuple[Promise, ...]]

pytestmark = pytest.mark.timeout(600)  # of a machine that is busy with other things
hunting = settings(
    max_examples=int(os.environ.get("TIDEGATE_HUNT", "120")),
    derandomize="TIDEGATE_HUNT" not in os.environ,  # the gate looks at the same ones each time, a hunt at new ones
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

slack = st.sampled_from([0, 0, 0, 1, 2, -1, -2])
amounts = st.sampled_from([0, 1, 1, 2, 2, 3, 5])
sizes = st.builds(Resources, st.integers(1, 3), st.integers(1, 3))


@st.composite
def lenders(draw: st.DrawFn, name: str) -> Lane:
    drain = Drain(draw(st.integers(0, 3)), draw(st.integers(0, 5)), draw(st.integers(0, 2)))
    return lane(name, guarantee=draw(st.sampled_from([0, 0, 20, 40])), drain=drain, give_back_within=5.0)


@st.composite
def borrowers(draw: st.DrawFn, name: str) -> Lane:
    return lane(
        name,
        guarantee=draw(st.sampled_from([0, 10, 30])),
        cap=draw(st.sampled_from([None, None, None, None, None, 50])),
        allowed_namespaces=frozenset({NS, MALL}),
    )


@st.composite
def works(draw: st.DrawFn, number: int, lanes: list[Lane], names: list[str]) -> Member:
    """A Job that runs, was told, drains or is out; or a few units of which some do."""
    size, its = draw(sizes), draw(st.sampled_from(lanes))
    more = {
        "lane": its.name,
        "running_since": NOW - draw(st.sampled_from([0, 1, 3, 50])),
        "work": draw(st.sampled_from(["", *names])),
        "saved_at": draw(st.sampled_from([None, NOW, NOW - 1, NOW - 4])),
        "seen": draw(st.sampled_from([True, True, True, False])),
    }
    many = draw(st.sampled_from([1, 1, 1, 2, 3]))
    out = 0 if draw(st.booleans()) else draw(st.integers(0, many))
    left = many - out
    notices = [Notice(left - 1, NOW - draw(st.integers(0, 3)))] if left and draw(st.integers(0, 3)) == 0 else []
    mark, used = None, left
    if out:
        drains = 0 if draw(st.booleans()) else draw(st.integers(0, out))
        ago = draw(st.integers(0, 3))
        due = draw(st.integers(NOW - 1, END + 3))
        stops = (Notice(left, NOW - ago),) if drains else ()
        promises = (Promised(float(due), out),)
        mark = Mark(many, left, NOW - ago, tuple(notices), stops, NOW - 5.0, NOW + 5.0, promises, (f"{NS}/core/t0",))
        used = left + drains
    elif notices:
        mark = Mark(many, left, 0.0, tuple(notices), (), NOW, NOW)
    if many == 1:
        return job(f"job-{number}", size, level=left, used=size.times(used), mark=mark, **more)
    return loader(f"loader-{number}", left, size, used=size.times(used), mark=mark, **more)


@st.composite
def needs(draw: st.DrawFn, number: int, lanes: list[Lane]) -> Need:
    start = draw(st.integers(NOW - 1, END - 2))
    cuts = sorted(draw(st.sets(st.integers(start + 1, END), min_size=1, max_size=2)))
    steps = [
        NeedStep(a, b, Resources(draw(amounts), draw(amounts))) for a, b in zip([start, *cuts[:-1]], cuts, strict=True)
    ]
    steps = [step for step in steps if not step.amount.nothing] or [NeedStep(start, cuts[-1], CORE)]
    namespace = draw(st.sampled_from([NS, MALL]))
    return Need(f"{namespace}/core/t{number}@{start}", draw(st.sampled_from(lanes)).name, namespace, tuple(steps))


@st.composite
def small_pools(draw: st.DrawFn) -> Small:
    lending = [draw(lenders("data")), draw(lenders("reports"))][: draw(st.integers(1, 2))]
    borrowing = [draw(borrowers("trading")), draw(borrowers("ads"))][: draw(st.integers(1, 2))]
    names = ["night", "month"][: draw(st.integers(0, 2))]
    members: list[Member] = []
    for number in range(draw(st.integers(1, 4))):
        member = draw(works(number, lending, names))
        if sum(m.original for m in [*members, member]) <= 5:
            members.append(member)
    remaining = st.sampled_from([0, 3, 5, 7, 9, 11, 13, 16, 20, 25, 40])
    unknown_at_times = st.one_of(remaining, remaining, remaining, remaining, st.none())
    some = {name: Work(draw(unknown_at_times), NOW + draw(st.integers(-1, 16))) for name in names}
    lanes = {"trading": LaneUse(standing=draw(sizes)), "data": LaneUse(standing=draw(st.sampled_from([NOTHING, CORE])))}
    use = total(m.unit.times(m.original) for m in members) + total(one.standing for one in lanes.values())
    capacity = use + Resources(draw(slack), draw(slack))
    asked = tuple(draw(needs(number, borrowing)) for number in range(draw(st.integers(1, 3))))
    kept = tuple(
        Promise(n.owner, n.start, draw(st.integers(n.start + 1, END)), Resources(1, 2))
        for n in asked
        if draw(st.integers(0, 3)) == 0
    )
    reserve = draw(st.sampled_from([NOTHING, NOTHING, NOTHING, CORE]))
    facts = PoolFacts(capacity, lanes, tuple(members), some, reserve)
    return pool(*borrowing, *lending), facts, asked, kept


CORE = Resources(1, 1)


def ticks(steps: Iterable[NeedStep]) -> list[Resources]:
    found = list(steps)
    return [amount_at(found, second) for second in range(NOW, END)]


def plus(one: list[Resources], other: list[Resources]) -> list[Resources]:
    return [a + b for a, b in zip(one, other, strict=True)]


def wishes(the_pool: Pool, facts: PoolFacts, asks: list[Ask]) -> list[list[Resources]]:
    """What each ask may have, second by second, where its lane caps a namespace."""
    taken: dict[tuple[str, str], list[Resources]] = {}
    found = []
    for ask in asks:
        its = the_pool.lane(ask.need.lane)
        assert its is not None
        mine = taken.setdefault((its.name, ask.need.namespace), [NOTHING] * (END - NOW))
        wish = ticks(ask.steps)
        if its.cap is not None:
            most = facts.capacity.percent(its.cap)
            wish = [w.part_in((most - have).positive) for w, have in zip(wish, mine, strict=True)]
        taken[its.name, ask.need.namespace] = plus(mine, wish)
        found.append(wish)
    return found


def granted(grants: Iterable[Grant], ask: Ask) -> list[Resources]:
    mine = (ask.need.key, ask.guaranteed, ask.promised)
    return ticks(step for g in grants if (g.key, g.guaranteed, g.promised) == mine for step in g.steps)


@hunting
@given(small_pools())
def test_a_need_is_refused_only_where_no_timetable_serves_it(small: Small) -> None:
    the_pool, facts, asked, kept = small
    plan = plan_pool(the_pool, facts, asked, NOW, promises=kept)
    asks = asks_of(the_pool, facts, asked, kept, NOW)
    allowed = wishes(the_pool, facts, asks)
    before = [NOTHING] * (END - NOW)
    for ask, wish in zip(asks, allowed, strict=True):
        got = granted(plan.grants, ask)
        if got != wish:  # the first in line that is cut
            assert not timetable_exists(the_pool, facts, plus(before, wish), NOW), f"{ask} refused: {plan.refusals}"
            break
        before = plus(before, got)
    served = [NOTHING] * (END - NOW)
    for ask in asks:
        served = plus(served, granted(plan.grants, ask))
    if plan.grants:
        assert timetable_exists(the_pool, facts, served, NOW), f"granted, but nothing serves {served}"
    assert all(refusal.sure for refusal in plan.refusals)
