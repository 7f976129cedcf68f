"""The data that comes with the program: Double 11, 2019, from published figures, and a month of a generated room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from tidegate.backtest.happenings import Happening
from tidegate.backtest.series import Series
from tidegate.backtest.sources import Source
from tidegate.backtest.stand import NAMESPACE, QUERY
from tidegate.demo import double11
from tidegate.demo.evening.stairs import Stair, stairs
from tidegate.planning.model import Announcement, Key, Moment, Occurrence

BEFORE = 7200
"""Seconds before midnight with which the sale's day begins."""
STAIRS, OPENING, DAY_STAIRS, DAY_GRID = 12, 7200, 8, 900
"""Moments that the first two hours are announced with, and those of the rest of the day, cut at quarters of an hour."""
DAYS, SHOW_AT, SHOW_SECONDS = 21, 20, 7200
"""The room: so many days, a show each day at this hour for so long."""


def double_11() -> Source:
    """Orders a second from 22:00 to 24:00 of the next day, and the sale as it could have been announced.

    Of the curve only the milestones are published (``demo.double11``); between them its shape is judgment. The
    announcement is right: stairs that nowhere lie below the curve.
    """
    orders = double11.orders_of_the_day()
    curve = np.concatenate((np.full(BEFORE, double11.BACKGROUND_ORDERS), orders))
    first = double11.MIDNIGHT - BEFORE
    series = Series(first + np.arange(len(curve), dtype=np.float64), curve, 1.0)
    above = orders - double11.BACKGROUND_ORDERS
    plateau = float(above.min())
    moments = (
        *_moments("opening", stairs(above[:OPENING], STAIRS, floor=plateau), 0, plateau),
        *_moments("day", stairs(above[OPENING:], DAY_STAIRS, grid=DAY_GRID, floor=plateau), OPENING, plateau),
    )
    day = float(len(orders))
    detail = Announcement(
        Key(NAMESPACE, "double-11"), "policy", (Occurrence(double11.MIDNIGHT, day),), (), "flat", moments=moments
    )
    sale = Happening("double-11", "sale", double11.MIDNIGHT, double11.MIDNIGHT + day, plateau, detail)
    note = "Orders of Double 11, 2019: published milestones of sales, the shape between them is judgment."
    return Source("double-11-2019", series, (sale,), (note,))


def _moments(name: str, found: Sequence[Stair], after: int, plateau: float) -> Iterator[Moment]:
    for i, one in enumerate(found, start=1):
        offset, length = float(after + one.begin), float(one.end - one.begin)
        yield Moment(f"{name}-{i}", QUERY, offset, length, factor=one.level / plateau)


def room() -> Source:
    """Three weeks of a live room: a quiet day, and a show each evening whose size nobody knows exactly. Generated."""
    random = np.random.default_rng(11)
    first = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
    minutes = np.arange(DAYS * 1440, dtype=np.float64)
    daily = 1.0 + 0.5 * np.sin((minutes / 1440.0 - 0.4) * 2.0 * np.pi)
    demand, shows = 400.0 * daily, []
    for day in range(DAYS):
        size = 6000.0 * float(np.exp(0.35 * random.standard_normal()))
        start = day * 1440.0 + SHOW_AT * 60.0
        since = minutes - start
        length = SHOW_SECONDS / 60.0
        rise = np.clip((since + 15.0) / 15.0, 0.0, 1.0) * 0.5 + np.clip(since / 20.0, 0.0, 1.0) * 0.5
        fall = np.clip((length - since) / 15.0 + 1.0, 0.0, 1.0)
        demand = demand + size * rise * fall * np.where((since > -15.0) & (since < length + 15.0), 1.0, 0.0)
        begin = first + start * 60.0
        shows.append(Happening(f"show-{day + 1}", "show", begin, begin + SHOW_SECONDS))
    demand *= np.exp(0.03 * random.standard_normal(len(demand)))
    series = Series(first + 60.0 * minutes, demand, 60.0)
    return Source("room", series, tuple(shows), ("A generated room, seeded: it is no measurement.",))


BUILTIN: dict[str, Callable[[], Source]] = {"double-11-2019": double_11, "room": room}
"""By name."""
