"""Where a case comes from: a file, a folder of traces, a Prometheus, or the data that comes with the program."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tidegate.api.walltime import to_rfc3339
from tidegate.backtest.announcing import background_of, with_expectations
from tidegate.backtest.calendars import SUFFIX as CALENDAR
from tidegate.backtest.calendars import announced_in
from tidegate.backtest.case import Case, Physics
from tidegate.backtest.editions import earlier, kind_of
from tidegate.backtest.happenings import WITHOUT_END, Happening, perturbed
from tidegate.backtest.series import Grid, InputError, Series, instant, on_grid, read_series, shift_of, text_of

SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True)
class Source:
    """Demand and events in the time and the unit of whoever measured them."""

    name: str
    series: Series
    happenings: tuple[Happening, ...] = ()
    notes: tuple[str, ...] = ()
    earlier: tuple[Source, ...] = ()
    """Editions of it that were over before, in order of time: who learns has learned from them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a source, beside the physics."""

    step: float = 15.0
    capacity: float | None = None
    """What one unit carries; None: the largest demand is ``units_at_peak`` units."""
    units_at_peak: int = 200
    begin: float | None = None
    """The score counts from here on, in the source's own time."""
    background: float | None = None
    """Demand without any event, in the series' unit; None: the median outside events."""
    perturbation: str = "none"


def case_of(source: Source, question: Question, physics: Physics) -> Case:
    """The case of a source: shifted in time, in units, with what is announced."""
    shift = shift_of(source.series)
    raw = on_grid(source.series.shifted(shift), question.step)
    capacity = question.capacity or float(np.nanmax(raw.demand)) / question.units_at_peak
    if capacity <= 0:
        raise InputError(f"{source.name}: no value is above 0; there is nothing to prepare for")
    grid = replace(raw, demand=raw.demand / capacity)
    happens = tuple(_in_units(one.moved(shift), capacity) for one in source.happenings)
    begin = -math.inf if question.begin is None else question.begin + shift
    judged = grid.index(begin) if math.isfinite(begin) else 0
    if judged >= len(grid.demand):
        raise InputError(f"{source.name}: the score would begin after the last value; let it begin earlier")
    background = (
        question.background / capacity
        if question.background is not None
        else background_of(grid, happens, judged or len(grid.demand))
    )
    expected = with_expectations(grid, happens, background)
    announced = told = perturbed(expected, question.perturbation, physics.seed)
    if math.isfinite(begin):
        announced = tuple(one for one in announced if one.end > begin)
    return Case(
        name=source.name,
        grid=grid,
        capacity=capacity,
        happenings=_inside(grid, expected),
        announced=_inside(grid, announced),
        told=_inside(grid, told),
        perturbation=question.perturbation,
        begin=begin,
        background=background,
        physics=physics,
        notes=(*source.notes, *_notes(source, shift, capacity, question)),
    )


def _in_units(one: Happening, capacity: float) -> Happening:
    return one if one.expected is None else replace(one, expected=one.expected / capacity)


def _inside(grid: Grid, happenings: Sequence[Happening]) -> tuple[Happening, ...]:
    last = grid.first + grid.step * len(grid.demand)
    return tuple(one for one in happenings if one.end > grid.first and one.start < last)


def _notes(source: Source, shift: float, capacity: float, question: Question) -> Iterator[str]:
    if shift:
        yield f"The trace was moved by {shift / 86_400.0:+.0f} days; weekday and time of day are as they were."
    if question.capacity is None:
        yield (
            f"One unit carries {capacity:g}, so that the largest demand is {question.units_at_peak} units: an"
            " assumption, since no capacity was given."
        )
    missing = int(np.isnan(source.series.values).sum())
    if missing:
        yield f"{missing} values are missing; nothing is scored there, and no metric is shown."
    first, end = float(source.series.times[0]), source.series.end
    if source.happenings and not any(one.end > first and one.start < end for one in source.happenings):
        yield (
            f"None of the {len(source.happenings)} announced events lies in the time of the demand"
            f" ({to_rfc3339(first)} to {to_rfc3339(end)}): are their days and zones right?"
        )
    elif any(one.expected is None for one in source.happenings):
        yield (
            "Announcements are right unless said otherwise: each is the largest demand within its event, less the"
            " background, taken from the trace itself. Every contestant is told the same."
        )


# ---- a folder of traces


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a folder's traces is meant: every ``of``-th from the ``index``-th on, which counts from 0."""

    index: int = 0
    of: int = 1


def read_suite(
    folder: Path,
    *,
    only: Sequence[str] = (),
    shard: Shard = Shard(),
    editions: bool = False,
    history: Sequence[Path] = (),
) -> tuple[Source, ...]:
    """The traces of a folder: every CSV file that has a time and a ``value`` column, with its events.

    ``only``: parts of names, of which one must be in a trace's. Shards are of what is left then, by name: each trace is
    in one of them, and of the others no more counts than their first line. A shard may be empty.

    With ``editions`` each trace knows its earlier editions, whichever of them are chosen; they are looked for in the
    folder, and in those of ``history``.

    Events of a trace come from the file that its YAML names (``events_file``), from a list in that YAML, or from a file
    (CSV or a calendar) whose name has ``events`` in it and otherwise only words of the trace's name.
    """
    traces = _traces_of(folder)
    if not traces:
        raise InputError(f"{folder}: holds no trace; give CSV files with the columns timestamp and value")
    chosen = [path for path in traces if not only or any(part in _stem(path) for part in only)]
    if not chosen:
        names = ", ".join(_stem(path) for path in traces)
        raise InputError(f"{folder}: no trace has {' or '.join(only)} in its name; there are {names}")
    others = [*traces, *(path for place in history for path in _traces_of(place))] if editions else []
    known: dict[Path, Source] = {}

    def read(path: Path) -> Source:
        if path not in known:
            known[path] = read_trace(path)
        return known[path]

    found = []
    for path in chosen[shard.index :: shard.of]:
        kind = kind_of(_stem(path))
        alike = [read(one) for one in others if kind is not None and one != path and kind_of(_stem(one)) == kind]
        found.append(replace(read(path), earlier=earlier(read(path), alike)))
    return tuple(found)


def read_trace(path: Path) -> Source:
    """A trace with the events that lie beside it."""
    series = read_series(path)
    return Source(_stem(path), series, events_of(path, series, _tables_of(path.parent)))


def _tables_of(folder: Path) -> list[Path]:
    """Files of events, CSV before calendars."""
    files = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    return [path for path in (*files, *sorted(folder.glob(f"*{CALENDAR}"))) if "events" in _words(path)]


def _traces_of(folder: Path) -> list[Path]:
    """Files of demand, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give one with traces as CSV files")
    files = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    return [path for path in files if "events" not in _words(path) and _is_series(path)]


def events_of(path: Path, series: Series, tables: Sequence[Path]) -> tuple[Happening, ...]:
    """The events that belong to a trace."""
    told = _told(path.with_name(_stem(path) + ".yaml"))
    named = told.get("events_file")
    if isinstance(named, str) and (path.parent / named).is_file():
        return announced_in(path.parent / named, series)
    listed = told.get("events")
    if isinstance(listed, list):
        return tuple(_listed(listed, path))
    words = set(_words(path))
    for table in tables:
        if set(_words(table)) - {"events"} <= words:
            return announced_in(table, series)
    return ()


def _told(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: is no YAML that can be read ({error})") from error
    return content if isinstance(content, dict) else {}


def _listed(events: Sequence[Any], path: Path) -> Iterator[Happening]:
    for number, one in enumerate(events):
        if not isinstance(one, dict) or "start" not in one:
            continue
        where = f"{path}: events[{number}]"
        start = instant(str(one["start"]), f"{where}.start")
        end = instant(str(one["end"]), f"{where}.end") if "end" in one else start + WITHOUT_END
        yield Happening(str(one.get("name", f"event-{number + 1}")), str(one.get("type", "event")), start, end)


def _is_series(path: Path) -> bool:
    names = text_of(path).partition("\n")[0].strip().split(",")
    return "value" in names and bool({"timestamp", "offset_s"} & set(names))


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(CALENDAR)


def _words(path: Path) -> list[str]:
    return _stem(path).split("_")
