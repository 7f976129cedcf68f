"""Announced events from LiveEvents, as they are applied to a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tidegate.api.parse import parse_live_event
from tidegate.api.parsed import ParsedEvent
from tidegate.api.problems import InvalidObject
from tidegate.backtest.happenings import Happening, of_announcements
from tidegate.backtest.series import InputError, Series
from tidegate.planning.model import Announcement


class _Loader(yaml.SafeLoader):
    """YAML in which times stay texts, as they are in the API."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_live_events(path: Path, series: Series) -> tuple[Happening, ...]:
    """The LiveEvents of a YAML file, in order of start. InputError says what is wrong."""
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Loader))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: is no YAML that can be read ({error})") from error
    return of_live_events(path, _items(documents), series)


def of_live_events(path: Path, objects: Iterable[Any], series: Series) -> tuple[Happening, ...]:
    """What those of a file's objects announce that are LiveEvents. All of them expect the one signal of the demand."""
    try:
        announced = [_announcement(parse_live_event(one), series) for one in objects if _is_live_event(one)]
    except InvalidObject as error:
        raise InputError(f"{path}: {error}") from error
    if not announced:
        raise InputError(f"{path}: holds no LiveEvent; give objects of kind LiveEvent, or events as CSV or a calendar")
    signals = {signal for one in announced for signal, _ in one.expected}
    if len(signals) > 1:
        raise InputError(f"{path}: expects several signals ({', '.join(sorted(signals))}); keep the one of the demand")
    return of_announcements(announced, signals.pop() if signals else "")


def _announcement(event: ParsedEvent, series: Series) -> Announcement:
    """With all occurrences that matter to the demand; without any, with the one after it or else the first, so that
    whoever looks for announcements finds that they lie elsewhere.
    """
    found = event.announcement(float(series.times[0]), series.end)
    if found.occurrences:
        return found
    elsewhere = event.next_occurrence(series.end) or event.next_occurrence(0.0)
    return found if elsewhere is None else replace(found, occurrences=(elsewhere,))


def _items(documents: Iterable[Any]) -> Iterator[Any]:
    """The objects, also those of a list."""
    for one in documents:
        items = one.get("items") if isinstance(one, dict) and str(one.get("kind")).endswith("List") else None
        if isinstance(items, list):
            yield from items
        else:
            yield one


def _is_live_event(content: Any) -> bool:
    return isinstance(content, dict) and content.get("kind") == "LiveEvent"
