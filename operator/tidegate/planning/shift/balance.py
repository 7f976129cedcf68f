"""The balance of a pool at one instant: who may use what, what is in flight, and that both together fit.

Every lane counts with the larger of what it may use and what it is seen to use: what drains counts for the lender until
it is seen free, and what a borrower was let in with counts from that moment on. This is the one rule behind "never
oversold"; nothing is let in, and nothing is started again, but out of the room that is left by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.model import Pool, PoolFacts, amount_at
from tidegate.planning.shift.outcome import PoolPlan


@dataclass(frozen=True, slots=True)
class LaneBalance:
    """One lane now."""

    granted: Resources
    """What it may use: standing use, what its members are asked to have, and what of its needs was let in."""
    in_flight: Resources
    """What it is seen to use beyond that."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A pool now."""

    capacity: Resources
    lanes: Mapping[str, LaneBalance]
    allowed: Mapping[str, Resources]
    """By key of a need: what of it is let in now, above standing use. A target's floor may rise as far."""
    room: Resources
    """What nobody may use; negative where the pool shrank under what is there."""
    room_for_return: Resources
    """The same with all granted needs let in in full: what may be started again."""

    @property
    def oversold(self) -> Resources:
        """What grants and flights together exceed the capacity by: never above 0 by our doing."""
        sold = total(b.granted + b.in_flight for b in self.lanes.values())
        return (sold - self.capacity).positive


def balance(pool: Pool, facts: PoolFacts, plan: PoolPlan, now: float) -> Balance:
    """Work out the balance. Needs are let in in the order in which they were granted."""
    names = sorted({lane.name for lane in pool.lanes} | set(facts.lanes) | {m.lane for m in facts.members})
    members = {name: total(m.claim for m in facts.of_lane(name)) for name in names}
    spare = facts.capacity - total(facts.use(name).claim for name in names) - total(members.values())
    if not facts.current:  # what was free then may be taken by now
        spare = spare.least(NOTHING)
    room = spare - facts.reserve
    asked = {name: dict(facts.use(name).asked) for name in names}
    allowed: dict[str, Resources] = {}
    for grant in plan.grants:
        wanted = amount_at(grant.steps, now)
        if wanted.nothing:
            continue
        mine = asked[grant.lane].get(grant.owner, NOTHING)
        have = wanted.least(mine)
        asked[grant.lane][grant.owner] = mine - have
        extra = (wanted - have).part_in(room)
        room, spare = room - extra, spare - (wanted - have)
        allowed[grant.key] = allowed.get(grant.key, NOTHING) + have + extra
    lanes = {name: _lane(name, facts, plan, allowed) for name in names}
    return Balance(facts.capacity, lanes, allowed, room, spare)


def _lane(name: str, facts: PoolFacts, plan: PoolPlan, allowed: Mapping[str, Resources]) -> LaneBalance:
    use, mine = facts.use(name), facts.of_lane(name)
    let_in = total(allowed[key] for key in {g.key for g in plan.grants if g.lane == name} if key in allowed)
    granted = use.standing + let_in
    return LaneBalance(
        granted + total(m.unit.times(m.asked) for m in mine),
        (use.claim - granted).positive + total(m.in_flight for m in mine),
    )
