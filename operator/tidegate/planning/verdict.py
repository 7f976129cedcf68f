"""The verdict on an event: will what it needs be ready when it is needed?

From an hour before an occurrence (``WATCH``) until its end. The worst of the targets that carry its signals decides.
Ready, Late (with the predicted instant) or Blocked (by what, in which object). Blindness is never a cause: it is shown
apart. What may block a target is a list of small functions, ``CAUSES``. Of a target that was not seen lately only what
does not rest on seeing it may be said: else the verdict is Unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from tidegate.planning.book import SHIFT, WATCH, Book, Entry, LeftOut
from tidegate.planning.decision import Outcome, PoolRefusal, TargetPlan, Verdict
from tidegate.planning.evidence import blocking, cramped
from tidegate.planning.limits import over_a_limit
from tidegate.planning.model import (
    OURS,
    Announcement,
    Evidence,
    Key,
    Observed,
    Occurrence,
    Policy,
    Ref,
    Room,
    TargetSpec,
)
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World

PACE = 5.0
"""Seconds on which verdicts tick: time alone changes one no sooner."""

_BLOCKING = {
    Reason.TARGET_MISSING,
    Reason.KIND_NOT_SERVED,
    Reason.OWNED_BY_OTHER_SCALER,
    Reason.SCALING_DISABLED,
    Reason.NOT_SCALABLE,
    Reason.FORBIDDEN,
    Reason.FIELD_MANAGER_CONFLICT,
    Reason.SHARED_WORKLOAD,
    Reason.CANNOT_BE_PLANNED,
}
REMEMBERED = 4096
"""Verdicts that rest on nothing but a name, a message and an instant, and are given anew by each plan."""
_NOT_FROM_SIGHT = {Reason.SHARED_WORKLOAD, Reason.CANNOT_BE_PLANNED}
"""The blocking reasons that do not rest on what was seen of the target."""
_UNKNOWN = {Reason.POOL_UNSEEN, Reason.NOT_SEEN_YET, Reason.POOL_UNPLANNED}
"""What a pool cannot tell yet."""
_NAMED = 3
"""Signals that a sentence names."""
_ORDER = {Outcome.BLOCKED: 0, Outcome.LATE: 1, Outcome.UNKNOWN: 2, Outcome.READY: 3}


Found = tuple[Key, Verdict]


Needed = Callable[[TargetSpec, float, float, int], tuple[int, float]]
"""Of a target between two instants, and of what is there: (the largest need within its bounds, when the first write
upwards for it is due). Infinite: none is.
"""


def of_policy(
    world: World,
    book: Book,
    plans: Mapping[tuple[Key, str], TargetPlan],
    policy: Policy,
    now: float,
    needed: Needed = lambda target, since, until, there: (0, math.inf),
) -> Iterator[Found]:
    """Verdicts of a policy's events that are near; those of equal signals share all but their instant."""
    alike: dict[tuple[frozenset[str], Occurrence | None], Verdict] = {}
    carriers: dict[frozenset[str], list[TargetSpec]] = {}
    near, horizon = near_of(book, policy.key, now), now + world.settings.horizon
    now = now // PACE * PACE
    carried = frozenset(signal for target in policy.targets for signal, _ in target.capacity)
    for key in near:
        entry = book.entries[key]
        occurrence = current_occurrence(entry.announcement.occurrences, now)
        if occurrence is None or occurrence.start - WATCH > now:
            continue
        verdict = alike.get((entry.every, occurrence))
        if verdict is None:
            carrying = carriers.get(entry.every)
            if carrying is None:
                carrying = [t for t in policy.targets if any(signal in entry.every for signal, _ in t.capacity)]
                carriers[entry.every] = carrying
            verdict = alike.get((entry.every, None))
            if verdict is None:
                verdict = _verdict(world, plans, policy, entry.every, carrying, occurrence, now, needed)
                mine = [plans[policy.key, t.name] for t in carrying]
                if not any(one.refusals or one.withheld for one in mine):  # these are for one time alone
                    alike[entry.every, None] = verdict
            whole = verdict.reason is Reason.READY and _is_whole(world, policy, carrying, occurrence, now, needed)
            verdict = replace(verdict, starts_at=occurrence.start, whole=whole)
            alike[entry.every, occurrence] = verdict
        verdict = _within_limits(verdict, book, policy, entry, occurrence, (now, horizon))
        yield key, _with_what_nobody_prepares(verdict, entry.every - carried, entry.announcement, policy)


def _within_limits(
    verdict: Verdict, book: Book, policy: Policy, entry: Entry, occurrence: Occurrence, span: tuple[float, float]
) -> Verdict:
    """The same, unless nothing blocks the targets and a bound behind them is too low. Each event has its own span."""
    if verdict.outcome is Outcome.BLOCKED or not policy.limits:
        return verdict
    return over_a_limit(book, policy, entry, occurrence, span) or verdict


def _is_whole(
    world: World, policy: Policy, carrying: list[TargetSpec], occurrence: Occurrence, now: float, needed: Needed
) -> bool:
    """See ``Verdict.whole``."""
    begin, end = max(occurrence.start, now), occurrence.start + occurrence.duration
    for target in carrying:
        seen = world.observed.get((policy.key, target.name))
        there = (seen.ready or 0) if seen is not None else 0
        if needed(target, begin, end, there)[0] > there:
            return False
    return True


def _with_what_nobody_prepares(
    verdict: Verdict, uncarried: frozenset[str], event: Announcement, policy: Policy
) -> Verdict:
    """A verdict is about the signals that targets carry. Those that none carries are named: a typing error in one of
    two signals leaves half of an event unprepared. A signal that others only follow needs no target.
    """
    names = sorted(uncarried - {one.source for one in event.derived})
    if not names or verdict.reason is Reason.NO_TARGET:
        return verdict
    some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    said = f"{verdict.message}; nothing prepares {some}: no target of {policy.key.name} carries it"
    return replace(verdict, message=said)


def near_of(book: Book, policy: Key, now: float) -> frozenset[Key]:
    """A policy's events that may be near; no other has a verdict."""
    return frozenset(book.near.get((policy, int(now // PACE * PACE // SHIFT)), ()))


def of_nobody(book: Book, policy: Key, now: float) -> Iterator[Found]:
    """Verdicts of the events whose policy is missing; they have one at any time."""
    now = now // PACE * PACE
    for key in book.by_policy[policy]:
        occurrence = current_occurrence(book.entries[key].announcement.occurrences, now)
        if occurrence is not None:
            yield key, _without_policy(policy, occurrence.start)


def of_left_out(left_out: Mapping[Key, LeftOut], now: float) -> Iterator[Found]:
    """Verdicts of the events that could not be summed; they have one at any time."""
    for key, one in left_out.items():
        occurrence = current_occurrence(one.occurrences, now)
        if occurrence is not None:
            yield key, _without_sums(key, one.message, occurrence.start)


@lru_cache(maxsize=REMEMBERED)
def _without_policy(policy: Key, starts_at: float) -> Verdict:
    message = f"ScalingPolicy {policy.name} does not exist in namespace {policy.namespace}"
    return Verdict(Outcome.BLOCKED, Reason.POLICY_MISSING, message, starts_at, object=_policy_ref(policy))


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


def _verdict(
    world: World,
    plans: Mapping[tuple[Key, str], TargetPlan],
    policy: Policy,
    signals: frozenset[str],
    carrying: list[TargetSpec],
    occurrence: Occurrence,
    now: float,
    needed: Needed,
) -> Verdict:
    if not carrying:
        message = f"no target of {policy.key.name} carries {', '.join(sorted(signals)) or 'any of its signals'}"
        return Verdict(Outcome.BLOCKED, Reason.NO_TARGET, message, occurrence.start, object=_policy_ref(policy.key))
    seen = {t.name: (plans[policy.key, t.name], world.observed.get((policy.key, t.name), Observed())) for t in carrying}
    tight = cramped(seen.values())
    span = max(occurrence.start, now), occurrence.start + occurrence.duration
    cases = [
        Case(*seen[t.name], t.lead.machine_seconds, tight.get(t.name), now, occurrence, partial(needed, t, *span))
        for t in sorted(carrying, key=lambda t: t.name)
    ]
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
    unknown = next((r for r in _refused(case) if r.reason in _UNKNOWN), None)
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
    return Verdict(Outcome.READY, Reason.ON_PLAN, f"{ready}, the rest is expected in time", start, target=name)


def _late(case: Case) -> Iterator[Verdict]:
    """What comes too late for one target: what waits for the pool's machines, and what was written and starts."""
    plan, observed, start = case.plan, case.observed, case.occurrence.start
    late = partial(Verdict, Outcome.LATE, starts_at=start, target=plan.target)
    for refusal in _refused(case):
        if refusal.late is not None:
            needed, ready_at = refusal.late
            message = (
                f"{plan.target}: {refusal.message} What is missing is expected {_roughly(ready_at - needed)} late."
            )
            yield late(refusal.reason, message, ready_at=ready_at)
    seen = observed.seen and plan.reason is not Reason.UNREADABLE
    if not seen or plan.level is None or observed.ready is None:
        return
    if plan.short_at is not None and plan.ready_at is not None:
        wanted = max(plan.level, plan.wanted or 0)
        message = f"{plan.target}: {observed.ready} of {wanted} ready, the rest is expected"
        message += f" {_roughly(plan.ready_at - plan.short_at)} late"
        yield late(Reason.LATE, message, ready_at=plan.ready_at)


# ---- what blocks a target


@dataclass(frozen=True, slots=True)
class Case:
    """One target of an event, with all that may speak against it."""

    plan: TargetPlan
    observed: Observed
    machine_seconds: float
    """How long a machine takes to come, as the policy says."""
    tight: tuple[Room, str] | None
    """A shared bound under which its peak does not fit."""
    now: float
    occurrence: Occurrence
    needed: Callable[[int], tuple[int, float]]
    """As ``Needed``, of all events together while this one is on: by the units that are there."""


Cause = Callable[[Case], Evidence | None]


def in_trouble(case: Case) -> Evidence | None:
    """The target cannot be driven."""
    plan = case.plan
    if plan.reason not in (_BLOCKING if case.observed.seen else _NOT_FROM_SIGHT):
        return None
    if plan.withheld is not None and plan.withheld.reason is plan.reason:  # what is in the way is who comes first
        return Evidence(plan.reason, plan.withheld.object, plan.withheld.field, plan.message)
    return Evidence(plan.reason, case.observed.about or plan.ref, "", plan.message)


def left_to_nobody(case: Case) -> Evidence | None:
    """More is needed than is there, and nobody will write it: green would be a lie."""
    observed, withheld = case.observed, case.plan.withheld
    there = max(observed.level or 0, observed.ready or 0, observed.desired or 0)
    if withheld is None or observed.level is None:
        return None
    needed, due_at = case.needed(there)
    if needed <= there or withheld.until <= due_at:  # enough is there; or it is over before anything is due
        return None
    seen = "are" if observed.seen else "were last seen"
    message = f"{needed} units are needed, {there} {seen} there, and nobody raises them: {withheld.message}"
    return Evidence(withheld.reason, withheld.object, withheld.field, message)


def under_the_scalers_maximum(case: Case) -> Evidence | None:
    """The reactive scaler's maximum is below what is, or will be, needed."""
    plan, observed = case.plan, case.observed
    scaler = observed.scaler or plan.ref
    cut = next((j for j in plan.trail if j.reason is Reason.SCALER_MAXIMUM), None)
    if cut is not None:
        return Evidence(Reason.SCALER_MAXIMUM, scaler, "spec.maxReplicas", cut.message)
    if observed.maximum is None or plan.peak <= observed.maximum:
        return None
    message = f"{plan.peak} units will be needed, but the autoscaler's maxReplicas is {observed.maximum}"
    return Evidence(Reason.SCALER_MAXIMUM, scaler, "spec.maxReplicas", message)


def under_a_quota(case: Case) -> Evidence | None:
    """A quota of the namespace has no room for the peak: told before anything was tried."""
    if case.tight is None:
        return None
    room, message = case.tight
    return Evidence(Reason.QUOTA_EXCEEDED, room.object, room.field, message)


def in_the_pool(case: Case) -> Evidence | None:
    """The pool does not carry the need, and will not in time for any of it."""
    found = next((r for r in _refused(case) if r.reason not in _UNKNOWN and not _comes(r, case)), None)
    if found is None:
        return None
    return Evidence(found.reason, Ref(OURS, "CapacityPool", "", found.pool), "spec.lanes", found.message)


def _comes(refusal: PoolRefusal, case: Case) -> bool:
    """Whether waiting helps, whatever stands against the need so far: the machines come, and the event is still on
    then.
    """
    end = case.occurrence.start + case.occurrence.duration
    return refusal.earliest is not None and refusal.earliest < end


def _refused(case: Case) -> list[PoolRefusal]:
    """What the pool does not carry while the occurrence is on."""
    start, end = case.occurrence.start, case.occurrence.start + case.occurrence.duration
    return [r for r in case.plan.refusals if r.start < end and max(start, case.now) < r.end]


def refused_by_the_server(case: Case) -> Evidence | None:
    """The level that is needed may not be written, and so many units are not there anyway."""
    plan, observed = case.plan, case.observed
    if observed.refused is None or plan.level is None or plan.current is None or observed.ready is None:
        return None
    if plan.level <= plan.current or observed.ready >= plan.level:
        return None
    message = f"{observed.ready} of {plan.level} ready, and the level may not be written: {observed.refused.message}"
    return replace(observed.refused, message=message)


def in_the_cluster(case: Case) -> Evidence | None:
    """Units that are wanted and will not become ready by waiting."""
    plan, ready = case.plan, case.observed.ready
    if plan.level is None or ready is None or ready >= plan.level:
        return None
    found = blocking(case.observed, plan.lead, case.machine_seconds, now=case.now)
    if found is None:
        return None
    return replace(found, message=f"{ready} of {plan.level} ready: {found.message}")


NOBODYS_FAULT = frozenset({Reason.STOPPED, Reason.OBSERVE_ONLY, Reason.OVERRIDE_PAUSE, Reason.SHARED_WORKLOAD})
"""What blocks an event because somebody wants it so: it is shown, and it alarms nobody."""

CAUSES: tuple[Cause, ...] = (
    in_trouble,
    left_to_nobody,
    under_the_scalers_maximum,
    under_a_quota,
    in_the_pool,
    refused_by_the_server,
    in_the_cluster,
)
"""What is looked at, in this order; the first that stands is named."""

UNSEEN_CAUSES: tuple[Cause, ...] = (in_trouble, left_to_nobody, in_the_pool)
"""What may be said of a target that was not seen lately."""


def _roughly(seconds: float) -> str:
    """A time that runs on, in steps that are worth saying: a text changes when its meaning does."""
    if seconds < 10.0:
        return "a few seconds"
    step = 5.0 if seconds < 60.0 else 30.0 if seconds < 600.0 else 300.0
    return f"about {round(seconds / step) * step:.0f} s"


def _policy_ref(key: Key) -> Ref:
    return Ref(OURS, "ScalingPolicy", key.namespace, key.name)
