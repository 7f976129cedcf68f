"""The decision for one target at one instant: gather its facts, run the guardrails, say what comes next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidegate.planning.capacity import units_for
from tidegate.planning.decision import Action, Judgement, PoolLimit, PoolRefusal, Step, TargetPlan
from tidegate.planning.evidence import slipped, started_at
from tidegate.planning.guardrails import RELEASE_INTERVAL, Facts, judge, pause, step_down
from tidegate.planning.leadtime import Lead, lead_of, start_time
from tidegate.planning.model import Freshness, Key, Mode, Observed, Policy, Reading, Release, TargetSpec, Trouble
from tidegate.planning.override import MOST, Override, OverrideAction, told
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.timeline import Timeline
from tidegate.planning.world import World

_DOWNWARDS = {
    Reason.EVENT_DEMAND: "all that is still announced",
    Reason.LIVE_DEMAND: "measured demand still needs that much",
    Reason.RELEASE_HOLD: "the hold of the higher level is over",
    Reason.POLICY_MINIMUM: "the policy's min is all that is still needed",
}
"""The reasons for a level, said of a step down to it."""


@dataclass(frozen=True, slots=True)
class Say:
    """Who else has a say in a target's level."""

    overrides: tuple[Override, ...] = ()
    """Those that name it, also what is over but still within the hold; sorted."""
    limit: PoolLimit | None = None
    refusals: tuple[PoolRefusal, ...] = ()


NOBODY = Say()


def boosted(line: Timeline | None, overrides: Iterable[Override]) -> Timeline | None:
    """A timeline with what boosts add in the cells that they reach; the very same one when there are none."""
    boosts = [one for one in overrides if one.action is OverrideAction.BOOST]
    if line is None or not boosts:
        return line
    units = line.units.copy()
    for one in boosts:
        span = slice(line.column(one.created), line.column(one.until - line.cell) + 1)
        more = -(-line.units[span] * (100 + one.percent) // 100)
        units[span] = np.maximum(units[span], np.minimum(more, MOST))
    return replace(line, units=units)


def decide(
    world: World,
    policy: Policy,
    target: TargetSpec,
    observed: Observed,
    readings: Sequence[Reading | None],
    line: Timeline | None,
    say: Say,
    *,
    now: float,
) -> TargetPlan:
    """Plan one target. ``readings`` are those of its measured signals, ``line`` is None when no event ever needs it."""
    settings = world.settings
    acting = policy.mode is Mode.ENFORCE
    live, blind_since = _measured(policy, target, readings, now=now)
    plain, line = line, boosted(line, say.overrides)
    wanted_line = line if acting or observed.loan is None else None
    announced = _due(plain, target, observed, now) if wanted_line is not plain and wanted_line is not None else None
    due, soon = _due(wanted_line, target, observed, now), _soon(wanted_line, target, now)
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
        live=live,
        blind_since=blind_since,
        ended_at=wanted_line.ended_before(now) if wanted_line else -math.inf,
        announced=announced,
        overrides=tuple(one for one in say.overrides if now < one.until),
        pool=say.limit if acting else None,
    )
    lead = _lead(world, policy, target, line, observed, now)
    if observed.trouble is not None or observed.level is None:
        return _with(_troubled(facts, lead, line), facts, say)
    trail = judge(facts)
    level, reason, message = trail[-1].level, trail[-1].reason, trail[-1].message
    if level == facts.current and reason in (Reason.EVENT_DEMAND, Reason.RELEASE_STEP):
        trail = (*trail, Judgement(Reason.SAME_AS_NOW, level, f"already at {level}"))
    action = _action(facts, level, trail)
    if action is Action.LOWER:
        message = _DOWNWARDS.get(reason, message)
    if world.stopped and action is not Action.NOTHING:
        action, reason, message = Action.NOTHING, Reason.STOPPED, f"{SENTENCES[Reason.STOPPED]} Planned: {level}."
    elif not acting and action is not Action.NOTHING and observed.loan is None:
        action, reason, message = Action.NOTHING, Reason.OBSERVE_ONLY, f"would be set to {level}: {message}"
    return _with(_plan(facts, action, level, trail, reason, message, lead, line), facts, say)


def _with(plan: TargetPlan, facts: Facts, say: Say) -> TargetPlan:
    """The plan with what others say."""
    return replace(plan, refusals=say.refusals, overridden=tuple(told(one) for one in facts.overrides))


def not_ours(policy: Policy, target: TargetSpec, winner: Key, *, now: float) -> TargetPlan:
    """A target whose workload an older policy drives."""
    message = f"{target.ref} is driven by ScalingPolicy {winner.name}, which comes first"
    judgement = Judgement(Reason.SHARED_WORKLOAD, 0, message)
    return TargetPlan(
        policy.key, target.name, target.ref, Action.NOTHING, None, None, 0, 0, None, None, None, None,
        Lead(0.0, (), False), (judgement,), judgement.reason, message, math.inf,
    )  # fmt: skip


def step_of(policy: Policy, plan: TargetPlan) -> Step | None:
    """The write that a target's plan asks for now."""
    if plan.action is Action.NOTHING or plan.level is None or plan.current is None:
        return None
    return Step(policy.key, plan.target, plan.ref, plan.action, plan.current, plan.level, plan.reason, plan.message)


def release_step(observed: Observed, release: Release, *, now: float) -> tuple[Action, int]:
    """The next move of a loan that no policy speaks for any more: gently down to the original, then return it."""
    if observed.loan is None or observed.level is None:
        return Action.NOTHING, 0
    rest, current = observed.loan.original, observed.level
    if current <= rest:
        return Action.RETURN, rest
    if now - observed.loan.stepped_at < pause(release, observed.loan.highest):
        return Action.NOTHING, current
    allowed = step_down(release, observed.loan.highest)
    return (Action.LOWER, current - allowed) if current - allowed > rest else (Action.RETURN, rest)


def _due(line: Timeline | None, target: TargetSpec, observed: Observed, now: float) -> int:
    """Largest need that is due. When a write upwards is due anyway, steps that follow within one start time are taken
    with it: they would fall closer together than they take.
    """
    if line is None:
        return 0
    due = line.due_at(now)
    if due > 0 and observed.level is not None and min(max(due, target.minimum), target.maximum) > observed.level:
        return line.due_at(now, ahead=line.fixed_lead)
    return due


def _soon(line: Timeline | None, target: TargetSpec, now: float) -> int:
    """Largest need, within bounds, that falls due within another lead time and step."""
    if line is None:
        return 0
    return _bounded(target, line.due_at(now, ahead=line.longest_lead + RELEASE_INTERVAL))


def _measured(
    policy: Policy, target: TargetSpec, readings: Sequence[Reading | None], *, now: float
) -> tuple[int | None, float | None]:
    """(units for the measured demand, since when some measured signal is blind)."""
    carried = dict(target.capacity)
    specs = [s for s in policy.signals if s.query and s.name in carried]
    live: int | None = None
    blind: float | None = None
    for spec, reading in zip(specs, readings, strict=True):
        if reading is None or reading.freshness is not Freshness.FRESH or reading.value is None:
            since = reading.since if reading is not None else now
            blind = since if blind is None else min(blind, since)
            continue
        if not math.isfinite(reading.value) or reading.value < 0.0:
            blind = reading.since if blind is None else min(blind, reading.since)
            continue
        units = units_for(reading.value, capacity=carried[spec.name], headroom=target.headroom)
        live = units if live is None else max(live, units)
    return live, blind


def _lead(
    world: World, policy: Policy, target: TargetSpec, line: Timeline | None, observed: Observed, now: float
) -> Lead:
    """Lead time of the next rise (of a single unit when there is none)."""
    settings = world.settings
    start = start_time(
        world.measured.get((policy.key, target.name), ()), target.lead, q=policy.quantile, rate=settings.creation_rate
    )
    queue, machines = 1.0 / settings.creation_rate, False
    if line is not None:
        rise = line.next_rise(now, _bar(target, observed.level or 0), now + settings.horizon)
        if rise is not None:
            columns = slice(line.column(rise[0]), line.column(rise[0] + line.longest_lead) + 1)
            at = columns.start + int(line.units[columns].argmax())
            queue = max(queue, float(line.queue[at]))
            machines = rise[1] > line.machine_above
    return lead_of(start, settings, queue=queue, machines=machines)


def _action(facts: Facts, level: int, trail: tuple[Judgement, ...]) -> Action:
    if any(one.action is OverrideAction.PAUSE for one in facts.overrides):
        return Action.NOTHING
    if facts.observed.loan is not None and level == facts.rest <= facts.current:
        return Action.RETURN  # the last step down and the return are one: value, owner, loan
    if level > facts.current:
        return Action.RAISE
    return Action.LOWER if level < facts.current else Action.NOTHING


def _troubled(facts: Facts, lead: Lead, line: Timeline | None) -> TargetPlan:
    """A target that cannot be driven now: nothing is done, the reason is shown, the need is shown all the same."""
    trouble = facts.observed.trouble
    reason = Reason(trouble.value) if isinstance(trouble, Trouble) else Reason.NOT_SEEN_YET
    message = facts.observed.note or SENTENCES[reason]
    judgement = Judgement(reason, facts.current, message)
    return _plan(facts, Action.NOTHING, facts.observed.level, (judgement,), reason, message, lead, line)


def _plan(
    facts: Facts,
    action: Action,
    level: int | None,
    trail: tuple[Judgement, ...],
    reason: Reason,
    message: str,
    lead: Lead,
    line: Timeline | None,
) -> TargetPlan:
    peak, peak_at = _peak(facts, line)
    next_at, next_level = _next(facts, action, level, trail, line)
    until = None
    if line is not None:
        until = line.end_of_need(facts.now, facts.rest, facts.now + facts.settings.horizon)
        until = until + line.hold + line.shift + 60.0 / facts.policy.release.step_per_minute if until else None
    ready_at, short_at = _expected(facts, action, level, lead, line)
    settled = action is Action.NOTHING and not facts.observed.evidence
    return TargetPlan(
        policy=facts.policy.key,
        target=facts.target.name,
        ref=facts.target.ref,
        action=action,
        level=level,
        current=facts.observed.level,
        need=facts.need,
        peak=peak,
        peak_at=peak_at,
        next_at=next_at,
        next_level=next_level,
        until=until,
        lead=lead,
        trail=trail,
        reason=reason,
        message=message,
        valid_until=_valid_until(facts, next_at, line) if settled else facts.now,
        ready_at=ready_at,
        short_at=short_at,
        blind=facts.blind_since is not None,
    )


def _expected(
    facts: Facts, action: Action, level: int | None, lead: Lead, line: Timeline | None
) -> tuple[float | None, float | None]:
    """(when what is late will be ready, when it would have been needed); None for both when all comes in time.

    What came late to its machines counts as written later by as much; where the missing units' pods are to be seen
    starting, they say when they will be ready.
    """
    ready, loan, machines = facts.observed.ready, facts.observed.loan, facts.target.lead.machine_seconds
    if line is None or level is None or ready is None or ready >= level:
        return None, None
    written_at = loan.stepped_at if action is not Action.RAISE and loan is not None else facts.now
    usual = line.placing(facts.now, level)
    written_at += slipped(facts.observed, machines, written_at=written_at, usual=usual, now=facts.now)
    reserve = facts.settings.reaction + facts.settings.fail_over
    late = line.lateness(facts.now, written_at=written_at, ready=ready, level=level, reserve=reserve)
    if late is None:
        return None, None
    seen = started_at(facts.observed, lead, missing=level - ready, now=facts.now)
    return (seen if seen is not None and seen > facts.now else late[1]), late[0]


def _peak(facts: Facts, line: Timeline | None) -> tuple[int, float | None]:
    """Largest need within the horizon after the policy's bounds, and when; at least the level that is there."""
    if line is None:
        return facts.rest, None
    low, high = line.column(facts.now), line.column(facts.now + facts.settings.horizon) + 1
    at = low + int(line.units[low:high].argmax())
    most = int(line.units[at])
    if most <= 0:
        return facts.rest, None
    bounded = min(max(most, facts.target.minimum), facts.target.maximum)
    return max(bounded, facts.rest), (at + line.first) * line.cell


def _next(
    facts: Facts, action: Action, level: int | None, trail: tuple[Judgement, ...], line: Timeline | None
) -> tuple[float | None, int | None]:
    """(when, level) of the next write after this one, as far as it can be known."""
    if level is None:
        return None, None
    options: list[tuple[float, int]] = []
    if line is not None:
        rise = line.next_rise(facts.now, _bar(facts.target, level), facts.now + facts.settings.horizon)
        if rise is not None and rise[0] > facts.now and facts.target.maximum > level:
            options.append((rise[0], _bounded(facts.target, rise[1])))
    if action is not Action.RETURN and (facts.observed.loan is not None or action is Action.RAISE):
        options.extend(_way_down(facts, action, level, trail, line))
    return min(options, default=(None, None), key=lambda option: option[0])


def _bar(target: TargetSpec, level: int) -> int:
    """Needs above this are a step up from a level: below the policy's min any need at all is one."""
    return level if level >= min(target.minimum, target.maximum) else 0


def _bounded(target: TargetSpec, need: int) -> int:
    """A need within the policy's bounds; none stays none."""
    return min(max(need, target.minimum), target.maximum) if need > 0 else 0


def _way_down(
    facts: Facts, action: Action, level: int, trail: tuple[Judgement, ...], line: Timeline | None
) -> list[tuple[float, int]]:
    """The next step down, if one is in sight: what keeps the level now says when it may fall."""
    loan = facts.observed.loan
    rest = loan.original if loan else facts.current
    highest = loan.highest if loan else level
    step, wait = step_down(facts.policy.release, highest), pause(facts.policy.release, highest)
    wanted = max(_bounded(facts.target, facts.due), rest)
    if action is Action.LOWER and level > wanted:
        return [(facts.now + wait, max(level - step, wanted))]
    if loan is not None and trail[-1].reason is Reason.RELEASE_WAIT:
        return [(loan.stepped_at + wait, max(level - step, wanted))]
    if trail[-1].reason is Reason.BLIND and facts.blind_since is not None:
        return [(facts.blind_since + facts.policy.blind_max, max(level - step, wanted))]
    if line is None or level <= rest:
        return []
    fall = line.next_fall(facts.now, min(facts.due, level) or 1)
    if fall is None or fall <= facts.now:
        return []
    after = max(_bounded(facts.target, line.due_at(fall)), rest, level - step)
    return [(fall, min(after, level))]


def _valid_until(facts: Facts, next_at: float | None, line: Timeline | None) -> float:
    """When time alone may change the decision: the next write, the next cell, the end of a wait."""
    bounds = [facts.now + facts.settings.horizon / 2, *(one.until for one in facts.overrides)]
    if next_at is not None:
        bounds.append(next_at)
    loan = facts.observed.loan
    if loan is not None:
        bounds.append(max(loan.stepped_at + pause(facts.policy.release, loan.highest), facts.now))
    if facts.blind_since is not None and facts.blind_since + facts.policy.blind_max > facts.now:
        bounds.append(facts.blind_since + facts.policy.blind_max)
    if line is not None:
        bounds.append(line.enters_at(facts.now + facts.settings.horizon, facts.settings.horizon))
        first = line.next_rise(facts.now, 0, facts.now + facts.settings.horizon)
        if first is not None and first[0] > facts.now:
            bounds.append(first[0])
        busy = loan is not None or facts.due > 0 or facts.need > 0
        if busy:
            bounds.append((line.column(facts.now) + 1 + line.first) * line.cell)
    return min(bounds)
