"""Demand from a Prometheus: one query over a range, fetched in pages, whole or not at all.

The client is the operator's (``prometheus_api_client`` over ``metrics.transport``): each page has a deadline and a
size, and what was refused is said in the same words. A page that does not come, is a part only, or holds what was not
asked for ends the fetch with an InputError: a backtest on half of a week is one on another week.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tenacity
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

from tidegate.backtest.series import Curve, InputError, Series
from tidegate.metrics.asking import TROUBLE, asked, broke_off
from tidegate.metrics.credentials import Credentials, CredentialsError
from tidegate.metrics.promql import Answer, reading_of
from tidegate.metrics.transport import BoundedSession
from tidegate.metrics.trouble import trouble_in_words
from tidegate.pauses import Pauses
from tidegate.planning.model import Freshness

POINTS = 5000
"""Points of one page. Prometheus answers at most 11,000 points a series."""
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
        address = self.url.rstrip("/")
        self._session = BoundedSession(seconds=self.seconds, most_bytes=MOST_BYTES, credentials=self.credentials)
        self._api = PrometheusConnect(url=address, session=self._session, timeout=math.ceil(self.seconds))
        self._session.bound(address)  # in place of the adapter that the client has put there

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
            answer = attempts(self._asked, query, begin, last, step)
        except CredentialsError as error:
            raise InputError(f"{WHOSE}: {error}") from error
        except TROUBLE as error:
            raise InputError(trouble_in_words(error, self.seconds, MOST_BYTES, whose=WHOSE)) from error
        if answer.partial:
            raise InputError(
                f"Prometheus answers with a part of it only: {answer.partial}; ask where all of it is there"
            )
        if answer.kind != "matrix" or not isinstance(answer.result, list):
            raise InputError(f"the answer is no range of samples but {answer.kind or 'something else'}")
        return answer.result

    def close(self) -> None:
        """Drop the connections."""
        self._api.close()

    def _asked(self, query: str, begin: float, last: float, step: float) -> Answer:
        bounds = (datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(last, UTC))
        params = {"timeout": f"{self.seconds:g}s"}
        return asked(self._session, lambda: self._api.custom_query_range(query, *bounds, f"{step:g}", params=params))


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
            raise InputError(f"{query}: page {page + 1} of {pages} ({_shown(begin)}): {error}") from error
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
    """The samples of one page by their steps; not a number where there is none."""
    found = np.full(count, np.nan)
    samples = series.get("values")
    if not isinstance(samples, Sequence):
        raise InputError("gives histograms; ask for a number, as with histogram_count or histogram_quantile")
    for sample in samples:
        try:
            at, value = float(sample[0]), float(sample[1])
        except (TypeError, ValueError, LookupError) as error:
            raise InputError(f"{sample!r} is no sample") from error
        place = round((at - begin) / step) if math.isfinite(at) else -1
        if not 0 <= place < count or abs(begin + place * step - at) > 0.5:
            raise InputError(
                f"the answer has a sample of {_shown(at)}, which was not asked for; is there a cache on the way?"
            )
        if value < 0:
            raise InputError(f"gives {value:g} at {_shown(at)}, which is no demand; clamp it, as in clamp_min(…, 0)")
        found[place] = value if math.isfinite(value) else math.nan
    return found


def _shown(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"
