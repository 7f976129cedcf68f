"""Reason codes of the shift and of overrides, each with the sentence that explains it.

One enum a part of the core: the same code stands in conditions, Events, logs, metric labels and on the command line.
"""

from __future__ import annotations

from enum import Enum


class ShiftReason(Enum):
    """Why a need is refused or late, why a hand-over is where it is, and what an override did."""

    GRANTED = "Granted"
    POOL_TOO_SMALL = "PoolTooSmall"
    GUARANTEE = "LaneGuarantee"
    OTHER_PROMISES = "OtherPromises"
    NOTICE_TOO_SHORT = "NoticeTooShort"
    MINIMUM_RUN = "MinimumRun"
    GIVE_BACK_PROMISE = "GiveBackPromise"
    WORK_DEADLINE = "WorkDeadline"
    INDIVISIBLE = "WorkIndivisible"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    NAMESPACE_CAP = "NamespaceCap"
    UNKNOWN_LANE = "UnknownLane"

    PLANNED = "HandOverPlanned"
    NOTICE_GIVEN = "NoticeGiven"
    NOTICE_LATE = "NoticeLate"
    DRAINING = "Draining"
    DRAIN_LATE = "DrainLate"
    LENT = "Lent"
    BORROWER_NOT_FREE = "BorrowerNotFree"
    RETURN_LATE = "ReturnLate"
    GIVING_BACK = "GivingBack"
    RETURNED = "Returned"
    WITHDRAWN = "NoticeWithdrawn"
    UNSEEN = "MemberUnseen"

    OVERRIDE_BOOST = "OverrideBoost"
    OVERRIDE_HOLD = "OverrideHold"
    OVERRIDE_PAUSE = "OverridePause"


SENTENCES: dict[ShiftReason, str] = {
    ShiftReason.GRANTED: "The pool carries the need, with every promise to other lanes kept.",
    ShiftReason.POOL_TOO_SMALL: "The pool would be too small even if all work that may stop were stopped.",
    ShiftReason.GUARANTEE: "What is missing could only come from another lane's guarantee.",
    ShiftReason.OTHER_PROMISES: "What is missing is promised to needs that were granted before.",
    ShiftReason.NOTICE_TOO_SHORT: "The lender's notice and drain take longer than there is time.",
    ShiftReason.MINIMUM_RUN: "The work that could stop has not had its minimum run time by then.",
    ShiftReason.GIVE_BACK_PROMISE: "The work must be given back before, and would not have its minimum run time again.",
    ShiftReason.WORK_DEADLINE: "The work that could stop would miss its own deadline.",
    ShiftReason.INDIVISIBLE: "No choice of whole units frees enough and leaves every lane its guarantee.",
    ShiftReason.NAMESPACE_NOT_ALLOWED: "The lane does not list the namespace in allowedNamespaces.",
    ShiftReason.NAMESPACE_CAP: "The namespace would hold more of the pool than the lane's cap.",
    ShiftReason.UNKNOWN_LANE: "The pool has no lane of that name.",
    ShiftReason.PLANNED: "The work will be asked to stop; its notice has not begun.",
    ShiftReason.NOTICE_GIVEN: "The work was told and runs on until its notice and minimum run time are over.",
    ShiftReason.NOTICE_LATE: "Notice or minimum run time end after the machines are needed; both are kept.",
    ShiftReason.DRAINING: "The work was told to stop; its machines count on both sides until they are seen free.",
    ShiftReason.DRAIN_LATE: "The machines are needed and not yet seen free.",
    ShiftReason.LENT: "The machines are seen free and lent.",
    ShiftReason.BORROWER_NOT_FREE: "The need is over; the work waits until the borrower's machines are seen free.",
    ShiftReason.RETURN_LATE: "The promised time has passed and the borrower's machines are not seen free.",
    ShiftReason.GIVING_BACK: "The borrower's machines are seen free; the work is started again.",
    ShiftReason.RETURNED: "The work has its original level again.",
    ShiftReason.WITHDRAWN: "The machines are no longer needed; the notice is withdrawn and nothing was stopped.",
    ShiftReason.UNSEEN: "The work could not be looked at; it counts as running until it is seen free.",
    ShiftReason.OVERRIDE_BOOST: "An override multiplies the need, before min and max.",
    ShiftReason.OVERRIDE_HOLD: "An override forbids every step down.",
    ShiftReason.OVERRIDE_PAUSE: "An override forbids every write to the target.",
}
