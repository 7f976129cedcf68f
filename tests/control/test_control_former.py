"""Which levels of loans that are over may still come back as somebody's late copy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Thing, key_of, operator, run_until
from sites import place
from worlds import CORE, T0

from tidegate.control.former import FORMER_SECONDS, STEP, Former
from tidegate.ports import Ended, Loan


def loan(**how: object) -> Loan:
    made = Loan(key_of(place()), place(), CORE, "order", 2, None, 10, 10, 10, T0, T0, T0 + 600.0, 1, levels=(10, 6, 2))
    return replace(made, **how)  # type: ignore[arg-type]


def passing(clock: HandClock, former: Former, seconds: float) -> None:
    """Time goes by, and it is looked at several times a minute."""
    until = clock.at + seconds
    while clock.at < until:
        clock.at = min(until, clock.at + 15.0)
        former.by_borrower()


def test_the_levels_of_a_loan_that_ended_are_known_for_a_quarter_of_an_hour() -> None:
    clock = HandClock(T0)
    former = Former(clock)
    former.ended(loan())
    assert former.levels(place(), 2) == (10, 6)
    assert former.levels(place(), 6) == (10,), "what the owner has there now is his"
    passing(clock, former, FORMER_SECONDS)
    assert former.levels(place(), 2) == (10, 6)
    passing(clock, former, 15.0)
    assert (former.levels(place(), 2), former.by_borrower()) == ((), {})


def test_a_loan_whose_level_was_never_seen_there_leaves_nothing() -> None:
    former = Former(HandClock(T0))
    former.ended(loan(verified=None))
    assert former.by_borrower() == {}


@pytest.mark.parametrize("by", [-86_400.0, STEP + 1.0, 86_400.0])
def test_a_clock_that_is_set_makes_no_level_old_nor_young(by: float) -> None:
    clock = HandClock(T0)
    former = Former(clock)
    former.ended(loan())
    passing(clock, former, 600.0)
    clock.at += by
    former.by_borrower()
    assert former.levels(place(), 2) == (10, 6)
    passing(clock, former, 330.0)
    assert former.levels(place(), 2) == ()


def test_what_others_end_during_a_stop_is_noted_when_it_is_seen_gone() -> None:
    former = Former(HandClock(T0))
    former.watch([loan()])
    assert former.by_borrower() == {}
    former.watch([])
    assert former.levels(place(), 2) == (10, 6)


@pytest.mark.parametrize("watched", [True, False], ids=["watched during a stop", "known before"])
def test_what_is_gone_when_all_loans_are_read_anew_was_ended_by_somebody_else(watched: bool) -> None:
    former = Former(HandClock(T0))
    former.watch([loan()] if watched else [])
    former.read_anew(before=[] if watched else [loan()], there=[])
    assert former.levels(place(), 2) == (10, 6)


def test_what_is_there_still_has_not_ended() -> None:
    former = Former(HandClock(T0))
    former.watch([loan()])
    former.read_anew(before=[], there=[loan()])
    former.watch([])
    assert former.by_borrower() == {}


def test_what_a_former_life_saw_end_counts_by_its_own_time() -> None:
    clock = HandClock(T0)
    former = Former(clock)
    former.recall(CORE, [Ended(place().id, T0 - 600.0, (10,))])
    assert former.levels(place(), 2) == (10,)
    passing(clock, former, 330.0)
    assert former.levels(place(), 2) == ()


async def test_loans_that_a_release_ends_during_a_stop_are_noticed_by_the_loop() -> None:
    cluster = FakeCluster(HandClock(T0), {"order": Thing()})
    store = FakeStore({}, {}, is_stopped=True)
    cluster.loans[loan().key] = loan()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 30.0)
    cluster.loans.clear()
    await run_until(loop, cluster.clock, T0 + 60.0)
    store.is_stopped = False
    await run_until(loop, cluster.clock, T0 + 90.0)
    assert loop.ledger.former.levels(place(), 2) == (10, 6)
