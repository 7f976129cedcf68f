"""Tenants' queries, confined to their namespace: who writes a policy reads no other namespace's numbers through it.

The query is parsed, every selector gets ``namespace="…"`` beside what it says, and the result is written anew. The
writer of the parser does not escape quotes, so that a value could close its own braces: what has such characters is
refused, and what was written is parsed again and must have every selector confined.
"""

from __future__ import annotations

from typing import Any

import promql_parser as promql

LABEL = "namespace"
"""The label by which Prometheus' scrape of Kubernetes, kube-state-metrics and cAdvisor tell a namespace."""
SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/ |*+?^$()[]{},;=~!<>%@#&'")
"""Characters that texts in a query may have: none of them ends a text, whichever quotes are around it."""
OUTSIDE = frozenset({"info"})
"""Functions that read more than their selectors say."""


class UnscopedError(ValueError):
    """The query cannot be confined to one namespace; the message says why."""


def scoped(query: str, namespace: str) -> str:
    """The query as it reads that namespace alone. UnscopedError when it cannot be confined."""
    try:
        parsed = promql.parse(query)
    except ValueError as error:
        raise UnscopedError(f"is no PromQL: {error}") from error
    _check(parsed)
    written = str(promql.transform(parsed, pre_visit=lambda node: _confined(node, namespace)))
    try:
        again = promql.parse(written)
    except ValueError as error:
        raise UnscopedError("cannot be written anew with its namespace") from error
    found, wanted = _selectors(again), _selectors(parsed)
    if len(found) != len(wanted) or not all(_is_confined(one, namespace) for one in found):
        raise UnscopedError("cannot be confined to a namespace")
    return written


def _confined(node: promql.Expr, namespace: str) -> promql.Expr | None:
    """A selector with the namespace in front of its matchers; None for everything else."""
    if not isinstance(node, promql.VectorSelector | promql.MatrixSelector):
        return None
    selector = node if isinstance(node, promql.VectorSelector) else node.vector_selector
    if _is_confined(selector, namespace):
        return None
    # It is written with its braces always, and a metric's name in front of them has none.
    head, brace, rest = str(node).partition("{")
    comma = "" if rest.startswith("}") else ", "
    made: promql.Expr = promql.parse(f'{head}{brace}{LABEL}="{namespace}"{comma}{rest}')
    return made


def _check(parsed: promql.Expr) -> None:
    """UnscopedError for what cannot be written anew as it was, or reads more than it says."""
    for node in _nodes(parsed):
        texts: list[str] = []
        if isinstance(node, promql.VectorSelector):
            if node.matchers.or_matchers:
                raise UnscopedError("has alternatives (or) inside of braces; write two selectors")
            texts = [node.name or "", *(matcher.value for matcher in node.matchers.matchers)]
        elif isinstance(node, promql.StringLiteral):
            texts = [node.val]
        elif isinstance(node, promql.Call) and node.func.name in OUTSIDE:
            raise UnscopedError(f"{node.func.name}() reads series of other namespaces")
        odd = sorted({char for text in texts for char in text} - SAFE)
        if odd:
            raise UnscopedError(f"has {odd[0]!r} in a text, which cannot be written anew")


def _nodes(parsed: promql.Expr) -> list[Any]:
    """Every part of a query, the selectors inside of ranges among them."""
    found: list[Any] = []

    def visit(node: promql.Expr) -> None:
        found.append(node)
        if isinstance(node, promql.MatrixSelector):
            found.append(node.vector_selector)

    promql.walk(parsed, pre_visit=visit)
    return found


def _selectors(parsed: promql.Expr) -> list[promql.VectorSelector]:
    return [node for node in _nodes(parsed) if isinstance(node, promql.VectorSelector)]


def _is_confined(selector: promql.VectorSelector, namespace: str) -> bool:
    of = [(one.name, one.op, one.value) for one in selector.matchers.matchers]
    return (LABEL, promql.MatchOp.Equal, namespace) in of and not selector.matchers.or_matchers
