"""What stood against an answer of Prometheus, in words that stay the same while the same thing is wrong.

An error's own text names addresses of memory, and may quote a header; none of it is repeated but what Prometheus itself
says of a query.
"""

from __future__ import annotations

import http
import json
import re

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException

from tidegate.metrics.promql import FailedError
from tidegate.metrics.transport import CutOffError, TooLargeError

SAID = 150
"""Characters that are repeated of what Prometheus says."""

_STATUS = re.compile(r"HTTP Status Code (\d{3}) \((.*)\)", re.DOTALL)

CHART = "prometheusSecret of the chart's values"
"""Where the operator's credentials come from."""

_HINTS = {
    401: "it wants a token, or another one ({whose})",
    403: "the token may not ask it, or not for this tenant ({whose})",
    404: "is a prefix missing in its URL?",
    405: "is its URL that of a Prometheus?",
    429: "it is asked too much",
}


def trouble_in_words(error: Exception, seconds: float, most_bytes: int, *, whose: str = CHART) -> str:
    """A sentence without its full stop. ``seconds`` and ``most_bytes`` are the bounds of one answer, ``whose`` is where
    credentials come from.
    """
    if isinstance(error, PrometheusApiClientException):
        return _refusal(str(error), whose)
    if isinstance(error, TooLargeError):
        return f"the answer of Prometheus is larger than {most_bytes >> 10} KiB: aggregate the query"
    if isinstance(error, requests.Timeout):
        return f"no whole answer from Prometheus in {seconds:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS with Prometheus fails: {_certificate(str(error), whose)}"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to Prometheus: {_cause(error)}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError | CutOffError):
        return "the answer of Prometheus broke off before its end"
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return "the answer of Prometheus cannot be unpacked: does something on the way change it?"
    if isinstance(error, requests.TooManyRedirects):
        return "Prometheus answers with one redirect after the other: is its URL right?"
    if isinstance(error, FailedError):
        said = " ".join(str(error).split())[:SAID]
        return f"Prometheus answers with an error{f': {said}' if said else ''}"
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return f"the certificates to trust cannot be read: {error.strerror or type(error).__name__}"
    if isinstance(error, requests.RequestException) and not isinstance(error, requests.JSONDecodeError):
        return f"Prometheus cannot be asked: {type(error).__name__}"
    return "what answers is no Prometheus API (its answer is no such JSON): is the URL right?"


def _refusal(text: str, whose: str) -> str:
    found = _STATUS.match(text)
    if found is None:
        return "Prometheus refuses the query"
    status = int(found[1])
    try:
        phrase = f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    why = _HINTS.get(status, "").format(whose=whose) or _said(found[2])
    return f"Prometheus answers {phrase}{f': {why}' if why else ''}"


def _said(body: str) -> str:
    """The API's own ``error`` of a body that was written with ``repr``; empty for any other body."""
    start, end = body.find("{"), body.rfind("}")
    if start < 0 or end < start:
        return ""
    try:
        document = json.loads(body[start : end + 1].encode("latin-1", "replace").decode("unicode_escape"))
    except ValueError:
        return ""
    said = document.get("error") if isinstance(document, dict) else None
    return " ".join(str(said).split())[:SAID] if said else ""


def _certificate(text: str, whose: str) -> str:
    if "NO_CERTIFICATE_OR_CRL_FOUND" in text or "no certificate or crl found" in text:
        return f"ca.crt holds no PEM certificate ({whose})"
    if "CERTIFICATE_VERIFY_FAILED" not in text:
        return "it may speak no TLS there, or a version that is not allowed here"
    if "ostname mismatch" in text or "doesn't match" in text or "IP address mismatch" in text:
        return "its certificate is for another name than that in the URL"
    return f"nobody vouches for its certificate (ca.crt in {whose})"


def _cause(error: BaseException) -> str:
    """What the operating system said, wherever in the chain of causes it stands."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OSError) and not isinstance(one, requests.RequestException) and one.strerror:
            return str(one.strerror)
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting.extend(other for other in inner if isinstance(other, BaseException))
    return "it broke off"
