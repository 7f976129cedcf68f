"""How fast a loan comes down: the one rule, for whoever moves a level and for whoever plans by what will be free."""

from __future__ import annotations

import math

from tidegate.planning.model import Release

RELEASE_INTERVAL = 30.0
"""Least seconds between two steps down: smaller ones are more writes for nothing. Judgment."""


def pause(release: Release, highest: int) -> float:
    """Seconds between two steps down: longer for a loan so small that one unit is more than its share."""
    return max(RELEASE_INTERVAL, 60.0 / (release.step_per_minute * max(highest, 1)))


def step_down(release: Release, highest: int) -> int:
    """Units of one step down, at least one.

    One interval's worth, however long the wait before was: a minute's worth now and another step an interval later
    would give back more than the share within one minute.
    """
    return max(1, math.floor(release.step_per_minute * highest * RELEASE_INTERVAL / 60.0))


def seconds_down(release: Release, highest: int, units: int) -> float:
    """How long so many units take to go, from the first step to the end of the wait after the last one."""
    return math.ceil(max(units, 0) / step_down(release, highest)) * pause(release, highest)
