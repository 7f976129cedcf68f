"""Who may use what becomes free: what was lent has a claim, by its promise, before new work of its lane.

New work of a lane that lends waits while what was lent could not come back beside it. What was lent goes back in the
order of its promises, and keeps what it waits for. When machines are gone, what fits goes first; the rest is started
all the same, since only pods that wait can tell an autoscaler that machines are missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.handover import RETURNS
from tidegate.planning.shift.model import Lane, Member, MemberKind, Pool, PoolFacts, amount_at
from tidegate.planning.shift.outcome import Lending, PoolPlan

BEFORE = 30.0
"""Seconds before its promise at which work is started for which there is no machine. Judgment: a write and a look."""
SETTLE = 300.0
"""Seconds on whose grid it is told until when new work waits, once the promises are over: no write a beat. Judgment."""


def behind(pool: Pool, facts: PoolFacts, now: float) -> dict[Ref, tuple[Lending, ...]]:
    """New work that has to wait, as if it were lent; it is given its turn when all of its lane is back, or fits. Of
    more work than is planned none is stopped, here neither.
    """
    found: dict[Ref, tuple[Lending, ...]] = {}
    if facts.too_large:
        return found
    for lane in pool.lanes:
        mine = facts.of_lane(lane.name)
        owed = [m for m in mine if m.asked < m.original and not waits(m)]
        if not owed:
            continue
        since = min(m.mark.asked_at for m in owed if m.mark is not None)
        new = {m.ref: m for m in mine if waits(m) or _is_new(m, since)}
        left = _when_all_is_back(facts) - total(m.unit.times(m.original) for m in facts.members if m.ref not in new)
        until = _until(owed, now)
        for member in sorted(new.values(), key=lambda m: (waits(m), m.running_since, m.ref)):
            whole = member.unit.times(member.original)
            if whole.fits(left):
                left = left - whole
            else:
                found[member.ref] = (_wait(lane, now, until),) * member.original
    return found


def waits(member: Member) -> bool:
    """Whether it is new work that was told to wait."""
    return member.mark is not None and member.mark.needs == (RETURNS,)


@dataclass(slots=True)
class Claims:
    """What may be started again, while the members of a pool are gone through by their promises."""

    room: Resources
    """What is free now."""
    last: Resources
    """What is free once nothing is lent, granted or on its way: what fits into that gets its machines some day."""
    quiet: bool
    """No need is on, and no borrower holds more than is its own: nobody else leaves any more."""
    moving: frozenset[str]
    """Lanes with work, beside what waits, whose pods are not all on machines: what waits would take their place."""
    now: float

    def of(self, member: Member, units: int) -> Resources:
        """What a member may start again out of, that wants so many units back."""
        missing = member.unit.times(units)
        if units <= 0 or not self.quiet or missing.fits(self.last) or missing.fits(self.room):
            return self.room
        # No machine will come but for pods that wait. Until its promise is due that may be somebody's doing who leaves.
        due = member.mark is not None and self.now >= member.mark.due_back - BEFORE
        due = due or (waits(member) and member.lane not in self.moving)
        return missing.most(self.room) if due else self.room

    def took(self, member: Member, moved: int, still: int, *, stuck: bool) -> None:
        """A member has moved so many units up, and ``still`` more want back. Those keep their claim, unless what they
        wait for (``stuck``) is not room. What was started beyond the room waits, and takes nothing from others.
        """
        started = member.unit.times(max(0, moved))
        if started.fits(self.room):
            self.room = self.room - started
        if started.fits(self.last):
            self.last = self.last - started
        if still > 0 and not stuck:
            kept = member.unit.times(min(still, member.unit.units_in(self.last)))
            self.room, self.last = self.room - kept, self.last - kept


def claims_of(facts: PoolFacts, plan: PoolPlan, waiting: Mapping[Ref, object], room: Resources, now: float) -> Claims:
    """At the beginning of a step. ``waiting`` are those that are to wait (``behind``); ``room`` is what is free now."""
    held = total(m.unit.times(0 if m.ref in waiting else m.asked) for m in facts.members)
    granted = any(not amount_at(grant.steps, now).nothing for grant in plan.grants)
    quiet = not granted and all((use.claim - use.standing).nothing for use in facts.lanes.values())
    moving = {m.lane for m in facts.members if not waits(m) and m.pods is not None and m.pods < m.asked * m.each}
    return Claims(room, _when_all_is_back(facts) - held, quiet, frozenset(moving), now)


def _when_all_is_back(facts: PoolFacts) -> Resources:
    """What members may have together when no need is on."""
    return facts.capacity - total(use.standing for use in facts.lanes.values())


def _is_new(member: Member, since: float) -> bool:
    """Whether a Job was made since something of its lane was lent, or has waited for a machine since before that. One
    that was lent and started again is neither.
    """
    if member.kind is not MemberKind.JOB or member.mark is not None or not member.level or not member.lends:
        return False
    return member.created_at > since or (member.pods == 0 and member.running_since <= since)


def _until(owed: Iterable[Member], now: float) -> float:
    last = max((m.mark.return_by for m in owed if m.mark is not None), default=now)
    if last <= now or math.isinf(last):
        last = (now // SETTLE + 2.0) * SETTLE
    return last


def _wait(lane: Lane, now: float, until: float) -> Lending:
    return Lending(now, now, now, until, until + lane.give_back_within, (RETURNS,))
