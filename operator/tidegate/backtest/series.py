"""Demand over time from a CSV file, and the even grid that a backtest runs on.

A file has a time column, ``timestamp`` (RFC 3339, or epoch seconds) or ``offset_s`` (seconds from an unknown start),
and a column ``value``. Each value holds for the interval that begins at its time. An empty value, and a row that is
missing, is a gap: nobody knows the demand there, so nothing is scored there and no metric is shown.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

WEEK = 7 * 86_400.0
ANCHOR = 1_767_571_200.0
"""2026-01-05T00:00:00Z, a Monday. Traces are shifted by whole weeks to begin in this week, or from this instant on
where the source names no date: weekday and time of day stay as they were."""
LATEST = 1e11
"""No epoch seconds are later: the year 5138. In milliseconds that is 1973."""
LONG_GAP = 1.5
"""A step between two rows longer than this many intervals is a gap."""


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


def text_of(path: Path) -> str:
    """A text file's content; one that ends in ``.gz`` is unpacked."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); give a CSV file in UTF-8, or one packed by gzip"
        ) from error


def instant(text: str, where: str) -> float:
    """An RFC 3339 instant (without an offset: UTC), or epoch seconds, as epoch seconds."""
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
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
    rows = csv.DictReader(io.StringIO(text_of(path)))
    names = rows.fieldnames or []
    clock = next((name for name in ("timestamp", "offset_s") if name in names), None)
    if clock is None or "value" not in names:
        raise InputError(
            f"{path}: line 1: has the columns {', '.join(names) or 'none'}; give timestamp (or offset_s) and value"
        )
    samples = list(_samples(rows, clock, path))
    if len(samples) < 2:
        raise InputError(f"{path}: has {len(samples)} rows; give at least two")
    return series_of(samples, dated=clock == "timestamp", name=str(path))


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


def _samples(rows: csv.DictReader[str], clock: str, path: Path) -> Iterator[tuple[float, float]]:
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        text = (row["value"] or "").strip()
        try:
            value = float(text) if text else math.nan
        except ValueError as error:
            raise InputError(f"{where}: value: {text!r} is no number; leave it empty for a gap") from error
        if value < 0 or math.isinf(value):
            raise InputError(f"{where}: value: {text} is no demand; give 0 or more, or leave it empty for a gap")
        yield instant(row[clock] or "", f"{where}: {clock}"), value


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
