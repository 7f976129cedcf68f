"""The grid of instants that a timetable is worked out on.

Exact where there are few instants; where there are many, spans are taken together, each need counting with the most
that it asks for inside: what is planned is then never too little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.resources import NAMES, Resources
from tidegate.planning.shift.asks import Ask
from tidegate.planning.shift.model import NeedStep, Work
from tidegate.planning.shift.pieces import Stock

SPANS_MOST = 48
"""Spans of a timetable. Judgment: what more of them cost, ``bench/shift_scale.py`` tells."""
SPANS_LEAST = 12
"""Spans of a timetable with many stocks. Judgment: fewer serve too little."""
EDGES_MOST = 256
"""Instants that are looked at before they are joined. Above that the ends of needs are rounded outwards."""
STEPS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""Seconds between the instants that are added where the place of one piece may have to be taken by another."""
PIECE_TIMES_MOST = 16
"""Instants at which more pieces may stop that are told apart."""


def instants(
    asks: Sequence[Ask], stocks: Iterable[Stock], works: Iterable[Work], now: float, *, turns: bool, most: int
) -> tuple[float, ...]:
    """Now, the end of all needs, and between them the instants at which something may change.

    ``turns``: also instants at which one piece may take another's place, as promises and deadlines may ask for.
    ``most``: spans that there may be.
    """
    end = max(step.end for ask in asks for step in ask.steps)
    edges = {t for ask in asks for step in ask.steps for t in (step.start, step.end) if now < t < end}
    forced = {one.deadline for one in works}
    fixed: set[float] = set()
    pieces: set[float] = set()
    for stock in stocks:
        for piece in stock.pieces:
            forced |= {piece.due} if piece.due < math.inf else set()
            fixed |= {piece.free_at} if piece.out else set()
            pieces |= set() if piece.out else {piece.stop_from + stock.lane.drain.seconds}
    inside = sorted(t for t in pieces if now < t < end)
    every = max(1, -(-len(inside) // PIECE_TIMES_MOST))
    fixed |= set(inside[every - 1 :: every]) | set(inside[-1:])
    times = _rounded(edges, now, end) | {t for t in fixed | forced if now < t < end} | {now, end}
    if forced and turns:
        times |= _between(times, now, end, most)
    return _fewer(sorted(times), [ask.steps for ask in asks], most)


def amounts(steps: Iterable[NeedStep], times: Sequence[float]) -> tuple[Resources, ...]:
    """The most that steps ask for in each span."""
    most = [Resources()] * (len(times) - 1)
    for step in steps:
        for k, (start, end) in enumerate(pairwise(times)):
            if step.start < end and start < step.end:
                most[k] = most[k].most(step.amount)
    return tuple(most)


def _between(times: set[float], now: float, end: float, most: int) -> set[float]:
    """Even steps from now on, the smallest that leave few enough spans. Deadlines and promises can make one piece take
    another's place at any instant; without them nothing has to change between the instants that are known.
    """
    for step in STEPS:
        if (end - now) / step <= most:
            even = {now + step * k for k in range(1, math.ceil((end - now) / step))}
            if len(times | even) - 1 <= most:
                return even
    return set()


def _rounded(edges: set[float], now: float, end: float) -> set[float]:
    """Ends of needs on the finest grid that leaves few enough of them. A need then counts for whole spans of it."""
    for step in (0.0, *STEPS):
        kept = {math.floor((t - now) / step) * step + now for t in edges} if step else edges
        if len(kept) <= EDGES_MOST:
            break
    return {t for t in kept if now < t < end}


def _fewer(times: list[float], asked: Sequence[Sequence[NeedStep]], most: int) -> tuple[float, ...]:
    """Join neighbours where that adds the least to what is asked for, until there are few enough."""
    if len(times) - 1 <= most:
        return tuple(times)
    loads = [np.array([(r.cpu, r.memory) for r in amounts(steps, times)], dtype=np.float64) for steps in asked]
    table = np.stack(loads)  # ask, span, resource
    table /= np.maximum(table.sum(axis=0).max(axis=0), 1.0)
    lengths = np.diff(np.array(times))
    while len(lengths) > most:
        at = int(_added(table, lengths).argmin())
        table[:, at] = np.maximum(table[:, at], table[:, at + 1])
        table = np.delete(table, at + 1, axis=1)
        lengths[at] += lengths[at + 1]
        lengths = np.delete(lengths, at + 1)
        del times[at + 1]
    return tuple(times)


def _added(table: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """What joining each span with the next would add, as share of the peak x seconds; a bit more where it is long."""
    joined = np.maximum(table[:, :-1], table[:, 1:])
    first = (joined - table[:, :-1]).sum(axis=(0, 2)) * lengths[:-1]
    second = (joined - table[:, 1:]).sum(axis=(0, 2)) * lengths[1:]
    added: NDArray[np.float64] = (first + second) / len(NAMES) + 1e-6 * (lengths[:-1] + lengths[1:])
    return added
