"""How many connections one client holds: each watch keeps one for minutes, and nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer
from test_targets_client import QUICK

from tidegate.targets.client import KubeClient

WATCHES = 130
"""What 43 namespaces make where their policies name two kinds: LiveEvents, a workload's kind and HPAs of each."""


@asynccontextmanager
async def watched() -> AsyncIterator[KubeClient]:
    """A server on which nothing changes: it accepts every watch and holds it open; all else it answers at once."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"metadata": {"name": "lease"}})
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"\n")  # aiohttp sends the headers with the first byte
        await asyncio.Event().wait()
        return stream

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    running = TestServer(app, host="127.0.0.1")
    await running.start_server(shutdown_timeout=0.0)
    client = await KubeClient.connect(url=str(running.make_url("/")), limits=QUICK)
    try:
        yield client
    finally:
        await client.close()
        await running.close()


async def test_a_request_is_answered_at_once_however_many_watches_are_open() -> None:
    """One that waits for a watch to end waits up to five minutes, and so does a watch of the durable stop."""
    async with watched() as client:
        accepted = asyncio.Event()

        async def watch(namespace: int) -> None:
            path = f"/apis/apps/v1/namespaces/n{namespace}/deployments"
            async for kind, _ in client.watch(path, resource_version="1", lasting=290, silence=60.0):
                assert kind == "OPEN"
                accepted.set()

        watches: list[asyncio.Task[None]] = []
        try:
            for number in range(WATCHES):
                accepted.clear()
                watches.append(asyncio.create_task(watch(number)))
                async with asyncio.timeout(3.0):
                    await accepted.wait()
            assert (await client.get("/lease"))["metadata"] == {"name": "lease"}
        finally:
            for one in watches:
                one.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
