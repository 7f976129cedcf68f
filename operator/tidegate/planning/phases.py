"""Phases of an event: so many minutes before or after its T-0, in cells."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import numpy as np

BEFORE, AFTER, CELL = 7_200.0, 14_400.0, 300.0
"""Phases that are told apart: cells of 5 min from 2 h before T-0 to 4 h after."""
CELLS = int((BEFORE + AFTER) / CELL)
OUTSIDE = CELLS
"""The cell of no event."""
TOGETHER = 3
"""Events at one phase count as no more: how much each brings is not known, and most of many are small. Judgment."""

NEAR = np.clip(np.arange(CELLS)[:, None] + (-1, 0, 1), 0, CELLS - 1)
"""Each phase and its neighbours; the first and the last one have one neighbour."""
COUNTS = (np.arange(CELLS)[:, None] + (-1, 0, 1) == NEAR).astype(np.float64)
"""1 where a neighbour is one."""


class Cells:
    """Phases at which there are events; false where there is none."""

    __slots__ = ("_any", "counts", "places")

    def __init__(self, places: Sequence[int], counts: Sequence[int]) -> None:
        """``places``: cells, each once; ``counts``: how many events are at each."""
        self.places = np.array(places, dtype=np.intp)
        self.counts = np.array(counts, dtype=np.float64)[:, None]
        """Shape (phases, 1)."""
        self._any = len(places) > 0

    def __bool__(self) -> bool:
        return self._any


NONE = Cells((), ())


def cells_at(at: float, starts: Sequence[float]) -> Cells:
    """The phases of the events that are near an instant; ``starts``: their T-0 in order."""
    begin, end = bisect_left(starts, at - AFTER + 1e-9), bisect_left(starts, at + BEFORE + 1e-9)
    if begin == end:
        return NONE
    found = Counter(min(int((at - start + BEFORE) // CELL), CELLS - 1) for start in starts[begin:end])
    return Cells(list(found), [min(count, TOGETHER) for count in found.values()])
