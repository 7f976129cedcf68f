"""What CapacityPools and Overrides show. Pure; the publisher writes it.

Amounts are shown as people write them; they change with every pod, so that of what is in flight only whole units of
the pool's own work make a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tidegate.api.amounts import shown_amount
from tidegate.api.conditions import accepted_conditions, condition
from tidegate.api.walltime import to_rfc3339
from tidegate.planning.decision import Plan, PoolView
from tidegate.planning.model import Key, Policy
from tidegate.planning.override import MOST_COUNTED, Override, OverrideAction
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import total
from tidegate.planning.shift.handover import HandOver, State
from tidegate.planning.shift.model import CannotStop, Pool
from tidegate.planning.shift.step import LaneShift, summary
from tidegate.ports import Json

REFUSALS_MOST = 16
CANNOT_MOST = 32
MESSAGE_MOST = 500
SUMMARY_MOST = 250
_COUNTED = (State.PLANNED, State.NOTICE, State.DRAIN, State.LENT, State.HOLD, State.GIVE_BACK)
_LATE = {Reason.DRAIN_LATE, Reason.RETURN_LATE, Reason.NOTICE_LATE, Reason.MEMBER_UNSEEN}


def pool_status(pool: Pool, view: PoolView | None, *, note: str = "") -> Json:
    """Of a CapacityPool: capacity, lanes, refusals; not Ready while it cannot be looked at."""
    generation = pool.generation
    if view is None:
        message = note or "The pool has not been looked at yet."
        return {
            "observedGeneration": generation,
            "conditions": [
                condition("Accepted", True, "Valid", generation=generation),
                condition("Ready", False, "NotSeenYet", message, generation=generation),
            ],
        }
    step, refusals = view.step, view.plan.refusals
    shifts = [summary(view.facts, lane.name, step.hand_overs) for lane in pool.lanes]
    oversold = step.balance.oversold
    late = [h for h in step.hand_overs if h.reason in _LATE or _is_overdue(h, view.plan.now)]
    returns = [shift.return_by for shift in shifts if shift.return_by is not None]
    message = note or (f"{late[0].ref}: {late[0].message}" if late else _summary(shifts, refusals))
    return {
        "observedGeneration": generation,
        "conditions": [
            *accepted_conditions(generation=generation, reason=_reason(step.hand_overs, late), message=message),
            condition(
                "Oversold",
                not oversold.nothing,
                "TooLittleCapacity" if not oversold.nothing else "Fits",
                f"{oversold} more is held than there is" if not oversold.nothing else "",
                generation=generation,
            ),
        ],
        "capacity": shown_amount(view.facts.capacity.positive),
        "lent": shown_amount(total(shift.lent for shift in shifts)),
        "nextStepTime": _time(_next_step(view)),
        "returnBy": _time(max(returns, default=None)),
        "lanes": [_lane(pool, view, shift) for shift in shifts],
        "refusals": [
            {"owner": one.owner, "lane": one.lane, "reason": one.reason.value, "message": one.message[:MESSAGE_MOST]}
            for one in refusals[:REFUSALS_MOST]
        ],
        "cannotStop": _cannot(view),
        "summary": _summary(shifts, refusals)[:SUMMARY_MOST],
    }


def _cannot(view: PoolView) -> list[Json]:
    """What lends nothing: one object for each lane and reason, and how many more there are."""
    alike: dict[tuple[str, Reason], list[CannotStop]] = {}
    for one in view.facts.cannot:
        alike.setdefault((one.lane, one.reason), []).append(one)
    found = []
    for (lane, reason), ones in sorted(alike.items(), key=lambda item: (item[0][0], item[0][1].value)):
        first = min(ones, key=lambda one: one.ref)
        more = f" So it is with {len(ones) - 1} more." if len(ones) > 1 else ""
        about = f"{first.ref.kind} {first.ref.namespace}/{first.ref.name}"
        message = first.message if first.message.endswith(".") else f"{first.message}."
        message = message[: MESSAGE_MOST - len(more)] + more
        found.append({"lane": lane, "object": about, "reason": reason.value, "message": message})
    return found[:CANNOT_MOST]


def override_status(
    override: Override, policies: Mapping[Key, Policy], plan: Plan, *, now: float, counts: bool = True, note: str = ""
) -> Json:
    """Of an Override: whether it is in force, and what it does to which targets. ``counts``: see ``override.counted``;
    it means nothing for one that is over. ``note``: why its latest version does not count, and this one does; empty
    when it is the latest.
    """
    policy = policies.get(Key(override.key.namespace, override.policy))
    generation = override.generation
    named = [t.name for t in policy.targets if override.target in (None, t.name)] if policy else []
    if now >= override.until:
        active, reason, message = False, "Expired", f"over since {to_rfc3339(override.until)}"
    elif policy is None:
        message = f"ScalingPolicy {override.policy} does not exist in namespace {override.key.namespace}"
        active, reason = False, "PolicyMissing"
    elif not named:
        active, reason = False, "TargetMissing"
        message = (
            f"{override.policy} has no target {override.target}; it has {', '.join(t.name for t in policy.targets)}"
        )
    elif not counts:
        active, reason = False, "TooMany"
        message = f"{MOST_COUNTED} overrides that were made before name the same: end one of them"
    else:
        active, reason = True, "InForce"
        message = f"until {to_rfc3339(override.until)}, by {override.author}: {override.reason}"
    what = (
        f"{override.action.value} {override.percent} %"
        if override.action is OverrideAction.BOOST
        else (override.action.value)
    )
    where = f"{override.policy}/{override.target}" if override.target else f"all of {override.policy}"
    levels = [
        f"{name} {one.level}"
        for name in named
        if policy is not None and (one := plan.targets.get((policy.key, name))) is not None and one.level is not None
    ]
    shown = f"{what} on {where}, {message}" + (f"; now {', '.join(levels)}" if active and levels else "")
    return {
        "observedGeneration": generation,
        "conditions": [
            *accepted_conditions(
                generation=generation,
                reason="KeepsLastValid" if note else reason,
                message=(note or message)[:MESSAGE_MOST],
            ),
            condition("Active", active, reason, message, generation=generation),
        ],
        "summary": shown[:SUMMARY_MOST],
    }


def _is_overdue(one: HandOver, now: float) -> bool:
    """Whether work waits past its promise, for whatever reason."""
    return one.state is State.HOLD and one.deadline is not None and now > one.deadline


def _reason(hand_overs: Iterable[HandOver], late: list[HandOver]) -> str:
    if late:
        return late[0].reason.value
    states = {h.state for h in hand_overs}
    busy = next((state for state in reversed(_COUNTED) if state in states), None)
    return busy.value if busy is not None else "NothingLent"


def _lane(pool: Pool, view: PoolView, shift: LaneShift) -> Json:
    lane, balance = pool.lane(shift.lane), view.step.balance.lanes[shift.lane]
    counts = Counter(dict(shift.states))
    standing = view.facts.use(shift.lane).standing
    members = total(m.unit.times(m.asked) for m in view.facts.of_lane(shift.lane))
    deadlines = [m.work.deadline for m in lane.members if m.work is not None] if lane else []
    return {
        "name": shift.lane,
        "granted": shown_amount((balance.granted - standing - members).positive),
        "inFlight": shown_amount(balance.in_flight),
        "lent": shown_amount(shift.lent),
        "draining": shown_amount(shift.draining),
        "members": {_camel(state): counts[state] for state in _COUNTED},
        "nextDeadline": _time(min(deadlines, default=None)),
        "returnBy": _time(shift.return_by),
    }


def _camel(state: State) -> str:
    return state.value[0].lower() + state.value[1:]


def _next_step(view: PoolView) -> float | None:
    """When the next piece of work is told, stopped, or planned to start again."""
    now = view.plan.now
    times = (t for ones in view.plan.lendings.values() for one in ones for t in (one.notify_at, one.stop_at, one.until))
    return min((t for t in times if t > now), default=None)


def _summary(shifts: Iterable[LaneShift], refusals: Iterable[object]) -> str:
    parts = [
        f"{shift.lane}: " + ", ".join(f"{count} {SHORT[state]}" for state, count in shift.states)
        for shift in shifts
        if shift.states
    ]
    refused = sum(1 for _ in refusals)
    if refused:
        parts.append(f"{refused} need{'s' if refused > 1 else ''} not carried in full")
    return "; ".join(parts) or "nothing is lent"


SHORT = {
    State.PLANNED: "planned",
    State.NOTICE: "told",
    State.DRAIN: "draining",
    State.LENT: "lent",
    State.HOLD: "waiting to return",
    State.GIVE_BACK: "starting again",
    State.RETURNED: "returned",
}
"""A state in a line of several."""


def _time(instant: float | None) -> str | None:
    return to_rfc3339(instant) if instant is not None else None


assert all(reason in SENTENCES for reason in _LATE)  # noqa: S101 - a code that is shown has its sentence
