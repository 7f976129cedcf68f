"""What is due of the work on a pool, as wishes of fields: notices, stops, returns, and what no pool speaks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Sink
from sites import POOL, Site, nobody, place, terms
from worlds import NS, T0

from tidegate.control import drains
from tidegate.control.poolwork import PATIENCE
from tidegate.control.reader import SignalKey
from tidegate.control.wishes import Kind, Wish
from tidegate.control.writer import Writer
from tidegate.planning.decision import Plan, PoolView
from tidegate.planning.model import Freshness, Key, Reading
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.handover import Act, Do
from tidegate.planning.shift.inputs import TimetableInputs
from tidegate.planning.shift.model import Drain, Mark, MemberRef, Notice, PoolFacts, Promised, WorkSpec
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.step import step
from tidegate.ports import PoolSight

NOTICES = (Notice(8, T0 - 60.0), Notice(6, T0 - 30.0), Notice(4, T0))
MARK = Mark(
    10,
    10,
    T0,
    notices=NOTICES,
    free_by=T0 + 120.0,
    until=T0 + 600.0,
    promises=(Promised(T0 + 900.0, 6),),
    needs=("shop/core",),
)


NOTICE = (
    "will go from 10 to 4 at 2026-11-09T16:02:00Z for a peak"
    " (CapacityPool p, lane data), planned back at 2026-11-09T16:10:00Z"
)


def act(do: Do, *, level: int = 10, mark: Mark = MARK) -> Act:
    return Act(do, place().ref, "data", 10, level, mark, Reason.NOTICE_GIVEN, "")


def plan(*acts: Act) -> Plan:
    inputs = TimetableInputs(POOL, PoolFacts(Resources(8000, 8192), {}, ()), (), (), T0, 0.0)
    made = timetable(inputs).plan
    todo = replace(step(POOL, inputs.facts, made, T0), acts=acts)
    return Plan(T0, {}, {}, (), None, {"p": PoolView(inputs, made, todo, None, None, False)})


def wishes(site: Site, *acts: Act) -> list[Wish]:
    return list(site.work.wishes(plan(*acts), {"p": POOL}, frozenset(), T0))


async def test_a_notice_tells_the_last_level_and_stores_the_mark(site: Site) -> None:
    await site.look()
    (wish,) = wishes(site, act(Do.NOTIFY))
    assert (wish.kind, wish.place) == (Kind.RECORD, place())
    assert wish.notice == NOTICE
    assert wish.terms is not None
    assert wish.terms.until == T0 + 900.0, "the work is back when it was promised"
    assert wish.terms.hand_over is not None
    assert wish.terms.hand_over.notices == NOTICES


async def test_the_notice_of_a_cronjobs_run_says_what_its_cronjob_may_do_meanwhile(site: Site) -> None:
    await site.look()
    look = site.looker.looks["p"]
    (member,) = look.sight.seen.members
    seen = replace(look.sight.seen, members=(replace(member, maker="nightly"),))
    site.looker.looks["p"] = replace(look, sight=replace(look.sight, seen=seen))
    (wish,) = wishes(site, act(Do.NOTIFY))
    assert wish.notice.startswith(NOTICE)
    assert "CronJob/nightly may replace this run or skip runs meanwhile" in wish.notice


async def test_a_record_tells_the_work_nothing(site: Site) -> None:
    await site.look()
    (wish,) = wishes(site, act(Do.RECORD))
    assert (wish.kind, wish.notice) == (Kind.RECORD, "")


@pytest.mark.parametrize("do", [Do.STOP, Do.RESUME])
async def test_a_stop_and_a_start_move_the_level(site: Site, do: Do) -> None:
    await site.look()
    (wish,) = wishes(site, act(do, level=4))
    assert (wish.kind, wish.level) == (Kind.MOVE, 4)
    assert wish.held is not None
    assert wish.held.value == 10


async def test_an_end_returns_the_loan_where_there_is_one(site: Site) -> None:
    await site.look()
    assert wishes(site, act(Do.CLOSE)) == []
    await site.lend(4)
    await site.look()
    (wish,) = wishes(site, act(Do.CLOSE))
    assert wish.kind is Kind.RETURN
    assert wish.loan is not None
    assert wish.loan.original == 10


async def test_nothing_is_due_of_work_that_was_not_seen(site: Site) -> None:
    assert wishes(site, act(Do.STOP, level=4)) == []


async def test_nothing_is_due_of_a_field_that_is_left_to_somebody_else(site: Site) -> None:
    await site.look()
    site.conflicts.give_way(place().id, "argocd keeps setting it", about=place().ref, now=T0)
    assert wishes(site, act(Do.STOP, level=4)) == []


async def test_what_was_written_since_a_look_is_what_the_field_holds(site: Site) -> None:
    await site.look()
    await site.lend(4)
    (wish,) = wishes(site, act(Do.STOP, level=2))
    assert wish.held is not None
    assert wish.held.value == 4


async def test_a_member_that_was_written_since_a_look_is_seen_unless_it_is_left_to_somebody_else(site: Site) -> None:
    await site.look()
    await site.lend(4)
    assert [(one.level, one.seen) for one in site.seen().members] == [(4, True)]
    site.conflicts.give_way(place().id, "argocd keeps setting it", about=place().ref, now=T0)
    assert [one.seen for one in site.seen().members] == [False]


async def test_pods_that_were_seen_before_a_write_tell_nothing_of_what_it_has_started(site: Site) -> None:
    """A watch that is behind shows no pods: those of the last write may be there all the same."""
    site.machines.behind = 5.0
    await site.look()
    site.clock.at += 10.0
    await site.look()
    await site.lend(16)
    for _ in range(3):
        site.clock.at += 2.0
        await site.look()
        assert [one.pods for one in site.seen().occupancy.values()] == [16], "not seen since"
    site.clock.at += 6.0
    await site.look()
    assert site.seen().occupancy == {}, "the watch has lived since: there are none"


async def test_however_many_pools_are_looked_at_it_is_remembered_what_a_watch_tells_of(site: Site) -> None:
    """Fifty pools are looked at 25 times a second, and a watch may be five seconds behind."""
    site.machines.behind = 5.0
    await site.lend(16)
    site.clock.at += 1.0
    for _ in range(500):
        site.clock.at += 0.04
        await site.look()
    assert site.seen().occupancy == {}, "the watch has lived since the write"


async def test_a_clock_that_was_set_back_keeps_no_pod_that_is_gone(site: Site) -> None:
    site.machines.behind = 1.0
    site.clock.at += 86_400.0
    for _ in range(3):
        site.clock.at += 2.0
        await site.look()
    await site.lend(16)
    site.clock.at -= 86_400.0
    for _ in range(4):
        site.clock.at += 2.0
        await site.look()
    assert site.seen().occupancy == {}


# ---- what no pool speaks for


async def test_a_loan_of_a_pool_that_is_gone_is_returned(site: Site) -> None:
    await site.lend(4)
    (wish,) = site.work.wishes(plan(), {}, frozenset(), T0)
    assert (wish.kind, wish.said.reason, wish.said.level) == (Kind.RETURN, Reason.RETURNED, 10)


async def test_a_loan_of_a_pool_that_cannot_be_used_now_stays(site: Site) -> None:
    await site.lend(4)
    assert list(site.work.wishes(plan(), {}, frozenset({"p"}), T0)) == []


async def test_a_loan_of_work_that_is_no_member_any_more_is_returned_once_that_was_seen(site: Site) -> None:
    await site.lend(4)
    assert wishes(site) == [], "nobody has looked yet"
    await site.look()
    assert wishes(site) == [], "it is a member"
    look = site.looker.looks["p"]
    site.looker.looks["p"] = replace(look, sight=PoolSight(PoolSeen(Resources(8000, 8192), {}, ()), {}))
    assert [wish.kind for wish in wishes(site)] == [Kind.RETURN]
    unseen = PoolSight(PoolSeen(Resources(8000, 8192), {}, ()), {}, frozenset({"data"}))
    site.looker.looks["p"] = replace(look, sight=unseen)
    assert wishes(site) == [], "a life that has never seen it may not read it for a moment: it may be there"


# ---- notices of a former life


async def test_a_notice_that_stands_and_that_this_life_has_not_told_is_told_once(site: Site) -> None:
    note = terms().hand_over
    assert note is not None
    await site.ledger.move(
        place(),
        held=site.held(),
        level=4,
        terms=replace(terms(), hand_over=replace(note, notices=NOTICES[-1:], free_by=T0 + 120.0)),
    )
    sink = site.work.events
    assert isinstance(sink, Sink)
    site.work.tell_again(plan())
    site.work.tell_again(plan())
    message = NOTICE
    assert sink.told == [(place().ref, "NoticeGiven", message)]
    assert sink.until == [T0 + 600.0], "it is told again until somebody could read it"


async def test_a_notice_is_told_again_until_the_work_is_planned_to_run_again(site: Site) -> None:
    await site.look()
    sink = site.work.events
    assert isinstance(sink, Sink)
    writer = Writer(site.ledger, site.clock, site.conflicts, sink, lambda: True)
    writer.post(wishes(site, act(Do.NOTIFY)), T0)
    (job,) = writer.due(T0)
    await writer.do(job)
    assert (sink.told, sink.until) == ([(place().ref, "NoticeGiven", NOTICE)], [T0 + 600.0])
    assert site.ledger.loans[place().id].hand_over is not None, "it is on record"


async def test_a_notice_that_this_life_has_told_is_not_told_again_when_it_is_stored(site: Site) -> None:
    await site.look()
    (wish,) = wishes(site, act(Do.NOTIFY))
    site.work.tell_again(plan())
    assert wish.terms is not None
    await site.ledger.move(place(), held=site.held(), level=10, terms=wish.terms)
    assert isinstance(site.work.events, Sink)
    site.work.tell_again(plan())
    assert (place().ref, "NoticeGiven", wish.notice) not in site.work.events.told


async def test_notices_of_a_pool_on_which_nothing_was_decided_are_not_told(site: Site) -> None:
    note = terms().hand_over
    assert note is not None
    await site.ledger.move(
        place(), held=site.held(), level=4, terms=replace(terms(), hand_over=replace(note, notices=NOTICES))
    )
    site.work.tell_again(replace(plan(), pools={}))
    assert isinstance(site.work.events, Sink)
    assert site.work.events.told == []


# ---- how long machines take to come free


async def test_machines_that_are_seen_free_after_a_stop_are_measured_once(site: Site) -> None:
    note = terms().hand_over
    assert note is not None
    await site.look()  # what leaves while nobody looks is not measured
    stopped = replace(terms(), hand_over=replace(note, stops=(Notice(4, T0),)))
    await site.ledger.move(place(), held=site.held(), level=4, terms=stopped)
    for _ in range(2):
        site.clock.at += 40.0
        await site.look()
    assert site.looker.drains.samples() == {("p", "data"): (40.0,)}


@pytest.mark.parametrize(("guess", "known"), [(30.0, {}), (120.0, {("p", "data"): (100.0,)})])
async def test_a_drain_is_far_from_what_is_usual_by_the_guess_of_its_lane(
    site: Site, guess: float, known: dict[tuple[str, str], tuple[float, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "FAR", 1.0)
    lane = replace(POOL.lanes[1], drain=Drain(seconds=guess))
    site.looker.want({"p": replace(POOL, lanes=(POOL.lanes[0], lane))}, busy=frozenset({"p"}))
    note = terms().hand_over
    assert note is not None
    await site.look()
    stopped = replace(terms(), hand_over=replace(note, stops=(Notice(4, T0),)))
    await site.ledger.move(place(), held=site.held(), level=4, terms=stopped)
    site.clock.at += 100.0
    await site.look()
    assert site.looker.drains.samples() == known


async def test_a_look_that_was_asked_before_the_stop_measures_nothing(site: Site) -> None:
    await site.look()
    await site.lend(4)
    assert site.looker.drains.samples() == {}


QUERIED = MemberRef("order", "apps/v1", "Deployment", NS, "order", work=WorkSpec(T0 + 3600.0, query="left"))
WITH_WORK = replace(POOL, lanes=(POOL.lanes[0], replace(POOL.lanes[1], members=(QUERIED,))))


@pytest.mark.parametrize("freshness", [Freshness.FRESH, Freshness.UNREACHABLE])
async def test_a_new_leader_decides_on_a_pool_once_it_has_asked_how_much_work_is_left(
    site: Site, freshness: Freshness
) -> None:
    """Else what the last one granted would be cut for want of work that may stop."""
    await site.look()
    answer = Reading(freshness, 100.0, T0)
    assert not is_seen(site, {}, T0)
    assert is_seen(site, {(Key("", "p"), "order"): answer}, T0)


async def test_metrics_that_hang_hold_up_a_pool_for_so_long_and_no_longer(site: Site) -> None:
    await site.look()
    assert not is_seen(site, {}, T0)
    assert not is_seen(site, {}, T0 + PATIENCE - 0.1)
    assert is_seen(site, {}, T0 + PATIENCE)


def is_seen(site: Site, readings: dict[SignalKey, Reading], now: float) -> bool:
    worlds = site.work.worlds({"p": WITH_WORK}, {}, readings, None, now, measured={}, places=nobody)
    return worlds["p"].seen is not None
