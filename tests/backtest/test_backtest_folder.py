"""Folders of strangers: each file that can be played is, and each that is left out is told, with the reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.backtest.case import Physics
from tidegate.backtest.folder import LeftOut, read_suite, read_trace
from tidegate.backtest.series import InputError, read_series
from tidegate.backtest.sources import Question, case_of
from tidegate.cli.main import app

TIMES = [f"2020-05-04T{h:02}:{m:02}:00Z" for h in range(3) for m in range(60)]
DEMAND = "timestamp,value\n" + "".join(f"{at},{100 + number % 50}\n" for number, at in enumerate(TIMES))
EVENTS = "start,end,name\n2020-05-04T01:00:00Z,2020-05-04T02:00:00Z,show\n"
PACKED = gzip.compress(DEMAND.encode())
GARBLED = PACKED[:100] + b"\xff" * 40 + PACKED[140:]


def laid(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def played(folder: Path, *given: str) -> tuple[set[str], int, str]:
    """Names of the traces that have rows, the exit code, and what is said on standard error."""
    quick = ["--policies", "always-on", "--step", "60"]
    done = CliRunner().invoke(app, ["backtest", "suite", "--traces", str(folder), *quick, *given])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return {row["trace"] for row in json.loads(done.stdout)}, done.exit_code, done.stderr


BROKEN: dict[str, tuple[str, str | bytes, str]] = {
    "garbled": ("x.csv.gz", GARBLED, "cannot be read"),
    "cut off": ("x.csv.gz", PACKED[:-40], "cannot be read"),
    "not packed": ("x.csv.gz", DEMAND, "cannot be read"),
    "UTF-16": ("x.csv", DEMAND.encode("utf-16"), "cannot be read"),
    "an open quote": ("x.csv", 'timestamp,value\n1,"' + "9" * 200_000, "line 2: is no line of a CSV file"),
    "no time": ("x.csv", "timestamp,value\nnoon,1\n", "line 2: timestamp: 'noon' is no instant"),
    "one row": ("x.csv", "timestamp,value\n10,1\n", "has 1 rows"),
    "no demand": ("x.csv", "timestamp,value\n10,0\n20,0\n", "no value is above 0"),
    "a wrong century": ("x.csv", f"{DEMAND}2620-05-04T03:00:00Z,1\n", "check the first and the last time"),
    "the name of another": ("good.csv.gz", PACKED, "has the name of good.csv"),
}


@pytest.mark.parametrize(("name", "content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_trace_that_cannot_be_played_stops_no_other_and_is_told(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    rows, code, told = played(laid(tmp_path, {"good.csv": DEMAND, "zenith.csv": DEMAND, name: content}))
    assert rows == {"good", "zenith"}
    assert (code, says in told) == (2, True), told


def test_events_that_cannot_be_read_leave_their_trace_out_and_no_other(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a_x.csv": DEMAND, "a_events.csv": "start\nnoon\n", "b_x.csv": DEMAND}
    rows, code, told = played(laid(tmp_path, files))
    assert (rows, code) == ({"b_x"}, 2)
    assert "a_events.csv: line 2: start: 'noon' is no instant" in told


@pytest.mark.parametrize("text", ["events: [{start: 2026-02-30}]", "[" * 1500, "events: [", "events: \t- x"])
def test_a_yaml_that_cannot_be_read_leaves_its_trace_out_and_no_other(tmp_path: Path, text: str) -> None:
    rows, code, told = played(laid(tmp_path, {"a.csv": DEMAND, "a.yaml": text, "b.csv": DEMAND}))
    assert (rows, code) == ({"b"}, 2)
    assert "a.yaml: is no YAML that can be read" in told


def test_what_begins_after_its_end_leaves_its_trace_out_as_in_a_csv_file(tmp_path: Path) -> None:
    listed = "events: [{start: 2020-05-04T01:00:00Z, end: 2020-05-04T00:00:00Z}]"
    with pytest.raises(InputError, match=r"events\[0\]\.end: the event ends before it begins"):
        read_trace(laid(tmp_path, {"a.csv": DEMAND, "a.yaml": listed}) / "a.csv")


LIVE = """
apiVersion: tidegate.dev/v1alpha1
kind: LiveEvent
metadata: {name: show, namespace: shop}
spec:
  schedule: {startTime: 2020-05-04T01:00:00, timeZone: UTC, durationSeconds: 3600}
  expected: {orders_per_second: "800"}
  host: lena
  policyRef: {name: shop}
"""
LISTED = "events: [{start: 2020-05-04T01:00:00Z, end: 2020-05-04T02:00:00Z, name: show, expected: 800, host: lena}]"
FORMS: dict[str, dict[str, str | bytes]] = {
    "LiveEvents in the trace's YAML": {"shop.yaml": LIVE},
    "several documents": {"shop.yaml": f"{LIVE}---\n{LIVE.replace('show', 'other').replace('2020', '2019')}"},
    "LiveEvents by name": {"shop_events.yaml": LIVE},
    "LiveEvents as named": {"shop.yaml": "events_file: dates.yaml", "dates.yaml": LIVE},
    "a list as named": {"shop.yaml": "events_file: dates.yml", "dates.yml": LISTED},
    "a list by name": {"shop_events.yml": LISTED},
    "YAML as .yml": {"shop.yml": LISTED},
    "a list in the trace's YAML": {"shop.yaml": LISTED},
}


@pytest.mark.parametrize("files", FORMS.values(), ids=FORMS)
def test_events_beside_a_trace_are_read_in_each_form_that_they_can_have(
    tmp_path: Path, files: dict[str, str | bytes]
) -> None:
    told: list[LeftOut] = []
    (source,) = read_suite(laid(tmp_path, {"shop.csv": DEMAND, **files}), tell=told.append)
    shown = [one for one in source.happenings if one.name == "show"]
    assert [(one.end - one.start, one.expected, one.host) for one in shown] == [(3600.0, 800.0, "lena")]
    assert told == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.yaml": "events: [{name: show}]"}, "a.yaml: events[0]: has no start; give an entry like {start: 2026-"),
        ({"a.yaml": "events: [noon]"}, "a.yaml: events[0]: has no start"),
        ({"a.yaml": "events: {start: 2020-05-04}"}, "a.yaml: events: is no list; give one of entries with start"),
        ({"a.yaml": "events: [{start: 2020-05-04T01:00:00Z, expected: many}]"}, "[0].expected: 'many' is no demand"),
        ({"a.yaml": "events_file: [x.csv]"}, "a.yaml: events_file: ['x.csv'] is no name of a file; give one like"),
        ({"a.yaml": "events: []", "a.yml": "events: []"}, "a.yml: a.yaml lies beside it, for the same trace; keep one"),
        ({"a_events.yaml": "title: shows"}, "a_events.yaml: holds no event; give LiveEvents, or a list events"),
        ({"a_events.csv": "start,end\n"}, "a_events.csv: holds no event; give one a line"),
        ({"a.yaml": LIVE.replace("3600", "-5")}, "a.yaml: "),
    ],
)
def test_events_that_cannot_be_read_from_yaml_are_told_with_their_place(
    tmp_path: Path, files: dict[str, str | bytes], says: str
) -> None:
    rows, code, told = played(laid(tmp_path, {"a.csv": DEMAND, "b.csv": DEMAND, **files}))
    assert (rows, code, says in told) == ({"b"}, 2, True), told


def test_a_yaml_with_events_that_belongs_to_no_trace_is_told(tmp_path: Path) -> None:
    rows, code, told = played(laid(tmp_path, {"a.csv": DEMAND, "shop_events.yaml": LIVE, "notes.yaml": "x: 1"}))
    assert (rows, code) == ({"a"}, 0)
    (line,) = told.splitlines()
    assert line.startswith(f"left out: {tmp_path}/shop_events.yaml: holds events of no trace here")


def test_a_name_of_a_file_of_events_that_no_file_can_have_is_told_as_one_that_is_not_there(tmp_path: Path) -> None:
    rows, code, told = played(laid(tmp_path, {"a.csv": DEMAND, "a.yaml": f"events_file: {'x' * 300}.csv"}))
    assert (rows, code, "is not there, and a.yaml names it as the events of a.csv" in told) == ({"a"}, 0, True)


def test_a_folder_that_may_not_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refused)
    done = CliRunner().invoke(app, ["backtest", "suite", "--traces", str(laid(tmp_path, {"a.csv": DEMAND}))])
    assert (done.exit_code, f"{tmp_path}: cannot be listed (Permission denied)" in done.output) == (2, True), (
        done.output
    )
    with pytest.raises(InputError, match="cannot be listed"):
        read_trace(tmp_path / "a.csv")


def test_an_edition_that_cannot_be_read_is_told_and_its_successor_is_played(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"fair2019.csv": "timestamp,value\nnoon,1\n", "fair2020.csv": DEMAND}
    told: list[LeftOut] = []
    (source,) = read_suite(laid(tmp_path, files), only=["2020"], editions=True, tell=told.append)
    assert (source.name, source.earlier) == ("fair2020", ())
    assert [(one.path.name, one.wrong) for one in told] == [("fair2019.csv", True)]


def test_files_that_are_no_traces_are_told_and_are_no_error(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": DEMAND,
        "a.yaml": "events_file: dates.csv",
        "dates.csv": EVENTS,
        "b.csv": DEMAND,
        "b.yaml": "events_file: gone.csv",
        "table.csv": "x,y\n1,2\n",
        "semicolons.csv": DEMAND.replace(",", ";"),
        "shop_events.csv": EVENTS,
        "trace.parquet": b"PAR1",
        ".hidden": "",
    }
    (tmp_path / "older.csv").mkdir()
    rows, code, told = played(laid(tmp_path, files))
    assert (rows, code) == ({"a", "b"}, 0)
    said = [line.removeprefix(f"left out: {tmp_path}/") for line in told.splitlines()]
    assert said == [
        "gone.csv: is not there, and b.yaml names it as the events of b.csv",
        "older.csv: is a folder; let traces lie in the folder itself",
        "semicolons.csv: has the columns timestamp;value; a trace has timestamp (or offset_s) and value",
        "shop_events.csv: holds events of no trace here: no YAML names it, and no trace has all words of its name",
        "table.csv: has the columns x, y; a trace has timestamp (or offset_s) and value",
        "trace.parquet: is no CSV file",
    ]


def test_of_very_many_files_that_are_no_traces_the_first_are_told(tmp_path: Path) -> None:
    rows, code, told = played(laid(tmp_path, {"a.csv": DEMAND} | {f"{number}.txt": "" for number in range(500)}))
    assert (rows, code, len(told.splitlines())) == ({"a"}, 0, 21)


SPELLINGS: dict[str, tuple[str, str]] = {
    "quoted": ("x.csv", "\n".join(",".join(f'"{one}"' for one in line.split(",")) for line in DEMAND.split())),
    "blanks": ("x.csv", DEMAND.replace(",", " , ")),
    "CRLF and a mark": ("x.csv", "\ufeff" + DEMAND.replace("\n", "\r\n")),
    "CR": ("x.csv", DEMAND.replace("\n", "\r")),
    "blank lines": ("x.csv", DEMAND.replace("\n", "\n\n")),
    "capitals": ("X.CSV", DEMAND),
}


@pytest.mark.parametrize(("name", "text"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_trace_is_read_however_its_csv_is_written(tmp_path: Path, name: str, text: str) -> None:
    (source,) = read_suite(laid(tmp_path, {name: text}))
    expected = read_series(laid(tmp_path, {"plain.csv": DEMAND}) / "plain.csv")
    assert source.name.lower() == "x"
    assert source.series.times.tolist() == expected.times.tolist()
    assert source.series.values.tolist() == expected.values.tolist()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--lags", "-5"], "--lags: '-5' is no number of seconds; give one from 0 to 2678400"),
        (["--lags", "60,inf"], "--lags: 'inf' is no number of seconds"),
        (["--lags", "nan"], "--lags: 'nan' is no number of seconds"),
        (["--lags", "60,"], "--lags: '60,' has nothing between two commas"),
        (["--only", "a,"], "--only: 'a,' has nothing between two commas"),
        (["--judge-from", "20200504"], "--judge-from: '20200504' is a day"),
    ],
)
def test_an_option_that_means_nothing_is_told_by_its_name(tmp_path: Path, given: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["backtest", "suite", "--traces", str(laid(tmp_path, {"a.csv": DEMAND})), *given])
    assert (done.exit_code, says in done.output, done.stdout) == (2, True, ""), done.output


def test_a_day_without_dashes_is_no_time_of_1970(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: timestamp: '20200504' is a day"):
        read_series(laid(tmp_path, {"a.csv": "timestamp,value\n20200504,1\n20200505,2\n"}) / "a.csv")
    offsets = read_series(laid(tmp_path, {"b.csv": "offset_s,value\n20200504,1\n20200505,2\n"}) / "b.csv")
    assert offsets.every == 1.0


def test_a_longer_trace_is_played_on_longer_steps(tmp_path: Path) -> None:
    years = "timestamp,value\n" + "".join(f"{year}-01-01T00:00:00Z,1\n" for year in range(2000, 2030))
    (source,) = read_suite(laid(tmp_path, {"long.csv": years}))
    with pytest.raises(InputError, match=r"long: lasts 10,9.. days, .* take a longer --step"):
        case_of(source, Question(step=15.0), Physics())
    assert len(case_of(source, Question(step=300.0), Physics()).grid.demand) > 3_000_000
