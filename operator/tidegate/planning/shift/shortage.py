"""Which resource of a pool is short: what could be there of each, if it alone were asked for.

A need is served in whole pods, its CPU and its memory by the same share, so what was granted lacks of both alike. What
is lacking is found by asking for one resource at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.planning.resources import NAMES, Resources
from tidegate.planning.shift.bounded import Solver, beside
from tidegate.planning.shift.timetable import Problem, Timetable


def can_be_there(
    problem: Problem,
    loads: Sequence[Resources],
    wish: Sequence[Resources],
    span: int,
    solver: Solver,
    served: Timetable | None,
) -> Resources:
    """What needs can have in a span: what loads have, and of a wish as much of each resource as there is by itself.

    ``served`` is a timetable for the loads: what it leaves free counts where the solver's work is used up.
    """
    most = {name: loads[span].of(name) + _alone(problem, loads, wish, span, solver, served, name) for name in NAMES}
    return Resources(**most)


def _alone(
    problem: Problem,
    loads: Sequence[Resources],
    wish: Sequence[Resources],
    span: int,
    solver: Solver,
    served: Timetable | None,
    name: str,
) -> int:
    """How much of one resource a wish can have, as if it asked for no other."""
    wanted = wish[span].of(name)
    if all(load.of(name) + one.of(name) <= problem.free.of(name) for load, one in zip(loads, wish, strict=True)):
        return wanted
    found, told = solver.part(problem, loads, [Resources(**{name: one.of(name)}) for one in wish])
    if found is not None:
        return round(wanted * (1.0 - found.unserved[span]))
    return 0 if told else min(wanted, beside(problem, served, loads)[span].of(name))
