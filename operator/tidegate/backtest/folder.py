"""A folder of traces: which of its files are traces, which events belong to them, and what is left out, and why.

One file that cannot be read stops no other: whoever asks for the folder is told of it, and gets the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tidegate.backtest.calendars import SUFFIX as CALENDAR
from tidegate.backtest.calendars import announced_in
from tidegate.backtest.editions import earlier, kind_of
from tidegate.backtest.happenings import WITHOUT_END, Happening
from tidegate.backtest.series import InputError, Series, header_of, instant, no_series, read_series
from tidegate.backtest.sources import Source

SUFFIXES = (".csv", ".csv.gz")
BESIDE = (CALENDAR, ".yaml", ".yml")
"""Ends of names of files that lie beside traces."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a folder's traces is meant: every ``of``-th from the ``index``-th on, which counts from 0."""

    index: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that no trace is read from, or no events."""

    path: Path
    why: str
    wrong: bool
    """It is meant as a trace and cannot be used; False: it is none."""

    def __str__(self) -> str:
        return f"left out: {self.why if str(self.path) in self.why else f'{self.path}: {self.why}'}"


Tell = Callable[[LeftOut], None]


def refuse(one: LeftOut) -> None:
    """What is meant as a trace and cannot be used is an InputError."""
    if one.wrong:
        raise InputError(one.why if str(one.path) in one.why else f"{one.path}: {one.why}")


def read_suite(
    folder: Path,
    *,
    only: Sequence[str] = (),
    shard: Shard = Shard(),
    editions: bool = False,
    history: Sequence[Path] = (),
    tell: Tell = refuse,
) -> tuple[Source, ...]:
    """The traces of a folder: every CSV file that has a time and a ``value`` column, with its events.

    ``only``: parts of names, of which one must be in a trace's. Shards are of what is left then, by name: each trace is
    in one of them, and of the others no more counts than their first line. A shard may be empty.

    With ``editions`` each trace knows its earlier editions, whichever of them are chosen; they are looked for in the
    folder, and in those of ``history``.

    Events of a trace come from the file that its YAML names (``events_file``), from a list in that YAML, or from a file
    (CSV or a calendar) whose name has ``events`` in it and otherwise only words of the trace's name.

    ``tell`` hears of each file that is left out.
    """
    traces = _traces_of(folder, tell)
    if not traces:
        raise InputError(f"{folder}: holds no trace; give CSV files with the columns timestamp and value")
    chosen = [path for path in traces if not only or any(part in stem(path) for part in only)]
    if not chosen:
        names = ", ".join(stem(path) for path in traces)
        raise InputError(f"{folder}: no trace has {' or '.join(only)} in its name; there are {names}")
    others = [*traces, *(path for place in history for path in _traces_of(place, tell))] if editions else []
    read = _Reading(tell)
    found = []
    for path in chosen[shard.index :: shard.of]:
        kind = kind_of(stem(path))
        alike = [one for one in others if kind is not None and one != path and kind_of(stem(one)) == kind]
        found += [replace(one, earlier=earlier(one, read.all(alike))) for one in read.all([path])]
    return tuple(found)


class _Reading:
    """Each trace is read once, and told of once where it cannot be."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._known: dict[Path, Source | None] = {}

    def all(self, paths: Iterable[Path]) -> list[Source]:
        """Those of them that can be read."""
        return [source for path in paths if (source := self._one(path)) is not None]

    def _one(self, path: Path) -> Source | None:
        if path not in self._known:
            self._known[path] = None
            try:
                self._known[path] = read_trace(path)
            except InputError as error:
                self._tell(LeftOut(path, str(error), wrong=True))
        return self._known[path]


def read_trace(path: Path) -> Source:
    """A trace with the events that lie beside it."""
    series = read_series(path)
    return Source(stem(path), series, events_of(path, series, _tables_of(path.parent)))


def stem(path: Path) -> str:
    """A file's name without what says that it is CSV or a calendar, and packed."""
    name = path.name
    for suffix in (".gz", ".csv", CALENDAR):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name


# ---- which files


def _traces_of(folder: Path, tell: Tell) -> list[Path]:
    """Files of demand, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give one with traces as CSV files")
    found: dict[str, Path] = {}
    others: list[Path] = []
    for path in sorted(one for one in folder.iterdir() if not one.name.startswith(".")):
        name = stem(path)
        if not _is_named(path, SUFFIXES) or "events" in _words(path) or _no_trace(path) is not None:
            others.append(path)
        elif name in found:
            tell(LeftOut(path, f"has the name of {found[name].name}; give one of them another", wrong=True))
        else:
            found[name] = path
    _tell_of(others, list(found.values()), tell)
    return list(found.values())


def _no_trace(path: Path) -> str | None:
    """Why a CSV file is no trace; None where it is one, or cannot be read: whoever reads it is told why."""
    if path.is_dir():
        return "is a folder; let traces lie in the folder itself"
    try:
        wrong = no_series(header_of(path))
    except InputError:
        return None
    return None if wrong is None else f"{wrong}; a trace has timestamp (or offset_s) and value"


def _tell_of(others: Iterable[Path], traces: Sequence[Path], tell: Tell) -> None:
    """Tell of the files that are no traces, and lie beside none."""
    named = _named_tables(traces, tell)
    words = [set(_words(one)) for one in traces]
    for path in others:
        why = None if path.name in named else _no_use(path, words)
        if why is not None:
            tell(LeftOut(path, why, wrong=False))


def _no_use(path: Path, traces: Sequence[set[str]]) -> str | None:
    """Why a file is of no use to any trace; None where it is. ``traces``: the words of their names."""
    if "events" in _words(path) and _is_named(path, (*SUFFIXES, CALENDAR)):
        if any(_belongs(path, words) for words in traces):
            return None
        return "holds events of no trace here: no YAML names it, and no trace has all words of its name"
    if _is_named(path, BESIDE):
        return None
    return _no_trace(path) if _is_named(path, SUFFIXES) or path.is_dir() else "is no CSV file"


def _named_tables(traces: Iterable[Path], tell: Tell) -> set[str]:
    """Names of files that traces name as theirs; those that are not there are told."""
    found: set[str] = set()
    for path in traces:
        try:
            named = _told(path).get("events_file")
        except InputError:
            continue  # told by whoever reads the trace
        if not isinstance(named, str):
            continue
        if not (path.parent / named).is_file():
            why = f"is not there, and {_notes(path).name} names it as the events of {path.name}"
            tell(LeftOut(path.parent / named, why, wrong=False))
        found.add(named)
    return found


def _tables_of(folder: Path) -> list[Path]:
    """Files of events, CSV before calendars."""
    files = sorted(path for path in folder.iterdir() if "events" in _words(path))
    return [path for suffixes in (SUFFIXES, (CALENDAR,)) for path in files if _is_named(path, suffixes)]


def _is_named(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)


def _words(path: Path) -> list[str]:
    return stem(path).split("_")


def _belongs(table: Path, words: set[str]) -> bool:
    return set(_words(table)) - {"events"} <= words


# ---- events of a trace


def events_of(path: Path, series: Series, tables: Sequence[Path]) -> tuple[Happening, ...]:
    """The events that belong to a trace."""
    told = _told(path)
    named = told.get("events_file")
    if isinstance(named, str) and (path.parent / named).is_file():
        return announced_in(path.parent / named, series)
    listed = told.get("events")
    if isinstance(listed, list):
        return tuple(sorted(_listed(listed, _notes(path)), key=lambda one: one.start))
    words = set(_words(path))
    for table in tables:
        if _belongs(table, words):
            return announced_in(table, series)
    return ()


def _notes(path: Path) -> Path:
    """The YAML that lies beside a trace."""
    return path.with_name(stem(path) + ".yaml")


def _told(trace: Path) -> dict[str, Any]:
    path = _notes(trace)
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: 2026-02-30 without quotes
        raise InputError(f"{path}: is no YAML that can be read ({error})") from error
    return content if isinstance(content, dict) else {}


def _listed(events: Sequence[Any], path: Path) -> Iterator[Happening]:
    for number, one in enumerate(events):
        if not isinstance(one, dict) or "start" not in one:
            continue
        where = f"{path}: events[{number}]"
        start = instant(str(one["start"]), f"{where}.start")
        end = start + WITHOUT_END if one.get("end") is None else instant(str(one["end"]), f"{where}.end")
        if end <= start:
            raise InputError(f"{where}.end: the event ends before it begins; give an end after {one['start']}")
        yield Happening(str(one.get("name", f"event-{number + 1}")), str(one.get("type", "event")), start, end)
