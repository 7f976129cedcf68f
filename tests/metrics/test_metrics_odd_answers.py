"""Answers of an odd form, from a proxy, a federation or a broken store: none of them is taken for a number."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stub_prometheus import NOW, Stub, ask, success

from tidegate.metrics.ages import PART, Rest, age_check
from tidegate.metrics.credentials import Credentials
from tidegate.metrics.prometheus import ATTEMPTS, PrometheusSource
from tidegate.metrics.promql import Answer, answer_of, sample_of
from tidegate.planning.model import Freshness


def one(value: object, at: object = NOW, kind: str = "vector") -> Answer:
    return Answer([{"metric": {}, "value": [at, value]}], "", kind)


# ---- numbers


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5.0), (5, 5.0), ("1e3", 1000.0), ("1e+06", 1e6), ("2.5", 2.5), ("-0", 0.0)]
)
def test_numbers_are_read_as_prometheus_prints_them(text: object, value: float) -> None:
    found = sample_of(one(text))
    assert found == (NOW, value)
    assert "-" not in str(found), "no negative zero"


@pytest.mark.parametrize(
    "value", [True, None, "", " 5 ", "1_000", "0x10", "\N{ARABIC-INDIC DIGIT THREE}", "+Inf", [5], "1e999"]
)
def test_what_is_no_number_is_none(value: object) -> None:
    assert sample_of(one(value)) is Freshness.NAN


@pytest.mark.parametrize("at", [True, None, "2026-11-10T00:00:00Z", "NaN"])
def test_a_sample_without_a_time_is_none(at: object) -> None:
    assert sample_of(one("5", at)) is Freshness.NAN


@pytest.mark.parametrize(
    "answer",
    [
        Answer([NOW, "5"], "", "string"),
        Answer([{"metric": {}, "histogram": [NOW, {"count": "60", "sum": "5"}]}], "", "vector"),
        Answer([{"metric": {}, "values": []}], "", "matrix"),
    ],
    ids=["a text", "a histogram", "a range without samples"],
)
def test_an_answer_of_another_type_is_no_number_and_not_called_missing(answer: Answer) -> None:
    assert sample_of(answer) is Freshness.NAN


# ---- what the document says of itself


@pytest.mark.parametrize("warnings", ["store gone", {"a": "store gone"}, ["store gone"], [{"a": 1}]])
def test_a_warning_of_any_shape_makes_an_answer_partial(warnings: object) -> None:
    assert answer_of({**success(), "warnings": warnings}).partial


@pytest.mark.parametrize("nothing", [None, [], "", {}, ["PromQL info: metric might not be a counter"]])
def test_no_warning_is_none(nothing: object) -> None:
    assert answer_of({**success(), "warnings": nothing}).partial == ""


@pytest.mark.parametrize("status", ["error", "success"])
async def test_an_answer_that_says_that_it_failed_is_no_number_though_it_holds_one(
    stub: Stub, source: PrometheusSource, status: str
) -> None:
    stub.body = {**success({"metric": {}, "value": [NOW, "4"]}), "status": status, "error": "query timed out"}
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.value) == (Freshness.UNREACHABLE, None)
    assert reading.note == "Prometheus answers with an error: query timed out"


@pytest.mark.parametrize("said", [{"error": "store gone"}, {"errorType": "internal"}])
async def test_an_error_without_any_data_is_called_an_error_and_no_wrong_url(
    stub: Stub, source: PrometheusSource, said: dict[str, str]
) -> None:
    stub.body = {"status": "error", **said}
    reading = await ask(source, "sum(q)")
    told = f": {said['error']}" if "error" in said else ""
    assert (reading.freshness, reading.note) == (Freshness.UNREACHABLE, f"Prometheus answers with an error{told}")
    assert stub.asked == 1, "an error is an answer"


# ---- answers that break off


@pytest.mark.parametrize("kind", ["length", "chunks", "none"])
async def test_an_answer_that_broke_off_is_asked_for_again(stub: Stub, source: PrometheusSource, kind: str) -> None:
    stub.holds("sum(q)", 4.0)
    stub.cut[kind] = 1
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.value) == (Freshness.FRESH, 4.0)
    assert stub.asked == 3, "once in vain, the value, and its age"


@pytest.mark.parametrize("kind", ["length", "chunks", "none"])
async def test_answers_that_always_break_off_are_no_number_and_called_that(
    stub: Stub, source: PrometheusSource, kind: str
) -> None:
    stub.holds("sum(q)", 4.0)
    stub.cut[kind] = 100
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.value) == (Freshness.UNREACHABLE, None)
    assert reading.note == "the answer of Prometheus broke off before its end"
    assert stub.asked == ATTEMPTS


async def test_an_answer_that_cannot_be_unpacked_is_called_that(stub: Stub, source: PrometheusSource) -> None:
    stub.body = b"this is no gzip"
    reading = await ask(source, "sum(q)")
    assert (reading.freshness, reading.value) == (Freshness.UNREACHABLE, None)
    assert reading.note.startswith("the answer of Prometheus cannot be unpacked")


# ---- ages


@pytest.mark.parametrize(("age", "want"), [(10.0, Freshness.FRESH), (200.0, Freshness.STALE)])
async def test_the_last_sample_of_a_range_is_as_old_as_it_is(
    stub: Stub, source: PrometheusSource, age: float, want: Freshness
) -> None:
    """It bears its own time, and a vector that of the answer."""
    query = "orders[5m]"
    stub.holds(query, 4.0, taken=NOW - age)
    stub.bodies[query] = {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[NOW - age, "4"]]}]},
    }
    reading = await ask(source, query)
    assert (reading.freshness, reading.since) == (want, NOW - age)


def test_a_time_that_is_no_number_makes_nothing_fresh() -> None:
    check = age_check("sum(orders)")
    told = [{"metric": {PART: part}, "value": [NOW, "NaN"]} for part in check.parts]
    assert check.times(told) is Rest.NOTHING


# ---- who we are


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nothing_of_who_we_are_follows_a_redirect_to_another_host(
    stub: Stub, tmp_path: Path, status: int
) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        there = stub.url.replace("127.0.0.1", "localhost") + "/api/v1/query?query=orders"
        return web.Response(status=status, headers={"Location": there})

    stub.holds("orders", 4.0)
    (tmp_path / "token").write_text("one")
    (tmp_path / "tenant").write_text("shop")
    app = web.Application()
    app.router.add_get("/api/v1/query", elsewhere)
    async with TestServer(app, host="127.0.0.1") as server:
        source = PrometheusSource(str(server.make_url("")), credentials=Credentials(tmp_path))
        await ask(source, "orders")
        await source.close()
    assert stub.headers
    assert not any({"Authorization", "X-Scope-OrgID"} & headers.keys() for headers in stub.headers)


async def test_a_redirect_that_is_large_once_unpacked_is_too_large_and_takes_no_memory() -> None:
    packed = gzip.compress(bytes(64 << 20))

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, body=packed, headers={"Location": "/", "Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/api/v1/query", elsewhere)
    async with TestServer(app, host="127.0.0.1") as server:
        source = PrometheusSource(str(server.make_url("")))
        tracemalloc.start()
        reading = await ask(source, "orders")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await source.close()
    assert (reading.freshness, reading.value) == (Freshness.UNREACHABLE, None)
    assert reading.note.startswith("the answer of Prometheus is larger than 1024 KiB")
    assert peak < 16 << 20


@pytest.mark.parametrize("text", ["", "hello"])
async def test_a_ca_that_is_no_certificate_is_named(stub: Stub, tmp_path: Path, text: str) -> None:
    (tmp_path / "ca.crt").write_text(text)
    source = PrometheusSource(stub.url.replace("http:", "https:"), credentials=Credentials(tmp_path))
    reading = await ask(source, "orders")
    await source.close()
    assert reading.note.startswith("TLS with Prometheus fails: ca.crt holds no PEM certificate")
