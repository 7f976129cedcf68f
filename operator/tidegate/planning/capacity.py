"""From demand to units: how many replicas a target needs in each cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.book import Book, Sums, quantile
from tidegate.planning.model import Policy, TargetSpec

Units = NDArray[np.int64]

_ROUNDING = 1.0 - 1e-9
"""2000 / 250 is 8 units also when it comes out of the floating point unit as 8.000000000000002."""
_MOST = 2.0**53


def units_for(demand: float, *, capacity: float, headroom: float) -> int:
    """``ceil(demand x (1 + headroom) / capacity)``: rounded once, last."""
    return int(np.ceil(min(demand * (1.0 + headroom) / capacity, _MOST) * _ROUNDING))


def need(book: Book, policy: Policy, target: TargetSpec) -> Units | None:
    """Units needed per cell of the book; 0 where no event asks, None when none ever does.

    Several signals: the largest need counts. The background counts as soon as some event is there: without one the
    target is none of our business.
    """
    backgrounds = dict(target.background)
    rows: list[tuple[Sums, float, float]] = []
    still = 0.0
    for signal, capacity in target.capacity:
        background = backgrounds.get(signal, 0.0)
        row = book.row(policy.key, signal)
        if row is None:
            still = max(still, background / capacity)
        else:
            rows.append((row, background, capacity))
    if not rows:
        return None
    most = np.full(book.size, still)
    busy = np.zeros(book.size, dtype=bool)
    for row, background, capacity in rows:
        total = quantile(row, q=policy.quantile, correlation=policy.correlation, background=background)
        np.maximum(most, total / capacity, out=most)
        busy |= row.cells[0] > 0.0
    units = np.ceil(np.minimum(most * (1.0 + target.headroom), _MOST) * _ROUNDING)
    units[~busy] = 0.0
    return units.astype(np.int64)


def versions(book: Book, policy: Policy, target: TargetSpec) -> tuple[int, ...]:
    """Changes whenever ``need`` may give another answer for the same policy and book."""
    found = (book.rows.get((policy.key, signal)) for signal, _ in target.capacity)
    return tuple(-1 if row is None else row.version for row in found)
