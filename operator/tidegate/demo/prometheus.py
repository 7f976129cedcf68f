"""A Prometheus that knows a few queries: for demonstrations in which what is measured depends on what was done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from tidegate.metrics.ages import PART, age_check

Answers = Mapping[str, Callable[[float], float | None]]
"""Query → its value at an instant; None: no series."""


@asynccontextmanager
async def answering(answers: Answers, now: Callable[[], float], heard: Callable[[str], None]) -> AsyncIterator[None]:
    """Serve instant queries on a free port for the length of a block; ``heard`` is told the URL.

    The time of a sample is ``now``'s: that of the demonstration's clock. A question for the age of a query's samples is
    answered too: all of them are of the instant that is asked about.
    """
    ages = {check.question: check.parts for check in map(age_check, answers)}

    async def instant(request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else request.query
        asked = form.get("query")
        if parts := ages.get(str(asked)):
            at = float(str(form.get("time", now())))
            told = [{"metric": {PART: part}, "value": [at, repr(at)]} for part in parts]
            return web.json_response({"status": "success", "data": {"resultType": "vector", "result": told}})
        answer = answers.get(str(asked))
        if answer is None:
            wrong = {"status": "error", "errorType": "bad_data", "error": f"nobody here knows the query {asked!r}"}
            return web.json_response(wrong, status=400)
        at = now()
        value = answer(at)
        series = [] if value is None else [{"metric": {}, "value": [at, repr(value)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": series}})

    app = web.Application()
    app.router.add_get("/api/v1/query", instant)
    app.router.add_post("/api/v1/query", instant)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        heard(f"http://127.0.0.1:{runner.addresses[0][1]}")
        yield
    finally:
        await runner.cleanup()
