"""What a signal's reading is worth: how long, and for whom."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fakes import HandClock
from worlds import CORE, T0

from tidegate.control.age import Age
from tidegate.control.reader import Reader, SignalKey
from tidegate.planning.model import Freshness, Reading, SignalSpec

ORDERS: SignalKey = (CORE, "orders_per_second")
SPEC = SignalSpec("orders_per_second", "sum(orders)", stale_after=120.0)


@dataclass
class Answering:
    """A source that answers with one value, measured now; it says what it was asked."""

    value: float = 900.0
    asked: list[str] = field(default_factory=list)

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        self.asked.append(query)
        return Reading(Freshness.FRESH, self.value, now)


def reader(*, speed: float = 1.0) -> Reader:
    made = Reader(Answering(), HandClock(T0), speed=speed)
    made.want({ORDERS: SPEC}, wanted=frozenset({ORDERS}))
    return made


async def read(one: Reader) -> None:
    for job in one.due(one.clock.now()):
        await one.do(job)


async def test_a_signal_that_nobody_asks_for_any_more_is_forgotten_and_later_read_anew() -> None:
    one = reader()
    await read(one)
    assert one.told(T0)[ORDERS].value == 900.0
    one.want({}, wanted=frozenset())
    one.want({ORDERS: SPEC}, wanted=frozenset({ORDERS}))
    assert one.told(T0) == {}, "what was read for somebody else's wish is no reading"
    assert [job.key for job in one.due(T0)] == [ORDERS], "at once"


async def test_a_signal_whose_query_changed_is_read_anew() -> None:
    one = reader()
    await read(one)
    one.want({ORDERS: SignalSpec("orders_per_second", "max(orders)")}, wanted=frozenset({ORDERS}))
    assert one.told(T0) == {}
    await read(one)
    assert isinstance(one.metrics, Answering)
    assert one.metrics.asked == ["sum(orders)", "max(orders)"]


@pytest.mark.parametrize(
    ("after", "want"), [(0.0, Freshness.FRESH), (120.0, Freshness.FRESH), (121.0, Freshness.STALE)]
)
async def test_a_reading_is_as_old_as_its_sample(after: float, want: Freshness) -> None:
    one = reader()
    await read(one)
    assert one.told(T0 + after)[ORDERS].freshness is want


@pytest.mark.parametrize(("after", "want"), [(1200.0, Freshness.FRESH), (1210.0, Freshness.STALE)])
async def test_on_a_clock_that_is_hurried_tenfold_a_reading_lasts_ten_times_as_long(
    after: float, want: Freshness
) -> None:
    one = reader(speed=10.0)
    await read(one)
    assert one.told(T0 + after)[ORDERS].freshness is want


async def test_signals_are_as_old_as_the_question_that_is_longest_ago() -> None:
    one = reader()
    assert one.age(T0 + 50.0) == Age(), "none was asked yet"
    await read(one)
    assert one.age(T0 + 50.0) == Age(50.0, 50.0)
    one.want({ORDERS: SPEC}, wanted=frozenset())
    assert one.age(T0 + 50.0) == Age(), "none is wanted"
