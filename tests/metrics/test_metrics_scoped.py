"""A tenant's query reads its namespace, or is refused in words."""

from __future__ import annotations

import re
import time

import promql_parser as promql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.metrics.scoped import UnscopedError, scoped


@pytest.mark.parametrize(
    ("query", "want"),
    [
        ("a", 'a{namespace="shop"}'),
        ('sum(rate(a_total{job="x"}[5m])) by (job)', 'sum by (job)(rate(a_total{namespace="shop",job="x"}[5m]))'),
        ("a or b", 'a{namespace="shop"} or  b{namespace="shop"}'),
        ('a{namespace="other"}', 'a{namespace="shop",namespace="other"}'),
        ('a{namespace=~".+"}', 'a{namespace="shop",namespace=~".+"}'),
        ('a{namespace="shop"}', 'a{namespace="shop"}'),
        ('{__name__=~"secret.*"}', '{namespace="shop",__name__=~"secret.*"}'),
        ('{"my.metric"}', '{namespace="shop",__name__="my.metric"}'),
        ("max_over_time(a[5m:1m] offset 1h)", 'max_over_time(a{namespace="shop"}[5m:1m] offset 1h)'),
        ("topk(scalar(b), a)", 'topk(scalar(b{namespace="shop"}), a{namespace="shop"})'),
        ("a * on(pod) group_left(node) b", 'a{namespace="shop"} * on (pod) group_left (node) b{namespace="shop"}'),
        ("vector(3)", "vector(3)"),
        ('a{path=~"/v1/[a-z]{2,3}$"} # all', 'a{namespace="shop",path=~"/v1/[a-z]{2,3}$"}'),
    ],
)
def test_every_selector_gets_the_namespace(query: str, want: str) -> None:
    assert scoped(query, "shop") == want


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("sum(", "is no PromQL"),
        ("", "is no PromQL"),
        ('a{x="1" or y="2"}', "alternatives"),
        ("info(a)", "other namespaces"),
        ("a{x='\"} or secret{y=\"'}", "cannot be written anew"),
        ('a{x=`"} or secret{y="`}', "cannot be written anew"),
        (r'a{x=~"b\\.c"}', "cannot be written anew"),
        ('label_replace(a, "x", "\\"", "y", ".*")', "cannot be written anew"),
        ('{"a\\"} or secret{b=\\""}', "cannot be written anew"),
        ('a{"x.y"="1"}', "label 'x.y', which cannot be written anew"),
        ('sum by ("x)(secret) #") (a + b)', "label"),
        ('a * on("x y") b', "label 'x y', which cannot be written anew"),
        ('a * on(x) group_left("y z") b', "label 'y z', which cannot be written anew"),
        ("max_over_time(a[5m:])", "subquery without a step"),
        ("a @ -2", "before 1970"),
        ("max_over_time(a[5m:1m] @ -0.5)", "before 1970"),
        ("rate(a[1500ms])", "and mean the same"),
        ("rate(a[500ms])", "cannot be written anew"),
        ("a offset 500ms", "cannot be written anew"),
        ("rate(a[1e300])", "too large for a length of time"),
        ("sum(a offset NaN)", "too large for a length of time"),
        ("max_over_time(a[5m:1e300])", "too large for a length of time"),
        ("rate(a[9223372036854775807])", "a length of time that is too long"),
        ("a offset -9223372036854775808", "a length of time that is too long"),
        ("rate(a[1e18])", "number too large"),
    ],
)
def test_what_cannot_be_confined_is_refused_in_words(query: str, why: str) -> None:
    with pytest.raises(UnscopedError, match=why):
        scoped(query, "shop")


@pytest.mark.parametrize("wrap", ["(%s)", "-(%s)", "abs(%s)", "sum(%s)", "a + %s", "%s + a", "a or (%s)"])
def test_the_deepest_query_that_is_taken_costs_milliseconds(wrap: str) -> None:
    query = deeper = "a"
    while True:
        begun = time.process_time()
        try:
            scoped(deeper, "shop")
        except UnscopedError:
            break
        query, deeper = deeper, wrap % deeper
    assert query != "a"
    assert time.process_time() - begun < 0.05


TEXTS = st.text(alphabet="ab\"'`\\{}[](),=~ |\n", max_size=12)
NAMES = st.sampled_from(["a", "b:c", "secret"])


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Queries that quote in every manner, and hide selectors in texts."""
    quote = draw(st.sampled_from("\"'`"))
    text = draw(TEXTS)
    selector = f"{draw(NAMES)}{{x{draw(st.sampled_from(['=', '!=', '=~', '!~']))}{quote}{text}{quote}}}"
    wrap = draw(st.sampled_from(["%s", "sum(%s)", "rate(%s[5m])", "%s or secret", "-%s", "max_over_time(%s[5m:1m])"]))
    return wrap % selector


@given(queries())
def test_whatever_is_written_every_selector_of_what_is_sent_is_confined(query: str) -> None:
    try:
        sent = scoped(query, "shop")
    except UnscopedError:
        return
    found: list[promql.VectorSelector] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(sent), pre_visit=visit)
    assert found
    for one in found:
        assert 'namespace="shop"' in [str(matcher) for matcher in one.matchers.matchers]
        assert not one.matchers.or_matchers
    assert scoped(sent, "shop") == sent


OPERATORS = st.sampled_from(["+", "-", "*", "/", "%", "^", "or", "and", "unless", "atan2"])
DURATIONS = st.sampled_from(["5m", "90s", "1h30m", "1500ms", "1ms", "300", "0.5", "1y", "1d12h"])
NUMBERS = st.sampled_from(["1", "0x1F", "1e3", ".5", "1e-9", "123456789012345678", "Inf", "NaN", "1h", "-2"])
QUOTED = st.sampled_from(["x", "x y", "x.y", "x) (secret) #", "\\u00e9", 'x=\\"', "le"])


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A query of queries: ranges, offsets, instants, groupings, operators and labels in quotes."""
    return st.one_of(
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds(
            "{} {} {}".format,
            inner,
            OPERATORS,
            inner,
        ),
        st.builds("{} > bool {}".format, inner, NUMBERS),
        st.builds('{} * on("{}") group_left("{}") {}'.format, inner, QUOTED, QUOTED, inner),
        st.builds('sum by ("{}") ({})'.format, QUOTED, inner),
        st.builds("topk({}, {})".format, NUMBERS, inner),
        st.builds("max_over_time({}[{}:{}] offset {})".format, inner, DURATIONS, DURATIONS, DURATIONS),
        st.builds("max_over_time(({})[{}:] @ end())".format, inner, DURATIONS),
        st.builds("rate(a[{}] @ {} offset -{})".format, DURATIONS, NUMBERS, DURATIONS),
        st.builds('a{{"{}"=~"b|c"}} offset {}'.format, QUOTED, DURATIONS),
        st.builds("clamp({}, {}, {})".format, inner, NUMBERS, NUMBERS),
        st.builds("{} # secret\r + secret\n".format, inner),
    )


CONFINED = 'Matcher { op: Equal name: "namespace" value: "shop" } '


@given(st.recursive(st.sampled_from(["a", "secret", '{__name__=~"a.+"}', "vector(1)"]), nested))
def test_whatever_is_sent_means_what_was_written(query: str) -> None:
    try:
        sent = scoped(query, "shop")
    except UnscopedError:
        return
    want, got = (re.sub(r",?\s+", " ", repr(promql.parse(text))) for text in (query, sent))  # to the last detail
    assert ("VectorSelector" in got) == (CONFINED in got)
    assert got.replace(CONFINED, "").replace("[ ]", "[]") == want
