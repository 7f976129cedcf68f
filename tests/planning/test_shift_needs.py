"""How a pool takes a level to come down: as it will, step by step, whatever cells are not looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, T0, event, policy, target, world

from tidegate.planning.decision import Action
from tidegate.planning.foresee import foresee
from tidegate.planning.model import Release
from tidegate.planning.plan import Planner
from tidegate.planning.release import pause, seconds_down, step_down
from tidegate.planning.shift.needs import _stepped_down, levels_of

CELL = 15.0
RUNS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 30)), min_size=1, max_size=8)
"""Cells and the units that are written in them."""


def cell_by_cell(written: list[int], release: Release) -> list[int]:
    """A level falls by one step of its stretch's highest, and by the next one when the wait after that is over."""
    made, highest, stepped = [written[0]], written[0], 0
    for cell, level in enumerate(written[1:], 1):
        highest = max(highest, level) if made[-1] > 0 else level
        if level >= made[-1]:
            stepped = cell if level > made[-1] else stepped
            made.append(level)
        elif (cell - stepped) * CELL >= pause(release, highest):
            stepped = cell
            made.append(max(level, made[-1] - step_down(release, highest)))
        else:
            made.append(made[-1])
    return made


@settings(max_examples=300)
@given(RUNS, st.sampled_from([0.01, 0.15, 0.5, 1.0]))
def test_levels_fall_by_no_more_than_a_loan_does(runs: list[tuple[int, int]], rate: float) -> None:
    written = [units for cells, units in runs for _ in range(cells)]
    release = Release(0.0, rate)
    assert _stepped_down(np.array(written, dtype=np.int64), release, CELL).tolist() == cell_by_cell(written, release)


def test_what_was_written_is_left_as_it_is() -> None:
    written = np.array([0, 8, 0, 0, 0, 0, 0], dtype=np.int64)
    assert _stepped_down(written, Release(0.0, 1.0), CELL).tolist() == [0, 8, 8, 4, 4, 0, 0]
    assert written.tolist() == [0, 8, 0, 0, 0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(units=st.integers(4, 200), percent=st.integers(1, 100))
def test_a_pool_takes_a_floor_to_be_down_when_it_is_down(units: int, percent: int) -> None:
    """Machines are promised back by it: too early breaks a promise, and too late holds work back."""
    core = policy(target(maximum=units), hold=60.0, rate=percent / 100)
    w = world(event(level=100.0 * units, duration=600.0), policies=(core,))
    now = T0 - 300.0
    line = Planner(w.settings).timeline(w, core, core.targets[0], now)
    assert line is not None
    told = levels_of(line, core, core.targets[0], w.settings, now)
    down = [one for one in foresee(w, now, T0 + 12 * 3600.0) if one.step.action is not Action.RAISE]
    assert down[-1].step.action is Action.RETURN
    for one in down:
        left = max((level.units for level in told if level.start <= one.at - 1.0 < level.end), default=0)
        assert left >= one.step.before - step_down(core.release, units), "never down before it is"
    lowered = [level.end for level in told if level.units > 2]
    assert down[-1].at - CELL <= max(lowered) <= down[-1].at + 2 * len(down) * CELL + 60.0
    assert down[0].step.target == w.policies[CORE].targets[0].name


@pytest.mark.parametrize(("highest", "rate", "seconds"), [(5, 0.2, 300.0), (19, 0.2, 570.0), (40, 0.05, 1200.0)])
def test_how_long_all_of_a_loan_takes_to_go(highest: int, rate: float, seconds: float) -> None:
    release = Release(0.0, rate)
    assert seconds_down(release, highest, highest) == pytest.approx(seconds)
    assert seconds_down(release, highest, 0) == 0.0
    assert math.isclose(seconds_down(release, highest, 1), pause(release, highest))
