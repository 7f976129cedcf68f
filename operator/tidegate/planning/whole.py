"""A plan and all timetables that it needs, made at once: for the command line, for tests and for simulated time.

The operator makes timetables beside its loop instead: one may take seconds.
"""

from __future__ import annotations

from tidegate.planning.decision import Plan
from tidegate.planning.model import Key
from tidegate.planning.plan import Planner
from tidegate.planning.pools import with_timetables
from tidegate.planning.shift.plan import timetable
from tidegate.planning.world import World


def plan_whole(
    planner: Planner, world: World, now: float, *, changed: frozenset[Key] | None = None
) -> tuple[World, Plan]:
    """(the world with the timetables that were due, its plan). ``changed``: as in ``Planner.plan``."""
    plan = planner.plan(world, now, changed=changed)
    if not any(view.due for view in plan.pools.values()):
        return world, plan
    world = with_timetables(world, plan.pools, timetable)
    return world, planner.plan(world, now, changed=frozenset())
