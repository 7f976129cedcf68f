"""What holds of a pool while its timetables come late, or never: the plan of each instant rests on present facts.

``TIDEGATE_HUNT=200`` looks at so many nights of each kind; by default a few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import NS, LateSolver, ObedientPool, cores, facts, job, lane, need, pool
from test_shift_promises import T0, after_all, changes, live, nights, playing

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.model import LaneUse, Need, PoolFacts, amount_at
from tidegate.planning.shift.outcome import PoolPlan
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.present import present
from tidegate.planning.shift.step import PoolStep, step

NEVER = math.inf

pytestmark = pytest.mark.timeout(600)


@st.composite
def delays(draw: st.DrawFn) -> list[float]:
    """How long each timetable takes; the guard gives up what never comes."""
    return draw(st.lists(st.sampled_from([0.0, 1.0, 20.0, 170.0, NEVER]), min_size=20, max_size=200))


def vanish(number: int) -> Callable[[ObedientPool], None]:
    """A piece of work is deleted, with its loan."""

    def change(night: ObedientPool) -> None:
        refs = sorted(night.running)
        if len(refs) > 1:
            gone = refs[number % len(refs)]
            del night.running[gone]
            night.marks.pop(gone, None)

    return change


def shrink(lost: int) -> Callable[[ObedientPool], None]:
    def change(night: ObedientPool) -> None:
        night.capacity = night.capacity.percent(100 - lost)

    return change


@st.composite
def upsets(draw: st.DrawFn) -> list[tuple[float, Callable[[ObedientPool], None]]]:
    """The pool shrinks, members vanish, needs come and go."""
    found = [draw(changes({})) for _ in range(3)]
    found += [(T0 + 60.0 * draw(st.integers(0, 90)), vanish(draw(st.integers(0, 9)))) for _ in range(2)]
    found.append((T0 + 60.0 * draw(st.integers(0, 90)), shrink(draw(st.integers(0, 40)))))
    return sorted(found, key=lambda upset: upset[0])


def _no_promise_later(night: ObedientPool) -> Callable[[float, PoolPlan, PoolStep], None]:
    known: dict[Ref, float] = {}

    def watch(now: float, plan: PoolPlan, todo: PoolStep) -> None:
        for ref in known.keys() - night.marks.keys():
            del known[ref]
        for ref, mark in night.marks.items():
            if not mark.promises:
                known.pop(ref, None)
                continue
            assert mark.return_by <= known.get(ref, math.inf), f"{now - T0:.0f}: the promise of {ref} moved later"
            known[ref] = mark.return_by

    return watch


@playing
@given(nights(most=8), delays(), upsets())
def test_however_late_timetables_are_nothing_is_oversold_and_no_promise_moves_later(
    night: ObedientPool, late: list[float], changed: list[tuple[float, Callable[[ObedientPool], None]]]
) -> None:
    before = night.levels()
    night.solver, night.upsets = LateSolver(late), changed
    live(night, watch=_no_promise_later(night))
    after_all(night, {ref: level for ref, level in before.items() if ref in night.running})


@playing
@given(nights(most=8))
def test_without_any_timetable_needs_rise_into_all_that_is_free_and_no_work_stops(night: ObedientPool) -> None:
    night.solver = LateSolver([NEVER] * 1000)
    before = night.levels()

    def watch(now: float, plan: PoolPlan, todo: PoolStep) -> None:
        for asked in night.needs:
            wanted = amount_at(asked.steps, now)
            let_in = total(a for key, a in todo.balance.allowed.items() if key == asked.key)
            lacks = (wanted - let_in).positive
            if now < asked.end and not lacks.nothing:
                room = todo.balance.room
                rounded = len(night.needs)
                assert min(room.cpu, room.memory) <= rounded, f"{now - T0:.0f}: {asked.key} lacks {lacks} of {room}"

    live(night, watch=watch)
    assert night.stops == []
    after_all(night, before)


# ---- what a need may have that no timetable knows

TRADING = lane("trading")


def given_inputs(
    seen: PoolFacts, *asked: Need, at: float = T0, cap: int | None = None, namespaces: Iterable[str] = (NS,)
) -> TimetableInputs:
    trading = replace(TRADING, cap=cap, allowed_namespaces=frozenset(namespaces))
    return TimetableInputs(pool(trading, lane("data")), seen, asked, (), at, 0.0)


def let_in(inputs: TimetableInputs, standing: Timetabled | None) -> dict[str, Resources]:
    """What is let in now, by owner."""
    plan = present(replace(inputs, standing=standing))
    allowed = step(inputs.pool, inputs.facts, plan, inputs.now).balance.allowed
    return {key.partition("/core/")[2].partition("@")[0]: amount for key, amount in allowed.items()}


def test_a_need_that_came_since_gets_what_is_free_and_says_that_it_is_not_planned_yet() -> None:
    seen = facts(cores(10), job("a", cores(6)))
    known, fresh = need("known", T0, T0 + 3600, cores(1)), need("fresh", T0, T0 + 3600, cores(5))
    made = timetable(given_inputs(seen, known))
    inputs = given_inputs(seen, known, fresh)
    assert let_in(inputs, made) == {"known": cores(1), "fresh": cores(3)}
    (refusal,) = present(replace(inputs, standing=made)).refusals
    assert (refusal.key, refusal.reason) == (fresh.key, Reason.POOL_UNPLANNED)


def test_a_need_that_came_since_gets_nothing_that_is_promised_for_later() -> None:
    seen = facts(cores(10), job("a", cores(6)))
    later, fresh = need("later", T0 + 1800, T0 + 3600, cores(3)), need("fresh", T0, T0 + 3600, cores(5))
    made = timetable(given_inputs(seen, later))
    assert let_in(given_inputs(seen, later, fresh), made) == {"fresh": cores(1)}
    brief = need("brief", T0, T0 + 1800, cores(5))
    assert let_in(given_inputs(seen, later, brief), made) == {"brief": cores(4)}, "it is gone before"


def test_a_need_that_came_since_gets_no_machine_of_work_that_is_out() -> None:
    seen = facts(cores(10), job("a", cores(6)), job("b", cores(4)))
    known, fresh = need("known", T0 + 3600, T0 + 7200, cores(3)), need("fresh", T0 + 3600, T0 + 7200, cores(5))
    made = timetable(given_inputs(seen, known))
    assert made.plan.lendings
    assert [g.owner for g in present(replace(given_inputs(seen, known, fresh), standing=made)).grants] == [known.owner]


def test_a_need_that_came_since_stays_below_its_namespaces_cap_and_needs_to_be_let_in_at_all() -> None:
    seen = facts(cores(10))
    known, fresh = need("known", T0, T0 + 3600, cores(2)), need("fresh", T0, T0 + 3600, cores(8))
    made = timetable(given_inputs(seen, known, cap=50))
    assert let_in(given_inputs(seen, known, fresh, cap=50), made) == {"known": cores(2), "fresh": cores(3)}
    shut = given_inputs(seen, known, fresh, namespaces=("mall",))
    assert let_in(shut, made) == {}
    assert {r.reason for r in present(replace(shut, standing=made)).refusals} == {Reason.NAMESPACE_NOT_ALLOWED}


def test_a_need_that_was_refused_gets_nothing_more_until_its_refusal_is_old() -> None:
    """What a timetable kept from it may be another's; after two minutes without a new one nobody can tell any more."""
    asked = need("t", T0, T0 + 3600, cores(8))
    made = timetable(given_inputs(facts(cores(5)), asked))
    grown = facts(cores(7))
    assert let_in(given_inputs(grown, asked, at=T0 + 60), made) == {"t": cores(5)}
    assert let_in(given_inputs(grown, asked, at=T0 + 121), made) == {"t": cores(7)}


def test_what_was_let_in_without_a_timetable_is_not_let_in_twice_and_comes_before_who_asks_later() -> None:
    first, second = need("a", T0 + 60, T0 + 3600, cores(6)), need("b", T0, T0 + 3600, cores(6))
    held = LaneUse(NOTHING, {first.owner: cores(6)}, cores(6))
    seen = facts(cores(10), trading=held)
    assert let_in(given_inputs(seen, first, second, at=T0 + 60), None) == {"a": cores(6), "b": cores(4)}


def test_work_is_not_stopped_for_a_need_that_is_gone_however_late_the_next_timetable_is() -> None:
    seen = facts(cores(10), job("a", cores(6)), job("b", cores(4)))
    made = timetable(given_inputs(seen, need("t", T0 + 3600, T0 + 7200, cores(3))))
    assert made.plan.lendings
    assert present(replace(given_inputs(seen, at=T0 + 60), standing=made)).lendings == {}


def test_a_grant_stands_under_the_key_that_its_need_has_now() -> None:
    seen = facts(cores(10))
    made = timetable(given_inputs(seen, need("t", T0, T0 + 3600, cores(3))))
    moved = need("t", T0 + 30, T0 + 3600, cores(3))
    (grant,) = present(replace(given_inputs(seen, moved, at=T0 + 60), standing=made)).grants
    assert (grant.key, grant.steps[0].amount) == (moved.key, cores(3))


def test_on_a_pool_that_was_seen_too_long_ago_nothing_new_is_let_in() -> None:
    asked = need("t", T0, T0 + 3600, cores(8))
    held = LaneUse(NOTHING, {asked.owner: cores(2)}, cores(2))
    seen = replace(facts(cores(10), trading=held), current=False)
    assert let_in(given_inputs(seen, asked), timetable(given_inputs(seen, asked))) == {"t": cores(2)}


# ---- when a timetable has to be made


def test_a_timetable_is_kept_while_pods_come_and_go_and_checkpoints_are_made() -> None:
    asked = need("t", T0 + 3600, T0 + 7200, cores(8))
    work = job("a", cores(6), saved_at=T0, work="night")
    before, after = (
        given_inputs(facts(cores(10), one), asked, at=at).digest
        for one, at in ((work, T0), (replace(work, saved_at=T0 + 10, used=NOTHING), T0 + 10))
    )
    assert before == after


@pytest.mark.parametrize(
    "changed",
    [
        facts(cores(9), job("a", cores(6))),
        facts(cores(10), job("a", cores(5))),
        facts(cores(10), job("a", cores(6), seen=False)),
        facts(cores(10)),
        facts(cores(10), job("a", cores(6)), trading=LaneUse(cores(1))),
    ],
)
def test_a_timetable_is_made_anew_when_what_it_rests_on_changes(changed: PoolFacts) -> None:
    asked = need("t", T0 + 3600, T0 + 7200, cores(8))
    before = given_inputs(facts(cores(10), job("a", cores(6))), asked)
    assert given_inputs(changed, asked).digest != before.digest
    longer = need("t", T0 + 3600, T0 + 7260, cores(8))
    assert given_inputs(before.facts, longer).digest != before.digest


def test_the_order_of_members_and_needs_changes_no_digest() -> None:
    works = [job("a", cores(2)), job("b", cores(3))]
    asked = [need("t", T0, T0 + 60, cores(1)), need("u", T0, T0 + 60, cores(2))]
    one = given_inputs(facts(cores(10), *works), *asked)
    other = given_inputs(facts(cores(10), *works[::-1]), *asked[::-1])
    assert one.digest == other.digest
    assert timetable(one).result == timetable(other).result
    assert present(one).grants == present(other).grants


def test_a_new_timetable_takes_nothing_from_anybody_while_nothing_has_changed() -> None:
    """A search that is bounded may find less the next time; the last answer is as good as it was."""
    asked = need("t", T0 + 3600, T0 + 7200, cores(8))
    inputs = given_inputs(facts(cores(5)), asked)
    made = timetable(inputs)
    (grant,) = made.plan.grants
    better = replace(made, plan=replace(made.plan, grants=(replace(grant, steps=asked.steps),), refusals=()))
    later = replace(inputs, now=T0 + 60, standing=better)
    again = timetable(later)
    assert (again.plan.grants, again.made_for) == (better.plan.grants, T0 + 60)
    shrunk = replace(later, facts=facts(cores(4)))
    assert timetable(shrunk).plan.granted("trading", T0 + 3600) == cores(4)
