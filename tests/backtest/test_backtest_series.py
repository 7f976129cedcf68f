"""Demand from files: gaps stay gaps, times keep their weekday, and what is wrong is named."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tidegate.backtest.folder import LeftOut, read_suite
from tidegate.backtest.series import ANCHOR, WEEK, InputError, on_grid, read_series, shift_of


def write(folder: Path, text: str, name: str = "demand.csv") -> Path:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


MINUTES = "timestamp,value\n2019-01-06T15:00:00Z,60\n2019-01-06T15:01:00Z,\n2019-01-06T15:02:00Z,120\n"


@pytest.mark.parametrize("name", ["demand.csv", "demand.csv.gz"])
def test_an_empty_value_is_a_gap_and_never_zero(tmp_path: Path, name: str) -> None:
    grid = on_grid(read_series(write(tmp_path, MINUTES, name)), 15.0)
    assert len(grid.demand) == 12
    assert np.isnan(grid.demand).tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert grid.demand[0] == 60.0
    assert grid.demand[-1] == 120.0


def test_a_missing_row_is_a_gap_too(tmp_path: Path) -> None:
    rows = [f"2019-01-06T15:{minute:02}:00Z,{minute}" for minute in (0, 1, 2, 3, 6, 7)]
    grid = on_grid(read_series(write(tmp_path, "timestamp,value\n" + "\n".join(rows) + "\n")), 60.0)
    assert np.isnan(grid.demand).tolist() == [False] * 4 + [True] * 2 + [False] * 2


def test_a_finer_series_gives_each_step_its_mean(tmp_path: Path) -> None:
    rows = "\n".join(f"{second},{second}" for second in range(30))
    grid = on_grid(read_series(write(tmp_path, f"offset_s,value\n{rows}\n")), 15.0)
    assert grid.demand.tolist() == [7.0, 22.0]


def test_a_coarser_series_is_joined_by_straight_lines_between_middles(tmp_path: Path) -> None:
    grid = on_grid(read_series(write(tmp_path, "offset_s,value\n0,0\n60,60\n")), 15.0)
    assert grid.demand.tolist() == [0.0, 0.0, 7.5, 22.5, 37.5, 52.5, 60.0, 60.0]


def test_an_old_trace_is_moved_by_whole_weeks(tmp_path: Path) -> None:
    series = read_series(write(tmp_path, MINUTES))
    shift = shift_of(series)
    assert shift % WEEK == 0.0
    moved = series.shifted(shift)
    assert ANCHOR <= moved.times[0] < ANCHOR + WEEK
    before, after = (datetime.fromtimestamp(at, UTC) for at in (series.times[0], moved.times[0]))
    assert (before.weekday(), before.time()) == (after.weekday(), after.time())


def test_a_trace_without_a_date_begins_at_the_anchor(tmp_path: Path) -> None:
    series = read_series(write(tmp_path, "offset_s,value\n300,1\n600,2\n"))
    assert series.times[0] + shift_of(series) == ANCHOR


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,value\n1,2\n", "line 1: has the columns time, value; give timestamp (or offset_s) and value"),
        ("timestamp,value\n2019-01-06T15:00:00Z,x\n2019-01-06T15:01:00Z,1\n", "line 2: value: 'x' is no number"),
        ("timestamp,value\n2019-01-06T15:00:00Z,-1\n2019-01-06T15:01:00Z,1\n", "line 2: value: -1 is no demand"),
        ("timestamp,value\nnoon,1\n2019-01-06T15:01:00Z,1\n", "line 2: timestamp: 'noon' is no instant"),
        ("timestamp,value\nnan,1\n10,1\n", "line 2: timestamp: 'nan' is no time of these days"),
        ("timestamp,value\n1772409600000,1\n1772409660000,1\n", "give epoch seconds, not milliseconds"),
        ("timestamp,value\n20,1\n10,1\n", "demand.csv: line 3: timestamp: is not later than the line before; sort"),
        ("offset_s,value\n0,1\n\n20,1\n20,2\n", "demand.csv: line 5: offset_s: is not later than the line before"),
        ("timestamp,value\n10,1\n", "has 1 rows; give at least two"),
        ("timestamp,value\n10,1,234\n20,1\n", "line 2: has 3 cells under 2 columns; give numbers without thousands"),
        ("timestamp,value,\n10,1\n20,17,5\n", "line 3: has 3 cells under 2 columns; give numbers without thousands"),
        ("timestamp,value,value\n10,1,2\n20,3,4\n", "line 1: two columns are called value; give one of them another"),
        ("timestamp,value\n10,\n20,\n", "no row has a value"),
    ],
)
def test_a_bad_file_is_told_with_its_line_and_what_would_be_right(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as told:
        read_series(write(tmp_path, text))
    assert says in str(told.value)


def test_empty_cells_at_the_end_of_a_line_mean_nothing(tmp_path: Path) -> None:
    series = read_series(write(tmp_path, "timestamp,value,,\n10,1,,\n20,2, ,\n30,,,,,\n40,4\n"))
    assert series.values[[0, 1, 3]].tolist() == [1.0, 2.0, 4.0]
    assert np.isnan(series.values[2])


def test_a_table_with_two_columns_of_one_name_that_is_no_trace_is_only_left_out(tmp_path: Path) -> None:
    write(tmp_path, "x,x\n1,2\n", "table.csv")
    write(tmp_path, MINUTES)
    told: list[LeftOut] = []
    assert [one.name for one in read_suite(tmp_path, tell=told.append)] == ["demand"]
    assert [one.wrong for one in told] == [False]


def test_a_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_series(tmp_path / "none.csv")
