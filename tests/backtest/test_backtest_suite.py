"""Folders of traces that nobody has seen, and the rows that come of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from multiprocessing import active_children
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.backtest import suite as suites
from tidegate.backtest.builtin import BUILTIN
from tidegate.backtest.case import Physics
from tidegate.backtest.field import entries
from tidegate.backtest.folder import Shard, read_suite
from tidegate.backtest.operator import resting
from tidegate.backtest.series import ANCHOR, InputError, instant
from tidegate.backtest.sources import Question, case_of
from tidegate.backtest.suite import outcome_of, suite
from tidegate.cli.main import app

JOB = Path(__file__).parents[2] / "examples/fleet/backtest-job.yaml"

ROWS = "\n".join(f"2020-05-04T{h:02}:{m:02}:00Z,{100 if h < 2 else 900}" for h in range(5) for m in range(60))
DEMAND = f"timestamp,value\n{ROWS}\n"
EVENTS = "start_utc,type,name,end_utc\n2020-05-04T02:00:00Z,show,first,2020-05-04T04:00:00Z\n"

FIELDS = {
    "trace",
    "lag_seconds",
    "policy",
    "headroom",
    "lost_demand_percent",
    "cost_ratio",
    "lost_in_event_windows_percent",
    "underprovisioned_seconds",
    "perturbation",
    "learned_from",
}


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (tmp_path / f"{stem}.{ending}").write_text(text)
    return tmp_path


def test_events_are_found_by_the_words_of_their_file(tmp_path: Path) -> None:
    traces = folder(tmp_path, shop_may_viewers_1min_csv=DEMAND, other_1min_csv=DEMAND, shop_may_events_csv=EVENTS)
    found = {one.name: [event.name for event in one.happenings] for one in read_suite(traces)}
    assert found == {"other_1min": [], "shop_may_viewers_1min": ["first"]}


def test_events_are_found_by_the_yaml_beside_the_trace(tmp_path: Path) -> None:
    listed = "events:\n- {start: '2020-05-04T02:00:00Z', name: told}\n"
    named = "events_file: dates.csv\n"
    traces = folder(
        tmp_path, a_csv=DEMAND, a_yaml=listed, b_csv=DEMAND, b_yaml=named, dates_csv=EVENTS, table_csv="x,y\n1,2\n"
    )
    found = {one.name: [event.name for event in one.happenings] for one in read_suite(traces)}
    assert found == {"a": ["told"], "b": ["first"]}


def test_a_folder_without_a_trace_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no trace"):
        read_suite(folder(tmp_path, table_csv="x,y\n1,2\n"))
    with pytest.raises(InputError, match="is no folder"):
        read_suite(tmp_path / "none")


def rows_of(traces: Path, *given: str) -> list[dict[str, object]]:
    """What the command prints."""
    quick = ["--policies", "always-on,human", "--perturbations", "none,low20", "--step", "60"]
    done = CliRunner().invoke(app, ["backtest", "suite", "--traces", str(traces), *quick, *given])
    assert done.exit_code == 0, done.output
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_shards_have_each_row_once_whatever_their_number(tmp_path: Path) -> None:
    traces = folder(tmp_path, shop_1min_csv=DEMAND, shop_events_csv=EVENTS, quiet_1min_csv=DEMAND, late_1min_csv=DEMAND)
    whole = rows_of(traces)
    assert {row["trace"] for row in whole} == {"shop_1min", "quiet_1min", "late_1min"}
    for of in (2, 3, 4):
        parts = [rows_of(traces, "--shard", f"{index}/{of}") for index in range(of)]
        assert sorted(json.dumps(row) for part in parts for row in part) == sorted(map(json.dumps, whole))
        assert sum(1 for part in parts if part) == min(of, 3)


def test_a_shard_is_not_held_up_by_a_trace_of_another(tmp_path: Path) -> None:
    traces = folder(tmp_path, a_csv=DEMAND, b_csv="timestamp,value\nnoon,1\n")
    assert {row["trace"] for row in rows_of(traces, "--shard", "0/2")} == {"a"}
    assert {row["trace"] for row in rows_of(traces, "--only", "a")} == {"a"}
    with pytest.raises(InputError, match=r"b\.csv: line 2"):
        read_suite(traces, shard=Shard(1, 2))


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "1/0", "one/two", "1/2/3", ""])
def test_a_part_that_is_none_is_told_with_those_there_are(tmp_path: Path, text: str) -> None:
    given = ["backtest", "suite", "--traces", str(folder(tmp_path, a_csv=DEMAND)), f"--shard={text}"]
    done = CliRunner().invoke(app, given)
    assert (done.exit_code, "give INDEX/OF, as 0/8 to 7/8" in done.output) == (2, True), done.output


def test_a_name_that_no_trace_has_is_told_with_those_that_they_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no trace has x or y in its name; there are a, b"):
        read_suite(folder(tmp_path, a_csv=DEMAND, b_csv=DEMAND), only=["x", "y"])


def test_the_manifest_for_a_fleet_says_one_number_of_parts_and_knows_bad_input_by_its_exit_code(tmp_path: Path) -> None:
    job = yaml.safe_load(JOB.read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    (shard,) = [one for one in container["args"] if one.startswith("--shard=")]
    assert shard == f"--shard=$(JOB_COMPLETION_INDEX)/{job['completions']}"
    assert job["parallelism"] == job["completions"]
    assert container["image"] == f"tidegate:{version('tidegate')}"
    told = CliRunner().invoke(app, [*container["command"][1:], f"--traces={tmp_path / 'none'}"])
    assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [told.exit_code] == [2]
    known = CliRunner().invoke(app, [*container["command"][1:], "--help"]).output
    assert all(one.partition("=")[0] in known for one in container["args"])


def test_a_row_has_all_its_fields_and_what_nobody_announces_is_played_once(tmp_path: Path) -> None:
    traces = read_suite(folder(tmp_path, shop_1min_csv=DEMAND, shop_events_csv=EVENTS, quiet_1min_csv=DEMAND))
    field = entries(["hpa", "human"], sweep=False)
    rows = suite(traces, Question(), Physics(), field, lags=[60.0, 600.0], perturbations=["none", "low20"])
    assert all(row.keys() == FIELDS for row in rows)
    of_shop = [(row["policy"], row["perturbation"]) for row in rows if row["trace"] == "shop_1min"]
    assert of_shop.count(("hpa-80", "none")) == 2
    assert of_shop.count(("hpa-80", "low20")) == 0
    assert of_shop.count(("human", "low20")) == 2
    assert not any(row["perturbation"] == "low20" for row in rows if row["trace"] == "quiet_1min")
    lost = {
        (row["lag_seconds"], row["policy"]): row["lost_demand_percent"] for row in rows if row["trace"] == "shop_1min"
    }
    assert lost[600.0, "hpa-80"] > lost[60.0, "hpa-80"] > 0.0


def test_two_processes_give_the_rows_of_one(tmp_path: Path) -> None:
    traces = read_suite(folder(tmp_path, shop_1min_csv=DEMAND, shop_events_csv=EVENTS))
    field = entries(["hpa", "tidegate"], sweep=False)
    one, two = (
        suite(traces, Question(), Physics(), field, lags=[60.0], perturbations=["none"], jobs=jobs) for jobs in (1, 2)
    )
    assert one == two
    assert {row["policy"] for row in one} == {"hpa-70", "hpa-80", "hpa-90", "tidegate", "tidegate+hpa-90"}


def test_a_play_that_fails_ends_those_that_go_on() -> None:
    begun, others = time.monotonic(), set(active_children())
    with pytest.raises(ValueError, match="negative"):
        list(suites._all(time.sleep, [600.0, 600.0, -1.0], 3))
    for worker in set(active_children()) - others:
        worker.join(60)
    assert (set(active_children()) - others, time.monotonic() - begun < 300) == (set(), True)


PLAYS = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it puts behind with SIGINT ignored
from tidegate.backtest.suite import _all
for _ in _all(time.sleep, [0.0, 600.0, 600.0], 2):
    print("one is done", flush=True)
"""


def wait_until_workers_are_up(parent: int) -> None:
    """Both workers, and the process that multiprocessing starts beside them: all leave SIGINT alone once they are."""
    proc = Path("/proc")
    if not proc.is_dir():
        time.sleep(20.0)
        return
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        children = (proc / f"{parent}/task/{parent}/children").read_text().split()
        ignored = [re.search(r"SigIgn:\s+(\w+)", (proc / child / "status").read_text()) for child in children]
        if len(children) == 3 and all(one is not None and int(one[1], 16) & 2 for one in ignored):
            return
        time.sleep(0.1)
    raise TimeoutError("the workers were not up within a minute")


def test_ctrl_c_ends_all_processes_and_only_the_first_of_them_says_so() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "one is done\n"
        wait_until_workers_are_up(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=120)  # ends when all have ended that hold its standard error
        assert process.returncode != 0
        assert told.count("KeyboardInterrupt") == 1, told
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_the_largest_demand_is_as_many_units_as_asked_unless_a_capacity_is_given(tmp_path: Path) -> None:
    (source,) = read_suite(folder(tmp_path, shop_1min_csv=DEMAND))
    assert case_of(source, Question(units_at_peak=50), Physics()).grid.demand.max() == 50.0
    assert case_of(source, Question(capacity=300.0), Physics()).grid.demand.max() == 3.0


def test_the_score_begins_where_it_is_told_to_by_the_traces_own_time(tmp_path: Path) -> None:
    (source,) = read_suite(folder(tmp_path, shop_1min_csv=DEMAND))
    begin = instant("2020-05-04T03:00:00Z", "test")
    asked = case_of(source, Question(begin=begin), Physics())
    assert asked.judged == 3 * 240
    assert asked.scored.sum() == 2 * 240
    with pytest.raises(InputError, match="after the last value"):
        case_of(source, Question(begin=begin + 86_400.0), Physics())


def test_events_of_the_history_are_known_and_not_announced_again(tmp_path: Path) -> None:
    (source,) = read_suite(folder(tmp_path, shop_1min_csv=DEMAND, shop_events_csv=EVENTS))
    begin = instant("2020-05-04T04:30:00Z", "test")
    found = outcome_of(source, Question(begin=begin), Physics(), entries(["hpa"], sweep=False))
    assert [one.name for one in found.case.happenings] == ["first"]
    assert found.case.announced == ()
    assert found.case.background == pytest.approx(200 / 9, rel=0.1)  # what is there outside the event, before it
    assert resting(found.case) < 40


@pytest.mark.parametrize("name", BUILTIN)
def test_built_in_data_needs_no_file_and_is_the_same_each_time(name: str) -> None:
    source, again = BUILTIN[name](), BUILTIN[name]()
    assert (source.series.values == again.series.values).all()
    assert source.happenings
    found = outcome_of(source, Question(step=60.0), Physics(), entries(["hpa"], sweep=False))
    assert [one.policy for one in found.scores] == ["hpa-70", "hpa-80", "hpa-90"]
    assert found.case.grid.first >= ANCHOR - 86_400.0


def test_double_11_is_announced_nowhere_below_its_curve() -> None:
    from tidegate.backtest.announcing import announced_curve

    asked = case_of(BUILTIN["double-11-2019"](), Question(), Physics())
    assert (announced_curve(asked) >= asked.grid.demand - 0.01).all()
