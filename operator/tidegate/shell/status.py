"""What objects show: a plan, told as LiveEvent and ScalingPolicy status. Pure; the publisher writes it.

Conditions come without times: the publisher sets those. A status changes only with its meaning: the number of ready
units is shown while something is borrowed, and at rest only whether there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidegate.api.conditions import accepted_conditions, condition, invalid_conditions
from tidegate.api.parsed import ParsedEvent, describe_occurrence
from tidegate.api.walltime import to_rfc3339
from tidegate.api.zonedata import zone_data
from tidegate.planning.decision import Outcome, Plan, TargetPlan, Verdict
from tidegate.planning.model import Key, Mode, Observed, Policy
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.upcoming import next_change
from tidegate.planning.withheld import Withheld
from tidegate.ports import Json
from tidegate.shell.confine import CONFINED
from tidegate.shell.store import Invalid

MESSAGE_MOST = 500
SHARE_MOST = 64
OVERRIDDEN_MOST = 1000

_TROUBLES = {
    Reason.TARGET_MISSING,
    Reason.KIND_NOT_SERVED,
    Reason.OWNED_BY_OTHER_SCALER,
    Reason.SCALING_DISABLED,
    Reason.NOT_SCALABLE,
    Reason.FORBIDDEN,
    Reason.UNREADABLE,
    Reason.FIELD_MANAGER_CONFLICT,
    Reason.SHARED_WORKLOAD,
}


def invalid_status(invalid: Invalid) -> Json:
    """Of an object that cannot be used."""
    return {
        "observedGeneration": invalid.generation,
        "conditions": invalid_conditions(invalid.problems, generation=invalid.generation),
        **({"outcome": "Invalid"} if invalid.kind == "LiveEvent" else {}),
    }


def event_status(
    event: ParsedEvent,
    verdict: Verdict | None,
    *,
    live: bool,
    share: Iterable[tuple[str, int]],
    now: float,
    last: Json | None = None,
    unprepared: str = "",
    due: bool = False,
) -> Json:
    """Of a LiveEvent: armed, its verdict, its next occurrence, how the last one went. One that waits for next Friday is
    Ready. ``unprepared``: which of its signals nothing prepares, in words. ``due``: it is so near that there will be a
    verdict in a moment.
    """
    generation = event.generation
    occurrence = event.next_occurrence(now)
    armed = "Armed" if occurrence is not None else "Over"
    message = SENTENCES[Reason.ARMED] if occurrence is not None else "No occurrence is left."
    if unprepared and occurrence is not None:
        message = _cut(f"{message} But {unprepared}.")
    status: Json = {
        "observedGeneration": generation,
        "conditions": [
            *accepted_conditions(generation=generation, reason=armed, message=message),
            _on_time(verdict, generation)
            if verdict is not None
            else _not_judged(last, occurrence is None, generation, unprepared, due=due),
            condition("Live", live, "Borrowing" if live else "NothingBorrowed", generation=generation),
        ],
        "nextOccurrence": describe_occurrence(event, occurrence) if occurrence is not None else None,
        "share": [{"target": target, "units": min(units, 10**9)} for target, units in share][:SHARE_MOST],
        "outcome": verdict.outcome.value if verdict is not None else armed,
        "verdict": _cut(f"{verdict.outcome.value}: {verdict.message}") if verdict is not None else _story(last),
        "lastOccurrence": last,
        "blockedBy": str(verdict.object) if verdict is not None and verdict.object is not None else None,
    }
    return status


def event_changes_at(event: ParsedEvent, now: float) -> float:
    """When time alone changes an event's status: the end of its current or next occurrence."""
    occurrence = event.next_occurrence(now)
    return occurrence.start + occurrence.duration if occurrence is not None else float("inf")


def policy_status(
    policy: Policy,
    plan: Plan,
    observed: Mapping[tuple[Key, str], Observed],
    *,
    note: str = "",
    free: str | None = None,
) -> Json:
    """Of a ScalingPolicy: each target now and ahead, in words of its reasons. ``free``: why its queries read more than
    their namespace; empty when they do not, None when nobody asks.
    """
    generation = policy.generation
    mine = [plan.targets[policy.key, target.name] for target in policy.targets]
    bad = [p for p in mine if p.reason in _TROUBLES]
    blind = [p for p in mine if p.blind]
    mute = [p.withheld for p in mine if p.withheld and p.withheld.reason in (Reason.NOT_HEARD, Reason.STOPPED)]
    reason, message = _readiness(policy, bad, note, next(iter(mute), None))
    upcoming = [told[0] for p in mine if (told := next_change(p)) is not None]
    return {
        "observedGeneration": generation,
        "conditions": [
            *accepted_conditions(generation=generation, reason=reason, message=message),
            _blind(blind, generation),
            *_confined(free, generation),
        ],
        "targets": [_target(p, observed.get((policy.key, p.target), Observed())) for p in mine],
        "nextStepTime": to_rfc3339(min(upcoming)) if upcoming else None,
        "summary": _summary(mine),
        "zoneData": str(zone_data()),
    }


def _readiness(policy: Policy, bad: list[TargetPlan], note: str, mute: Withheld | None) -> tuple[str, str]:
    if note:
        return "KeepsLastValid", _cut(note)
    troubles = "; ".join(f"{p.target}: {p.message}" for p in bad)
    if mute is not None:
        return mute.reason.value, _cut(f"Nothing is written: {mute.message}. {troubles}".strip())
    if bad:
        return bad[0].reason.value, _cut(troubles)
    if policy.mode is Mode.OBSERVE:
        return "Observing", "Observe: nothing is written; the targets show what would be done."
    return "Enforcing", ""


def _blind(blind: list[TargetPlan], generation: int) -> Json:
    if not blind:
        return condition("Blind", False, "Measured", generation=generation)
    names = ", ".join(p.target for p in blind)
    signals = "; ".join(dict.fromkeys(signal for p in blind for signal in p.blind_signals))
    message = _cut(f"{SENTENCES[Reason.BLIND]} Targets: {names}. {signals}")
    return condition("Blind", True, Reason.BLIND.value, message, generation=generation)


def _confined(free: str | None, generation: int) -> list[Json]:
    if free is None:
        return []
    if free:
        return [condition(CONFINED, False, "QueriesAreFree", _cut(free), generation=generation)]
    return [condition(CONFINED, True, "OwnNamespace", generation=generation)]


def _story(last: Json | None) -> str | None:
    """How the last occurrence went, in a sentence."""
    if last is None:
        return None
    ready = f", all of it ready at {last['readyTime']}" if "readyTime" in last else ""
    return _cut(f"The occurrence of {last['start']} was {last['outcome']}{ready}: {last['message']}")


def _not_judged(last: Json | None, over: bool, generation: int, unprepared: str, *, due: bool) -> Json:
    """While there is no verdict: how it went when it is over, else that one will be given."""
    story = _story(last)
    if over:
        status = None if last is None else last["outcome"] == Outcome.READY.value
        message = story or "It is over, and nobody saw how it went."
        return condition("OnTime", status, "Over", message, generation=generation)
    message = "The verdict is being worked out." if due else "A verdict is given from an hour before T-0."
    if unprepared:
        message += f" But {unprepared}."
    return condition(
        "OnTime",
        None,
        "NotJudgedYet" if due else "NotDueYet",
        _cut(f"{message} {story or ''}".strip()),
        generation=generation,
    )


def _on_time(verdict: Verdict, generation: int) -> Json:
    status = {Outcome.READY: True, Outcome.LATE: False, Outcome.BLOCKED: False}.get(verdict.outcome)
    message = verdict.message
    if verdict.ready_at is not None:
        message = f"{message}; ready at {to_rfc3339(verdict.ready_at)}"
    code = verdict.reason.value
    return condition("OnTime", status, code, _cut(message), generation=generation)


def _target(plan: TargetPlan, seen: Observed) -> Json:
    lead: Json = {name: round(seconds) for name, seconds in plan.lead.parts}
    lead["measured"] = plan.lead.learned
    change = next_change(plan)
    # A merge patch drops nothing inside a list: what is not known is left out here.
    return _known(
        {
            "name": plan.target,
            "floor": plan.level,
            "peakFloor": plan.peak if plan.peak_at is not None else None,
            "peakTime": to_rfc3339(plan.peak_at) if plan.peak_at is not None else None,
            "ready": _ready(plan, seen),
            "nextStepTime": to_rfc3339(change[0]) if change is not None else None,
            "nextStepFloor": change[1] if change is not None else None,
            "leadTimeSeconds": round(plan.lead.seconds),
            "leadTimeParts": lead,
            "reason": plan.reason.value,
            "message": _cut(plan.message),
            "overridden": "; ".join(plan.overridden)[:OVERRIDDEN_MOST] or None,
        }
    )


def _ready(plan: TargetPlan, seen: Observed) -> int | None:
    """Units ready, at rest no more than the level; None where nobody can tell by now."""
    if seen.ready is None or not seen.seen:
        return None
    return seen.ready if seen.loan is not None or plan.level is None else min(seen.ready, plan.level)


def _known(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _summary(plans: Iterable[TargetPlan]) -> str:
    parts = []
    for p in plans:
        now = "?" if p.level is None else str(p.level)
        then = f"→{p.next_level}" if p.next_level not in (None, p.level) else ""
        parts.append(f"{p.target} {now}{then}{' (overridden)' if p.overridden else ''}")
    text = ", ".join(parts)
    return text if len(text) <= 250 else text[:249] + "…"


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_MOST else text[: MESSAGE_MOST - 1] + "…"
