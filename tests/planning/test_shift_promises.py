"""The promises of a pool, held against random nights by a pool that obeys: up to six lanes and twenty overlapping
needs, pods that leave late, events that change, machines that go, and a leader that dies anywhere.

``TIDEGATE_HUNT=200`` looks at so many nights of each kind; by default a few.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pools import Killed, ObedientPool, Running, cores, job, lane, loader, need, pool

from tidegate.planning.resources import NAMES, NOTHING, Resources, total
from tidegate.planning.shift.model import Drain, Need, NeedStep, amount_at
from tidegate.planning.shift.outcome import PoolPlan
from tidegate.planning.shift.plan import plan_pool
from tidegate.planning.shift.step import PoolStep

T0 = 1_794_240_000.0
NIGHT = 2 * 3600.0
BEAT = 600.0
"""Seconds between looks when nothing is due before: what is due is looked at when it is."""

pytestmark = pytest.mark.timeout(600)
playing = settings(
    max_examples=int(os.environ.get("TIDEGATE_HUNT", "3")),
    derandomize="TIDEGATE_HUNT" not in os.environ,  # the gate looks at the same ones each time, a hunt at new ones
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a night is long: it is not played again to make it smaller
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Watch = Callable[[float, PoolPlan, PoolStep], None]


def nothing_more(now: float, plan: PoolPlan, todo: PoolStep) -> None:
    """Nothing beside what is always looked at."""


@st.composite
def nights(draw: st.DrawFn, *, most: int = 20, jobs: int = 6, guaranteed: bool = True) -> ObedientPool:
    borrowers = [
        lane(name, guarantee=draw(st.sampled_from([0, 10, 20])) if guaranteed else 0)
        for name in ("trading", "ads", "search")[: draw(st.integers(1, 3))]
    ]
    lenders = [
        lane(
            name,
            guarantee=draw(st.sampled_from([0, 5, 13])),
            drain=Drain(draw(st.sampled_from([0.0, 120.0, 600.0])), draw(st.sampled_from([0.0, 300.0, 900.0])), 60.0),
            give_back_within=draw(st.sampled_from([600.0, 3600.0])),
        )
        for name in ("data", "reports", "training")[: draw(st.integers(1, 3))]
    ]
    works = []
    for n in range(draw(st.integers(1, jobs))):
        size = Resources(1000 * draw(st.integers(1, 4)), 1024 * draw(st.integers(1, 8)))
        since = T0 - draw(st.sampled_from([0.0, 200.0, 800.0, 9000.0]))
        works.append(job(f"job-{n:02}", size, lane=draw(st.sampled_from(lenders)).name, running_since=since))
    works.append(loader(units=draw(st.integers(1, 12))))
    capacity = total(w.used for w in works) + cores(draw(st.integers(0, 10)))
    asked = [draw(needs(f"t{n:02}", [b.name for b in borrowers])) for n in range(draw(st.integers(1, most)))]
    running = {w.ref: Running(w) for w in works}
    return ObedientPool(pool(*borrowers, *lenders), capacity, running, tuple(asked), draw(st.integers(0, 10_000)))


@st.composite
def needs(draw: st.DrawFn, name: str, lanes: list[str]) -> Need:
    start = T0 + 60.0 * draw(st.integers(0, 75))
    end = start + 60.0 * draw(st.integers(2, 40))
    return need(name, start, end, cores(draw(st.integers(1, 8))), lane=draw(st.sampled_from(lanes)))


def live(night: ObedientPool, *, deaths: int = 0, watch: Watch = nothing_more) -> None:
    """Run a night to its end, and on until everything is returned; every promise is looked at at every instant."""
    dice, left = random.Random(deaths), [deaths]

    def survives() -> bool:
        if left[0] and dice.random() < 0.2:
            left[0] -= 1
            return False
        return True

    night.survives = survives
    now, held = T0, night.used(T0)
    while now < T0 + NIGHT + 4 * 3600.0:
        try:
            plan, todo = night.beat(now)
        except Killed:
            held = look(night, now, held)
            now += 5.0  # a new leader
            continue
        watch(now, plan, todo)
        held = look(night, now, held)
        over = todo.balance.oversold
        waits = any(work.waiting for work in night.running.values())  # for machines that are gone
        assert waits or all(over.of(n) == 0 or not held.of(n) <= night.capacity.of(n) for n in NAMES), todo.balance
        if now > T0 + NIGHT and not night.marks:
            break
        due = [todo.next_at] if todo.next_at is not None else []
        now = max(now + 0.5, min([now + BEAT, night.next_change(now), *due]))


def look(night: ObedientPool, now: float, before: Resources) -> Resources:
    """What must hold at every instant, whatever was written and whatever was lost; what is held now."""
    used = night.used(now)
    for n in NAMES:  # where the pool shrank, nothing more is let in
        assert used.of(n) <= max(night.capacity.of(n), before.of(n)), f"{now - T0:.0f}: {used} of {night.capacity}"
    return used


def after_all(night: ObedientPool, levels: object) -> None:
    """What must hold in the end: all is returned, nothing is left of it, and no stop was against a rule."""
    assert not night.marks
    assert night.levels() == levels
    assert not any(amount.cpu or amount.memory for amount in night.trading.values())
    for stop in night.stops:
        drain = next(one.drain for one in night.pool.lanes if one.name == stop.act.lane)
        assert stop.ran_for >= drain.minimum_run, f"{stop.act} ran for {stop.ran_for:.0f} s only"
        assert stop.told_for >= drain.notice or drain.notice == 0, f"{stop.act} was told {stop.told_for:.0f} s before"
        assert stop.floor.fits(stop.kept), f"{stop.act} leaves {stop.kept} of {stop.floor}"


@playing
@given(nights())
def test_never_oversold_guarantees_kept_and_all_that_is_lent_is_returned(night: ObedientPool) -> None:
    before = night.levels()
    live(night)
    after_all(night, before)


@playing
@given(nights(most=5), st.floats(1.0, 8.0))
def test_pods_that_leave_late_make_nothing_oversold(night: ObedientPool, late: float) -> None:
    before = night.levels()
    night.drains_late, night.leaves_after = late, 60.0 * late
    live(night)
    after_all(night, before)


@playing
@given(nights(most=8), st.integers(1, 12))
def test_a_leader_that_dies_at_any_write_books_nothing_twice_and_forgets_nothing(
    night: ObedientPool, deaths: int
) -> None:
    before = night.levels()
    live(night, deaths=deaths)
    after_all(night, before)


def _gave_in_time(night: ObedientPool, steps: dict[str, list[NeedStep]]) -> Watch:
    """Watches that what was granted once stays granted, and is let in in time. ``steps`` holds what was promised."""

    def watch(now: float, plan: PoolPlan, todo: PoolStep) -> None:
        fresh: dict[str, list[NeedStep]] = {}
        for grant in plan.grants:
            fresh.setdefault(grant.owner, []).extend(grant.steps)
        for owner, promised in steps.items():
            for at in {max(now, s.start) for s in promised if s.end > now}:
                want, got = amount_at(promised, at), amount_at(fresh.get(owner, []), at)
                assert want.fits(got), f"{now - T0:.0f}: {owner} was promised {want} at {at - T0:.0f}, is {got}"
            let_in = amount_at(promised, now).least(amount_at(promised, now + night.leaves_after))
            assert let_in.fits(night.trading.get(owner, NOTHING)), f"{now - T0:.0f}: {owner} not let in with {let_in}"
        steps.clear()
        steps.update(fresh)

    return watch


@playing
@given(nights(most=10))
def test_what_was_granted_stays_granted_and_is_let_in_in_time(night: ObedientPool) -> None:
    live(night, watch=_gave_in_time(night, {}))


@st.composite
def changes(draw: st.DrawFn, steps: dict[str, list[NeedStep]]) -> tuple[float, Callable[[ObedientPool], None]]:
    """An event is added, extended, moved or cancelled."""
    what = draw(st.sampled_from(["added", "extended", "moved", "cancelled"]))
    which, by = draw(st.integers(0, 9)), 60.0 * draw(st.integers(1, 20))
    extra = draw(needs(f"x{which}-{by:.0f}", ["trading"]))

    def change(night: ObedientPool) -> None:
        asked = list(night.needs)
        if what == "added" and all(n.owner != extra.owner for n in asked):
            asked.append(extra)
        elif what != "added" and which < len(asked):
            one = asked.pop(which)
            if what == "extended":
                last = one.steps[-1]
                asked.append(replace(one, steps=(*one.steps[:-1], last._replace(end=last.end + by))))
            elif what == "moved":
                moved = tuple(NeedStep(s.start + by, s.end + by, s.amount) for s in one.steps)
                asked.append(replace(one, key=f"{one.owner}@{moved[0].start:.0f}", steps=moved))
            if what != "extended":
                steps.pop(one.owner, None)  # what was promised to it is of no use to it any more
        night.needs = tuple(asked)

    return T0 + 60.0 * draw(st.integers(0, 90)), change


@playing
@given(st.data())
def test_events_that_change_take_nothing_from_who_was_granted_before(data: st.DataObject) -> None:
    night = data.draw(nights(most=8, guaranteed=False))
    steps: dict[str, list[NeedStep]] = {}
    night.upsets = sorted((data.draw(changes(steps)) for _ in range(3)), key=lambda upset: upset[0])
    before = night.levels()
    live(night, watch=_gave_in_time(night, steps))
    after_all(night, before)


@playing
@given(nights(most=8), st.integers(0, 90), st.integers(1, 60), st.integers(0, 60), st.integers(0, 6))
def test_lost_machines_and_an_edited_guarantee_break_no_rule(
    night: ObedientPool, when: int, lost: int, guarantee: int, deaths: int
) -> None:
    before, whole = night.levels(), night.capacity

    def shrink(it: ObedientPool) -> None:
        it.capacity = it.capacity.percent(100 - lost)

    def edit(it: ObedientPool) -> None:
        it.pool = replace(it.pool, lanes=tuple(replace(one, guarantee=guarantee) for one in it.pool.lanes))

    def heal(it: ObedientPool) -> None:
        it.capacity = whole

    at = T0 + 60.0 * when
    night.upsets = [(at, shrink), (at + 400.0, edit), (at + 3000.0, heal)]
    live(night, deaths=deaths)
    after_all(night, before)


@playing
@given(nights(), st.integers(0, 1000))
def test_the_order_of_needs_and_members_does_not_matter_and_a_plan_is_the_same_again(
    night: ObedientPool, seed: int
) -> None:
    seen = night.facts(T0)
    plan = plan_pool(night.pool, seen, night.needs, T0)
    dice = random.Random(seed)
    members, asked = list(seen.members), list(night.needs)
    dice.shuffle(members)
    dice.shuffle(asked)
    again = plan_pool(night.pool, replace(seen, members=tuple(members)), asked, T0)
    assert (again.grants, again.refusals, again.lendings) == (plan.grants, plan.refusals, plan.lendings)


def test_the_end_is_the_same_wherever_the_leader_dies_once() -> None:
    """One peak, played again for each of its writes with a death right before it."""
    writes, ends = _played(None)
    assert writes > 10
    for number in range(writes):
        assert _played(number)[1] == ends, f"died before write {number}"


def _played(dies_before: int | None) -> tuple[int, object]:
    works = [job(f"job-{n}", lane="data") for n in range(3)] + [loader(units=4)]
    lanes = pool(lane("trading"), lane("data", guarantee=20, drain=Drain(120.0, 300.0, 60.0)))
    night = ObedientPool(
        lanes,
        cores(8),
        {w.ref: Running(w) for w in works},
        (
            need("early", T0 + 600.0, T0 + 1800.0, cores(4)),
            need("late", T0 + 1200.0, T0 + 2400.0, cores(2)),
        ),
    )
    before, count = night.levels(), [0]

    def survives() -> bool:
        count[0] += 1
        return count[0] - 1 != dies_before

    now, most, held = T0, NOTHING, night.used(T0)
    night.survives = survives
    while now < T0 + 3600.0:
        try:
            _, todo = night.beat(now)
        except Killed:
            now += 1.0
            continue
        held = look(night, now, held)
        most = most.most(total(night.trading.values()))
        due = [todo.next_at] if todo.next_at is not None else []
        now = max(now + 0.5, min([now + 60.0, night.next_change(now), *due]))
    after_all(night, before)
    assert all(a.at <= b.at for a, b in pairwise(night.stops))
    stopped = [s.act.ref for s in night.stops if s.act.ref.kind == "Job"]
    assert len(stopped) == len(set(stopped)), "no Job is stopped twice for one peak"
    return count[0], (night.levels(), most)
