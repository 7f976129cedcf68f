"""Which traces are earlier editions of one: told by their names and their days."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.backtest.sources import Source

YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
MOST = 15 * 86_400.0
"""Seconds of earlier editions that are learned from, the latest one included: two of a week each. What is older
counts for little (``planning.growth.MEMORY``)."""


def kind_of(name: str) -> str | None:
    """What editions of one series have in common in their names; None where a name has no year in it.

    Of the first word the year is left out, and each other word with a year in it is an edition's name:
    ``gdq_agdq2019_viewers`` and ``gdq_sgdq2020_viewers`` are editions of one series, ``shop2019_orders`` and
    ``fair2020_orders`` are not.
    """
    if not YEAR.search(name):
        return None
    first, *rest = name.split("_")
    return "_".join((YEAR.sub("*", first), *("*" if YEAR.search(word) else word for word in rest)))


def earlier(judged: Source, others: Iterable[Source]) -> tuple[Source, ...]:
    """Those that were over before the judged one began, in order of time: the latest, and before it as many whole ones
    as make no more than ``MOST`` with it. None where the days of either are unknown.
    """
    past = sorted((one for one in others if is_earlier(one, judged)), key=lambda one: one.series.end, reverse=True)
    found: list[Source] = []
    seconds = 0.0
    for one in past:
        seconds += one.series.end - float(one.series.times[0])
        if found and seconds > MOST:
            break
        found.insert(0, one)
    return tuple(found)


def is_earlier(one: Source, judged: Source) -> bool:
    """Whether all of a trace was there before another one began."""
    dated = one.series.dated and judged.series.dated
    return dated and one.series.end <= float(judged.series.times[0])
