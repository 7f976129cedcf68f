"""Tenants' queries, confined to their namespace: who writes a policy reads no other namespace's numbers through it.

The query is parsed, written anew from what was parsed, and every selector gets ``namespace="…"`` in front of what it
says. The library that writes it does not escape quotes and drops what it has no words for (milliseconds, a subquery
without a step): a value could close its own braces, and a range could become another one. So texts and labels with
such characters are refused, and what was written is parsed again: it must be the same query, every selector confined.

What it takes to parse a query is told from its text first (``querycost``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql

from tidegate.metrics.parsing import UnreadableError, reading
from tidegate.metrics.querycost import texts_of, too_costly

LABEL = "namespace"
"""The label by which Prometheus' scrape of Kubernetes, kube-state-metrics and cAdvisor tell a namespace."""
SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/ |*+?^$()[]{},;=~!<>%@#&'")
"""Characters that texts in a query may have: none of them ends a text, whichever quotes are around it."""
OUTSIDE = frozenset({"info"})
"""Functions that read more than their selectors say."""
MOST_PARTS = 64
"""Parentheses, operators and signs of one query. Judgment: a sum of 21 rates has 62; they cost 1 ms."""
MOST_LISTED = 200
"""Commas of one query: labels, matchers and arguments. Judgment."""
MOST_REPEATS = 256
"""Counted repeats in the texts of one query, multiplied within a text: ``[a-z0-9]{8,10}-[a-z0-9]{5}`` has 50. They cost
1 ms."""

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WRITTEN_TEXT = re.compile(r'("[^"]*")')
_FIRST = "@ 0.000"
"""How the library writes the first instant that it can write, and all before it."""


class UnscopedError(ValueError):
    """The query cannot be confined to one namespace; the message says why."""


def scoped(query: str, namespace: str) -> str:
    """The query as it reads that namespace alone. UnscopedError when it cannot be confined."""
    for text in texts_of(query):
        _check_text(text)
    if why := too_costly(query, parts=MOST_PARTS, listed=MOST_LISTED, repeats=MOST_REPEATS):
        raise UnscopedError(why)
    try:
        with reading():
            return _scoped(query, namespace)
    except UnscopedError:
        raise
    except UnreadableError as error:
        raise UnscopedError(str(error)) from error
    except ValueError as error:  # the library has one kind for what is no PromQL, and for lengths that it cannot show
        raise UnscopedError(f"is no PromQL: {error}") from error


def _scoped(query: str, namespace: str) -> str:
    parsed = promql.parse(query)
    nodes = list(_nodes(parsed))
    for node in nodes:
        _check(node)
    written = _written(parsed, nodes, namespace)
    try:
        rewritten = promql.parse(written)
    except ValueError as error:
        raise UnscopedError("cannot be written anew with its namespace") from error
    again = list(_nodes(rewritten))
    if not all(_is_confined(node, namespace) for node in again if isinstance(node, promql.VectorSelector)):
        raise UnscopedError("cannot be confined to a namespace")
    if [_meaning(node, namespace) for node in again] != [_meaning(node, namespace) for node in nodes]:
        raise UnscopedError("cannot be written anew with its namespace and mean the same")
    return written


def _check_text(text: str) -> None:
    odd = sorted(set(text) - SAFE)
    if odd:
        raise UnscopedError(f"has {odd[0]!r} in a text, which cannot be written anew")


def _check(node: Any) -> None:
    """UnscopedError for what cannot be written anew as it was, or reads more than it says."""
    if str(getattr(node, "at", None)) == _FIRST:
        raise UnscopedError("has an instant (@) before 1970, which cannot be written anew")
    if isinstance(node, promql.VectorSelector):
        if node.matchers.or_matchers:
            raise UnscopedError("has alternatives (or) inside of braces; write two selectors")
        for matcher in node.matchers.matchers:
            _check_text(matcher.value)
        _check_text(node.name or "")
    elif isinstance(node, promql.StringLiteral):
        _check_text(node.val)
    elif isinstance(node, promql.SubqueryExpr) and node.step is None:
        raise UnscopedError("has a subquery without a step, as [5m:]; write its step, as [5m:1m]")
    elif isinstance(node, promql.Call) and node.func.name in OUTSIDE:
        raise UnscopedError(f"{node.func.name}() reads series of other namespaces")
    for label in _labels(node):
        if not _LABEL.fullmatch(label):
            raise UnscopedError(f"has the label {label[:60]!r}, which cannot be written anew")


def _labels(node: Any) -> list[str]:
    """Names of labels that a part of a query says."""
    if isinstance(node, promql.VectorSelector):
        return [matcher.name for matcher in node.matchers.matchers]
    modifier = getattr(node, "modifier", None)
    if modifier is None:
        return []
    if isinstance(node, promql.AggregateExpr):
        return list(modifier.labels)
    return [*(modifier.matching.labels if modifier.matching else ()), *(modifier.group_labels or ())]


def _written(parsed: promql.Expr, nodes: list[Any], namespace: str) -> str:
    """The query with the namespace behind the brace that opens each selector: outside of texts there are no others."""
    selectors = [node for node in nodes if isinstance(node, promql.VectorSelector)]
    pieces = [
        piece
        for at, text in enumerate(_WRITTEN_TEXT.split(str(parsed)))
        for piece in ([text] if at % 2 else re.split(r"(?<=\{)", text))
    ]
    opening = [at for at, piece in enumerate(pieces) if piece.endswith("{")]
    if len(opening) != len(selectors):
        raise UnscopedError("cannot be confined to a namespace")
    for at, selector in zip(opening, selectors, strict=True):
        if not _is_confined(selector, namespace):
            comma = "" if pieces[at + 1].startswith("}") else ","
            pieces[at] += f'{LABEL}="{namespace}"{comma}'
    return "".join(pieces)


def _nodes(node: Any) -> Iterator[Any]:
    """Every part of a query in the order in which it is written, the selectors inside of ranges among them."""
    yield node
    inner: list[Any]
    match node:
        case promql.VectorSelector() | promql.NumberLiteral() | promql.StringLiteral():
            inner = []
        case promql.MatrixSelector():
            inner = [node.vector_selector]
        case promql.Call():
            inner = list(node.args)
        case promql.AggregateExpr():
            inner = [node.expr] if node.param is None else [node.param, node.expr]
        case promql.BinaryExpr():
            inner = [node.lhs, node.rhs]
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            inner = [node.expr]
        case _:
            raise UnscopedError(f"has a {type(node).__name__}, which cannot be confined to a namespace")
    for part in inner:
        yield from _nodes(part)


def _meaning(node: Any, namespace: str) -> tuple[Any, ...]:
    """What one part of a query says, but for its namespace: equal for parts that mean the same."""
    said: tuple[Any, ...] = ()
    match node:
        case promql.VectorSelector():
            name = [("__name__", str(promql.MatchOp.Equal), node.name)] if node.name else []
            told = [(one.name, str(one.op), one.value) for one in node.matchers.matchers]
            own = (LABEL, str(promql.MatchOp.Equal), namespace)
            said = (frozenset(name + told) - {own}, node.offset, str(node.at))
        case promql.MatrixSelector():
            said = (node.range,)
        case promql.SubqueryExpr():
            said = (node.range, node.step, node.offset, str(node.at))
        case promql.Call():
            said = (node.func.name, len(node.args))
        case promql.AggregateExpr() | promql.BinaryExpr():
            said = (str(node.op), str(node.modifier))
        case promql.NumberLiteral() | promql.StringLiteral():
            said = (repr(node.val),)
    return (type(node).__name__, *said)


def _is_confined(selector: promql.VectorSelector, namespace: str) -> bool:
    of = [(one.name, one.op, one.value) for one in selector.matchers.matchers]
    return (LABEL, promql.MatchOp.Equal, namespace) in of and not selector.matchers.or_matchers
