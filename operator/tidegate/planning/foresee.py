"""Look ahead: the steps that the plan will take if the world stays as it is.

Drives the same planner over time in a world that obeys it: every level written is ready at once, metrics say nothing
new. Good for "what will you do tonight?"; what will really happen is the backtest's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.planning.decision import Action, Step
from tidegate.planning.model import Key, LoanState, Observed
from tidegate.planning.plan import Planner
from tidegate.planning.whole import plan_whole
from tidegate.planning.world import World

SHORTEST = 1.0
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A step and its instant."""

    at: float
    step: Step


def foresee(world: World, now: float, until: float, *, most: int = 2000) -> tuple[Foreseen, ...]:
    """Steps from ``now`` to ``until``, at most ``most`` of them, in order of time."""
    planner, steps, at = Planner(world.settings), list[Foreseen](), now
    while at < until and len(steps) < most:
        world, plan = plan_whole(planner, world, at)
        if plan.steps:
            steps.extend(Foreseen(at, step) for step in plan.steps)
            world = replace(world, observed=_after(world, plan.steps, at))
            continue
        if plan.next_at is None:
            break
        at = max(plan.next_at, at + SHORTEST)
    return tuple(steps[:most])


def _after(world: World, steps: tuple[Step, ...], now: float) -> dict[tuple[Key, str], Observed]:
    observed = dict(world.observed)
    for step in steps:
        seen = observed[step.policy, step.target]
        loan = seen.loan or LoanState(step.before, step.level, now, now)
        loan = replace(loan, highest=max(loan.highest, step.level), stepped_at=now)
        done = step.action is Action.RETURN
        observed[step.policy, step.target] = replace(
            seen, level=step.level, ready=step.level, desired=step.level, loan=None if done else loan
        )
    return observed
