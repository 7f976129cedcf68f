"""The parts of the night's demonstration: what is told is what was seen, and every object is one that is accepted."""

from __future__ import annotations

import json
import math
import re
import time
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from tidegate.demo.night import demand as night
from tidegate.demo.night.notes import notes
from tidegate.demo.night.picture import picture
from tidegate.demo.night.recording import Happening, NightRecording
from tidegate.demo.night.report import report
from tidegate.demo.night.result import NightResult
from tidegate.demo.night.run import SPEEDS, schedule, tell
from tidegate.demo.night.scenario import scenario
from tidegate.demo.night.stage import NightStage
from tidegate.demo.night.story import bar, batches, machines, shown_bars
from tidegate.demo.night.timeline import NightTimeline
from tidegate.demo.pace import length
from tidegate.demo.prometheus import answering
from tidegate.demo.recording import Decision
from tidegate.metrics.prometheus import PrometheusSource
from tidegate.planning.model import Freshness
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.lanes import Held, LaneTrack
from tidegate.simulation.score import Run, Track, Tracker

PLAYED = scenario()


def recording() -> NightRecording:
    """A night in which all went well."""
    made = NightRecording({s.name: Tracker(PLAYED) for s in PLAYED.services})
    made.floors = {s.name: s.minimum for s in PLAYED.services}
    made.lanes.sample(night.FIRST, Held(trading=28.0, data=512.0))
    made.lanes.sample(night.MIDNIGHT - 240, Held(trading=28.0, data=96.0, data_leaving=416.0))
    made.lanes.sample(night.MIDNIGHT - 90, Held(trading=544.0, data=96.0))
    made.lanes.sample(night.DATA_AGAIN + 240, Held(trading=94.0, data=512.0))
    made.happenings = [
        Happening(night.MIDNIGHT - 860, "told", "nightly-00", 1),
        Happening(night.MIDNIGHT - 240, "stopped", "nightly-00", 1),
        Happening(night.DATA_AGAIN + 100, "started", "nightly-00", 1),
        Happening(night.DATA_AGAIN + 110, "running again", "nightly-00", 1),
    ]
    made.promises.stored("nightly-00", [night.DATA_AGAIN + 1020])
    made.promises.stored("nightly-00", [])
    made.promises.ran("nightly-00", night.DATA_AGAIN + 110, 1)
    made.oversold.looked = 100
    made.work_done, made.work_lost = {"nightly": 1000.0, "loader": 500.0}, 12.0
    made.jobs_done = {f"nightly-{n:02d}": night.DEADLINE - 4000 for n in range(night.JOBS)}
    made.loader_done_at = night.DEADLINE - 1800
    return made


def result(made: NightRecording | None = None) -> NightResult:
    plenty = np.full(PLAYED.seconds, 400, dtype=np.int64)
    run = Run("tidegate", {s.name: Track(plenty, plenty) for s in PLAYED.services}, 6)
    made = made or recording()
    decision = Decision(night.MIDNIGHT - 90, "order-service", 6, 136, "EventDemand: announced events need <136> units")
    return NightResult(PLAYED, made, run, [decision], notes(schedule(), made))


# ---- figures


def test_the_figures_bear_the_agreed_names() -> None:
    figures = json.loads(json.dumps(result().to_json()))
    assert figures["oversold_instants"] == 0
    assert figures["promise_kept"] is True
    assert figures["promises"] == {"kept": 1, "late": 0, "moved_later": 0, "stopped_without": 0}
    assert (figures["work_lost_unit_seconds"], figures["work_done_unit_seconds"]) == (12.0, 1500.0)
    assert figures["machine_hours"]["one_pool"] == 280.0
    assert figures["machine_hours"]["two_clusters"] == (34 + 32) * 7.0
    assert (figures["deadline_met"], figures["done_before_deadline_seconds"]) == (True, 1800.0)
    assert figures["lost_demand_percent"] == 0.0
    assert figures["returned"] is True
    assert {"ready_before_t0_seconds", "trading_pods_pending_for_machines", "writes"} <= figures.keys()


def test_work_that_was_never_done_misses_its_deadline() -> None:
    made = recording()
    del made.jobs_done["nightly-07"]
    figures = result(made).to_json()
    assert (figures["deadline_met"], figures["done_before_deadline_seconds"]) == (False, None)


@pytest.mark.parametrize("way", ["on_machines", "by_levels", "by_status"])
def test_each_way_of_overselling_counts(way: str) -> None:
    made = recording()
    setattr(made.oversold, way, 2)
    assert result(made).to_json()["oversold_instants"] == 2


def test_what_was_not_returned_is_said() -> None:
    made = recording()
    made.loans.add("job-nightly-00")
    made.promises.stored("nightly-01", [night.DATA_AGAIN])
    console = Console(width=100, record=True, file=StringIO())
    tell(console, result(made), Path("report.html"))
    told = console.export_text()
    assert "Not all returned by 06:00: 1 units of data work are out, 1 loans are left." in told
    assert "1 of 2 units" in told


# ---- what is shown


def test_a_bar_has_one_sign_for_each_machine() -> None:
    for cores in range(0, 640, 7):
        held = Held(trading=float(cores), data=(640.0 - cores) / 2, data_leaving=3.0)
        assert len(bar(held)) == sum(machines(held)) == night.MACHINES


def test_a_bar_comes_when_machines_change_hands_and_now_and_then() -> None:
    at = [instant - night.BEGIN for instant, _ in shown_bars(recording().lanes, night.DATA_AGAIN + 300)]
    assert at == [0, 1800, 3360, 3510, 5310, 7110, 7440]


def test_before_anything_was_seen_there_is_no_bar() -> None:
    assert shown_bars(LaneTrack(), night.FIRST) == []


def test_what_happens_close_together_is_one_line() -> None:
    made = [Happening(100.0 + n, "told", f"nightly-{n:02d}", 1) for n in range(5)]
    made += [Happening(104.0, "told", "loader", 31), Happening(300.0, "told", "nightly-09", 1)]
    over, going = batches(made, now=310.0)
    assert [(b.first, b.last, b.jobs, b.replicas) for b in over] == [(100.0, 104.0, 5, 31)]
    assert [(b.first, b.jobs) for b in going] == [(300.0, 1)]
    assert "5 Jobs and 31 replicas of the loader told to stop, 10 minutes ahead" in str(over[0])


def test_lines_come_in_the_order_of_what_they_tell() -> None:
    """Also those that wait until a batch is over."""
    made = recording()
    console = Console(width=200, record=True, file=StringIO(), force_terminal=False)
    clock = ScheduledClock(0.0, night.FIRST, ((night.FIRST, 1.0),), real=lambda: 0.0)
    now = [night.FIRST]
    timeline = NightTimeline(console, PLAYED, clock, made, lambda: now[0])
    for instant in np.arange(night.FIRST, night.LAST + 1, 37.0):
        now[0] = float(instant)
        happened, made.happenings = made.happenings, [h for h in made.happenings if h.at <= instant]
        timeline.update()
        made.happenings = happened
    lines = console.export_text().splitlines()[1:]
    times = [(line[:8] < "12", line[:8]) for line in lines]
    assert times == sorted(times)
    assert sum("1 Job" in line for line in lines) == 4


def test_a_terminal_shows_bars_books_and_what_happened_last() -> None:
    made = recording()
    made.pool_summary = "data: 1 lent"
    clock = ScheduledClock(0.0, night.MIDNIGHT, ((night.FIRST, 1.0),), real=lambda: 0.0)
    console = Console(width=100, height=50, record=True, file=StringIO(), force_terminal=True)
    timeline = NightTimeline(console, PLAYED, clock, made, lambda: night.MIDNIGHT - 200)
    with timeline.showing():
        timeline.update()
    told = console.export_text()
    assert "23:56:40 ██▒▒▒▒▒▒" in told
    assert "pool: data: 1 lent" in told
    assert "1 Job stopped" in told


def test_the_picture_is_one_file_in_light_and_dark() -> None:
    svg = picture(result())
    ElementTree.fromstring(svg)
    assert "prefers-color-scheme: dark" in svg
    assert "promised back from 01:17 on" in svg
    assert "href" not in svg


def test_the_report_needs_nothing_else_and_is_escaped() -> None:
    page = report(result())
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page
    assert "&lt;136&gt;" in page
    for svg in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(svg)


# ---- the clock


def test_the_night_fits_into_a_minute_and_a_quarter() -> None:
    assert length(schedule(), night.LAST) <= 72.0
    assert SPEEDS[0][0] == night.FIRST


# ---- what is recorded, and measured


async def test_the_operator_is_told_what_is_asked_and_nothing_else() -> None:
    urls: list[str] = []
    async with answering({"sum(work)": lambda at: at / 2, "sum(none)": lambda _: None}, lambda: 100.0, urls.append):
        source = PrometheusSource(urls[0])
        known = await source.read("sum(work)", now=100.0, stale_after=60.0)
        nothing = await source.read("sum(none)", now=100.0, stale_after=60.0)
        unknown = await source.read("sum(other)", now=100.0, stale_after=60.0)
        await source.close()
    assert (known.freshness, known.value) == (Freshness.FRESH, 50.0)
    assert nothing.freshness is Freshness.EMPTY
    assert (unknown.freshness, "nobody here knows" in unknown.note) == (Freshness.UNREACHABLE, True)


def test_a_night_without_an_operator_shows_data_alone_at_work_and_trading_short_of_machines() -> None:
    """What the recording says when nobody shifts anything: the figures can fail."""
    clock = ScheduledClock(math.inf, night.FIRST, ((night.FIRST, 20_000.0),))
    stage = NightStage(PLAYED, clock)
    try:
        stage.start()
        clock.begin(time.time())
        while not stage.caught_up(night.LAST):
            time.sleep(0.05)
    finally:
        stage.stop()
    stage.finish()
    found = NightResult(PLAYED, stage.recording, stage.run_of("nobody"), [], ())
    figures = found.to_json()
    assert figures["promise_kept"] is False
    assert figures["work_lost_unit_seconds"] == 0.0
    assert figures["trading_pods_pending_for_machines"] > 0
    assert figures["oversold"]["on_machines"] == 0
    assert figures["oversold"]["by_levels"] > 0
    assert figures["lost_first_96s_percent"] > 20.0
    assert figures["deadline_met"] is True
    assert stage.recording.data_done_at == pytest.approx(night.FIRST + night.LOADER_SECONDS + 15.0, abs=5.0)
    whole = night.JOBS * night.JOB_SECONDS + night.LOADERS * night.LOADER_SECONDS
    assert figures["work_done_unit_seconds"] == pytest.approx(whole)
