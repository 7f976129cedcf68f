"""The events of a trace: in the YAML that lies beside it, or in a file of events whose name belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tidegate.backtest.calendars import SUFFIX as CALENDAR
from tidegate.backtest.calendars import announced_in
from tidegate.backtest.happenings import WITHOUT_END, Happening
from tidegate.backtest.liveevents import read_live_events
from tidegate.backtest.series import InputError, Series, instant, shown

TABLES = (".csv", ".csv.gz")
YAMLS = (".yaml", ".yml")
EVENTS = "events"
"""The word in the name of a file that holds events; in a trace's YAML the field that lists them."""
EVENTS_FILE = "events_file"
"""The field of a trace's YAML that names the file of its events."""
LIVE_EVENT = "LiveEvent"


def stem(path: Path) -> str:
    """A file's name without what says that it is CSV or a calendar, and packed."""
    name = path.name
    for suffix in (".gz", ".csv", CALENDAR):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name


def is_named(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file's name ends in one of them."""
    return path.name.lower().endswith(suffixes)


def words_of(path: Path) -> list[str]:
    """The words of a file's name."""
    name = stem(path)
    for suffix in YAMLS:
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name.split("_")


def belongs(table: Path, words: set[str]) -> bool:
    """Whether a file of events belongs to a trace of these words."""
    return set(words_of(table)) - {EVENTS} <= words


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, by name; hidden files are left out."""
    try:
        if not folder.is_dir():
            raise InputError(f"{folder}: is no folder; give one with traces as CSV files")
        return sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror or error}); give a folder that may be"
        ) from error


def tables_of(folder: Path) -> list[Path]:
    """Files of events, CSV before calendars, and calendars before YAML."""
    files = [path for path in listed(folder) if EVENTS in words_of(path)]
    return [path for suffixes in (TABLES, (CALENDAR,), YAMLS) for path in files if is_named(path, suffixes)]


def is_there(path: Path) -> bool:
    """Whether a file is there. A name that no file can have is no error: none of that name is there."""
    try:
        return path.is_file()
    except OSError:
        return False


def notes_of(trace: Path) -> Path | None:
    """The YAML that lies beside a trace."""
    found = [path for suffix in YAMLS if is_there(path := trace.with_name(stem(trace) + suffix))]
    if len(found) > 1:
        raise InputError(f"{found[1]}: {found[0].name} lies beside it, for the same trace; keep one of them")
    return found[0] if found else None


def named_by(trace: Path) -> Path | None:
    """The file of events that the YAML beside a trace names, be it there or not."""
    notes = notes_of(trace)
    told = {} if notes is None else _first(_documents(notes))
    named = told.get(EVENTS_FILE)
    if named is None:
        return None
    if not isinstance(named, str):
        raise InputError(f"{notes}: {EVENTS_FILE}: {shown(str(named))} is no name of a file; give one like dates.csv")
    return trace.parent / named


def events_of(trace: Path, series: Series, tables: Sequence[Path]) -> tuple[Happening, ...]:
    """The events that belong to a trace."""
    named = named_by(trace)
    if named is not None and is_there(named):
        return _announced(named, series)
    notes = notes_of(trace)
    if notes is not None and (told := _in_yaml(notes, series)) is not None:
        return told
    words = set(words_of(trace))
    for table in tables:
        if belongs(table, words):
            return _announced(table, series)
    return ()


def _announced(file: Path, series: Series) -> tuple[Happening, ...]:
    """What a file of events announces."""
    if not is_named(file, YAMLS):
        return announced_in(file, series)
    told = _in_yaml(file, series)
    if told is None:
        raise InputError(f"{file}: holds no event; give LiveEvents, or a list {EVENTS} of entries with start and end")
    return told


def _in_yaml(file: Path, series: Series) -> tuple[Happening, ...] | None:
    """What a YAML file announces, as LiveEvents or as a list; None where it speaks of no events."""
    documents = _documents(file)
    if any(isinstance(one, dict) and one.get("kind") in (LIVE_EVENT, "List", "LiveEventList") for one in documents):
        return read_live_events(file, series)
    told = _first(documents).get(EVENTS)
    if told is None:
        return None
    if not isinstance(told, list):
        raise InputError(f"{file}: {EVENTS}: is no list; give one of entries with start, end, type, name and expected")
    return tuple(sorted(_entries(told, file), key=lambda one: one.start))


def _documents(path: Path) -> list[Any]:
    try:
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: 2026-02-30 without quotes
        raise InputError(f"{path}: is no YAML that can be read ({error})") from error


def _first(documents: Sequence[Any]) -> dict[str, Any]:
    """The fields of the first document."""
    return documents[0] if documents and isinstance(documents[0], dict) else {}


def _entries(events: Sequence[Any], path: Path) -> Iterator[Happening]:
    for number, one in enumerate(events):
        where = f"{path}: {EVENTS}[{number}]"
        if not isinstance(one, dict) or one.get("start") is None:
            raise InputError(
                f"{where}: has no start; give an entry like {{start: 2026-11-10T16:00:00Z, name: opening}}"
            )
        start = instant(str(one["start"]), f"{where}.start")
        end = start + WITHOUT_END if one.get("end") is None else instant(str(one["end"]), f"{where}.end")
        if end <= start:
            raise InputError(f"{where}.end: the event ends before it begins; give an end after {one['start']}")
        name, kind = (
            str(one.get(field) or usual) for field, usual in (("name", f"event-{number + 1}"), ("type", "event"))
        )
        host, tier = (str(one.get(field) or "") for field in ("host", "tier"))
        yield Happening(name, kind, start, end, _expected(one.get("expected"), where), host=host, tier=tier)


def _expected(given: object, where: str) -> float | None:
    if given is None:
        return None
    try:
        value = float(str(given))
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise InputError(
            f"{where}.expected: {shown(repr(given))} is no demand; give a number from 0 on, or leave it out"
        )
    return value
