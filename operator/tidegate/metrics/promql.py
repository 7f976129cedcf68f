"""What an instant query answered, as one of a few outcomes. Pure: no network, no clock.

Prometheus answers with a vector, a matrix, a scalar or a string; numbers come as text, ``NaN`` and ``+Inf`` among them.
Nothing here ever turns "no answer" into a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.planning.model import Freshness, Reading

NOTE = 200
"""Characters of a note."""

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|Inf|NaN)")

REPLICA_LABELS = ("__replica__", "prometheus_replica", "replica", "receive_replica", "rule_replica")
"""Labels by which the Prometheus of a pair that both scrape everything are usually told apart."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an instant query answered."""

    result: Any
    """The API's ``data.result``."""
    partial: str = ""
    """Why it is only a part of what was asked for; empty when it is whole."""
    kind: str = ""
    """``vector``, ``matrix``, ``scalar`` or ``string``; empty when the answer does not say."""


class FailedError(ValueError):
    """The document says that the query failed, whatever else it holds; the message is what it says."""


def answer_of(document: object) -> Answer:
    """The answer in the API's document, with what the document says of its completeness: ``warnings``, as Thanos and
    Prometheus give for a store that did not answer, or ``isPartial``, as VictoriaMetrics does. Remarks on the query are
    none. FailedError for an answer that is an error; ValueError for what is no document of this API.
    """
    data = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or ("status" not in document and "error" not in document):
        raise ValueError("no document of the API")
    if document.get("status") != "success" or document.get("error"):
        raise FailedError(str(document.get("error") or ""))
    if not isinstance(data, Mapping) or "result" not in data:
        raise ValueError("no result")
    partial = [one for one in _warnings(document.get("warnings")) if not one.startswith("PromQL info")]
    if document.get("isPartial") not in (None, False):
        partial.append("some storage nodes did not answer")
    kind = data.get("resultType")
    return Answer(data["result"], partial[0][:NOTE] or "a warning" if partial else "", str(kind or ""))


def _warnings(given: object) -> list[str]:
    """The texts in ``warnings``, whatever shape a proxy gives them."""
    if isinstance(given, Mapping):
        return [str(one) for one in given.values()]
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [str(one) for one in given]
    return [] if given in (None, "", False) else [str(given)]


def sample_of(answer: Answer) -> tuple[float, float] | Freshness:
    """(time, value) of the single sample of an answer, else which outcome it is.

    A vector or a matrix of one series counts (its newest sample), and so does a scalar. A demand below zero is none,
    and neither is a text or a histogram.
    """
    result = answer.result
    if not isinstance(result, Sequence) or isinstance(result, str) or not result:
        return Freshness.EMPTY
    if isinstance(result[0], Mapping) and len(result) > 1:
        return Freshness.MANY
    if answer.kind == "string":
        return Freshness.NAN
    try:
        pair: Any = _newest(result[0]) if isinstance(result[0], Mapping) else result
        at, value = _number(pair[0]), _number(pair[1])
    except (TypeError, ValueError, LookupError, OverflowError):
        return Freshness.NAN
    if not (math.isfinite(value) and math.isfinite(at)):
        return Freshness.NAN
    return (at, abs(value)) if value >= 0.0 else Freshness.NEGATIVE


def _newest(series: Mapping[str, Any]) -> Any:
    """The last pair of a series of a vector or a matrix."""
    return series.get("value") or series["values"][-1]


def _number(given: object) -> float:
    """A number as Go prints it, in a text or not. ``float`` alone would read ``true``, ``1_000`` and digits of other
    scripts as numbers too.
    """
    if isinstance(given, bool) or (isinstance(given, str) and not _NUMBER.fullmatch(given)):
        raise ValueError("no number")
    return float(given)  # type: ignore[arg-type]


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
