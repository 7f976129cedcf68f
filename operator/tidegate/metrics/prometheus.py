"""Signals from Prometheus, through ``prometheus-api-client`` in a few threads.

That client is synchronous and would retry in secret; here its own retry is off, each request has a timeout, and the
retries stand outside with one deadline for all of them, so that a Prometheus that hangs costs a beat a known time.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import tenacity
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util.retry import Retry

from tidegate.metrics.promql import NOTE, age_query, reading_of, sample_of
from tidegate.pauses import Pauses
from tidegate.planning.model import Freshness, Reading

PARALLEL = 4
"""Queries under way at a time: each holds a thread, and Prometheus has other guests."""

ATTEMPTS = 3
"""Of one query, the first included."""


class PrometheusSource:
    """``ports.MetricsSource`` over one Prometheus."""

    def __init__(
        self, url: str, *, timeout: float = 5.0, deadline: float = 10.0, headers: dict[str, str] | None = None
    ) -> None:
        """``timeout``: seconds for one request; ``deadline``: seconds for all attempts of one reading, the wait for a
        free thread included. ``headers``: e.g. an authorization.
        """
        self._api = PrometheusConnect(
            url=url.rstrip("/"),
            headers=headers,
            retry=Retry(total=0, redirect=2),
            timeout=timeout,
        )
        self._deadline = deadline
        # Threads of our own: four that hang must not take those that the rest of the process shares.
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="prometheus")

    async def close(self) -> None:
        """Drop the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._api.close()

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """See ``ports.MetricsSource``. Asked for at the server's own now, and a sample's age is told by the server's
        clock alone: whether that clock is ahead of ours, or ours is a simulated one, makes no old sample fresh.
        UNREACHABLE covers refused queries too; the note says which it was.
        """
        try:
            async with asyncio.timeout(self._deadline):
                sample = sample_of(await self._ask(query))
                if not isinstance(sample, Freshness):
                    sample = (await self._taken_at(query, now, sample[0]), sample[1])
        except TimeoutError:
            return Reading(Freshness.UNREACHABLE, None, now, f"no answer from Prometheus in {self._deadline:.0f} s")
        except (requests.RequestException, PrometheusApiClientException, ValueError, KeyError, TypeError) as error:
            return Reading(Freshness.UNREACHABLE, None, now, f"Prometheus: {error}"[:NOTE])
        return reading_of(sample, now=now, stale_after=stale_after, query=query)

    async def _taken_at(self, query: str, now: float, answered: float) -> float:
        """When the sample itself was taken by our clock, as far as can be told; never after now."""
        asked = age_query(query)
        if asked is None:
            return min(answered, now)
        try:
            told = sample_of(await self._ask(asked))
        except PrometheusApiClientException:
            return min(answered, now)  # a word that looks like a name, as ``inf``
        if isinstance(told, Freshness):
            return min(answered, now)
        asked_at, taken = told  # both by the server's clock
        return now - max(0.0, asked_at - taken)

    async def _ask(self, query: str) -> Any:
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_worth_another),
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(self._deadline),
            wait=Pauses(first=0.2, longest=2.0, least=0.0),
            reraise=True,
        )
        return await attempts(self._once, query)

    async def _once(self, query: str) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._api.custom_query, query)


def _worth_another(error: BaseException) -> bool:
    """Broken connections are; timeouts are not, since a query that is too heavy stays so; refusals are not."""
    return isinstance(error, requests.ConnectionError) and not isinstance(error, requests.Timeout)
