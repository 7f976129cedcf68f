"""How old the samples are that a query's value rests on. Pure: no network, no clock.

An instant query is stamped with the time it was asked for, whatever the age of its samples (up to the server's
look-back of five minutes). ``timestamp()`` tells a sample's own time, but of a plain selector only. So each selector
inside of the query is asked for the newest sample of its series, and for that of the series that is furthest behind,
all in one question; what the answers mean for the whole query follows from where the selectors stand in it. An
``offset`` is taken out: a value that was asked for as of five minutes ago is as old as it should be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from typing import Any

import promql_parser as promql

from tidegate.metrics.parsing import UnreadableError, reading
from tidegate.metrics.querycost import too_costly

PART = "tidegate_part"
"""Label by which the answer tells the selectors apart."""
LONGEST = 6000
"""Characters of the question at most: it is part of a URL."""
MOST_PARTS, MOST_LISTED, MOST_REPEATS = 200, 500, 1000
"""See ``querycost.too_costly``: some 10 ms and 5 MB."""
_STEPS = 4
"""Instants within a range at which a selector is looked at that has no sample any more at its end."""
_WRITTEN = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
"""Operators of matchers, by their names in the parser: they have no hash."""
_TIMELESS = frozenset({"absent", "absent_over_time", "pi", "time"})
"""Functions whose value is no sample's."""


class UncheckedError(ValueError):
    """The age of a query's samples cannot be asked for; the message says why."""


class Rest(Enum):
    """What a part of a query rests on, other than on samples."""

    NUMBERS = "numbers"
    """Numbers and functions of the time alone."""
    NOTHING = "nothing"
    """Series that are not there, or a number that the query puts in their place."""


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """When the samples of a query were taken, by the server's clock."""

    newest: float
    """Of each selector its newest sample; of several selectors the one that is furthest behind."""
    oldest: float
    """The oldest newest sample of any series that is read without a range."""
    whole: bool = True
    """False: some selectors have no series, while others have."""
    ahead: float = 0.0
    """Seconds by which the newest sample of all is newer than ``newest``."""

    def span(self, within: float) -> float:
        """Seconds before ``newest`` from which samples count in the value. ``within``: seconds of the longest range.

        Series are scraped one after the other: the last bad sample of one counts in each value until it is scraped
        again, while the others already have new ones.
        """
        return self.ahead + max(within, self.newest - self.oldest)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A selector, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class _All:
    """A part that needs all of its parts."""

    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Either:
    """A part that takes the second where the first has no series: ``or``."""

    first: _Node
    second: _Node


_Node = _Leaf | _All | _Either
_NUMBERS = _All(())


@dataclass(frozen=True, slots=True)
class AgeCheck:
    """How to ask for the age of a query's samples."""

    question: str
    """An instant query; empty when the query reads no series."""
    span: float
    """Seconds before the newest sample from which samples count in the query's value."""
    falls_back: bool
    """Whether the query puts a number in the place of missing series: ``or vector(0)``."""
    parts: tuple[str, ...]
    """What the answer tells, one series each with one of these as its label ``PART``: the value is a sample's time."""
    several: bool
    """Whether a selector may pick several metrics: ``{__name__=~"a|b"}``. ``timestamp()`` drops the name, and where two
    of them bear the same labels Prometheus refuses the question, though not the query."""
    _root: _Node

    def times(self, result: object) -> SampleTimes | Rest:
        """What the answer to the question says of the query."""
        told: dict[str, float] = {}
        for series in result if isinstance(result, Sequence) and not isinstance(result, str) else ():
            try:
                part, at = series["metric"][PART], float(series["value"][1])
            except (TypeError, ValueError, LookupError, OverflowError):
                continue
            if math.isfinite(at):  # NaN is neither old nor new
                told[part] = at
        return _times(self._root, told)


def age_check(query: str) -> AgeCheck:
    """How to ask for the age of a query's samples. UncheckedError when that cannot be asked for. Either is remembered:
    it is asked at each reading, on the thread of all.
    """
    found = _known_check(query)
    if isinstance(found, str):
        raise UncheckedError(found)
    return found


@lru_cache(maxsize=2048)
def _known_check(query: str) -> AgeCheck | str:
    """A check, or why there is none."""
    try:
        with reading():
            return _check(query)
    except (UncheckedError, UnreadableError) as error:
        return str(error)
    except ValueError as error:
        return f"cannot be taken apart: {error}"


def _check(query: str) -> AgeCheck:
    if why := too_costly(query, parts=MOST_PARTS, listed=MOST_LISTED, repeats=MOST_REPEATS):
        raise UncheckedError(why)
    reader = _Reader()
    root = reader.node(promql.parse(query), 0.0, 0.0)
    question = " or ".join(reader.questions)
    if len(question) > LONGEST:
        raise UncheckedError("has too many selectors to ask for the age of each")
    try:
        promql.parse(question or "1")
    except ValueError as error:
        raise UncheckedError("has a selector that cannot be written anew") from error
    return AgeCheck(question, reader.span, reader.falls_back, tuple(reader.parts), reader.several, root)


class _Reader:
    """Goes through a query and collects its selectors."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.parts: list[str] = []
        self.span = 0.0
        self.falls_back = False
        self.several = False
        self._selectors = 0

    def node(self, part: promql.Expr, span: float, offset: float) -> _Node:
        """A part of the query; ``span`` and ``offset`` are those of the subqueries around it."""
        if isinstance(part, promql.VectorSelector):
            return self._leaf(part, span, offset)
        if isinstance(part, promql.MatrixSelector):
            return self._leaf(part.vector_selector, span + _seconds(part.range), offset)
        if isinstance(part, promql.SubqueryExpr):
            if part.at is not None:
                return _NUMBERS
            return self.node(part.expr, span + _seconds(part.range), offset + _seconds(part.offset))
        if isinstance(part, promql.BinaryExpr):
            return self._binary(part, span, offset)
        if isinstance(part, promql.Call):
            # The second argument of info() picks labels, no demand.
            inner = () if part.func.name in _TIMELESS else part.args[:1] if part.func.name == "info" else part.args
            return _All(tuple(self.node(one, span, offset) for one in inner))
        if isinstance(part, promql.ParenExpr | promql.UnaryExpr | promql.AggregateExpr):
            return self.node(part.expr, span, offset)
        return _NUMBERS

    def _binary(self, part: promql.BinaryExpr, span: float, offset: float) -> _Node:
        first = self.node(part.lhs, span, offset)
        if str(part.op) == "unless":  # what is taken away need not be there
            return first
        second = self.node(part.rhs, span, offset)
        if str(part.op) != "or":
            return _All((first, second))
        self.falls_back = self.falls_back or (_reads(first) and not _reads(second))
        return _Either(first, second)

    def _leaf(self, selector: promql.VectorSelector, span: float, offset: float) -> _Node:
        if selector.at is not None:  # of one instant for ever
            return _NUMBERS
        self.span = max(self.span, span)
        self.several = self.several or not _names_one(selector)
        number, text = self._selectors, _written(selector)
        self._selectors += 1
        back = offset + _seconds(selector.offset)
        asked = f"{text}{_offset(back)}"
        # A range leaves out by itself what is older than it is long.
        for name, pick in (("newest", "max"),) if span > 0 else (("newest", "max"), ("oldest", "min")):
            question = f"{pick}(timestamp({asked}))"
            if span > 0:  # a series that ended a while ago still counts within the range
                step = max(1, round(span / _STEPS))
                inner = f"timestamp({text})[{max(1, round(span))}s:{step}s]{_offset(back)}"
                question = f"({question} or {pick}(max_over_time({inner})))"
            shifted = f"{question} + {back:g}" if back else question
            self.parts.append(f"{name} {number}")
            self.questions.append(f'label_replace({shifted}, "{PART}", "{self.parts[-1]}", "", "")')
        return _Leaf(number)


def _reads(node: _Node) -> bool:
    """Whether a part reads any series."""
    if isinstance(node, _Leaf):
        return True
    parts = (node.first, node.second) if isinstance(node, _Either) else node.parts
    return any(_reads(part) for part in parts)


def _times(node: _Node, told: Mapping[str, float]) -> SampleTimes | Rest:
    if isinstance(node, _Leaf):
        newest = told.get(f"newest {node.number}")
        return Rest.NOTHING if newest is None else SampleTimes(newest, told.get(f"oldest {node.number}", newest))
    if isinstance(node, _Either):
        first = _times(node.first, told)
        second = _times(node.second, told) if first is Rest.NOTHING else first
        return Rest.NOTHING if second is Rest.NUMBERS and first is Rest.NOTHING else second
    parts = [_times(part, told) for part in node.parts]
    there = [part for part in parts if isinstance(part, SampleTimes)]
    if not there:
        return Rest.NOTHING if Rest.NOTHING in parts else Rest.NUMBERS
    whole = Rest.NOTHING not in parts and all(part.whole for part in there)
    newest, oldest = min(part.newest for part in there), min(part.oldest for part in there)
    return SampleTimes(newest, oldest, whole, max(part.newest + part.ahead for part in there) - newest)


def _names_one(selector: promql.VectorSelector) -> bool:
    """Whether a selector says of which metric it is."""
    matchers = selector.matchers.matchers
    return bool(selector.name) or any(one.name == "__name__" and one.op == promql.MatchOp.Equal for one in matchers)


def _written(selector: promql.VectorSelector) -> str:
    if selector.matchers.or_matchers:
        raise UncheckedError("has alternatives (or) inside of braces")
    name = selector.name or ""
    matchers = ", ".join(f"{one.name}{_WRITTEN[str(one.op)]}{_quoted(one.value)}" for one in selector.matchers.matchers)
    return f"{name}{{{matchers}}}" if matchers else name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _offset(seconds: float) -> str:
    """An offset modifier, in whole milliseconds; nothing for none."""
    milliseconds = round(seconds * 1000)
    sign = "-" if milliseconds < 0 else ""
    return f" offset {sign}{abs(milliseconds)}ms" if milliseconds else ""


def _seconds(length: Any) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else 0.0
