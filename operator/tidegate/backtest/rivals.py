"""The rivals, each by its own rule and set as its documentation advises.

All of them stand on the HorizontalPodAutoscaler (``simulation.hpa``), as they do in a cluster. The metric is kind to
them: the demand itself per unit, which does not saturate as CPU does when units are full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tidegate.backtest.announcing import announced_curve
from tidegate.backtest.case import Case
from tidegate.backtest.contest import Moment
from tidegate.backtest.schedules import FORECAST_POLL, HUMAN_BEFORE, periodic, ramps, windows
from tidegate.backtest.series import Curve
from tidegate.simulation.hpa import (
    DEFAULT,
    SYNC_SECONDS,
    TOLERANCE,
    Behavior,
    Direction,
    HpaMetric,
    HpaMetricKind,
    HpaRule,
    whole,
)

QUICK_DOWN = replace(DEFAULT, down=Direction(window=60.0, policies=DEFAULT.down.policies))
"""The stock behavior with a window of 60 s on the way down instead of 300 s."""

KEDA_POLL = 30.0
"""``pollingInterval`` of KEDA, seconds: stock value."""
ZALANDO_POLL = 60.0
"""Seconds between two collections of kube-metrics-adapter: stock value."""
BENEATH_PERCENT = 80.0
"""Target of the HPA under a timetable: the stock default of the HPA's CPU metric."""


class _Rule(HpaRule):
    """An HPA with a second metric, AverageValue 1: the number of units that a timetable wants.

    The larger of both counts, each with its own tolerance. While the first metric is missing the second decides, unless
    it wants fewer: then nothing is decided, nor remembered. Source: ``computeReplicasForMetrics`` in ``horizontal.go``.
    """

    scheduled = 0.0

    def _desired(self, current: int, ready: int, value: float) -> int:
        return max(super()._desired(current, ready, value), self.timetabled(current))

    def timetabled(self, current: int) -> int:
        """What the second metric wants by itself."""
        tolerated = current > 0 and self._tolerated(self.scheduled / current)
        return current if tolerated else whole(self.scheduled)


class Reactive:
    """An HPA at a target, alone or over a floor by the clock."""

    def __init__(
        self,
        case: Case,
        name: str,
        *,
        target_percent: float,
        headroom: float | None = None,
        behavior: Behavior | None = DEFAULT,
        floor: Curve | None = None,
        metric: Curve | None = None,
        poll: float = 0.0,
        exact: bool = False,
    ) -> None:
        """``floor``: minReplicas at each step. ``metric``: units that a second metric wants at each step, looked at
        every ``poll`` seconds. ``exact``: what the metric wants is written directly where the tolerance would keep it.
        """
        self.name, self.headroom = name, headroom
        self._case, self._floor, self._metric, self._exact = case, floor, metric, exact
        self._every = max(1, round(SYNC_SECONDS / case.grid.step))
        self._poll = max(1, round(poll / case.grid.step))
        target = HpaMetric(HpaMetricKind.AVERAGE_VALUE, target_percent / 100.0)
        physics = case.physics
        self._rule = _Rule(minimum=physics.minimum, maximum=physics.maximum, metric=target, behavior=behavior)
        self.floor_now = 0
        """minReplicas as somebody else writes it."""

    def opening(self) -> int:
        """The HPA at rest under the first demand."""
        return opening(self._case, self._rule.metric.target)

    def want(self, moment: Moment) -> int:
        """One sync where one is due."""
        if moment.step % self._every:
            return moment.wanted
        lowest = self.floor_now if self._floor is None else math.ceil(self._floor[moment.step] - 1e-9)
        self._rule.minimum = min(max(self._case.physics.minimum, lowest), self._rule.maximum)
        value = moment.metric
        if self._metric is not None:
            if moment.step % self._poll == 0:
                wanted = float(self._metric[moment.step])
                self._rule.scheduled = 0.0 if math.isnan(wanted) else wanted
            if value is None and self._rule.timetabled(moment.wanted) >= moment.wanted:
                value = 0.0
        decision = self._rule.decide(now=moment.now, current=moment.wanted, ready=moment.ready, value=value)
        scheduled = math.ceil(self._rule.scheduled - 1e-9)
        near = self._rule.scheduled <= (1.0 + TOLERANCE) * decision.replicas
        if self._exact and near and decision.replicas < scheduled:  # the adapter's own write, past the HPA's tolerance
            return min(scheduled, self._rule.maximum)
        return decision.replicas

    def floors(self) -> Mapping[int, int]:
        """None were written."""
        return {}


class AlwaysOn:
    """The announced peak, always there."""

    def __init__(self, case: Case, *, headroom: float) -> None:
        self.name = "always-on"
        self.headroom: float | None = headroom
        most = float(announced_curve(case).max())
        if not case.announced:  # nobody announces anything: whoever runs it knows the largest demand of the history
            before = case.grid.demand[: case.judged] if case.judged else case.grid.demand
            most = float(np.nanmax(before))
        self._units = math.ceil(most * (1.0 + headroom) - 1e-9)

    def opening(self) -> int:
        """All of it."""
        return self._units

    def want(self, moment: Moment) -> int:
        """All of it."""
        return self._units

    def floors(self) -> Mapping[int, int]:
        """None are written."""
        return {}


def opening(case: Case, share: float) -> int:
    """Units at rest when the play begins: the first known demand, at a share of what a unit carries."""
    known = case.grid.demand[np.isfinite(case.grid.demand)]
    start = case.grid.demand[case.judged :]
    start = start[np.isfinite(start)]
    first = float(start[0] if len(start) else known[0])
    return min(case.physics.maximum, max(case.physics.minimum, math.ceil(first / share - 1e-9)))


# ---- each as its documentation advises


def hpa(case: Case, percent: float) -> Reactive:
    """A plain HPA at a target, stock behavior. Head-room is what the target leaves."""
    return Reactive(case, f"hpa-{percent:g}", target_percent=percent, headroom=100.0 / percent - 1.0)


def hpa_static(case: Case, share: float) -> Reactive:
    """An HPA at 80 % that keeps a share of the largest announced peak as its minReplicas, always."""
    floor = np.full(len(case.grid.demand), share * float(announced_curve(case).max()))
    return Reactive(case, "hpa-static", target_percent=BENEATH_PERCENT, headroom=share, floor=floor)


def human(case: Case, headroom: float) -> Reactive:
    """A careful person: minReplicas at the announced peak from a quarter of an hour before the announced start."""
    floor = windows(case, before=HUMAN_BEFORE) * (1.0 + headroom)
    return Reactive(case, "human", target_percent=BENEATH_PERCENT, headroom=headroom, floor=floor)


def keda_cron(case: Case, headroom: float) -> Reactive:
    """KEDA: a cron trigger an event beside a metric trigger. A floor by metric has the HPA's tolerance and window."""
    wanted = np.ceil(windows(case, before=HUMAN_BEFORE) * (1.0 + headroom) - 1e-9)
    return Reactive(case, "keda-cron", target_percent=BENEATH_PERCENT, headroom=headroom, metric=wanted, poll=KEDA_POLL)


def zalando(case: Case, headroom: float) -> Reactive:
    """A ScalingSchedule an event, with the adapter's own write past the HPA's tolerance."""
    wanted = ramps(case) * (1.0 + headroom)
    return Reactive(
        case,
        "scaling-schedule",
        target_percent=BENEATH_PERCENT,
        headroom=headroom,
        metric=wanted,
        poll=ZALANDO_POLL,
        exact=True,
    )


def forecaster(case: Case, quantile: float) -> Reactive:
    """A periodic forecaster (AHPA-like): the larger of a quantile of history at this time of day and an HPA at 80 %."""
    wanted = np.ceil(periodic(case, quantile) - 1e-9)
    return Reactive(
        case, "periodic", target_percent=BENEATH_PERCENT, headroom=quantile, metric=wanted, poll=FORECAST_POLL
    )
