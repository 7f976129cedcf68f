"""Pools between looking and writing: what the core is told of each, and what its steps ask to be written.

All that is remembered of a hand-over stands in Loans, written before each write; a new leader goes on from them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.control.drains import drained
from tidegate.control.drift import Terms
from tidegate.control.looker import Looker
from tidegate.control.poollooker import PoolLook, PoolLooker
from tidegate.control.reader import SignalKey
from tidegate.control.settling import Settling
from tidegate.control.sizes import Sizes, as_admitted, on_pool
from tidegate.control.telling import tell
from tidegate.control.wishes import Applied, Kind, Wish
from tidegate.planning.decision import Action, Plan, PoolView
from tidegate.planning.instants import rfc3339
from tidegate.planning.model import Freshness, Key, Policy, Reading, Ref, TargetKey, TargetSpec
from tidegate.planning.pools import unit_of
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import NO_PODS, Holder, MemberSeen, PoolSeen, holder_of
from tidegate.planning.shift.handover import RETURNS, Act, Do, State
from tidegate.planning.shift.model import Mark, MemberRef, Notice, Pool
from tidegate.planning.shift.outcome import Promise
from tidegate.planning.world import PoolWorld
from tidegate.ports import EventSink, HandOverNote, Held, Loan, Place

log = logging.getLogger("tidegate.pools")

PATIENCE = 15.0
"""Seconds of a leadership for which a pool is not decided on before each target on it was looked at, and the work that
is left of its members asked for: what was not looked at yet has no need, and its machines would be given back; for work
of which nobody knows how much is left nothing more would be granted. Judgment: who hangs holds up nobody else."""

NAMED = 3
"""Events that a notice names."""
MEANWHILE = "; CronJob/{} may replace this run or skip runs meanwhile, unless its concurrencyPolicy is Allow"
"""What a real CronJob controller does while a run of it is suspended (Kubernetes, CronJob, "Concurrency policy")."""

_ACTIONS = {Do.NOTIFY: Action.NOTHING, Do.STOP: Action.LOWER, Do.RESUME: Action.RAISE, Do.CLOSE: Action.RETURN}


@dataclass(slots=True)
class PoolWork:
    """Tells the core of pools, and turns its acts into wishes."""

    looker: PoolLooker
    targets: Looker
    settling: Settling
    events: EventSink
    sizes: Sizes = field(default_factory=Sizes)
    _sizes: Mapping[TargetKey, Resources] = field(default_factory=dict)
    """What pods of targets take beyond their template, as it is on record."""
    _told: set[tuple[Ref, int]] = field(default_factory=set)
    """Work and level of the notices that this life has told, or is about to."""
    _telling: set[tuple[Ref, int]] = field(default_factory=set)
    _epoch: int | None = None
    _led_since: float = -math.inf
    """Since when the loans are those of this epoch."""

    # ---- what the decision takes

    def settle(self, now: float) -> None:
        """Take in what the fields of loans were seen to hold."""
        for name, look in self.looker.looks.items():
            for loan in self.looker.loans_of(name):
                at = look.of(loan)
                if at is not None and self.looker.is_current(look, loan):
                    self.settling.take_in(loan.place, at[1], now=now)

    def learn_sizes(self, policies: Mapping[Key, Policy], recorded: Mapping[TargetKey, Resources]) -> None:
        """Note how large pods of targets were admitted; what is on record of it counts for those that have none."""
        self._sizes = recorded
        for name, look in self.looker.looks.items():
            for key, ref in on_pool(policies, name):
                sight = self.targets.sights.get(key)
                if sight is not None:
                    self.sizes.admitted(key, sight.sight.observed.unit, look.sight.seen.of(ref).largest)
        self.sizes.forget({(policy.key, one.name) for policy in policies.values() for one in policy.targets})

    def worlds(
        self,
        pools: Mapping[str, Pool],
        policies: Mapping[Key, Policy],
        readings: Mapping[SignalKey, Reading],
        plan: Plan | None,
        now: float,
        *,
        measured: Mapping[tuple[str, str], Sequence[float]],
        places: Callable[[str, PoolView | None], tuple[Promise, ...]],
    ) -> dict[str, PoolWorld]:
        """What the core is told of each pool; ``measured`` are drains by (pool, lane), ``places`` tells who was let in
        before, of a pool and its last plan.
        """
        found = {}
        for name, pool in pools.items():
            before = plan.pools.get(name) if plan is not None else None
            look = self.looker.looks.get(name)
            if self._is_unknown(pool, policies, readings, now):
                look = None
            found[name] = PoolWorld(
                pool=drained(pool, measured),
                seen=None if look is None else self._as_seen(pool, look, policies, now),
                stale=self.looker.is_old(name, now),
                marks={ref: mark_of(loan) for ref, loan in self._by_member(name, look).items()},
                remaining=_remaining(pool, readings),
                promises=places(name, before),
                note=look.note if look is not None else self.looker.notes.get(name, ""),
            )
        return found

    def _is_unknown(
        self, pool: Pool, policies: Mapping[Key, Policy], readings: Mapping[SignalKey, Reading], now: float
    ) -> bool:
        """Whether a leadership is so young that a target of a pool was not looked at yet, or nobody asked yet how much
        work is left.
        """
        epoch = self.settling.ledger.epoch
        if epoch != self._epoch:
            self._epoch, self._led_since = epoch, now
        if not 0.0 <= now - self._led_since < PATIENCE:
            return False
        mine = (policy for policy in policies.values() if policy.pool == pool.name)
        on_it = ((policy.key, t.name) for policy in mine for t in policy.targets if t.lane is not None)
        unread = any(key not in readings for key, _ in work_signals(pool))
        return unread or any(key not in self.targets.sights for key in on_it)

    def _by_member(self, pool: str, look: PoolLook | None) -> dict[Ref, Loan]:
        """Loans of a pool's work, by the name that the pool's look has for it."""
        at = ((loan, look.of(loan) if look is not None else None) for loan in self.looker.loans_of(pool))
        return {one[0].ref if one is not None else loan.place.ref: loan for loan, one in at}

    def _as_seen(self, pool: Pool, look: PoolLook, policies: Mapping[Key, Policy], now: float) -> PoolSeen:
        """What was seen, less what may have changed since: nothing counts as gone that was not seen gone."""
        seen = self._sized(pool.name, look, policies)
        loans = self._by_member(pool.name, look)
        members = tuple(self._member(one, loans.get(one.ref), look, now) for one in seen.members)
        occupancy = dict(seen.occupancy)
        for holder, amount, pods in self._may_be_there(pool, look, seen, policies, members, loans):
            there = occupancy.get(holder, NO_PODS)
            occupancy[holder] = replace(there, used=there.used.most(amount), pods=_most(there.pods, pods))
        return replace(seen, members=members, occupancy=occupancy)

    def _sized(self, pool: str, look: PoolLook, policies: Mapping[Key, Policy]) -> PoolSeen:
        """The sight of a pool, with targets that have no pods as large as their pods last were."""
        known = [(key, ref) for key, ref in on_pool(policies, pool) if key in self._sizes] if self._sizes else []
        sights = ((ref, self.targets.sights.get(key), self._sizes[key]) for key, ref in known)
        told = ((ref, sight.sight.observed.unit, extra) for ref, sight, extra in sights if sight is not None)
        return as_admitted(look.sight.seen, told)

    def _member(self, one: MemberSeen, loan: Loan | None, look: PoolLook, now: float) -> MemberSeen:
        if loan is None:
            return one
        left_alone = self.settling.conflicts.of(loan.place.id, now) is not None
        if not self.looker.is_current(look, loan):
            latest = self.settling.ledger.latest(loan.place)
            level = one.level if latest is None else latest.value
            return replace(one, level=level, seen=one.seen and latest is not None and not left_alone)
        return replace(one, seen=one.seen and not left_alone)

    def _may_be_there(
        self,
        pool: Pool,
        look: PoolLook,
        seen: PoolSeen,
        policies: Mapping[Key, Policy],
        members: Iterable[MemberSeen],
        loans: Mapping[Ref, Loan],
    ) -> Iterator[tuple[Holder, Resources, int]]:
        """What workloads whose level we wrote since a look may hold on machines, and in how many pods: their highest
        level since.
        """
        for member in members:
            at = look.sight.places.get(member.ref)
            peak = self.settling.ledger.peak(at[0], asked=look.pods_asked) if at is not None else 0
            if peak:
                pod = member.each.most(look.sight.seen.of(member.ref).largest)
                note = loans[member.ref].hand_over if member.ref in loans else None
                pod = pod.most(member.each + note.extra) if note is not None else pod
                yield holder_of(member.ref), pod.times(peak * member.many), peak * member.many
        for policy in policies.values():
            if policy.pool != pool.name:
                continue
            for target in policy.targets:
                peak, unit = self._peak(policy, target, look, seen)
                if peak and unit is not None and target.lane is not None:
                    yield holder_of(target.ref), unit.times(peak), peak

    def _peak(self, policy: Policy, target: TargetSpec, look: PoolLook, seen: PoolSeen) -> tuple[int, Resources | None]:
        sight = self.targets.sights.get((policy.key, target.name))
        if sight is None or sight.sight.place is None:
            return 0, None
        unit = unit_of(target.unit, sight.sight.observed.unit, seen.of(target.ref))
        return self.settling.ledger.peak(sight.sight.place, asked=look.pods_asked), unit

    # ---- what is to be written

    def wishes(self, plan: Plan, pools: Mapping[str, Pool], unusable: frozenset[str], now: float) -> Iterator[Wish]:
        """What is due of the work, then the return of what no pool speaks for any more."""
        for name, view in plan.pools.items():
            look = self.looker.looks.get(name)
            for act in view.step.acts:
                at = look.sight.places.get(act.ref) if look is not None else None
                if at is not None and (wish := self._of_act(plan, name, act, at[0], look, at[1], now)) is not None:
                    yield wish
        for loan, left in self._orphans(plan, pools, unusable, now):
            kind, reason, why = Kind.RETURN, Reason.RETURNED, "no pool speaks for this work any more"
            if left is not None:
                kind, (reason, why) = Kind.LET_GO, left
            said = Applied(
                loan.policy, loan.target, loan.place.ref, Action.RETURN, loan.pending, loan.original, now, reason, why
            )
            yield Wish(kind, loan.place.id, loan.place.ref.namespace, said, loan=loan)

    def _left_to(self, loan: Loan, look: PoolLook, now: float) -> tuple[Reason, str] | None:
        """Who starts and stops the work of a loan by now, in the place of its owner: to give it back would be a fight
        without an end.
        """
        left = f"it is left as it is, not at {loan.original}"
        driven, conflict = look.driven.get(loan.place.ref.identity), self.settling.conflicts.of(loan.place.id, now)
        if driven is not None:
            return driven.reason, f"{driven.message}: {left}"
        if conflict is not None and loan.pending == loan.original:
            return Reason.FIELD_MANAGER_CONFLICT, f"{conflict.note}: {left}"
        return None

    def _sleeps(self, loan: Loan, look: PoolLook) -> bool:
        """Whether work was lent down to nothing before an autoscaler came in front of it: at 0 that is switched off. It
        undoes nothing and brings nothing back, so that the work is given back when it was planned to be.
        """
        driven = look.driven.get(loan.place.ref.identity)
        scaled = driven is not None and driven.reason is Reason.OWNED_BY_OTHER_SCALER
        return scaled and loan.original > 0 and (loan.pending == 0 or loan.pending == loan.original)

    def _of_act(
        self, plan: Plan, pool: str, act: Act, place: Place, look: PoolLook | None, held: Held, now: float
    ) -> Wish | None:
        loan = self.settling.ledger.of(place)
        if self.settling.conflicts.of(place.id, now) is not None or look is None:
            return None
        if not self.settling.ledger.is_current(place, asked=look.asked, version=held.version):
            latest = self.settling.ledger.latest(place)
            if latest is None:
                return None
            held = latest
        said, one, tenant = _said(pool, act, now), place.id, place.ref.namespace
        if act.do is Do.CLOSE:
            return Wish(Kind.RETURN, one, tenant, said, loan=loan) if loan is not None else None
        mark = act.mark
        note = HandOverNote(
            pool, act.lane, mark.notices, mark.stops, mark.free_by, mark.until, mark.promises, mark.extra
        )
        until = mark.return_by if math.isfinite(mark.return_by) else mark.until
        terms = Terms(Key("", pool), act.lane, until, mark.needs, note)
        if act.do in (Do.STOP, Do.RESUME):
            return Wish(
                Kind.MOVE, one, tenant, said, place=place, held=held, level=act.level, terms=terms, must_by=None
            )
        notice = ""
        if act.do is Do.NOTIFY:
            self._told.add((act.ref, mark.notices[-1].level))
            self._telling.add((act.ref, mark.notices[-1].level))
            maker = look.makers.get(act.ref, "")
            notice = _notice(plan.pools[pool], act.ref, note, mark.notices[-1], mark.original, maker)
        return Wish(Kind.RECORD, one, tenant, said, place=place, held=held, terms=terms, notice=notice, must_by=None)

    def tell_again(self, plan: Plan) -> None:
        """Tell notices that stand and that this life has not told: the one before may have died over them."""
        standing = {
            (loan.place.ref, notice.level): (loan, notice)
            for loan in self.settling.ledger.loans.values()
            if loan.hand_over is not None and loan.hand_over.pool in plan.pools
            for notice in loan.hand_over.notices
        }
        self._told &= standing.keys() | self._telling
        self._telling = set()
        for one, (loan, notice) in standing.items():
            if one not in self._told and loan.hand_over is not None:
                self._told.add(one)
                view, look = plan.pools[loan.hand_over.pool], self.looker.looks.get(loan.hand_over.pool)
                maker = look.makers.get(one[0], "") if look is not None else ""
                message = _notice(view, one[0], loan.hand_over, notice, loan.original, maker)
                tell(self.events, one[0], loan.hand_over, notice, message)

    def _orphans(
        self, plan: Plan, pools: Mapping[str, Pool], unusable: Iterable[str], now: float
    ) -> Iterator[tuple[Loan, tuple[Reason, str] | None]]:
        """Loans of pools that are gone, and of work that is no member of its pool any more, or is left to others: to
        whom, and why.
        """
        for loan in self.settling.ledger.loans.values():
            if loan.hand_over is None or loan.hand_over.pool in unusable:
                continue
            name = loan.hand_over.pool
            look = self.looker.looks.get(name)
            if name not in pools:
                yield loan, None
            elif look is not None and name in plan.pools and not self.looker.is_old(name, now):
                if self._sleeps(loan, look):
                    if loan.pending or now >= min(loan.hand_over.until, loan.until):
                        yield loan, None
                    continue
                left = self._left_to(loan, look, now)
                if left is not None or (look.of(loan) is None and loan.target not in look.sight.unseen):
                    yield loan, left


def _most(counted: int | None, pods: int) -> int | None:
    """The larger count of pods, where they are counted."""
    return None if counted is None else max(counted, pods)


def _said(pool: str, act: Act, now: float) -> Applied:
    return Applied(
        policy=Key("", pool),
        target=act.lane,
        ref=act.ref,
        action=_ACTIONS.get(act.do, Action.NOTHING),
        before=act.before,
        level=act.level,
        at=now,
        reason=act.reason,
        message=act.message,
        told=act.do is not Do.RECORD,
    )


def _notice(view: PoolView, ref: Ref, note: HandOverNote, notice: Notice, original: int, maker: str) -> str:
    """What the work is told: from when on it is stopped, for whom, and when it is planned to run again; and of a run of
    a CronJob what that may do meanwhile.
    """
    told = next((one for one in view.step.hand_overs if one.ref == ref and one.state is State.NOTICE), None)
    stop = told.deadline if told is not None else None
    names = view.told_for.get(ref, ())
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    who = ", ".join(names[:NAMED]) + more if names else "a peak"
    if told is not None and told.mark is not None and told.mark.needs == (RETURNS,):
        who = RETURNS
    return (
        f"will go from {original} to {notice.level} at {rfc3339(note.free_by if stop is None else stop)} for {who}"
        f" (CapacityPool {note.pool}, lane {note.lane}), planned back at {rfc3339(note.until)}"
    ) + (MEANWHILE.format(maker) if maker else "")


def _remaining(pool: Pool, readings: Mapping[SignalKey, Reading]) -> dict[str, float | None]:
    """Unit-seconds of work left, by member name; one that cannot be read is unknown, never none."""
    return {
        member.name: member.work.given
        if member.work.query is None
        else _left(readings.get((Key("", pool.name), member.name)))
        for lane in pool.lanes
        for member in lane.members
        if member.work is not None
    }


def _left(one: Reading | None) -> float | None:
    good = one is not None and one.freshness is Freshness.FRESH and one.value is not None and math.isfinite(one.value)
    return max(0.0, one.value) if good and one is not None and one.value is not None else None


def work_signals(pool: Pool) -> Iterator[tuple[SignalKey, MemberRef]]:
    """Members whose remaining work is measured, by the key under which it is read."""
    for lane in pool.lanes:
        for member in lane.members:
            if member.work is not None and member.work.query is not None:
                yield (Key("", pool.name), member.name), member


def mark_of(loan: Loan) -> Mark:
    """What a loan says of a hand-over."""
    note = loan.hand_over
    assert note is not None  # noqa: S101 - only loans of pools are asked
    moved = loan.pending != loan.original or loan.pending in loan.levels
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
        extra=note.extra,
    )
