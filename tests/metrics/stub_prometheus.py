"""A Prometheus that answers as told, for what a real one rarely does."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.metrics.ages import PART, age_check
from tidegate.metrics.prometheus import PrometheusSource
from tidegate.planning.model import Reading

NOW = 1_794_240_000.0


async def ask(source: PrometheusSource, query: str, stale_after: float = 60) -> Reading:
    return await source.read(query, now=NOW, stale_after=stale_after)


def success(*result: object, **more: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(result)}, **more}


class Stub:
    """Answers as told; counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.hang = 0.0
        self.status = 200
        self.body: object = success()
        self.bodies: dict[str, object] = {}
        """By query, before ``body``."""
        self.dripping: set[str] = set()
        """Queries that are answered with a byte a second."""
        self.cut: dict[str, int] = {}
        """By kind, ``length``, ``chunks`` or ``none``: how many of the next answers break off in the middle."""
        self.headers: list[dict[str, str]] = []
        self.server: TestServer

    @property
    def url(self) -> str:
        return str(self.server.make_url(""))

    def holds(
        self,
        query: str,
        value: float,
        *,
        taken: float = NOW,
        oldest: float | None = None,
        answered: float = NOW,
        **more: object,
    ) -> None:
        """The query has a value of samples that were taken then."""
        self.bodies[query] = success({"metric": {}, "value": [answered, str(value)]}, **more)
        check = age_check(query)
        times = {"newest": taken, "oldest": taken if oldest is None else oldest}
        told = [
            {"metric": {PART: part}, "value": [answered, str(times[part.partition(" ")[0]])]} for part in check.parts
        ]
        self.bodies[check.question] = success(*told)

    async def query(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.headers.append(dict(request.headers))
        query = request.query["query"]
        if self.hang:
            await asyncio.sleep(self.hang)
        if query in self.dripping:
            return await self._drip(request)
        for kind in [kind for kind, left in self.cut.items() if left > 0]:
            self.cut[kind] -= 1
            return await self._break_off(request, kind, json.dumps(self.bodies.get(query, self.body)).encode())
        if isinstance(self.body, bytes):
            return web.Response(body=self.body, headers={"Content-Encoding": "gzip"})
        if isinstance(self.body, str):
            return web.Response(text=self.body, status=self.status)
        return web.json_response(self.bodies.get(query, self.body), status=self.status)

    async def _break_off(self, request: web.Request, kind: str, body: bytes) -> web.StreamResponse:
        """Half of an answer, whose length is told in advance, by chunks, or only by the end of the connection."""
        told = {"length": f"Content-Length: {len(body)}", "chunks": "Transfer-Encoding: chunked", "none": "X: y"}[kind]
        half = body[: len(body) // 2]
        piece = f"{len(body):x}\r\n".encode() + half if kind == "chunks" else half
        assert request.transport is not None
        request.transport.write(f"HTTP/1.1 200 OK\r\n{told}\r\nConnection: close\r\n\r\n".encode() + piece)
        request.transport.close()
        return web.Response()

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" ")
            await asyncio.sleep(0.1)
        return response
