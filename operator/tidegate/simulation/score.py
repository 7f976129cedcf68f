"""How good it was: lost demand, cost beside the clairvoyant plan, and how long before a moment the pods stood ready.

Demand of several services is added up in pods (signal divided by what one pod carries), so that no unit outweighs
another. A pod is paid for from being scheduled until it is gone, whether it is ready or still starting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tidegate.simulation.oracle import clairvoyant_cost
from tidegate.simulation.scenario import Counts, Curve, Rise, Scenario, Service


@dataclass(frozen=True)
class Track:
    """What really stood there: pods of one service, one value a second from the scenario's first on."""

    ready: Counts
    billed: Counts


@dataclass(frozen=True)
class Run:
    """One contestant's evening."""

    name: str
    tracks: Mapping[str, Track]
    """By service name."""
    writes: int
    """How often a level was written: floors by Tidegate, scales by an autoscaler that is alone."""


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the result."""

    lost_percent: float
    """Of all demand of all services in the scored hours."""
    lost_in: Mapping[str, float]
    """The same by window name, in percent of the window's demand."""
    lost_by_service: Mapping[str, float]
    cost_ratio: float
    """Pod-seconds paid, over those of the clairvoyant plan."""
    ready_before_seconds: float
    """The fewest seconds for which what a moment needs stood ready when the moment began; below 0: that much late."""
    ready_before: Mapping[str, float]
    """The same for each moment by its name."""
    writes: int


class Tracker:
    """Turns samples taken at irregular instants into one value a second.

    A sample holds until the next one. What became ready within a second counts from the next second on, what was paid
    for within a second counts for all of it: both roundings go against the contestant.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._first, self._seconds = scenario.first, scenario.seconds
        self._samples: list[tuple[float, int, int]] = []

    def sample(self, at: float, *, ready: int, billed: int) -> None:
        """Note the counts from an instant on; instants must not fall."""
        if self._samples and at < self._samples[-1][0]:
            raise ValueError("samples must come in order of time")
        if not self._samples or self._samples[-1][1:] != (ready, billed):
            self._samples.append((at, ready, billed))

    def track(self) -> Track:
        """The samples on the grid of seconds."""
        seconds = self._seconds
        ready, billed = np.zeros(seconds, dtype=np.int64), np.zeros(seconds, dtype=np.int64)
        ends = [at for at, _, _ in self._samples[1:]] + [self._first + seconds + 1.0]
        lowest = np.full(seconds, np.iinfo(np.int64).max)
        for (at, ready_now, billed_now), end in zip(self._samples, ends, strict=True):
            begin = max(0, int(np.floor(at - self._first)))
            stop = min(seconds, int(np.ceil(end - self._first)))
            if stop <= begin:
                continue
            np.minimum(lowest[begin:stop], ready_now, out=lowest[begin:stop])
            np.maximum(billed[begin:stop], billed_now, out=billed[begin:stop])
        seen = lowest < np.iinfo(np.int64).max
        ready[seen] = lowest[seen]
        if self._samples and self._samples[0][0] > self._first:
            ready[: int(np.ceil(self._samples[0][0] - self._first))] = 0
        return Track(ready, billed)


def lost(need: Curve, ready: Counts) -> float:
    """Pod-seconds of demand that met no ready pod."""
    return float(np.maximum(0.0, need - ready).sum())


def lost_percent(scenario: Scenario, run: Run, services: Iterable[Service], begin: float, end: float) -> float:
    """Share of the demand of ``services`` in ``[begin, end)`` that was lost, in percent; 0 where there was none."""
    span, missed, wanted = scenario.span(begin, end), 0.0, 0.0
    for service in services:
        need = scenario.need(service)[span]
        missed += lost(need, run.tracks[service.name].ready[span])
        wanted += float(need.sum())
    return 100.0 * missed / wanted if wanted else 0.0


def ready_before(scenario: Scenario, run: Run, rise: Rise) -> float:
    """Seconds for which the pods that a moment needs stood ready without a break when it began.

    The need is the largest whole one within the moment. Below 0 when they came late: the seconds after its beginning
    from which on they stood there, or the length of the moment when they never did.
    """
    service = next(s for s in scenario.services if s.name == rise.service)
    span = scenario.span(rise.begin, rise.end)
    need = int(np.ceil(scenario.need(service)[span].max() - 1e-9))
    enough = run.tracks[rise.service].ready >= need
    if not enough[span.start]:
        late = np.flatnonzero(enough[span])
        return -float(late[0] if len(late) else rise.end - rise.begin)
    short = np.flatnonzero(~enough[: span.start])
    return float(span.start - (short[-1] + 1 if len(short) else 0))


def score(scenario: Scenario, run: Run) -> Score:
    """All figures of one contestant."""
    bounds = (scenario.begin, scenario.end)
    span = scenario.span(*bounds)
    paid = sum(float(run.tracks[s.name].billed[span].sum()) for s in scenario.services)
    least = sum(clairvoyant_cost(scenario, s) for s in scenario.services)
    before = {rise.name: ready_before(scenario, run, rise) for rise in scenario.rises}
    return Score(
        lost_percent=lost_percent(scenario, run, scenario.services, *bounds),
        lost_in={w.name: lost_percent(scenario, run, scenario.services, w.begin, w.end) for w in scenario.windows},
        lost_by_service={s.name: lost_percent(scenario, run, [s], *bounds) for s in scenario.services},
        cost_ratio=paid / least,
        ready_before_seconds=min(before.values()),
        ready_before=before,
        writes=run.writes,
    )
