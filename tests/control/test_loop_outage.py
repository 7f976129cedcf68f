"""Prometheus is down, or demand fell sharply, and the leader dies in the middle of it: the next one's floor is the one
that the last one would have kept, raised and given back to the same instants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Shelf, Sink, Thing, key_of
from worlds import CORE, T0, policy, target

from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.control.loop import Loop, LoopSettings
from tidegate.planning.model import Freshness, Key, Live, PlanSettings, Reading, SignalSpec
from tidegate.ports import Learned

BEAT = 15.0
HOUR = 3_600.0
LEARNED = 1.1 * HOUR
"""How long the first leader has followed demand when something happens."""

Demand = Callable[[float], float | None]
"""Of a signal so many seconds after that; None: there is no answer."""


@dataclass
class Kept(Shelf):
    """What was learned, as it comes through the API."""

    falls: set[float] = field(default_factory=set)
    """Times of falls that were put on record."""
    blind: set[float] = field(default_factory=set)

    async def save(self, one: Learned) -> None:
        self.falls |= {grown.high_at for grown in one.growth.values() if grown.high_at}
        self.blind |= set(one.blind.values())
        await super().save(learned_from_object(learned_to_object(one, Key("shop", "x"))))


@dataclass
class Site:
    """A workload that a policy follows, and its leader."""

    demand: Demand
    blind_max: float = 1800.0
    shelf: Kept = field(default_factory=Kept)
    clock: HandClock = field(default_factory=lambda: HandClock(T0 - LEARNED))
    cluster: FakeCluster = field(init=False)
    loop: Loop = field(init=False)
    epoch: int = 0

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.clock, {"order": Thing()})
        made = policy(target(capacity=(("orders", 10.0),)), live=Live(), rate=0.1, blind_max=self.blind_max)
        made = replace(made, signals=(SignalSpec("orders", "orders"),))
        self.store = FakeStore({CORE: made}, {})
        self.lead_anew()

    def lead_anew(self) -> None:
        """A new process leads: nothing but the cluster is remembered."""
        self.epoch += 1
        self.loop = Loop(
            clock=self.clock, store=self.store, targets=self.cluster, metrics=self, book=self.cluster, key_of=key_of,
            leadership=Leader(epoch=self.epoch), events=Sink(), learned=self.shelf, settings=LoopSettings(),
            plan_settings=PlanSettings(fail_over=0.0, reaction=0.0, creation_rate=1000.0),
        )  # fmt: skip

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """See ``ports.MetricsSource``."""
        value = self.demand(now - T0)
        if value is None:
            return Reading(Freshness.UNREACHABLE, None, now, "no connection to Prometheus: Connection refused")
        return Reading(Freshness.FRESH, value, now - 10.0, stamp=now - 10.0)

    async def until(self, seconds: float) -> list[tuple[object, ...]]:
        """What is decided at each beat until so many seconds after T0: of the level, and the level itself."""
        said = []
        while self.clock.at < T0 + seconds:
            self.clock.at += BEAT
            beat = await self.loop.turn()
            assert beat is not None
            one = beat.plan.targets[CORE, "order"]
            said.append((self.clock.at - T0, one.level, one.action, one.until, one.next_at, one.next_level))
        return said


def wave(at: float) -> float:
    """Ordinary demand, 2,000 with some noise."""
    return 2_000.0 + 150.0 * math.sin(at / 700.0) + 11.0 * (at // BEAT % 7)


def down(begin: float, end: float = math.inf) -> Demand:
    """Prometheus does not answer."""
    return lambda at: None if begin <= at < end else wave(at)


def fallen(share: float) -> Demand:
    """Most users cannot come."""
    return lambda at: wave(at) * (share if at >= 0.0 else 1.0)


async def lives(demand: Demand, death: float, until: float, **given: float) -> tuple[list[object], list[object]]:
    """What is said from the death on by one that lived on, and by the next one."""
    found: list[list[object]] = []
    for dies in (False, True):
        site = Site(demand, **given)
        await site.until(death)
        if dies:
            site.lead_anew()
        found.append(list(await site.until(until)))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("death", "blind_max"),
    [(600.0, 1800.0), (HOUR, 1800.0), (HOUR, 2 * HOUR), (3 * HOUR, 4 * HOUR)],
    ids=["10 min of 30", "1 h of 30 min", "1 h of 2 h", "3 h of 4 h"],
)
async def test_who_leads_in_the_middle_of_an_outage_of_prometheus_says_what_the_last_one_would_have(
    death: float, blind_max: float
) -> None:
    last, following = await lives(down(0.0), death, max(death, blind_max) + 900.0, blind_max=blind_max)
    assert following == last
    levels = [one[1] for one in following]  # type: ignore[index]
    assert levels[-1] < levels[0], "it does come down in the end"
    assert death > blind_max or levels[0] == levels[20] > 100, "raised by what was measured alone"


async def test_leaders_that_die_one_after_the_other_do_not_keep_a_level_for_ever() -> None:
    site = Site(down(0.0))
    for minutes in range(10, 90, 10):
        said = await site.until(60.0 * minutes)
        site.lead_anew()
    levels = [one[1] for one in said]
    assert max(levels) < 20  # type: ignore[type-var,operator]


async def test_a_blindness_that_is_over_counts_no_more_for_the_next_one() -> None:
    demand = down(0.0, 1200.0)
    site = Site(lambda at: None if at >= 1500.0 else demand(at))
    await site.until(1500.0)
    assert site.shelf.objects[CORE].blind == {}
    site.lead_anew()
    said = await site.until(1500.0 + 1700.0)
    assert min(one[1] for one in said) > 100  # type: ignore[type-var,operator]


async def test_some_missed_answers_are_no_reason_to_write() -> None:
    site = Site(lambda at: None if 0.0 <= at < 45.0 else wave(at))
    await site.until(300.0)
    assert site.shelf.blind == set()


@pytest.mark.parametrize("death", [15.0, 120.0, 600.0])
async def test_after_a_sharp_fall_the_next_ones_floor_comes_down_as_slowly(death: float) -> None:
    last, following = await lives(fallen(0.2), death, 900.0)
    for mine, its in zip(last, following, strict=True):
        assert its[1] >= 0.96 * mine[1] - 1  # type: ignore[index]
        assert its[1] <= 1.1 * mine[1] + 1  # type: ignore[index]


async def test_a_fall_is_recorded_once_and_what_wavers_no_more_than_once_a_minute() -> None:
    fell, wavers = Site(fallen(0.2)), Site(lambda at: wave(at) * (0.7 if at // 120.0 % 2 else 1.0))
    for site in (fell, wavers):
        await site.until(900.0)
    assert len(fell.shelf.falls) == 1
    assert len(wavers.shelf.falls) <= (LEARNED + 900.0) / 120.0
