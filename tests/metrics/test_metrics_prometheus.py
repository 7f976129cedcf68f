"""The reader of Prometheus against a stub, for what a real one rarely does: no bad answer is a number, none hangs."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stub_prometheus import NOW, Stub, ask, success

from tidegate.control.confirmation import Confirmation
from tidegate.metrics import prometheus as module
from tidegate.metrics.ages import age_check
from tidegate.metrics.credentials import Credentials
from tidegate.metrics.prometheus import MOST_BYTES, PARALLEL, PrometheusSource
from tidegate.planning.model import Freshness


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- answers that do not end


async def test_a_prometheus_that_hangs_costs_its_deadline_and_no_more(stub: Stub) -> None:
    stub.hang = 3.0
    source = PrometheusSource(stub.url, timeout=0.3, deadline=0.8)
    began = time.monotonic()
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.note) == (Freshness.UNREACHABLE, "no whole answer from Prometheus in 0.3 s")
    assert time.monotonic() - began < 1.5
    assert stub.asked == 1, "too heavy a query is no lighter the second time"
    await source.close()


async def test_however_many_queries_hang_each_reading_ends_by_its_deadline(stub: Stub) -> None:
    """Also those that wait for a thread: nobody knows yet which queries hang."""
    stub.hang = 30.0
    source = PrometheusSource(stub.url, timeout=0.4, deadline=0.6)
    began = time.monotonic()
    readings = await asyncio.gather(*(ask(source, f"sum(q{n})") for n in range(25 * PARALLEL)))
    assert time.monotonic() - began < 6.0, "25 rounds of threads take ten seconds"
    assert {one.freshness for one in readings} == {Freshness.UNREACHABLE}
    assert "no answer from Prometheus in 0.6 s" in {one.note for one in readings}
    await source.close()


async def test_answers_that_drip_free_their_threads_and_hold_up_no_healthy_query(stub: Stub) -> None:
    source = PrometheusSource(stub.url, timeout=0.4, deadline=1.5)
    drips = [f"drip_{n}" for n in range(PARALLEL)]
    stub.dripping = set(drips)
    stub.holds("well", 4.0)
    for round_ in range(3):
        began = time.monotonic()
        waiting = [asyncio.ensure_future(ask(source, query)) for query in drips]
        await asyncio.sleep(0)
        healthy = await ask(source, "well")
        took = time.monotonic() - began
        assert (healthy.freshness, healthy.value) == (Freshness.FRESH, 4.0)
        assert took < (1.0 if round_ == 0 else 0.3), "in the first round nobody knows yet which ones drip"
        assert {(one.freshness, one.note) for one in await asyncio.gather(*waiting)} == {
            (Freshness.UNREACHABLE, "no whole answer from Prometheus in 0.4 s")
        }
    await source.close()


async def test_queries_that_nobody_asks_any_more_take_no_place_among_those_that_hang(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hung once, were edited, and are never answered: what hangs now is known all the same."""
    monkeypatch.setattr(module, "MOST_SUSPECTS", PARALLEL)
    source = PrometheusSource(stub.url, timeout=0.4, deadline=1.5)
    gone, drips = ([f"{name}_{n}" for n in range(PARALLEL)] for name in ("gone", "drip"))
    stub.dripping = {*gone, *drips}
    stub.holds("well", 4.0)
    for queries in (gone, drips):
        await asyncio.gather(*(ask(source, query) for query in queries))
    waiting = [asyncio.ensure_future(ask(source, query)) for query in drips]
    await asyncio.sleep(0)
    began = time.monotonic()
    assert (await ask(source, "well")).value == 4.0
    assert time.monotonic() - began < 0.3
    await asyncio.gather(*waiting)
    await source.close()


async def test_headers_that_drip_end_too() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            for _ in range(100):
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    source = PrometheusSource(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.4, deadline=3.0)
    began = time.monotonic()
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.note) == (Freshness.UNREACHABLE, "no whole answer from Prometheus in 0.4 s")
    assert time.monotonic() - began < 1.0
    await source.close()
    server.close()


async def test_an_answer_too_large_is_no_answer_and_says_what_helps(stub: Stub, source: PrometheusSource) -> None:
    stub.body = "x" * (MOST_BYTES + 100_000)
    reading = await ask(source, "all_of_it")
    assert (reading.freshness, reading.note) == (
        Freshness.UNREACHABLE,
        "the answer of Prometheus is larger than 1024 KiB: aggregate the query",
    )
    assert stub.asked == 1


async def test_an_answer_that_is_large_once_unpacked_is_too_large(stub: Stub, source: PrometheusSource) -> None:
    stub.body = gzip.compress(b" " * (8 * MOST_BYTES))
    reading = await ask(source, "packed")
    assert reading.note == "the answer of Prometheus is larger than 1024 KiB: aggregate the query"


# ---- answers that are none


@pytest.mark.parametrize(
    ("status", "body", "note"),
    [
        (500, {"status": "error"}, "Prometheus answers 500 Internal Server Error"),
        (503, "starting", "Prometheus answers 503 Service Unavailable"),
        (401, "who?", "Prometheus answers 401 Unauthorized: it wants a token"),
        (403, "", "Prometheus answers 403 Forbidden: the token may not ask it"),
        (404, "404 page not found", "Prometheus answers 404 Not Found: is a prefix missing in its URL?"),
        (
            422,
            {"status": "error", "error": "many-to-many matching not allowed"},
            "Prometheus answers 422 Unprocessable Entity: many-to-many matching not allowed",
        ),
        (200, "<html>", "what answers is no Prometheus API"),
        (200, {"status": "success"}, "what answers is no Prometheus API"),
        (200, "[]", "what answers is no Prometheus API"),
        (200, {"data": {"result": [{"metric": {}, "value": [NOW, "4"]}]}}, "what answers is no Prometheus API"),
        (200, "[" * 100_000, "what answers is no Prometheus API"),
        (200, "\N{BYTE ORDER MARK}{}", "what answers is no Prometheus API"),
        (204, "", "Prometheus answers 204 No Content"),
    ],
)
async def test_a_broken_answer_is_unreachable_says_what_it_was_and_is_not_asked_for_again_in_secret(
    stub: Stub, source: PrometheusSource, status: int, body: object, note: str
) -> None:
    stub.status, stub.body = status, body
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.value) == (Freshness.UNREACHABLE, None)
    assert reading.note.startswith(note)
    assert stub.asked == 1


async def test_nobody_listening_is_unreachable_after_a_few_tries() -> None:
    source = PrometheusSource(f"http://127.0.0.1:{free_port()}")
    reading = await ask(source, "sum(q)")
    assert reading.freshness is Freshness.UNREACHABLE
    assert reading.note == "no connection to Prometheus: Connection refused"
    await source.close()


async def test_minus_one_is_not_a_demand_and_several_series_are_not_one(stub: Stub, source: PrometheusSource) -> None:
    stub.bodies["minus"] = success({"metric": {}, "value": [NOW, "-1"]})
    stub.bodies["pair"] = success(*({"metric": {"replica": r}, "value": [NOW, "4"]} for r in "ab"))
    minus, pair = await ask(source, "minus"), await ask(source, "pair")
    assert (minus.freshness, minus.value, minus.note) == (
        Freshness.NEGATIVE,
        None,
        "below zero, which no demand is: minus",
    )
    assert (pair.freshness, pair.note.rpartition(": ")[2]) == (Freshness.MANY, "max without (replica) (pair)")


# ---- ages


@pytest.mark.parametrize("ahead", [0.0, 86400.0, -86400.0], ids=["in step", "a day ahead", "a day behind"])
@pytest.mark.parametrize(("age", "want"), [(10.0, Freshness.FRESH), (200.0, Freshness.STALE)])
@pytest.mark.parametrize("query", ["orders", "sum(orders)", "sum(orders) or vector(0)", "avg(rate(orders[1m])) * 60"])
async def test_a_sample_is_as_old_as_the_servers_own_clock_says(
    stub: Stub, source: PrometheusSource, query: str, age: float, want: Freshness, ahead: float
) -> None:
    stub.holds(query, 42.0, answered=NOW + ahead, taken=NOW + ahead - age)
    reading = await ask(source, query)
    assert (reading.freshness, reading.value, reading.since) == (want, 42.0, NOW - age)
    assert reading.stamp == NOW + ahead - age


async def test_a_number_in_the_place_of_missing_series_is_no_reading(stub: Stub, source: PrometheusSource) -> None:
    stub.bodies["sum(orders) or vector(0)"] = success({"metric": {}, "value": [NOW, "0"]})
    reading = await ask(source, "sum(orders) or vector(0)")
    assert (reading.freshness, reading.value) == (Freshness.EMPTY, None)


async def test_an_answer_of_which_a_part_is_old_or_missing_is_partial(stub: Stub, source: PrometheusSource) -> None:
    stub.holds("sum(orders)", 42.0, oldest=NOW - 100.0)
    old = await ask(source, "sum(orders)")
    assert (old.freshness, old.value, old.note) == (Freshness.PARTIAL, 42.0, "some of its series are older than 60 s")
    query = "sum(orders) + (sum(refunds) or vector(0))"
    stub.holds(query, 42.0)
    whole: Any = stub.bodies[age_check(query).question]
    assert (await ask(source, query)).freshness is Freshness.FRESH
    whole["data"]["result"] = whole["data"]["result"][:2]
    assert (await ask(source, query)).note == "some of its selectors find no series"


async def test_one_bad_scrape_in_a_sum_confirms_itself_by_no_scrape_of_another_series(
    stub: Stub, source: PrometheusSource
) -> None:
    """Four pods, each scraped once a minute, one after the other."""
    confirmation, stage = Confirmation(), []
    for at in range(0, 300, 15):
        bad = 120 <= at < 180
        newest = NOW + at
        stub.holds("sum(depth)", 1e6 if bad else 400.0, taken=newest, oldest=newest - 45.0, answered=newest)
        reading = await source.read("sum(depth)", now=newest, stale_after=120.0)
        confirmation.take(reading, newest, 120.0)
        stage.append(confirmation.confirmed)
    assert reading.span == 45.0
    assert set(stage[:4]) == {None}
    assert set(stage[4:]) == {400.0}


async def test_a_warning_makes_an_answer_partial(stub: Stub, source: PrometheusSource) -> None:
    stub.holds("sum(orders)", 20.0, warnings=["receive store-1: connection refused"])
    reading = await ask(source, "sum(orders)")
    assert (reading.freshness, reading.value, reading.note) == (
        Freshness.PARTIAL,
        20.0,
        "receive store-1: connection refused",
    )


async def test_a_sample_from_the_future_is_suspect(stub: Stub, source: PrometheusSource) -> None:
    stub.holds("sum(orders)", 42.0, taken=NOW + 6.0)
    reading = await ask(source, "sum(orders)")
    assert (reading.freshness, reading.value) == (Freshness.FUTURE, None)
    assert "ahead of the server's own clock" in reading.note


@pytest.mark.parametrize("query", ["sum(orders)", "hour() * 10"])
async def test_an_answer_that_stands_still_grows_old(
    query: str, stub: Stub, source: PrometheusSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache on the way gives the first answer for ever: of the same instant, and with samples as new as then."""
    passed = [0.0]
    monkeypatch.setattr(module, "passed", lambda: passed[0])
    stub.holds(query, 42.0, taken=NOW - 10.0)
    first = 10.0 if query == "sum(orders)" else 0.0
    for after, want in ((0.0, Freshness.FRESH), (40.0, Freshness.FRESH), (70.0, Freshness.STALE)):
        passed[0] = after
        reading = await source.read(query, now=NOW + after, stale_after=60.0)
        assert (reading.freshness, reading.since) == (want, NOW - first)
    stub.holds(query, 42.0, taken=NOW + 60.0, answered=NOW + 70.0)
    assert (await source.read(query, now=NOW + 70.0, stale_after=60.0)).freshness is Freshness.FRESH


async def test_a_query_that_reads_no_series_is_as_old_as_its_answer(stub: Stub, source: PrometheusSource) -> None:
    stub.bodies["hour() * 10"] = success({"metric": {}, "value": [NOW - 86_400.0, "40"]})
    reading = await ask(source, "hour() * 10")
    assert (reading.freshness, reading.value, stub.asked) == (Freshness.FRESH, 40.0, 1)


# ---- who we are


async def test_token_and_tenant_come_from_files_and_a_new_token_counts_at_once(stub: Stub, tmp_path: Path) -> None:
    stub.holds("orders", 4.0)
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "tenant").write_text("shop")
    source = PrometheusSource(stub.url, credentials=Credentials(tmp_path))
    assert (await ask(source, "orders")).freshness is Freshness.FRESH
    (tmp_path / "token").write_text("two")
    await ask(source, "orders")
    assert [(h["Authorization"], h["X-Scope-OrgID"]) for h in stub.headers[::2]] == [
        ("Bearer one", "shop"),
        ("Bearer two", "shop"),
    ]
    await source.close()


async def test_a_token_that_no_header_can_hold_is_said_and_never_repeated(stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret one\nX-Evil: 1")
    source = PrometheusSource(stub.url, credentials=Credentials(tmp_path))
    reading = await ask(source, "orders")
    assert (reading.freshness, "secret" in reading.note, stub.asked) == (Freshness.UNREACHABLE, False, 0)
    assert "token must hold one word of printable ASCII" in reading.note
    await source.close()


async def test_a_ca_of_ones_own_is_trusted_when_it_is_there_and_named_when_it_is_missing(tmp_path: Path) -> None:
    """The certificate is renewed in place: the next query already trusts the new one."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH")
    key, certificate, secret = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "secret"
    secret.mkdir()
    (secret / "tenant").write_text("shop")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    making = [openssl, *words.split(), "-keyout", str(key), "-out", str(certificate)]
    assert await (await asyncio.create_subprocess_exec(*making, stderr=asyncio.subprocess.DEVNULL)).wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    made = Stub()
    made.holds("orders", 4.0)
    app = web.Application()
    app.router.add_get("/api/v1/query", made.query)
    made.server = TestServer(app, host="127.0.0.1", scheme="https")
    await made.server.start_server(ssl=context, shutdown_timeout=0.1)
    source = PrometheusSource(made.url, credentials=Credentials(secret))
    unknown = await ask(source, "orders")
    (secret / "ca.crt").write_bytes(certificate.read_bytes())
    known = await ask(source, "orders")
    await source.close()
    await made.server.close()
    assert unknown.freshness is Freshness.UNREACHABLE
    assert unknown.note.startswith("TLS with Prometheus fails: nobody vouches for its certificate (ca.crt in")
    assert (known.freshness, known.value) == (Freshness.FRESH, 4.0)


async def test_credentials_do_not_follow_a_redirect_to_another_host(stub: Stub, tmp_path: Path) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound(stub.url.replace("127.0.0.1", "localhost") + "/api/v1/query?query=orders")

    stub.holds("orders", 4.0)
    (tmp_path / "token").write_text("one")
    app = web.Application()
    app.router.add_get("/api/v1/query", elsewhere)
    async with TestServer(app, host="127.0.0.1") as server:
        source = PrometheusSource(str(server.make_url("")), credentials=Credentials(tmp_path))
        await ask(source, "orders")
        await source.close()
    assert stub.headers
    assert not any("Authorization" in headers for headers in stub.headers)
