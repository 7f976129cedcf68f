"""The verdict on an event: will what it needs be ready when it is needed?

From an hour before an occurrence (``WATCH``) until its end. The worst of the targets that carry its signals decides.
Ready, Late (with the predicted instant) or Blocked (by what, in which object). Blindness is never a cause: it is shown
apart. What may block a target is a list of small functions, ``CAUSES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tidegate.planning.book import SHIFT, WATCH, Book, Entry
from tidegate.planning.decision import Outcome, PoolRefusal, TargetPlan, Verdict
from tidegate.planning.evidence import blocking, cramped
from tidegate.planning.model import Announcement, Evidence, Key, Observed, Occurrence, Policy, Ref, Room
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World

OURS = "tidegate.dev/v1alpha1"

PACE = 5.0
"""Seconds on which verdicts tick: time alone makes one worth working out again no sooner."""

_BLOCKING = {
    Reason.TARGET_MISSING,
    Reason.OWNED_BY_OTHER_SCALER,
    Reason.SCALING_DISABLED,
    Reason.NOT_SCALABLE,
    Reason.FORBIDDEN,
    Reason.FIELD_MANAGER_CONFLICT,
    Reason.STOPPED,
    Reason.SHARED_WORKLOAD,
}
_WAITING = {Reason.NOTICE_TOO_SHORT, Reason.MINIMUM_RUN}
"""What a pool refuses that time alone brings."""
_ORDER = {Outcome.BLOCKED: 0, Outcome.LATE: 1, Outcome.UNKNOWN: 2, Outcome.READY: 3}


@dataclass(slots=True)
class Verdicts:
    """Verdicts with a memory: a policy's are worked out again when something of the policy changed, or time passed."""

    _known: dict[Key, tuple[object, dict[Key, Verdict]]] = field(default_factory=dict)

    def of(
        self, world: World, book: Book, plans: Mapping[tuple[Key, str], TargetPlan], now: float
    ) -> dict[Key, Verdict]:
        """Verdicts of the events that are near; an event whose policy is missing has one at any time."""
        found: dict[Key, Verdict] = {}
        now = now // PACE * PACE
        shift = int(now // SHIFT)
        for policy_key, members in book.by_policy.items():
            policy = world.policies.get(policy_key)
            if policy is None:
                found.update(_orphans(book, policy_key, members, now))
                continue
            near = book.near.get((policy_key, shift))
            if not near:
                continue
            mine = [(plans[policy_key, t.name], world.observed.get((policy_key, t.name))) for t in policy.targets]
            state = (now, book.revision[policy_key], mine)
            known = self._known.get(policy_key)
            if known is None or known[0] != state:
                known = self._known[policy_key] = (state, _verdicts(world, book, plans, policy, near, now))
            found.update(known[1])
        return found


def _orphans(book: Book, policy: Key, members: Iterable[Key], now: float) -> Iterator[tuple[Key, Verdict]]:
    for key in members:
        occurrence = current_occurrence(book.entries[key].announcement, now)
        if occurrence is not None:
            message = f"ScalingPolicy {policy.name} does not exist in namespace {policy.namespace}"
            about = _policy_ref(policy)
            yield key, Verdict(Outcome.BLOCKED, Reason.POLICY_MISSING, message, occurrence.start, object=about)


def _verdicts(
    world: World,
    book: Book,
    plans: Mapping[tuple[Key, str], TargetPlan],
    policy: Policy,
    near: Iterable[Key],
    now: float,
) -> dict[Key, Verdict]:
    """Verdicts of one policy's events; those of equal signals and start are the same."""
    found: dict[Key, Verdict] = {}
    shared: dict[tuple[frozenset[str], float], Verdict] = {}
    for key in near:
        entry = book.entries[key]
        occurrence = current_occurrence(entry.announcement, now)
        if occurrence is None or occurrence.start - WATCH > now:
            continue
        alike = entry.signals, occurrence.start
        verdict = shared.get(alike)
        if verdict is None:
            verdict = shared[alike] = _verdict(world, plans, policy, entry, occurrence, now)
        found[key] = verdict
    return found


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


def current_occurrence(event: Announcement, now: float) -> Occurrence | None:
    """The first occurrence that is not over."""
    for occurrence in event.occurrences:
        if occurrence.start + occurrence.duration > now:
            return occurrence
    return None


def _verdict(
    world: World,
    plans: Mapping[tuple[Key, str], TargetPlan],
    policy: Policy,
    entry: Entry,
    occurrence: Occurrence,
    now: float,
) -> Verdict:
    signals = entry.signals
    carrying = [t for t in policy.targets if any(signal in signals for signal, _ in t.capacity)]
    if not carrying:
        message = f"no target of {policy.key.name} carries {', '.join(sorted(signals)) or 'any of its signals'}"
        return Verdict(Outcome.BLOCKED, Reason.NO_TARGET, message, occurrence.start, object=_policy_ref(policy.key))
    seen = {t.name: (plans[policy.key, t.name], world.observed.get((policy.key, t.name), Observed())) for t in carrying}
    tight = cramped(seen.values())
    cases = [
        Case(*seen[t.name], t.lead.machine_seconds, tight.get(t.name), now, occurrence)
        for t in sorted(carrying, key=lambda t: t.name)
    ]
    judged = [_of_target(case, occurrence.start) for case in cases]
    worst = min(judged, key=lambda v: _ORDER[v.outcome])
    if len(judged) > 1 and all(v.reason is Reason.READY for v in judged):
        return Verdict(Outcome.READY, Reason.READY, f"all {len(judged)} targets ready", occurrence.start)
    return worst


def _of_target(case: Case, start: float) -> Verdict:
    plan, observed, name = case.plan, case.observed, case.plan.target
    for cause in CAUSES:
        if (found := cause(case)) is not None:
            about = "" if str(found.object) in found.message else f" ({found.object})"
            message = f"{name}: {found.message}{about}"
            return Verdict(
                Outcome.BLOCKED, found.reason, message, start, target=name, object=found.object, field=found.field
            )
    waiting = max(_refused(case), key=lambda r: r.earliest or 0.0, default=None)
    if waiting is not None and waiting.earliest is not None:
        ready_at = waiting.earliest + plan.lead.seconds
        return Verdict(
            Outcome.LATE, waiting.reason, f"{name}: {waiting.message}", start, ready_at=ready_at, target=name
        )
    if plan.level is None or observed.ready is None or plan.reason is Reason.UNREADABLE:
        return Verdict(Outcome.UNKNOWN, plan.reason, f"{name}: {plan.message}", start, target=name)
    ready = f"{name}: {observed.ready} of {plan.level} ready"
    if observed.ready >= plan.level:
        return Verdict(Outcome.READY, Reason.READY, ready, start, target=name)
    if plan.short_at is None or plan.ready_at is None:
        message = f"{ready}, the rest is expected in time"
        return Verdict(Outcome.READY, Reason.ON_PLAN, message, start, target=name)
    late = plan.ready_at - plan.short_at
    message = f"{ready}, the rest is expected {late:.0f} s late"
    return Verdict(Outcome.LATE, Reason.LATE, message, start, ready_at=plan.ready_at, target=name)


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


Cause = Callable[[Case], Evidence | None]


def in_trouble(case: Case) -> Evidence | None:
    """The target cannot be driven."""
    plan = case.plan
    if plan.reason not in _BLOCKING:
        return None
    return Evidence(plan.reason, case.observed.about or plan.ref, "", plan.message)


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
    found = next((r for r in _refused(case) if not _only_late(r, case)), None)
    if found is None:
        return None
    return Evidence(found.reason, Ref(OURS, "CapacityPool", "", found.pool), "spec.lanes", found.message)


def _only_late(refusal: PoolRefusal, case: Case) -> bool:
    """Whether waiting helps: the machines come, and the event is still on then. A need that is met because it has
    fallen meanwhile is not a late one.
    """
    end = case.occurrence.start + case.occurrence.duration
    return refusal.reason in _WAITING and refusal.earliest is not None and refusal.earliest < end


def _refused(case: Case) -> list[PoolRefusal]:
    """What the pool does not carry of the needs that the occurrence falls into."""
    start, end = case.occurrence.start, case.occurrence.start + case.occurrence.duration
    return [r for r in case.plan.refusals if r.start < end and start < r.end]


def in_the_cluster(case: Case) -> Evidence | None:
    """Units that are wanted and will not become ready by waiting."""
    plan, ready = case.plan, case.observed.ready
    if plan.level is None or ready is None or ready >= plan.level:
        return None
    found = blocking(case.observed, plan.lead, case.machine_seconds, now=case.now)
    if found is None:
        return None
    return replace(found, message=f"{ready} of {plan.level} ready: {found.message}")


CAUSES: tuple[Cause, ...] = (in_trouble, under_the_scalers_maximum, under_a_quota, in_the_pool, in_the_cluster)
"""What is looked at, in this order; the first that stands is named."""


def _policy_ref(key: Key) -> Ref:
    return Ref(OURS, "ScalingPolicy", key.namespace, key.name)
