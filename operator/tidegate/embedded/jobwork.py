"""The work of one Job: what its pods have done, what a stop throws away, and what the next pod goes on with.

Each completion is ``run_seconds`` of work. A pod takes up the piece that is furthest along, works on it while it is
ready, and when it is stopped the piece falls back to its last checkpoint. Checkpoints count from the pod's own start.
A pod does no work while it terminates.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class JobWork:
    """Work in pod-seconds since the Job was created."""

    total_seconds: float
    """All that the Job asks for: completions x run seconds."""
    done_seconds: float
    """That stands: of pods that succeeded, of checkpoints, and of what runs now."""
    lost_seconds: float
    """Done and thrown away, to be done again."""
    at_risk_seconds: float
    """The part of ``done_seconds`` that stopping all pods now would throw away."""

    @property
    def left_seconds(self) -> float:
        """Still to be done."""
        return max(0.0, self.total_seconds - self.done_seconds)


@dataclass(slots=True, eq=False)
class _Run:
    """Pods that got ready in one instant, on pieces that were equally far along."""

    since: float
    before: float
    """Seconds of each piece that earlier pods had done."""
    end: float
    count: int


@dataclass(slots=True)
class Work:
    """The ledger of one Job."""

    run_seconds: float
    checkpoint_seconds: float = 0.0
    finished: float = 0.0
    lost: float = 0.0
    _kept: list[float] = field(default_factory=list)
    """Seconds done of pieces that nobody works on, in rising order; those at 0 are left out."""
    _runs: list[_Run] = field(default_factory=list)
    """In the order in which the pods got ready."""

    @property
    def running(self) -> int:
        """Pods at work."""
        return sum(run.count for run in self._runs)

    def next_end(self) -> float | None:
        """When the next pod is done."""
        return min((run.end for run in self._runs), default=None)

    def start(self, count: int, at: float) -> None:
        """So many pods have got ready."""
        for _ in range(count):
            before = min(self._kept.pop() if self._kept else 0.0, self.run_seconds)
            last = self._runs[-1] if self._runs else None
            if last is not None and (last.since, last.before) == (at, before):
                last.count += 1
            else:
                self._runs.append(_Run(at, before, at + self.run_seconds - before, 1))

    def end(self, at: float) -> tuple[int, int] | None:
        """Take out a group of pods that are done by now: (the place of the first among the running ones, how many)."""
        position = 0
        for run in self._runs:
            if run.end <= at:
                self._runs.remove(run)
                self.finished += run.count * (run.before + run.end - run.since)
                return position, run.count
            position += run.count
        return None

    def stop_last(self, count: int, at: float) -> None:
        """The pods that got ready last are stopped."""
        while count > 0 and self._runs:
            run = self._runs[-1]
            stopped = min(count, run.count)
            self._stop(run, stopped, at)
            count -= stopped

    def stop_one(self, position: int, at: float) -> None:
        """The pod at that place among the running ones is gone."""
        for run in self._runs:
            if position < run.count:
                self._stop(run, 1, at)
                return
            position -= run.count

    def told(self, completions: int, at: float) -> JobWork:
        """The account as it stands."""
        running = sum(run.count * (run.before + at - run.since) for run in self._runs)
        at_risk = sum(run.count * self._unsaved(run, at) for run in self._runs)
        done = self.finished + sum(self._kept) + running
        return JobWork(completions * self.run_seconds, done, self.lost, at_risk)

    def _stop(self, run: _Run, count: int, at: float) -> None:
        unsaved = self._unsaved(run, at)
        kept = run.before + (at - run.since) - unsaved
        self.lost += count * unsaved
        for _ in range(count if kept > 0 else 0):
            bisect.insort(self._kept, kept)
        run.count -= count
        if not run.count:
            self._runs.remove(run)

    def _unsaved(self, run: _Run, at: float) -> float:
        worked = at - run.since
        if not self.checkpoint_seconds:
            return worked
        return max(0.0, worked - math.floor(worked / self.checkpoint_seconds + 1e-9) * self.checkpoint_seconds)
