"""From what happens to what is announced: how much each event is said to bring, and its LiveEvent.

Where an event's row says what is expected of it, that is announced. Where it does not, the announcement is *right*:
the largest demand within the event, less the background, shared among events that begin together. Every contestant is
told the same. The perturbation's factor makes it wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tidegate.backtest.case import Case
from tidegate.backtest.happenings import Happening
from tidegate.backtest.series import Curve, Grid
from tidegate.backtest.stand import NAMESPACE, QUERY
from tidegate.planning.model import Announcement, Key, Occurrence

POLICY = "policy"

PROFILES = {
    "kickoff": "match",
    "match": "match",
    "opening": "opening",
    "show": "show",
    "flash-sale": "flash-sale",
    "sale": "flash-sale",
}
"""Shape of an announcement by the type of its event; any other type is announced as flat."""
LATEST = {"match": 1.15, "show": 1.1}
"""Shares of its duration until which an event of that shape still brings people: its largest demand is looked for until
then. 1 for the others."""
AFTER_END = 1800.0
"""Seconds after an announced end for which whoever works by a timetable keeps the level: people do not leave at once.
Judgment."""


def background_of(grid: Grid, happenings: Sequence[Happening], end: int) -> float:
    """Units needed without any event: the median of the demand outside events, within the steps before ``end``.

    0 where every known step lies within an event.
    """
    outside = np.isfinite(grid.demand)
    outside[end:] = False
    for one in happenings:
        outside[grid.index(one.start) : grid.index(one.end + AFTER_END)] = False
    return float(np.median(grid.demand[outside])) if outside.any() else 0.0


def with_expectations(grid: Grid, happenings: Sequence[Happening], background: float) -> tuple[Happening, ...]:
    """The same events, each with what a right announcement expects of it, in units."""
    together = Counter(one.start for one in happenings)
    found = []
    for one in happenings:
        if one.expected is None:
            until = one.start + LATEST.get(profile_of(one), 1.0) * (one.end - one.start)
            inside = grid.demand[grid.index(one.start) : grid.index(until) + 1]
            inside = inside[np.isfinite(inside)]
            peak = float(inside.max()) if len(inside) else 0.0
            one = replace(one, expected=max(0.0, peak - background) / together[one.start])
        found.append(one)
    return tuple(found)


def profile_of(happening: Happening) -> str:
    """The shape that an event is announced with."""
    return happening.detail.profile if happening.detail is not None else PROFILES.get(happening.kind, "flat")


def live_event(happening: Happening, number: int, capacity: float) -> Announcement:
    """The LiveEvent of a happening, in the unit of the series."""
    key = Key(NAMESPACE, f"event-{number}")
    expected = ((QUERY, (happening.expected or 0.0) * happening.factor * capacity),)
    when = (Occurrence(happening.start, happening.end - happening.start),)
    if happening.detail is None:
        shape, host, tier = profile_of(happening), happening.host, happening.tier
        return Announcement(key, POLICY, when, expected, shape, host=host, tier=tier)
    moments = tuple(
        one._replace(signal=QUERY, level=None if one.level is None else one.level * happening.factor)
        for one in happening.detail.moments
    )
    return replace(
        happening.detail,
        key=key,
        policy=POLICY,
        occurrences=when,
        expected=expected,
        moments=moments,
        derived=(),
        host=happening.host,
        tier=happening.tier,
    )


def announced_curve(case: Case) -> Curve:
    """Units that the announcements need at each step: each event's level from its start to its end, and its moments.

    This is what people can read off a timetable: the profile of an event is for whoever knows such shapes.
    """
    grid, curve = case.grid, np.full(len(case.grid.demand), case.background)
    for one in case.announced:
        level = one.expected or 0.0
        own = np.zeros(len(curve))
        own[grid.index(one.start) : grid.index(one.end) + 1] = level
        for moment in one.detail.moments if one.detail is not None else ():
            begin = moment.offset + (one.end if moment.from_end else one.start)
            span = slice(grid.index(begin), grid.index(begin + moment.duration - 1e-6) + 1)
            height = moment.level / case.capacity if moment.level is not None else (moment.factor or 0.0) * level
            own[span] = np.maximum(own[span], height)
        curve += own * one.factor
    return curve


def minutes_up(seconds: float) -> float:
    """Whole minutes, in seconds: a cron knows no seconds."""
    return 60.0 * math.ceil(seconds / 60.0)
