"""Queries of 4 KB that would take the time or the memory of all: refused from their text."""

from __future__ import annotations

import gc
import time
from contextlib import suppress

import pytest

from tidegate.metrics import ages
from tidegate.metrics.ages import UncheckedError, age_check
from tidegate.metrics.querycost import texts_of, too_costly
from tidegate.metrics.scoped import UnscopedError, scoped


@pytest.mark.parametrize(
    "query",
    [
        "(" * 2047 + "a" + ")" * 2047,
        "-" * 4095 + "a",
        "a" + "+a" * 2047,
        "a" + " or a" * 800,
        "abs(" * 800 + "a" + ")" * 800,
        "sum(" * 800 + "a" + ")" * 800,
        'a{x=~"((((a{1000}){1000}){1000}){1000})"}',
        "a{" + ",".join(['x=~".{500}"'] * 150) + "}",
        'a{x=~"' + "a{999999}" * 440 + '"}',
        'a{x=~"a{10000,}"}',
        "label_join(a, 'x', ','" + ",'y'" * 900 + ")",
        "sum by (" + ",".join(["x"] * 1000) + ") (a)",
        '"\\' * 2048,
        "#" * 4096,
        "{" * 4096,
        'a{x=~"b' + r"\x7b1000\x7d" * 300 + '"}',
        "a{x=~'b" + r"\1731000\175" * 300 + "'}",
        'a{x=~"(..........){256}"}',
        "a{" + ",".join(['x=~"(' + "." * 230 + '){17}"'] * 15) + "}",
        "a{" + ",".join(['x=~"([^a][^b]{9}){4}"'] * 60) + "}",
        'a{x=~"' + "." * 4000 + '"}',
        'a{x=~"(?i)(' + "k" * 1500 + '){9}"}',
        'a{x=~"(?x)#[' + "." * 300 + '){9}"}',
    ],
    ids=lambda query: query[:12],
)
def test_what_would_take_the_time_of_all_is_refused_before_it_is_parsed(query: str) -> None:
    assert len(query) <= 4096
    for door in (lambda: scoped(query, "shop"), lambda: age_check(query)):
        begun = time.process_time()
        with pytest.raises((UnscopedError, UncheckedError)):
            door()
        assert time.process_time() - begun < 0.05


CHEAP = [
    'a{x=~"{' + "1" * 4080 + '"}',
    'a{x=~"' + ("{" + "1" * 2000) * 2 + '"}',
    "+".join(['a{x="' + "y" * 50 + '"}'] * 63),
    "+".join(['a{x=~"' + "y" * 50 + '"} @ 5'] * 60),
]
"""Of 4 KB, and taken: digits that end no brace, a long sum."""


@pytest.mark.parametrize("query", CHEAP, ids=lambda query: query[:12])
def test_what_is_taken_costs_milliseconds(query: str) -> None:
    for door in (lambda: scoped(query, "shop"), lambda: age_check(query)):
        gc.disable()  # what other tests have left behind is none of its costs
        begun = time.thread_time()
        try:
            with suppress(UnscopedError, UncheckedError):
                door()
            spent = time.thread_time() - begun
        finally:
            gc.enable()
        assert spent < 0.02


@pytest.mark.parametrize("query", ["+".join(['b{x="' + "y" * 50 + '"}'] * 40), "sum(b", "rate(b[1e300])", "sum(b)"])
def test_a_query_is_taken_apart_once_however_often_it_is_read(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose age cannot be asked for: it is asked for at each reading."""

    def tried() -> str:
        try:
            return age_check(query).question
        except UncheckedError as error:
            return str(error)

    first = tried()
    monkeypatch.setattr(ages.promql, "parse", lambda text: pytest.fail("it was parsed again"))
    assert first == tried() != ""


@pytest.mark.parametrize(
    "text", [r"a{x=~\"\\w\"}", 'a{x=~"' + r"\\d{1,3}\\." * 4 + '"}', 'a{x=~"' + r"[a-z]+\\.shop|" * 60 + '"}']
)
def test_addresses_and_long_choices_are_no_work(text: str) -> None:
    assert too_costly(text, parts=64, listed=200, repeats=256) == ""


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("a{x=\"1\",y='2',z=`3`}", ["1", "2", "3"]),
        ('a # it\'s a comment\n + b{x="#"}', ["#"]),
        (r'a{x="b\"c"}', [r"b\"c"]),
        ("a{x='b", ["b"]),
        ("a{x=\"'\",y='\"'}", ["'", '"']),
    ],
)
def test_a_text_is_what_stands_in_quotes_outside_of_comments(query: str, texts: list[str]) -> None:
    assert texts_of(query) == texts


@pytest.mark.parametrize(
    "query",
    [
        " + ".join(f"sum(rate(orders_{n}_total[5m]))" for n in range(20)),
        'sum(rate(a{pod=~"web-[a-z0-9]{8,10}-[a-z0-9]{5}"}[5m])) by (' + ", ".join(f"l{n}" for n in range(40)) + ")",
        "histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m]))) > 0 or vector(0)",
    ],
)
def test_what_people_write_is_taken(query: str) -> None:
    assert too_costly(query, parts=64, listed=200, repeats=256) == ""
    assert scoped(query, "shop")
    assert age_check(query).question
