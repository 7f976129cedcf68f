"""Small cases for the backtest's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Moment
from tidegate.backtest.happenings import Happening
from tidegate.backtest.series import ANCHOR, Grid

STEP = 15.0


def case(
    demand: Sequence[float] | np.ndarray,
    happenings: Sequence[Happening] = (),
    *,
    background: float = 0.0,
    begin: float = -np.inf,
    announced: Sequence[Happening] | None = None,
    **physics: object,
) -> Case:
    """Demand in units, one value a step of 15 s from a Monday on."""
    told = tuple(happenings if announced is None else announced)
    return Case(
        "small",
        Grid(ANCHOR, STEP, np.asarray(demand, dtype=np.float64)),
        2.0,
        tuple(happenings),
        told,
        background=background,
        begin=begin,
        physics=Physics(**physics),  # type: ignore[arg-type]
    )


def show(start: float, seconds: float, units: float, *, kind: str = "event", name: str = "show") -> Happening:
    """An event, seconds after the begin of the case."""
    return Happening(name, kind, ANCHOR + start, ANCHOR + start + seconds, units)


def peak(steps: int, start: float, seconds: float, low: float, high: float) -> np.ndarray:
    """A flat demand with one block in it."""
    demand = np.full(steps, low)
    demand[round(start / STEP) : round((start + seconds) / STEP)] = high
    return demand


@dataclass
class Scripted:
    """Wants what it is told, step by step."""

    plan: Sequence[int]
    name: str = "scripted"
    headroom: float | None = None
    seen: list[Moment] = field(default_factory=list)

    def opening(self) -> int:
        return self.plan[0]

    def want(self, moment: Moment) -> int:
        return self.plan[moment.step]

    def floors(self) -> Mapping[int, int]:
        return {}
