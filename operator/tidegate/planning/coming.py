"""What comes next for a target: the next write after this one, if the world stays as it is."""

from __future__ import annotations

import math
from dataclasses import replace

from tidegate.planning.decision import Action, Judgement
from tidegate.planning.ending import Option, after_overrides, pause_end
from tidegate.planning.guardrails import KEEPING, Facts, pace
from tidegate.planning.model import LoanState, Observed, TargetSpec
from tidegate.planning.reasons import Reason
from tidegate.planning.release import RELEASE_INTERVAL, pause, step_down
from tidegate.planning.timeline import Timeline
from tidegate.planning.turns import falls

FALLS = 16
"""Falls of a need that are looked through for the next step down. Judgment: what is kept for longer is told later."""


def next_write(
    facts: Facts,
    action: Action,
    level: int | None,
    trail: tuple[Judgement, ...],
    line: Timeline | None,
    rise: Option | None,
) -> tuple[float | None, int | None]:
    """(when, level) of the next write after this one, as far as it can be known; ``rise`` as ``next_rise`` from now."""
    if level is None:
        return None, None
    options: list[Option] = []
    begin = max(facts.now, pause_end(facts) or 0.0)
    same = level == facts.current and begin == facts.now
    rise = rise if same else next_rise(facts, line, level, begin)
    if line is not None and rise is not None and rise[0] > begin:
        closely = line.above(level).due_closely(rise[0], level)  # what follows closely is taken with it
        most = max(rise[1], closely)
        above = bounded(facts.target, most)
        if facts.observed.maximum is not None:
            above = min(above, facts.observed.maximum)
        if above > level:
            options.append((rise[0], above))
    if action is not Action.RETURN and (facts.observed.loan is not None or action is Action.RAISE):
        options.extend(
            _way_down(_raised(facts, level) if action is Action.RAISE else facts, action, level, trail, line)
        )
    options = after_overrides(facts, level, options, lambda at: _kept_at(facts, line, at))
    return min(options, default=(None, None), key=lambda option: option[0])


def next_rise(facts: Facts, line: Timeline | None, level: int, begin: float) -> Option | None:
    """(when, need) of the first write upwards from a level, after an instant."""
    if line is None:
        return None
    return line.above(level).next_rise(begin, bar(facts.target, level), facts.now + facts.settings.horizon)


def _raised(facts: Facts, level: int) -> Facts:
    """The facts once a level has been raised: it is borrowed, and stands for what is still to come."""
    known, now = facts.observed.loan, facts.now
    highest = max(level, known.highest if known is not None else 0)
    loan = LoanState(facts.rest, highest, now, now, now + facts.settings.horizon)
    return replace(facts, observed=replace(facts.observed, level=level, loan=loan))


def _way_down(
    facts: Facts, action: Action, level: int, trail: tuple[Judgement, ...], line: Timeline | None
) -> list[tuple[float, int]]:
    """The next step down, if one is in sight: what keeps the level now says when it may fall."""
    if trail[-1].reason in KEEPING:
        return []
    loan = facts.observed.loan
    rest = loan.original if loan else facts.current
    plan, highest = (facts.policy.release, level) if loan is None else pace(facts.policy, loan, level)
    step, wait = step_down(plan, highest), pause(plan, highest)
    wanted = max(bounded(facts.target, facts.due), rest)
    if action is Action.LOWER and level > wanted:
        return [(facts.now + wait, max(level - step, wanted))]
    if loan is not None and trail[-1].reason is Reason.RELEASE_WAIT:
        at = loan.stepped_at + wait
        return [(at, max(level - step, min(wanted, _kept_at(facts, line, at))))]
    if trail[-1].reason is Reason.BLIND and facts.blind_since is not None:
        return [(facts.blind_since + facts.policy.blind_max, max(level - step, wanted))]
    if line is None or level <= rest:
        return []
    at = facts.now
    for _ in range(FALLS):
        found = [line.next_fall(at, min(facts.due, level) or 1)] if loan is None else falls(line, loan, level, at)
        at = min([one for one in found if one is not None and one > at], default=math.inf)
        if at == math.inf:
            break
        allowed = max(at, loan.stepped_at + wait) if loan is not None else at
        if (kept := _kept_at(facts, line, allowed)) < level:
            return [(allowed, max(kept, level - step))]
    return []


def _kept_at(facts: Facts, line: Timeline | None, at: float) -> int:
    """The level that announced needs keep, or ask for, at an instant; the owner's at least."""
    if line is None:
        return facts.rest
    due = bounded(facts.target, line.due_at(at))
    most = math.inf if facts.observed.maximum is None else facts.observed.maximum
    return int(max(min(max(due, soon_due(line, facts.observed, facts.target, at)), most), facts.rest))


def soon_due(line: Timeline | None, observed: Observed, target: TargetSpec, now: float) -> int:
    """Largest need, within bounds, that falls due within another lead time and step; asked only of a loan.

    A level that was raised for a need which has not come yet is kept for it, however late that would be due by now: who
    raised it may have known a longer lead time, and has led before us.
    """
    loan = observed.loan
    if line is None or loan is None:
        return 0
    soon = bounded(target, line.due_at(now, ahead=line.longest_lead + RELEASE_INTERVAL))
    if loan.highest != observed.level:  # it was lowered since
        return soon
    most = math.inf if observed.maximum is None else observed.maximum
    past, coming = (min(bounded(target, units), most) for units in line.around(now, loan.stepped_at, loan.until))
    return int(max(soon, coming)) if past < coming <= loan.highest else soon


def bar(target: TargetSpec, level: int) -> int:
    """Needs above this are a step up from a level: below the policy's min any need at all is one."""
    return level if level >= min(target.minimum, target.maximum) else 0


def bounded(target: TargetSpec, need: int) -> int:
    """A need within the policy's bounds; none stays none."""
    return min(max(need, target.minimum), target.maximum) if need > 0 else 0
