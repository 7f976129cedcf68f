"""What the reader remembers of a signal: since when it is blind, and what its samples agree on."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fakes import HandClock

from tidegate.control.reader import Reader
from tidegate.control.rounds import run_once
from tidegate.planning.instants import SKEW
from tidegate.planning.model import Freshness, Key, Reading, SignalSpec

T = 1_794_240_000.0
KEY = (Key("shop", "core"), "orders")
SPECS = {KEY: SignalSpec("orders", "sum(orders)", 120.0)}


@dataclass
class Told:
    """A source that answers what it is told."""

    answer: Reading = field(default_factory=lambda: Reading(Freshness.UNREACHABLE, None, T))

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        return self.answer


@dataclass
class Scene:
    clock: HandClock = field(default_factory=lambda: HandClock(T))
    source: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.reader = Reader(self.source, self.clock)
        self.want()

    def want(self, wanted: bool = True) -> None:
        self.reader.want(SPECS, wanted=frozenset(SPECS) if wanted else frozenset())

    async def read(self, at: float, freshness: Freshness, value: float | None = None, age: float = 0.0) -> Reading:
        self.clock.at = T + at
        self.source.answer = Reading(freshness, value, T + at - age)
        assert await run_once(self.reader, self.clock.at) == 1
        return self.told()

    def told(self) -> Reading:
        return self.reader.told(self.clock.at)[KEY]


BAD = [f for f in Freshness if f is not Freshness.FRESH]


@pytest.mark.parametrize("bad", BAD)
async def test_blindness_begins_with_the_first_bad_answer_and_stays_there(bad: Freshness) -> None:
    scene = Scene()
    assert (await scene.read(0.0, Freshness.FRESH, 40.0)).blind_since is None
    for at in (60.0, 120.0, 180.0, 2400.0):
        value = 40.0 if bad in (Freshness.STALE, Freshness.PARTIAL) else None
        assert (await scene.read(at, bad, value, age=15.0)).blind_since == T + 60.0


async def test_blindness_goes_on_from_one_kind_of_bad_to_the_next() -> None:
    scene = Scene()
    await scene.read(0.0, Freshness.FRESH, 40.0)
    for number, bad in enumerate(BAD, start=1):
        reading = await scene.read(60.0 * number, bad, 40.0 if bad is Freshness.STALE else None)
        assert (reading.freshness, reading.blind_since) == (bad, T + 60.0)


async def test_a_good_reading_ends_blindness_and_the_next_begins_anew() -> None:
    scene = Scene()
    await scene.read(0.0, Freshness.UNREACHABLE)
    assert (await scene.read(60.0, Freshness.FRESH, 40.0)).blind_since is None
    assert (await scene.read(120.0, Freshness.EMPTY)).blind_since == T + 120.0


async def test_the_next_days_first_miss_is_blind_since_then_and_not_since_yesterday() -> None:
    scene = Scene()
    await scene.read(0.0, Freshness.FRESH, 40.0)
    scene.want(False)
    scene.clock.at = T + 86_400.0
    scene.want()
    assert scene.told().freshness is Freshness.STALE
    assert scene.told().blind_since == T + 86_400.0, "also before anybody has asked again"
    assert (await scene.read(86_410.0, Freshness.UNREACHABLE)).blind_since == T + 86_400.0


async def test_a_blindness_on_record_ends_when_nobody_asks_any_more() -> None:
    scene = Scene()
    for at in (0.0, 90.0):
        await scene.read(at, Freshness.EMPTY)
    assert scene.reader.blindness.samples() == {KEY: T}
    scene.want(False)
    assert scene.reader.blindness.samples() == {}
    scene.clock.at = T + 86_400.0
    scene.want()
    assert (await scene.read(86_400.0, Freshness.EMPTY)).blind_since == T + 86_400.0


async def test_a_blindness_on_record_is_not_that_of_another_query_under_the_same_name() -> None:
    scene = Scene()
    for at in (0.0, 90.0):
        await scene.read(at, Freshness.EMPTY)
    edited = {KEY: SignalSpec("orders", "sum(orders_total)", 120.0)}
    scene.reader.want(edited, wanted=frozenset(edited))
    assert scene.reader.blindness.samples() == {}
    assert (await scene.read(100.0, Freshness.EMPTY)).blind_since == T + 90.0


async def test_what_nobody_read_is_blind_since_it_grew_stale() -> None:
    scene = Scene()
    await scene.read(0.0, Freshness.FRESH, 40.0)
    scene.clock.at = T + 500.0
    assert (scene.told().freshness, scene.told().blind_since) == (Freshness.STALE, T + 120.0)
    assert (await scene.read(500.0, Freshness.EMPTY)).blind_since == T + 120.0


async def test_a_signal_that_was_never_good_is_blind_since_it_was_wanted() -> None:
    scene = Scene()
    scene.clock.at = T + 10.0
    assert (await scene.read(20.0, Freshness.UNREACHABLE)).blind_since == T
    assert (await scene.read(90.0, Freshness.EMPTY)).blind_since == T


async def test_two_samples_confirm_and_a_bad_answer_keeps_what_was_confirmed() -> None:
    scene = Scene()
    assert (await scene.read(0.0, Freshness.FRESH, 40.0)).confirmed is None
    assert (await scene.read(60.0, Freshness.FRESH, 41.0)).confirmed == 40.0
    assert (await scene.read(120.0, Freshness.UNREACHABLE)).confirmed == 40.0


async def test_a_signal_that_is_wanted_again_has_nothing_confirmed() -> None:
    scene = Scene()
    await scene.read(0.0, Freshness.FRESH, 40.0)
    await scene.read(60.0, Freshness.FRESH, 40.0)
    scene.want(False)
    scene.want()
    assert scene.told().confirmed is None
    assert (await scene.read(120.0, Freshness.FRESH, 40.0)).confirmed is None


async def test_a_sample_far_ahead_of_our_clock_is_suspect() -> None:
    scene = Scene()
    assert (await scene.read(0.0, Freshness.FRESH, 40.0, age=-SKEW)).freshness is Freshness.FRESH
    ahead = await scene.read(60.0, Freshness.FRESH, 9000.0, age=-SKEW - 1.0)
    assert (ahead.freshness, ahead.value, ahead.blind_since) == (Freshness.FUTURE, 40.0, T + 60.0)
