"""The verdict on an event: will what it needs be ready when it is needed?

From an hour before an occurrence (``WATCH``) until its end. The worst of the targets that carry its signals decides.
Ready, Late (with the predicted instant) or Blocked (by what, where). Blindness is never a cause: it is shown apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tidegate.planning.book import SHIFT, WATCH, Book, Entry
from tidegate.planning.decision import Outcome, TargetPlan, Verdict
from tidegate.planning.model import Announcement, Key, Observed, Occurrence, Policy, World
from tidegate.planning.reasons import Reason

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
            yield key, Verdict(Outcome.BLOCKED, Reason.POLICY_MISSING, message, occurrence.start)


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
            verdict = shared[alike] = _verdict(world, plans, policy, entry, occurrence)
        found[key] = verdict
    return found


def settled(shown: Verdict | None, before: Verdict | None, fresh: Verdict) -> Verdict | None:
    """What to show: better news at once, worse news when it has been seen twice.

    ``shown`` is what is shown now, ``before`` what the last look found, ``fresh`` what this one does. None while the
    first bad news of an event waits for its second look.
    """
    worse = shown is None or _ORDER[fresh.outcome] < _ORDER[shown.outcome]
    bad = fresh.outcome in (Outcome.LATE, Outcome.BLOCKED)
    if bad and worse and (before is None or before.outcome is not fresh.outcome):
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
) -> Verdict:
    signals = entry.signals
    carrying = [t for t in policy.targets if any(signal in signals for signal, _ in t.capacity)]
    if not carrying:
        message = f"no target of {policy.key.name} carries {', '.join(sorted(signals)) or 'any of its signals'}"
        return Verdict(Outcome.BLOCKED, Reason.NO_TARGET, message, occurrence.start)
    judged = [
        _of_target(plans[policy.key, t.name], world.observed.get((policy.key, t.name), Observed()), occurrence)
        for t in sorted(carrying, key=lambda t: t.name)
    ]
    worst = min(judged, key=lambda v: _ORDER[v.outcome])
    if len(judged) > 1 and all(v.reason is Reason.READY for v in judged):
        return Verdict(Outcome.READY, Reason.READY, f"all {len(judged)} targets ready", occurrence.start)
    return worst


def _of_target(plan: TargetPlan, observed: Observed, occurrence: Occurrence) -> Verdict:
    start, name = occurrence.start, plan.target
    if plan.reason in _BLOCKING:
        return Verdict(Outcome.BLOCKED, plan.reason, f"{name}: {plan.message}", start, target=name)
    if any(j.reason is Reason.SCALER_MAXIMUM for j in plan.trail):
        cut = next(j for j in plan.trail if j.reason is Reason.SCALER_MAXIMUM)
        return Verdict(Outcome.BLOCKED, Reason.SCALER_MAXIMUM, f"{name}: {cut.message}", start, target=name)
    if observed.maximum is not None and plan.peak > observed.maximum:
        message = f"{name}: {plan.peak} units will be needed, but the autoscaler's maxReplicas is {observed.maximum}"
        return Verdict(Outcome.BLOCKED, Reason.SCALER_MAXIMUM, message, start, target=name)
    if plan.level is None or observed.ready is None or plan.reason is Reason.UNREADABLE:
        return Verdict(Outcome.UNKNOWN, plan.reason, f"{name}: {plan.message}", start, target=name)
    if observed.ready >= plan.level:
        return Verdict(
            Outcome.READY, Reason.READY, f"{name}: {observed.ready} of {plan.level} ready", start, target=name
        )
    if plan.short_at is None or plan.ready_at is None:
        message = f"{name}: {observed.ready} of {plan.level} ready, the rest is expected in time"
        return Verdict(Outcome.READY, Reason.ON_PLAN, message, start, target=name)
    late = plan.ready_at - plan.short_at
    message = f"{name}: {observed.ready} of {plan.level} ready, the rest is expected {late:.0f} s late"
    return Verdict(Outcome.LATE, Reason.LATE, message, start, ready_at=plan.ready_at, target=name)
