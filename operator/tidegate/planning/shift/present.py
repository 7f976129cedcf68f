"""The plan of a pool now: what of the last timetable still applies, and what needs that it does not know may have.

Cheap, and on present facts: a timetable takes seconds to make and may come late or never. What was granted and is still
wanted stands. A need that no timetable knows gets what is free and promised to nobody. Work stops for nobody but those
for whom the timetable stops it.

A new leader has no timetable for a few seconds. What the last leader granted and lent stands until then: the promises
on record, and the marks that the loans of the work bear.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.planning.model import Ref
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift import diagnose
from tidegate.planning.shift.inputs import OLD, Timetabled, TimetableInputs
from tidegate.planning.shift.lendings import REACTION, WANTED_BY_MOST
from tidegate.planning.shift.model import Lane, Member, Need, NeedStep, PoolFacts, amount_at
from tidegate.planning.shift.outcome import Grant, Lending, PoolPlan, Refusal
from tidegate.planning.shift.steps import ahead, cuts_of, met, sums, without

SOON = 600.0
"""Seconds ahead from which a need that no timetable knows is given what is free. Judgment: a timetable takes seconds,
and the writes and starts of a floor less than this."""


def present(inputs: TimetableInputs) -> PoolPlan:
    """The plan of a pool at the instant of its inputs. Equal arguments give equal plans."""
    return _Present(inputs, inputs.standing).plan()


@dataclass(slots=True)
class _Present:
    inputs: TimetableInputs
    standing: Timetabled | None
    grants: list[Grant] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def plan(self) -> PoolPlan:
        inputs, now = self.inputs, self.inputs.now
        live = sorted((n for n in inputs.needs if n.end > now), key=lambda n: n.key)
        needs = self._allowed(live)
        left = self._stand(needs)
        lendings = self._lendings()
        unknown = self._unknown(needs, left)
        if unknown:
            self._admit(unknown, lendings)
        if self.standing is not None:
            self.refusals += _applying(self.standing.plan.refusals, needs)
        return PoolPlan(now, inputs.pool.name, tuple(self.grants), tuple(self.refusals), lendings)

    def _allowed(self, needs: Iterable[Need]) -> list[Need]:
        """Needs of lanes that exist and let their namespace in, as the pool is written now."""
        pool, kept = self.inputs.pool, []
        for need in needs:
            lane = pool.lane(need.lane)
            if lane is None:
                self.refusals.append(diagnose.lane_unknown(need, pool))
            elif need.namespace not in lane.allowed_namespaces:
                self.refusals.append(diagnose.not_allowed(need, pool))
            else:
                kept.append(need)
        return kept

    # ---- what stands

    def _stand(self, needs: Sequence[Need]) -> dict[str, tuple[NeedStep, ...]]:
        """Keep the grants whose needs are still there, as far as they are; what each need asks for beyond them."""
        left = {need.key: ahead(need.steps, self.inputs.now) for need in needs}
        mine: dict[tuple[str, str, str], list[Need]] = defaultdict(list)
        for need in needs:
            mine[need.owner, need.lane, need.namespace].append(need)
        for grant in self.standing.plan.grants if self.standing is not None else self._recorded(needs):
            steps = ahead(grant.steps, self.inputs.now)
            for need in mine[grant.owner, grant.lane, grant.namespace]:
                kept = met(left[need.key], steps)
                if kept:
                    left[need.key] = without(left[need.key], kept)
                    self.grants.append(replace(grant, key=need.key, steps=kept))
        return left

    def _recorded(self, needs: Iterable[Need]) -> Iterable[Grant]:
        """What was granted before, as a former life recorded it."""
        asking = {need.owner: need for need in needs}
        for one in self.inputs.promises:
            need = asking.get(one.owner)
            if need is not None:
                steps = (NeedStep(one.start, one.end, one.amount),)
                yield Grant(need.key, need.lane, need.namespace, False, steps, promised=True)

    def _lendings(self) -> Mapping[Ref, tuple[Lending, ...]]:
        """Absences of members that are still there, for needs that are still granted."""
        facts = self.inputs.facts
        members = {member.ref for member in facts.members}
        served = {grant.owner for grant in self.grants}
        known: Mapping[Ref, tuple[Lending, ...]]
        if self.standing is not None:
            known = self.standing.plan.lendings
        else:
            lanes = {lane.name: lane for lane in self.inputs.pool.lanes}
            known = {m.ref: tuple(_marked(m, lanes[m.lane])) for m in facts.members if m.mark is not None}
        found = {}
        for ref, lendings in known.items():
            if ref in members and (kept := tuple(one for one in lendings if _wanted(one, served))):
                found[ref] = kept
        return found

    # ---- what is new

    def _unknown(self, needs: Sequence[Need], left: Mapping[str, tuple[NeedStep, ...]]) -> list[_Unknown]:
        """What needs ask for that the timetable has neither granted nor refused."""
        asked: dict[tuple[str, str], list[NeedStep]] = defaultdict(list)
        granted: dict[tuple[str, str], list[NeedStep]] = defaultdict(list)
        if self.standing is not None and self._decides(self.standing):
            for need in self.standing.asked:
                asked[need.owner, need.lane] += ahead(need.steps, self.inputs.now)
            for grant in self.standing.plan.grants:
                granted[grant.owner, grant.lane] += ahead(grant.steps, self.inputs.now)
        found = []
        for need in needs:
            rest = left[need.key]
            if rest:
                who = (need.owner, need.lane)
                rest = without(rest, without(tuple(asked[who]), tuple(granted[who])))
            if rest:
                have = self.inputs.facts.use(need.lane).asked.get(need.owner, NOTHING)
                held = (have - self._granted_now(need.owner)).positive
                found.append(_Unknown(need, rest, held))
        return sorted(found, key=lambda one: (one.held.nothing, one.need.start, one.need.key))

    def _decides(self, standing: Timetabled) -> bool:
        """Whether its refusals still count: it is not old, or nothing has changed since."""
        return standing.digest == self.inputs.digest or 0 <= self.inputs.now - standing.made_for <= OLD

    def _granted_now(self, owner: str) -> Resources:
        return total(amount_at(grant.steps, self.inputs.now) for grant in self.grants if grant.owner == owner)

    def _admit(self, unknown: Sequence[_Unknown], lendings: Mapping[Ref, Sequence[Lending]]) -> None:
        """Grant what is free and promised to nobody, those first that have it already."""
        now = self.inputs.now
        soon = [one for one in unknown if one.soon(now)]
        steps = [step for grant in self.grants for step in grant.steps]
        instants = cuts_of([*steps, *(step for one in soon for step in one.steps)], now)
        instants = sorted({*instants, *(t for t in _moves(lendings) if t > now)})
        free = _Free(self.inputs, instants, self.grants, lendings)
        for one in unknown:
            lane = self.inputs.pool.lane(one.need.lane)
            kept = free.take(one, lane) if one.soon(now) and lane is not None else ()
            if kept:
                self.grants.append(Grant(one.need.key, one.need.lane, one.need.namespace, False, kept))
            if short := without(one.steps, kept):
                self.refusals.append(_unplanned(one.need, short[0]))


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A need, or the part of it, that no timetable knows."""

    need: Need
    steps: tuple[NeedStep, ...]
    held: Resources
    """What of it was let in before."""

    def soon(self, now: float) -> bool:
        """It may have what is free already; of others it is only said that they are not planned yet."""
        return self.steps[0].start <= now + SOON


class _Free:
    """What is free and promised to nobody, from each instant to the next: all work is back, all grants are used.

    Machines of work that is out count for the grants that it is out for, and for nobody else.
    """

    def __init__(
        self,
        inputs: TimetableInputs,
        instants: Sequence[float],
        grants: Iterable[Grant],
        lendings: Mapping[Ref, Sequence[Lending]],
    ) -> None:
        self.instants = instants
        self.facts = inputs.facts
        self.taken: dict[tuple[str, str], list[Resources]] = {}
        self.grants = list(grants)
        base = _unlent(inputs)
        lent = _lent(inputs.facts, instants, lendings)
        granted = sums((step for grant in self.grants for step in grant.steps), instants)
        self.free = [base - (g - out).positive for g, out in zip(granted, lent, strict=True)]

    def take(self, one: _Unknown, lane: Lane) -> tuple[NeedStep, ...]:
        """What a need may have of it from now to its end. What is let in once is not asked back before."""
        taken = self._taken(one.need)
        cap = self.facts.capacity.percent(lane.cap) if lane.cap is not None else None
        kept: list[NeedStep] = []
        most: Resources | None = None
        first, last = (bisect_left(self.instants, t) for t in (one.steps[0].start, one.need.end))
        for k in reversed(range(first, last)):
            at = self.instants[k]
            here = self.free[k] if cap is None else self.free[k].least(cap - taken[k])
            most = here if most is None else most.least(here)
            step = next((s for s in one.steps if s.start <= at < s.end), None)
            amount = step.amount.part_in(most) if step is not None else NOTHING
            if amount.nothing or step is None:
                continue
            end = min(step.end, self.instants[k + 1]) if k + 1 < len(self.instants) else step.end
            self.free[k], taken[k] = self.free[k] - amount, taken[k] + amount
            kept.insert(0, NeedStep(at, end, amount))
        return tuple(kept)

    def _taken(self, need: Need) -> list[Resources]:
        """What a namespace has of a lane."""
        key = (need.lane, need.namespace)
        if key not in self.taken:
            mine = (s for grant in self.grants if (grant.lane, grant.namespace) == key for s in grant.steps)
            self.taken[key] = sums(mine, self.instants)
        return self.taken[key]


def _unlent(inputs: TimetableInputs) -> Resources:
    """What is free when all work is back and no need is on."""
    facts = inputs.facts
    lanes = {lane.name for lane in inputs.pool.lanes} | set(facts.lanes)
    standing = total(facts.use(name).standing for name in lanes)
    return facts.capacity - facts.reserve - standing - total(_whole(member) for member in facts.members)


def _whole(member: Member) -> Resources:
    """What work takes when it is back, or holds now where that is more."""
    return member.unit.times(member.original).most(member.used)


def _lent(facts: PoolFacts, instants: Sequence[float], lendings: Mapping[Ref, Sequence[Lending]]) -> list[Resources]:
    """What is out by the timetable at each instant."""
    units = {member.ref: member.unit for member in facts.members}
    out = [NeedStep(one.free_by, one.until, units[ref]) for ref, ones in lendings.items() for one in ones]
    return sums(out, instants)


def _marked(member: Member, lane: Lane) -> Iterable[Lending]:
    """The units of a member that are out, and those that were told, by what was stored of their hand-over."""
    mark, drain = member.mark, lane.drain
    if mark is None:
        return
    for _ in range(mark.original - mark.asked):
        yield Lending(mark.asked_at, mark.asked_at, mark.free_by, mark.until, mark.return_by, mark.needs)
    told = mark.asked
    for notice in sorted(mark.notices, key=lambda one: -one.level):
        earliest = max(notice.at + drain.notice, member.running_since + drain.minimum_run)
        stop_at = max(earliest, mark.free_by - drain.seconds - REACTION)
        promise = min(mark.return_by, mark.until + lane.give_back_within)
        for _ in range(told - notice.level):
            yield Lending(notice.at, stop_at, mark.free_by, mark.until, promise, mark.needs)
        told = min(told, notice.level)


def _moves(lendings: Mapping[Ref, Sequence[Lending]]) -> Iterable[float]:
    return (t for ones in lendings.values() for one in ones for t in (one.free_by, one.until))


def _wanted(lending: Lending, served: set[str]) -> bool:
    """Whether anybody that a piece is out for is still served; of a list that was cut nobody can tell."""
    return len(lending.needs) >= WANTED_BY_MOST or not lending.needs or not served.isdisjoint(lending.needs)


def _applying(refusals: Iterable[Refusal], needs: Sequence[Need]) -> Iterable[Refusal]:
    """Refusals of needs that are still there, by their present keys."""
    mine: dict[str, list[Need]] = defaultdict(list)
    for need in needs:
        mine[need.owner].append(need)
    for refusal in refusals:
        for need in mine[refusal.owner]:
            if refusal.lane == need.lane and (refusal.key == need.key or need.start <= refusal.at < need.end):
                yield replace(refusal, key=need.key)
                break


def _unplanned(need: Need, step: NeedStep) -> Refusal:
    return Refusal(
        need.key, need.lane, Reason.POOL_UNPLANNED, SENTENCES[Reason.POOL_UNPLANNED],
        at=step.start, needed=step.amount, earliest=None, sure=False,
    )  # fmt: skip
