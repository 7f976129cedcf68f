"""Answers of Prometheus become outcomes, and no bad one becomes a number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.metrics.promql import age_query, reading_of, sample_of
from tidegate.planning.model import Freshness


def vector(*values: str, at: float = 100.0) -> list[object]:
    return [{"metric": {"i": str(i)}, "value": [at, value]} for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("result", "want"),
    [
        (vector("3.5"), (100.0, 3.5)),
        (vector("0"), (100.0, 0.0)),
        ([100.0, "7"], (100.0, 7.0)),  # a scalar
        ([{"metric": {}, "values": [[90, "1"], [100, "2"]]}], (100.0, 2.0)),
        ([], Freshness.EMPTY),
        (None, Freshness.EMPTY),
        ("text", Freshness.EMPTY),
        ([{"metric": {}}], Freshness.EMPTY),
        ([{"metric": {}, "values": []}], Freshness.EMPTY),
        (vector("1", "2"), Freshness.MANY),
        (vector("NaN"), Freshness.NAN),
        (vector("+Inf"), Freshness.NAN),
        (vector("abc"), Freshness.EMPTY),
        (vector("1e999999"), Freshness.NAN),
        ([100, 10**400], Freshness.NAN),
        ([{"metric": {}, "value": {"0": 1}}], Freshness.EMPTY),
        ([{"metric": {}, "values": 5}], Freshness.EMPTY),
        ([[], "7"], Freshness.EMPTY),
    ],
)
def test_each_shape_of_answer_has_its_outcome(result: object, want: object) -> None:
    assert sample_of(result) == want


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just(10**400)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["value", "values", "metric"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(anything)
def test_whatever_is_answered_is_a_finite_sample_or_an_outcome(result: object) -> None:
    sample = sample_of(result)
    assert isinstance(sample, Freshness) or all(math.isfinite(number) for number in sample)


@pytest.mark.parametrize(
    ("age", "want"), [(0, Freshness.FRESH), (120, Freshness.FRESH), (121, Freshness.STALE), (-5, Freshness.FRESH)]
)
def test_a_sample_is_stale_by_its_own_time(age: float, want: Freshness) -> None:
    reading = reading_of((1000.0, 4.0), now=1000.0 + age, stale_after=120, query="q")
    assert (reading.freshness, reading.value, reading.since) == (want, 4.0, 1000.0)


@given(st.sampled_from([f for f in Freshness if f not in (Freshness.FRESH, Freshness.STALE)]), st.floats(0, 2e9))
def test_what_is_not_a_sample_never_carries_a_value(outcome: Freshness, now: float) -> None:
    reading = reading_of(outcome, now=now, stale_after=60, query="q")
    assert (reading.value, reading.since) == (None, now)
    assert reading.note


@pytest.mark.parametrize(
    ("query", "want"),
    [
        ("orders", True),
        (' orders_total{shop="a}b", x=~"c|d"} ', True),
        ('{__name__="orders"}', True),
        ("sum(orders)", False),
        ("orders offset 5m", False),
        ("rate(orders[1m])", False),
        ("orders + 1", False),
        ("", False),
    ],
)
def test_only_a_plain_selector_can_tell_its_samples_age(query: str, want: bool) -> None:
    assert (age_query(query) is not None) is want
