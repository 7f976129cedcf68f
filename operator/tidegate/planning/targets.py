"""The decision for one target at one instant: gather its facts, run the guardrails, say what comes next."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from tidegate.planning.coming import bounded, next_rise, next_write, soon_due
from tidegate.planning.decision import Action, Judgement, PoolLimit, PoolRefusal, Step, TargetPlan, cut_of
from tidegate.planning.evidence import slipped, start_seconds, started_at, turn_begun
from tidegate.planning.following import correction, following, live_lead
from tidegate.planning.guardrails import KEEPING, Facts, judge, waits
from tidegate.planning.leadtime import Lead, Start, lead_of
from tidegate.planning.model import (
    Key,
    Mode,
    Observed,
    PlanSettings,
    Policy,
    Reading,
    Release,
    TargetSpec,
    Trouble,
)
from tidegate.planning.override import MOST, Override, OverrideAction, told
from tidegate.planning.readings import Measure, sure_level
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.release import RELEASE_INTERVAL, step_down
from tidegate.planning.timeline import Shortage, Timeline, stage_shift
from tidegate.planning.withheld import Unheard, outranked, withheld

_DOWNWARDS = {
    Reason.EVENT_DEMAND: "all that is still announced",
    Reason.LIVE_DEMAND: "measured demand still needs that much",
    Reason.RELEASE_HOLD: "the hold of the higher level is over",
    Reason.POLICY_MINIMUM: "the policy's min is all that is still needed",
}
"""The reasons for a level, said of a step down to it."""


_ENOUGH = (Reason.ALREADY_ENOUGH, Reason.OWNER_LEVEL)


@dataclass(frozen=True, slots=True)
class Say:
    """Who else has a say in a target's level."""

    overrides: tuple[Override, ...] = ()
    """Those that name it, also what is over but still within the hold; sorted."""
    limit: PoolLimit | None = None
    refusals: tuple[PoolRefusal, ...] = ()
    stopped: bool = False
    """The durable stop is set."""
    unheard: Unheard | None = None
    """What on-call says cannot be listed."""


NOBODY = Say()


@dataclass(frozen=True, slots=True)
class Situation:
    """One target and all that its decision depends on, beside the instant, the settings and the durable stop."""

    policy: Policy
    target: TargetSpec
    observed: Observed
    readings: tuple[Reading | None, ...]
    """Of its measured signals, in the policy's order."""
    start: Start
    line: Timeline | None
    """None: no event ever needs it."""
    say: Say = NOBODY
    left_out: str = ""
    """What may need more than is known: an event that could not be summed, or what cannot be understood, and why."""
    starts: tuple[float, ...] = ()
    """T-0 of the policy's events that are near; asked only of a policy that follows demand."""


def boosted(line: Timeline | None, overrides: Iterable[Override], *, now: float) -> Timeline | None:
    """A timeline with what boosts add in the cells that they reach; the very same one when there are none."""
    boosts = [one for one in overrides if one.action is OverrideAction.BOOST]
    if line is None or not boosts:
        return line
    units = line.units.copy()
    for one in boosts:
        span = slice(line.column(min(one.created, now)), line.column(one.until - line.cell) + 1)
        more = -(-line.units[span] * (100 + one.percent) // 100)
        units[span] = np.maximum(units[span], np.minimum(more, MOST))
    return replace(line, units=units)


def decide(settings: PlanSettings, situation: Situation, *, now: float) -> TargetPlan:
    """Plan one target."""
    policy, target, observed, say = situation.policy, situation.target, situation.observed, situation.say
    acting = policy.mode is Mode.ENFORCE
    plain = situation.line
    start, stage = situation.start, plain.shift if plain is not None else stage_shift(policy, target)
    lead, machines = live_lead(start, settings, stage), start.machine_seconds
    measure = following(policy, target, observed, situation.readings, lead, machine_seconds=machines, now=now)
    line = boosted(plain, say.overrides, now=now)
    wanted_line = line if acting or observed.loan is None else None
    announced = _due(plain, target, observed, now) if wanted_line is not plain and wanted_line is not None else None
    due, soon = _due(wanted_line, target, observed, now), soon_due(wanted_line, observed, target, now)
    said, ahead = due, Ahead(due, soon, announced)
    if policy.live is not None and wanted_line is not None:
        ahead = _followed(ahead, situation, plain or wanted_line, measure, now=now, lead=lead)
    due, soon, announced = ahead.due, ahead.soon, ahead.announced
    if say.limit is not None and say.limit.cut is not None:
        soon = min(soon, say.limit.cut)
    facts = Facts(
        now=now,
        policy=policy,
        target=target,
        settings=settings,
        observed=observed,
        due=due,
        need=line.need_at(now) if line else 0,
        soon=soon,
        measure=measure,
        ended_at=_ended_at(wanted_line, observed, now),
        announced=announced,
        overrides=tuple(one for one in say.overrides if now < one.until),
        pool=say.limit if acting else None,
        held=_held(plain if announced is not None else wanted_line, now),
        sure=sure_level(measure, observed, lambda at: _planned_at(wanted_line, target, at)),
        said=said,
        left_out=situation.left_out,
    )
    rise = next_rise(facts, line, observed.level or 0, now)
    whole = _lead(settings, situation.start, line.above(observed.level or 0) if line is not None else None, rise)
    if observed.trouble is not None or observed.level is None:
        return _troubled(facts, _Outlook(line, whole, rise), say)
    trail = judge(facts)
    level, reason, message = trail[-1].level, trail[-1].reason, trail[-1].message
    cut = cut_of(trail) if reason in _ENOUGH else None
    # Enough of what was left of the need is not enough. That nothing can be planned is said of whole targets alone.
    if cut is not None and cut.reason is not Reason.CANNOT_BE_PLANNED:
        reason, message = cut.reason, cut.message
    if level == facts.current and (
        reason is Reason.RELEASE_STEP or (reason is Reason.EVENT_DEMAND and not observed.loan)
    ):
        trail = (*trail, Judgement(Reason.SAME_AS_NOW, level, f"already at {level}"))
    action = _action(facts, level, trail)
    if action is Action.LOWER:
        message = _DOWNWARDS.get(reason, message)
    if observed.loan is not None and action in (Action.LOWER, Action.RETURN):
        message += _still(observed, level)
    if say.stopped and action is not Action.NOTHING:
        action, reason, message = Action.NOTHING, Reason.STOPPED, f"{SENTENCES[Reason.STOPPED]} Planned: {level}."
    elif not acting and action is not Action.NOTHING and observed.loan is None:
        action, reason, message = Action.NOTHING, Reason.OBSERVE_ONLY, f"would be set to {level}: {message}"
    return _plan(facts, action, level, trail, reason, message, _Outlook(line, whole, rise), say)


@dataclass(frozen=True, slots=True)
class Ahead:
    """Needs as they are announced, or as far as announcements are believed. See ``Facts``."""

    due: int
    soon: int
    announced: int | None


def _followed(
    ahead: Ahead, situation: Situation, line: Timeline, measure: Measure, *, now: float, lead: float
) -> Ahead:
    """What measured demand makes of the plan of a policy that follows it.

    Its loan may last for months: what is needed again at its end is not soon.
    """
    read = partial(
        correction,
        situation.target,
        line,
        measure,
        situation.readings,
        situation.starts,
        now=now,
        q=situation.policy.quantile,
    )
    again = line.longest_lead + RELEASE_INTERVAL
    soon = bounded(situation.target, line.due_at(now, ahead=again)) if situation.observed.loan is not None else 0
    # What is due now may lie as far ahead as the whole lead time: the T-0 that it is for is an opening by then.
    seen, seen_soon = read(until=now + max(lead, line.longest_lead)), read(until=now + lead + again)
    if seen is None or seen_soon is None:
        return Ahead(ahead.due, soon, ahead.announced)
    soon = bounded(situation.target, seen_soon.of(soon))
    if not ahead.announced:
        return Ahead(seen.of(ahead.due), soon, ahead.announced)
    announced = seen.of(ahead.announced)  # what a boost adds is a share of what came
    return Ahead(-(-announced * ahead.due // ahead.announced), soon, announced)


def _still(observed: Observed, level: int) -> str:
    """What of a floor that comes down is not followed by the pods."""
    pods = max(observed.desired or 0, level)
    if not observed.still or pods <= level:
        return ""
    why = f"takes none away without a metric that works ({observed.still})"
    return f"; the pods stay at {pods}: {observed.scaler} {why}"


def not_ours(policy: Policy, target: TargetSpec, winner: tuple[Key, str]) -> TargetPlan:
    """A target whose workload another one drives: an older policy's, or an earlier one of the same policy."""
    why = outranked(policy, target, winner)
    return replace(_nothing(policy, target, why.reason, why.message), withheld=why)


def not_planned(policy: Policy, target: TargetSpec, observed: Observed, why: str) -> TargetPlan:
    """A target that could not be decided: its level is kept, and the reason is shown."""
    plan = _nothing(policy, target, Reason.CANNOT_BE_PLANNED, f"kept as it is: {why}")
    return replace(plan, level=observed.level, current=observed.level, seen=observed.seen)


def _nothing(policy: Policy, target: TargetSpec, reason: Reason, message: str) -> TargetPlan:
    return TargetPlan(
        policy.key, target.name, target.ref, Action.NOTHING, None, None, 0, 0, None, None, None, None,
        Lead(0.0, (), False), (Judgement(reason, 0, message),), reason, message,
    )  # fmt: skip


def step_of(plan: TargetPlan, wanted_by: tuple[str, ...] = ()) -> Step | None:
    """The write that a target's plan asks for now."""
    if plan.action is Action.NOTHING or plan.level is None or plan.current is None:
        return None
    return Step(
        plan.policy, plan.target, plan.ref, plan.action, plan.current, plan.level, plan.reason, plan.message, wanted_by
    )


def release_step(observed: Observed, release: Release, *, now: float) -> tuple[Action, int]:
    """The next move of a loan that no policy speaks for any more: gently down to the original, then return it."""
    if observed.loan is None or observed.level is None:
        return Action.NOTHING, 0
    if not observed.seen:
        return Action.NOTHING, observed.level
    rest, current = observed.loan.original, observed.level
    if current <= rest:
        return Action.RETURN, rest
    if waits(observed.loan, release, now=now):
        return Action.NOTHING, current
    allowed = step_down(release, observed.loan.highest)
    return (Action.LOWER, current - allowed) if current - allowed > rest else (Action.RETURN, rest)


def _due(line: Timeline | None, target: TargetSpec, observed: Observed, now: float) -> int:
    """Largest need that is due. When a write upwards is due anyway, steps that follow within one start time are taken
    with it: they would fall closer together than they take.
    """
    if line is None:
        return 0
    if observed.level is None:
        return line.due_at(now)
    due = line.due_from(now, observed.level)
    if due > 0 and bounded(target, due) > observed.level:
        return line.above(observed.level).due_closely(now, observed.level)
    return due


def _planned_at(line: Timeline | None, target: TargetSpec, instant: float) -> int:
    """Units that the plan asked for at an instant of the past, within the policy's bounds."""
    return bounded(target, line.due_at(instant)) if line is not None else 0


def _held(line: Timeline | None, now: float) -> int:
    """The largest need that is present, or past and within its hold."""
    if line is None:
        return 0
    return int(line.units[line.column(now - line.hold - line.shift) : line.column(now) + 1].max())


def _ended_at(line: Timeline | None, observed: Observed, now: float) -> float | None:
    """When the announced need last ended; asked only of a loan."""
    if observed.loan is None:
        return None
    return line.ended_before(now) if line is not None else -math.inf


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What lies ahead of a target."""

    line: Timeline | None
    lead: Lead
    rise: tuple[float, int] | None
    """(when, need) of the next write upwards from the level now."""


def _lead(settings: PlanSettings, start: Start, line: Timeline | None, rise: tuple[float, int] | None) -> Lead:
    """Lead time of the next rise (of a single unit when there is none)."""
    creation, writing, machines = 1.0 / settings.creation_rate, 0.0, False
    if line is not None and rise is not None:
        columns = slice(line.column(rise[0]), line.column(rise[0] + line.longest_lead) + 1)
        at = columns.start + int(line.units[columns].argmax())
        writing = float(line.lag.writing[at])
        creation = max(creation, float(line.lag.total[at]) - writing)
        machines = rise[1] > line.machine_above
    return lead_of(start, settings, creation=creation, writing=writing, machines=machines)


def _action(facts: Facts, level: int, trail: tuple[Judgement, ...]) -> Action:
    if any(one.action is OverrideAction.PAUSE for one in facts.overrides):
        return Action.NOTHING
    kept = trail[-1].reason in KEEPING
    if facts.observed.loan is not None and level == facts.rest <= facts.current and not kept:
        return Action.RETURN  # the last step down and the return are one: value, owner, loan
    if level > facts.current:
        return Action.RAISE
    return Action.LOWER if level < facts.current else Action.NOTHING


def _troubled(facts: Facts, outlook: _Outlook, say: Say) -> TargetPlan:
    """A target that cannot be driven now: nothing is done, the reason is shown, the need is shown all the same."""
    trouble = facts.observed.trouble
    reason = Reason(trouble.value) if isinstance(trouble, Trouble) else Reason.NOT_SEEN_YET
    message = facts.observed.note or SENTENCES[reason]
    judgement = Judgement(reason, facts.current, message)
    return _plan(facts, Action.NOTHING, facts.observed.level, (judgement,), reason, message, outlook, say)


def _plan(
    facts: Facts,
    action: Action,
    level: int | None,
    trail: tuple[Judgement, ...],
    reason: Reason,
    message: str,
    outlook: _Outlook,
    say: Say,
) -> TargetPlan:
    line = outlook.line
    peak, peak_at = _peak(facts, line)
    next_at, next_level = next_write(facts, action, level, trail, outlook.line, outlook.rise)
    until = None
    if line is not None:
        until = line.end_of_need(facts.now, facts.rest, facts.now + facts.settings.horizon)
        until = until + line.hold + line.shift + 60.0 / facts.policy.release.step_per_minute if until else None
    if facts.left_out and facts.observed.loan is not None:  # what cannot be read may have asked for that long
        until = max(until or 0.0, facts.observed.loan.until)
    wanted = _wanted(facts, level, trail)
    return TargetPlan(
        policy=facts.policy.key,
        target=facts.target.name,
        ref=facts.target.ref,
        action=action,
        level=level,
        wanted=wanted,
        current=facts.observed.level,
        need=facts.need,
        peak=peak,
        peak_at=peak_at,
        next_at=next_at,
        next_level=next_level,
        until=until,
        lead=outlook.lead,
        trail=trail,
        reason=reason,
        message=message,
        shortages=_shortages(facts, action, level, wanted, outlook),
        measured=_measured(facts),
        must_by=_must_by(facts, line) if action is Action.RAISE else None,
        blind=facts.blind_since is not None,
        blind_signals=tuple(map(str, facts.measure.blind)),
        seen=facts.observed.seen,
        refusals=say.refusals,
        withheld=withheld(
            facts.policy, facts.target, facts.overrides, stopped=say.stopped, unheard=say.unheard, now=facts.now
        ),
        overridden=tuple([told(one) for one in facts.overrides]),
    )


def _wanted(facts: Facts, level: int | None, trail: tuple[Judgement, ...]) -> int | None:
    """See ``TargetPlan``."""
    for before, one in pairwise(trail):
        if facts.pool is not None and one.reason is facts.pool.reason and level == one.level < before.level:
            return before.level
    return level


def _measured(facts: Facts) -> int:
    """See ``TargetPlan``. What may come within the lead time is not there yet."""
    if facts.due <= 0 and not facts.follows:
        return 0
    held = facts.current if facts.observed.loan is not None else 0
    most = max((min(one.now, one.allowed(facts.due, held)) for one in facts.measure.demands), default=0)
    return min(most, facts.target.maximum)


def _shortages(
    facts: Facts, action: Action, level: int | None, wanted: int | None, outlook: _Outlook
) -> tuple[Shortage, ...]:
    """What comes too late: see ``TargetPlan``.

    What the pool holds back is written now at the earliest. What came late to its machines counts as written later by
    as much; where the missing units' pods are to be seen starting, they say when they will be ready.
    """
    line, ready, loan = outlook.line, facts.observed.ready, facts.observed.loan
    machines = facts.target.lead.machine_seconds
    if facts.policy.live is not None and wanted is not None:
        wanted = min(wanted, facts.due)  # what measured demand may still grow by is nobody's need yet
    if line is None or level is None or wanted is None or ready is None or ready >= wanted:
        return ()
    held_back, level = wanted > level, wanted
    if facts.observed.ordered:
        each = start_seconds(outlook.lead)
        begun = turn_begun(facts.observed, each, now=facts.now)
        return line.in_turn(facts.now, begun=begun, ready=ready, level=level, each=each)
    written = loan is not None and action is not Action.RAISE and not held_back
    written_at = min(loan.stepped_at, facts.now) if loan is not None and written else facts.now
    usual = line.placing(facts.now, level)
    written_at += slipped(facts.observed, machines, written_at=written_at, usual=usual, now=facts.now)
    late = line.lateness(facts.now, written_at=written_at, ready=ready, level=level, reserve=facts.settings.reserve)
    seen = started_at(facts.observed, outlook.lead, missing=level - ready, now=facts.now)
    if seen is None or seen <= facts.now:
        return late
    return tuple(Shortage(one.short_at, seen) for one in late if one.short_at < seen)


def _must_by(facts: Facts, line: Timeline | None) -> float:
    """See ``TargetPlan``. What measured demand or an override asks for beyond the plan, it asks for now."""
    current = facts.current
    now = facts.now if (facts.measure.units or 0) > current or facts.overrides else math.inf
    if line is None:
        return now
    return min(now, line.above(current).must_by(facts.now, current, reserve=facts.settings.reserve))


def _peak(facts: Facts, line: Timeline | None) -> tuple[int, float | None]:
    """Largest need within the horizon after the policy's bounds, and when; at least the level that is there."""
    if line is None:
        return facts.rest, None
    low, high = line.column(facts.now), line.column(facts.now + facts.settings.horizon) + 1
    at = low + int(line.units[low:high].argmax())
    most = int(line.units[at])
    if most <= 0:
        return facts.rest, None
    if at == low:  # it is on: since when it is, so that nobody is told another time with each cell
        less = np.flatnonzero(line.units[:low] < most)
        at = int(less[-1]) + 1 if less.size else 0
    bounded = min(max(most, facts.target.minimum), facts.target.maximum)
    return max(bounded, facts.rest), (at + line.first) * line.cell
