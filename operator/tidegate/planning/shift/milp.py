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
    """No cheaper answer exists; False: the time was over first."""


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

    def solve(self, *, seconds: float) -> Solution | None:
        """The cheapest values; None when there are none, or none was found in time."""
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in (
            ("log_to_console", False),  # before anything is said, the banner too
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("time_limit", seconds),
            ("mip_rel_gap", 1e-6),
            ("mip_feasibility_tolerance", FEASIBLE),
            ("primal_feasibility_tolerance", FEASIBLE),
        ):
            solver.setOptionValue(name, value)
        solver.passModel(self._model())
        solver.run()
        found = solver.getModelStatus()
        proven = found == highspy.HighsModelStatus.kOptimal
        if not proven and solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        values = np.array(solver.getSolution().col_value)
        return Solution(values, float(solver.getObjectiveValue()), proven)

    def _model(self) -> highspy.HighsLp:
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self._costs), len(self._rows)
        model.col_cost_ = np.array(self._costs)
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
