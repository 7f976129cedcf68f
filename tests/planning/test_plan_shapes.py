"""Curves are drawn where the book reaches and nowhere else, and no differently for that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, T0, derived, event, moment, policy, target, world

from tidegate.planning import shape
from tidegate.planning.model import Occurrence
from tidegate.planning.plan import Planner
from tidegate.planning.shape import PROFILES, contributions

DAY = 86_400.0
moments_of = st.lists(
    st.builds(
        lambda offset, duration, factor: moment(offset=offset, duration=duration, factor=factor),
        st.floats(-3 * DAY, 3 * DAY),
        st.floats(1.0, 2 * DAY),
        st.floats(0.1, 5.0),
    ),
    max_size=3,
)


@given(
    profile=st.sampled_from(sorted(PROFILES)),
    duration=st.floats(60.0, 3 * DAY),
    start=st.floats(T0, T0 + 100.0),
    moments=moments_of,
    low=st.integers(-3000, 20_000),
    length=st.integers(1, 3000),
)
@settings(deadline=None, max_examples=150)
def test_a_part_of_a_curve_is_that_part_of_the_whole(
    profile: str, duration: float, start: float, moments: list[object], low: int, length: int
) -> None:
    e = event(profile=profile, duration=duration, moments=tuple(moments))
    for part in contributions(e, Occurrence(start, duration), cell=15.0):
        whole = shape._drawn(part.shape, part.first - part.origin, part.end - part.origin)
        begin, end = max(part.first, part.first + low), min(part.end, part.first + low + length)
        if begin < end:
            assert np.array_equal(part.cells(begin, end), whole[:, begin - part.first : end - part.first])
        assert whole[0].max() == part.most


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_below_the_heights_stand_their_squares_rounded_up_for_the_spread_of_sums(profile: str) -> None:
    e = event(profile=profile, moments=(moment(factor=3.0),))
    (part,) = contributions(e, e.occurrences[0], cell=15.0)
    heights, again, squares = part.cells(part.first, part.end)
    assert np.array_equal(heights, again)
    assert (squares >= heights**2).all()
    assert (squares < heights**2 + 1 / 1024).all()


@pytest.mark.parametrize(
    "e",
    [
        event(duration=30 * DAY, profile="match"),
        event(moments=(moment(offset=-7 * DAY, duration=7 * DAY, factor=2.0),)),
        event(
            derived=(derived("refunds", "orders", 0.5, lag=7 * DAY),),
            moments=(moment("refunds", offset=-7 * DAY, factor=2.0),),
        ),
    ],
)
def test_nothing_is_drawn_beyond_what_the_book_reaches(e: object, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = shape._drawn

    def counting(what: shape.Shape, low: int, high: int) -> shape.Cells:
        drawn.append(high - low)
        return real(what, low, high)

    monkeypatch.setattr(shape, "_drawn", counting)
    shape._kept.cache_clear()
    planner = Planner()
    planner.plan(world(e, policies=(policy(target()),)), T0 - 3600.0)
    planner.plan(world(policies=(policy(target()),)), T0 - 3599.0)  # and taken out again
    assert drawn
    assert max(drawn) <= planner.book.size
    assert not any(sums.events for (of, _), sums in planner.book.rows.items() if of == CORE)
