"""The physics: units take their time, break, need machines, and are paid for."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.backtest.case import Nodes, Physics
from tidegate.backtest.fleet import Fleet


def course(fleet: Fleet, until: float, step: float = 15.0, begin: float = 0.0) -> list[tuple[float, int, int]]:
    """(now, ready, billed) at each step."""
    found = []
    for now in np.arange(begin, until + step, step):
        fleet.advance(float(now))
        found.append((float(now), fleet.ready, fleet.billed))
    return found


def test_a_unit_is_ready_one_lag_after_it_was_asked_for_and_paid_for_at_once() -> None:
    fleet = Fleet(Physics(lag=180.0), units=2, now=0.0)
    fleet.want(5, 0.0)
    seen = {now: (ready, billed) for now, ready, billed in course(fleet, 195.0)}
    assert seen[165.0] == (2, 5)
    assert seen[180.0] == (5, 5)


def test_a_larger_step_takes_longer() -> None:
    fleet = Fleet(Physics(lag=60.0, lag_per_unit=1.0), units=0, now=0.0)
    fleet.want(60, 0.0)
    assert next(now for now, ready, _ in course(fleet, 180.0) if ready) == 120.0


def test_start_times_differ_by_the_spread_and_the_seed_repeats_them() -> None:
    def ready(seed: int) -> list[int]:
        fleet = Fleet(Physics(lag=180.0, lag_spread=0.5, seed=seed), units=0, now=0.0)
        fleet.want(100, 0.0)
        return [count for _, count, _ in course(fleet, 1200.0)]

    assert ready(1) == ready(1)
    assert ready(1) != ready(2)
    assert len(set(ready(1))) > 2
    assert ready(1)[-1] == 100


def test_starts_that_fail_begin_anew() -> None:
    fleet = Fleet(Physics(lag=60.0, failed_starts=0.5), units=0, now=0.0)
    fleet.want(100, 0.0)
    seen = {now: ready for now, ready, _ in course(fleet, 1800.0)}
    assert 20 < seen[60.0] < 80
    assert seen[60.0] < seen[120.0]
    assert seen[1800.0] == 100


def test_units_without_room_wait_for_machines_and_are_not_paid_for_before() -> None:
    fleet = Fleet(Physics(lag=60.0, nodes=Nodes(4, 120.0)), units=4, now=0.0)
    fleet.want(6, 0.0)
    seen = {now: (ready, billed) for now, ready, billed in course(fleet, 240.0)}
    assert seen[105.0] == (4, 4)
    assert seen[120.0] == (4, 6)
    assert seen[180.0] == (6, 6)


def test_no_more_machines_come_than_there_are() -> None:
    fleet = Fleet(Physics(lag=60.0, nodes=Nodes(4, 120.0, most=2)), units=4, now=0.0)
    fleet.want(40, 0.0)
    assert course(fleet, 3600.0)[-1][1:] == (8, 8)


def test_a_unit_is_paid_for_at_least_the_least_time() -> None:
    fleet = Fleet(Physics(lag=0.0, billed_seconds=600.0), units=1, now=0.0)
    fleet.want(3, 0.0)
    fleet.advance(15.0)
    fleet.want(1, 15.0)
    seen = {now: (ready, billed) for now, ready, billed in course(fleet, 700.0, begin=15.0)}
    assert seen[585.0] == (1, 3)
    assert seen[600.0] == (1, 1)


def test_on_the_way_down_starting_units_leave_before_ready_ones() -> None:
    fleet = Fleet(Physics(lag=180.0), units=5, now=0.0)
    fleet.want(9, 0.0)
    fleet.want(5, 15.0)
    assert (fleet.ready, fleet.billed) == (5, 5)
    fleet.want(3, 30.0)
    assert (fleet.ready, fleet.billed) == (3, 3)


@pytest.mark.parametrize("billed", [0.0, 300.0])
def test_counts_stay_whole_whatever_is_asked_for(billed: float) -> None:
    random = np.random.default_rng(3)
    physics = Physics(lag=90.0, lag_spread=0.4, failed_starts=0.1, nodes=Nodes(7, 60.0), billed_seconds=billed)
    fleet = Fleet(physics, units=3, now=0.0)
    for step in range(2000):
        now = 15.0 * step
        fleet.advance(now)
        fleet.want(int(random.integers(0, 200)), now)
        assert 0 <= fleet.ready <= fleet.placed <= fleet.billed
        assert fleet.placed <= fleet.wanted
    fleet.want(50, now)
    for step in range(2000, 2400):
        fleet.advance(15.0 * step)
    assert (fleet.ready, fleet.placed, fleet.billed) == (50, 50, 50)
