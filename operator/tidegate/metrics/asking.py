"""One question to a Prometheus, by the client's own methods, and what its answer says of itself.

The client keeps ``data.result`` of an answer alone: what the document says of its completeness, or that it is an error,
is taken from the response itself. Shared by the reader of signals and the reader of the past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException

from tidegate.metrics.promql import Answer, answer_of
from tidegate.metrics.transport import BoundedSession, CutOffError, TooLargeError

_NO_DOCUMENT = (ValueError, KeyError, TypeError, RecursionError)
"""What the client stumbles over in a document that it does not expect; JSON that is nested without end is the last."""

TROUBLE = (
    requests.RequestException,
    PrometheusApiClientException,
    OSError,  # certificates that cannot be read
    *_NO_DOCUMENT,
)
"""Whatever may stand against an answer: ``trouble_in_words`` has words for each."""


def asked(session: BoundedSession, ask: Callable[[], Any]) -> Answer:
    """What was answered to ``ask``, a method of the client that uses ``session``. One of ``TROUBLE`` when nothing was.

    FailedError for a document that says that it failed, whatever its status; CutOffError for one without its end.
    """
    try:
        ask()
    except _NO_DOCUMENT:
        if session.response is None:
            raise
    response = session.response
    if response is None:
        raise requests.RequestException("no answer")
    try:
        document = response.json()
    except requests.JSONDecodeError as error:
        if _is_cut_off(response.text, error.pos):
            raise CutOffError("the answer broke off before its end") from error
        raise
    return answer_of(document)


def broke_off(error: BaseException) -> bool:
    """Whether a connection broke before or in its answer: worth another try. A timeout is none of these: a query that
    is too heavy stays so; and neither is an answer that is too large, or a refusal.
    """
    broken = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError | CutOffError)
    return broken and not isinstance(error, requests.Timeout | TooLargeError)


def _is_cut_off(text: str, stumbled_at: int) -> bool:
    """Whether a text that is no JSON is the beginning of one: without a length nothing else tells."""
    said = text.strip()
    return said.startswith("{") and (not said.endswith("}") or stumbled_at >= len(text.rstrip()))
