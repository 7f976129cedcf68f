"""One step of a whole pool: every member's hand-over moved on, out of one balance.

Called at each beat, after the plan. Stops are held back where a lane's guarantee would be touched, starts where the
room is not there; what is started first is what is promised first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.balance import Balance, balance
from tidegate.planning.shift.claims import behind, claims_of
from tidegate.planning.shift.handover import Act, Do, HandOver, State, advance, wanted_back
from tidegate.planning.shift.model import Member, Pool, PoolFacts, floor_of
from tidegate.planning.shift.outcome import PoolPlan


@dataclass(frozen=True, slots=True)
class LaneShift:
    """A lane's hand-overs in one line, for status."""

    lane: str
    states: tuple[tuple[State, int], ...]
    """(state, members in it), in the order of the states; members with nothing planned are left out."""
    lent: Resources
    """What is out and seen free."""
    draining: Resources
    """What is in flight."""
    deadline: float | None
    """The next one of any member."""
    return_by: float | None
    """The latest promise that is open."""


@dataclass(frozen=True, slots=True)
class PoolStep:
    """What is to be done with a pool now."""

    hand_overs: tuple[HandOver, ...]
    acts: tuple[Act, ...]
    """In order: notices and records, starts, stops, ends."""
    balance: Balance
    next_at: float | None
    """When time alone makes something due."""


_ORDER = {Do.NOTIFY: 0, Do.RECORD: 1, Do.RESUME: 2, Do.STOP: 3, Do.CLOSE: 4}


def step(pool: Pool, facts: PoolFacts, plan: PoolPlan, now: float) -> PoolStep:
    """Move every hand-over of a pool on. Equal arguments give equal steps."""
    books = balance(pool, facts, plan, now)
    waiting = behind(pool, facts, now)
    claims = claims_of(facts, plan, waiting, books.room_for_return, now)
    spare = {lane.name: _spare(pool, facts, lane.name) for lane in pool.lanes}
    done: list[HandOver] = []
    acts: list[Act] = []
    for member in sorted(facts.members, key=_urgency):
        lane = pool.lane(member.lane)
        lendings = waiting.get(member.ref) or plan.lendings.get(member.ref, ())
        if lane is None or (member.mark is None and not lendings):
            continue
        back = wanted_back(member, lendings, now)
        room, may_lose = claims.of(member, back), _may_lose(member, facts, spare)
        hand_over, mine = advance(member, lane, lendings, now, room=room, spare=may_lose, quiet=claims.quiet)
        if room != claims.room:
            mine = tuple(map(_without_machines, mine))
        moved = hand_over.asked - member.asked
        claims.took(member, moved, back - max(0, moved), stuck=hand_over.reason is Reason.OWN_PODS_LEAVING)
        spare[lane.name] = spare[lane.name] + member.unit.times(moved)
        done.append(hand_over)
        acts.extend(mine)
    acts.sort(key=lambda act: (_ORDER[act.do], act.ref))
    return PoolStep(tuple(done), tuple(acts), books, _next_at(pool, facts, plan, done, now))


def _without_machines(act: Act) -> Act:
    """A start for which there is no room, and says so."""
    if act.do is not Do.RESUME:
        return act
    return replace(act, reason=Reason.MACHINES_MISSING, message=SENTENCES[Reason.MACHINES_MISSING])


def summary(facts: PoolFacts, lane: str, hand_overs: tuple[HandOver, ...]) -> LaneShift:
    """A lane's hand-overs in one line."""
    mine = [h for h in hand_overs if h.lane == lane]
    counts = Counter(h.state for h in mine)
    out = [m for m in facts.of_lane(lane) if m.asked < m.original]
    flying = total(m.in_flight for m in out)
    return LaneShift(
        lane=lane,
        states=tuple((state, counts[state]) for state in State if counts[state]),
        lent=(total(m.unit.times(m.original - m.asked) for m in out) - flying).positive,
        draining=flying,
        deadline=min((h.deadline for h in mine if h.deadline is not None), default=None),
        return_by=max((h.mark.return_by for h in mine if h.mark and h.asked < h.original), default=None),
    )


def _urgency(member: Member) -> tuple[float, object]:
    return (member.mark.due_back if member.mark else float("inf"), member.ref)


def _spare(pool: Pool, facts: PoolFacts, name: str) -> Resources:
    """What a lane may lose before its guarantee is touched."""
    lane = pool.lane(name)
    if lane is None:
        return NOTHING
    kept = facts.use(name).standing + total(m.unit.times(m.asked) for m in facts.of_lane(name))
    return kept - floor_of(lane, facts)


def _may_lose(member: Member, facts: PoolFacts, spare: Mapping[str, Resources]) -> Resources:
    """What its lane may lose; nothing of work of which nobody can tell by now how much is left."""
    work = facts.works.get(member.work)
    return NOTHING if work is not None and work.remaining is None else spare[member.lane]


def _next_at(pool: Pool, facts: PoolFacts, plan: PoolPlan, hand_overs: list[HandOver], now: float) -> float | None:
    """Notices, stops, ends of needs and of waits that lie ahead."""
    times = {t for ones in plan.lendings.values() for one in ones for t in (one.notify_at, one.stop_at, one.until)}
    times |= {t for grant in plan.grants for s in grant.steps for t in (s.start, s.end)}
    for member in facts.members:
        lane = pool.lane(member.lane)
        if member.mark and lane:
            times |= {notice.at + lane.drain.notice for notice in member.mark.notices}
            times.add(member.running_since + lane.drain.minimum_run)
    times |= {h.deadline for h in hand_overs if h.deadline is not None}
    return min((t for t in times if t > now), default=None)
