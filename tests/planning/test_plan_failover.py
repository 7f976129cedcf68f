"""A new leader that knows less than the one before gives back nothing that is still to be needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, T0, event, moment, world

from tidegate.planning.decision import Action, TargetPlan
from tidegate.planning.model import LoanState, Observed
from tidegate.planning.plan import make_plan
from tidegate.planning.world import World

KEY = (CORE, "order")


def plan_of(w: World, now: float) -> TargetPlan:
    return make_plan(w, now).targets[KEY]


def lent_until(until: float, **given: object) -> World:
    """Raised from 2 to 10 ten minutes before T-0 by who had measured a start time of 600 s; we guess 30 s."""
    loan = LoanState(2, 10, T0 - 600.0, T0 - 600.0, until)
    seen = replace(Observed(level=10, ready=4, desired=10, loan=loan), **given)  # type: ignore[arg-type]
    return world(event(), observed={KEY: seen})


@pytest.mark.parametrize("before", [500.0, 230.0, 60.0])
def test_a_level_that_was_raised_for_a_need_still_to_come_is_kept_by_who_knows_a_shorter_lead(before: float) -> None:
    found = plan_of(lent_until(T0 + 3660.0), T0 - before)
    assert (found.action, found.level) == (Action.NOTHING, 10)


def test_it_is_lowered_where_the_loan_was_to_end_before_or_was_lowered_since() -> None:
    assert plan_of(lent_until(T0 - 120.0), T0 - 230.0).action is Action.LOWER
    lowered = LoanState(2, 20, T0 - 600.0, T0 - 900.0, T0 + 3660.0)
    assert plan_of(lent_until(0.0, loan=lowered), T0 - 230.0).action is Action.LOWER


@pytest.mark.parametrize("second", [5.0, 25.0])
def test_between_two_peaks_of_one_evening_a_level_is_not_kept_for_the_second(second: float) -> None:
    """The first need has come, so that the level was for it; also where the second is the larger one."""
    peaks = (moment(offset=0.0, duration=60.0, factor=5.0), moment("b", 3000.0, factor=second))
    loan = LoanState(2, 10, T0 - 60.0, T0 - 60.0, T0 + 3700.0)
    seen = Observed(level=10, ready=10, desired=10, loan=loan)
    evening = world(event(level=200.0, moments=peaks), observed={KEY: seen})
    assert plan_of(evening, T0 + 600.0).action is Action.LOWER


def test_a_level_that_was_raised_for_what_is_measured_is_not_kept_for_a_larger_need_later() -> None:
    later = event(level=200.0, moments=(moment("b", 3000.0, factor=25.0),))
    loan = LoanState(2, 10, T0 + 60.0, T0 - 60.0, T0 + 3700.0)
    seen = Observed(level=10, ready=10, desired=10, loan=loan)
    assert plan_of(world(later, observed={KEY: seen}), T0 + 900.0).action is Action.LOWER


def test_a_level_that_the_autoscalers_maximum_cut_is_kept_too() -> None:
    cut = LoanState(2, 7, T0 - 600.0, T0 - 600.0, T0 + 3660.0)
    found = plan_of(lent_until(0.0, level=7, desired=7, maximum=7, loan=cut), T0 - 230.0)
    assert (found.action, found.level) == (Action.NOTHING, 7)
