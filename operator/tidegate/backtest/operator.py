"""Tidegate as a contestant: the operator's own loop, turned on the backtest's clock.

Alone on a workload the loop writes ``spec.replicas``; over an HPA it writes ``minReplicas``. Between turns nothing
that the loop looks at can move, so it is turned every beat while it holds a loan or an event is near, and like the
operator every ``idle_seconds`` otherwise (``quiet``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tidegate.backtest.announcing import AFTER_END, POLICY, live_event
from tidegate.backtest.case import Case
from tidegate.backtest.contest import Moment
from tidegate.backtest.lessons import Lesson, history_of, readings_of
from tidegate.backtest.rivals import Reactive, opening
from tidegate.backtest.stand import (
    NAMESPACE,
    QUERY,
    WORKLOAD,
    Announced,
    Leader,
    SetClock,
    Signal,
    Silence,
    Workload,
    loan_key,
)
from tidegate.backtest.variants import Variant
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.planning.model import Key, LeadTimeGuess, Mode, PlanSettings, Policy, Ref, SignalSpec, TargetSpec

HORIZON = 21_600.0
"""Seconds that the loop plans ahead here, instead of a day: levels look one lead time ahead, and six hours of cells are
summed in less time."""
STUDIED = 14 * 86_400.0
"""Seconds before the play that a floor which follows demand has learned from: what a Prometheus keeps, about."""
ARRIVAL = 10
"""Steps for which a floor that follows demand has followed the first one before the play begins: until it is confirmed.
"""
RESTING_SHARE = 0.99
"""Of the time without events a workload without an HPA stands high enough, by its owner's choice: judgment."""


class Operator:
    """The loop with everything behind its ports."""

    def __init__(
        self, case: Case, variant: Variant, headroom: float, *, lesson: Lesson | None = None, skip_quiet: bool = True
    ) -> None:
        self.headroom: float | None = headroom
        self.name = variant.played_as
        self._case, self._skip_quiet = case, skip_quiet
        self._reactive: Reactive | None = None
        if variant.beneath is not None:
            self._reactive = Reactive(case, self.name, target_percent=variant.beneath, behavior=variant.behavior)
        self._clock = SetClock(case.grid.first)
        self._follows = variant.follows
        level = case.physics.minimum if self._reactive is not None or self._follows else resting(case)
        maximum = case.physics.maximum if self._reactive is not None else None
        self._workload = Workload(self._clock, level, maximum)
        self._signal = Signal(span=case.physics.metric_window)
        self._store = Announced(policy_of(case, variant, headroom))
        self._withdrawals = sorted(
            (one.withdrawn_at, Key(NAMESPACE, f"event-{number}"))
            for number, one in enumerate(case.announced)
            if one.withdrawn_at is not None
        )
        for number, one in enumerate(case.announced):
            self._store.put(live_event(one, number, case.capacity))
        self._loop = Loop(
            clock=self._clock,
            store=self._store,
            targets=self._workload,
            metrics=self._signal,
            book=self._workload,
            key_of=loan_key,
            leadership=Leader(),
            events=Silence(),
            settings=LoopSettings(beat_seconds=case.grid.step),
            plan_settings=plan_settings(case),
        )
        self._runner = asyncio.new_event_loop()
        self._beat: Beat | None = None
        self._turned_at = -math.inf
        self.turns = 0
        self.learned_from: tuple[str, ...] = ()
        """Traces that it has learned from before the play; the case's own name: from what was before."""
        if self._follows:
            self._study(lesson)
            self._arrive()

    def opening(self) -> int:
        """What the HPA, or the owner, had there."""
        if self._reactive is not None:
            return self._reactive.opening()
        return opening(self._case, 1.0) if self._follows else self._workload.level

    def want(self, moment: Moment) -> int:
        """The HPA, where there is one, decides over the floor that stands; then the loop is turned where it is due.

        A floor takes effect at the next sync, as in a cluster.
        """
        self._show(moment)
        wanted = moment.wanted
        if self._reactive is not None:
            self._reactive.floor_now = self._workload.level
            wanted = self._reactive.want(moment)
        if self._due(moment.now):
            self._beat = self._runner.run_until_complete(self._loop.turn())
            if self._beat is None:
                raise RuntimeError("the loop decided nothing: its store says that it is not complete")
            self._turned_at = moment.now
            self.turns += 1
        return self._workload.level if self._reactive is None else wanted

    def floors(self) -> Mapping[int, int]:
        """Levels as written, by step."""
        grid = self._case.grid
        return {grid.index(at): level for at, level in self._workload.writes}

    def _study(self, lesson: Lesson | None) -> None:
        """Learn from what was before the play, as an operator does that keeps a record and finds the last days in
        Prometheus: demand, and what was announced then.
        """
        case, forecaster, key = self._case, self._loop.forecaster, (self._store.policy.key, QUERY)
        if lesson is not None:
            forecaster.recall({key: lesson.grown})
            self.learned_from += lesson.editions
        last = case.played - ARRIVAL
        first = max(0, last - round(STUDIED / case.grid.step))
        self._loop.focus()
        if first < last:
            forecaster.study(key, readings_of(case, first, last), history_of(case, first, last))
            self.learned_from += (case.name,)

    def _arrive(self) -> None:
        """Who follows demand has been there before the trace begins: its level is that of the first demand."""
        case, first = self._case, float(self._case.grid.demand[self._case.played])
        for ago in range(ARRIVAL, 0, -1):
            self._clock.at = case.grid.first + (case.played - ago) * case.grid.step
            self._workload.ready = self._workload.desired = max(self._workload.level, opening(case, 1.0))
            self._signal.value = first * case.capacity if math.isfinite(first) else None
            self._signal.since = self._clock.at - case.physics.metric_age
            self._beat = self._runner.run_until_complete(self._loop.turn())
        self._workload.writes.clear()

    def close(self) -> None:
        """Give the event loop back."""
        self._runner.close()

    def _show(self, moment: Moment) -> None:
        self._clock.at = moment.now
        self._workload.ready, self._workload.desired = moment.ready, moment.wanted
        self._signal.value = None if moment.metric is None else moment.metric * self._case.capacity
        self._signal.since = moment.now - self._case.physics.metric_age
        while self._withdrawals and self._withdrawals[0][0] <= moment.now:
            self._store.drop(self._withdrawals.pop(0)[1])

    def _due(self, now: float) -> bool:
        beat = self._beat
        if beat is None or not self._skip_quiet or self._follows or self._store.changed or self._workload.loans:
            return True
        if beat.next_at is not None and beat.next_at <= now + self._loop.settings.active_ahead:
            return True
        return now - self._turned_at >= self._loop.settings.idle_seconds - 1e-9


def resting(case: Case) -> int:
    """What the owner of a workload without an HPA has there: enough for nearly all of the time without events."""
    outside = np.isfinite(case.grid.demand)
    for one in case.happenings:
        outside[case.window(one)] = False
        outside[case.grid.index(one.start) : case.grid.index(one.end + AFTER_END)] = False
    known = case.grid.demand[outside]
    if not len(known):
        return opening(case, 1.0)
    return min(case.physics.maximum, max(case.physics.minimum, math.ceil(float(np.quantile(known, RESTING_SHARE)))))


def policy_of(case: Case, variant: Variant, headroom: float) -> Policy:
    """The ScalingPolicy of the one workload, in the unit of the series. One that only observes plays as if it enforced:
    else nothing of it would be seen.
    """
    physics = case.physics
    target = TargetSpec(
        name=WORKLOAD,
        ref=Ref("apps/v1", "Deployment", NAMESPACE, WORKLOAD),
        capacity=((QUERY, case.capacity),),
        background=((QUERY, case.background * case.capacity),),
        headroom=headroom,
        minimum=physics.minimum,
        maximum=physics.maximum,
        lead=LeadTimeGuess(
            physics.lag + (case.grid.step if variant.beneath is not None else 0.0),
            physics.nodes.seconds if physics.nodes is not None else 0.0,
        ),
    )
    key = Key(NAMESPACE, POLICY)
    given = variant.policy
    if given is not None:
        target = replace(
            given.targets[0],
            name=WORKLOAD,
            ref=target.ref,
            capacity=target.capacity,
            background=target.background,
            headroom=headroom,
            lane=None,
            unit=None,
        )
        read = replace(given.signals[0], name=QUERY, query=QUERY) if given.signals else _signal()
        return replace(given, key=key, mode=Mode.ENFORCE, targets=(target,), signals=(read,), limits=(), pool=None)
    return Policy(key, (target,), (_signal(),), release=variant.release, quantile=variant.quantile, live=variant.live)


def _signal() -> SignalSpec:
    return SignalSpec(QUERY, QUERY)


def plan_settings(case: Case) -> PlanSettings:
    """The planner's constants: here units are made as fast as the physics says, and no leader changes."""
    return PlanSettings(cell=15.0, horizon=HORIZON, creation_rate=1e6, fail_over=0.0, reaction=0.0)
