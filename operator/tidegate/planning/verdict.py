"""The verdict on an event: will what it needs be ready when it is needed?

From an hour before an occurrence (``WATCH``) until its end. The worst of the targets that carry its signals decides.
Ready, Late (with the predicted instant) or Blocked (by what, in which object). Blindness is never a cause: it is shown
apart. What may block a target is a list of small functions, ``causes.CAUSES``. Of a target that was not seen lately
only what does not rest on seeing it may be said: else the verdict is Unknown.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from tidegate.planning.book import SHIFT, WATCH, Book, Entry, LeftOut
from tidegate.planning.causes import CAUSES, UNKNOWN, UNSEEN_CAUSES, Asked, Case, policy_ref, refused
from tidegate.planning.decision import Action, Outcome, TargetPlan, Verdict
from tidegate.planning.evidence import cramped
from tidegate.planning.foretold import nobody_prepares
from tidegate.planning.limits import over_a_limit
from tidegate.planning.model import (
    OURS,
    Announcement,
    Key,
    Observed,
    Occurrence,
    Policy,
    Ref,
    TargetKey,
    TargetSpec,
)
from tidegate.planning.needs import Needs
from tidegate.planning.reasons import Reason
from tidegate.planning.withheld import Unheard
from tidegate.planning.world import World

PACE = 5.0
"""Seconds on which verdicts tick: time alone changes one no sooner."""

ROUNDED = 1e-9
"""What a share may be off by for having been rounded."""
REMEMBERED = 4096
"""Verdicts that rest on nothing but a name, a message and an instant, and are given anew by each plan."""
_ORDER = {Outcome.BLOCKED: 0, Outcome.LATE: 1, Outcome.UNKNOWN: 2, Outcome.READY: 3}


Found = tuple[Key, Verdict]

Spans = frozenset[tuple[str, float, float]]
"""By signal, from when to when an occurrence has any demand for it."""


def of_policy(
    world: World, book: Book, plans: Mapping[TargetKey, TargetPlan], policy: Policy, now: float, needs: Needs
) -> Iterator[Found]:
    """Verdicts of a policy's events that are near; those of equal signals share all but their instant."""
    near, horizon = near_of(book, policy.key, now), now + world.settings.horizon
    now = now // PACE * PACE
    judging = _Judging(world, book, plans, policy, needs, now, horizon)
    carried = frozenset(signal for target in policy.targets for signal, _ in target.capacity)
    for key in near:
        entry = book.entries[key]
        occurrence = current_occurrence(entry.announcement.occurrences, now)
        if occurrence is None or occurrence.start - WATCH > now:
            continue
        verdict = judging.of(entry, occurrence)
        verdict = _within_limits(verdict, book, policy, entry, occurrence, (now, horizon))
        yield key, _with_what_nobody_prepares(verdict, entry.every - carried, entry.announcement, policy)


@dataclass(slots=True)
class _Judging:
    """The verdicts on a policy's events by what its targets show. What is found once is said of all that it is true
    of.
    """

    world: World
    book: Book
    plans: Mapping[TargetKey, TargetPlan]
    policy: Policy
    needs: Needs
    now: float
    horizon: float
    _carriers: dict[frozenset[str], list[TargetSpec]] = field(default_factory=dict)
    """By the signals of an event: the targets that carry any of them."""
    _alike: dict[frozenset[str], Verdict] = field(default_factory=dict)
    """By the signals of an event: what is found at any time."""
    _of_a_time: dict[tuple[frozenset[str], Occurrence, Spans], Verdict] = field(default_factory=dict)
    """By signals and time: what is found of that time alone."""

    def of(self, entry: Entry, occurrence: Occurrence) -> Verdict:
        """The verdict on one occurrence of an event."""
        verdict = self._alike.get(entry.every) or self._at_its_time(entry, occurrence)
        whole = verdict.reason is Reason.READY and self._is_whole(self._carrying(entry.every), occurrence)
        return replace(verdict, starts_at=occurrence.start, whole=whole)

    def _at_its_time(self, entry: Entry, occurrence: Occurrence) -> Verdict:
        spans = _spans(entry, occurrence, self.book.cell, (self.now, self.horizon))
        verdict = self._of_a_time.get((entry.every, occurrence, spans))
        if verdict is not None:
            return verdict
        carrying = self._carrying(entry.every)
        cases = _cases(self.world, self.plans, self.policy, carrying, occurrence, spans, self.now, self.needs)
        verdict = _verdict(self.policy, entry.every, cases, occurrence)
        if any(map(_is_of_one_time, cases)):
            self._of_a_time[entry.every, occurrence, spans] = verdict
        else:
            self._alike[entry.every] = verdict
        return verdict

    def _carrying(self, signals: frozenset[str]) -> list[TargetSpec]:
        carrying = self._carriers.get(signals)
        if carrying is None:
            carrying = [one for one in self.policy.targets if any(name in signals for name, _ in one.capacity)]
            self._carriers[signals] = carrying
        return carrying

    def _is_whole(self, carrying: list[TargetSpec], occurrence: Occurrence) -> bool:
        """See ``Verdict.whole``."""
        begin, end = max(occurrence.start, self.now), occurrence.start + occurrence.duration
        for target in carrying:
            seen = self.world.observed.get((self.policy.key, target.name))
            there = (seen.ready or 0) if seen is not None else 0
            if self.needs.exceed(target, begin, end, there):
                return False
        return True


def _spans(entry: Entry, occurrence: Occurrence, cell: float, within: tuple[float, float]) -> Spans:
    """When an occurrence has demand, lead-ins and what follows by a lag included, as far as it is looked ahead."""
    origin, (now, horizon) = math.floor(occurrence.start / cell), within
    every = [(one.signal, one.first * cell, one.end * cell) for one in entry.parts if one.origin == origin]
    return frozenset([one for one in every if one[1] < horizon and one[2] > now])


def _is_of_one_time(case: Case) -> bool:
    """What is found of a target is for one occurrence alone: refusals, what is withheld or comes late, what is
    measured, and what may be above a bound.
    """
    plan, most = case.plan, case.observed.maximum
    cut = any(one.reason in (Reason.SCALER_MAXIMUM, Reason.POLICY_MAXIMUM) for one in plan.trail)
    bounded = plan.peak >= case.maximum or (most is not None and plan.peak > most)
    bounded = bounded or any(plan.peak > room.units for room in case.observed.rooms)
    late = plan.shortages or plan.measured > (case.observed.ready or 0)
    return bool(plan.refusals or plan.withheld or late or cut or bounded)


def _within_limits(
    verdict: Verdict, book: Book, policy: Policy, entry: Entry, occurrence: Occurrence, span: tuple[float, float]
) -> Verdict:
    """The same, unless nothing blocks the targets and a bound behind them is too low. Each event has its own span."""
    if verdict.outcome is Outcome.BLOCKED or not policy.limits:
        return verdict
    return over_a_limit(book, policy, entry, occurrence, span) or verdict


def _with_what_nobody_prepares(
    verdict: Verdict, uncarried: frozenset[str], event: Announcement, policy: Policy
) -> Verdict:
    """A verdict is about the signals that targets carry. Those that none carries are named: a typing error in one of
    two signals leaves half of an event unprepared. A signal that others only follow needs no target.
    """
    names = sorted(uncarried - {one.source for one in event.derived})
    if not names or verdict.reason is Reason.NO_TARGET:
        return verdict
    return replace(verdict, message=f"{verdict.message}; {nobody_prepares(names, policy)}")


def near_of(book: Book, policy: Key, now: float) -> frozenset[Key]:
    """A policy's events that may be near; no other has a verdict."""
    return frozenset(book.near.get((policy, int(now // PACE * PACE // SHIFT)), ()))


def of_nobody(book: Book, policy: Key, now: float, unheard: Unheard | None = None) -> Iterator[Found]:
    """Verdicts of the events whose policy is missing; they have one at any time. Where policies could not be listed
    nobody knows that it is: ``unheard`` as ``World.unheard_of`` tells.
    """
    untold = unheard is not None and (unheard.raises_at == math.inf or unheard.withholds(now))
    said = unheard.message if unheard is not None and untold else ""
    now = now // PACE * PACE
    for key in book.by_policy[policy]:
        occurrence = current_occurrence(book.entries[key].announcement.occurrences, now)
        if occurrence is not None:
            start = occurrence.start
            yield key, _unheard_of(policy, said, start) if said else _without_policy(policy, start)


def of_left_out(left_out: Mapping[Key, LeftOut], now: float) -> Iterator[Found]:
    """Verdicts of the events that could not be summed; they have one at any time."""
    for key, one in left_out.items():
        occurrence = current_occurrence(one.occurrences, now)
        if occurrence is not None:
            yield key, _without_sums(key, one.message, occurrence.start)


@lru_cache(maxsize=REMEMBERED)
def _without_policy(policy: Key, starts_at: float) -> Verdict:
    message = f"ScalingPolicy {policy.name} does not exist in namespace {policy.namespace}"
    return Verdict(Outcome.BLOCKED, Reason.POLICY_MISSING, message, starts_at, object=policy_ref(policy))


@lru_cache(maxsize=REMEMBERED)
def _unheard_of(policy: Key, said: str, starts_at: float) -> Verdict:
    message = f"nothing is written, and whether there is a ScalingPolicy {policy.name} is not known: {said}"
    return Verdict(Outcome.BLOCKED, Reason.NOT_HEARD, message, starts_at, object=policy_ref(policy))


@lru_cache(maxsize=REMEMBERED)
def _without_sums(key: Key, message: str, starts_at: float) -> Verdict:
    about = Ref(OURS, "LiveEvent", key.namespace, key.name)
    return Verdict(Outcome.BLOCKED, Reason.CANNOT_BE_PLANNED, message, starts_at, object=about)


def of_unjudged(book: Book, keys: Collection[Key], why: str, now: float) -> Iterator[Found]:
    """Verdicts of the events whose verdict could not be worked out."""
    for key in keys:
        occurrence = current_occurrence(book.entries[key].announcement.occurrences, now)
        if occurrence is not None:
            yield key, Verdict(Outcome.UNKNOWN, Reason.CANNOT_BE_PLANNED, f"no verdict: {why}", occurrence.start)


def settled(shown: Verdict | None, before: Verdict | None, fresh: Verdict) -> Verdict | None:
    """What to show: better news at once, worse news when it has been seen twice, for the same reason.

    ``shown`` is what is shown now, ``before`` what the last look found, ``fresh`` what this one does. None while the
    first bad news of an event waits for its second look.
    """
    worse = shown is None or _ORDER[fresh.outcome] < _ORDER[shown.outcome]
    bad = fresh.outcome in (Outcome.LATE, Outcome.BLOCKED)
    if bad and worse and (before is None or (before.outcome, before.reason) != (fresh.outcome, fresh.reason)):
        return shown
    return fresh


def current_occurrence(occurrences: Iterable[Occurrence], now: float) -> Occurrence | None:
    """The first occurrence that is not over."""
    for occurrence in occurrences:
        if occurrence.start + occurrence.duration > now:
            return occurrence
    return None


def _cases(
    world: World,
    plans: Mapping[TargetKey, TargetPlan],
    policy: Policy,
    carrying: list[TargetSpec],
    occurrence: Occurrence,
    spans: Spans,
    now: float,
    needs: Needs,
) -> list[Case]:
    """The targets of an occurrence, each with all that may speak against it."""
    cases = []
    for target in sorted(carrying, key=lambda t: t.name):
        signals = {signal for signal, _ in target.capacity}
        whole = occurrence.start, occurrence.start + occurrence.duration
        times = (whole, *sorted((first, last) for signal, first, last in spans if signal in signals))
        asked = list(dict.fromkeys((max(begin, occurrence.start, now), end) for begin, end in times if end > now))
        case = Case(
            plan=plans[policy.key, target.name],
            observed=world.observed.get((policy.key, target.name), Observed()),
            maximum=target.maximum,
            maximum_field=f"spec.targets[{policy.targets.index(target)}].max",
            machine_seconds=target.lead.machine_seconds,
            headroom=target.headroom,
            tight=None,
            now=now,
            occurrence=occurrence,
            times=times,
            needed=partial(_asked, needs, target, asked),
        )
        cases.append(case)
    tight = cramped([(_at_its_peak(case), case.observed) for case in cases])
    return [replace(case, tight=tight.get(case.plan.target)) for case in cases] if tight else cases


def _asked(needs: Needs, target: TargetSpec, times: list[tuple[float, float]], there: int) -> Asked:
    """What all events together ask of a target at some times."""
    found = [needs.asked(target, begin, end, there) for begin, end in times]
    return Asked(max(one.units for one in found), min(one.due_at for one in found), max(one.wish for one in found))


def _at_its_peak(case: Case) -> TargetPlan:
    """A target's plan with the largest need of this time: what others need hours later is no word on this one."""
    return replace(case.plan, peak=case.needed(0).units) if case.observed.rooms else case.plan


def _verdict(policy: Policy, signals: frozenset[str], cases: list[Case], occurrence: Occurrence) -> Verdict:
    if not cases:
        message = f"no target of {policy.key.name} carries {', '.join(sorted(signals)) or 'any of its signals'}"
        return Verdict(Outcome.BLOCKED, Reason.NO_TARGET, message, occurrence.start, object=policy_ref(policy.key))
    judged = [_of_target(case, occurrence.start) for case in cases]
    worst = min(judged, key=lambda v: (_ORDER[v.outcome], -(v.ready_at or 0.0)))
    if len(judged) > 1 and all(v.reason is Reason.READY for v in judged):
        return Verdict(Outcome.READY, Reason.READY, f"all {len(judged)} targets ready", occurrence.start)
    return worst


def _of_target(case: Case, start: float) -> Verdict:
    found, limited = _alone(case, start), case.observed.limited
    if limited and found.outcome in (Outcome.LATE, Outcome.BLOCKED):
        return replace(found, message=f"{found.message}; {limited}")
    return found


def _alone(case: Case, start: float) -> Verdict:
    """Without what its reactive scaler adds to bad news."""
    plan, observed, name = case.plan, case.observed, case.plan.target
    for cause in CAUSES if observed.seen else UNSEEN_CAUSES:
        if (found := cause(case)) is not None:
            about = "" if str(found.object) in found.message else f" ({found.object})"
            message = f"{name}: {found.message}{about}"
            return Verdict(
                Outcome.BLOCKED, found.reason, message, start, target=name, object=found.object, field=found.field
            )
    unknown = next((r for r in refused(case) if r.reason in UNKNOWN), None)
    if unknown is not None:
        return Verdict(Outcome.UNKNOWN, unknown.reason, f"{name}: {unknown.message}", start, target=name)
    waiting = max(_late(case), key=lambda v: v.ready_at or 0.0, default=None)
    if waiting is not None:
        return waiting
    if not observed.seen:
        message = observed.note or "it was not seen lately"
        return Verdict(Outcome.UNKNOWN, Reason.NOT_SEEN_LATELY, f"{name}: {message}", start, target=name)
    if plan.level is None or observed.ready is None or plan.reason is Reason.UNREADABLE:
        return Verdict(Outcome.UNKNOWN, plan.reason, f"{name}: {plan.message}", start, target=name)
    wanted = max(plan.level, plan.wanted or 0)
    ready = f"{name}: {observed.ready} of {wanted} ready"
    if observed.ready >= wanted:
        return Verdict(Outcome.READY, Reason.READY, ready, start, target=name)
    rest = "the rest is expected in time"
    if case.is_on and plan.measured > observed.ready:
        rest = f"measured demand with its headroom needs {plan.measured} now, and the rest follows"
    elif plan.reason is Reason.BLIND:
        rest = "what is announced is in time; more is kept while nobody can measure"
    return Verdict(Outcome.READY, Reason.ON_PLAN, f"{ready}, {rest}", start, target=name)


def _late(case: Case) -> Iterator[Verdict]:
    """What comes too late for one target: what waits for the pool's machines, and what was written and starts."""
    plan, observed, start = case.plan, case.observed, case.occurrence.start
    late = partial(Verdict, Outcome.LATE, starts_at=start, target=plan.target)
    for refusal in refused(case):
        if refusal.late is not None:
            needed, ready_at = refusal.late
            message = (
                f"{plan.target}: {refusal.message} What is missing is expected {_roughly(ready_at - needed)} late."
            )
            yield late(refusal.reason, message, ready_at=ready_at)
    seen = observed.seen and plan.reason is not Reason.UNREADABLE
    if not seen or plan.level is None or observed.ready is None:
        return
    said = f"{plan.target}: {observed.ready} of {max(plan.level, plan.wanted or 0)} ready"
    # What is missing for another event, and is ready before this one needs any, is not this one's.
    mine = [
        (max(one.short_at, begin), one.ready_at)
        for one in plan.shortages
        for begin, end in case.times
        if one.ready_at > begin and one.short_at < end
    ]
    if mine:
        short_at, ready_at = min(mine)
        yield late(Reason.LATE, f"{said}, the rest is expected {_roughly(ready_at - short_at)} late", ready_at=ready_at)
    if case.is_on and observed.ready < math.ceil(plan.measured / (1.0 + case.headroom) - ROUNDED):
        message = f"{said}, measured demand needs {plan.measured} now, and the rest is on its way"
        yield late(Reason.LATE, message, ready_at=_on_its_way(case))


def _on_its_way(case: Case) -> float:
    """When units that measured demand asks for will be ready: one lead time after their write, and when machines have
    come where they do not fit on those that are up; what should be ready and is not takes its time anew.
    """
    loan, lead, spare = case.observed.loan, case.plan.lead.seconds, case.observed.spare_units
    if spare is not None and case.plan.measured - (case.observed.ready or 0) > spare:
        lead += case.machine_seconds
    written = loan is not None and case.plan.action is not Action.RAISE
    ready_at = (loan.stepped_at if loan is not None and written else case.now) + lead
    return ready_at if ready_at > case.now else case.now + lead


def _roughly(seconds: float) -> str:
    """A time that runs on, in steps that are worth saying: a text changes when its meaning does."""
    if seconds < 10.0:
        return "a few seconds"
    step = 5.0 if seconds < 60.0 else 30.0 if seconds < 600.0 else 300.0
    return f"about {round(seconds / step) * step:.0f} s"
