"""What an instant query answered, as one of a few outcomes. Pure: no network, no clock.

Prometheus answers with a vector, a matrix, a scalar or a string; numbers come as text, ``NaN`` and ``+Inf`` among them.
Nothing here ever turns "no answer" into a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.planning.model import Freshness, Reading

NOTE = 200
"""Characters of a note."""

REPLICA_LABELS = ("__replica__", "prometheus_replica", "replica", "receive_replica", "rule_replica")
"""Labels by which the Prometheus of a pair that both scrape everything are usually told apart."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an instant query answered."""

    result: Any
    """The API's ``data.result``."""
    partial: str = ""
    """Why it is only a part of what was asked for; empty when it is whole."""


def answer_of(result: object, document: object) -> Answer:
    """An answer with what the document around it says of its completeness: ``warnings``, as Thanos and Prometheus give
    for a store that did not answer, or ``isPartial``, as VictoriaMetrics does. Remarks on the query are none.
    """
    if not isinstance(document, Mapping):
        return Answer(result)
    warnings = document.get("warnings")
    told = [str(one) for one in warnings] if isinstance(warnings, Sequence) and not isinstance(warnings, str) else []
    partial = [one for one in told if not one.startswith("PromQL info")]
    if document.get("isPartial") is True:
        partial.append("some storage nodes did not answer")
    return Answer(result, partial[0][:NOTE] or "a warning" if partial else "")


def sample_of(result: object) -> tuple[float, float] | Freshness:
    """(time, value) of the single sample of a query's ``result``, else which outcome it is.

    A vector or a matrix of one series counts (its newest sample), and so does a scalar. A demand below zero is none.
    """
    if not isinstance(result, Sequence) or isinstance(result, str) or not result:
        return Freshness.EMPTY
    if isinstance(result[0], Mapping) and len(result) > 1:
        return Freshness.MANY
    try:
        pair: Any = _newest(result[0]) if isinstance(result[0], Mapping) else result
        at, value = float(pair[0]), float(pair[1])
    except OverflowError:
        return Freshness.NAN
    except (TypeError, ValueError, LookupError):
        return Freshness.EMPTY
    if not (math.isfinite(value) and math.isfinite(at)):
        return Freshness.NAN
    return (at, value) if value >= 0.0 else Freshness.NEGATIVE


def _newest(series: Mapping[str, Any]) -> Any:
    """The last pair of a series of a vector or a matrix."""
    return series.get("value") or series["values"][-1]


@dataclass(frozen=True, slots=True)
class Sample:
    """A value, and how old the samples are that it rests on."""

    at: float
    """When the newest of them was taken, by our clock."""
    value: float
    stamp: float | None = None
    """The same by the server's clock; see ``Reading.stamp``."""
    span: float = 0.0
    """See ``Reading.span``."""
    partial: str = field(default="")
    """Why the value may be too low; empty when it is whole."""


def reading_of(
    sample: Sample | Freshness, *, now: float, stale_after: float, query: str, result: object = None
) -> Reading:
    """The reading for a sample, or for the want of one; ``result`` as answered, for what to do about many series."""
    if isinstance(sample, Freshness):
        return Reading(sample, None, now, _why(sample, query, result))
    known = {"stamp": sample.stamp, "span": sample.span}
    if now - sample.at > stale_after:
        note = f"its newest sample is older than {stale_after:g} s"
        return Reading(Freshness.STALE, sample.value, sample.at, note, **known)  # type: ignore[arg-type]
    if sample.partial:
        return Reading(Freshness.PARTIAL, sample.value, sample.at, sample.partial[:NOTE], **known)  # type: ignore[arg-type]
    return Reading(Freshness.FRESH, sample.value, sample.at, **known)  # type: ignore[arg-type]


def _why(outcome: Freshness, query: str, result: object) -> str:
    short = query if len(query) <= NOTE // 2 else query[: NOTE // 2] + "…"
    if outcome is Freshness.MANY:
        return f"more than one series; {_advice(short, result)}"
    if outcome is Freshness.NAN:
        return f"not a finite number: {short}"
    if outcome is Freshness.NEGATIVE:
        return f"below zero, which no demand is: {short}"
    if outcome is Freshness.FUTURE:
        return f"its newest sample is dated ahead of the server's own clock: {short}"
    return f"no series: {short}"


def _advice(query: str, result: object) -> str:
    """How to make one series of several: a sum of parts, and of replicas that all see the same the largest."""
    labels = _differing(result)
    replicas = sorted(labels & set(REPLICA_LABELS))
    if not replicas:
        return f"aggregate the query: sum({query})"
    once = f"max without ({', '.join(replicas)}) ({query})"
    whole = once if len(labels) == len(replicas) else f"sum({once})"
    return f"replicas see the same demand, and a sum counts it twice: {whole}"


def _differing(result: object) -> set[str]:
    """Names of the labels in which the series of a result differ."""
    series = [one.get("metric") for one in result if isinstance(one, Mapping)] if isinstance(result, Sequence) else []
    found = [one for one in series if isinstance(one, Mapping)]
    names = {str(name) for one in found for name in one}
    return {name for name in names if len({str(one.get(name)) for one in found}) > 1}
