"""One page of a range: a query's values at equal steps, whole or not at all.

Each page has a deadline, a size and a count of points, and holds what was asked for or is refused: a cache on the way
that answers for another time, a part without its other parts, histograms. Shared by the operator, which learns from the
past, and by the backtest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_api_client.prometheus_connect import PrometheusConnect

from tidegate.metrics.asking import asked
from tidegate.metrics.credentials import Credentials
from tidegate.metrics.promql import Answer
from tidegate.metrics.transport import BoundedSession

POINTS = 5000
"""Points of one page. Prometheus answers at most 11,000 points a series."""


class RangeError(ValueError):
    """What came is no page of the range that was asked for; the message says why, without a full stop."""


class Ranges:
    """The range queries of one server. Of several threads."""

    def __init__(self, address: str, *, seconds: float, most_bytes: int, credentials: Credentials | None) -> None:
        """``seconds`` for a whole page, after which Prometheus itself gives up too; ``most_bytes`` of it."""
        self._seconds = seconds
        self._session = BoundedSession(seconds=seconds, most_bytes=most_bytes, credentials=credentials)
        self._api = PrometheusConnect(url=address, session=self._session, timeout=math.ceil(seconds))
        self._session.bound(address)  # in place of the adapter that the client has put there

    def page(self, query: str, begin: float, last: float, step: float) -> list[Any]:
        """The series of one page, asked for once. RangeError, CredentialsError or one of ``asking.TROUBLE``."""
        bounds = (datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(last, UTC))
        params = {"timeout": f"{self._seconds:g}s"}
        answer: Answer = asked(
            self._session, lambda: self._api.custom_query_range(query, *bounds, f"{step:g}", params=params)
        )
        if answer.partial:
            raise RangeError(
                f"Prometheus answers with a part of it only: {answer.partial}; ask where all of it is there"
            )
        if answer.kind != "matrix" or not isinstance(answer.result, list):
            raise RangeError(f"the answer is no range of samples but {answer.kind or 'something else'}")
        return answer.result

    def close(self) -> None:
        """Drop the connections."""
        self._api.close()


def on_steps(series: object, begin: float, step: float, count: int) -> NDArray[np.float64]:
    """The samples of one series of a page by their steps; not a number where there is none. RangeError for histograms,
    and for samples that were not asked for.
    """
    found = np.full(count, np.nan)
    samples = series.get("values") if isinstance(series, Mapping) else None
    if not isinstance(samples, Sequence):
        raise RangeError("gives histograms; ask for a number, as with histogram_count or histogram_quantile")
    for sample in samples:
        try:
            at, value = float(sample[0]), float(sample[1])
        except (TypeError, ValueError, LookupError) as error:
            raise RangeError(f"{sample!r} is no sample") from error
        place = round((at - begin) / step) if math.isfinite(at) else -1
        if not 0 <= place < count or abs(begin + place * step - at) > 0.5:
            raise RangeError(
                f"the answer has a sample of {shown(at)}, which was not asked for; is there a cache on the way?"
            )
        found[place] = value if math.isfinite(value) else math.nan
    return found


def shown(at: float) -> str:
    """An instant in words."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"
