"""The last timetable on the grid of a new program: who is out when, as counts.

Timetables are made twice a minute and whenever something was done by the last one. Many cost the same, or nearly: the
last one is kept among them, so that nobody is told, taken back and told again for nothing, and so that a plan does not
depend on the second in which it was made.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from tidegate.planning.model import Ref
from tidegate.planning.shift.outcome import Lending
from tidegate.planning.shift.pieces import Stock
from tidegate.planning.shift.timetable import Counts

SAME = 1.0
"""Seconds within which an instant of the last timetable is one of the new grid. Judgment: a write and a look."""


def kept_counts(
    stocks: Sequence[Stock], times: Sequence[float], lendings: Mapping[Ref, Sequence[Lending]]
) -> tuple[Counts, ...]:
    """What was planned last, for each stock. Nobody has checked by that whether it still keeps all rules."""
    return tuple(_counts(stock, times, lendings) for stock in stocks)


def _counts(stock: Stock, times: Sequence[float], lendings: Mapping[Ref, Sequence[Lending]]) -> Counts:
    stops, returns = [0] * len(times), [0] * len(times)
    out = sum(piece.out for piece in stock.pieces)
    planned = [one for ref in {piece.ref for piece in stock.pieces} for one in lendings.get(ref, ())]
    begun = [one for one in planned if one.free_by <= times[0]]
    returns[0] += max(0, out - len(begun))  # nothing was planned for them any more
    stops[0] += max(0, len(begun) - out)
    for one in planned:
        if one.free_by > times[0]:
            stops[_at_or_before(times, one.free_by)] += 1
        returns[_at_or_after(times, one.until)] += 1
    level, there = out, []
    for stopped, returned in zip(stops, returns, strict=True):
        level += stopped - returned
        there.append(level)
    return Counts(tuple(there), tuple(stops), tuple(returns))


def _at_or_before(times: Sequence[float], instant: float) -> int:
    return max(0, bisect_right(times, instant + SAME) - 1)


def _at_or_after(times: Sequence[float], instant: float) -> int:
    return min(len(times) - 1, bisect_left(times, instant - SAME))
