"""A mixed-integer linear program, row by row, for HiGHS: the one door to the solver.

Everything is given as whole or decimal numbers and solved by one thread without randomness: equal programs give equal
answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import highspy
import numpy as np
from numpy.typing import NDArray

FEASIBLE = 1e-7
"""How far a row may be missed. Rows are scaled to pieces, so that this is far less than one."""


@dataclass(frozen=True, slots=True)
class Solution:
    """What the solver found."""

    values: NDArray[np.float64]
    cost: float
    proven: bool
    """No answer is cheaper by more than the gap; False: the time was over first."""


class OutOfTimeError(Exception):
    """The time was over before an answer was found, or it was proven that there is none."""


@dataclass(slots=True)
class Program:
    """Variables and rows; costs are minimised."""

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

    def solve(self, *, seconds: float, gap: float = 1e-6, nodes: int = 2**31 - 1) -> Solution | None:
        """The cheapest values, or the best that were found in time; None when there are none.

        ``gap`` is how far from the cheapest they may be, as a share; ``nodes`` ends the search like the time does, but
        on every machine at the same place.
        """
        # Not ``highspy.Highs``: its constructor prints a banner before any option can forbid it.
        solver = highspy._Highs()  # type: ignore[attr-defined]
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("time_limit", seconds),
            ("mip_rel_gap", gap),
            ("mip_max_nodes", nodes),
            ("mip_feasibility_tolerance", FEASIBLE),
            ("primal_feasibility_tolerance", FEASIBLE),
        ):
            solver.setOptionValue(name, value)
        solver.passModel(self._model())
        solver.run()
        found = solver.getModelStatus()
        proven = found == highspy.HighsModelStatus.kOptimal
        if found == highspy.HighsModelStatus.kInfeasible:
            return None
        if not proven and solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            raise OutOfTimeError
        values = np.array(solver.getSolution().col_value)
        return Solution(values, float(solver.getObjectiveValue()), proven)

    def _model(self) -> highspy.HighsLp:
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self._costs), len(self._rows)
        model.col_cost_, model.offset_ = np.array(self._costs), -self.unavoidable
        model.col_lower_, model.col_upper_ = np.array(self._lower), np.array(self._upper)
        bounds = np.array(self._rows, dtype=np.float64).reshape(-1, 2)
        model.row_lower_, model.row_upper_ = bounds[:, 0].copy(), bounds[:, 1].copy()
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.array(self._starts, dtype=np.int32)
        model.a_matrix_.index_ = np.array(self._columns, dtype=np.int32)
        model.a_matrix_.value_ = np.array(self._factors)
        kinds = (highspy.HighsVarType.kInteger if whole else highspy.HighsVarType.kContinuous for whole in self._whole)
        model.integrality_ = list(kinds)
        return model
