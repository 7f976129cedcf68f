"""Which work of a pool can be stopped and started again in a timetable, piece by piece."""

from __future__ import annotations

from pools import cores, facts, job, pool

from tidegate.planning.resources import NOTHING
from tidegate.planning.shift.pieces import stocks_of

T0 = 1_794_240_000.0


def test_work_that_is_alike_is_one_stock() -> None:
    (stock,) = stocks_of(pool(), facts(cores(10), job("a"), job("b")), T0)
    assert len(stock.pieces) == 2


def test_work_of_a_lane_that_the_pool_does_not_have_is_nobodys_to_lend() -> None:
    assert stocks_of(pool(), facts(cores(10), job("a", lane="elsewhere")), T0) == []


def test_work_that_takes_nothing_lends_nothing() -> None:
    (stock,) = stocks_of(pool(), facts(cores(10), job("empty", NOTHING), job("a")), T0)
    assert len(stock.pieces) == 1
