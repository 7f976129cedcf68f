"""Every reason code, each with the sentence that explains it.

The same code stands in conditions, Events, logs, metric labels and on the command line. A message adds the numbers.
"""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """Why a level is what it is, or why nothing is done."""

    NO_EVENT_AHEAD = "NoEventAhead"
    EVENT_DEMAND = "EventDemand"
    LIVE_DEMAND = "LiveDemand"
    POLICY_MINIMUM = "PolicyMinimum"
    POLICY_MAXIMUM = "PolicyMaximum"
    SCALER_MAXIMUM = "ScalerMaximum"
    OWNER_LEVEL = "OwnerLevel"
    RELEASE_HOLD = "ReleaseHold"
    RELEASE_STEP = "ReleaseStep"
    RELEASE_WAIT = "ReleaseWait"
    LOAN_ENDED = "LoanEnded"
    BLIND = "Blind"
    BLIND_TOO_LONG = "BlindTooLong"
    SMALL_CHANGE = "SmallChange"
    ALREADY_ENOUGH = "AlreadyEnough"
    SAME_AS_NOW = "SameAsNow"
    OBSERVE_ONLY = "ObserveOnly"
    STOPPED = "Stopped"
    SHARED_WORKLOAD = "SharedWorkload"
    POLICY_MISSING = "PolicyMissing"
    NO_TARGET = "NoTarget"
    ARMED = "Armed"
    READY = "Ready"
    ON_PLAN = "OnPlan"
    LATE = "Late"
    TARGET_MISSING = "TargetMissing"
    OWNED_BY_OTHER_SCALER = "OwnedByOtherScaler"
    SCALING_DISABLED = "ScalingDisabled"
    NOT_SCALABLE = "NotScalable"
    FORBIDDEN = "Forbidden"
    UNREADABLE = "Unreadable"
    FIELD_MANAGER_CONFLICT = "FieldManagerConflict"
    NOT_SEEN_YET = "NotSeenYet"


SENTENCES: dict[Reason, str] = {
    Reason.NO_EVENT_AHEAD: "No announced event needs this target within the planning horizon.",
    Reason.EVENT_DEMAND: "The announced events, with their spread and the headroom, need this many units.",
    Reason.LIVE_DEMAND: "Measured demand is above the plan; metrics add at once.",
    Reason.POLICY_MINIMUM: "The policy's min is above the need.",
    Reason.POLICY_MAXIMUM: "The need is above the policy's max.",
    Reason.SCALER_MAXIMUM: "The autoscaler's own maximum is below the need; it is not raised silently.",
    Reason.OWNER_LEVEL: "The owner's own value is the higher one and is kept.",
    Reason.RELEASE_HOLD: "The need has fallen; the level is held for the policy's holdSeconds first.",
    Reason.RELEASE_STEP: "The need has fallen; the level comes down by no more than maxStepPercentPerMinute.",
    Reason.RELEASE_WAIT: "The next step down is not due yet.",
    Reason.LOAN_ENDED: "Nothing needs the loan any more: down to the original value, which goes back to its owner.",
    Reason.BLIND: "A metric is missing or stale, which is never read as zero: nothing is lowered.",
    Reason.BLIND_TOO_LONG: "Metrics have been blind for longer than blindMaxSeconds: stepping down by the plan alone.",
    Reason.SMALL_CHANGE: "The change downwards is too small to be worth a write.",
    Reason.ALREADY_ENOUGH: "The level that is there anyway is enough; nothing is borrowed.",
    Reason.SAME_AS_NOW: "The level is already as planned.",
    Reason.OBSERVE_ONLY: "The policy's mode is Observe: this is what would be done.",
    Reason.STOPPED: "The durable stop is set (tidegate resume lifts it).",
    Reason.SHARED_WORKLOAD: "Another policy drives this workload: Enforce before Observe, then the older one.",
    Reason.POLICY_MISSING: "The event's policyRef names a ScalingPolicy that does not exist in its namespace.",
    Reason.NO_TARGET: "No target of the event's policy carries any of its signals.",
    Reason.ARMED: "Accepted and planned; its time has not come yet.",
    Reason.READY: "All targets of the event are ready.",
    Reason.ON_PLAN: "Everything that is due has been done, and there is time for the rest.",
    Reason.LATE: "The level will be ready after its time.",
    Reason.TARGET_MISSING: "The workload that the target names does not exist.",
    Reason.OWNED_BY_OTHER_SCALER: "Another controller owns the object; its owner is what should be a target.",
    Reason.SCALING_DISABLED: "The workload stands at 0 replicas, which switches its HorizontalPodAutoscaler off.",
    Reason.NOT_SCALABLE: "The object has no scale subresource, or more than one autoscaler.",
    Reason.FORBIDDEN: "The API server does not let the operator read or write the object.",
    Reason.UNREADABLE: "The object could not be read; the last known state is kept.",
    Reason.FIELD_MANAGER_CONFLICT: "Another manager keeps writing the field; nothing is written until the next step.",
    Reason.NOT_SEEN_YET: "The object has not been looked at yet.",
}
