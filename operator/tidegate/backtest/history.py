"""Demand from a Prometheus: one query over a range, fetched in pages."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

from tidegate.backtest.series import InputError, Series, series_of

POINTS = 5000
"""Points of one page. Prometheus answers at most 11,000 points a series; half of that keeps an answer below a
megabyte."""
TIMEOUT = 30
"""Seconds for one page."""

Progress = Callable[[int, int], None]
"""(pages that are there, all of them)."""


def fetch(
    url: str,
    query: str,
    *,
    start: float,
    end: float,
    step: float = 15.0,
    progress: Progress = lambda done, of: None,
) -> Series:
    """What a query gave at each step from ``start`` to ``end``.

    Where it gave nothing, or no number, is a gap. InputError when it gives several series, or none, or Prometheus says
    no.
    """
    if end <= start:
        raise InputError("the range ends before it begins; give --from before --to")
    api = PrometheusConnect(url=url.rstrip("/"), disable_ssl=False, timeout=TIMEOUT)
    pages = math.ceil((end - start) / (step * POINTS))
    samples: list[tuple[float, float]] = []
    labels: set[str] = set()
    for page in range(pages):
        begin = start + page * step * POINTS
        last = min(begin + step * (POINTS - 1), end)
        for name, values in _page(api, query, begin, last, step):
            labels.add(name)
            samples += values
        if len(labels) > 1:
            raise InputError(
                f"{query}: gives several series ({', '.join(sorted(labels)[:3])}); sum them, as in sum({query})"
            )
        progress(page + 1, pages)
    if len(samples) < 2:
        raise InputError(f"{query}: gives no series in that range; look at it in Prometheus, or give another range")
    return series_of(_with_ends(samples, start, end, step), name=query)


def _with_ends(samples: list[tuple[float, float]], start: float, end: float, step: float) -> list[tuple[float, float]]:
    """Every step of the range; one without a sample is a gap."""
    known = {round((at - start) / step): value for at, value in samples}
    count = math.floor((end - start) / step + 1e-9) + 1
    return [(start + place * step, known.get(place, math.nan)) for place in range(count)]


def _page(
    api: PrometheusConnect, query: str, begin: float, last: float, step: float
) -> list[tuple[str, list[tuple[float, float]]]]:
    try:
        answer: list[dict[str, Any]] = api.custom_query_range(
            query, datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(last, UTC), f"{step:g}"
        )
    except (requests.RequestException, PrometheusApiClientException, ValueError, KeyError) as error:
        raise InputError(f"Prometheus did not answer {query}: {error}") from error
    return [
        (str(sorted(series.get("metric", {}).items())), [(float(at), _value(value)) for at, value in series["values"]])
        for series in answer
    ]


def _value(text: str) -> float:
    """A demand; what is none is a gap."""
    value = float(text)
    return value if math.isfinite(value) and value >= 0 else math.nan
