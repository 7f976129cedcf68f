"""What is played: services, what they face second by second, and the moments at which they are judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
Counts = NDArray[np.int64]

METRIC_WINDOW, METRIC_AGE = 60.0, 30.0
"""Seconds that a scraped metric is a mean of, and seconds since they ended: what a rate over a minute and a metrics
pipeline make of it (kubelet 10 s, metrics server 15 to 60 s: kubernetes issue 110317)."""


@dataclass(frozen=True, slots=True)
class Service:
    """One workload: what drives it, what a pod carries, how long a pod takes to start."""

    name: str
    signal: str
    capacity: float
    """Of the signal, carried by one pod at the SLO; demand above ``capacity x ready`` is lost."""
    start_seconds: float
    minimum: int
    """Of its autoscaler, outside any event."""
    maximum: int
    background: float
    """Of the signal, without any event."""
    stage: str = "app"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the evening that is scored on its own, epoch seconds."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Rise:
    """An announced moment at which the need of ``service`` rises: who is ready then, and since when?"""

    name: str
    service: str
    begin: float
    end: float


@dataclass(frozen=True)
class Scenario:
    """Demand from ``first`` on, one value a second and signal; scored from ``begin`` to ``end`` (epoch seconds)."""

    first: float
    begin: float
    end: float
    services: tuple[Service, ...]
    demand: Mapping[str, Curve]
    windows: tuple[Window, ...]
    rises: tuple[Rise, ...]

    @property
    def seconds(self) -> int:
        """Number of values of every curve."""
        return len(next(iter(self.demand.values())))

    @property
    def last(self) -> float:
        """The instant after the last value."""
        return self.first + self.seconds

    def need(self, service: Service) -> Curve:
        """Pods a service needs each second, not rounded."""
        return self.demand[service.signal] / service.capacity

    def span(self, begin: float, end: float) -> slice:
        """The positions of ``[begin, end)`` in the curves."""
        return slice(round(begin - self.first), round(end - self.first))

    def metric(
        self, service: Service, at: float, *, window: float = METRIC_WINDOW, age: float = METRIC_AGE
    ) -> float | None:
        """A signal as a scraper shows it: the mean of ``window`` seconds that ended ``age`` seconds ago.

        None while nothing was measured yet; after the last second that one's minute stands.
        """
        stop = min(math.floor(at - age - self.first), self.seconds)
        if stop <= 0:
            return None
        return float(self.demand[service.signal][max(0, stop - round(window)) : stop].mean())
