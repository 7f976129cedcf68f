"""Announced steps are prepared for as far as announced steps have come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.planning.steps import Steps


def after(*shares: float) -> Steps:
    steps = Steps()
    for share in shares:
        steps.came(share)
    return steps


def test_a_first_event_has_a_quarter_more_than_it_announces() -> None:
    assert Steps().quantile(0.95) == pytest.approx(1.27, abs=0.02)


def test_a_host_who_claims_double_is_discounted_after_few_events() -> None:
    assert after(0.5, 0.52, 0.48, 0.5).quantile(0.95) <= 1.0
    assert after(*[0.5] * 12).quantile(0.95) <= 0.65


def test_a_host_who_claims_too_little_is_raised() -> None:
    assert after(1.5, 1.6, 1.4, 1.5).quantile(0.95) >= 1.6


def test_steps_that_never_come_are_hardly_prepared_for() -> None:
    assert after(*[0.0] * 30).quantile(0.95) <= 0.12


def test_one_event_that_did_not_take_place_is_no_reason_to_prepare_for_more() -> None:
    assert after(0.0).quantile(0.95) <= Steps().quantile(0.95)
    assert after(1.0, 1.0, 1.0, 0.0).quantile(0.95) <= Steps().quantile(0.95)


def test_announcements_that_vary_are_prepared_for_with_their_spread() -> None:
    steady, varying = after(*[1.0] * 10), after(*[0.8, 1.2] * 5)
    assert varying.quantile(0.95) >= steady.quantile(0.95) + 0.2


@given(st.lists(st.floats(-1e9, 1e9), max_size=80), st.sampled_from([0.5, 0.9, 0.99]))
def test_whatever_came_the_share_is_finite_and_not_below_nothing(shares: list[float], q: float) -> None:
    assert 0.0 <= after(*shares).quantile(q) <= 20.0


def test_an_event_that_was_measured_a_thousand_times_too_high_counts_for_four_and_halves_in_three() -> None:
    assert 4.0 <= after(1_000.0).quantile(0.95) <= 5.1
    assert after(1_000.0, 1.0, 1.0, 1.0).quantile(0.95) <= after(1_000.0).quantile(0.95) / 2.0
