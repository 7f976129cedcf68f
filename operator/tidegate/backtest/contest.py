"""Playing a case with one contestant, and scoring what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.backtest.case import Case
from tidegate.backtest.fleet import Fleet
from tidegate.simulation.oracle import clairvoyant

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(slots=True)
class Moment:
    """What a contestant sees at one step."""

    step: int
    now: float
    metric: float | None
    """Demand in units as the metrics pipeline shows it; None while it is missing."""
    wanted: int
    """Units that are asked for now."""
    ready: int


class Contestant(Protocol):
    """Somebody who decides, step by step, how many units are asked for. One contestant plays one case, once."""

    name: str
    headroom: float | None
    """The setting that was swept; None where there is nothing to sweep."""

    def opening(self) -> int:
        """Units that stand when the play begins."""

    def want(self, moment: Moment) -> int:
        """Units to ask for from now on."""

    def floors(self) -> Mapping[int, int]:
        """Floors that were written, by step; empty where there are none."""


@dataclass(frozen=True)
class Track:
    """What stood there at each step."""

    contestant: str
    headroom: float | None
    ready: Counts
    billed: Counts
    floors: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class EventScore:
    """How one event went, within its window."""

    name: str
    start: float
    lost_percent: float
    cost_ratio: float
    lost_at_first_percent: float = 0.0
    """Within the first ``AT_FIRST`` seconds after the start."""
    lost_soon_percent: float = 0.0
    """Within the first ``SOON`` seconds after the start."""


AT_FIRST, SOON = 96.0, 600.0
"""Seconds after a start: in the first 96 of Double 11, 2019, ten billion CNY were sold. Whole steps are scored."""


@dataclass(frozen=True)
class Score:
    """One row of a result. Steps in gaps, and before the judged part, count nowhere."""

    policy: str
    headroom: float | None
    lost_percent: float
    """Demand that met no ready unit, in percent of all demand."""
    lost_in_windows_percent: float
    """The same within the windows of events; 0 where there are none."""
    cost_ratio: float
    """Units paid for, over those of the clairvoyant plan: it knows the demand and is bound by the start lag."""
    free_cost_ratio: float
    """The same over the whole units of the demand: nobody can be so cheap."""
    underprovisioned_seconds: float
    """Seconds in which there was more demand than ready units carry."""
    writes: int
    events: tuple[EventScore, ...] = ()
    learned_from: tuple[str, ...] = ()
    """Traces that the contestant had learned from before the play."""


def play(case: Case, contestant: Contestant) -> Track:
    """Let a contestant drive the units from the first step of the case to the last."""
    grid, physics = case.grid, case.physics
    steps = len(grid.demand)
    ready, billed = np.zeros(steps, dtype=np.int64), np.zeros(steps, dtype=np.int64)
    begin = case.played
    fleet = Fleet(physics, units=contestant.opening(), now=grid.first + begin * grid.step)
    seen = [None if np.isnan(value) else float(value) for value in case.seen[begin:]]
    for offset, metric in enumerate(seen):
        step = begin + offset
        now = grid.first + step * grid.step
        fleet.advance(now)
        wanted = contestant.want(Moment(step, now, metric, fleet.wanted, fleet.ready))
        wanted = min(max(wanted, physics.minimum), physics.maximum)
        if wanted != fleet.wanted:
            fleet.want(wanted, now)
        ready[step], billed[step] = fleet.ready, fleet.billed
    return Track(contestant.name, contestant.headroom, ready, billed, dict(contestant.floors()))


def least(case: Case) -> Counts:
    """Units of the clairvoyant plan at each step: what the coming start lag needs, and the smallest number allowed."""
    whole = np.maximum(np.where(np.isfinite(case.grid.demand), case.grid.demand, 0.0), case.physics.minimum)
    return clairvoyant(whole, case.physics.lag / case.grid.step)


def score(case: Case, track: Track) -> Score:
    """All figures of one play."""
    demand = np.where(case.scored, case.grid.demand, 0.0)
    missed = np.where(case.scored, np.maximum(0.0, demand - track.ready), 0.0)
    missed[missed < 1e-9] = 0.0
    plan = least(case)
    free = np.maximum(np.ceil(demand - 1e-9), case.physics.minimum)
    events = []
    for one in case.happenings:
        inside = np.zeros(len(demand), dtype=np.bool_)
        inside[case.window(one)] = True
        inside &= case.scored
        if inside.any():
            at_first, soon = (_since(case, one.start, seconds) for seconds in (AT_FIRST, SOON))
            events.append(
                EventScore(
                    one.name,
                    one.start,
                    _percent(missed, demand, inside),
                    _ratio(track.billed, plan, inside),
                    _percent(missed, demand, at_first),
                    _percent(missed, demand, soon),
                )
            )
    return Score(
        policy=track.contestant,
        headroom=track.headroom,
        lost_percent=_percent(missed, demand, case.scored),
        lost_in_windows_percent=_percent(missed, demand, case.windows),
        cost_ratio=_ratio(track.billed, plan, case.scored),
        free_cost_ratio=_ratio(track.billed, free, case.scored),
        underprovisioned_seconds=float((missed > 0).sum()) * case.grid.step,
        writes=len(track.floors),
        events=tuple(events),
    )


def _since(case: Case, start: float, seconds: float) -> Mask:
    """The scored steps that begin within so many seconds after an instant."""
    times = case.grid.times
    return np.asarray(case.scored & (times >= start - 1e-6) & (times < start + seconds), dtype=np.bool_)


def _percent(part: NDArray[np.float64], whole: NDArray[np.float64], where: Mask) -> float:
    total = float(whole[where].sum())
    return 100.0 * float(part[where].sum()) / total if total else 0.0


def _ratio(paid: Counts, least: NDArray[np.int64] | NDArray[np.float64], where: Mask) -> float:
    total = float(least[where].sum())
    return float(paid[where].sum()) / total if total else 0.0
