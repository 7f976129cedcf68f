"""What a signal was, page by page: by the same queries, names and certificates as what it is, whole or not at all."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from blocks import COUNT, GAP, NOT_A_NUMBER, RESTARTS, START, demand, make_blocks, serving
from fakes import HandClock, Leader
from faulty_prometheus import Asked, Told, faulty, matrix, one
from test_control_forecaster import SIGNAL, policy

from tidegate.control.forecaster import Forecaster
from tidegate.control.history import History, Past
from tidegate.metrics.credentials import Credentials
from tidegate.metrics.past import PrometheusPast
from tidegate.metrics.prometheus import PrometheusSource
from tidegate.metrics.scoped import scoped
from tidegate.planning.model import Freshness
from tidegate.ports import PastPage, UnavailableError

BEGIN = 1_772_409_600.0
STEP = 15.0

Answer = Callable[[Asked, int], Told]


@asynccontextmanager
async def past(url: str, **given: object) -> AsyncIterator[PrometheusPast]:
    made = PrometheusPast(url, **given)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def page(answer: Answer, count: int = 4, query: str = "rate(orders[1m])", **given: object) -> PastPage:
    with faulty(answer) as server:
        async with past(server.url, **given) as source:
            return await source.page(query, begin=BEGIN, step=STEP, count=count)


def well(asked: Asked, number: int = 0) -> Told:
    return matrix(one(asked.samples()))


# ---- what a page holds


async def test_a_page_has_a_value_for_each_step_and_says_how_long_before_it_samples_count() -> None:
    found = await page(well)
    assert found == PastPage((5.0, 5.0, 5.0, 5.0), 60.0)


async def test_series_that_follow_one_another_are_one_and_two_at_once_are_none() -> None:
    def told(asked: Asked, _: int) -> Told:
        samples = asked.samples("5")
        return matrix(one(samples[:3], pod="a"), one([(at, "7") for at, _ in samples[2:]], pod="b"))

    values = (await page(told)).values
    assert (values[0], values[1], values[3]) == (5.0, 5.0, 7.0)
    assert math.isnan(values[2])


@pytest.mark.parametrize("odd", ["NaN", "+Inf", "-3"])
async def test_what_is_no_demand_is_a_gap(odd: str) -> None:
    values = (await page(lambda asked, _: matrix(one([*asked.samples()[:1], (BEGIN + STEP, odd)])))).values
    assert values[0] == 5.0
    assert all(math.isnan(value) for value in values[1:])


async def test_nothing_of_it_is_no_error() -> None:
    assert all(math.isnan(value) for value in (await page(lambda asked, _: matrix())).values)


# ---- what is no page


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda asked, _: Told("", status=503), "503 Service Unavailable"),
        (lambda asked, _: Told(well(asked).body, how="cut"), "broke off before its end"),
        (lambda asked, _: Told({"status": "error", "error": "query timed out"}), "with an error: query timed out"),
        (lambda asked, _: matrix(one(asked.samples()), warnings=["store-1 is gone"]), "with a part of it only"),
        (lambda asked, _: matrix(one(asked.samples(later=5.0))), "which was not asked for"),
        (lambda asked, _: matrix({"metric": {}, "value": [BEGIN, "5"]}, kind="vector"), "no range of samples"),
        (lambda asked, _: matrix({"metric": {}, "histograms": []}), "gives histograms"),
        (lambda asked, _: matrix(*(one(asked.samples(), pod="x" * 1000 + str(n)) for n in range(3000))), "larger than"),
    ],
    ids=["busy", "cut off", "an error", "partial", "a cache", "no range", "histograms", "too large"],
)
async def test_what_did_not_come_whole_is_no_page_and_is_said(answer: Answer, words: str) -> None:
    with pytest.raises(UnavailableError, match=words):
        await page(answer)


@pytest.mark.parametrize("how", ["hang", "drip"])
async def test_a_page_that_does_not_end_costs_its_deadline_and_no_reading_waits_for_it(how: str) -> None:
    with faulty(lambda asked, _: Told(well(asked).body, how=how)) as server:
        async with past(server.url, seconds=1.0) as source:
            begun = time.monotonic()
            asking = asyncio.create_task(source.page("orders", begin=BEGIN, step=STEP, count=400))
            await asyncio.sleep(0.01)
            assert not asking.done()
            with pytest.raises(UnavailableError, match="no whole answer from Prometheus in 1 s"):
                await asking
    assert time.monotonic() - begun < 30.0
    assert server.asked[0].params["timeout"] == "1s", "Prometheus itself gives up as well"


# ---- who asks


async def test_token_and_tenant_are_those_of_every_reading(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    (tmp_path / "tenant").write_text("shop")
    headers: list[dict[str, str]] = []

    def told(asked: Asked, _: int) -> Told:
        headers.append(asked.headers)
        return well(asked)

    await page(told, credentials=Credentials(tmp_path))
    assert (headers[0]["Authorization"], headers[0]["X-Scope-OrgID"]) == ("Bearer one", "shop")


async def test_credentials_that_cannot_be_read_are_no_page(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a\nb")
    with pytest.raises(UnavailableError):
        await page(well, credentials=Credentials(tmp_path))


# ---- a real one


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    blocks = make_blocks(tmp_path_factory.mktemp("blocks"))
    with serving(blocks, tmp_path_factory.mktemp("prometheus")) as (address, _):
        yield address


@pytest.mark.xdist_group("real prometheus of the backtest")
async def test_a_day_of_a_real_prometheus_is_learned_from_with_its_gaps_and_restarts(url: str) -> None:
    async def at_once(spent: float) -> None:
        await asyncio.sleep(0)

    query = "sum(orders)"
    end = START + STEP * (COUNT - 1)
    asked: list[PastPage] = []

    async with past(url) as source:

        class Seen:
            async def page(self, query: str, *, begin: float, step: float, count: int) -> PastPage:
                asked.append(await source.page(query, begin=begin, step=step, count=count))
                return asked[-1]

        forecaster = Forecaster()
        was = Past(Seen(), lambda policy, since, until: (), at_once, time.perf_counter, end - START)
        history = History(was, forecaster, HandClock(end), Leader())
        made = policy()
        signals = tuple(type(one)(one.name, query if one.query else None) for one in made.signals)
        forecaster.want({made.key: type(made)(made.key, made.targets, signals, live=made.live)}, {})
        while jobs := history.due(end):
            await history.do(jobs[0])
    values = [value for one in asked for value in one.values]
    assert len(values) >= COUNT - 5
    assert all(values[place] == demand(place) for place in (0, 1919, 1920, 2399, 2400, GAP.stop, COUNT - 6))
    assert math.isnan(values[NOT_A_NUMBER])
    assert all(math.isnan(values[place]) for place in GAP[21:])
    known = forecaster.known[SIGNAL].steps
    assert COUNT - len(GAP) - 200 <= known < COUNT
    assert forecaster.samples()[SIGNAL].past == pytest.approx(end - START, abs=5 * STEP)


@pytest.mark.xdist_group("real prometheus of the backtest")
async def test_a_real_prometheus_shows_a_namespace_no_more_of_the_past_than_of_the_present(url: str) -> None:
    """A query that was confined reads nothing here: no series has that namespace."""
    async with past(url) as source:
        free = await source.page("sum(orders)", begin=START, step=STEP, count=10)
        own = await source.page(scoped("sum(orders)", "shop"), begin=START, step=STEP, count=10)
    assert free.values[0] == demand(0)
    assert all(math.isnan(value) for value in own.values)
    instant = PrometheusSource(url)
    assert (await instant.read(scoped("sum(orders)", "shop"), now=START, stale_after=60.0)).freshness is Freshness.EMPTY
    await instant.close()


@pytest.mark.xdist_group("real prometheus of the backtest")
@pytest.mark.parametrize("query", ["orders[5m]", "sum(orders", "sum(rate(taken_total[1m]))"])
async def test_a_real_prometheus_says_what_is_no_range(url: str, query: str) -> None:
    async with past(url) as source:
        if query.startswith("sum(rate"):
            found = await source.page(query, begin=START + 60.0 * STEP, step=STEP, count=RESTARTS[0])
            assert min(found.values) > 0.0
            return
        with pytest.raises(UnavailableError, match="400 Bad Request"):
            await source.page(query, begin=START, step=STEP, count=10)
