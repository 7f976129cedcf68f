"""How often a floor that follows demand is written: a day of demand under the whole loop, on a clock that is told."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from plays import STEP, case, show
from test_backtest_operator import driven

from tidegate.backtest.case import Case
from tidegate.backtest.contest import Track
from tidegate.backtest.variants import LIVE_ALONE

DAY = 5_760
HOUR = 3_600.0
MEAN, WORST = 50, 65
"""Writes an hour, as docs/concepts.md states them."""


def noisy_day(units: float, *, noise: float = 0.02, seed: int = 7) -> Case:
    """A wave over the day between a fifth of ``units`` and all of them, noise that lasts for ten minutes or so, and two
    matches that double it within half an hour.
    """
    random, level, found = np.random.default_rng(seed), 0.0, []
    for step in range(DAY):
        level = 0.98 * level + noise * float(random.standard_normal())
        match = max(0.0, max(1.0 - abs(step * STEP - begin - 2_700.0) / 2_700.0 for begin in (50_000.0, 62_000.0)))
        found.append(units * (0.3 - 0.2 * np.cos(2 * np.pi * step / DAY)) * (1.0 + match) * np.exp(level))
    matches = [show(begin, 5_400.0, 0.4 * units, name=f"match-{begin:.0f}") for begin in (50_000.0, 62_000.0)]
    return case(found, matches, announced=matches)


def by_hour(track: Track) -> tuple[float, int]:
    """(mean, most within any hour) of the writes of a day."""
    times = sorted(step * STEP for step in track.floors)
    most = max(n + 1 - bisect_right(times, at - HOUR) for n, at in enumerate(times))
    return len(times) / 24.0, most


@pytest.mark.parametrize("units", [200.0, 12.0])
def test_a_day_of_noise_and_matches_takes_no_more_writes_an_hour_than_is_stated(units: float) -> None:
    track, _ = driven(noisy_day(units), LIVE_ALONE, 0.0)
    mean, worst = by_hour(track)
    assert 1 <= mean <= MEAN
    assert worst <= WORST
