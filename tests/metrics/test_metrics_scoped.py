"""A tenant's query reads its namespace, or is refused in words."""

from __future__ import annotations

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
    ],
)
def test_what_cannot_be_confined_is_refused_in_words(query: str, why: str) -> None:
    with pytest.raises(UnscopedError, match=why):
        scoped(query, "shop")


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
