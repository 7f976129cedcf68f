"""What events ask of a target between two instants is the same however often, and in which order, it is asked."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.planning.worlds import target

from tidegate.planning.capacity import Units
from tidegate.planning.causes import Asked
from tidegate.planning.model import TargetSpec
from tidegate.planning.needs import Needs

CELL, FIRST, AHEAD = 10.0, 7, 45.0
COLUMNS = st.lists(st.integers(0, 9), min_size=1, max_size=12)
QUESTIONS = st.lists(
    st.tuples(st.floats(0.0, 250.0), st.floats(0.0, 200.0), st.integers(0, 10)), min_size=1, max_size=8
)
BOUNDS = st.tuples(st.integers(0, 9), st.integers(1, 9)).map(sorted)


def _looked_at(units: Units, target: TargetSpec, since: float, until: float, there: int) -> Asked:
    """The same, column by column."""
    last = len(units) - 1
    low, high = (min(max(math.floor(at / CELL) - FIRST, 0), last) for at in (since, until))
    columns = [int(one) for one in units[low : max(high, low + 1)]]
    wish = max(columns)
    wanted = min(max(wish, target.minimum), target.maximum) if wish else 0
    if wanted <= there:
        return Asked(wanted, wish=wish)
    first = next(at for at, one in enumerate(columns) if one > there or one == wish)
    return Asked(wanted, (FIRST + low + first) * CELL - AHEAD, wish)


@given(COLUMNS, BOUNDS, QUESTIONS)
def test_each_question_is_answered_as_column_by_column(
    columns: list[int], bounds: list[int], questions: list[tuple[float, float, int]]
) -> None:
    units = np.array(columns, dtype=np.int64)
    one = target(minimum=bounds[0], maximum=bounds[1])
    needs = Needs(lambda _: units, lambda _: AHEAD, FIRST, CELL)
    for since, seconds, there in questions:
        expected = _looked_at(units, one, since, since + seconds, there)
        asked = needs.asked(one, since, since + seconds, there)
        assert needs.exceed(one, since, since + seconds, there) == (expected.units > there)
        if max(max(columns), one.minimum) <= there:  # nothing is due whatever the time: that of all times will do
            assert asked.due_at == math.inf
            assert expected.wish <= asked.wish <= there
            assert asked.units <= there
        else:
            assert asked == expected


@given(BOUNDS, QUESTIONS)
def test_of_a_target_that_no_event_needs_nothing_is_asked(
    bounds: list[int], questions: list[tuple[float, float, int]]
) -> None:
    one = target(minimum=bounds[0], maximum=bounds[1])
    needs = Needs(lambda _: None, lambda _: AHEAD, FIRST, CELL)
    for since, seconds, there in questions:
        assert needs.asked(one, since, since + seconds, there) == Asked()
        assert not needs.exceed(one, since, since + seconds, there)


def test_targets_of_a_policy_are_told_apart() -> None:
    units = {"order": np.array([5, 5, 0]), "stock": np.array([0, 1, 0])}
    needs = Needs(lambda one: units[one.name], lambda _: AHEAD, 0, CELL)
    order, stock = target("order"), target("stock")
    assert (needs.exceed(order, 0, 20, 2), needs.exceed(stock, 0, 20, 2)) == (True, False)
    assert (needs.asked(order, 0, 20, 2).units, needs.asked(stock, 0, 20, 0).units) == (5, 1)
