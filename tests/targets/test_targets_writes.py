"""Writes end in time, whatever the server does, and wait for nobody's look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref
from tidegate.ports import Json, UnavailableError
from tidegate.targets.client import Form, KubeClient, Limits, Params
from tidegate.targets.registry import KubeTargets

BRIEF = Limits(connect=5, total=30, attempts=3, budget=30, first_pause=0.01, longest_pause=0.02, write=0.3)
WRITES = ("create", "replace", "patch", "delete")


class Slow:
    """A server that takes its time over writes; it says what it did, and over which connection it was asked."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        """Writes wait for it."""
        self.done: list[str] = []
        self.connections: list[object] = []
        self.closed = asyncio.Event()
        self.status, self.headers = 200, dict[str, str]()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.connections.append(request.transport.get_extra_info("peername"))
        try:
            if request.method != "GET":
                await self.answer.wait()
        except asyncio.CancelledError:
            self.closed.set()
            raise
        self.done.append(request.method)
        return web.json_response({"late": request.method}, status=self.status, headers=self.headers)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Slow, KubeClient]]:
    slow = Slow()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", slow.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    client = await KubeClient.connect(url=str(server.make_url("/")), limits=BRIEF)
    yield slow, client
    slow.answer.set()
    await client.close()
    await server.close()


async def write(client: KubeClient, verb: str) -> None:
    match verb:
        case "create":
            await client.create("/x", {})
        case "replace":
            await client.replace("/x", {})
        case "patch":
            await client.patch("/x", [], Form.JSON)
        case _:
            await client.delete("/x")


@pytest.mark.parametrize("verb", WRITES)
async def test_a_write_without_an_answer_is_given_up_in_words_and_its_connection_is_closed(
    served: tuple[Slow, KubeClient], verb: str
) -> None:
    slow, client = served
    with pytest.raises(UnavailableError, match="it may have been done all the same"):
        await write(client, verb)
    await asyncio.wait_for(slow.closed.wait(), 30)  # the server learns that nobody waits any more
    assert await client.get("/y") == {"late": "GET"}, "no answer of another request is taken for this one's"
    assert slow.connections[-1] not in slow.connections[:-1], "it goes over a connection of its own"


@pytest.mark.parametrize("verb", WRITES)
async def test_a_wait_that_ends_after_the_time_of_a_write_is_not_begun(
    served: tuple[Slow, KubeClient], verb: str
) -> None:
    slow, client = served
    client._limits = replace(BRIEF, write=29.0)
    slow.answer.set()
    slow.status, slow.headers = 429, {"Retry-After": "60"}
    with pytest.raises(UnavailableError, match="429"):
        await write(client, verb)
    assert len(slow.done) == 1


async def test_all_requests_of_one_write_end_within_its_time(served: tuple[Slow, KubeClient]) -> None:
    _, client = served

    async def many() -> None:
        async with client.one_write("moving a level"):
            while True:
                await client.get("/x")

    with pytest.raises(UnavailableError, match="moving a level: no answer within"):
        await many()


async def test_a_turn_is_waited_for_no_longer_than_a_write_may_last(served: tuple[Slow, KubeClient]) -> None:
    _, client = served
    busy = [asyncio.create_task(write(client, "create")) for _ in range(BRIEF.parallel)]
    with pytest.raises(UnavailableError):
        await write(client, "create")
    told = await asyncio.gather(*busy, return_exceptions=True)
    assert all(isinstance(error, UnavailableError) for error in told)


# ---- looks and writes apart


class Hanging(KubeClient):
    """A client whose looks hang once it is told so."""

    hangs = False

    async def _once(self, method: str, path: str, params: Params | None, *rest: object) -> Json:  # type: ignore[override]
        if self.hangs and method == "GET":
            async with self._turns:
                await asyncio.Event().wait()
        return await super()._once(method, path, params, *rest)  # type: ignore[arg-type]


async def test_looks_that_hang_hold_up_no_write() -> None:
    cluster = EmbeddedCluster()
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    cluster.apply(deployment, manager="helm")
    async with running(cluster) as url:
        looks = await Hanging.connect(url=url, limits=replace(BRIEF, write=30.0))
        writes = await KubeClient.connect(url=url, limits=replace(BRIEF, write=30.0))
        assert isinstance(looks, Hanging)
        targets = KubeTargets(looks, writes)
        web_ref = Ref("apps/v1", "Deployment", "default", "web")
        sight = await targets.see(web_ref)
        assert sight.place is not None
        assert sight.held is not None
        looks.hangs = True
        hung = [asyncio.create_task(targets.see(web_ref)) for _ in range(2 * BRIEF.parallel)]
        await asyncio.sleep(0)
        await targets.swap(sight.place, believed=2, wanted=9)
        held = await targets.held(sight.place)
        await targets.swap(sight.place, believed=9, wanted=2)
        await targets.hand_back(sight.place, sight.held.manager)
        assert held.value == 9
        assert held.version > sight.held.version > 0, "of two sights the larger version is the newer"
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        await looks.close()
        await writes.close()
