"""What is announced is held against what came: beside the ends of others, by host, and what a plan makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tidegate.control.announced import Announced, Window
from tidegate.control.forecaster import KEPT_EVERY, Forecaster
from tidegate.planning.book import book_of
from tidegate.planning.hosts import HOST
from tidegate.planning.model import (
    Announcement,
    Freshness,
    Key,
    LeadTimeGuess,
    Live,
    LoanState,
    Moment,
    Observed,
    Occurrence,
    PlanSettings,
    Policy,
    Reading,
    Ref,
    SignalSpec,
    TargetSpec,
)
from tidegate.planning.plan import make_plan
from tidegate.planning.world import World

POLICY = Key("shop", "core")
SIGNAL = (POLICY, "orders")
TARGET = (POLICY, "order")
T0 = 36_000.0
SETTINGS = PlanSettings(creation_rate=1e6, fail_over=0.0, reaction=0.0)


def policy(background: float = 0.0, live: Live | None = None) -> Policy:
    """One unit carries one, and is there within three minutes."""
    target = TargetSpec(
        "order",
        Ref("apps/v1", "Deployment", "shop", "order"),
        (("orders", 1.0),),
        background=(("orders", background),),
        headroom=0.0,
        maximum=100_000,
        lead=LeadTimeGuess(180.0),
    )
    return Policy(POLICY, (target,), (SignalSpec("orders", "orders"),), live=live or Live())


def show(name: str, start: float, level: float, *, length: float = 3600.0, host: str = "") -> Announcement:
    occurrences = (Occurrence(start, length),)
    return Announcement(Key("shop", name), "core", occurrences, (("orders", level),), host=host)


def played(
    came: Callable[[float], float],
    *events: Announcement,
    until: float,
    since: float = T0 - 7200.0,
    core: Policy | None = None,
    span: float = 60.0,
    age: float = 30.0,
) -> tuple[Forecaster, Reading]:
    """Read every 15 s: ``came`` is demand at an instant, a reading is its mean over ``span`` seconds."""
    book = book_of({one.key: one for one in events}, cell=15.0, since=0.0, until=86_400.0)
    made, told, now = Forecaster(book=lambda: book), None, since
    made.want({POLICY: core or policy()}, {})
    while now <= until:
        end = now - age
        points = [came(end - span * (i + 0.5) / 20.0) for i in range(20)] if span else [came(end)]
        value = sum(points) / len(points)
        read = Reading(Freshness.FRESH, value, end, stamp=end, span=span, confirmed=value)
        told = made.take(SIGNAL, read, now)
        now += 15.0
    assert told is not None
    return made, told


def level(reading: Reading, now: float, *events: Announcement, core: Policy | None = None) -> int:
    core, lent = core or policy(), LoanState(1, 20_000, now - 60.0, now - 7200.0)
    there = Observed(level=1, ready=1, desired=1, loan=replace(lent, highest=1))
    world = World({POLICY: core}, {one.key: one for one in events}, observed={TARGET: there})
    made = make_plan(replace(world, readings={SIGNAL: reading}, settings=SETTINGS), now).targets[TARGET]
    assert made.level is not None
    return made.level


def share_of(made: Forecaster) -> Announced:
    return made.announced[SIGNAL]


# ---- what is learned of an opening beside which others end


@pytest.mark.parametrize("announced", [1100.0, 1500.0, 500.0])
def test_after_an_event_that_nobody_came_to_the_next_one_teaches_what_came_of_it(announced: float) -> None:
    events = show("phantom", T0 - 3600.0, 1000.0), show("real", T0, announced)
    made, _ = played(lambda at: 20.0 + (announced if at >= T0 else 0.0), *events, until=T0 + 300.0)
    assert share_of(made).hosts.all.events == 2.0
    assert share_of(made).hosts.all.mean == pytest.approx((0.0 + 1.0) / 2.0, abs=0.04)


def test_of_an_event_that_begins_as_another_ends_half_came() -> None:
    events = show("first", T0 - 3600.0, 1000.0), show("second", T0, 1500.0)
    made, _ = played(lambda at: 750.0 if at >= T0 else 1000.0, *events, until=T0 + 300.0, since=T0 - 1800.0)
    assert share_of(made).hosts.all.mean == pytest.approx(0.5, abs=0.02)


def test_a_gauge_that_is_read_at_the_very_t_0_teaches_as_well() -> None:
    event = show("show", T0, 1000.0)
    made, _ = played(lambda at: 1100.0 if at > T0 else 100.0, event, until=T0 + 300.0, span=0.0, age=15.0)
    assert (share_of(made).hosts.all.events, share_of(made).hosts.all.mean) == (1.0, pytest.approx(1.0, abs=0.02))


# ---- what is prepared for


def test_an_event_that_nobody_came_to_takes_nothing_from_the_next_opening() -> None:
    """A floor that goes down into an opening is the worst there is."""
    phantom, real = show("phantom", T0 - 3600.0, 1000.0), show("real", T0, 500.0)
    for now in (T0 - 150.0, T0 - 30.0, T0 + 15.0):
        _, beside = played(lambda at: 20.0, phantom, real, until=now)
        _, alone = played(lambda at: 20.0, real, until=now)
        assert level(beside, now, phantom, real) >= level(alone, now, real) * 0.75 >= 375


def test_shows_that_follow_one_another_are_each_prepared_for_as_if_they_were_alone() -> None:
    first, second = show("first", T0 - 3600.0, 1000.0), show("second", T0, 1000.0)
    _, told = played(lambda at: 500.0, first, second, until=T0 - 120.0, since=T0 - 1800.0)
    assert 1000 <= level(told, T0 - 120.0, first, second) <= 1500


def test_what_is_there_without_any_event_is_counted_once() -> None:
    core, event = policy(background=1000.0), show("show", T0, 200.0)
    _, told = played(lambda at: 1000.0, event, until=T0 - 30.0, core=core)
    assert 1200 <= level(told, T0 - 30.0, event, core=core) <= 1000 + 1.27 * 200 + 40


def test_a_later_moment_of_the_event_that_is_on_is_not_taken_for_the_next_ones() -> None:
    drop = Moment(name="drop", signal="orders", offset=3600.0 - 60.0, duration=60.0, factor=3.0)
    first, second = replace(show("first", T0 - 3600.0, 1000.0), moments=(drop,)), show("second", T0, 1000.0)
    _, told = played(lambda at: 1000.0, first, second, until=T0 - 150.0, since=T0 - 1800.0)
    assert level(told, T0 - 150.0, first, second) >= 3000


# ---- by host


def shows(host: str, count: int, *, first: int = 0) -> tuple[Announcement, ...]:
    """Half an hour every two hours, or in the hours between."""
    starts = (T0 + 3600.0 * (first + 2 * n) for n in range(count))
    return tuple(show(f"{host}-{n}", start, 1000.0, length=1800.0, host=host) for n, start in enumerate(starts))


def test_each_host_is_prepared_for_by_what_came_of_his_own_announcements() -> None:
    honest, boaster = shows("lena", 5), shows("otto", 5, first=1)
    events = (*honest, *boaster)

    def came(at: float) -> float:
        return 50.0 + sum(
            1000.0 * (1.0 if one.host == "lena" else 0.5)
            for one in events
            if one.occurrences[0].start <= at < one.occurrences[0].start + 1800.0
        )

    for mine, low, high in ((boaster[-1], 500, 850), (honest[-1], 1000, 1250)):
        now = mine.occurrences[0].start - 60.0
        made, told = played(came, *events, until=now, since=T0 - 3600.0)
        assert low <= level(told, now, *events) - 50 <= high, mine.host
    assert made.announced[SIGNAL].hosts.known[HOST, "otto"].mean == pytest.approx(0.5, abs=0.05)


def test_a_host_whose_shows_rise_without_a_jump_is_prepared_for_by_his_own_too() -> None:
    events = tuple(replace(one, profile="show") for one in (*shows("lena", 6), *shows("otto", 6, first=1)))
    book = book_of({one.key: one for one in events}, cell=15.0, since=0.0, until=T0 + 86_400.0)

    def came(at: float) -> float:
        rises = [one for one in events if -90.0 <= at - one.occurrences[0].start < 1980.0]
        half = any(one.host == "otto" for one in rises)
        return 50.0 + book.announced(*SIGNAL, at, at + 1.0) * (0.5 if half else 1.0)

    prepared = {}
    for mine in (events[-1], events[5]):
        now = mine.occurrences[0].start - 120.0
        _, told = played(came, *events, until=now, since=T0 - 3600.0)
        assert told.opens == ()
        prepared[mine.host] = told.step
    assert (prepared["otto"] or 9.0) <= 0.8 < 0.95 <= (prepared["lena"] or 0.0)


def test_how_demand_moves_as_an_event_ends_is_told_by_what_came_of_its_hosts_announcements() -> None:
    """Half of what he announces goes with him, and no more: that is his show, and no fall to be learned."""
    events = (*shows("lena", 5), *shows("otto", 5, first=1))

    def came(at: float) -> float:
        on = [one.host for one in events if one.occurrences[0].start <= at < one.occurrences[0].start + 1800.0]
        return 50.0 + sum({"lena": 1000.0, "otto": 500.0}[host] for host in on)

    end = events[-1].occurrences[0].start + 1800.0
    made, _ = played(came, *events, until=end - 60.0, since=T0 - 3600.0)
    ending = Window(end - 15.0, end + 45.0, 175.0, end - 15.0, 250.0)
    told = share_of(made).told(made.book(), SIGNAL, ending, end + 75.0, 0.3, 0.0)
    assert told.moved == pytest.approx(math.log(175.0 / 550.0), abs=0.1)


def test_what_came_of_hosts_is_on_record_and_a_host_may_be_forgotten() -> None:
    events = shows("otto", 2)

    def came(at: float) -> float:
        on = any(one.occurrences[0].start <= at < one.occurrences[0].start + 1800.0 for one in events)
        return 50.0 + (500.0 if on else 0.0)

    made, _ = played(came, *events, until=T0 + 14_400.0 + KEPT_EVERY, since=T0 - 600.0)
    heir = Forecaster(book=made.book)
    heir.recall(made.samples())
    heir.want({POLICY: policy()}, {})
    assert heir.announced[SIGNAL].hosts.known == made.announced[SIGNAL].hosts.known
    bare = Forecaster(book=made.book)
    bare.recall({SIGNAL: replace(made.samples()[SIGNAL], packed="", high=9.0, high_at=T0)})
    bare.want({POLICY: policy()}, {})
    assert bare.announced[SIGNAL].hosts.known == made.announced[SIGNAL].hosts.known, "its growth did not fit"
    assert bare.known[SIGNAL].steps == 0
    heir.want({POLICY: policy(live=Live(forgotten=frozenset({"otto"})))}, {})
    assert heir.announced[SIGNAL].hosts.known == {}
    version, now = heir.version, T0 + 30_000.0
    heir.take(SIGNAL, Reading(Freshness.FRESH, 50.0, now, stamp=now, confirmed=50.0), now)
    assert heir.version > version
    assert heir.samples()[SIGNAL].hosts == ()
