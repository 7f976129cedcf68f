"""Which resource of a pool is short: what could be there of each, if it alone were asked for.

A need is served in whole pods, its CPU and its memory by the same share, so what was granted lacks of both alike. What
is lacking is found by asking for one resource at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

from tidegate.planning.resources import NAMES, NOTHING, Resources
from tidegate.planning.shift.bounded import Solver, beside
from tidegate.planning.shift.model import NeedStep
from tidegate.planning.shift.timetable import Problem, Timetable


class Shortage(NamedTuple):
    """When a need is short of machines."""

    at: float
    """The first instant."""
    earliest: float | None
    """See ``Refusal``."""
    until: float | None
    """See ``Refusal``."""


def shortage(times: Sequence[float], short: Sequence[int], whole: Sequence[Resources]) -> Shortage:
    """When a need is short. ``short`` are the spans in which it is, rising; ``whole`` is what it asks for in each span,
    all its parts together: what one part lacks another part may have asked for, and was granted, from later on.
    """
    at, end, after = times[short[0]], times[short[-1] + 1], whole[short[-1] + 1 :]
    if all(amount.nothing for amount in after):
        return Shortage(at, None, None)
    lasts = _most(whole[k] for k in short).fits(_most(after))
    return Shortage(at, end if lasts else None, end)


def within_grace(times: Sequence[float], short: Sequence[int], steps: Sequence[NeedStep], *, grace: float) -> bool:
    """Whether a need lacks machines only at its rises, and each time for no longer than ``grace`` seconds after one.
    ``steps`` are the need's, with their past.
    """
    rises = {step.start for step, before in zip(steps, (None, *steps), strict=False) if _is_above(step, before)}
    ends = [k for k in short if k + 1 not in short]
    begins = [k for k in short if k - 1 not in short]
    for first, last in zip(begins, ends, strict=True):
        since = next((step.start for step in steps if step.start <= times[first] < step.end), None)
        if since not in rises or times[last + 1] - since > grace:
            return False
    return True


def _is_above(step: NeedStep, before: NeedStep | None) -> bool:
    return before is None or before.end < step.start or not step.amount.fits(before.amount)


def _most(amounts: Iterable[Resources]) -> Resources:
    return reduce(Resources.most, amounts, NOTHING)


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
