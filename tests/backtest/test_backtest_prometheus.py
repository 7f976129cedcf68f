"""Demand from a real Prometheus, whose blocks promtool has made: pages, gaps, several series, and none."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from real_prometheus import free_port
from typer.testing import CliRunner

from tidegate.backtest.history import POINTS, fetch
from tidegate.backtest.series import InputError
from tidegate.cli.main import app

START = 1_772_409_600.0
"""2026-03-02T00:00:00Z."""
COUNT = 6000
"""Samples of 15 s: 25 hours, more than a page."""
GAP = range(3000, 3080)
"""Twenty minutes without a sample; of the first five Prometheus still shows the last one."""
NOT_A_NUMBER = 4000


def demand(place: int) -> float:
    return 900.0 if 1920 <= place < 2400 else 100.0 + place % 7


def open_metrics() -> str:
    lines = ["# TYPE orders gauge"]
    for shop in ("north", "south"):
        for place in range(COUNT):
            if place in GAP:
                continue
            value = "NaN" if place == NOT_A_NUMBER else f"{demand(place) / 2:g}"
            lines.append(f'orders{{shop="{shop}"}} {value} {START + 15 * place:.0f}')
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    programs = [shutil.which(name) for name in ("promtool", "prometheus")]
    if None in programs:
        pytest.skip("no prometheus and promtool on PATH (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "orders.txt").write_text(open_metrics())
    make = ["tsdb", "create-blocks-from", "openmetrics", folder / "orders.txt", folder / "data"]
    subprocess.run([programs[0], *make], check=True, capture_output=True, timeout=240)
    (folder / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    options = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen([programs[1], *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("prometheus was not ready within two minutes")


def test_a_range_longer_than_a_page_is_whole_and_its_gaps_stay(url: str) -> None:
    pages = []
    end = START + 15.0 * (COUNT - 1)
    found = fetch(url, "sum(orders)", start=START, end=end, progress=lambda done, of: pages.append((done, of)))
    assert COUNT > POINTS
    assert pages == [(1, 2), (2, 2)]
    assert len(found.values) == COUNT
    places = [0, 1919, 1920, 2399, 2400, POINTS - 1, POINTS, COUNT - 1]
    assert [found.values[place] for place in places] == [demand(place) for place in places]
    missing = set(np.flatnonzero(np.isnan(found.values)).tolist())
    assert NOT_A_NUMBER in missing
    assert missing - {NOT_A_NUMBER} <= set(GAP)
    assert set(GAP[21:]) <= missing  # after its look-back of five minutes


def test_several_series_are_told_with_what_would_make_them_one(url: str) -> None:
    with pytest.raises(InputError, match=r"gives several series .*; sum them, as in sum\(orders\)"):
        fetch(url, "orders", start=START, end=START + 3600.0)


def test_a_query_without_a_series_and_one_that_is_none_are_told(url: str) -> None:
    with pytest.raises(InputError, match="gives no series in that range"):
        fetch(url, "nothing", start=START, end=START + 3600.0)
    with pytest.raises(InputError, match="Prometheus did not answer"):
        fetch(url, "sum(", start=START, end=START + 3600.0)


def test_a_prometheus_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="Prometheus did not answer"):
        fetch(f"http://127.0.0.1:{free_port()}", "up", start=START, end=START + 60.0)


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
