"""An HTTP session whose every answer ends: at an instant, and at a size.

``requests`` bounds the wait for each piece of an answer, not the answer: a server that sends one byte a second holds a
thread for as long as it likes. Here each wait for a piece is for what is left of the whole, headers included.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from tidegate.metrics.credentials import TENANT_HEADER, Credentials

MOST_REDIRECTS = 2


class TooLargeError(requests.RequestException):
    """The answer is larger than may be."""


class CutOffError(requests.RequestException):
    """The answer has no end, though its connection ended as if it had."""


class _Bounds(threading.local):
    """Of the request that this thread is at."""

    answer_by: float = float("inf")
    """Instant of the monotonic clock by which the whole answer must be there."""
    most_bytes: int = 1 << 20
    too_large: bool = False


_BOUNDS = _Bounds()


class _Pieces(io.RawIOBase):
    """Reads a socket no longer than until the answer must be there, and no more than an answer may have."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        super().__init__()
        self._socket, self._raw, self._bytes = sock, raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _BOUNDS.answer_by - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long as a whole")
        if self._bytes > _BOUNDS.most_bytes:
            _BOUNDS.too_large = True
            raise OSError("the answer is too large")
        self._socket.settimeout(left)
        count = self._raw.readinto(buffer)
        self._bytes += count or 0
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Its status line, headers and body come through ``_Pieces``."""

    def __init__(self, sock: socket.socket, *args: Any, **given: Any) -> None:
        super().__init__(sock, *args, **given)
        plain: Any = self.fp
        self.fp = io.BufferedReader(_Pieces(sock, plain.detach()))


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """Connections whose answers are bounded; nothing is retried in secret."""

    def __init__(self) -> None:
        super().__init__(max_retries=Retry(total=0, redirect=0))

    def init_poolmanager(self, *args: Any, **given: Any) -> None:
        super().init_poolmanager(*args, **given)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **given: Any) -> Any:
        manager = super().proxy_manager_for(*args, **given)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Signature(AuthBase):
    """Puts headers on a request."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class BoundedSession(requests.Session):
    """Of several threads; each sees its own last response."""

    def __init__(self, *, seconds: float, most_bytes: int, credentials: Credentials | None = None) -> None:
        """``seconds`` for a whole answer, its redirects included; ``most_bytes`` of it, also once it is unpacked."""
        super().__init__()
        self._seconds, self._most_bytes, self._credentials = seconds, most_bytes, credentials
        self._mine = threading.local()
        self.max_redirects = MOST_REDIRECTS
        self.bound("http://")
        self.bound("https://")

    def bound(self, prefix: str) -> None:
        """Bound the answers of URLs that begin so."""
        self.mount(prefix, _Adapter())

    @property
    def response(self) -> requests.Response | None:
        """What this thread was answered last; None when its last request had no answer."""
        return getattr(self._mine, "response", None)

    def request(self, *args: Any, **given: Any) -> requests.Response:
        """See ``requests.Session.request``; the body has been read. CredentialsError before anything is sent."""
        self._mine.response = None
        _BOUNDS.answer_by, _BOUNDS.most_bytes = time.monotonic() + self._seconds, self._most_bytes
        _BOUNDS.too_large = False
        if self._credentials is not None:
            given["auth"] = _Signature(
                self._credentials.headers()
            )  # a netrc file of the machine would win over headers
            given["verify"] = self._credentials.verify()
        try:
            response = super().request(*args, **{**given, "stream": True, "timeout": self._seconds})
            self._read(response)
        except requests.RequestException as error:
            if _BOUNDS.too_large and not isinstance(error, TooLargeError):
                raise TooLargeError("the answer is too large") from error
            if time.monotonic() >= _BOUNDS.answer_by and not isinstance(error, requests.Timeout | TooLargeError):
                raise requests.ReadTimeout("the answer took too long as a whole") from error
            raise
        self._mine.response = response
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """See ``requests.Session``, which would read the body of a redirect whole, however much it unpacks to."""
        target: str | None = super().get_redirect_target(resp)
        if target is not None and not resp._content_consumed:
            self._read(resp)
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """See ``requests.Session``: where the token does not follow a redirect, nothing of who we are does."""
        elsewhere = self.should_strip_auth(response.request.url or "", prepared_request.url or "")
        super().rebuild_auth(prepared_request, response)
        if elsewhere:
            prepared_request.headers.pop(TENANT_HEADER, None)

    def _read(self, response: requests.Response) -> None:
        body = bytearray()
        try:
            for piece in response.iter_content(65_536):
                body += piece
                if len(body) > self._most_bytes:
                    raise TooLargeError("the answer is too large")
        finally:
            response.close()
        response._content = bytes(body)
        response._content_consumed = True
