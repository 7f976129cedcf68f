"""Among timetables that cost nearly the same the last one is kept: what was told stands, whenever a plan is made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pools import CORE, cores, facts, job, lane, need, pool

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.kept import kept_counts
from tidegate.planning.shift.model import Member, PoolFacts
from tidegate.planning.shift.outcome import Lending, PoolPlan
from tidegate.planning.shift.pieces import stocks_of
from tidegate.planning.shift.plan import timetable

T0 = 1_794_240_000.0
LANES = lane("trading", guarantee=10), lane("day"), lane("night")
SHOW = need("order", T0 + 6000.0, T0 + 9000.0, CORE)
DAY, NIGHT = job("a", lane="day"), job("b", lane="night")


def inputs(*members: Member, now: float = T0, standing: Timetabled | None = None) -> TimetableInputs:
    seen: PoolFacts = facts(cores(2), *members)
    return TimetableInputs(pool(*LANES), seen, (SHOW,), (), now, 45.0, standing)


def last(asked: TimetableInputs, who: Ref, *, free_by: float = T0 + 6000.0) -> Timetabled:
    """As if that work had been chosen."""
    made = timetable(asked)
    (one,) = (lending for ones in made.plan.lendings.values() for lending in ones)
    chosen = {who: (replace(one, free_by=free_by),)}
    plan = PoolPlan(made.plan.now, made.plan.pool, made.plan.grants, made.plan.refusals, chosen)
    return replace(made, digest="another", plan=plan)


@pytest.mark.parametrize("who", [DAY.ref, NIGHT.ref])
def test_of_two_that_cost_the_same_the_last_choice_stands(who: Ref) -> None:
    """A second later, or once something has changed that has nothing to do with it."""
    asked = inputs(DAY, NIGHT)
    later = inputs(DAY, NIGHT, now=T0 + 7.0, standing=last(asked, who))
    assert list(timetable(later).plan.lendings) == [who]


def test_what_became_clearly_cheaper_is_taken() -> None:
    """Work twice as large stops for the same need: more is lost, and waits."""
    big = job("b", Resources(2000, 2048), lane="night")
    asked = replace(inputs(DAY, big), facts=facts(cores(3), DAY, big))
    later = replace(asked, now=T0 + 7.0, standing=last(asked, big.ref))
    assert list(timetable(later).plan.lendings) == [DAY.ref]


def test_what_breaks_a_rule_by_now_is_not_kept() -> None:
    """Work that began anew since then has not had its minimum run time by when it was to be free."""
    asked = inputs(DAY, NIGHT)
    young = replace(NIGHT, running_since=T0 + 5900.0)
    later = inputs(DAY, young, now=T0 + 5901.0, standing=last(asked, NIGHT.ref))
    found = timetable(later).plan
    assert NIGHT.ref not in found.lendings or found.lendings[NIGHT.ref][0].free_by >= T0 + 5900.0 + 960.0


def test_work_that_is_gone_is_not_waited_for() -> None:
    later = inputs(DAY, now=T0 + 7.0, standing=last(inputs(DAY, NIGHT), NIGHT.ref))
    assert list(timetable(replace(later, facts=facts(cores(1), DAY))).plan.lendings) == [DAY.ref]


def test_the_last_lendings_are_counted_on_the_new_grid() -> None:
    stocks = stocks_of(pool(*LANES), facts(cores(2), DAY, NIGHT), T0)
    lending = Lending(T0, T0, T0 + 6000.4, T0 + 8999.7, T0 + 99_999.0, ())
    times = (T0, T0 + 6000.0, T0 + 9000.0, T0 + 9500.0)
    day, night = kept_counts(stocks, times, {NIGHT.ref: (lending,)})
    assert (day.out, day.stops, day.returns) == ((0, 0, 0, 0),) * 3
    assert (night.out, night.stops, night.returns) == ((0, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
