"""Demand over time from a CSV file, and the even grid that a backtest runs on.

A file has a time column, ``timestamp`` (RFC 3339, or epoch seconds) or ``offset_s`` (seconds from an unknown start),
and a column ``value``. Each value holds for the interval that begins at its time. An empty value, and a row that is
missing, is a gap: nobody knows the demand there, so nothing is scored there and no metric is shown.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

WEEK = 7 * 86_400.0
ANCHOR = 1_767_571_200.0
"""2026-01-05T00:00:00Z, a Monday. Traces are shifted by whole weeks to begin in this week, or from this instant on
where the source names no date: weekday and time of day stay as they were."""
LATEST = 1e11
"""No epoch seconds are later: the year 5138. In milliseconds that is 1973."""
_DAY = re.compile(r"(19[7-9]|20\d)\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)
"""A day without dashes, which epoch seconds of these days are not: they have ten digits."""
LONG_GAP = 1.5
"""A step between two rows longer than this many intervals is a gap."""


CLOCKS = ("timestamp", "offset_s")
"""Columns that say when."""
SHOWN = 120
"""Characters of a file that an error repeats."""


class InputError(ValueError):
    """A file cannot be used; the message names the file, the line, what is wrong and what would be right."""


@dataclass(frozen=True)
class Series:
    """Samples in order of time; a value that is not a number is a gap."""

    times: Curve
    values: Curve
    every: float
    """Seconds that a value holds for."""
    dated: bool = True
    """False: times count from a start that the source does not name."""

    @property
    def end(self) -> float:
        """The instant after the last value."""
        return float(self.times[-1]) + self.every

    def shifted(self, seconds: float) -> Series:
        """The same series, so many seconds later."""
        return Series(self.times + seconds, self.values, self.every)


@dataclass(frozen=True)
class Grid:
    """Demand on even steps from ``first`` on; not a number in a gap."""

    first: float
    step: float
    demand: Curve

    @property
    def times(self) -> Curve:
        """The instant at which each step begins."""
        return self.first + self.step * np.arange(len(self.demand), dtype=np.float64)

    def index(self, at: float) -> int:
        """The step that an instant lies in, not below 0 and not beyond the end."""
        return min(max(math.floor((at - self.first) / self.step + 1e-9), 0), len(self.demand))


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A text file, read as it is asked for; one that ends in ``.gz`` is unpacked. Lines may end as on any system."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix.lower() == ".gz"
            else path.open(encoding="utf-8-sig")
        ) as file:
            yield file
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); give a CSV file in UTF-8, or one packed by gzip"
        ) from error


def header_of(path: Path) -> list[str]:
    """The names in the first line of a CSV file; no more of the file is read."""
    with opened(path) as file:
        return _Rows(path, file).names


@contextmanager
def rows_of(path: Path) -> Iterator[_Rows]:
    """The rows of a CSV file."""
    with opened(path) as file:
        yield _Rows(path, file)


class _Rows:
    """Rows of a CSV file under the names of its columns, each with its place for errors. Blanks around a name, and
    around what stands under it, mean nothing.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._lines = path, csv.reader(file)
        self.names = _without_empty_end([name.strip() for name in next(self._read(), [])])

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        """(place, cells by column). InputError for two columns of one name, and for more cells than columns."""
        for name in self.names:
            if name and self.names.count(name) > 1:
                raise InputError(
                    f"{self._path}: line 1: two columns are called {shown(name)}; give one of them another name"
                )
        for row in self._read():
            where = f"{self._path}: line {self._lines.line_num}"
            cells = _without_empty_end([cell.strip() for cell in row])
            if len(cells) > len(self.names):
                raise InputError(
                    f"{where}: has {len(cells)} cells under {len(self.names)} columns; give numbers without thousands"
                    " separators or decimal commas, and put quotes around a text with a comma in it"
                )
            yield where, dict.fromkeys(self.names, "") | dict(zip(self.names, cells, strict=False))

    def _read(self) -> Iterator[list[str]]:
        """Lines with anything in them."""
        try:
            yield from filter(None, self._lines)
        except csv.Error as error:
            where = f"{self._path}: line {self._lines.line_num}"
            raise InputError(f"{where}: is no line of a CSV file ({error}); is a quote open?") from error


def _without_empty_end(cells: list[str]) -> list[str]:
    """The cells of a line without the empty ones at its end: a spreadsheet writes all lines equally long."""
    while cells and not cells[-1]:
        cells.pop()
    return cells


def instant(text: str, where: str) -> float:
    """An RFC 3339 instant (without an offset: UTC), or epoch seconds, as epoch seconds."""
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if _DAY.fullmatch(text.strip()):
            raise InputError(
                f"{where}: {text!r} is a day, or epoch seconds of 1970; give an instant like 2026-11-10T16:00:00Z"
            )
        if abs(seconds) < LATEST:
            return seconds
        raise InputError(f"{where}: {text!r} is no time of these days; give epoch seconds, not milliseconds")
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(
            f"{where}: {text!r} is no instant; give one like 2026-11-10T16:00:00Z, or epoch seconds"
        ) from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def read_series(path: Path) -> Series:
    """A series from a CSV file. InputError says what is wrong with it."""
    with rows_of(path) as rows:
        if (wrong := no_series(rows.names)) is not None:
            raise InputError(f"{path}: line 1: {wrong}; give timestamp (or offset_s) and value")
        clock = next(name for name in CLOCKS if name in rows.names)
        samples = list(_samples(rows, clock))
    if len(samples) < 2:
        raise InputError(f"{path}: has {len(samples)} rows; give at least two")
    return series_of(samples, dated=clock == "timestamp", name=str(path))


def no_series(names: Sequence[str]) -> str | None:
    """Why columns of these names hold no series; None where they do."""
    if "value" in names and any(name in names for name in CLOCKS):
        return None
    return f"has the columns {shown(', '.join(names)) or 'none'}"


def shown(text: str) -> str:
    """A text of a file as an error repeats it: not more than ``SHOWN`` characters of it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def series_of(samples: list[tuple[float, float]], *, dated: bool = True, name: str = "the series") -> Series:
    """A series from (instant, value) in order of time; missing rows become gaps."""
    times, values = np.array([at for at, _ in samples]), np.array([value for _, value in samples])
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 2
        raise InputError(f"{name}: row {row} is not later than the row before; sort the rows by time, one an instant")
    every = float(np.median(steps))
    long = np.flatnonzero(steps > LONG_GAP * every)
    if len(long):  # a row without a value right after the last one that is known
        times = np.insert(times, long + 1, times[long] + every)
        values = np.insert(values, long + 1, np.nan)
    if not np.isfinite(values).any():
        raise InputError(f"{name}: no row has a value")
    return Series(times, values, every, dated)


def _samples(rows: _Rows, clock: str) -> Iterator[tuple[float, float]]:
    """(instant, value) of each line; InputError with the line where one is not later than the line before."""
    last = -math.inf
    for where, row in rows:
        text = row["value"]
        try:
            value = float(text) if text else math.nan
        except ValueError as error:
            raise InputError(f"{where}: value: {shown(text)!r} is no number; leave it empty for a gap") from error
        if value < 0 or math.isinf(value):
            raise InputError(f"{where}: value: {text} is no demand; give 0 or more, or leave it empty for a gap")
        at = _time(row[clock], clock, where)
        if at <= last:
            raise InputError(
                f"{where}: {clock}: is not later than the line before; sort the lines by time, one an instant"
            )
        last = at
        yield at, value


def _time(text: str, clock: str, where: str) -> float:
    where = f"{where}: {clock}"
    if clock == "timestamp":
        return instant(text, where)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) < LATEST:
        raise InputError(
            f"{where}: {shown(text)!r} is no number of seconds; give them from the start on, as 0, 60, 120"
        )
    return seconds


def shift_of(series: Series) -> float:
    """Seconds by which a series is shifted to begin in the week of ``ANCHOR``."""
    first = float(series.times[0])
    if not series.dated:
        return ANCHOR - first
    return -WEEK * math.floor((first - ANCHOR) / WEEK)


def on_grid(series: Series, step: float) -> Grid:
    """The series on even steps.

    A coarser series is joined by straight lines between the middles of its intervals: a rate per minute does not jump
    at the full minute. A finer one gives each step the mean of its samples. A step inside a gap is not a number.
    """
    first = math.floor(series.times[0] / step) * step
    count = max(1, math.floor((series.end - first) / step + 1e-9))
    begins = first + step * np.arange(count)
    known = np.isfinite(series.values)
    if series.every < step:
        place = ((series.times[known] - first) / step).astype(np.int64)
        inside = (place >= 0) & (place < count)
        sums = np.bincount(place[inside], weights=series.values[known][inside], minlength=count)
        seen = np.bincount(place[inside], minlength=count)
        return Grid(first, step, np.where(seen > 0, sums / np.maximum(seen, 1), np.nan))
    middles = series.times[known] + series.every / 2.0
    demand = np.interp(begins + step / 2.0, middles, series.values[known])
    holder = np.searchsorted(series.times, begins + step / 2.0, side="right") - 1
    gap = (holder < 0) | ~known[np.maximum(holder, 0)]
    demand[gap] = np.nan
    return Grid(first, step, demand)
