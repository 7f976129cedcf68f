"""What the tests of the reader of Prometheus share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stub_prometheus import Stub

from tidegate.metrics.prometheus import PrometheusSource


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    made = Stub()
    app = web.Application()
    app.router.add_get("/api/v1/query", made.query)
    made.server = TestServer(app, host="127.0.0.1")
    await made.server.start_server(shutdown_timeout=0.1)
    yield made
    await made.server.close()


@pytest.fixture
async def source(stub: Stub) -> AsyncIterator[PrometheusSource]:
    made = PrometheusSource(stub.url)
    yield made
    await made.close()
