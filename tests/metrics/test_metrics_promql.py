"""Answers of Prometheus become outcomes, and no bad one becomes a number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.metrics.promql import Answer, Sample, answer_of, reading_of, sample_of
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
        ([{"metric": {}}], Freshness.NAN),
        ([{"metric": {}, "values": []}], Freshness.NAN),
        (vector("1", "2"), Freshness.MANY),
        (vector("NaN"), Freshness.NAN),
        (vector("+Inf"), Freshness.NAN),
        (vector("abc"), Freshness.NAN),
        (vector("1e999999"), Freshness.NAN),
        ([100, 10**400], Freshness.NAN),
        ([{"metric": {}, "value": {"0": 1}}], Freshness.NAN),
        ([{"metric": {}, "values": 5}], Freshness.NAN),
        ([[], "7"], Freshness.NAN),
        (vector("-1"), Freshness.NEGATIVE),
        (vector("-0"), (100.0, 0.0)),
    ],
)
def test_each_shape_of_answer_has_its_outcome(result: object, want: object) -> None:
    assert sample_of(Answer(result)) == want


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just(10**400)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["value", "values", "metric"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(anything)
def test_whatever_is_answered_is_a_finite_sample_or_an_outcome(result: object) -> None:
    sample = sample_of(Answer(result))
    assert isinstance(sample, Freshness) or all(math.isfinite(number) for number in sample)


@pytest.mark.parametrize(
    ("age", "want"), [(0, Freshness.FRESH), (120, Freshness.FRESH), (121, Freshness.STALE), (-5, Freshness.FRESH)]
)
def test_a_sample_is_stale_by_its_own_time(age: float, want: Freshness) -> None:
    reading = reading_of(Sample(1000.0, 4.0), now=1000.0 + age, stale_after=120, query="q")
    assert (reading.freshness, reading.value, reading.since) == (want, 4.0, 1000.0)


@given(st.sampled_from([f for f in Freshness if f not in (Freshness.FRESH, Freshness.STALE)]), st.floats(0, 2e9))
def test_what_is_not_a_sample_never_carries_a_value(outcome: Freshness, now: float) -> None:
    reading = reading_of(outcome, now=now, stale_after=60, query="q")
    assert (reading.value, reading.since) == (None, now)
    assert reading.note


def test_a_partial_sample_is_partial_and_an_old_one_stale_whatever_else_it_is() -> None:
    partial = Sample(1000.0, 4.0, partial="a store did not answer")
    reading = reading_of(partial, now=1000.0, stale_after=120, query="q")
    assert (reading.freshness, reading.value, reading.note) == (Freshness.PARTIAL, 4.0, "a store did not answer")
    assert reading_of(partial, now=1121.0, stale_after=120, query="q").freshness is Freshness.STALE


def test_a_note_is_the_same_while_the_same_is_wrong() -> None:
    """Else each reading would be news, and a status would be written for it."""
    notes = {reading_of(Sample(1000.0, 4.0), now=now, stale_after=60, query="q").note for now in (1061.0, 1200.0)}
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("document", "want"),
    [
        ({}, ""),
        ({"warnings": []}, ""),
        ({"warnings": ["PromQL info: metric might not be a counter"], "infos": ["x"]}, ""),
        ({"warnings": ["PromQL info: odd", "no store matched"]}, "no store matched"),
        ({"warnings": "text"}, "text"),
        ({"isPartial": True}, "some storage nodes did not answer"),
        ({"isPartial": False}, ""),
        ({"warnings": [None]}, "None"),
    ],
)
def test_an_answer_says_whether_it_is_whole(document: dict[str, object], want: str) -> None:
    assert answer_of({"status": "success", "data": {"result": []}, **document}).partial == want


@given(anything, anything)
def test_whatever_a_document_is_it_is_an_answer_or_none(document: object, data: object) -> None:
    for given_document in (document, {"status": "success", "data": data, "warnings": document}):
        try:
            answer = answer_of(given_document)
        except ValueError:
            continue
        assert isinstance(answer.partial, str)


def series(**labels: str) -> dict[str, object]:
    return {"metric": labels, "value": [1000.0, "4"]}


@pytest.mark.parametrize(
    ("result", "advice"),
    [
        ([series(pod="a"), series(pod="b")], "aggregate the query: sum(orders)"),
        ([series(replica="a"), series(replica="b")], "counts it twice: max without (replica) (orders)"),
        (
            [series(prometheus_replica="a", pod="1"), series(prometheus_replica="b", pod="2")],
            "counts it twice: sum(max without (prometheus_replica) (orders))",
        ),
        ([series(), series(replica="b")], "counts it twice: max without (replica) (orders)"),
        ([{"metric": 5}, {"metric": None}], "aggregate the query: sum(orders)"),
        (None, "aggregate the query: sum(orders)"),
    ],
)
def test_of_several_series_it_is_said_how_to_make_one(result: object, advice: str) -> None:
    note = reading_of(Freshness.MANY, now=0.0, stale_after=60, query="orders", result=result).note
    assert note.endswith(advice)
