"""What a signal was, from Prometheus: pages of a range, one at a time, in a thread of their own.

No reading of what is now waits for one: connections and the thread are others. Prometheus is told when to give up.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tidegate.metrics.ages import UncheckedError, age_check
from tidegate.metrics.asking import TROUBLE
from tidegate.metrics.credentials import Credentials, CredentialsError
from tidegate.metrics.ranges import POINTS, RangeError, Ranges, on_steps
from tidegate.metrics.trouble import trouble_in_words
from tidegate.ports import PastPage, UnavailableError

PAGE_SECONDS = 20.0
"""For one page as a whole. Judgment: a page takes a tenth of a second where nothing is wrong."""
MOST_BYTES = 2 << 20
"""Of one page: one series takes a tenth of it."""


class PrometheusPast:
    """``ports.PastSource`` over one Prometheus."""

    def __init__(self, url: str, *, seconds: float = PAGE_SECONDS, credentials: Credentials | None = None) -> None:
        """``seconds`` for one whole page."""
        self._seconds = seconds
        self._ranges = Ranges(url.rstrip("/"), seconds=seconds, most_bytes=MOST_BYTES, credentials=credentials)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prometheus-past")

    async def close(self) -> None:
        """Drop the connection."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._ranges.close()

    async def page(self, query: str, *, begin: float, step: float, count: int) -> PastPage:
        """See ``ports.PastSource``."""
        count = min(count, POINTS)
        running = asyncio.get_running_loop()
        try:
            values = await running.run_in_executor(self._thread, self._values, query, begin, step, count)
        except (CredentialsError, RangeError) as error:
            raise UnavailableError(str(error)) from error
        except TROUBLE as error:
            raise UnavailableError(trouble_in_words(error, self._seconds, MOST_BYTES)) from error
        return PastPage(tuple(values), _span(query))

    def _values(self, query: str, begin: float, step: float, count: int) -> list[float]:
        """In a thread."""
        return _merged(self._ranges.page(query, begin, begin + step * (count - 1), step), begin, step, count)


def _merged(page: list[Any], begin: float, step: float, count: int) -> list[float]:
    """One value a step. As where one instant is asked for, two series there are none, and below zero is none: a query
    whose labels change gives one series after the other.
    """
    values, twice = np.full(count, np.nan), np.zeros(count, dtype=bool)
    for series in page:
        own = on_steps(series, begin, step, count)
        there = np.isfinite(own)
        twice |= there & np.isfinite(values)
        values[there] = own[there]
    values[twice | (values < 0.0)] = math.nan
    merged: list[float] = np.abs(values).tolist()
    return merged


def _span(query: str) -> float:
    """Seconds before each value from which samples count in it, as ``Reading.span``; 0 where that cannot be told."""
    try:
        return age_check(query).span
    except UncheckedError:
        return 0.0
