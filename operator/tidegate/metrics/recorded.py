"""Signals from a recording: for the demo, for tests and for replaying an evening that has been.

A recording holds, per query, samples in the order of time; between two samples the earlier one stands. A sample
without a value is a gap: from there on the query has no series, until the next one. A sample may say of which stretch
of time its value is a mean; else it is of the instant at which it is to be seen.
"""

from __future__ import annotations

import csv
import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tidegate.metrics.promql import Sample, reading_of
from tidegate.planning.model import Freshness, Reading

Stretch = tuple[float, float]
"""(begin, end) of what a value is a mean of, epoch seconds."""
Samples = Iterable[tuple[float, float | None] | tuple[float, float | None, Stretch]]
"""(epoch seconds from which it is to be seen, value or None for a gap, of when it is)."""


class RecordedSource:
    """``ports.MetricsSource`` over a recording."""

    def __init__(self, samples: Mapping[str, Samples]) -> None:
        """Samples by query, in any order. ValueError when a query has two of one instant."""
        self._samples = {query: sorted(series, key=lambda sample: sample[0]) for query, series in samples.items()}
        for query, series in self._samples.items():
            if any(one[0] == two[0] for one, two in pairwise(series)):
                raise ValueError(f"two samples of one instant for {query!r}")

    @classmethod
    def from_file(cls, path: Path) -> RecordedSource:
        """Read ``.json`` (query → list of [time, value or null], or of [time, value, begin, end]) or ``.csv`` (columns
        time, query, value; an empty value is a gap). Times are epoch seconds or RFC 3339; ``begin`` and ``end`` say of
        which stretch the value is a mean. ValueError names the place that is wrong.
        """
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return cls(_from_json(text, path))
        if path.suffix == ".csv":
            return cls(_from_csv(text, path))
        raise ValueError(f"{path}: a recording ends in .json or .csv")

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """See ``ports.MetricsSource``."""
        series = self._samples.get(query, [])
        index = bisect_right(series, now, key=lambda sample: sample[0]) - 1
        at, value, *stretch = series[index] if index >= 0 else (now, None)
        if value is None:
            return reading_of(Freshness.EMPTY, now=now, stale_after=stale_after, query=query)
        begin, end = stretch[0] if stretch else (at, at)
        sample: Sample | Freshness = Sample(end, value, end, end - begin)
        if not (math.isfinite(value) and value >= 0.0):
            sample = Freshness.NEGATIVE if value < 0.0 else Freshness.NAN
        return reading_of(sample, now=now, stale_after=stale_after, query=query)


def _from_json(text: str, path: Path) -> dict[str, Samples]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"{path}: not an object of query → samples")
    return {
        query: [_stretched(one, f"{path}: sample {number} of {query!r}") for number, one in enumerate(series, start=1)]
        for query, series in document.items()
    }


def _stretched(one: Sequence[object], where: str) -> tuple[float, float | None] | tuple[float, float | None, Stretch]:
    at, value = _sample(one[0], one[1], where)
    if len(one) == 2:
        return at, value
    try:
        begin, end = map(_instant, map(str, one[2:]))
    except ValueError as error:
        raise ValueError(f"{where}: wants a begin and an end after the value: {error}") from error
    if not begin <= end <= at:
        raise ValueError(f"{where}: begin, end and the time of a sample must follow one another")
    return at, value, (begin, end)


def _from_csv(text: str, path: Path) -> dict[str, Samples]:
    rows = csv.DictReader(text.splitlines())
    if not {"time", "query", "value"} <= set(rows.fieldnames or ()):
        raise ValueError(f"{path}: needs the columns time, query and value")
    found: dict[str, list[tuple[float, float | None]]] = {}
    for row in rows:
        sample = _sample(row["time"], row["value"], f"{path}: line {rows.line_num}")
        found.setdefault(row["query"], []).append(sample)
    return dict(found)


def _sample(at: object, value: object, where: str) -> tuple[float, float | None]:
    try:
        return _instant(str(at)), None if value is None or value == "" else float(str(value))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _instant(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
