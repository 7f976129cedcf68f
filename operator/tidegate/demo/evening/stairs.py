"""A demand curve as few moments: the stairs above it that cost least.

People announce moments, not curves. Given how many moments they are willing to write down, these are the best ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate.simulation.scenario import Curve


@dataclass(frozen=True, slots=True)
class Stair:
    """``level`` holds from ``begin`` to ``end``, seconds from the first value of the curve."""

    begin: int
    end: int
    level: float


def stairs(curve: Curve, count: int, *, grid: int = 15, floor: float = 0.0) -> tuple[Stair, ...]:
    """At most ``count`` stairs that are nowhere below the curve, and together as low as such stairs can be.

    Edges lie on multiples of ``grid`` seconds. What is not above ``floor`` needs no stair and costs none.
    Exact, by dynamic programming over the cells: ``O(count x cells^2)``.
    """
    cells = math.ceil(len(curve) / grid)
    padded = np.concatenate((curve, np.full(cells * grid - len(curve), -np.inf)))
    tops = padded.reshape(cells, grid).max(axis=1)
    tops = np.where(tops <= floor, 0.0, tops)
    level = _levels(tops)
    cost = level * np.maximum(0, np.subtract.outer(np.arange(1, cells + 1), np.arange(cells)).T)
    cuts = _best_cuts(cost, tops, count)
    found = [Stair(i * grid, min(j * grid, len(curve)), float(level[i, j - 1])) for i, j in cuts]
    return tuple(stair for stair in found if stair.level > 0)


def _levels(tops: Curve) -> Curve:
    """``levels[i, j]`` is the highest of the cells *i* to *j*."""
    cells = len(tops)
    levels = np.zeros((cells, cells))
    for i in range(cells):
        levels[i, i:] = np.maximum.accumulate(tops[i:])
    return levels


def _best_cuts(cost: Curve, tops: Curve, count: int) -> list[tuple[int, int]]:
    """The cheapest cut of all cells into pieces of which at most ``count`` are stairs.

    ``best[k, j]`` is the least cost of covering the first *j* cells with at most *k* stairs; a cell without demand is
    free and needs none.
    """
    cells = len(tops)
    best = np.full((count + 1, cells + 1), np.inf)
    best[:, 0] = 0.0
    origin = np.zeros((count + 1, cells + 1, 2), dtype=np.int64)
    for k in range(count + 1):
        for j in range(1, cells + 1):
            if tops[j - 1] == 0.0:
                best[k, j], origin[k, j] = best[k, j - 1], (k, j - 1)
            if k:
                options = best[k - 1, :j] + cost[:j, j - 1]
                i = int(options.argmin())
                if options[i] < best[k, j]:
                    best[k, j], origin[k, j] = options[i], (k - 1, i)
    if math.isinf(best[count, cells]):
        raise ValueError("there is demand and no stair may be used")
    found: list[tuple[int, int]] = []
    k, j = count, cells
    while j > 0:
        before_k, before_j = int(origin[k, j][0]), int(origin[k, j][1])
        found.append((before_j, j))
        k, j = before_k, before_j
    return found[::-1]
