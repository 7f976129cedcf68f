"""The hand-over of one member as a state machine, level-triggered.

    planned → notice → drain → lent → hold → give back → returned

There is nothing to remember but the member's mark (stored in its loan before each write). The state is worked out anew
from mark, facts and plan each time, so that a crash anywhere, a missed change or a new leader makes no difference: the
next ``advance`` says the same. A write that was stored and not made is made; one that was made is not made again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tidegate.planning.model import Ref
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Lane, Mark, Member, Notice, Promised, surplus
from tidegate.planning.shift.outcome import Lending

SAME = 5.0
"""Seconds by which times may differ and not be worth a write. Judgment."""
RETURNS = "what was lent and is promised back"
"""For whom new work waits, where the owners of needs stand for work that is lent."""
WANTED_BY_MOST = 16
"""Owners of needs that a mark lists."""


class State(Enum):
    """Where a hand-over stands."""

    PLANNED = "Planned"
    NOTICE = "Notice"
    DRAIN = "Drain"
    LENT = "Lent"
    HOLD = "Hold"
    GIVE_BACK = "GiveBack"
    RETURNED = "Returned"


class Do(Enum):
    """What is to be done with a member now."""

    NOTIFY = "Notify"
    """Tell the work (an Event), then store the mark; its level stays. A leader that dies between tells it twice."""
    STOP = "Stop"
    """Store the mark, then write the level."""
    RESUME = "Resume"
    """Store the mark, then write the level."""
    RECORD = "Record"
    """Store the mark: what it says about the need has changed."""
    CLOSE = "Close"
    """The level is the original and was read back: the loan ends."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do."""

    do: Do
    ref: Ref
    lane: str
    before: int
    """Level as seen."""
    level: int
    """Level to be at."""
    mark: Mark
    """What to store, before anything is written."""
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """One member's hand-over as it stands."""

    ref: Ref
    lane: str
    state: State
    reason: Reason
    message: str
    deadline: float | None
    """When this state must be over: the notice given, the work stopped, the machines free, the need over, the return
    made. None when nothing is due."""
    original: int
    asked: int
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class _Aim:
    """What the plan wants of a member now."""

    wanted: int
    """Level by the lendings whose stop is due."""
    told: int
    """Level by the lendings whose notice is due."""
    current: tuple[Lending, ...]
    """Lendings whose notice is due and that are not over."""
    promise: float
    """When all is back that is out by then without a break."""


def advance(
    member: Member,
    lane: Lane,
    lendings: Sequence[Lending],
    now: float,
    *,
    room: Resources,
    spare: Resources,
    quiet: bool = False,
) -> tuple[HandOver, tuple[Act, ...]]:
    """Where the hand-over of a member stands, and what is to be done now.

    ``room`` is what may be started again in the pool, ``spare`` what the lane may lose before its guarantee is touched.
    ``quiet``: no borrower holds anything that it has to leave.
    """
    aim = _aim(member, lendings, now)
    if member.mark is None and aim.told >= member.original:
        return _planned(member, lendings), ()
    mark = replace(member.mark, extra=member.extra) if member.mark is not None else _new_mark(member, now)
    acts: list[Act] = []
    told = Notice(aim.told, now) if aim.told < min(mark.asked, _told(mark)) else None
    if told:
        mark = _remember(replace(mark, notices=(*mark.notices, told)), aim, lane, now)
    level = _level(member, mark, aim, lane, now, room=room, spare=spare)
    moved = level != mark.asked
    if moved:
        mark = _moved(mark, level, aim, lane, now)
    if told in mark.notices:
        message = f"told to go to {aim.told} of {mark.original}, not before {lane.drain.notice:g} s have passed"
        acts.append(_act(Do.NOTIFY, member, mark, Reason.NOTICE_GIVEN, message))
    if moved or (member.seen and member.level != mark.asked):
        acts.append(_move(member, mark))
    elif not acts and _over(member, mark, aim):
        reason = Reason.RETURNED if mark.asked_at > 0 else Reason.NOTICE_WITHDRAWN
        acts.append(_act(Do.CLOSE, member, mark, reason, SENTENCES[reason]))
    elif not acts and _differs(fresh := _remember(mark, aim, lane, now), member.mark or mark):
        mark = fresh
        acts.append(_act(Do.RECORD, member, mark, Reason.LENT, f"wanted until {mark.until:.0f}"))
    return _state(member, mark, aim, lane, now, quiet=quiet), tuple(acts)


def wanted_back(member: Member, lendings: Sequence[Lending], now: float) -> int:
    """Units that are out and wanted back now."""
    if member.mark is None or not member.seen:
        return 0
    return max(0, _aim(member, lendings, now).wanted - member.asked)


def _aim(member: Member, lendings: Sequence[Lending], now: float) -> _Aim:
    current = tuple(one for one in lendings if one.notify_at <= now < one.until)
    stopped = sum(one.stop_at <= now for one in current)
    wanted, told = (max(0, member.original - units) for units in (stopped, len(current)))
    return _Aim(wanted, told, current, _promise(lendings, now))


def _promise(lendings: Sequence[Lending], now: float) -> float:
    """When all is back that leaves now, or before that is back."""
    until = promise = now
    for one in sorted(lendings, key=lambda one: one.stop_at):
        if one.stop_at <= until:
            until, promise = max(until, one.until), max(promise, one.return_by)
    return promise


def _new_mark(member: Member, now: float) -> Mark:
    return Mark(member.level, member.level, 0.0, free_by=now, until=now, extra=member.extra)


def _told(mark: Mark) -> int:
    """Lowest level that a notice names."""
    return min((notice.level for notice in mark.notices), default=mark.original)


def _remember(mark: Mark, aim: _Aim, lane: Lane, now: float) -> Mark:
    """The mark with what the plan says about the need now. A need that ended early ends now, with its promise."""
    if aim.current:
        return replace(
            mark,
            free_by=min(one.free_by for one in aim.current) if mark.asked == mark.original else mark.free_by,
            until=max(one.until for one in aim.current),
            needs=tuple(sorted({name for one in aim.current for name in one.needs}))[:WANTED_BY_MOST],
        )
    if mark.until > now:
        sooner = now + lane.give_back_within
        return replace(mark, until=now, promises=tuple(p._replace(at=min(p.at, sooner)) for p in mark.promises))
    return mark


def _promised(mark: Mark, level: int, aim: _Aim) -> tuple[Promised, ...]:
    """The promise once the level has moved. It is one for all that is out, made at the first stop, and moves no more:
    which of several replicas run cannot be told, so that one that takes another's turn is nothing that anybody sees.
    """
    units = mark.original - level
    if units <= 0:
        return ()
    return (Promised(mark.return_by if mark.promises else aim.promise, units),)


def _differs(fresh: Mark, mark: Mark) -> bool:
    """Whether a mark says something else, beyond the rounding of times."""
    said = fresh.needs, fresh.promises, fresh.extra
    return said != (mark.needs, mark.promises, mark.extra) or abs(fresh.until - mark.until) > SAME


def _level(member: Member, mark: Mark, aim: _Aim, lane: Lane, now: float, *, room: Resources, spare: Resources) -> int:
    """The level that may be asked for now. Work that cannot be seen is neither stopped nor started."""
    if not member.seen:
        return mark.asked
    if aim.wanted < mark.asked:
        lowest = max(aim.wanted, _released(member, mark, lane, now))
        most = member.unit.units_in(spare)
        return max(lowest, mark.asked - most) if lowest < mark.asked else mark.asked
    if aim.wanted > mark.asked and _free(member, mark):
        return min(aim.wanted, mark.asked + member.unit.units_in(room))
    return mark.asked


def _free(member: Member, mark: Mark) -> bool:
    """Whether all that was stopped is seen free. Before that nothing is started again: old and new pods would hold
    machines side by side.
    """
    return not surplus(member.used, member.pods, mark.asked, member.unit, member.each)


def _released(member: Member, mark: Mark, lane: Lane, now: float) -> int:
    """The lowest level whose notice and minimum run time are over. Work that has no pod on a machine loses nothing."""
    if member.unplaced:
        return _told(mark)
    if now < member.running_since + lane.drain.minimum_run:
        return mark.asked
    return min((n.level for n in mark.notices if now >= n.at + lane.drain.notice), default=mark.asked)


def _moved(mark: Mark, level: int, aim: _Aim, lane: Lane, now: float) -> Mark:
    # So many units were told; those that return were not among them.
    notices = tuple(n._replace(level=n.level + level - mark.asked) for n in mark.notices)
    stops: tuple[Notice, ...] = ()
    if level < mark.asked:
        notices = tuple(n for n in mark.notices if n.level < level)
        stops = (*(one for one in mark.stops if one.at > now - lane.drain.seconds), Notice(level, now))
    promises = _promised(mark, level, aim)
    moved = replace(mark, asked=level, asked_at=now, notices=notices, stops=stops, promises=promises)
    return _remember(moved, aim, lane, now)


def _move(member: Member, mark: Mark) -> Act:
    if mark.asked < member.level and mark.needs == (RETURNS,):
        return _act(Do.STOP, member, mark, Reason.WAITS_FOR_RETURNS, SENTENCES[Reason.WAITS_FOR_RETURNS])
    if mark.asked < member.level:
        message = f"stopped to {mark.asked} of {mark.original}"
        return _act(Do.STOP, member, mark, Reason.DRAINING, message)
    message = f"started again to {mark.asked} of {mark.original}"
    return _act(Do.RESUME, member, mark, Reason.GIVING_BACK, message)


def _act(do: Do, member: Member, mark: Mark, reason: Reason, message: str) -> Act:
    return Act(do, member.ref, member.lane, member.level, mark.asked, mark, reason, message)


def _over(member: Member, mark: Mark, aim: _Aim) -> bool:
    return mark.asked >= mark.original and member.seen and member.level == mark.asked and aim.told >= mark.original


def _planned(member: Member, lendings: Sequence[Lending]) -> HandOver:
    first = min(lendings, key=lambda one: one.notify_at, default=None)
    if first is None:
        return _hand_over(member, None, State.RETURNED, Reason.RETURNED, None)
    return _hand_over(member, None, State.PLANNED, Reason.HAND_OVER_PLANNED, first.notify_at)


def _state(member: Member, mark: Mark, aim: _Aim, lane: Lane, now: float, *, quiet: bool) -> HandOver:
    """The state by what is stored and seen; a unit that is on its way is told before those that lie still."""
    if mark.asked < mark.original and (member.level != mark.asked or not _free(member, mark)):
        if aim.wanted > mark.asked and member.level == mark.asked:
            return _returning(member, mark, now, quiet=quiet)
        late = now > mark.free_by
        return _hand_over(member, mark, State.DRAIN, Reason.DRAIN_LATE if late else Reason.DRAINING, mark.free_by)
    if _told(mark) < mark.asked and aim.told < mark.asked:
        stop = max(min(n.at for n in mark.notices) + lane.drain.notice, member.running_since + lane.drain.minimum_run)
        due = max(stop, min((one.stop_at for one in aim.current), default=stop))
        late = due + lane.drain.seconds > mark.free_by + 1.0 and mark.asked == mark.original
        reason = Reason.NOTICE_LATE if late else Reason.NOTICE_GIVEN
        return _hand_over(member, mark, State.NOTICE, reason, due)
    if aim.wanted > mark.asked:
        return _returning(member, mark, now, quiet=quiet)
    if mark.asked < mark.original:
        reason = Reason.WAITS_FOR_RETURNS if mark.needs == (RETURNS,) else Reason.LENT
        return _hand_over(member, mark, State.LENT, reason, mark.until)
    if member.level != mark.asked:
        return _hand_over(member, mark, State.GIVE_BACK, Reason.GIVING_BACK, mark.due_back)
    reason = Reason.RETURNED if mark.asked_at > 0 else Reason.NOTICE_WITHDRAWN
    return _hand_over(member, mark, State.RETURNED, reason, None)


def _returning(member: Member, mark: Mark, now: float, *, quiet: bool) -> HandOver:
    if member.level != mark.asked:
        return _hand_over(member, mark, State.GIVE_BACK, Reason.GIVING_BACK, mark.due_back)
    reason = Reason.RETURN_LATE if now > mark.due_back else Reason.BORROWER_NOT_FREE
    if not _free(member, mark):
        reason = Reason.OWN_PODS_LEAVING
    elif quiet:
        reason = Reason.WAITS_ITS_TURN
    return _hand_over(member, mark, State.HOLD, reason, mark.due_back)


def _hand_over(member: Member, mark: Mark | None, state: State, reason: Reason, deadline: float | None) -> HandOver:
    asked = mark.asked if mark else member.level
    if not member.seen:
        reason = Reason.MEMBER_UNSEEN
    due = None if deadline is None or math.isinf(deadline) else deadline
    return HandOver(member.ref, member.lane, state, reason, SENTENCES[reason], due, member.original, asked, mark)
