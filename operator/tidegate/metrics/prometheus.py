"""Signals from Prometheus, through ``prometheus-api-client`` in a few threads.

That client is synchronous and would retry in secret; here its own retry is off, each whole answer has a deadline and a
size, and the retries stand outside with one deadline for all of them, so that a Prometheus that hangs costs a beat a
known time.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import requests
import tenacity
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

from tidegate.metrics.ages import Rest, SampleTimes, UncheckedError, age_check
from tidegate.metrics.asking import TROUBLE, asked, broke_off
from tidegate.metrics.credentials import Credentials, CredentialsError
from tidegate.metrics.promql import Answer, Sample, reading_of, sample_of
from tidegate.metrics.transport import BoundedSession
from tidegate.metrics.trouble import trouble_in_words
from tidegate.pauses import Pauses
from tidegate.planning.model import Freshness, Reading

PARALLEL = 4
"""Queries under way at a time: each holds a thread, and Prometheus has other guests."""

SUSPECTS = 8
"""Queries under way at a time that had no whole answer the last time: they have threads of their own, and no healthy
query waits for them."""

MOST_SUSPECTS = 4096
"""Queries that are remembered as suspect: the last ones. Of those that nobody asks any more none is ever answered."""

ATTEMPTS = 3
"""Of one query, the first included."""

MOST_BYTES = 1 << 20
"""Of one answer: one series takes less than a thousandth of it."""

AHEAD = 5.0
"""Seconds that a sample may be ahead of the server's own clock."""


MOST_ANSWERED = 16_384
"""Queries of which it is remembered when they were answered: the last ones."""

passed = time.monotonic
"""Seconds of a clock that nobody sets: against it an answer stands still, whatever the clocks of others say."""

_ALIKE = ("same labelset", "duplicate")
"""How servers say that two series are told apart by their name alone."""


class PrometheusSource:
    """``ports.MetricsSource`` over one Prometheus."""

    def __init__(
        self, url: str, *, timeout: float = 5.0, deadline: float = 10.0, credentials: Credentials | None = None
    ) -> None:
        """``timeout``: seconds for one whole answer; ``deadline``: seconds for all attempts of one reading, and for the
        wait for a free thread.
        """
        address = url.rstrip("/")
        self._session = BoundedSession(seconds=timeout, most_bytes=MOST_BYTES, credentials=credentials)
        self._api = PrometheusConnect(url=address, session=self._session, timeout=timeout)
        self._session.bound(address)  # in place of the adapter that the client has put there
        self._timeout, self._deadline = timeout, deadline
        # Threads of our own: those that hang must not take those that the rest of the process shares.
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="prometheus")
        self._suspect_threads = ThreadPoolExecutor(SUSPECTS, thread_name_prefix="prometheus-suspect")
        self._suspects: dict[str, None] = {}  # in order
        self._answered: dict[int, tuple[float, float]] = {}  # by hash: queries are kilobytes long

    async def close(self) -> None:
        """Drop the connections."""
        for threads in (self._threads, self._suspect_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        self._api.close()

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """See ``ports.MetricsSource``. Asked for at the server's own now, and a sample's age is told by the server's
        clock alone: whether that clock is ahead of ours, or ours is a simulated one, makes no old sample fresh.
        UNREACHABLE covers refused queries too; the note says which it was.
        """
        try:
            async with asyncio.timeout(self._deadline):
                answer = await self._ask(query)
                sample = sample_of(answer)
                found: Sample | Freshness = (
                    sample
                    if isinstance(sample, Freshness)
                    else await self._aged(query, *sample, answer, now, stale_after)
                )
        except TimeoutError:
            note = f"no answer from Prometheus in {self._deadline:g} s"
            return Reading(Freshness.UNREACHABLE, None, now, note)
        except CredentialsError as error:
            return Reading(Freshness.UNREACHABLE, None, now, str(error))
        except TROUBLE as error:
            return Reading(Freshness.UNREACHABLE, None, now, trouble_in_words(error, self._timeout, MOST_BYTES))
        return reading_of(found, now=now, stale_after=stale_after, query=query, result=answer.result)

    async def _aged(
        self, query: str, answered: float, value: float, answer: Answer, now: float, stale_after: float
    ) -> Sample | Freshness:
        """The sample with the age of what it rests on. Of a query that reads no series, or whose age cannot be asked
        for, it is the age of the answer.
        """
        stood = 0.0 if answer.kind == "matrix" else self._stood_still(query, answered)
        by_answer = Sample(now - stood, value, answered, partial=answer.partial)
        try:
            check = age_check(query)
        except UncheckedError:
            return by_answer
        if not check.question:
            return by_answer
        # The last sample of a range bears its own time, and not that of the answer.
        try:
            told = await self._ask(check.question, None if answer.kind == "matrix" else answered)
        except PrometheusApiClientException as error:
            if check.several and any(words in str(error) for words in _ALIKE):
                return by_answer
            raise
        if answer.kind == "matrix":
            answered = _asked_for(told, answered)
            stood = self._stood_still(query, answered)
        times = check.times(told.result)
        if isinstance(times, Rest):
            return Freshness.EMPTY if times is Rest.NOTHING else by_answer
        age = answered - times.newest
        if age < -AHEAD:
            return Freshness.FUTURE
        partial = answer.partial or told.partial or _missing(times, answered, stale_after)
        return Sample(now - max(0.0, age) - stood, value, times.newest, times.span(check.span), partial)

    def _stood_still(self, query: str, answered: float) -> float:
        """Seconds for which a query has been answered as of the same instant: by a cache on the way, or a server whose
        clock stands still. Prometheus itself answers as of its own now, to the millisecond.
        """
        now, known = passed(), self._answered.pop(hash(query), None)
        since = known[1] if known is not None and known[0] == answered else now
        self._answered[hash(query)] = answered, since
        while len(self._answered) > MOST_ANSWERED:
            self._answered.pop(next(iter(self._answered)))
        return now - since

    async def _ask(self, query: str, at: float | None = None) -> Answer:
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(broke_off),
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(self._deadline),
            wait=Pauses(first=0.2, longest=2.0, least=0.0),
            reraise=True,
        )
        return await attempts(self._once, query, at)

    async def _once(self, query: str, at: float | None = None) -> Answer:
        threads = self._suspect_threads if query in self._suspects else self._threads
        try:
            answer = await asyncio.get_running_loop().run_in_executor(threads, self._asked, query, at)
        except (requests.Timeout, asyncio.CancelledError):
            self._suspects.pop(query, None)
            self._suspects[query] = None
            while len(self._suspects) > MOST_SUSPECTS:
                self._suspects.pop(next(iter(self._suspects)), None)
            raise
        self._suspects.pop(query, None)
        return answer

    def _asked(self, query: str, at: float | None) -> Answer:
        """In a thread."""
        params = None if at is None else {"time": f"{at:.3f}"}
        return asked(self._session, lambda: self._api.custom_query(query, params=params))


def _asked_for(answer: Answer, otherwise: float) -> float:
    """The instant that a vector was asked for, by the server's clock."""
    sample = sample_of(Answer(answer.result[:1])) if isinstance(answer.result, list) else Freshness.EMPTY
    return otherwise if isinstance(sample, Freshness) else sample[0]


def _missing(times: SampleTimes, answered: float, stale_after: float) -> str:
    """Which part of a query's series is missing or old; empty when none is."""
    if not times.whole:
        return "some of its selectors find no series"
    if answered - times.oldest > stale_after:
        return f"some of its series are older than {stale_after:g} s"
    return ""
