"""What was seen in the cluster, judged: does it block a target, does it make one late, is a shared bound too tight?

The adapters say what is so and since when (``model.Evidence``, ``model.Room``); how long a state may last before it
counts depends on the policy and is decided here. Pods that wait for a machine count once that machine should have
come, pods on a machine once starting takes longer than the lead time's quantile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tidegate.planning.decision import TargetPlan
from tidegate.planning.instants import elapsed
from tidegate.planning.leadtime import Lead
from tidegate.planning.model import Evidence, Identity, Observed, Ref, Room
from tidegate.planning.reasons import Reason

SCHEDULING_GRACE = 10.0
"""Seconds that a pod may be unschedulable before that says anything: the scheduler tries again at once when a pod goes
or a machine comes. Judgment."""

SYNC = 20.0
"""Seconds from a write to its pods being on machines that are in every lead time where a reactive scaler stands
between: its sync of 15 s, and the scheduler. Judgment."""

DIRECT = 5.0
"""The same where the workload's replicas are written. A pod that came to its machine later than that (and its place in
the creation queue) is slow. Judgment."""

_STARTING = (Reason.IMAGE_PULL_FAILED, Reason.CONTAINERS_FAIL, Reason.PODS_NEVER_READY)
"""What is told of pods that are on a machine: they may be starting still."""

_ORDER = (Reason.SCALER_UNABLE, Reason.QUOTA_EXCEEDED, Reason.PODS_REFUSED, Reason.PODS_UNSCHEDULABLE, *_STARTING)
"""Which of several causes is named: what keeps pods from being made comes before what keeps them from starting."""


def blocking(observed: Observed, lead: Lead, machine_seconds: float, *, now: float) -> Evidence | None:
    """The evidence that units will not become ready by waiting; None while there is none, or it is too young."""
    written_at = observed.loan.stepped_at if observed.loan is not None else 0.0
    standing = [e for e in observed.evidence if _stands(e, patience(e.reason, lead, machine_seconds), written_at, now)]
    return min(standing, key=_rank, default=None)


def _stands(evidence: Evidence, wait: float, written_at: float, now: float) -> bool:
    # What a scaler said before its floor was written is no answer to that.
    since = max(evidence.since, written_at) if evidence.reason is Reason.SCALER_UNABLE else evidence.since
    return elapsed(now, since, wait=wait) >= wait


def patience(reason: Reason, lead: Lead, machine_seconds: float) -> float:
    """Seconds that a state may last before it is evidence."""
    if reason is Reason.PODS_UNSCHEDULABLE:
        return max(SCHEDULING_GRACE, machine_seconds)
    if reason in _STARTING:
        return start_seconds(lead)
    if reason is Reason.SCALER_UNABLE:
        return 2.0 * SYNC
    return 0.0


def start_seconds(lead: Lead) -> float:
    """The part of a lead time that a pod on its machine takes to become ready, at the policy's quantile."""
    return dict(lead.parts).get("start", 0.0)


def slipped(observed: Observed, machine_seconds: float, *, written_at: float, usual: float, now: float) -> float:
    """Seconds by which units came to their machines later than their lead time reckons with.

    ``usual`` is what the lead time holds for that: the pods' place in the creation queue, and machines. Pods without a
    machine get one now at the earliest, or when the machine that is on its way should be there.
    """
    placed = [
        max(now, min(e.since, now) + machine_seconds) if e.reason is Reason.PODS_UNSCHEDULABLE else min(e.latest, now)
        for e in observed.evidence
        if e.reason is Reason.PODS_UNSCHEDULABLE or e.reason in _STARTING
    ]
    usual += DIRECT if observed.maximum is None else SYNC
    return max(0.0, max(placed, default=written_at) - written_at - usual)


def started_at(observed: Observed, lead: Lead, *, missing: int, now: float) -> float | None:
    """When ``missing`` units will be ready by what their pods show; None when they show that some are not starting.

    A unit that has no pod to be seen has just become ready, or is made now: it counts as starting now.
    """
    starting = [e for e in observed.evidence if e.reason in _STARTING]
    if not starting or len(starting) < len(observed.evidence):
        return None
    latest = min(max(e.latest for e in starting), now)
    if sum(e.units for e in starting) < missing:
        latest = max(latest, now)
    return latest + start_seconds(lead)


def turn_begun(observed: Observed, seconds: float, *, now: float) -> float:
    """Since when the unit whose turn it is has been starting, of units that start one after the other. One that takes
    longer than ``seconds`` is ready now at the earliest; one that is not to be seen begins now.
    """
    begun = [e.latest for e in observed.evidence if e.reason in _STARTING]
    return min(now, max(min(begun, default=now), now - seconds))


def cramped(targets: Iterable[tuple[TargetPlan, Observed]]) -> dict[str, tuple[Room, str]]:
    """Targets whose peak does not fit under a bound that they share, with that bound and a sentence, by target.

    What the targets need more of a bound is added up: two that fit alone may not fit together. What workloads of other
    policies will take of it is not known here.
    """
    asked: dict[tuple[Identity, str], list[tuple[str, int, Room]]] = defaultdict(list)
    for plan, observed in targets:
        if not observed.seen:
            continue  # how much of a bound is left is known of none of its rooms
        peak = plan.peak if observed.maximum is None else min(plan.peak, observed.maximum)
        for room in observed.rooms:
            if (more := peak - room.units) > 0:
                asked[room.object.identity, room.resource].append((plan.target, more, room))
    found: dict[str, tuple[Room, str]] = {}
    for wanted in (asked[key] for key in sorted(asked)):
        total, left = sum(more * room.each for _, more, room in wanted), min(room.left for _, _, room in wanted)
        if total <= left:
            continue
        together = " and ".join(f"{more} of {target}" for target, more, _ in sorted(wanted, key=lambda w: w[0]))
        for target, more, room in wanted:
            units = f"{more} more units are needed" if len(wanted) == 1 else f"{together} more are needed"
            says = f"{units}: {_amount(total)} {room.resource}, but {room.object} has {_amount(max(left, 0.0))} left"
            found.setdefault(target, (room, says))
    return found


def _rank(evidence: Evidence) -> tuple[int, float, Ref]:
    order = _ORDER.index(evidence.reason) if evidence.reason in _ORDER else -1
    return order, evidence.since, evidence.object


def _amount(number: float) -> str:
    """Thousands of thousands as the binary or decimal multiple they are a few of: 3Gi, 250, 0.5."""
    for suffix, size in (("Gi", 2.0**30), ("Mi", 2.0**20)):
        if number >= size:
            return f"{number / size:.4g}{suffix}"
    return f"{number:.6g}"
