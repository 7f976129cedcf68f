"""The same night without lending: two clusters, each for its own peak, or one pool cut in two for good.

Computed, not played, and kindly: a part of the pool serves as much as it has room for from the first second on, with
no pod to start and no headroom; data work is divided at will.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate.simulation.lanes import Held, LaneTrack
from tidegate.simulation.scenario import Curve, Scenario


@dataclass(frozen=True, slots=True)
class TwoClusters:
    """Each side with as many machines as it held at its peak, all the night."""

    trading: int
    data: int

    @classmethod
    def of(cls, track: LaneTrack, machine_cores: int) -> TwoClusters:
        """From what was held; what is leaving counts with the side that it belongs to."""

        def machines(cores: float) -> int:
            return math.ceil(cores / machine_cores - 1e-9)

        def of_trading(held: Held) -> float:
            return held.trading + held.trading_leaving

        def of_data(held: Held) -> float:
            return held.data + held.data_leaving

        return cls(machines(track.most(of_trading)), machines(track.most(of_data)))

    @property
    def machines(self) -> int:
        """Both together."""
        return self.trading + self.data


@dataclass(frozen=True, slots=True)
class Split:
    """One pool cut in two for good."""

    trading: int
    data: int
    lost_percent: float
    """Of trading's demand in the scored hours."""
    data_done_at: float
    """Epoch seconds."""


@dataclass(frozen=True)
class Night:
    """What has to be done, and on what."""

    scenario: Scenario
    machines: int
    machine_cores: int
    pod_cores: int
    work: float
    """Core-seconds of data work from the scenario's first second on."""
    most_data_cores: int
    """As wide as data work gets."""
    deadline: float

    def split(self, data: int) -> Split:
        """The pool with so many machines for data, and the rest for trading."""
        trading = self.machines - data
        slots = trading * self.machine_cores // self.pod_cores
        span = self.scenario.span(self.scenario.begin, self.scenario.end)
        need: Curve = np.sum([self.scenario.need(s)[span] for s in self.scenario.services], axis=0)
        lost = 100.0 * float(np.maximum(0.0, need - slots).sum() / need.sum())
        cores = min(data * self.machine_cores, self.most_data_cores)
        done = self.scenario.first + self.work / cores if cores else math.inf
        return Split(trading, data, lost, done)

    def data_in_time(self) -> Split:
        """As few machines for data as are done by the deadline."""
        found = (self.split(data) for data in range(1, self.machines + 1))
        return next(one for one in found if one.data_done_at <= self.deadline)

    def nothing_lost(self) -> Split:
        """As few machines for trading as lose none of its demand."""
        found = (self.split(data) for data in range(self.machines - 1, -1, -1))
        return next(one for one in found if one.lost_percent == 0.0)
