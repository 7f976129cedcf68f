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
    NOT_HEARD = "NotHeard"
    SHARED_WORKLOAD = "SharedWorkload"
    POLICY_MISSING = "PolicyMissing"
    NO_TARGET = "NoTarget"
    ARMED = "Armed"
    READY = "Ready"
    ON_PLAN = "OnPlan"
    LATE = "Late"
    TARGET_MISSING = "TargetMissing"
    KIND_NOT_SERVED = "KindNotServed"
    OWNED_BY_OTHER_SCALER = "OwnedByOtherScaler"
    SCALING_DISABLED = "ScalingDisabled"
    NOT_SCALABLE = "NotScalable"
    FORBIDDEN = "Forbidden"
    WRITE_REFUSED = "WriteRefused"
    SCALER_UNABLE = "ScalerUnable"
    UNREADABLE = "Unreadable"
    FIELD_MANAGER_CONFLICT = "FieldManagerConflict"
    NOT_SEEN_YET = "NotSeenYet"
    NOT_SEEN_LATELY = "NotSeenLately"
    CANNOT_BE_PLANNED = "CannotBePlanned"
    EVENT_LEFT_OUT = "EventLeftOut"
    QUOTA_EXCEEDED = "QuotaExceeded"
    WRITE_LIMIT = "WriteLimit"
    PODS_REFUSED = "PodsRefused"
    PODS_UNSCHEDULABLE = "PodsUnschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINERS_FAIL = "ContainersFail"
    PODS_NEVER_READY = "PodsNeverReady"
    POOL_TOO_SMALL = "PoolTooSmall"
    POOL_MISSING = "PoolMissing"
    POOL_LIMIT = "PoolLimit"
    POOL_UNSEEN = "PoolUnseen"
    POOL_UNPLANNED = "PoolUnplanned"
    POOL_TOO_LARGE = "PoolTooLarge"
    LANE_GUARANTEE = "LaneGuarantee"
    LANE_UNKNOWN = "LaneUnknown"
    OTHER_PROMISES = "OtherPromises"
    NOTICE_TOO_SHORT = "NoticeTooShort"
    MINIMUM_RUN = "MinimumRun"
    GIVE_BACK_PROMISE = "GiveBackPromise"
    WORK_DEADLINE = "WorkDeadline"
    WORK_UNKNOWN = "WorkUnknown"
    WORK_INDIVISIBLE = "WorkIndivisible"
    SEVERAL_LIMITS = "SeveralLimits"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    NAMESPACE_CAP = "NamespaceCap"
    UNIT_UNKNOWN = "UnitUnknown"
    HAND_OVER_PLANNED = "HandOverPlanned"
    NOTICE_GIVEN = "NoticeGiven"
    NOTICE_LATE = "NoticeLate"
    DRAINING = "Draining"
    DRAIN_LATE = "DrainLate"
    LENT = "Lent"
    BORROWER_NOT_FREE = "BorrowerNotFree"
    RETURN_LATE = "ReturnLate"
    GIVING_BACK = "GivingBack"
    RETURNED = "Returned"
    NOTICE_WITHDRAWN = "NoticeWithdrawn"
    MEMBER_UNSEEN = "MemberUnseen"
    OWN_PODS_LEAVING = "OwnPodsLeaving"
    WAITS_ITS_TURN = "WaitsItsTurn"
    WAITS_FOR_RETURNS = "WaitsForReturns"
    MACHINES_MISSING = "MachinesMissing"
    MANAGED_ELSEWHERE = "ManagedElsewhere"
    NO_REQUESTS = "NoRequests"
    NO_PODS = "NoPods"
    PODS_ELSEWHERE = "PodsElsewhere"
    OVERRIDE_BOOST = "OverrideBoost"
    OVERRIDE_HOLD = "OverrideHold"
    OVERRIDE_PAUSE = "OverridePause"


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
    Reason.BLIND: "A metric is missing or doubtful, which is never zero: what was confirmed is kept.",
    Reason.BLIND_TOO_LONG: "Metrics have been blind for longer than blindMaxSeconds: stepping down by the plan alone.",
    Reason.SMALL_CHANGE: "The change downwards is too small to be worth a write.",
    Reason.ALREADY_ENOUGH: "The level that is there anyway is enough; nothing is borrowed.",
    Reason.SAME_AS_NOW: "The level is already as planned.",
    Reason.OBSERVE_ONLY: "The policy's mode is Observe: this is what would be done.",
    Reason.STOPPED: "The durable stop is set (tidegate resume lifts it).",
    Reason.NOT_HEARD: "What on-call says cannot be listed: levels are held back, for they would be by what was before.",
    Reason.SHARED_WORKLOAD: "Another policy drives this workload: Enforce before Observe, then the older one.",
    Reason.POLICY_MISSING: "The event's policyRef names a ScalingPolicy that does not exist in its namespace.",
    Reason.NO_TARGET: "No target of the event's policy carries any of its signals.",
    Reason.ARMED: "Accepted and planned; its time has not come yet.",
    Reason.READY: "All targets of the event are ready.",
    Reason.ON_PLAN: "Everything that is due has been done, and there is time for the rest.",
    Reason.LATE: "The level will be ready after its time.",
    Reason.TARGET_MISSING: "The workload that the target names does not exist.",
    Reason.KIND_NOT_SERVED: (
        "The API server serves no such kind, in no version: nobody can tell of the workload, and its loan is kept."
    ),
    Reason.OWNED_BY_OTHER_SCALER: "Another controller owns the object; its owner is what should be a target.",
    Reason.SCALING_DISABLED: "The workload stands at 0 replicas, which switches its HorizontalPodAutoscaler off.",
    Reason.NOT_SCALABLE: "The object has no scale subresource, or more than one autoscaler.",
    Reason.FORBIDDEN: "The API server does not let the operator read or write the object.",
    Reason.WRITE_REFUSED: "The API server has refused the write of the level twice; it is tried again.",
    Reason.SCALER_UNABLE: "The autoscaler says that it cannot scale the workload, which stands below its floor.",
    Reason.UNREADABLE: "The object could not be read; the last known state is kept.",
    Reason.FIELD_MANAGER_CONFLICT: "Another manager keeps writing the field; nothing is written until the next step.",
    Reason.NOT_SEEN_YET: "The object has not been looked at yet.",
    Reason.NOT_SEEN_LATELY: "What is known of the object is too old: it may rise, nothing is lowered or returned.",
    Reason.CANNOT_BE_PLANNED: "It could not be worked out; the message says why. Nothing is written for it.",
    Reason.EVENT_LEFT_OUT: "What an event of the policy needs cannot be worked out or read: nothing is lowered.",
    Reason.WRITE_LIMIT: "More is needed than a limit of the policy, which no unit lifts: what one database can write.",
    Reason.QUOTA_EXCEEDED: "A ResourceQuota of the namespace leaves no room for the units that are needed.",
    Reason.PODS_REFUSED: "The API server refuses the workload's pods, for another cause than a full quota.",
    Reason.PODS_UNSCHEDULABLE: "No machine takes the workload's pods: the scheduler says what is missing.",
    Reason.IMAGE_PULL_FAILED: "Pods are on their machines, but an image of theirs cannot be pulled.",
    Reason.CONTAINERS_FAIL: "Pods are on their machines, but a container of theirs crashes or cannot be started.",
    Reason.PODS_NEVER_READY: "Pods have been on their machines for longer than starting takes, and are not ready.",
    Reason.POOL_TOO_SMALL: "The pool would be too small even if all work that may stop were stopped.",
    Reason.POOL_MISSING: "The policy's poolRef names a CapacityPool that does not exist or cannot be used.",
    Reason.POOL_LIMIT: "More is needed than the pool has free now; the rest follows as machines are seen free.",
    Reason.POOL_UNSEEN: "The pool cannot be looked at, so nothing new is let in on it.",
    Reason.POOL_UNPLANNED: "No timetable of the pool knows this need yet; it gets what is free and promised to nobody.",
    Reason.POOL_TOO_LARGE: "The pool has more work or needs than are planned at a time; this need gets what is free.",
    Reason.LANE_GUARANTEE: "What is missing could only come from another lane's guarantee.",
    Reason.LANE_UNKNOWN: "The pool has no lane of that name.",
    Reason.OTHER_PROMISES: "What is missing is promised to needs that were granted before.",
    Reason.NOTICE_TOO_SHORT: "The lender's notice and drain take longer than there is time.",
    Reason.MINIMUM_RUN: "The work that could stop has not had its minimum run time by then.",
    Reason.GIVE_BACK_PROMISE: "The machines are promised back before the need is over.",
    Reason.WORK_DEADLINE: "The work that could stop would miss its own deadline.",
    Reason.WORK_UNKNOWN: "How much work is left before its deadline is not known, so it is not stopped.",
    Reason.WORK_INDIVISIBLE: "No choice of whole units frees enough and leaves every lane what is its own.",
    Reason.SEVERAL_LIMITS: "Several limits together stand against the need: none of them alone.",
    Reason.NAMESPACE_NOT_ALLOWED: "The lane does not list the namespace in allowedNamespaces.",
    Reason.NAMESPACE_CAP: "The namespace would hold more of the pool than the lane's cap.",
    Reason.UNIT_UNKNOWN: "What one unit of the target takes of the pool is not known.",
    Reason.HAND_OVER_PLANNED: "The work will be asked to stop; its notice has not begun.",
    Reason.NOTICE_GIVEN: "The work was told and runs on until its notice and minimum run time are over.",
    Reason.NOTICE_LATE: "Notice or minimum run time end after the machines are needed; both are kept.",
    Reason.DRAINING: "The work was told to stop; its machines count on both sides until they are seen free.",
    Reason.DRAIN_LATE: "The machines are needed and not yet seen free.",
    Reason.LENT: "The machines are seen free and lent.",
    Reason.BORROWER_NOT_FREE: "The need is over; the work waits until the borrower's machines are seen free.",
    Reason.RETURN_LATE: "The promised time has passed and the borrower's machines are not seen free.",
    Reason.GIVING_BACK: "The borrower's machines are seen free; the work is started again.",
    Reason.RETURNED: "The work has its original level again.",
    Reason.NOTICE_WITHDRAWN: "The machines are no longer needed; the notice is withdrawn and nothing was stopped.",
    Reason.MEMBER_UNSEEN: "The work could not be looked at; it counts as running until it is seen free.",
    Reason.OWN_PODS_LEAVING: "Pods of the work itself are still leaving; it is started again once they are gone.",
    Reason.WAITS_ITS_TURN: "Work that was promised back before it goes first.",
    Reason.WAITS_FOR_RETURNS: "New work waits until what its lane has lent is back.",
    Reason.MACHINES_MISSING: "The pool has too few machines; the work is started again, and its pods wait for some.",
    Reason.MANAGED_ELSEWHERE: "Another controller or queue starts and stops the work; it is that one's to stop.",
    Reason.NO_REQUESTS: "What the pods of the work take is not known, so that nobody can tell what a stop would free.",
    Reason.NO_PODS: "The work has no pods: stopping it would free nothing.",
    Reason.PODS_ELSEWHERE: "The pods of the work stand on machines outside the pool: stopping it would free nothing.",
    Reason.OVERRIDE_BOOST: "An override multiplies the need, before min and max.",
    Reason.OVERRIDE_HOLD: "An override forbids every step down.",
    Reason.OVERRIDE_PAUSE: "An override forbids every write to the target.",
}
