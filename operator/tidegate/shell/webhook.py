"""The port that API servers ask about objects before they store them: kopf's webhook server, kept from doing harm.

kopf ends the operator when its webhook server ends, and keeps a memory of every object that it is asked about. Here a
certificate that is missing, or does not fit its key, is waited for; and no request leaves anything behind.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp.web
import kopf

log = logging.getLogger("tidegate.admission")

CERTIFICATE, KEY = "tls.crt", "tls.key"
"""Files of the folder, as a Secret of type ``kubernetes.io/tls`` is mounted."""

CHANGED_WITHIN = 60.0
"""Seconds within which a renewed certificate is taken: a mounted Secret takes about as long to change."""

RETRY = 10.0
"""Seconds between two tries to listen."""

LONGEST = 3.0
"""Seconds that a request may take, its arrival included; the API server waits for two. Without an end, one that never
arrives whole would hold up the operator's stop."""


class _Server(kopf.WebhookServer):
    """kopf's, with an end to each request."""

    @staticmethod
    async def _serve(fn: Any, request: aiohttp.web.Request) -> aiohttp.web.Response:
        try:
            async with asyncio.timeout(LONGEST):
                return await kopf.WebhookServer._serve(fn, request)
        except TimeoutError:
            raise aiohttp.web.HTTPRequestTimeout from None


class WebhookServer:
    """Serves kopf's admission handlers over HTTPS, for as long as the process lives."""

    def __init__(self, folder: Path, port: int) -> None:
        """``folder`` holds ``tls.crt`` and ``tls.key``; port 0 takes any free one. Nothing is read before it serves."""
        self._folder, self._port = folder, port

    async def __call__(self, fn: Any) -> AsyncIterator[Any]:
        """As kopf calls it: ``fn`` answers a request; yields how the server is reached, at each start of it."""

        async def answer(request: Mapping[str, Any], **about: Any) -> Any:
            return await fn(without_uids(request), **about)

        trouble = ""
        while True:
            server = _Server(
                port=self._port or None,
                certfile=self._folder / CERTIFICATE,
                pkeyfile=self._folder / KEY,
                file_check_interval=CHANGED_WITHIN,
            )
            try:
                for file in (CERTIFICATE, KEY):
                    (self._folder / file).stat()  # an error that names the file
                async with server:
                    async for reached in server(answer):
                        log.info("admission: listening")
                        trouble = ""
                        yield reached
            except OSError as error:  # a file that is missing, a key that does not fit, a port that is taken
                if str(error) != trouble:
                    log.warning("admission: not listening: %s; objects are stored unchecked meanwhile", error)
                trouble = str(error)
            except Exception:
                log.exception("admission: not listening")
            await asyncio.sleep(RETRY)


def without_uids(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request without the uids of its objects: by these kopf would keep a memory of each, and it forgets only what
    it watches itself.
    """
    review = request.get("request")
    for part in ("object", "oldObject"):
        obj = review.get(part) if isinstance(review, dict) else None
        metadata = obj.get("metadata") if isinstance(obj, dict) else None
        if isinstance(metadata, dict):
            metadata.pop("uid", None)
    return request


class NoErrors(logging.Filter):
    """Drops kopf's ERROR line about a refusal: somebody's typing error is no failure of the operator."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line stays."""
        return not isinstance(sys.exception(), kopf.AdmissionError)
