"""Shows beats: status and Events, our own numbers, and what is to be watched. Beside the loop, in slices.

A beat of thousands of targets takes a good part of a second to show; the next beat must not wait for that. Of beats
that come faster than they are shown only the last one is shown whole; what each of them did is told of all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from tidegate.control.loop import Beat
from tidegate.planning.decision import PoolView, TargetPlan
from tidegate.planning.model import Observed, TargetKey
from tidegate.planning.shift.step import summary
from tidegate.planning.upcoming import next_change
from tidegate.shell.isolated import Isolated
from tidegate.shell.own_metrics import OwnMetrics
from tidegate.shell.pace import Pace
from tidegate.shell.reporter import Reporter


class Showing:
    """Takes beats and shows them."""

    def __init__(self, reporter: Reporter, metrics: OwnMetrics, *, on_beat: Callable[[Beat], None]) -> None:
        """``on_beat`` is called with each beat that is shown, for what else hangs on it."""
        self._reporter = reporter
        self._metrics = metrics
        self._on_beat = on_beat
        self._waiting: deque[Beat] = deque()
        self._wake = asyncio.Event()
        self._counted: dict[TargetKey, tuple[TargetPlan, Observed | None]] = {}
        """What each target's numbers were told from last."""
        self._isolated = Isolated()

    def take(self, beat: Beat) -> None:
        """A beat was made. Never blocks."""
        self._waiting.append(beat)
        self._wake.set()

    async def run(self) -> None:
        """Show what comes, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.show_waiting()

    async def show_waiting(self) -> None:
        """Show every beat that waits."""
        pace = Pace()
        while self._waiting:
            beat = self._waiting.popleft()
            for one in beat.applied:
                self._metrics.wrote("floor", "ok" if one.error is None else "failed")
            if self._waiting:
                self._reporter.say(beat.applied)
                continue
            for _ in self._steps(beat):
                await pace.breathe()

    def _steps(self, beat: Beat) -> Iterator[None]:
        self._isolated.run("what hangs on", "each decision", partial(self._on_beat, beat))
        yield
        yield from self._reporter.steps(beat)
        yield from self._count_targets(beat)
        yield from self._count_pools(beat)

    def _count_targets(self, beat: Beat) -> Iterator[None]:
        """Tell the numbers that have changed."""
        counted, self._counted = self._counted, {}
        blind = {key[0]: False for key in beat.plan.targets}
        for key, plan in beat.plan.targets.items():
            seen = beat.world.observed.get(key)
            blind[key[0]] = blind[key[0]] or plan.blind
            if (known := counted.get(key)) is not None and known[0] is plan and known[1] is seen:
                self._counted[key] = known
                continue
            self._isolated.run("the numbers of target", key, partial(self._count_target, key, plan, seen))
            yield
        self._metrics.keep(set(beat.plan.targets))
        for policy in beat.world.policies:
            self._metrics.blind(policy, blind=blind.get(policy, False))
            yield

    def _count_target(self, key: TargetKey, plan: TargetPlan, seen: Observed | None) -> None:
        level, ready = (seen.level, seen.ready) if seen is not None else (None, None)
        if seen is not None and not seen.seen:
            ready = None  # how many are ready now nobody knows
        next_at = change[0] if (change := next_change(plan)) is not None else None
        self._metrics.target(
            *key,
            floor=plan.level,
            level=level,
            ready=ready,
            next_step_at=next_at,
            overrides=len(plan.overridden),
        )
        self._counted[key] = plan, seen

    def _count_pools(self, beat: Beat) -> Iterator[None]:
        for name, view in beat.plan.pools.items():
            self._isolated.run("the numbers of pool", name, partial(self._count_pool, name, view))
            yield
        self._metrics.keep_pools(beat.plan.pools)

    def _count_pool(self, name: str, view: PoolView) -> None:
        shifts = [summary(view.facts, lane, view.step.hand_overs) for lane in view.step.balance.lanes]
        lanes = {shift.lane: (shift.lent, shift.draining) for shift in shifts}
        self._metrics.pool(name, lanes, oversold=view.step.balance.oversold, refused=len(view.plan.refusals))
