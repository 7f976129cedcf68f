"""Demand from a real Prometheus, whose blocks promtool has made."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from blocks import COUNT, GAP, NOT_A_NUMBER, RESTARTS, START, demand, make_blocks, serving
from real_prometheus import Ground, free_port, prometheus
from typer.testing import CliRunner

from tidegate.backtest.ranges import POINTS, Prometheus, fetch
from tidegate.backtest.series import InputError
from tidegate.cli.main import app

pytestmark = pytest.mark.xdist_group("real prometheus of the backtest")

END = START + 15.0 * (COUNT - 1)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blocks(tmp_path_factory.mktemp("blocks"))


@pytest.fixture(scope="module")
def url(blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(blocks, tmp_path_factory.mktemp("prometheus")) as (address, _):
        yield address


def test_a_range_longer_than_a_page_is_whole_and_its_gaps_stay(url: str) -> None:
    pages = []
    found = fetch(
        Prometheus(url), "sum(orders)", start=START, end=END, progress=lambda done, of: pages.append((done, of))
    )
    assert COUNT > POINTS
    assert pages == [(1, 2), (2, 2)]
    assert len(found.values) == COUNT
    places = [0, 1919, 1920, 2399, 2400, POINTS - 1, POINTS, COUNT - 1]
    assert [found.values[place] for place in places] == [demand(place) for place in places]
    missing = set(np.flatnonzero(np.isnan(found.values)).tolist())
    assert NOT_A_NUMBER in missing
    assert missing - {NOT_A_NUMBER} <= set(GAP)
    assert set(GAP[21:]) <= missing  # after its look-back of five minutes


def test_a_counter_that_begins_anew_is_a_rate_that_is_never_negative(url: str) -> None:
    found = fetch(Prometheus(url), "rate(taken_total[1m])", start=START + 60.0, end=END)
    near = {place + late for place in RESTARTS for late in range(6)}
    known = {place + 4: value for place, value in enumerate(found.values)}
    assert min(known.values()) > 0.0
    assert max(known.values()) < 1000.0
    steady = [place for place in range(10, 1900) if place not in near]
    assert max(abs(known[place] - demand(place)) for place in steady) < 10.0
    assert all(known[place] > 40.0 for place in near)  # a restart hides what was counted since the last sample


def test_a_counter_itself_is_played_with_a_word_about_it(url: str) -> None:
    given = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-02T03:00:00Z", "--policies", "always-on"]
    words = "taken_total asks for a counter itself, which only grows: demand is its rate"
    for query, told in (("taken_total", True), ("rate(taken_total[1m])", False)):
        done = CliRunner().invoke(app, ["backtest", "--prometheus", url, "--query", query, *given])
        assert done.exit_code == 0, done.output
        assert (words in done.output) is told, done.output


def test_several_series_are_told_with_what_would_make_them_one(url: str) -> None:
    with pytest.raises(InputError, match=r"more than one series; aggregate the query: sum\(orders\)"):
        fetch(Prometheus(url), "orders", start=START, end=START + 3600.0)


def test_a_query_without_a_series_and_one_that_is_none_are_told(url: str) -> None:
    with pytest.raises(InputError, match="gives no number in that range"):
        fetch(Prometheus(url), "nothing", start=START, end=START + 3600.0)
    with pytest.raises(InputError, match=r"Prometheus answers 400 Bad Request: .*parse error"):
        fetch(Prometheus(url), "sum(", start=START, end=START + 3600.0)


def test_a_prometheus_that_is_not_there_is_told() -> None:
    server = Prometheus(f"http://127.0.0.1:{free_port()}", sleep=lambda pause: None)
    with pytest.raises(InputError, match="no connection to Prometheus: Connection refused"):
        fetch(server, "up", start=START, end=START + 60.0)


def test_a_prometheus_that_dies_between_two_pages_leaves_no_half_range(blocks: Path, tmp_path: Path) -> None:
    with serving(blocks, tmp_path) as (address, process):
        server = Prometheus(address, sleep=lambda pause: None)

        def kill(done: int, of: int) -> None:
            process.kill()
            process.wait(30)

        with pytest.raises(InputError, match=r"page 2 of 2 .* no connection to Prometheus: Connection refused"):
            fetch(server, "sum(orders)", start=START, end=END, progress=kill)


def test_a_prometheus_that_stands_still_costs_one_deadline(blocks: Path, tmp_path: Path) -> None:
    with serving(blocks, tmp_path) as (address, process):
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(InputError, match="no whole answer from Prometheus in 2 s"):
            fetch(Prometheus(address, seconds=2.0), "sum(orders)", start=START, end=END)
        assert time.monotonic() - began < 8.0


def test_what_is_scraped_no_more_ends_at_once_and_not_after_the_look_back(tmp_path: Path) -> None:
    """A target that no longer shows a series lets Prometheus mark it as stale; blocks of promtool have no such mark."""
    ground = Ground()
    gone = {"at": math.inf}
    ground.exposed["orders"] = lambda at: "" if at >= gone["at"] else "orders 7"
    with prometheus(tmp_path, ground) as running:
        time.sleep(4.0)
        gone["at"] = running.at
        since = running.begun + running.at
        time.sleep(6.0)
        now = time.time()
        found = fetch(Prometheus(running.direct), "sum(orders)", start=now - 9.0, end=now, step=1.0)
    assert found.values[0] == 7.0
    assert np.isnan(found.values[found.times > since + 2.5]).all()


def test_the_command_plays_what_prometheus_has(url: str) -> None:
    given = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-03T00:00:00Z", "--policies", "hpa", "-o", "json"]
    done = CliRunner().invoke(app, ["backtest", "--prometheus", url, "--query", "sum(orders)", *given])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["trace"] == "sum(orders)"
    assert told["capacity"] == 900.0 / 200
    lost = {one["policy"]: one["lost_demand_percent"] for one in told["policies"]}
    assert lost["hpa-70"] > 0.1
    assert not math.isnan(lost["hpa-90"])
