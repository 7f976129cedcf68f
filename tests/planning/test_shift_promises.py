"""The promises of a pool, held against random nights by a pool that obeys: up to six lanes and twenty overlapping
needs, pods that leave late, a leader that dies anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pools import Killed, ObedientPool, _Work, cores, job, lane, loader, need, pool

from tidegate.planning.shift.model import Drain, MemberKind, amount_at
from tidegate.planning.shift.outcome import Grant, PoolPlan
from tidegate.planning.shift.resources import NOTHING, Resources, total

T0 = 1_794_240_000.0
NIGHT = 4 * 3600.0


@st.composite
def nights(draw: st.DrawFn) -> ObedientPool:
    borrowers = [lane(name, guarantee=draw(st.sampled_from([0, 10, 20]))) for name in ("trading", "ads", "search")][
        : draw(st.integers(1, 3))
    ]
    lenders = [
        lane(
            name,
            guarantee=draw(st.sampled_from([0, 5, 13])),
            drain=Drain(draw(st.sampled_from([0.0, 120.0, 600.0])), draw(st.sampled_from([0.0, 300.0, 900.0])), 60.0),
            give_back_within=draw(st.sampled_from([600.0, 3600.0])),
        )
        for name in ("data", "reports", "training")
    ][: draw(st.integers(1, 3))]
    works = []
    for n in range(draw(st.integers(1, 24))):
        size = Resources(1000 * draw(st.integers(1, 4)), 1024 * draw(st.integers(1, 8)))
        since = T0 - draw(st.sampled_from([0.0, 200.0, 800.0, 9000.0]))
        works.append(job(f"job-{n:02}", size, lane=draw(st.sampled_from(lenders)).name, running_since=since))
    works.append(loader(units=draw(st.integers(1, 12))))
    capacity = total(w.used for w in works) + cores(draw(st.integers(0, 10)))
    needs = []
    for n in range(draw(st.integers(1, 20))):
        start = T0 + 60.0 * draw(st.integers(0, 150))
        end = start + 60.0 * draw(st.integers(1, 80))
        amount = cores(draw(st.integers(1, 12)))
        needs.append(need(f"t{n:02}", start, end, amount, lane=draw(st.sampled_from(borrowers)).name))
    return ObedientPool(
        pool(*borrowers, *lenders),
        capacity,
        {w.ref: _Work(w) for w in works},
        tuple(needs),
        random.Random(draw(st.integers(0, 10_000))),
    )


def live(
    night: ObedientPool, *, deaths: int = 0, each: Callable[[float, PoolPlan], None] = lambda now, plan: None
) -> None:
    """Run a night to its end, and on until everything is returned; every promise is looked at at every beat."""
    dice, left = random.Random(deaths), [deaths]

    def survives() -> bool:
        if left[0] and dice.random() < 0.2:
            left[0] -= 1
            return False
        return True

    night.survives = survives
    now = T0
    while now < T0 + NIGHT + 2 * 3600.0:
        try:
            plan, todo = night.beat(now)
        except Killed:
            look(night, now)
            now += 5.0  # a new leader
            continue
        each(now, plan)
        assert todo.balance.oversold == NOTHING, f"{now - T0:.0f}: {todo.balance}"
        look(night, now)
        if now > T0 + NIGHT and not night.marks:
            break
        due = [todo.next_at] if todo.next_at is not None else []
        now = max(now + 0.5, min([now + 300.0, night.next_change(now), *due]))


def look(night: ObedientPool, now: float) -> None:
    """What must hold at every instant, whatever was written and whatever was lost."""
    used = night.used(now)
    assert used.fits(night.capacity), f"{now - T0:.0f}: {used} used of {night.capacity}"
    for one in night.pool.lanes:
        kept = night.kept(one.name)
        assert night.floor(one.name, now).fits(kept), f"{now - T0:.0f}: lane {one.name} keeps {kept}"
    for ref, mark in night.marks.items():
        level = night.works[ref].member.level
        assert level >= mark.original or now <= mark.return_by + 300.0, f"{now - T0:.0f}: {ref} promised {mark}"


def after_all(night: ObedientPool) -> None:
    """What must hold in the end: all is returned, and no stop came too soon."""
    assert not night.marks
    for work in night.works.values():
        want = 1 if work.member.kind is MemberKind.JOB else work.member.level
        assert work.member.level == want
    for at, act, since in night.stops:
        drain = next(one.drain for one in night.pool.lanes if one.name == act.lane)
        assert at >= since + drain.minimum_run, f"{act} ran for {at - since:.0f} s only"


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(nights())
def test_never_oversold_guarantees_kept_and_all_that_is_lent_is_returned(night: ObedientPool) -> None:
    before = {ref: work.member.level for ref, work in night.works.items()}
    live(night)
    after_all(night)
    assert {ref: work.member.level for ref, work in night.works.items()} == before


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(nights(), st.integers(1, 12))
def test_a_leader_that_dies_at_any_write_books_nothing_twice_and_forgets_nothing(
    night: ObedientPool, deaths: int
) -> None:
    before = {ref: work.member.level for ref, work in night.works.items()}
    live(night, deaths=deaths)
    after_all(night)
    assert {ref: work.member.level for ref, work in night.works.items()} == before


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(nights())
def test_what_was_promised_in_time_is_there_in_time(night: ObedientPool) -> None:
    promised: list[Grant] = []

    def each(now: float, plan: PoolPlan) -> None:
        promised.extend(g for g in plan.grants if now == T0 and not g.late)
        for grant in promised:
            want = amount_at(grant.steps, now).least(amount_at(grant.steps, now + night.leaves_after))
            got = amount_at((step for g in plan.grants if g.key == grant.key for step in g.steps), now)
            assert want.nothing or want.fits(got), f"{now - T0:.0f}: {grant.key} lost its promise"
            assert want.nothing or want.fits(night.trading[grant.key]), f"{now - T0:.0f}: {grant.key} not let in"

    live(night, each=each)
