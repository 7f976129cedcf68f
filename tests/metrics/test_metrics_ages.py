"""A query is taken apart into its selectors, and each is asked how old its samples are."""

from __future__ import annotations

import promql_parser as promql
import pytest

from tidegate.metrics.ages import LONGEST, PART, Rest, SampleTimes, UncheckedError, age_check

A, B = (100.0, 90.0), (70.0, 60.0)


def told(query: str, *times: tuple[float, float] | None) -> SampleTimes | Rest:
    """What a query rests on, when its selectors' (newest, oldest) samples are of these times; None: no series."""
    series = []
    for number, pair in enumerate(times):
        for name, at in zip(("newest", "oldest"), pair or (), strict=False):
            series.append({"metric": {PART: f"{name} {number}"}, "value": [0, str(at)]})
    check = age_check(query)
    assert len(check.parts) == 2 * len(times), check.question
    return check.times(series)


@pytest.mark.parametrize("query", ["a", "sum(a)", "sum by (x) (a)", "-a", "clamp_min(a, 0)", "scalar(a)", "a * 2"])
def test_one_selector_is_as_old_as_its_newest_sample(query: str) -> None:
    assert told(query, A) == SampleTimes(100.0, 90.0)
    assert told(query, None) is Rest.NOTHING


def test_a_range_leaves_out_what_is_older_by_itself() -> None:
    """The series of a pod that is gone may linger for five minutes, and count in no rate of one minute."""
    check = age_check("sum(rate(a[1m]))")
    assert check.parts == ("newest 0",)
    series = [{"metric": {PART: "newest 0"}, "value": [0, "100"]}]
    assert check.times(series) == SampleTimes(100.0, 100.0)


@pytest.mark.parametrize("query", ["a + b", "a and b", "a / on() group_left() b", "sum(a) > sum(b)"])
def test_what_needs_both_is_as_old_as_the_one_that_is_behind(query: str) -> None:
    assert told(query, A, B) == SampleTimes(70.0, 60.0, ahead=30.0)
    assert told(query, A, None) == SampleTimes(100.0, 90.0, whole=False)


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("sum(a)", 10.0),
        ("sum(a) + sum(b)", 40.0),
        ("sum(rate(a[1m]))", 60.0),
        ("sum(rate(a[1m])) + sum(rate(b[1m]))", 90.0),
    ],
)
def test_a_value_of_series_that_are_scraped_one_after_the_other_reaches_back_to_the_first_of_them(
    query: str, span: float
) -> None:
    """So long a bad sample of one of them may count beside new ones of the others."""
    check, taken = age_check(query), {"newest 0": A[0], "oldest 0": A[1], "newest 1": B[0], "oldest 1": B[1]}
    times = check.times([{"metric": {PART: part}, "value": [0, str(taken[part])]} for part in check.parts])
    assert isinstance(times, SampleTimes)
    assert times.span(check.span) == span


@pytest.mark.parametrize(
    ("query", "several"),
    [
        ("sum(a)", False),
        ('sum({__name__="a"}) + b', False),
        ('sum({"a"})', False),
        ('sum({__name__=~"a|b"})', True),
        ('a + on() sum({job="x"})', True),
        ('max_over_time({__name__!="a", x="1"}[1m])', True),
    ],
)
def test_a_selector_that_names_no_one_metric_may_pick_several(query: str, several: bool) -> None:
    assert age_check(query).several is several


def test_the_second_of_or_counts_where_the_first_is_missing() -> None:
    assert told("a or b", A, B) == SampleTimes(100.0, 90.0)
    assert told("a or b", None, B) == SampleTimes(70.0, 60.0)
    assert told("a or b", None, None) is Rest.NOTHING


def test_a_number_in_the_place_of_a_series_is_nothing_to_rest_on() -> None:
    assert told("sum(a) or vector(0)", A) == SampleTimes(100.0, 90.0)
    assert told("sum(a) or vector(0)", None) is Rest.NOTHING
    assert told("sum(a) + (sum(b) or vector(0))", A, None) == SampleTimes(100.0, 90.0, whole=False)


def test_what_is_taken_away_need_not_be_there() -> None:
    assert told("a unless on() maintenance", A) == SampleTimes(100.0, 90.0)


@pytest.mark.parametrize("query", ["1", "vector(1)", "time() * 2", "hour()", "absent(a)", "a @ 1600000000"])
def test_numbers_rest_on_no_sample(query: str) -> None:
    assert told(query) is Rest.NUMBERS


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("a", 0.0),
        ("rate(a[1m])", 60.0),
        ("rate(a[1m]) + increase(b[5m])", 300.0),
        ("max_over_time(rate(a[1m])[10m:15s])", 660.0),
    ],
)
def test_a_range_says_how_far_back_a_value_reaches(query: str, span: float) -> None:
    assert age_check(query).span == span


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("a offset 5m", "max(timestamp(a offset 300000ms)) + 300"),
        ("a offset -5m", "max(timestamp(a offset -300000ms)) + -300"),
        ("sum_over_time(a[10m:1m] offset 1h)", "offset 3600000ms))) + 3600"),
    ],
)
def test_an_offset_is_as_old_as_it_was_asked_for(query: str, part: str) -> None:
    assert part in age_check(query).question


@pytest.mark.parametrize(
    "query",
    [
        r'a{x="q\"uote", y=~"a\\.b"}',
        '{__name__="a"}',
        "sum(rate(a{x!~`b|c`}[1m])) by (y) or topk(3, b)",
        "histogram_quantile(0.9, sum by (le) (rate(a[5m])))",
        "rate(a[30s] offset 7s)",
    ],
)
def test_the_question_is_promql_again(query: str) -> None:
    promql.parse(age_check(query).question)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("sum(", "cannot be taken apart"),
        ('a{x="1" or y="2"}', "alternatives"),
        (" + ".join(["metric_with_a_name"] * 60), "too many selectors"),
        ("rate(a[1e300])", "too large for a length of time"),
        ("rate(a[9223372036854775807])", "a length of time that is too long"),
        ("rate(a[1e18])", "cannot be taken apart: number too large"),
    ],
)
def test_what_cannot_be_asked_is_said(query: str, why: str) -> None:
    with pytest.raises(UncheckedError, match=why):
        age_check(query)
    assert LONGEST < 8000, "a URL's usual bound"


@pytest.mark.parametrize(
    "odd", [None, "text", 5, [5], [{"metric": {}}], [{"metric": {PART: "newest 0"}, "value": ["", "x"]}]]
)
def test_an_odd_answer_is_no_age(odd: object) -> None:
    assert age_check("a").times(odd) is Rest.NOTHING


@pytest.mark.parametrize("at", ["NaN", "+Inf", "-Inf", "1e999", 10**400, None, [], "soon"])
def test_a_time_that_is_none_makes_nothing_fresh(at: object) -> None:
    check = age_check("a")
    (part, *_) = check.parts
    found = check.times([{"metric": {PART: part}, "value": [0, at]}])
    assert found is Rest.NOTHING
