"""Levels by the clock, as the rivals that work by a timetable give them, one value a step."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tidegate.backtest.announcing import AFTER_END, announced_curve, minutes_up
from tidegate.backtest.case import Case
from tidegate.backtest.series import Curve

HUMAN_BEFORE = 900.0
"""Seconds before an announced start at which a careful person has the level raised."""
RAMP_SECONDS, RAMP_STEPS = 600.0, 10
"""Window and steps of the ramp of ScalingSchedule (kube-metrics-adapter, stock values)."""
HOUR = 3600.0
"""Seconds for which people type one level."""
HISTORY_DAYS = 14
"""Days that a periodic forecast looks back: AWS predictive scaling 14, Crane 15, AHPA at least 7."""
LEAST_DAYS = 2
"""A periodic forecast needs two periods (Crane)."""
AHEAD = 180.0
"""``scaleUpForward`` of AHPA's examples, seconds; where starting and the forecast's own poll take longer, that long."""
FORECAST_POLL = 60.0
"""Seconds between two looks at a forecast, which has one value a minute."""
MINUTE, DAY = 60.0, 86_400.0


def blocks(case: Case) -> Iterator[tuple[float, float, float]]:
    """(begin, end, units) of each announced event, hour by hour: the most that is announced for that hour.

    What else is announced for the same time is in it. A show is one level; a sale that is announced with an opening has
    its peak for an hour and not for a day.
    """
    curve = announced_curve(case)
    for one in case.announced:
        begin, last = one.start, until(one.end, one.withdrawn_at)
        while begin < last:
            end = min(begin + HOUR, last)
            inside = curve[case.grid.index(begin) : case.grid.index(min(end, one.end) - 1e-6) + 1]
            if begin < one.end and len(inside):
                level = float(inside.max())
            yield begin, end, level
            begin = end


def windows(case: Case, *, before: float) -> Curve:
    """The announced levels, each from some time before its begin until its end; 0 outside. The largest counts."""
    found = np.zeros(len(case.grid.demand))
    for start, end, level in blocks(case):
        span = slice(case.grid.index(60.0 * math.floor((start - before) / 60.0)), case.grid.index(end))
        found[span] = np.maximum(found[span], level)
    return found


def ramps(case: Case) -> Curve:
    """The value of a ScalingSchedule for each event, the largest of all.

    The ramp reaches the full value only at the start, so the start is typed one start lag before the announced one.
    """
    found = np.zeros(len(case.grid.demand))
    times = case.grid.times
    for begin, end, peak in blocks(case):
        start = begin - minutes_up(case.physics.lag)
        up = np.floor(RAMP_STEPS * (times - (start - RAMP_SECONDS)) / RAMP_SECONDS)
        down = np.floor(RAMP_STEPS * ((end + RAMP_SECONDS) - times) / RAMP_SECONDS)
        share = np.clip(np.minimum(up, down), 0.0, RAMP_STEPS) / RAMP_STEPS
        found = np.maximum(found, share * peak)
    return found


def until(end: float, withdrawn_at: float | None) -> float:
    """When a timetable lets go of an event: a while after its end, or when it is taken back."""
    return end + AFTER_END if withdrawn_at is None else min(end + AFTER_END, withdrawn_at)


def periodic(case: Case, quantile: float) -> Curve:
    """A forecast by time of day: the quantile of the days before at the same minute, the largest within the coming
    start lag. Made anew at each midnight; not a number while there are fewer than two days.

    A minute is as many whole steps as come nearest to it, and the last one of a day is cut off by midnight.
    """
    grid, steps = case.grid, len(case.grid.demand)
    ahead = round(max(AHEAD, case.physics.lag + FORECAST_POLL) / grid.step)
    minute = max(1, round(MINUTE / grid.step)) * grid.step
    since = grid.step * np.arange(steps + ahead) + 1e-6
    days, minutes = (since // DAY).astype(np.int64), (since % DAY // minute).astype(np.int64)
    most = np.full((int(days[steps - 1]) + 1, math.ceil(DAY / minute - 1e-9)), np.nan)
    np.fmax.at(
        most, (days[:steps], minutes[:steps]), grid.demand
    )  # the largest within each minute: levels are for peaks
    found = np.full(most.shape, np.nan)
    for today in range(LEAST_DAYS, len(most)):
        past = most[max(0, today - HISTORY_DAYS) : today]
        known = np.isfinite(past).sum(axis=0) >= LEAST_DAYS
        found[today, known] = np.nanquantile(past[:, known], quantile, axis=0)
    foreseen = days < len(most)
    flat = np.where(foreseen, found[np.where(foreseen, days, 0), minutes], np.nan)
    largest = np.lib.stride_tricks.sliding_window_view(np.where(np.isnan(flat), -np.inf, flat), ahead + 1).max(axis=1)
    return np.where(np.isfinite(largest), largest, np.nan)
