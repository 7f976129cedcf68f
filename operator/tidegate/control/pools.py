"""Pools in the loop: look at their machines and their work, and carry out what the plan says of the work.

The counterpart of ``gather`` and ``apply`` for hand-overs. All that is remembered stands in Loans, written before each
write; a new leader goes on from them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from tidegate.control.apply import CONFLICT_PAUSE, Applied
from tidegate.control.drains import Drains
from tidegate.control.gather import limited
from tidegate.control.ledger import Drift, Ledger, Wish
from tidegate.planning.decision import Action, Plan
from tidegate.planning.model import Freshness, Key, Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.shift.facts import Holder, PoolSeen, work_queries
from tidegate.planning.shift.handover import Act, Do
from tidegate.planning.shift.model import Mark, Notice, Pool
from tidegate.planning.world import PoolWorld
from tidegate.ports import (
    Clock,
    ConflictError,
    EventSink,
    HandOverNote,
    Held,
    Loan,
    MetricsSource,
    NotFoundError,
    Place,
    Pools,
    PoolSight,
    TidegateError,
)

log = logging.getLogger("tidegate.pools")

LOOK_AGAIN = 2.0
"""Seconds between two looks at a pool: three lists each."""
OLD = 120.0
"""Seconds after which what was last seen of a pool counts as unseen: nothing new is let in or started on it."""
_ACTIONS = {Do.NOTIFY: Action.NOTHING, Do.STOP: Action.LOWER, Do.RESUME: Action.RAISE, Do.CLOSE: Action.RETURN}


@dataclass(slots=True)
class _Look:
    sight: PoolSight
    at: float
    """When it was last looked at, whether that went well or not."""
    seen_at: float
    note: str = ""


@dataclass(slots=True)
class PoolKeeper:
    """Looks at pools and moves their work."""

    pools: Pools
    metrics: MetricsSource
    ledger: Ledger
    clock: Clock
    events: EventSink
    idle_seconds: float = 60.0
    """A pool on which nothing is lent or planned is looked at this often."""
    _looks: dict[str, _Look] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)
    """Why a pool was never seen."""
    _remaining: dict[str, dict[str, float | None]] = field(default_factory=dict)
    _drains: Drains = field(default_factory=Drains)
    _told: set[tuple[Ref, Notice]] = field(default_factory=set)
    """Notices that this life has told."""
    _conflicts: dict[Key, float] = field(default_factory=dict)
    """Loans left alone until an instant."""

    # ---- gather

    async def look(self, pools: Mapping[str, Pool], plan: Plan | None) -> None:
        """See the pools that are due, and read what work is left on them."""
        now = self.clock.now()
        for gone in self._looks.keys() - pools.keys():
            del self._looks[gone]
        due = [pool for name, pool in pools.items() if self._due(name, plan, now)]
        await limited([self._see(pool) for pool in due], at_once=2)

    def worlds(self, pools: Mapping[str, Pool], plan: Plan | None) -> dict[str, PoolWorld]:
        """What the core is told of each pool."""
        now, found = self.clock.now(), {}
        for name, pool in pools.items():
            before = plan.pools.get(name) if plan is not None else None
            look = self._looks.get(name)
            seen = None if look is None else self._as_seen(pool, look, now)
            found[name] = PoolWorld(
                pool=self._drains.applied(pool),
                seen=seen,
                marks={loan.place.ref: mark_of(loan) for loan in self._loans(name)},
                remaining=self._remaining.get(name, {}),
                promises=before.plan.promises if before is not None else (),
                note=look.note if look is not None else self._notes.get(name, ""),
            )
        return found

    def _as_seen(self, pool: Pool, look: _Look, now: float) -> PoolSeen:
        """What was seen; of what is old every member counts as unseen. Members that hold a loan stay in sight."""
        seen = look.sight.seen
        stale = now - look.seen_at > OLD
        held = {loan.place.ref for loan in self._loans(pool.name) if loan.key in self._conflicts}
        members = tuple(replace(m, seen=m.seen and not stale and m.ref not in held) for m in seen.members)
        return replace(seen, members=members)

    def _due(self, name: str, plan: Plan | None, now: float) -> bool:
        look = self._looks.get(name)
        if look is None:
            return True
        view = plan.pools.get(name) if plan is not None else None
        busy = bool(self._loans(name)) or (view is not None and bool(view.plan.grants or view.plan.refusals))
        return now - look.at >= (LOOK_AGAIN if busy else self.idle_seconds)

    async def _see(self, pool: Pool) -> None:
        now, before = self.clock.now(), self._looks.get(pool.name)
        try:
            sight = await self.pools.see(pool)
        except TidegateError as error:
            log.warning("pool %s could not be looked at: %s", pool.name, error)
            self._notes[pool.name] = str(error)
            if before is not None:
                before.at, before.note = now, str(error)
        else:
            self._looks[pool.name] = _Look(sight, now, now)
            self._measure(pool, sight, now)
        await self._read(pool, now)

    def _measure(self, pool: Pool, sight: PoolSight, now: float) -> None:
        """Note whose machines are free by now."""
        seen = {m.ref: m for m in sight.seen.members}
        for loan in self._loans(pool.name):
            member = seen.get(loan.place.ref)
            if member is None or loan.pending >= loan.original or loan.verified != loan.pending:
                continue
            ref = loan.place.ref
            held = sight.seen.occupancy.get(Holder(ref.namespace, ref.kind, ref.name))
            if held is None or (held.used - member.unit.times(loan.pending)).nothing:
                self._drains.free(loan, now=now)
        self._drains.forget(self.ledger.loans.values())

    async def _read(self, pool: Pool, now: float) -> None:
        """Work that is left; one that cannot be read is unknown, never none."""
        left: dict[str, float | None] = {
            member.name: member.work.given for lane in pool.lanes for member in lane.members if member.work
        }
        asked = work_queries(pool)
        jobs = [
            self.metrics.read(m.work.query, now=now, stale_after=m.work.stale_after)
            for m in asked
            if m.work is not None and m.work.query is not None
        ]
        for member, answer in zip(asked, await limited(jobs), strict=True):
            good = answer.freshness is Freshness.FRESH and answer.value is not None and math.isfinite(answer.value)
            left[member.name] = max(0.0, answer.value) if good and answer.value is not None else None
        self._remaining[pool.name] = left

    def _loans(self, pool: str) -> list[Loan]:
        return [one for one in self.ledger.loans.values() if one.hand_over is not None and one.hand_over.pool == pool]

    # ---- apply

    async def settle(self) -> None:
        """Bring loans in line with what their fields hold, before anything is planned on them."""
        now = self.clock.now()
        self._conflicts = {key: until for key, until in self._conflicts.items() if until > now}
        for name, look in self._looks.items():
            for loan in self._loans(name):
                at = look.sight.places.get(loan.place.ref)
                if at is None or at[0].uid != loan.place.uid or at[1].value in (loan.verified, loan.pending):
                    continue
                await self._settle(loan, at[1])

    async def _settle(self, loan: Loan, held: Held) -> None:
        who = held.manager.name if held.manager else "somebody"
        try:
            loan, found = await self.ledger.settle(loan, held)
        except TidegateError as error:
            log.warning("loan %s: %s", loan.key, error)
            return
        if found is Drift.NEW_INTENT:
            log.info("%s: %s set %d; that is the original now", loan.place.ref, who, held.value)
        elif found is Drift.REAPPLIED and not self.ledger.may_assert(loan):
            log.warning("%s: %s keeps setting %s back", loan.place.ref, who, loan.place.field)
            self._conflicts[loan.key] = self.clock.now() + CONFLICT_PAUSE
            self.ledger.forgive(loan.key)

    async def apply(self, plan: Plan, pools: Mapping[str, Pool], unusable: frozenset[str]) -> tuple[Applied, ...]:
        """Carry out what is due; then return what no pool speaks for any more."""
        done: list[Applied] = []
        self._tell_again(plan)
        for name, view in plan.pools.items():
            places = self._looks[name].sight.places if name in self._looks else {}
            for _, alike in groupby(view.step.acts, key=lambda act: act.do):  # in the order of their kinds
                said = await limited([self._act(name, act, places) for act in alike])
                done.extend(one for one in said if one is not None)
            if any(one.error is None for one in done) and name in self._looks:
                self._looks[name].at = -math.inf
        for loan in self._orphans(plan, pools, unusable):
            done.extend(await self._return(loan))
        return tuple(done)

    def _tell_again(self, plan: Plan) -> None:
        """Tell notices that stand and that this life has not told: the one before may have died over them."""
        standing = {
            (loan.place.ref, notice): loan
            for loan in self.ledger.loans.values()
            if loan.hand_over is not None and loan.hand_over.pool in plan.pools
            for notice in loan.hand_over.notices
        }
        self._told &= standing.keys()
        for (ref, notice), loan in standing.items():
            if loan.hand_over is not None:
                self._tell(loan.hand_over.pool, loan.hand_over.lane, ref, notice, loan.original)

    def _tell(self, pool: str, lane: str, ref: Ref, notice: Notice, original: int) -> None:
        """An Event on the work's own object, once a life: that is its notice."""
        if (ref, notice) not in self._told:
            self._told.add((ref, notice))
            message = f"will go from {original} to {notice.level} for a peak (CapacityPool {pool}, lane {lane})"
            log.info("%s/%s told: %s", ref.namespace, ref, message)
            self.events.emit(ref, reason=Reason.NOTICE_GIVEN.value, message=message)

    async def _act(self, pool: str, act: Act, places: Mapping[Ref, tuple[Place, Held]]) -> Applied | None:
        at = places.get(act.ref)
        if at is None:
            return None
        place, held = at
        loan = self.ledger.of(place)
        if loan is not None and loan.key in self._conflicts:
            return None
        try:
            if act.do is Do.CLOSE:
                if loan is not None:
                    await self.ledger.give_back(loan)
            else:
                if act.do is Do.NOTIFY:  # told before it is stored: who dies in between tells it again, in full time
                    self._tell(pool, act.lane, act.ref, act.mark.notices[-1], act.mark.original)
                await self._write(pool, act, place, held)
        except ConflictError as error:
            return self._said(pool, act, f"{error}; read again at the next beat")
        except TidegateError as error:
            return self._said(pool, act, str(error))
        except Exception as error:
            log.exception("%s: a step of its hand-over failed", act.ref)  # one broken member does not stop the rest
            return self._said(pool, act, repr(error))
        return None if act.do is Do.RECORD else self._said(pool, act, None)

    async def _write(self, pool: str, act: Act, place: Place, held: Held) -> None:
        mark = act.mark
        note = HandOverNote(pool, act.lane, mark.notices, mark.stops, mark.free_by, mark.until, mark.promises)
        until = mark.return_by if math.isfinite(mark.return_by) else mark.until
        wish = Wish(Key("", pool), act.lane, until, mark.needs, note)
        if act.do in (Do.STOP, Do.RESUME):
            await self.ledger.move(place, held=held, level=act.level, wish=wish)
        else:
            await self.ledger.record(place, held=held, wish=wish)

    def _said(self, pool: str, act: Act, error: str | None) -> Applied:
        return Applied(
            policy=Key("", pool),
            target=act.lane,
            ref=act.ref,
            action=_ACTIONS.get(act.do, Action.NOTHING),
            before=act.before,
            level=act.level,
            at=self.clock.now(),
            reason=act.reason,
            message=act.message,
            error=error,
        )

    def _orphans(self, plan: Plan, pools: Mapping[str, Pool], unusable: Iterable[str]) -> list[Loan]:
        """Loans of pools that are gone, and of work that is no member of its pool any more."""
        found = []
        for loan in self.ledger.loans.values():
            if loan.hand_over is None or loan.hand_over.pool in unusable:
                continue
            name = loan.hand_over.pool
            look = self._looks.get(name)
            if name not in pools:
                found.append(loan)
            elif name in plan.pools and look is not None and self.clock.now() - look.seen_at < OLD:
                at = look.sight.places.get(loan.place.ref)
                if at is None or at[0].uid != loan.place.uid:
                    found.append(loan)
        return found

    async def _return(self, loan: Loan) -> list[Applied]:
        try:
            await self.ledger.give_back(loan)
        except NotFoundError:
            return []
        except TidegateError as error:
            log.warning("loan %s: %s", loan.key, error)
            return []
        message = "no pool speaks for this work any more"
        return [
            Applied(
                loan.policy, loan.target, loan.place.ref, Action.RETURN, loan.pending, loan.original,
                self.clock.now(), Reason.RETURNED, message,
            )
        ]  # fmt: skip


def mark_of(loan: Loan) -> Mark:
    """What a loan says of a hand-over."""
    note = loan.hand_over
    assert note is not None  # noqa: S101 - only loans of pools are asked
    moved = loan.verified is not None or loan.pending != loan.original
    return Mark(
        original=loan.original,
        asked=loan.pending,
        asked_at=loan.stepped_at if moved else 0.0,
        notices=note.notices,
        stops=note.stops,
        free_by=note.free_by,
        until=note.until,
        promises=note.promises,
        needs=loan.wanted_by,
    )
