"""The embedded API's HTTP door without HTTP: a request goes in as text and bytes, the answer comes out so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.routes import Door


class _Protocol:
    """What aiohttp asks of a connection."""

    transport = writer = ssl_context = peername = sockname = None
    _upgrade = False
    max_field_size = max_line_length = 8190
    max_headers = 128


class _Request(web.Request):
    """A request whose body is there already."""

    said: bytes = b""

    async def read(self) -> bytes:
        return self.said

    @property
    def can_read_body(self) -> bool:
        return bool(self.said)

    ATTRS = web.Request.ATTRS | frozenset({"said"})


class Stream(AbstractStreamWriter):
    """The frames of a watch on their way; what was written waits here until it is read."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.ended = False
        self.fresh = asyncio.Event()

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.frames.append(bytes(chunk))
        self.fresh.set()

    async def write_eof(self, chunk: bytes = b"") -> None:
        if chunk:
            await self.write(chunk)
        self.ended = True
        self.fresh.set()

    async def drain(self) -> None:
        return

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        raise AssertionError("nobody asked for that")

    def enable_chunking(self) -> None:
        return

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        return


class _Whole:
    """A body that comes in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


class Answer:
    """A response as ``KubeClient`` reads it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"", content: Any = None) -> None:
        self.status, self.headers, self._body = status, headers, body
        self.content = content if content is not None else _Whole(body)
        self.on_close: Any = None

    async def read(self) -> bytes:
        return self._body

    def close(self) -> None:
        if self.on_close is not None:
            self.on_close()

    @property
    def response(self) -> Answer:
        """The generated client wraps its response once more."""
        return self


class Api:
    """A cluster that answers."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self._door = Door(cluster)

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes, writer: Stream | None = None
    ) -> web.Request:
        told = CIMultiDictProxy(CIMultiDict(headers))
        message = RawRequestMessage(
            method, url, HttpVersion11, told, (), False, None, False, False, URL(url, encoded=True)
        )
        loop = asyncio.get_running_loop()
        request = _Request(message, None, _Protocol(), writer, None, loop)  # type: ignore[arg-type]
        request.said = body
        return request

    async def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """One request that is no watch."""
        response = await self._door.answer(self._request(method, url, headers, body))
        assert isinstance(response, web.Response)
        said = response.body
        assert said is None or isinstance(said, bytes)
        return Answer(response.status, dict(response.headers), said or b"")

    async def watch(self, url: str, headers: dict[str, str], stream: Stream) -> None:
        """Feed a watch until it ends. A refusal ends it at once: watches of what is served are not refused."""
        await self._door.answer(self._request("GET", url, headers, b"", stream))
        await stream.write_eof()


async def frames(stream: Stream, silence: float | None, held_back: Any) -> AsyncIterator[bytes]:
    """What a client reads of a watch; aiohttp's own error when it has read nothing for ``silence`` seconds, however
    often it was asked to look again. ``held_back`` says when nothing comes through.
    """
    loop = asyncio.get_running_loop()
    read = loop.time()
    while True:
        while stream.frames and not held_back():
            yield stream.frames.popleft()
            read = loop.time()
        if stream.ended and not stream.frames:
            return
        stream.fresh.clear()
        try:
            async with asyncio.timeout_at(None if silence is None else read + silence):
                await stream.fresh.wait()
        except TimeoutError as error:
            raise aiohttp.SocketTimeoutError("no byte for too long") from error
