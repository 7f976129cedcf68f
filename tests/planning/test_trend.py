"""What is announced tells how much of a crowd is still to come: learned, and no more believed than it has held."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tidegate.planning.growth import STEP, Growth, within
from tidegate.planning.trend import FARTHEST, FEATURES, NOTHING_SAID, features_of

LEAD = 600.0
QUIET, RISE, ON = 480, 160, 320
"""Steps between events, of their longest rise, and for which they stay."""
HIGHEST = 160.0


def evening(peaks: list[float], said: list[float]) -> list[tuple[float, tuple[float, float], float]]:
    """(demand, what is announced, T-0 of the next or last event) by step: crowds that come as fast as one another, from
    twenty minutes before T-0 on, until all are there.
    """
    found = []
    for number, (peak, told) in enumerate(zip(peaks, said, strict=True)):
        start = (number * (QUIET + RISE + ON) + QUIET + RISE // 2) * STEP
        for step in range(QUIET + RISE + ON):
            at = (number * (QUIET + RISE + ON) + step) * STEP
            on = told if start <= at else 0.0
            soon = told if start <= at + 1800.0 else 0.0
            came = 10.0 + (HIGHEST - 10.0) * max(step - QUIET, 0) / RISE
            found.append((min(came, peak), (on, soon), start))
    return found


def played(growth: Growth, steps: list[tuple[float, tuple[float, float], float]], *, heard: bool) -> list[float]:
    told = []
    for number, (value, said, start) in enumerate(steps):
        growth.take(number * STEP, value, starts=(start,), said=said if heard else NOTHING_SAID)
        told.append((within(growth.ahead(), LEAD) or math.nan) / value)
    return told


def test_a_crowd_that_is_as_large_as_announced_grows_no_more_and_a_small_one_does() -> None:
    """What is told lies closer to what comes."""
    peaks = [float(one) for one in np.random.default_rng(4).choice([40.0, 60.0, 90.0, 160.0], 16)]
    steps = evening(peaks, peaks)

    def off(*, heard: bool) -> float:
        told = played(Growth(LEAD, 0.3, 0.9), steps, heard=heard)
        later = [at for at in range(len(steps) // 2, len(steps) - 40) if steps[at][0] > 10.0]
        return float(np.mean([abs(math.log(told[at] * steps[at][0] / steps[at + 40][0])) for at in later]))

    assert off(heard=True) <= 0.9 * off(heard=False)


def test_what_is_announced_and_never_holds_is_not_believed() -> None:
    """The level is as likely to be half as to be double: what it says of the growth is learned to be little."""
    random = np.random.default_rng(9)
    peaks = [float(one) for one in random.choice([40.0, 60.0, 90.0, 160.0], 15)]
    said = [float(one) for one in random.permutation(peaks)]
    steps = evening(peaks, said)
    heard, unheard = (played(Growth(LEAD, 0.3, 0.9), steps, heard=one) for one in (True, False))
    half = len(steps) // 2
    assert np.mean(heard[half:]) <= 1.06 * np.mean(unheard[half:])


def test_what_is_announced_counts_beside_what_is_measured_and_only_so_far() -> None:
    def room(value: float, *said: float, shape: float = 0.0) -> list[float]:
        return [float(one) for one in features_of([math.log(value) - shape], shape, said, 0.0)[-2:]]

    assert len(features_of([0.0], 0.0, NOTHING_SAID, 0.3)) == FEATURES
    assert room(50.0, 0.0, 0.0) == [0.0, 0.0]
    assert room(50.0, 50.0, 100.0) == pytest.approx([0.0, math.log(2.0)])
    assert room(50.0, 25.0, 50.0, shape=0.7) == pytest.approx([-math.log(2.0), 0.0])
    assert room(1.0, 1e6, 1e-6) == [FARTHEST, -FARTHEST]
