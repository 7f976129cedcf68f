"""Timetables within a stated amount of work: each program is paid for by its size.

The size of a program is known before it is solved, so that what is solved, and what is not, is the same on every
machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.planning.resources import NAMES, Resources, total
from tidegate.planning.shift.milp import Effort, OutOfWorkError
from tidegate.planning.shift.timetable import EVERY, Counts, Problem, Rule, Timetable, solve


class Solver:
    """Solves until its effort is used up."""

    def __init__(self, units: float) -> None:
        self.effort = Effort(units)

    @property
    def spent(self) -> bool:
        """Nothing more is solved."""
        return self.effort.spent

    def cheapest(self, problem: Problem, loads: Sequence[Resources], kept: Sequence[Counts] = ()) -> Timetable | None:
        """The timetable that serves loads and costs least work, or the ``kept`` one where it costs next to nothing
        more; None when there is none, or none was found.
        """
        if not ever(problem, loads) or self.spent:
            return None
        try:
            return solve(problem, loads, kept=kept, effort=self.effort)
        except OutOfWorkError:
            return None

    def part(
        self, problem: Problem, loads: Sequence[Resources], wish: Sequence[Resources]
    ) -> tuple[Timetable | None, bool]:
        """(the timetable that serves loads in full and as much of a wish as there is, whether it is sure that there is
        none when there is none).
        """
        if self.spent:
            return None, False
        try:
            return solve(problem, loads, wish, effort=self.effort), True
        except OutOfWorkError:
            return None, False

    def some(
        self, problem: Problem, loads: Sequence[Resources], *, rules: Rule = EVERY
    ) -> tuple[Timetable | None, bool]:
        """(any timetable that serves loads, whether it is sure that there is none when there is none)."""
        if not ever(problem, loads):
            return None, True
        if self.spent:
            return None, False
        try:
            return solve(problem, loads, rules=rules, cheapest=False, effort=self.effort), True
        except OutOfWorkError:
            return None, False


def ever(problem: Problem, loads: Sequence[Resources]) -> bool:
    """Whether loads fit in once everything that may stop has stopped, whatever the rules say."""
    most = problem.free + total(stock.size.times(len(stock.pieces)) for stock in problem.stocks)
    return all(load.of(n) <= max(0, most.of(n)) for load in loads for n in NAMES)


def beside(problem: Problem, timetable: Timetable | None, loads: Sequence[Resources]) -> list[Resources]:
    """What a timetable leaves free beside loads, span by span. Without a timetable nothing is out."""
    lent = [problem.free - load for load in loads]
    for stock, counts in zip(problem.stocks, timetable.counts if timetable is not None else (), strict=False):
        drains = stock.draining(problem.times)
        for k in range(problem.spans):
            if counts.out[k] > drains[k]:
                lent[k] = lent[k] + stock.size.times(counts.out[k] - drains[k])
    return [one.positive for one in lent]
