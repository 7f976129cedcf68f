"""A pool as it was seen over a night: who held how much of it, and whether ever more was given away than there is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tidegate.simulation.scenario import Curve


@dataclass(frozen=True, slots=True)
class Held:
    """Cores that pods on machines hold at one instant."""

    trading: float = 0.0
    """Of trading's pods that run or start."""
    data: float = 0.0
    trading_leaving: float = 0.0
    """Of trading's pods that were told to stop and are still on their machines."""
    data_leaving: float = 0.0

    @property
    def draining(self) -> float:
        """What is on its way out, on either side."""
        return self.trading_leaving + self.data_leaving

    @property
    def whole(self) -> float:
        """All that is held."""
        return self.trading + self.data + self.draining


@dataclass
class LaneTrack:
    """What was held, as steps: a sample holds until the next one."""

    samples: list[tuple[float, Held]] = field(default_factory=list)

    def sample(self, at: float, held: Held) -> None:
        """Note what is held from an instant on; instants must not fall."""
        if self.samples and at < self.samples[-1][0]:
            raise ValueError("samples must come in order of time")
        if not self.samples or self.samples[-1][1] != held:
            self.samples.append((at, held))

    @property
    def now(self) -> Held:
        """The last sample."""
        return self.samples[-1][1] if self.samples else Held()

    def at(self, instant: float) -> Held:
        """What was held at an instant; nothing before the first sample."""
        number = bisect_right(self.samples, instant, key=lambda sample: sample[0])
        return self.samples[number - 1][1] if number else Held()

    def most(self, part: Callable[[Held], float]) -> float:
        """The most of something that was held at any instant."""
        return max((part(held) for _, held in self.samples), default=0.0)

    def curve(self, part: Callable[[Held], float], first: float, seconds: int) -> Curve:
        """The same as one value a second: what was held when the second was over."""
        instants = np.array([at for at, _ in self.samples])
        values = np.array([0.0, *(part(held) for _, held in self.samples)])
        ends = first + 1.0 + np.arange(seconds)
        found: Curve = values[np.searchsorted(instants, ends, side="left")]
        return found


@dataclass
class Oversold:
    """Three ways in which a pool could be given away twice, counted by instants. None of them asks the plan."""

    looked: int = 0
    """Instants at which was looked: every change of pods or levels."""
    on_machines: int = 0
    """Pods on some machine asked for more than it has: nothing that a scheduler lets happen."""
    by_levels: int = 0
    """Levels as written (floors and replicas of trading, replicas and running Jobs of data), with what is leaving its
    machines, came to more than the pool has: what a scheduler turns into pods that wait."""
    by_status: int = 0
    """The operator's own books said so: condition Oversold of the CapacityPool."""

    @property
    def instants(self) -> int:
        """All of them."""
        return self.on_machines + self.by_levels + self.by_status


@dataclass
class Waiting:
    """Pods that wait for a machine."""

    now: int = 0
    most: int = 0
    pod_seconds: float = 0.0
    _since: float | None = None

    def sample(self, at: float, pods: int) -> None:
        """So many wait from an instant on."""
        if self._since is not None:
            self.pod_seconds += self.now * (at - self._since)
        self.now, self.most, self._since = pods, max(self.most, pods), at
