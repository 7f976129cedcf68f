"""A mixed-integer linear program, row by row, for HiGHS: the one door to the solver.

Everything is given as whole or decimal numbers and solved by one thread without randomness: equal programs give equal
answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import highspy
import numpy as np
from numpy.typing import NDArray

FEASIBLE = 1e-7
"""How far a row may be missed. Rows are scaled to pieces, so that this is far less than one."""


Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lower and upper bounds of all variables."""


@dataclass(frozen=True, slots=True)
class Solution:
    """What the solver found."""

    values: NDArray[np.float64]
    cost: float
    proven: bool
    """No answer is cheaper by more than the gap; False: the search ended first."""


EACH = 1000
"""Effort of any program, beside its columns."""


@dataclass(slots=True)
class Effort:
    """What may still be solved, counted by the sizes of programs and not by a clock.

    A unit is about a microsecond of the machine on which ``bench/shift_scale.py`` was run first. A program costs 1,000,
    and 14 for each column of a relaxation; or, of a search, 2 for each column, 50 for each whole one that is free, and
    0.7 times the square of their number.
    """

    left: float

    @property
    def spent(self) -> bool:
        """Nothing more is solved."""
        return self.left <= 0

    def relaxation(self, columns: int) -> None:
        """Pay for a relaxation."""
        self.left -= EACH + 14 * columns

    def search(self, columns: int, free: int) -> None:
        """Pay for a search with so many free whole columns."""
        self.left -= EACH + 2 * columns + 50 * free + 0.7 * free * free


class OutOfWorkError(Exception):
    """The search ended before an answer was found, or it was proven that there is none."""


@dataclass(slots=True)
class Program:
    """Variables and rows; costs are minimised."""

    effort: Effort
    _costs: list[float] = field(default_factory=list)
    _lower: list[float] = field(default_factory=list)
    _upper: list[float] = field(default_factory=list)
    _whole: list[bool] = field(default_factory=list)
    _rows: list[tuple[float, float]] = field(default_factory=list)
    _starts: list[int] = field(default_factory=lambda: [0])
    _columns: list[int] = field(default_factory=list)
    _factors: list[float] = field(default_factory=list)
    unavoidable: float = 0.0
    """Cost that every answer has: the gap is a share of what lies above it."""

    def variable(self, lower: float, upper: float, *, cost: float = 0.0, whole: bool = True) -> int:
        """A new variable; its number."""
        self._costs.append(cost)
        self._lower.append(lower)
        self._upper.append(upper)
        self._whole.append(whole)
        return len(self._costs) - 1

    def row(
        self, terms: Iterable[tuple[int, float]], *, least: float = -highspy.kHighsInf, most: float = highspy.kHighsInf
    ) -> None:
        """``least <= sum of factor x variable <= most``."""
        merged: dict[int, float] = {}
        for column, factor in terms:
            merged[column] = merged.get(column, 0.0) + factor
        for column, factor in merged.items():
            if factor != 0.0:
                self._columns.append(column)
                self._factors.append(factor)
        self._starts.append(len(self._columns))
        self._rows.append((least, most))

    @property
    def bounds(self) -> Bounds:
        """The bounds that the variables were made with."""
        return np.array(self._lower, dtype=np.float64), np.array(self._upper, dtype=np.float64)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which variables are whole numbers."""
        return np.array(self._whole, dtype=bool)

    def relaxed(self) -> Solution | None:
        """The cheapest values when no variable has to be whole; None when even then there are none."""
        self.effort.relaxation(len(self._costs))
        return self._run({"solve_relaxation": True}, self.bounds)

    def solve(self, *, gap: float, nodes: int, within: Bounds | None = None) -> Solution | None:
        """The cheapest values; None when there are none.

        ``gap``: by how much they may miss the cheapest, as a share. ``nodes`` limits the search by node count: unlike
        a time limit it stops at the same point on every machine, however busy. ``within``: narrower bounds.
        """
        bounds = within or self.bounds
        self.effort.search(len(self._costs), int((self.whole & (bounds[0] < bounds[1])).sum()))
        return self._run({"mip_rel_gap": gap, "mip_max_nodes": nodes}, bounds)

    def _run(self, options: Mapping[str, float], bounds: Bounds) -> Solution | None:
        if not self._costs:  # which HiGHS calls an empty model, whatever its rows say
            kept = all(least <= FEASIBLE and most >= -FEASIBLE for least, most in self._rows)
            return Solution(np.empty(0), 0.0, proven=True) if kept else None
        # Not ``highspy.Highs``: its constructor prints a banner before any option can forbid it.
        solver = highspy._Highs()  # type: ignore[attr-defined]
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("mip_feasibility_tolerance", FEASIBLE),
            ("primal_feasibility_tolerance", FEASIBLE),
            *options.items(),
        ):
            solver.setOptionValue(name, value)
        solver.passModel(self._model(bounds))
        solver.run()
        found = solver.getModelStatus()
        proven = found == highspy.HighsModelStatus.kOptimal
        if found == highspy.HighsModelStatus.kInfeasible:
            return None
        if not proven and solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            raise OutOfWorkError
        values = np.array(solver.getSolution().col_value)
        return Solution(values, float(solver.getObjectiveValue()), proven)

    def _model(self, bounds: Bounds) -> highspy.HighsLp:
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self._costs), len(self._rows)
        model.col_cost_, model.offset_ = np.array(self._costs), -self.unavoidable
        model.col_lower_, model.col_upper_ = bounds
        sides = np.array(self._rows, dtype=np.float64).reshape(-1, 2)
        model.row_lower_, model.row_upper_ = sides[:, 0].copy(), sides[:, 1].copy()
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.array(self._starts, dtype=np.int32)
        model.a_matrix_.index_ = np.array(self._columns, dtype=np.int32)
        model.a_matrix_.value_ = np.array(self._factors)
        kinds = (highspy.HighsVarType.kInteger if whole else highspy.HighsVarType.kContinuous for whole in self._whole)
        model.integrality_ = list(kinds)
        return model
