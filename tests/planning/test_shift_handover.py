"""The hand-over of one member, state by state: what is said, what is done, and what it waits for."""

from __future__ import annotations

from dataclasses import replace

from pools import CORE, NS, cores, job, lane, loader

from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.handover import Do, HandOver, State, advance
from tidegate.planning.shift.model import Drain, Lane, Mark, Member, Notice, Promised
from tidegate.planning.shift.outcome import Lending

T0 = 1_794_240_000.0
DATA = lane("data", drain=Drain(600.0, 900.0, 60.0), give_back_within=1800.0)
WANTED = Lending(T0 - 660, T0 - 60, T0, T0 + 3600, T0 + 5400, (f"{NS}/core/t",))
PLENTY = cores(1000)


def at(
    now: float,
    member: Member,
    *lendings: Lending,
    its: Lane = DATA,
    room: Resources = PLENTY,
    spare: Resources = PLENTY,
) -> tuple[HandOver, list[Do], Mark | None]:
    """State, what is done, and what is stored then."""
    hand_over, acts = advance(member, its, lendings, now, room=room, spare=spare)
    return hand_over, [act.do for act in acts], acts[-1].mark if acts else member.mark


def told(since: float = T0 - 660) -> Mark:
    return Mark(1, 1, 0.0, (Notice(0, since),), (), T0, T0 + 3600, (), WANTED.needs)


def out(**given: object) -> Mark:
    mark = Mark(1, 0, T0 - 60, (), (Notice(0, T0 - 60),), T0, T0 + 3600, (Promised(T0 + 5400, 1),), WANTED.needs)
    return replace(mark, **given)  # type: ignore[arg-type]


def gone(mark: Mark) -> Member:
    return job("a", level=0, used=NOTHING, mark=mark)


def test_before_its_notice_work_is_planned_and_nothing_is_done() -> None:
    hand_over, done, _ = at(T0 - 700, job("a"), WANTED)
    assert (hand_over.state, hand_over.reason, done) == (State.PLANNED, Reason.HAND_OVER_PLANNED, [])
    assert hand_over.deadline == T0 - 660


def test_work_that_is_not_wanted_has_nothing_to_return() -> None:
    hand_over, done, _ = at(T0, job("a"))
    assert (hand_over.state, done) == (State.RETURNED, [])


def test_notice_is_told_once_and_the_level_stays() -> None:
    hand_over, done, mark = at(T0 - 660, job("a"), WANTED)
    assert (hand_over.state, hand_over.reason, done) == (State.NOTICE, Reason.NOTICE_GIVEN, [Do.NOTIFY])
    assert mark is not None
    assert (mark.asked, mark.notices, hand_over.deadline) == (1, (Notice(0, T0 - 660),), T0 - 60)
    assert at(T0 - 600, job("a", mark=mark), WANTED)[1] == []


def test_a_notice_that_ends_after_the_need_begins_is_said_to_be_late_and_is_kept() -> None:
    mark = told(T0 - 300)
    hand_over, done, _ = at(T0, job("a", mark=mark), WANTED)
    assert (hand_over.state, hand_over.reason, done) == (State.NOTICE, Reason.NOTICE_LATE, [])
    assert hand_over.deadline == T0 + 300


def test_work_stops_when_notice_and_minimum_run_are_over_and_not_before() -> None:
    young = job("a", mark=told(), running_since=T0 - 900 + 30)
    assert at(T0 + 29, young, WANTED)[1] == []
    assert at(T0 + 30, young, WANTED)[1] == [Do.STOP]
    assert at(T0 - 61, job("a", mark=told()), WANTED)[1] == []
    hand_over, done, mark = at(T0 - 60, job("a", mark=told()), WANTED)
    assert (hand_over.state, hand_over.reason, done) == (State.DRAIN, Reason.DRAINING, [Do.STOP])
    assert mark is not None
    assert (mark.asked, mark.promises, hand_over.deadline) == (0, (Promised(T0 + 5400, 1),), T0)


def test_no_stop_touches_the_guarantee() -> None:
    assert at(T0 - 60, job("a", mark=told()), WANTED, spare=CORE - Resources(1, 0))[1] == []


def test_machines_that_are_needed_and_not_seen_free_are_said_to_be_late() -> None:
    hand_over, done, _ = at(T0 + 1, job("a", level=0, mark=out()), WANTED)
    assert (hand_over.state, hand_over.reason, done) == (State.DRAIN, Reason.DRAIN_LATE, [])


def test_machines_seen_free_are_lent_until_the_plan_wants_the_work_back() -> None:
    hand_over, done, _ = at(T0, gone(out()), WANTED)
    assert (hand_over.state, hand_over.reason, done) == (State.LENT, Reason.LENT, [])
    assert hand_over.deadline == T0 + 3600


def test_an_extended_need_is_recorded_and_moves_no_promise() -> None:
    longer = replace(WANTED, until=T0 + 5000, return_by=T0 + 6800)
    hand_over, done, mark = at(T0, gone(out()), longer)
    assert (hand_over.state, done) == (State.LENT, [Do.RECORD])
    assert mark is not None
    assert (mark.until, mark.promises) == (T0 + 5000, (Promised(T0 + 5400, 1),))


def test_a_need_that_ends_early_brings_its_promise_forward() -> None:
    mark = at(T0 + 600, gone(out()), room=NOTHING)[2]
    assert mark is not None
    assert (mark.until, mark.promises) == (T0 + 600, (Promised(T0 + 2400, 1),))


def test_work_waits_for_the_borrowers_machines_and_says_when_that_takes_longer_than_promised() -> None:
    hand_over, _, _ = at(T0 + 3600, gone(out()), WANTED, room=NOTHING)
    assert (hand_over.state, hand_over.reason) == (State.HOLD, Reason.BORROWER_NOT_FREE)
    late, _, _ = at(T0 + 5401, gone(out()), WANTED, room=NOTHING)
    assert (late.state, late.reason, late.deadline) == (State.HOLD, Reason.RETURN_LATE, T0 + 5400)


def test_work_is_started_again_when_there_is_room() -> None:
    hand_over, done, mark = at(T0 + 3600, gone(out()), WANTED, room=CORE)
    assert (hand_over.state, hand_over.reason, done) == (State.GIVE_BACK, Reason.GIVING_BACK, [Do.RESUME])
    assert mark is not None
    assert (mark.asked, mark.promises) == (1, ())


def test_old_pods_must_be_gone_before_new_ones_are_started() -> None:
    assert at(T0 + 3600, job("a", level=0, mark=out()), WANTED)[1] == []


def test_a_loan_ends_only_when_the_original_level_is_read_back() -> None:
    back = out(asked=1, promises=())
    assert at(T0 + 3700, job("a", level=0, used=NOTHING, mark=back))[1] == [Do.RESUME]
    hand_over, done, _ = at(T0 + 3700, job("a", mark=back))
    assert (hand_over.state, hand_over.reason, done) == (State.RETURNED, Reason.RETURNED, [Do.CLOSE])


def test_a_notice_for_nothing_is_withdrawn() -> None:
    hand_over, done, _ = at(T0 - 300, job("a", mark=told()))
    assert (hand_over.state, hand_over.reason, done) == (State.RETURNED, Reason.NOTICE_WITHDRAWN, [Do.CLOSE])


def test_a_stop_that_was_stored_and_not_written_is_written_again() -> None:
    hand_over, done, mark = at(T0 - 55, job("a", mark=out()), WANTED)
    assert (hand_over.state, done, mark) == (State.DRAIN, [Do.STOP], out())


def test_work_that_cannot_be_seen_is_not_touched() -> None:
    hand_over, done, _ = at(T0 + 3600, replace(gone(out()), seen=False), WANTED)
    assert (hand_over.reason, done) == (Reason.MEMBER_UNSEEN, [])


def test_a_notice_given_while_a_stop_is_still_unwritten_is_told_too() -> None:
    mark = Mark(4, 3, T0 - 60, (), (Notice(3, T0 - 60),), T0, T0 + 3600, (Promised(T0 + 5400, 1),), WANTED.needs)
    one = replace(WANTED, notify_at=T0 - 30, stop_at=T0 + 600, free_by=T0 + 660)
    _, done, stored = at(T0 - 30, loader(units=4, mark=mark), WANTED, one)
    assert done == [Do.NOTIFY, Do.STOP]
    assert stored is not None
    assert stored.notices == (Notice(2, T0 - 30),)


def test_units_return_one_by_one_as_there_is_room_and_the_rest_keeps_its_promise() -> None:
    promises = (Promised(T0 + 200, 3),)
    mark = Mark(4, 1, T0 - 600, (), (), T0 - 500, T0, promises, WANTED.needs)
    _, done, stored = at(T0, loader(units=1, mark=mark), room=cores(2))
    assert done == [Do.RESUME]
    assert stored is not None
    assert (stored.asked, stored.promises) == (3, (Promised(T0 + 200, 1),))


def test_units_that_return_leave_the_notice_of_the_others_standing() -> None:
    mark = Mark(12, 9, T0 - 600, (Notice(5, T0 - 200),), (), T0 - 500, T0, (Promised(T0 + 100, 3),), WANTED.needs)
    later = [replace(WANTED, notify_at=T0 - 200, stop_at=T0 + 400, free_by=T0 + 460) for _ in range(4)]
    _, done, stored = at(T0, loader(units=9, mark=mark), *later)
    assert done == [Do.RESUME]
    assert stored is not None
    assert (stored.asked, stored.notices) == (12, (Notice(8, T0 - 200),))
    _, done, stored = at(T0 + 400, loader(units=12, mark=stored), *later)
    assert done == [Do.STOP]
    assert stored is not None
    assert stored.asked == 8


def test_a_further_stop_keeps_only_those_before_it_whose_machines_may_not_be_free_yet() -> None:
    """A Loan holds them: it must not grow with every stop of a night."""
    stops = (Notice(4, T0 - 61), Notice(3, T0 - 59))
    mark = Mark(5, 3, T0 - 59, (Notice(2, T0 - 600),), stops, T0, T0 + 3600, (Promised(T0 + 5400, 2),), WANTED.needs)
    _, done, stored = at(T0, loader(units=3, mark=mark), WANTED, WANTED, WANTED)
    assert done == [Do.STOP]
    assert stored is not None
    assert stored.stops == (Notice(3, T0 - 59), Notice(2, T0))


def test_what_its_pods_took_beyond_their_template_is_stored_before_they_are_gone() -> None:
    more = Resources(100, 0)
    _, _, mark = at(T0 - 660, replace(job("a"), extra=more), WANTED)
    assert mark is not None
    assert mark.extra == more
    grown = replace(job("a", mark=told()), extra=more)
    hand_over, done, mark = at(T0 - 600, grown, WANTED)
    assert (hand_over.state, done) == (State.NOTICE, [Do.RECORD])
    assert mark is not None
    assert mark.extra == more
