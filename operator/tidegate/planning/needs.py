"""What all events together ask of a policy's targets, as the verdicts on its events ask for it: time after time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.capacity import Units
from tidegate.planning.causes import Asked
from tidegate.planning.coming import bounded
from tidegate.planning.model import TargetSpec


@dataclass(slots=True)
class Needs:
    """The needs of one policy's targets at one instant, in the columns that a plan knows.

    Events that are near by the hundred ask of the same few targets: what answers them all is made once.
    """

    units: Callable[[TargetSpec], Units | None]
    """What is announced of a target by column, with what overrides add; None: nothing ever is."""
    ahead: Callable[[TargetSpec], float]
    """How many seconds before a need of a target its write is due."""
    first: int
    """Cell number of column 0."""
    cell: float
    """Seconds."""
    _units: dict[str, Units | None] = field(default_factory=dict)
    """By the target's name."""
    _largest: dict[str, int] = field(default_factory=dict)
    """By the target's name."""
    _above: dict[tuple[str, int], NDArray[np.intp]] = field(default_factory=dict)
    """By the target's name and the units that are there: the columns that need more, in order."""

    def asked(self, target: TargetSpec, since: float, until: float, there: int) -> Asked:
        """What is asked of a target between two instants, and when the first write for more than ``there`` is due.

        Where no need of any time is above ``there``, the largest one of all times is given.
        """
        every = self._every(target)
        if every is None:
            return Asked()
        largest = self._largest.get(target.name)
        if largest is None:
            largest = self._largest[target.name] = int(every.max())
        if there >= largest and there >= target.minimum:
            return Asked(bounded(target, largest), wish=largest)
        low, high = self._columns(since, until, len(every))
        units = every[low:high]
        most = int(units.max())
        if (wanted := bounded(target, most)) <= there:
            return Asked(wanted, wish=most)
        begin = self.first + low + int((units > min(there, most - 1)).argmax())
        return Asked(wanted, begin * self.cell - self.ahead(target), most)

    def exceed(self, target: TargetSpec, since: float, until: float, there: int) -> bool:
        """Whether the largest need between two instants, within the target's bounds, is above ``there``."""
        every = self._every(target)
        if every is None or there >= target.maximum:
            return False
        above = self._above.get((target.name, there))
        if above is None:
            above = np.flatnonzero(every > (there if there >= target.minimum else 0))
            self._above[target.name, there] = above
        low, high = self._columns(since, until, len(every))
        at = int(above.searchsorted(low))
        return at < len(above) and bool(above[at] < high)

    def _every(self, target: TargetSpec) -> Units | None:
        if target.name not in self._units:
            self._units[target.name] = self.units(target)
        return self._units[target.name]

    def _columns(self, since: float, until: float, size: int) -> tuple[int, int]:
        """The columns from one instant to another, kept inside; at least one."""
        last = size - 1
        low = math.floor(since / self.cell) - self.first
        low = 0 if low < 0 else min(last, low)
        return low, max(min(math.floor(until / self.cell) - self.first, last), low + 1)
