"""Signals from Prometheus: a real one where the program is installed, and a stub for what a real one rarely does."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.metrics.prometheus import PrometheusSource
from tidegate.planning.model import Freshness, Reading

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def exporter() -> TestServer:
    async def metrics(_: web.Request) -> web.Response:
        old = int((time.time() - 200) * 1000)
        lines = ["orders 42", "nobody NaN", 'many{i="1"} 1', 'many{i="2"} 2', f"late 7 {old}"]
        return web.Response(text="\n".join(lines) + "\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[PrometheusSource]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on PATH")
    server = await exporter()
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(port=server.port))
    port = free_port()
    arguments = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data"]
    arguments += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    source = PrometheusSource(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(30):
            await scraped(source)
        yield source
    finally:
        await source.close()
        process.terminate()
        await process.wait()
        await server.close()


async def ask(source: PrometheusSource, query: str, stale_after: float = 60) -> Reading:
    return await source.read(query, now=time.time(), stale_after=stale_after)


async def scraped(source: PrometheusSource) -> None:
    while True:
        if (await ask(source, "orders")).freshness is Freshness.FRESH:
            return
        await asyncio.sleep(0.2)


async def test_a_real_prometheus_gives_each_outcome(prometheus: PrometheusSource) -> None:
    orders = await ask(prometheus, "sum(orders)")
    assert (orders.freshness, orders.value) == (Freshness.FRESH, 42.0)
    assert abs(orders.since - time.time()) < 5
    assert (await ask(prometheus, "scalar(orders)")).value == 42.0
    assert (await ask(prometheus, "absent_metric")).freshness is Freshness.EMPTY
    assert (await ask(prometheus, "nobody")).freshness is Freshness.NAN
    many = await ask(prometheus, "many")
    assert (many.freshness, many.value) == (Freshness.MANY, None)
    late = await ask(prometheus, "late")
    assert (late.freshness, late.value) == (Freshness.STALE, 7.0)
    assert 195 < time.time() - late.since < 230
    assert (await ask(prometheus, "late", stale_after=280)).freshness is Freshness.FRESH
    broken = await ask(prometheus, "sum(")
    assert (broken.freshness, broken.value) == (Freshness.UNREACHABLE, None)
    assert "parse error" in broken.note


# ---- a stub


class Stub:
    """Answers as told; counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.hang = False
        self.status = 200
        self.body: object = {"status": "success", "data": {"resultType": "vector", "result": []}}
        self.bodies: dict[str, object] = {}
        """By query, before ``body``."""
        self.server: TestServer

    async def query(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.hang:
            await asyncio.sleep(3)
        if isinstance(self.body, str):
            return web.Response(text=self.body, status=self.status)
        return web.json_response(self.bodies.get(request.query["query"], self.body), status=self.status)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    made = Stub()
    app = web.Application()
    app.router.add_get("/api/v1/query", made.query)
    made.server = TestServer(app, host="127.0.0.1")
    await made.server.start_server()
    yield made
    await made.server.close()


async def test_a_prometheus_that_hangs_costs_its_deadline_and_no_more(stub: Stub) -> None:
    stub.hang = True
    source = PrometheusSource(str(stub.server.make_url("")), timeout=0.3, deadline=0.8)
    began = time.monotonic()
    reading = await ask(source, "sum(q)")
    assert reading.freshness is Freshness.UNREACHABLE
    assert time.monotonic() - began < 1.5
    await source.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {"status": "error"}), (503, "starting"), (200, "<html>"), (200, {"status": "success"}), (200, "[]")],
)
async def test_a_broken_answer_is_unreachable_and_not_asked_for_again_in_secret(
    stub: Stub, status: int, body: object
) -> None:
    stub.status, stub.body = status, body
    source = PrometheusSource(str(stub.server.make_url("")))
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.value) == (Freshness.UNREACHABLE, None)
    assert stub.asked == 1
    await source.close()


@pytest.mark.parametrize("ahead", [0.0, 86400.0, -86400.0], ids=["in step", "a day ahead", "a day behind"])
@pytest.mark.parametrize(("age", "want"), [(10.0, Freshness.FRESH), (200.0, Freshness.STALE)])
async def test_a_sample_is_as_old_as_the_servers_own_clock_says(
    stub: Stub, ahead: float, age: float, want: Freshness
) -> None:
    now = 1_794_240_000.0

    def answer(value: float) -> object:
        result = [{"metric": {}, "value": [now + ahead, str(value)]}]
        return {"status": "success", "data": {"resultType": "vector", "result": result}}

    stub.bodies = {"orders": answer(42.0), "timestamp(orders)": answer(now + ahead - age)}
    source = PrometheusSource(str(stub.server.make_url("")))
    reading = await source.read("orders", now=now, stale_after=60.0)
    assert (reading.freshness, reading.value, reading.since) == (want, 42.0, now - age)
    await source.close()


async def test_no_instant_is_ahead_of_ours(stub: Stub) -> None:
    now = 1_794_240_000.0
    result = [{"metric": {}, "value": [now + 86400.0, "42"]}]
    stub.body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    source = PrometheusSource(str(stub.server.make_url("")))
    assert await source.read("sum(orders)", now=now, stale_after=60.0) == Reading(Freshness.FRESH, 42.0, now)
    await source.close()


async def test_nobody_listening_is_unreachable_after_a_few_tries() -> None:
    source = PrometheusSource(f"http://127.0.0.1:{free_port()}")
    reading = await ask(source, "sum(q)")
    assert reading.freshness is Freshness.UNREACHABLE
    await source.close()
