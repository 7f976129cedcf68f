"""Fewer stocks for a pool of many: work that is nearly alike is planned together, always in the safe direction.

A timetable has a count for each stock and instant, so that stocks decide what it costs. A pool of few keeps them as
they are, and its timetable is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from tidegate.planning.shift.pieces import Stock, in_order

STOCKS_MOST = 120
"""Stocks of a timetable. ``bench/shift_scale.py`` prints what they cost."""

Alike = Callable[[Stock], Hashable]


def fewer(stocks: Sequence[Stock]) -> tuple[Stock, ...]:
    """At most ``STOCKS_MOST`` stocks, as far as that can be done; the same ones while there are few enough.

    First, work of one size counts as if it had all been saved when the oldest of it was: its deadline is charged with
    more than a stop loses. Then replicas of several objects are promised back together, by the earliest promise. Last,
    the work that frees least is left alone: it runs on.
    """
    merged = tuple(stocks)
    for alike in (_but_for_age, _but_for_promise):
        if len(merged) <= STOCKS_MOST:
            return merged
        merged = _merged(merged, alike)
    if len(merged) <= STOCKS_MOST:
        return merged
    kept = [stock for stock in merged if any(piece.out or piece.told for piece in stock.pieces)]
    rest = sorted((stock for stock in merged if stock not in kept), key=_frees)
    chosen = {id(stock) for stock in [*kept, *rest[: max(0, STOCKS_MOST - len(kept))]]}
    return tuple(stock for stock in merged if id(stock) in chosen)


def _but_for_age(stock: Stock) -> Hashable:
    apart = (stock.whole_by, min(piece.ref for piece in stock.pieces)) if stock.whole_by < float("inf") else None
    return stock.lane.name, stock.size, stock.work, apart, stock.unplaced


def _but_for_promise(stock: Stock) -> Hashable:
    return stock.lane.name, stock.size, stock.work, stock.unplaced


def _merged(stocks: Iterable[Stock], alike: Alike) -> tuple[Stock, ...]:
    groups: dict[Hashable, list[Stock]] = defaultdict(list)
    for stock in stocks:
        groups[alike(stock)].append(stock)
    return tuple(_one(group) for group in groups.values())


def _one(stocks: Sequence[Stock]) -> Stock:
    if len(stocks) == 1:
        return stocks[0]
    saved = [stock.saved_at for stock in stocks if stock.saved_at is not None]
    pieces = sorted((piece for stock in stocks for piece in stock.pieces), key=in_order)
    return replace(
        stocks[0],
        saved_at=min(saved, default=None),
        saved_every=max(stock.saved_every for stock in stocks if stock.saved_at is not None or not saved),
        pieces=tuple(pieces),
        whole_by=min(stock.whole_by for stock in stocks),
    )


def _frees(stock: Stock) -> tuple[int, int, object]:
    """Sort key: what frees most comes first."""
    count = len(stock.pieces)
    return -count * stock.size.cpu, -count * stock.size.memory, min(piece.ref for piece in stock.pieces)
