"""Demand from a Prometheus: one query over a range, fetched in pages, whole or not at all.

The client is the operator's (``prometheus_api_client`` over ``metrics.transport``): each page has a deadline and a
size, and what was refused is said in the same words. A page that does not come, is a part only, or holds what was not
asked for ends the fetch with an InputError: a backtest on half of a week is one on another week.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tenacity
from prometheus_api_client.exceptions import PrometheusApiClientException

from tidegate.backtest.series import Curve, InputError, Series
from tidegate.metrics.asking import TROUBLE, broke_off
from tidegate.metrics.credentials import Credentials, CredentialsError
from tidegate.metrics.promql import reading_of
from tidegate.metrics.ranges import POINTS, RangeError, Ranges, on_steps, shown
from tidegate.metrics.trouble import trouble_in_words
from tidegate.pauses import Pauses
from tidegate.planning.model import Freshness

PAGE_SECONDS = 60.0
"""For one page as a whole. Prometheus ends a query after 120 s by itself (``--query.timeout``)."""
MOST_BYTES = 4 << 20
"""Of one page: the points of one series take less than a twentieth of it."""
MOST_POINTS = 10_000_000
"""Of a range: nearly five years at 15 s."""
LEAST_STEP = 15.0
"""Seconds between two points that are asked for: no demand is scraped more often to good purpose. Judgment."""
ATTEMPTS = 3
"""Of one page, where the connection broke or the server said that it is busy."""
BUSY = tuple(f"HTTP Status Code {code} " for code in (429, 502, 503, 504))
"""How the client says that a server is busy, or that whoever stands before it does not find it."""
WHOSE = "--prometheus-credentials"

Progress = Callable[[int, int], None]
"""(pages that are there, all of them)."""


@dataclass
class Prometheus:
    """One server, and how long it may take."""

    url: str
    credentials: Credentials | None = None
    seconds: float = PAGE_SECONDS
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            told = "what was given" if "@" in self.url else repr(self.url)  # a password is no part of an error
            raise InputError(f"--prometheus: {told} is no URL of a server; give one like http://prometheus:9090")
        self._ranges = Ranges(
            self.url.rstrip("/"), seconds=self.seconds, most_bytes=MOST_BYTES, credentials=self.credentials
        )

    def page(self, query: str, begin: float, last: float, step: float) -> list[Any]:
        """The series of one page. InputError says why there is none."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_worth_another),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=Pauses(first=0.5, longest=4.0, least=0.5),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return attempts(self._ranges.page, query, begin, last, step)
        except CredentialsError as error:
            raise InputError(f"{WHOSE}: {error}") from error
        except RangeError as error:
            raise InputError(str(error)) from error
        except TROUBLE as error:
            raise InputError(trouble_in_words(error, self.seconds, MOST_BYTES, whose=WHOSE)) from error

    def close(self) -> None:
        """Drop the connections."""
        self._ranges.close()


def _worth_another(error: BaseException) -> bool:
    """What broke off is, and a server that is busy; timeouts are not: a query that is too heavy stays so."""
    if isinstance(error, PrometheusApiClientException):
        return str(error).startswith(BUSY)
    return broke_off(error)


def fetch(
    server: Prometheus,
    query: str,
    *,
    start: float,
    end: float,
    step: float = LEAST_STEP,
    progress: Progress = lambda done, of: None,
) -> Series:
    """What a query gave at each step from ``start`` to ``end``, both on whole steps.

    Where it gave nothing, or what is not a number, is a gap. InputError when it gives several series or none, numbers
    that are no demand, samples that were not asked for, or when any page did not come whole.
    """
    step = math.ceil(step)
    first = math.floor(start / step) * step
    count = math.floor((end - first) / step) + 1
    if end <= start or count < 2:
        raise InputError(f"the range has no two steps of {step} s; give --from before --to")
    if count > MOST_POINTS:
        raise InputError(f"the range has {count} steps of {step} s, more than {MOST_POINTS}; give a later --from")
    values = np.full(count, np.nan)
    pages = math.ceil(count / POINTS)
    labels: list[Mapping[str, Any]] = []
    for page in range(pages):
        places = slice(page * POINTS, min((page + 1) * POINTS, count))
        begin, last = first + step * places.start, first + step * (places.stop - 1)
        try:
            for series in server.page(query, begin, last, step):
                _learn(labels, series, query)
                values[places] = _on_steps(series, begin, step, places.stop - places.start)
        except InputError as error:
            raise InputError(f"{query}: page {page + 1} of {pages} ({shown(begin)}): {error}") from error
        progress(page + 1, pages)
    if not np.isfinite(values).any():
        raise InputError(f"{query}: gives no number in that range; look at it in Prometheus, or give another range")
    return Series(first + step * np.arange(count, dtype=np.float64), values, float(step))


def _learn(labels: list[Mapping[str, Any]], series: Any, query: str) -> None:
    """Note whose samples come. InputError when they are of another series than those before, on whichever page."""
    own = series.get("metric") if isinstance(series, Mapping) else None
    if not isinstance(own, Mapping):
        raise InputError("the answer is no range of samples")
    if own in labels:
        return
    labels.append(own)
    if len(labels) > 1:
        told = [{"metric": dict(one)} for one in labels]
        raise InputError(f"{reading_of(Freshness.MANY, now=0.0, stale_after=0.0, query=query, result=told).note}")


def _on_steps(series: Mapping[str, Any], begin: float, step: float, count: int) -> Curve:
    """The samples of one page by their steps; not a number where there is none. InputError for what is no demand."""
    try:
        found = on_steps(series, begin, step, count)
    except RangeError as error:
        raise InputError(str(error)) from error
    if (below := np.flatnonzero(found < 0)).size:
        at, value = begin + step * int(below[0]), float(found[below[0]])
        raise InputError(f"gives {value:g} at {shown(at)}, which is no demand; clamp it, as in clamp_min(…, 0)")
    return found
