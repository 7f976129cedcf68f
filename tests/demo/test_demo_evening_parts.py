"""The parts of the evening's demonstration: what it records is what happened, and what it shows is what was found."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from tidegate.demo.chart import Box, Chart, Line, draw
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.notes import returned
from tidegate.demo.evening.objects import CREATION_RATE, live_events, objects_before, resting
from tidegate.demo.evening.picture import picture
from tidegate.demo.evening.report import report
from tidegate.demo.evening.result import CONTESTANTS, EveningResult, judge
from tidegate.demo.evening.rivals import announced_need, rivals, timetable
from tidegate.demo.evening.run import SPEEDS, schedule
from tidegate.demo.evening.scenario import scenario
from tidegate.demo.evening.signals import record_signals
from tidegate.demo.evening.table import table
from tidegate.demo.evening.timeline import EveningTimeline
from tidegate.demo.objects import NAMESPACE, query
from tidegate.demo.pace import length
from tidegate.demo.process import Operator, OperatorDiedError
from tidegate.demo.recording import Decision, Recording
from tidegate.demo.stage import Stage
from tidegate.demo.timeline import sentence
from tidegate.demo.workloads import BENEATH, autoscaler
from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import Freshness
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.baselines import opening_replicas, run_autoscaler
from tidegate.simulation.score import score

PLAYED = scenario()


@pytest.fixture(scope="module")
def result() -> EveningResult:
    """An autoscaler in the place of Tidegate: nothing here is shown to anybody."""
    stranger = run_autoscaler(PLAYED, target_percent=50.0, creation_rate=CREATION_RATE, name="tidegate")
    runs = {"tidegate": stranger, **rivals(PLAYED, 1.0)}
    decision = Decision(evening.LINK - 90, "order-service", 19, 403, "EventDemand: announced events need <403> units")
    return judge(PLAYED, runs, [decision], ["a note & more"], returned=True)


# ---- what is recorded


def fast_stage() -> Iterator[Stage]:
    """A cluster with the five services and their HPAs, and nobody who prepares anything."""
    clock = ScheduledClock(math.inf, evening.FIRST, ((evening.FIRST, 10_000.0),))
    before = [hpas_level(one) for one in objects_before()] + [autoscaler(s) for s in PLAYED.services]
    stage = Stage(PLAYED, clock, namespace=NAMESPACE, creation_rate=CREATION_RATE, before=before, announced=())
    try:
        stage.start()
        clock.begin(time.time())
        while not stage.caught_up(evening.LAST + 3600):
            time.sleep(0.05)
        yield stage
    finally:
        stage.stop()


def hpas_level(deployment: dict) -> dict:
    """What an HPA at 90 % has there at rest."""
    service = next(s for s in PLAYED.services if s.name == deployment["metadata"]["name"])
    return {**deployment, "spec": {**deployment["spec"], "replicas": opening_replicas(service, 90.0)}}


def test_an_embedded_cluster_left_to_its_hpas_fares_as_the_baseline_does() -> None:
    """The same demand and the same physics: the only difference between the rows of the table is who decides."""
    for stage in fast_stage():
        recorded = score(PLAYED, stage.run_of("embedded"))
    alone = run_autoscaler(PLAYED, target_percent=90.0, creation_rate=CREATION_RATE, name="hpa90", behavior=BENEATH)
    computed = score(PLAYED, alone)
    assert recorded.lost_percent == pytest.approx(computed.lost_percent, rel=1e-6)
    assert recorded.lost_in == pytest.approx(computed.lost_in, rel=1e-6)
    assert recorded.ready_before == computed.ready_before
    assert recorded.cost_ratio == pytest.approx(computed.cost_ratio, rel=2e-3)
    assert recorded.writes == 0


async def test_the_recording_of_signals_says_what_the_autoscalers_metric_says(tmp_path: Path) -> None:
    queries = {s.name: query(s) for s in PLAYED.services}
    source = RecordedSource.from_file(record_signals(PLAYED, queries, tmp_path / "signals.json"))
    order = PLAYED.services[0]
    reading = await source.read(query(order), now=evening.MIDNIGHT + 100, stale_after=120)
    assert reading.freshness is Freshness.FRESH
    assert reading.value == pytest.approx(PLAYED.metric(order, evening.MIDNIGHT + 90))
    assert (reading.since, reading.span) == (evening.MIDNIGHT + 60, 60.0), "and says of which minute it is"
    assert (await source.read(query(order), now=evening.FIRST, stale_after=120)).freshness is Freshness.EMPTY


def test_an_operator_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    operator = Operator(
        tmp_path,
        url="http://127.0.0.1:9",
        kubeconfig=tmp_path / "none",
        namespace="shop",
        settings={},
        module="tidegate.shell.not_there",
    )
    with operator, pytest.raises(OperatorDiedError, match="not_there"):
        watch(operator, seconds=30.0)


def watch(operator: Operator, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        operator.check()
        time.sleep(0.05)


# ---- the rivals


def test_who_types_the_announced_peak_loses_nothing_of_the_sale_and_pays_for_it(result: EveningResult) -> None:
    for name in ("human", "keda_cron", "always_on"):
        assert result.scores[name].lost_in["first_96s"] == 0.0, name
        assert result.scores[name].cost_ratio > 3.0, name
    assert result.scores["always_on"].lost_percent == 0.0


def test_a_timetable_is_as_wrong_as_the_announcement() -> None:
    low = timetable(PLAYED.services[0], live_events(0.8))
    need = PLAYED.need(PLAYED.services[0])
    assert low.max() == pytest.approx(0.8 * need.max(), rel=0.01)


def test_a_level_is_typed_for_an_hour_and_stands_there_a_quarter_of_an_hour_before() -> None:
    units, t0 = timetable(PLAYED.services[0], live_events()), evening.index_of(evening.MIDNIGHT)
    assert units[t0 - 901] < 100 < 1300 < units[t0 - 900] == units[t0] == units[t0 + 3599]
    assert units[t0 + 3600] < units[t0 + 3599] / 2
    assert units[t0 + 7200] == 0


def test_what_follows_from_orders_is_typed_as_it_is_announced() -> None:
    sale = live_events()[2]
    cache = announced_need(sale, PLAYED.services[4].signal, 7200)
    assert cache.max() == pytest.approx(9.0 * announced_need(sale, PLAYED.services[0].signal, 7200).max())


# ---- the clock


def test_the_evening_fits_into_a_minute_and_a_half() -> None:
    assert length(schedule(), evening.LAST) <= 90.0
    assert length(schedule(speed=0.5), evening.LAST) == pytest.approx(2 * length(schedule(), evening.LAST))


@pytest.mark.parametrize("moment", [rise.begin for rise in PLAYED.rises])
def test_time_is_slow_from_two_minutes_before_each_moment_to_a_minute_after(moment: float) -> None:
    for at in np.arange(moment - 120, moment + 60, 5.0):
        assert schedule().speed_at(float(at)) <= 30.0


def test_the_announced_speeds_cover_the_evening() -> None:
    assert SPEEDS[0][0] == evening.FIRST
    assert SPEEDS[-1][0] < evening.LAST


# ---- what is shown


def test_the_figures_bear_the_agreed_names(result: EveningResult) -> None:
    figures = json.loads(json.dumps(result.to_json()))
    assert list(figures) == ["tidegate", "human", "keda_cron", "always_on", "hpa70", "hpa80", "hpa80_quick"]
    assert (figures["tidegate"].pop("returned"), figures["tidegate"].pop("announced")) == (True, 1.0)
    for row in figures.values():
        assert list(row) == [
            "lost_demand_percent",
            "lost_first_96s_percent",
            "lost_first_10min_percent",
            "lost_at_link_percent",
            "cost_ratio",
            "ready_before_t0_seconds",
            "writes",
        ]
        assert all(isinstance(value, (int, float)) for value in row.values())


def test_the_table_fits_an_ordinary_terminal(result: EveningResult) -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table(result))
    lines = console.export_text().splitlines()
    for label in CONTESTANTS.values():
        assert any(label in line and "×" in line for line in lines)


def test_what_was_not_returned_is_said() -> None:
    recording = Recording({}, floors={s.name: resting(s) for s in PLAYED.services})
    assert returned(PLAYED, recording).startswith("The policy was deleted at 02:03: by 02:15 all levels were")
    recording.floors["chat-service"] += 1
    recording.loans.add("hpa-chat-service")
    assert returned(PLAYED, recording) == "Not returned by 02:15: levels of chat-service; loans left: 1."


def test_the_report_needs_nothing_else_and_is_escaped(result: EveningResult) -> None:
    page = report(result)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "<script" not in page
    assert "&lt;403&gt;" in page
    assert "a note &amp; more" in page
    assert page.count("<svg") == len(PLAYED.services)
    for svg in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(svg)


def test_the_picture_is_one_file_in_light_and_dark(result: EveningResult) -> None:
    svg = picture(result)
    ElementTree.fromstring(svg)
    assert "prefers-color-scheme: dark" in svg
    assert "href" not in svg


def test_a_line_keeps_every_turn_that_can_be_seen() -> None:
    values = np.zeros(10_000)
    values[5000:5010] = 100.0
    chart = Chart("t", "pods", 0.0, 0.0, 10_000.0, [Line("x", "tidegate", values)])
    path = re.search(r'class="line tidegate" d="M([^"]*)"', draw(chart, Box(0, 0, 1000, 300)))
    assert path is not None
    heights = [float(point.split()[1]) for point in path.group(1).split("L")]
    assert min(heights) == 44.0  # the top of the plot
    assert 6 <= len(heights) <= 10


def test_without_a_terminal_every_decision_is_a_line_with_its_reason() -> None:
    recording = Recording({})
    clock = ScheduledClock(0.0, evening.LINK, ((evening.LINK, 1.0),), real=lambda: 0.0)
    console = Console(width=200, record=True, file=StringIO(), force_terminal=False)
    timeline = EveningTimeline(console, PLAYED, clock, recording)
    recording.verdicts.append((evening.LINK, "head-room-link", "Ready: all 403 are ready"))
    with timeline.showing():
        timeline.update()
        timeline.update()
    assert console.export_text() == "22:30:00 head-room-link: Ready: all 403 are ready\n"
    told = sentence(Decision(evening.LINK, "order-service", 19, 403, "EventDemand: needed"))
    assert told == "22:30:00 order-service: 19 → 403 (EventDemand: needed)"
