"""One backtest's question: the demand in units, the events, and the physics of the cluster that it is played on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tidegate.backtest.happenings import Happening
from tidegate.backtest.series import Curve, Grid

WARM_UP = 3600.0
"""Seconds before the judged part from which contestants play, so that none is judged on how it was set up."""
BEFORE, AFTER = 3600.0, 10_800.0
"""Seconds before and after an event's start that are scored as its window."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Machines that units run on, and that take time of their own to come."""

    units: int
    """How many units fit on one."""
    seconds: float
    """From being asked for to taking units."""
    most: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Physics:
    """How wanted units become ready, what is paid for, and what the metrics show."""

    lag: float = 180.0
    """Seconds from the wish to ready and warm, of the median unit."""
    lag_spread: float = 0.0
    """Standard deviation of the logarithm of that time, unit by unit; 0: all take the same."""
    lag_per_unit: float = 0.0
    """Seconds more for each unit of a step: a large step takes longer than a small one."""
    failed_starts: float = 0.0
    """Share of starts that fail when they should be ready, and begin anew."""
    nodes: Nodes | None = None
    """None: there is always room."""
    billed_seconds: float = 0.0
    """A unit is paid for at least so long."""
    metric_window: float = 60.0
    """Seconds that the metric is a mean of."""
    metric_age: float = 30.0
    """Seconds between the end of that window and whoever reads the metric."""
    metric_gaps: float = 0.0
    """Share of the time in which the metric is missing, in gaps of ``GAP_SECONDS``."""
    minimum: int = 1
    maximum: int = 100_000
    seed: int = 1


GAP_SECONDS = 300.0
"""How long a missing metric is missing: a restart of a metrics server. Judgment."""


@dataclass(frozen=True)
class Case:
    """Demand in units, and what happens."""

    name: str
    grid: Grid
    """In units: demand divided by what one unit carries."""
    capacity: float
    """Of the series' unit, carried by one unit."""
    happenings: tuple[Happening, ...] = ()
    """What takes place, in order, the history's events too."""
    announced: tuple[Happening, ...] = ()
    """What is announced: the same under the perturbation "none". ``expected`` is in units here."""
    told: tuple[Happening, ...] | None = None
    """What was announced in the history, as wrong as what is announced now; later events may be among it. None: what
    happened."""
    perturbation: str = "none"
    begin: float = -math.inf
    """The score counts from here on; what is before is history, known to whoever learns."""
    background: float = 0.0
    """Units needed without any event, as whoever writes the policy would type it."""
    physics: Physics = field(default_factory=Physics)
    notes: tuple[str, ...] = ()

    @cached_property
    def judged(self) -> int:
        """The first step that counts."""
        return self.grid.index(max(self.begin, self.grid.first))

    @cached_property
    def played(self) -> int:
        """The first step that contestants play."""
        warm_up = round(WARM_UP / self.grid.step) if math.isfinite(self.begin) else 0
        return max(0, self.judged - warm_up)

    @cached_property
    def scored(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """The steps that count: from the beginning on, outside gaps."""
        found = np.isfinite(self.grid.demand)
        found[: self.judged] = False
        return found

    @cached_property
    def windows(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """The steps that count and lie in the window of an event."""
        found = np.zeros(len(self.grid.demand), dtype=np.bool_)
        for one in self.happenings:
            found[self.window(one)] = True
        return found & self.scored

    def window(self, happening: Happening) -> slice:
        """The steps of one event's window."""
        return slice(self.grid.index(happening.start - BEFORE), self.grid.index(happening.start + AFTER))

    @cached_property
    def seen(self) -> Curve:
        """The metric at each step: the mean of a window that ended some time ago; not a number where it is missing."""
        grid, physics = self.grid, self.physics
        known = np.isfinite(grid.demand)
        sums = np.concatenate(([0.0], np.cumsum(np.where(known, grid.demand, 0.0))))
        counts = np.concatenate(([0], np.cumsum(known)))
        width, age = max(1, round(physics.metric_window / grid.step)), round(physics.metric_age / grid.step)
        at = np.arange(len(grid.demand))
        stop = np.maximum(at - age, 0)
        start = np.maximum(stop - width, 0)
        held = counts[stop] - counts[start]
        seen = np.where(held > 0, (sums[stop] - sums[start]) / np.maximum(held, 1), np.nan)
        first = min(age + 1, len(seen))
        seen[:first] = grid.demand[:first]  # the series begins here: what came before is taken to be like its begin
        seen[self._missing()] = np.nan
        return seen

    def _missing(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        steps = len(self.grid.demand)
        length = max(1, round(GAP_SECONDS / self.grid.step))
        random = np.random.default_rng(self.physics.seed)
        begins = random.random(steps) < self.physics.metric_gaps / length
        running = np.concatenate(([0], np.cumsum(begins)))
        at = np.arange(1, steps + 1)
        return np.asarray(running[at] > running[np.maximum(0, at - length)], dtype=np.bool_)
