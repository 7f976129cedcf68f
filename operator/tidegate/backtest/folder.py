"""A folder of traces: which of its files are traces, which events belong to them, and what is left out, and why.

One file that cannot be read stops no other: whoever asks for the folder is told of it, and gets the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.backtest.beside import (
    EVENTS,
    TABLES,
    YAMLS,
    belongs,
    events_of,
    is_named,
    is_there,
    listed,
    named_by,
    notes_of,
    stem,
    tables_of,
    words_of,
)
from tidegate.backtest.calendars import SUFFIX as CALENDAR
from tidegate.backtest.editions import earlier, kind_of
from tidegate.backtest.series import InputError, header_of, no_series, read_series
from tidegate.backtest.sources import Source

BESIDE = (CALENDAR, *YAMLS)
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

    Events of a trace come from the file that its YAML names (``events_file``), from a list or from LiveEvents in that
    YAML, or from a file (CSV, a calendar or YAML) whose name has ``events`` in it and otherwise only words of the
    trace's name.

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
    return Source(stem(path), series, events_of(path, series, tables_of(path.parent)))


# ---- which files


def _traces_of(folder: Path, tell: Tell) -> list[Path]:
    """Files of demand, by name."""
    found: dict[str, Path] = {}
    others: list[Path] = []
    for path in listed(folder):
        name = stem(path)
        if not is_named(path, TABLES) or EVENTS in words_of(path) or _no_trace(path) is not None:
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
    words = [set(words_of(one)) for one in traces]
    for path in others:
        why = None if path.name in named else _no_use(path, words)
        if why is not None:
            tell(LeftOut(path, why, wrong=False))


def _no_use(path: Path, traces: Sequence[set[str]]) -> str | None:
    """Why a file is of no use to any trace; None where it is. ``traces``: the words of their names."""
    if EVENTS in words_of(path) and is_named(path, (*TABLES, *BESIDE)):
        if any(belongs(path, words) for words in traces):
            return None
        return "holds events of no trace here: no YAML names it, and no trace has all words of its name"
    if is_named(path, BESIDE):
        return None
    return _no_trace(path) if is_named(path, TABLES) or path.is_dir() else "is no CSV file"


def _named_tables(traces: Iterable[Path], tell: Tell) -> set[str]:
    """Names of files that traces name as theirs; those that are not there are told."""
    found: set[str] = set()
    for path in traces:
        try:
            named, notes = named_by(path), notes_of(path)
        except InputError:
            continue  # told by whoever reads the trace
        if named is None or notes is None:
            continue
        if not is_there(named):
            why = f"is not there, and {notes.name} names it as the events of {path.name}"
            tell(LeftOut(named, why, wrong=False))
        if named.parent == path.parent:
            found.add(named.name)
    return found
