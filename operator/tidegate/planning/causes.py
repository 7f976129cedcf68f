"""What blocks one target of an event: a list of small functions, of which the first that stands is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from tidegate.planning.decision import PoolRefusal, TargetPlan
from tidegate.planning.evidence import blocking
from tidegate.planning.model import OURS, Evidence, Key, Observed, Occurrence, Ref, Room
from tidegate.planning.reasons import Reason

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
_NOT_FROM_SIGHT = {Reason.SHARED_WORKLOAD, Reason.CANNOT_BE_PLANNED}
"""The blocking reasons that do not rest on what was seen of the target."""
UNKNOWN = {Reason.POOL_UNSEEN, Reason.NOT_SEEN_YET, Reason.POOL_UNPLANNED}
"""What a pool cannot tell yet."""


class Asked(NamedTuple):
    """What all events together ask of a target between two instants."""

    units: int = 0
    """The largest need within the target's bounds."""
    due_at: float = math.inf
    """When the first write upwards for it is due; infinite: none is."""
    wish: int = 0
    """The largest need, whatever the policy's max."""


@dataclass(frozen=True, slots=True)
class Case:
    """One target of an event, with all that may speak against it."""

    plan: TargetPlan
    observed: Observed
    maximum: int
    """The policy's max."""
    maximum_field: str
    """Where the policy says so."""
    machine_seconds: float
    """How long a machine takes to come, as the policy says."""
    headroom: float
    tight: tuple[Room, str] | None
    """A shared bound under which its peak does not fit."""
    now: float
    occurrence: Occurrence
    times: tuple[tuple[float, float], ...]
    """From when to when the occurrence needs this target: from T-0 to its end, and while one of the target's signals
    has any demand of it, lead-ins and what follows by a lag included."""
    needed: Callable[[int], Asked]
    """As ``Needs.asked``, at these times, from T-0 and from now on: by the units that are there."""

    @property
    def is_on(self) -> bool:
        """What is measured now is measured of this occurrence too."""
        return self.occurrence.start <= self.now


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
    if withheld is None or observed.level is None:
        return None
    there = max(observed.level, observed.ready or 0, observed.desired or 0)
    stays = _stays(case, there)
    needed, due_at, _ = case.needed(stays)
    if case.is_on and case.plan.measured > max(needed, there):
        needed, due_at = case.plan.measured, case.now
    if needed <= stays or withheld.until <= due_at:  # enough is there; or it is over before anything is due
        return None
    seen = "are" if observed.seen else "were last seen"
    who = "nobody raises them" if stays == there else f"their floor goes down to {stays}"
    message = f"{needed} units are needed, {there} {seen} there, and {who}: {withheld.message}"
    return Evidence(withheld.reason, withheld.object, withheld.field, message)


def _stays(case: Case, there: int) -> int:
    """How much of what is there stays: a policy that only observes gives back what it has borrowed."""
    loan = case.observed.loan
    if loan is None or case.plan.withheld is None or case.plan.withheld.reason is not Reason.OBSERVE_ONLY:
        return there
    return min(loan.original, there)


def under_the_scalers_maximum(case: Case) -> Evidence | None:
    """The reactive scaler's maximum is below what is, or will be, needed."""
    plan, observed = case.plan, case.observed
    scaler = observed.scaler or plan.ref
    cut = next((j for j in plan.trail if j.reason is Reason.SCALER_MAXIMUM), None)
    if cut is not None and case.is_on:  # also what is measured
        return Evidence(Reason.SCALER_MAXIMUM, scaler, "spec.maxReplicas", cut.message)
    if observed.maximum is None or (units := case.needed(observed.maximum).units) <= observed.maximum:
        return None
    message = over_scalers_maximum(units, observed.maximum)
    return Evidence(Reason.SCALER_MAXIMUM, scaler, "spec.maxReplicas", message)


def over_scalers_maximum(units: int, maximum: int) -> str:
    """That a need is above a reactive scaler's maximum, in words."""
    return f"{units} units will be needed, but the autoscaler's maxReplicas is {maximum}"


def under_the_policys_maximum(case: Case) -> Evidence | None:
    """The policy's max is below what is, or will be, needed; what its owner has beyond it is there all the same."""
    plan, ready = case.plan, case.observed.ready or 0
    there = max(case.maximum, plan.level or 0, ready)
    about = policy_ref(plan.policy)
    cut = next((j for j in plan.trail if j.reason is Reason.POLICY_MAXIMUM), None)
    if cut is not None and there == case.maximum and case.is_on:  # also what is measured
        return Evidence(Reason.POLICY_MAXIMUM, about, case.maximum_field, cut.message)
    if (wish := case.needed(there).wish) <= there:
        return None
    return Evidence(Reason.POLICY_MAXIMUM, about, case.maximum_field, over_maximum(wish, case.maximum))


def over_maximum(units: int, maximum: int) -> str:
    """That a need is above a policy's max, in words."""
    return f"{units} units will be needed, but the policy's max is {maximum}"


def under_a_quota(case: Case) -> Evidence | None:
    """A quota of the namespace has no room for the peak: told before anything was tried."""
    if case.tight is None:
        return None
    room, message = case.tight
    return Evidence(Reason.QUOTA_EXCEEDED, room.object, room.field, message)


def in_the_pool(case: Case) -> Evidence | None:
    """The pool does not carry the need, and will not in time for any of it."""
    found = next((r for r in refused(case) if r.reason not in UNKNOWN and not _comes(r, case)), None)
    if found is None:
        return None
    return Evidence(found.reason, Ref(OURS, "CapacityPool", "", found.pool), "spec.lanes", found.message)


def _comes(refusal: PoolRefusal, case: Case) -> bool:
    """Whether waiting helps, whatever stands against the need so far: the machines come, and the event is still on
    then.
    """
    end = case.occurrence.start + case.occurrence.duration
    return refusal.earliest is not None and refusal.earliest < end


def refused(case: Case) -> list[PoolRefusal]:
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
    under_the_policys_maximum,
    under_a_quota,
    in_the_pool,
    refused_by_the_server,
    in_the_cluster,
)
"""What is looked at, in this order; the first that stands is named."""

UNSEEN_CAUSES: tuple[Cause, ...] = (in_trouble, left_to_nobody, in_the_pool)
"""What may be said of a target that was not seen lately."""


def policy_ref(key: Key) -> Ref:
    """A ScalingPolicy as an object."""
    return Ref(OURS, "ScalingPolicy", key.namespace, key.name)
