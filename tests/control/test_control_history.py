"""What signals were before they were followed teaches as if it had been read then, and costs nobody anything."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from fakes import HandClock, Leader
from test_control_forecaster import POLICY, SIGNAL, book, policy, show

from tidegate.control.confirmation import Confirmation
from tidegate.control.forecaster import KEPT_EVERY, Forecaster
from tidegate.control.history import AGE, LEAST_POINTS, MOST_ASKED, MOST_TRIES, POINTS, SLICE, SOON, History, Past
from tidegate.control.rounds import Job
from tidegate.planning.growth import BRIDGED, STEP
from tidegate.planning.model import Announcement, Freshness, Key, Policy, Reading
from tidegate.ports import Grown, PastPage, UnavailableError

NOW = 86_400.0
HOURS = 3_600.0
SPAN = 60.0


def demand(at: float) -> float:
    """A wave with a period of two hours, and its noise."""
    return 1_000.0 + 300.0 * math.sin(at / 1_146.0) + 7.0 * ((at // STEP) % 5)


async def at_once(spent: float) -> None:
    await asyncio.sleep(0)


@dataclass
class Archive:
    """A Prometheus that remembers; what was asked for, and when it does not answer."""

    value: Callable[[float], float] = demand
    fails: Callable[[int], bool] = lambda number: False
    holds: Callable[[], Awaitable[None]] | None = None
    span: float = SPAN
    asked: list[tuple[str, float, int]] = field(default_factory=list)
    under_way: int = 0

    async def page(self, query: str, *, begin: float, step: float, count: int) -> PastPage:
        self.asked.append((query, begin, count))
        self.under_way += 1
        assert self.under_way == 1, "one page at a time"
        try:
            await asyncio.sleep(0)
            if self.holds is not None:
                await self.holds()
            if self.fails(len(self.asked)):
                raise UnavailableError("no connection to Prometheus: Connection refused")
        finally:
            self.under_way -= 1
        return PastPage(tuple(self.value(begin + place * step) for place in range(count)), self.span)


@dataclass
class Site:
    """A leader that follows signals, and the archive it may ask."""

    archive: Archive = field(default_factory=Archive)
    events: tuple[Announcement, ...] = ()
    hours: float = 8.0
    clock: HandClock = field(default_factory=lambda: HandClock(NOW))
    leader: Leader = field(default_factory=Leader)
    forecaster: Forecaster = field(default_factory=Forecaster)
    known: bool = True
    history: History = field(init=False)

    def __post_init__(self) -> None:
        told, reach = (lambda policy, since, until: self.events), self.hours * HOURS
        past = Past(self.archive, told, at_once, time.perf_counter, reach)
        self.history = History(past, self.forecaster, self.clock, self.leader, lambda now: self.known)

    def gives_way(self, rest: Callable[[float], Awaitable[None]], spent: Callable[[], float]) -> None:
        self.history.past = replace(self.history.past, rest=rest, spent=spent)

    def follow(self, *policies: Policy) -> Site:
        self.forecaster.want({one.key: one for one in policies or (policy(),)}, {})
        return self

    async def turn(self) -> Job | None:
        jobs = self.history.due(self.clock.at)
        assert len(jobs) <= 1
        for job in jobs:
            await self.history.do(job)
        return jobs[0] if jobs else None

    async def all(self) -> list[Job]:
        """Until nothing is left to do, however long that takes."""
        done = []
        for _ in range(200):
            if job := await self.turn():
                done.append(job)
            elif (at := self.history.next_at(self.clock.at)) is not None:
                self.clock.at = at
            else:
                return done
        raise AssertionError("it never ends")


def named(name: str, namespace: str = "shop") -> Policy:
    made = policy()
    return replace(made, key=Key(namespace, name), signals=(replace(made.signals[0], query=f"q{name}"),))


def read_then(since: float, until: float) -> list[tuple[float, Reading]]:
    """What would have been read at each step."""
    found, confirmation, at = [], Confirmation(), since
    while at <= until:
        read = Reading(Freshness.FRESH, demand(at), at - AGE, stamp=at - AGE, span=SPAN)
        confirmation.take(read, at)
        found.append((at, replace(read, confirmed=confirmation.confirmed)))
        at += STEP
    return found


# ---- what it learns


@pytest.mark.parametrize("pods", [1, 4])
async def test_one_bad_scrape_of_the_past_is_told_at_each_step_and_raises_no_floor(pods: int) -> None:
    """Each pod is scraped once a minute, and a range tells the last value of each every 15 s."""

    def value(at: float) -> float:
        scrapes = [math.floor((at - STEP * pod) / 60.0) for pod in range(pods)]
        return sum(1e6 if pod == 0 and place == -20 else 1_000.0 + place % 7 for pod, place in enumerate(scrapes))

    site = Site(Archive(lambda at: value(at - NOW), span=0.0)).follow()
    await site.all()
    told = site.forecaster.take(SIGNAL, Reading(Freshness.FRESH, pods * 1_000.0, NOW, confirmed=pods * 1_000.0), NOW)
    assert site.forecaster.known[SIGNAL].steps > 1_000
    assert max(most for _, most in told.ahead) < 2_500.0 * pods


async def test_a_value_of_the_past_that_stays_is_believed_within_minutes() -> None:
    """One that stands still for longer than Prometheus shows a sample was scraped again."""
    site = Site(Archive(lambda at: demand(at) if at < NOW - 0.25 * HOURS else 50_000.0, span=0.0)).follow()
    await site.all()
    assert 50_000.0 <= site.forecaster.known[SIGNAL].ahead()[0][1] < 100_000.0


@pytest.mark.parametrize("hours", [1.0, 8.0, 24.0])
async def test_the_past_teaches_what_reading_it_then_would_have_taught_event_by_event(hours: float) -> None:
    events = tuple(show(NOW - ago * HOURS, 500.0, f"s{ago}") for ago in (3, 6))
    site = Site(events=events, hours=hours).follow()
    await site.all()
    live = Forecaster()
    live.want({POLICY: policy()}, {})
    live.study(SIGNAL, read_then(NOW - hours * HOURS, NOW), book(events))
    assert site.forecaster.known[SIGNAL].packed() == live.known[SIGNAL].packed()
    assert site.forecaster.announced[SIGNAL].hosts == live.announced[SIGNAL].hosts
    assert [begin for _, begin, _ in site.archive.asked] == sorted({begin for _, begin, _ in site.archive.asked})
    assert max(count for _, _, count in site.archive.asked) <= POINTS


async def test_what_is_read_live_meanwhile_counts_once_and_stands_until_the_past_has_caught_up() -> None:
    site = Site().follow()
    live = site.forecaster.known[SIGNAL]

    async def a_minute_passes() -> None:
        for _ in range(4):
            site.clock.at += STEP
            reading = Reading(Freshness.FRESH, demand(site.clock.at), site.clock.at - AGE, confirmed=1_000.0)
            told = site.forecaster.take(SIGNAL, reading, site.clock.at)
            assert told.ahead, "the live floor works as ever"

    site.archive.holds = a_minute_passes
    await site.turn()
    assert site.forecaster.known[SIGNAL] is live
    site.archive.holds = None
    await site.all()
    known = site.forecaster.known[SIGNAL]
    steps = (site.clock.at - (NOW - 8 * HOURS)) / STEP
    forecast_within = known.reaches / STEP + BRIDGED + 8
    assert known is not live
    assert steps - forecast_within <= known.steps <= steps, "each step once: those whose outcome is known"


async def test_a_reading_after_it_goes_on_from_the_last_page_without_a_gap() -> None:
    site = Site().follow()
    await site.all()
    now = site.clock.at + STEP
    told = site.forecaster.take(SIGNAL, Reading(Freshness.FRESH, demand(now), now - AGE, confirmed=1_000.0), now)
    steps = site.forecaster.known[SIGNAL].steps
    assert told.ahead
    site.forecaster.take(SIGNAL, Reading(Freshness.FRESH, 1_000.0, now, confirmed=1_000.0), now + STEP)
    assert site.forecaster.known[SIGNAL].steps == steps + 1, "outcomes are learned on, as after no restart"


async def test_a_past_that_has_seen_less_than_we_have_is_left_alone_and_both_are_recorded_at_once() -> None:
    site = Site(archive=Archive(value=lambda at: math.nan)).follow()
    for place in range(200):
        at = NOW - STEP * (200 - place)
        site.forecaster.take(SIGNAL, Reading(Freshness.FRESH, demand(at), at - AGE, confirmed=1_000.0), at)
    live = site.forecaster.known[SIGNAL]
    await site.all()
    assert site.forecaster.known[SIGNAL] is live
    kept = site.forecaster.samples()[SIGNAL]
    assert (kept.since, kept.past) == (NOW - STEP * 200, 0.0)


async def test_gaps_stay_gaps_and_how_far_back_there_was_anything_is_recorded() -> None:
    site = Site(archive=Archive(value=lambda at: math.nan if at < NOW - 2 * HOURS else demand(at))).follow()
    await site.all()
    assert site.forecaster.samples()[SIGNAL].past == pytest.approx(2 * HOURS, abs=2 * STEP)


async def test_one_bad_scrape_of_the_past_teaches_no_growth_of_a_thousandfold() -> None:
    calm, spiked = Site(archive=Archive(value=lambda at: 100.0)).follow(), Site().follow()
    spiked.archive.value = lambda at: 100_000.0 if at == NOW - HOURS else 100.0
    await calm.all()
    await spiked.all()
    most = [max(value for _, value in site.forecaster.known[SIGNAL].ahead()) for site in (calm, spiked)]
    assert most[1] <= 1.3 * most[0]


# ---- of what, and when


async def test_what_is_on_record_is_not_asked_for_again() -> None:
    first = Site().follow()
    await first.all()
    second = Site()
    second.forecaster.recall(first.forecaster.samples())
    second.follow()
    assert await second.all() == []
    assert second.archive.asked == []
    assert second.forecaster.known[SIGNAL].steps == first.forecaster.known[SIGNAL].steps
    assert second.forecaster.apart(SIGNAL).known[SIGNAL].steps == 0


async def test_an_edited_query_is_another_signal_with_a_past_of_its_own() -> None:
    site = Site().follow()
    await site.all()
    edited = replace(policy(), signals=(replace(policy().signals[0], query="other"),))
    site.follow(edited)
    await site.all()
    assert {query for query, _, _ in site.archive.asked} == {"orders", "other"}


async def test_a_query_that_is_edited_while_a_page_is_under_way_learns_nothing_of_the_old_one() -> None:
    site = Site().follow()
    edited = replace(policy(), signals=(replace(policy().signals[0], query="other"),))

    async def edit() -> None:
        site.archive.holds = None
        site.follow(edited)

    site.archive.holds = edit
    await site.turn()
    assert site.forecaster.known[SIGNAL].steps == 0
    await site.all()
    assert [query for query, _, _ in site.archive.asked][:2] == ["orders", "other"]
    assert site.archive.asked[1][1] == NOW - 8 * HOURS, "from its beginning"


async def test_nothing_is_asked_before_we_lead_and_know_what_is_on_record() -> None:
    site = Site(known=False).follow()
    assert await site.all() == []
    site.known, site.leader.leads = True, False
    assert await site.all() == []
    site.leader.leads = True
    assert await site.all() != []


@pytest.mark.parametrize("epoch", [1, 2], ids=["led by nobody", "led anew"])
async def test_it_ends_with_the_leadership_in_the_middle_of_a_page_and_begins_anew_with_the_next(epoch: int) -> None:
    site = Site().follow()
    rests = itertools.count()

    async def lost(spent: float) -> None:
        if next(rests) == 3:
            site.leader.leads, site.leader.epoch = epoch == 2, epoch

    ticks = itertools.count()
    site.gives_way(lost, lambda: next(ticks) * 0.001)
    await site.turn()
    assert next(rests) <= 5, "it stopped within a slice or two"
    assert site.forecaster.known[SIGNAL].steps == 0
    site.leader.leads, site.leader.epoch = True, 2
    await site.all()
    assert [begin for _, begin, _ in site.archive.asked[:2]] == [NOW - 8 * HOURS] * 2


async def test_what_is_still_to_be_learned_of_is_not_recorded_as_all_there_is() -> None:
    site = Site().follow()
    for place in range(round(3 * KEPT_EVERY / STEP)):
        at = NOW + STEP * place
        site.forecaster.take(SIGNAL, Reading(Freshness.FRESH, demand(at), at - AGE, confirmed=1_000.0), at)
    assert site.forecaster.samples() == {}


# ---- what it costs


async def test_it_gives_way_every_few_milliseconds() -> None:
    site = Site(events=tuple(show(NOW - 9_000.0, 5.0, f"s{n}") for n in range(30))).follow()
    ticks, rested = itertools.count(), []

    async def rest(spent: float) -> None:
        rested.append(spent)

    site.gives_way(rest, lambda: next(ticks) * 0.001)
    await site.all()
    assert len(rested) >= 1_920 / 10, "a reading takes a tick or two"
    assert max(rested) <= SLICE + 0.003


async def test_tenants_take_turns_and_no_tenant_has_more_than_one_signal_begun() -> None:
    many = [named(f"p{number}", "crowd") for number in range(12)]
    site = Site(hours=SOON * 3 * STEP / HOURS).follow(*many, named("one", "small"))
    done = await site.all()
    tenants = [job.tenant for job in done]
    assert tenants[:3].count("small") >= 1
    assert len({job.key for job in done}) == 13
    begun = [job.key for job in done if job.tenant == "crowd"]
    assert begun == sorted(begun, key=lambda key: begun.index(key)), "one signal of a tenant after the other"


async def test_a_tenant_whose_pages_fail_keeps_nobody_waiting() -> None:
    site = Site(hours=1.0).follow(*(named(f"p{number}", "crowd") for number in range(12)), named("one", "small"))
    inner = site.archive.page

    async def page(query: str, *, begin: float, step: float, count: int) -> PastPage:
        if query != "qone":
            raise UnavailableError("no whole answer from Prometheus in 20 s")
        return await inner(query, begin=begin, step=step, count=count)

    site.archive.page = page  # type: ignore[method-assign]
    for _ in range(4):
        await site.turn()
    assert site.forecaster.known[Key("small", "one"), "orders"].steps > 0


# ---- what goes wrong


async def test_a_page_that_failed_is_tried_again_later_with_fewer_points_and_the_rest_is_whole() -> None:
    site = Site(archive=Archive(fails=lambda number: number in (2, 3)), hours=24.0).follow()
    await site.all()
    counts = [count for _, _, count in site.archive.asked]
    assert counts[0] == POINTS
    assert site.clock.at >= NOW + 90.0, "pauses of 30 and 60 s"
    assert site.forecaster.known[SIGNAL].steps >= 24 * HOURS / STEP - 60
    retried = Site(archive=Archive(fails=lambda number: number <= 4), hours=24.0).follow()
    await retried.all()
    counts = [count for _, _, count in retried.archive.asked]
    assert counts[:5] == [POINTS, POINTS // 2, POINTS // 4, POINTS // 8, max(LEAST_POINTS, POINTS // 16)]


async def test_it_is_given_up_after_bounded_tries_said_once_and_what_is_live_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(archive=Archive(fails=lambda number: True)).follow()
    with caplog.at_level(logging.WARNING, "tidegate.history"):
        await site.all()
    assert len(site.archive.asked) == MOST_TRIES
    said = "shop/core/orders: nothing is learned of its past, only of what is read from now on"
    why = "no connection to Prometheus: Connection refused"
    assert [record.getMessage() for record in caplog.records] == [f"{said}: {why}"]
    assert site.clock.at - NOW >= 3_600.0, "not because of an outage of some minutes"
    assert site.forecaster.samples() == {}, "nothing is known yet: the next leader tries again"


async def test_a_query_that_keeps_prometheus_busy_is_given_up() -> None:
    site = Site(hours=24.0 * 14).follow()
    taken = itertools.count()
    site.gives_way(at_once, lambda: next(taken) * MOST_ASKED / 4.0)
    await site.turn()
    for _ in range(8):
        await site.turn()
    assert len(site.archive.asked) <= 5
    assert SIGNAL not in site.forecaster.pending


async def test_without_a_past_nothing_waits_for_one() -> None:
    made = Forecaster()
    made.want({POLICY: policy()}, {})
    assert made.pending == set()


async def test_what_was_kept_tells_since_when_to_the_next_leader() -> None:
    site = Site().follow()
    await site.all()
    kept = site.forecaster.samples()[SIGNAL]
    second = Forecaster()
    second.recall({SIGNAL: kept})
    second.want({POLICY: policy()}, {})
    at = site.clock.at
    for place in range(round(KEPT_EVERY / STEP) + 2):
        second.take(SIGNAL, Reading(Freshness.FRESH, 1_000.0, at, confirmed=1_000.0), at + place * STEP)
    again: Grown = second.samples()[SIGNAL]
    assert (again.since, again.past) == (kept.since, kept.past)
    assert again.packed != kept.packed
