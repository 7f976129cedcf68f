"""Look ahead: the steps that the plan will take if the world stays as it is.

Drives the same planner over time in a world that obeys it: every level written is ready at once, metrics say nothing
new. Good for "what will you do tonight?"; what will really happen is the backtest's business.

It looks where time alone can change a decision: when a step is due, when an override ends, when a need begins to be
due or stops being held, when a pool hands work over. In between nothing can happen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.planning.decision import Plan, Step, cut_of
from tidegate.planning.model import Key, TargetKey
from tidegate.planning.obeying import obeyed
from tidegate.planning.plan import Planner
from tidegate.planning.reasons import Reason
from tidegate.planning.shift.handover import Act, Do
from tidegate.planning.turns import turns
from tidegate.planning.upcoming import UNDRIVEN
from tidegate.planning.whole import plan_whole
from tidegate.planning.world import World

SHORTEST = 1.0
"""Seconds between two looks."""
LONGEST = 3600.0
"""Seconds between two looks at most: needs that were beyond the horizon come into sight."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A step and its instant."""

    at: float
    step: Step


@dataclass(frozen=True, slots=True)
class Shifted:
    """Work of a pool that is stopped or started again, and when."""

    at: float
    pool: str
    act: Act


@dataclass(frozen=True, slots=True)
class Kept:
    """A target for which less is done than is asked for, or nothing at all, and why."""

    at: float
    """Since when, as far as was looked."""
    policy: Key
    target: str
    needed: int | None
    """Units asked for; None where nobody can tell, or nobody asks."""
    level: int | None
    """Units that it gets; None: unknown."""
    reason: Reason
    message: str


@dataclass(slots=True)
class Foresight:
    """All that is coming, in order of time."""

    steps: list[Foreseen] = field(default_factory=list)
    shifted: list[Shifted] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    """Each target once a reason."""
    complete: bool = True
    """False: there are more steps than were asked for."""


def foresee(world: World, now: float, until: float, *, most: int = 2000) -> tuple[Foreseen, ...]:
    """Steps from ``now`` to ``until``, at most ``most`` of them, in order of time."""
    return tuple(foresight(world, now, until, most=most).steps)


def foresight(world: World, now: float, until: float, *, most: int = 2000) -> Foresight:
    """All that is coming from ``now`` to ``until``: at most ``most`` steps of targets."""
    planner, found, at = Planner(world.settings), Foresight(), now
    known: set[tuple[TargetKey, Reason]] = set()
    changed: frozenset[Key] | None = None
    while at < until:
        world, plan = plan_whole(planner, world, at, changed=changed)
        changed = frozenset()
        for one in _kept(plan, at):
            if ((one.policy, one.target), one.reason) not in known:
                known.add(((one.policy, one.target), one.reason))
                found.kept.append(one)
        found.steps += [Foreseen(at, step) for step in plan.steps]
        found.shifted += [Shifted(at, name, act) for name, act in _moves(plan)]
        if len(found.steps) >= most:
            found.steps, found.complete = found.steps[:most], False
            break
        busy = bool(plan.steps) or any(view.step.acts for view in plan.pools.values())
        world = obeyed(world, plan, at)
        at = at + SHORTEST if busy else max(_next_look(planner, world, plan, at), at + SHORTEST)
    return found


def _moves(plan: Plan) -> Iterator[tuple[str, Act]]:
    for name, view in plan.pools.items():
        for act in view.step.acts:
            if act.do in (Do.STOP, Do.RESUME):
                yield name, act


def _next_look(planner: Planner, world: World, plan: Plan, now: float) -> float:
    """The next instant at which time alone may change a decision."""
    times = [now + LONGEST, plan.next_at if plan.next_at is not None else math.inf]
    times += [one.until for one in world.overrides]
    lent = [key for key, seen in world.observed.items() if seen.loan is not None and key[0] in world.policies]
    for key, line in planner.lines(world, lent):
        seen = world.observed[key]
        if seen.loan is not None:
            times += turns(line, seen.loan, world.policies[key[0]].release, seen.level or 0, now)
    return min(at for at in times if at > now)


def _kept(plan: Plan, now: float) -> Iterator[Kept]:
    for key, one in plan.targets.items():
        if one.reason in UNDRIVEN:
            yield Kept(now, key[0], key[1], one.need or None, one.level, one.reason, one.message)
        elif (cut := cut_of(one.trail)) is not None:
            asked = max(judgement.level for judgement in one.trail)
            yield Kept(now, key[0], key[1], asked, one.trail[-1].level, cut.reason, cut.message)
