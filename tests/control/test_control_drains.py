"""A drain is what was measured, once there is enough of it."""

from __future__ import annotations

import math

import pytest

from tidegate.control.drains import Drains, drained
from tidegate.planning.model import Key, Ref
from tidegate.planning.shift.model import Drain, Lane, Notice, Pool
from tidegate.ports import HandOverNote, Loan, Place

POOL = Pool("hangzhou-a", (Lane("trading"), Lane("data", drain=Drain(seconds=60.0))))


def loan(number: int, stopped_at: float) -> Loan:
    place = Place(Ref("batch/v1", "Job", "warehouse", f"job-{number}"), f"u{number}", "/spec/suspend")
    note = HandOverNote("hangzhou-a", "data", stops=(Notice(0, stopped_at),))
    return Loan(
        Key("warehouse", f"loan-{number}"), place, Key("", "hangzhou-a"), "data", 1, None, 0, 0, 1, 0.0, stopped_at,
        900.0, 1, hand_over=note,
    )  # fmt: skip


def measured(*seconds: float) -> Drains:
    drains = Drains()
    for number, took in enumerate(seconds):
        drains.free(loan(number, 100.0), now=100.0 + took, looked=99.0)
    return drains


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        pytest.param((), 60.0, id="nothing measured: the guess"),
        pytest.param((12.0,), 60.0, id="too little: the guess"),
        pytest.param((75.0,), 75.0, id="longer than the guess: at once"),
        pytest.param((12.0, 14.0, 11.0), 15.0, id="enough: the largest"),
        pytest.param((12.0, 14.0, 131.0), 135.0, id="one that took long"),
    ],
)
def test_a_lanes_drain_is(seconds: tuple[float, ...], want: float) -> None:
    lane = drained(POOL, measured(*seconds).samples()).lane("data")
    assert lane is not None
    assert lane.drain.seconds == want


def test_one_stop_is_measured_once() -> None:
    drains = Drains()
    for now in (112.0, 400.0):
        drains.free(loan(0, 100.0), now=now, looked=99.0)
    lane = drained(POOL, drains.samples()).lane("data")
    assert lane is not None
    assert lane.drain.seconds == 60.0


def test_the_other_lane_keeps_its_own() -> None:
    assert drained(POOL, measured(12.0, 12.0, 12.0).samples()).lane("trading") == POOL.lane("trading")


@pytest.mark.parametrize("looked", [-math.inf, 900.0], ids=["the first look of a life", "a look of its own before"])
def test_work_that_left_before_anybody_looked_tells_nothing(looked: float) -> None:
    drains = measured(12.0, 14.0, 11.0)
    for now in (1000.0, 1100.0):
        drains.free(loan(9, 100.0), now=now, looked=looked)
    assert drains.samples() == measured(12.0, 14.0, 11.0).samples()


def test_work_that_was_seen_to_hold_on_is_measured_from_its_stop_whoever_stopped_it() -> None:
    drains = Drains()
    drains.holds(loan(0, 100.0), now=150.0)
    drains.free(loan(0, 100.0), now=160.0, looked=150.0)
    assert list(drains.samples().values()) == [(60.0,)]
