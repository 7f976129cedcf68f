"""``tidegate backtest``: tables, JSON, a report that needs nothing else, and bounds that end a build."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from plays import case
from typer.testing import CliRunner, Result

from tidegate.backtest import suite
from tidegate.backtest.field import entries, made
from tidegate.backtest.operator import Operator
from tidegate.cli.main import app

DAY = "\n".join(f"2026-03-02T{h:02}:{m:02}:00Z,{900 if h in (8, 9) else 100}" for h in range(7, 12) for m in range(60))
POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: shop, namespace: shop}
spec:
  mode: Enforce
  signals: [{name: orders_per_second, query: sum(orders)}]
  targets:
  - name: web
    ref: {apiVersion: apps/v1, kind: Deployment, name: web}
    capacity: {orders_per_second: "50"}
    background: {orders_per_second: "100"}
    headroomPercent: 7
    leadTime: {guessSeconds: 75}
    max: 100
"""
EVENT = """
apiVersion: tidegate.dev/v1alpha1
kind: LiveEvent
metadata: {name: morning, namespace: shop}
spec:
  schedule: {startTime: "2026-03-02T08:00:00", timeZone: UTC, durationSeconds: 7200}
  expected: {orders_per_second: "800"}
  policyRef: {name: shop}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "shop.csv").write_text(f"timestamp,value\n{DAY}\n")
    (tmp_path / "events.csv").write_text(
        "start,end,type,name\n2026-03-02T08:00:00Z,2026-03-02T10:00:00Z,flat,morning\n"
    )
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "event.yaml").write_text(EVENT)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


def test_a_strangers_csv_gives_a_table_with_rivals_and_the_frontier(files: Path) -> None:
    done = run("--demand", files / "shop.csv", "--events", files / "events.csv", "--lag", 60)
    assert done.exit_code == 0, done.output
    names = set(re.findall(r"^([a-z][\w+-]+) +\d", done.output, re.MULTILINE))
    assert names >= {"tidegate", "tidegate+hpa-90", "hpa-70", "hpa-80", "hpa-90", "human", "keda-cron", "always-on"}
    assert names >= {"scaling-schedule", "periodic", "hpa-static", "tidegate-preset"}
    assert "1 events" in done.output
    assert "*" in done.output


def test_a_policy_and_a_live_event_are_what_is_played(files: Path) -> None:
    done = run(
        "--demand", files / "shop.csv", "--events", files / "event.yaml", "--policy", files / "policy.yaml",
        "--policies", "tidegate", "--lag", 60, "-o", "json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["capacity"] == 50.0
    assert told["background_units"] == 2.0
    assert [(one["policy"], one["headroom"]) for one in told["policies"]] == [
        ("tidegate", 0.07),
        ("tidegate+hpa-90", 0.07),
    ]
    assert all(one["lost_in_event_windows_percent"] < 0.5 for one in told["policies"])  # of the minute before it begins
    assert [event["name"] for event in told["policies"][0]["events"]] == ["morning"]


@pytest.mark.parametrize("mode", ["mode: Observe", ""])
def test_a_policy_that_only_observes_is_played_as_if_it_enforced_and_that_is_said(files: Path, mode: str) -> None:
    given = ["--demand", files / "shop.csv", "--events", files / "event.yaml", "--policy", files / "policy.yaml"]
    enforced = json.loads(run(*given, "--policies", "tidegate", "-o", "json").stdout)
    (files / "policy.yaml").write_text(POLICY.replace("mode: Enforce", mode))
    observed = json.loads(run(*given, "--policies", "tidegate", "-o", "json").stdout)
    assert all(one["writes"] for one in observed["policies"])
    assert observed["policies"] == enforced["policies"]
    said = f"{files / 'policy.yaml'}: in mode Observe, which writes nothing: played as if it said mode: Enforce."
    assert (said in observed["notes"], said in enforced["notes"]) == (True, False)


def test_the_policys_own_bounds_hold_in_the_play(files: Path) -> None:
    given = ["--demand", files / "shop.csv", "--events", files / "event.yaml", "--policies", "tidegate", "-o", "json"]
    (files / "policy.yaml").write_text(POLICY.replace("max: 100", "max: 9"))
    told = json.loads(run(*given, "--policy", files / "policy.yaml").stdout)
    alone = next(one for one in told["policies"] if one["policy"] == "tidegate")
    assert alone["lost_demand_percent"] > 20.0  # nine units where eighteen are needed


def test_bounds_that_are_not_kept_end_with_one_and_kept_ones_with_zero(files: Path) -> None:
    given = ["--demand", files / "shop.csv", "--events", files / "events.csv", "--lag", 60]
    assert run(*given, "--policies", "tidegate", "--max-lost", 0.5, "--max-cost", 3).exit_code == 0
    broken = run(*given, "--policies", "hpa", "--max-lost", 0.1, "--bounded", "hpa-90")
    assert broken.exit_code == 1
    assert "bound not kept: hpa-90: lost demand in percent is" in broken.output


@pytest.mark.parametrize(
    ("given", "bounded"),
    [
        (["--policies", "hpa", "--max-lost", "0.1"], "tidegate+hpa-90"),
        (["--policies", "hpa", "--max-cost", "3", "--bounded", "hpa"], "hpa"),
        (["--policies", "hpa", "--bounded", "hpa-75"], "hpa-75"),
    ],
)
def test_a_bound_on_who_is_not_played_is_told_before_anything_is_played(
    monkeypatch: pytest.MonkeyPatch, given: list[str], bounded: str
) -> None:
    monkeypatch.setattr(suite, "outcome_of", lambda *_, **__: pytest.fail("played"))
    done = run(*given)
    says = f"--bounded: {bounded} is not played, so that no bound on it can be kept; give one of hpa-70, hpa-80, hpa-90"
    assert (done.exit_code, says in done.output) == (2, True), done.output


@pytest.mark.parametrize("sweep", [False, True])
def test_every_contestant_is_played_under_the_name_that_it_can_be_bound_by(sweep: bool) -> None:
    small = case(np.full(40, 2.0))
    for entry in entries(None, sweep=sweep):
        contestant = made(small, entry)
        assert contestant.name == entry.played_as
        if isinstance(contestant, Operator):
            contestant.close()


@pytest.mark.parametrize("option", [["--step", "60"], ["--sweep"], ["--demand", "x.csv"], ["--policies", "hpa"]])
def test_an_option_before_suite_is_refused(files: Path, option: list[str]) -> None:
    done = run(*option, "suite", "--traces", files)
    words = " ".join(re.sub("[│╭╮╰╯─]", " ", done.output).split())
    says = f"{option[0]}: before suite an option is for a single backtest; give it behind suite"
    assert (done.exit_code, says in words) == (2, True), done.output


@pytest.mark.parametrize(
    ("policies", "names"), [("hpa, human", {"hpa-70", "hpa-80", "hpa-90", "human"}), ("human ", {"human"})]
)
def test_contestants_are_named_with_commas_and_blanks(files: Path, policies: str, names: set[str]) -> None:
    done = run("--demand", files / "shop.csv", "--policies", policies, "--step", 60, "-o", "json")
    assert {one["policy"] for one in json.loads(done.stdout)["policies"]} == names


def test_no_bound_is_kept_where_nothing_is_scored(files: Path) -> None:
    nothing = "".join(f"2026-03-02T12:{minute:02}:00Z,{0 if minute % 2 else ''}\n" for minute in range(60))
    (files / "shop.csv").write_text(f"timestamp,value\n{DAY}\n{nothing}")
    given = ["--demand", files / "shop.csv", "--policies", "human", "--max-lost", 0.5, "--bounded", "human"]
    assert run(*given, "--judge-from", "2026-03-02T11:59:00Z").exit_code == 0
    done = run(*given, "--judge-from", "2026-03-02T12:10:00Z")
    assert (done.exit_code, "no value is known and above 0, so that nothing would be scored" in done.output) == (
        2,
        True,
    )
    (files / "shop.csv").write_text("timestamp,value\n10,0\n20,\n30,0\n")
    done = run(*given, "--capacity", 5)
    assert (done.exit_code, "no value is above 0" in done.output) == (2, True)


def test_the_report_needs_nothing_else_and_shows_each_event(files: Path) -> None:
    report = files / "report.html"
    given = [
        "--demand",
        files / "shop.csv",
        "--events",
        files / "events.csv",
        "--policies",
        "tidegate,hpa",
        "--lag",
        60,
    ]
    assert run(*given, "--report", report).exit_code == 0
    page = report.read_text()
    assert page.count("<svg") == 3
    assert "morning" in page
    assert "hpa-70" in page
    assert not re.search(r"(src|href)=", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--builtin", "moon"], "there is no 'moon'; there are double-11-2019, room"),
        (["--demand", "none.csv"], "none.csv: cannot be read"),
        (["--prometheus", "http://127.0.0.1:1"], "--prometheus needs --query"),
        (["--policies", "hpx"], "no contestant is called hpx"),
        (["--policies", ""], "--policies: names nothing; give names with commas between, or leave"),
        (["--policies", "hpa,"], "--policies: 'hpa,' has nothing between two commas, or at an end"),
        (["--perturbation", "late"], "there is no perturbation 'late'"),
        (["--judge-from", "noon"], "'noon' is no instant"),
    ],
)
def test_what_cannot_be_played_is_told_and_ends_with_two(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_a_suite_prints_one_row_a_play(files: Path) -> None:
    (files / "shop_events.csv").write_text((files / "events.csv").read_text())
    (files / "events.csv").unlink()
    done = run(
        "suite", "--traces", files, "--policies", "hpa,human", "--lags", "60,180", "--perturbations", "none,high20"
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert len(rows) == 2 * (3 + 1 + 1)
    assert {row["trace"] for row in rows} == {"shop"}
