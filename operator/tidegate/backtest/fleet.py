"""The units of one workload: wanted, on a machine, ready. Seeded, on the grid of the backtest.

Units are kept as cohorts that become ready at one instant. On the way down starting units leave first, then ready ones,
the youngest first, as a ReplicaSet gives up pods. A unit is paid for from the moment it is on a machine until it is
gone, and at least for the least time that is billed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate.backtest.case import Physics

DRAWN_TOGETHER = 0.25
"""Units of one step whose start times differ are drawn in groups: a quarter of the step each, so that a step of a
thousand units is four cohorts."""
MOST_COHORTS = 64
"""More than so many groups are joined where they can be."""


@dataclass(slots=True)
class _Cohort:
    count: int
    placed_at: float
    ready_at: float
    ready: bool = False


class Fleet:
    """The units of one workload. ``now`` must not fall."""

    def __init__(self, physics: Physics, *, units: int, now: float) -> None:
        self._physics = physics
        self._random = np.random.default_rng(physics.seed)
        self._cohorts = [_Cohort(units, now - physics.billed_seconds, now, ready=True)] if units else []
        self.wanted = units
        self.ready = units
        self.placed = units
        self._waiting = 0
        self._owing: list[tuple[float, int]] = []
        """(until when, units) that are gone and still billed."""
        nodes = physics.nodes
        self._nodes = math.ceil(units / nodes.units) if nodes else 0
        self._coming: list[tuple[float, int]] = []
        """(when, machines) on order."""

    @property
    def billed(self) -> int:
        """Units that are paid for now."""
        return self.placed + sum(units for _, units in self._owing)

    def advance(self, now: float) -> None:
        """Let time pass: machines arrive, starts end, bills end."""
        if self._owing:
            self._owing = [one for one in self._owing if one[0] > now + 1e-9]
        if self._coming or self._waiting:
            self._arrive(now)
        self._end_starts(now)
        if len(self._cohorts) > MOST_COHORTS:
            self._cohorts = _joined(self._cohorts, settled=now - self._physics.billed_seconds)

    def want(self, count: int, now: float) -> None:
        """Ask for so many units from now on."""
        change, self.wanted = count - self.wanted, count
        if change > 0:
            self._waiting += change
            self._arrive(now)
            self._end_starts(now)
        elif change < 0:
            self._shed(-change, now)

    # ---- up

    def _arrive(self, now: float) -> None:
        nodes = self._physics.nodes
        if nodes is None:
            self._place(self._waiting, now)
            return
        self._nodes += sum(count for at, count in self._coming if at <= now + 1e-9)
        self._coming = [one for one in self._coming if one[0] > now + 1e-9]
        self._place(min(self._waiting, max(0, self._nodes * nodes.units - self.placed)), now)
        on_order = sum(count for _, count in self._coming)
        missing = math.ceil(self._waiting / nodes.units) - on_order
        missing = min(missing, nodes.most - self._nodes - on_order)
        if missing > 0:
            self._coming.append((now + nodes.seconds, missing))

    def _place(self, count: int, now: float) -> None:
        if count <= 0:
            return
        self._waiting -= count
        self.placed += count
        for units in self._groups(count):
            self._cohorts.append(_Cohort(units, now, now + self._start_seconds(count)))

    def _groups(self, count: int) -> list[int]:
        if not self._physics.lag_spread:
            return [count]
        size = max(1, round(count * DRAWN_TOGETHER))
        return [min(size, count - begin) for begin in range(0, count, size)]

    def _start_seconds(self, step: int) -> float:
        physics = self._physics
        seconds = physics.lag + physics.lag_per_unit * step
        if physics.lag_spread:
            seconds *= math.exp(physics.lag_spread * float(self._random.standard_normal()))
        return seconds

    def _end_starts(self, now: float) -> None:
        for cohort in self._cohorts:
            if not cohort.ready and cohort.ready_at <= now + 1e-9:
                self._end_start(cohort, now)

    def _end_start(self, cohort: _Cohort, now: float) -> None:
        failed = 0
        if self._physics.failed_starts:
            failed = int(self._random.binomial(cohort.count, self._physics.failed_starts))
        if failed == cohort.count:
            cohort.ready_at = now + self._start_seconds(failed)
            return
        if failed:
            self._cohorts.append(_Cohort(failed, cohort.placed_at, now + self._start_seconds(failed)))
        cohort.count -= failed
        cohort.ready = True
        self.ready += cohort.count

    # ---- down

    def _shed(self, count: int, now: float) -> None:
        dropped = min(count, self._waiting)
        self._waiting -= dropped
        count -= dropped
        for ready in (False, True):
            for cohort in reversed(self._cohorts):
                if count and cohort.ready is ready:
                    count -= self._take(cohort, count, now)
        self._cohorts = _joined(self._cohorts, settled=now - self._physics.billed_seconds)
        if (nodes := self._physics.nodes) is not None:
            self._nodes = min(self._nodes, math.ceil(self.placed / nodes.units))

    def _take(self, cohort: _Cohort, most: int, now: float) -> int:
        taken = min(cohort.count, most)
        cohort.count -= taken
        self.placed -= taken
        if cohort.ready:
            self.ready -= taken
        until = cohort.placed_at + self._physics.billed_seconds
        if until > now:
            self._owing.append((until, taken))
        return taken


def _joined(cohorts: list[_Cohort], *, settled: float) -> list[_Cohort]:
    """Keep the list short: ready neighbours are one cohort once their least bill is over (placed until ``settled``)."""
    found: list[_Cohort] = []
    for cohort in cohorts:
        last = found[-1] if found else None
        if not cohort.count:
            continue
        if last is not None and last.ready and cohort.ready and max(last.placed_at, cohort.placed_at) <= settled:
            last.count += cohort.count
        else:
            found.append(cohort)
    return found
