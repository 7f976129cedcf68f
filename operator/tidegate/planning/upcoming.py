"""The change of a target that people are told of next: one that will be made, or else why none is told.

``TargetPlan.next_at`` is when a decision may change: readers look at a target again by then, also at one that cannot be
driven now. What is shown in status, metrics and ``explain`` is asked for here.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.planning.decision import PoolRefusal, TargetPlan
from tidegate.planning.model import Trouble
from tidegate.planning.reasons import SENTENCES, Reason

UNDRIVEN = frozenset(
    {Reason(one.value) for one in Trouble} | {Reason.SHARED_WORKLOAD, Reason.CANNOT_BE_PLANNED, Reason.NOT_SEEN_YET}
)
"""Reasons for which nothing at all is done with a target."""
EARLY = 60.0
"""Seconds by which a need may begin in its pool after its write is due: cells and queues. Judgment: four cells."""


def next_change(plan: TargetPlan) -> tuple[float, int] | None:
    """(when, level) of the next change that will be made if the world stays as it is; None: ``why_no_change`` says why.

    Of a policy that only observes it is the change that would be made.
    """
    if plan.next_at is None or plan.next_level in (None, plan.level) or next(_obstacles(plan), None) is not None:
        return None
    return (plan.next_at, plan.next_level) if plan.next_level is not None else None


def why_no_change(plan: TargetPlan) -> str:
    """Why no next change is told, in a sentence."""
    if (obstacle := next(_obstacles(plan), None)) is not None:
        return obstacle
    if plan.level is None:
        return "the level is unknown"
    return "no change is known: nothing that is announced asks for another level within the horizon"


def _obstacles(plan: TargetPlan) -> Iterator[str]:
    """What stands in the way of the next change, whatever it is."""
    if plan.reason in UNDRIVEN:
        yield plan.message
    if plan.withheld is not None and plan.withheld.reason is Reason.STOPPED:
        yield SENTENCES[Reason.STOPPED]
    if plan.next_at is not None and plan.next_level is not None and plan.next_level > (plan.level or 0):
        for refusal in plan.refusals:
            if _is_about(refusal, plan.next_at):
                yield f"so far the pool does not carry what is needed then: {refusal.message}"


def _is_about(refusal: PoolRefusal, at: float) -> bool:
    return refusal.start - EARLY <= at < refusal.end
