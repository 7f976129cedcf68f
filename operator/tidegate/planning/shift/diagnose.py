"""Refusals in words and numbers that a person can act on."""

from __future__ import annotations

from tidegate.planning.instants import rfc3339
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import NAMES, Resources, binding, written
from tidegate.planning.shift.asks import Ask
from tidegate.planning.shift.model import Need, NeedStep, Pool, PoolFacts
from tidegate.planning.shift.outcome import Refusal
from tidegate.planning.shift.timetable import Rule

CAUSES: tuple[tuple[Rule, Reason], ...] = (
    (Rule.KNOWN_WORK, Reason.WORK_UNKNOWN),
    (Rule.DEADLINE, Reason.WORK_DEADLINE),
    (Rule.PROMISE, Reason.GIVE_BACK_PROMISE),
    (Rule.GUARANTEE, Reason.LANE_GUARANTEE),
    (Rule.MINIMUM_RUN, Reason.MINIMUM_RUN),
    (Rule.NOTICE, Reason.NOTICE_TOO_SHORT),
    (Rule.WHOLE_UNITS, Reason.WORK_INDIVISIBLE),
)
"""Rules in the order in which they are suspected, and what is said when leaving one out would serve the need."""


def lane_unknown(need: Need, pool: Pool) -> Refusal:
    """The need names a lane that the pool does not have."""
    message = f"{pool.name} has no lane {need.lane}; it has {', '.join(sorted(lane.name for lane in pool.lanes))}"
    return Refusal(need.key, need.lane, Reason.LANE_UNKNOWN, message, at=need.start)


def not_allowed(need: Need, pool: Pool) -> Refusal:
    """The lane does not let the namespace in."""
    message = f"lane {need.lane} of {pool.name} does not list namespace {need.namespace} in allowedNamespaces"
    return Refusal(need.key, need.lane, Reason.NAMESPACE_NOT_ALLOWED, message, at=need.start)


def over_cap(ask: Ask, pool: Pool, step: NeedStep, taken: Resources, cap: Resources) -> Refusal:
    """The namespace would take more of the pool than the lane lets one take."""
    need, wanted = ask.need, taken + step.amount
    name = binding(wanted, cap)
    message = (
        f"{need.namespace} would take {written(name, wanted.of(name))} {name} of {pool.name} at {rfc3339(step.start)},"
        f" lane {need.lane} caps a namespace at {written(name, cap.of(name))}"
    )
    return Refusal(need.key, need.lane, Reason.NAMESPACE_CAP, message, name, step.start, wanted, cap)


def too_many(need: Need, pool: Pool, many: int, most: int) -> Refusal:
    """More needs than are planned together."""
    message = f"{pool.name} has {many} needs; the first {most} are planned, and this begins at {rfc3339(need.start)}"
    return Refusal(need.key, need.lane, Reason.POOL_TOO_LARGE, message, at=need.start, sure=False)


def too_much_work(many: int, most: int) -> str:
    """More pieces of work than are planned."""
    return f"The pool has {many} pieces of work; of more than {most} none is stopped."


def left_out(facts: PoolFacts) -> str:
    """Work that could free something and may not be stopped; empty when there is none."""
    many = sum(one.reason not in (Reason.NO_PODS, Reason.PODS_ELSEWHERE) for one in facts.cannot)
    if not many:
        return ""
    works = f"{many} pieces of work lend" if many > 1 else "1 piece of work lends"
    return f"{works} nothing: status.cannotStop of the pool says why."


def short(
    ask: Ask,
    pool: Pool,
    reason: Reason,
    *,
    at: float,
    needed: Resources,
    available: Resources,
    earliest: float | None,
    until: float | None,
    sure: bool,
    note: str,
) -> Refusal:
    """Machines are missing at an instant. ``earliest`` and ``until`` as in ``Refusal``."""
    name = binding(needed, available)
    message = (
        f"lane {ask.need.lane} of {pool.name}: {written(name, needed.of(name))} {name} needed at {rfc3339(at)},"
        f" {written(name, available.of(name))} can be there"
    )
    for other in NAMES:
        if other != name and needed.of(other) > available.of(other):
            message += f"; of {written(other, needed.of(other))} {other} {written(other, available.of(other))}"
    message += f". {SENTENCES[reason]}"
    if earliest is not None:
        message += f" Served in full from {rfc3339(earliest)}."
    elif until is not None:
        message += f" Less is needed from {rfc3339(until)} on, and that is served."
    if note:
        message += f" {note}"
    if not sure:
        message += " (The search was cut short: there may be a way.)"
    return Refusal(ask.need.key, ask.need.lane, reason, message, name, at, needed, available, earliest, until, sure)
