"""The search for whole numbers in a large program, by steps whose size is stated before they are taken.

HiGHS has no bound by work: one node of a program of 8,000 whole columns took 9 to 23 s of processor time. Its linear
relaxation takes 0.15 s. So a large program is relaxed first. Where the relaxation has no answer, the program has none.
Else nearly all columns keep their relaxed values, and only those near a fraction are searched as whole numbers:
0.01 to 0.7 s (RENS: Berthold 2014). Then a few rounds search again around what was found, a few stocks at a time.

Nothing here looks at a clock: equal programs give equal answers on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.shift.milp import Bounds, OutOfWorkError, Program, Solution

EXACT_MOST = 1200
"""Whole columns of a program that is searched as a whole. ``bench/shift_scale.py`` prints what they cost."""
FREE_MOST = 1200
"""Whole columns that one step of a larger search leaves free."""
NEAR_MOST = 750
"""Whole columns that a round around a known answer leaves free."""
NODES_MOST = 200
"""Nodes of one search for any answer. Judgment: small pools need fewer than ten."""
WIDTHS = (0, 1, 3, 10_000)
"""Instants around a fraction that are left free, one attempt after the other."""
ROUNDS = 2
"""Rounds that look for a cheaper answer around the one that was found."""
FRACTION = 1e-6
"""A relaxed value that is nearer to a whole number counts as whole."""

Blocks = Sequence[NDArray[np.int64]]
"""Column numbers of each stock: one row for each kind of count, one column for each instant."""


def search(program: Program, blocks: Blocks, *, gap: float, nodes: int, cheap: bool) -> Solution | None:
    """The cheapest answer that the bounded search finds; None when there is none. ``cheap``: whether cost matters."""
    if int(program.whole.sum()) <= EXACT_MOST:
        return program.solve(gap=gap, nodes=nodes)
    relaxed = program.relaxed()
    if relaxed is None:
        return None
    found = _around_fractions(program, blocks, relaxed, gap=gap, nodes=nodes)
    for number in range(ROUNDS if cheap else 0):
        if found.cost <= relaxed.cost + gap * abs(relaxed.cost):
            break
        nearer = program.solve(
            gap=gap, nodes=nodes, within=_fixed(program, found, _farthest(blocks, found, relaxed, number))
        )
        if nearer is not None and nearer.cost < found.cost:
            found = nearer
    return found


def _around_fractions(program: Program, blocks: Blocks, relaxed: Solution, *, gap: float, nodes: int) -> Solution:
    """An answer that differs from the relaxed one only near its fractions."""
    loose = np.abs(relaxed.values - np.round(relaxed.values)) > FRACTION
    loose &= program.whole
    for width in WIDTHS:
        free = loose.copy()
        for block in blocks:
            free[_near(block, loose, width)] = True
        if width and int((free & program.whole).sum()) > FREE_MOST:
            break
        try:
            found = program.solve(gap=gap, nodes=nodes, within=_fixed(program, relaxed, free))
        except OutOfWorkError:
            continue
        if found is not None:
            return found
    raise OutOfWorkError


def _near(block: NDArray[np.int64], loose: NDArray[np.bool_], width: int) -> NDArray[np.int64]:
    """Columns of a stock that lie so many instants or fewer from a loose one."""
    if not width:
        return block[:0].ravel()
    instants = np.flatnonzero(loose[block].any(axis=0))
    if not len(instants):
        return block[:0].ravel()
    every = np.arange(block.shape[1])
    return block[:, np.abs(every[:, None] - instants[None, :]).min(axis=1) <= width].ravel()


def _fixed(program: Program, values: Solution, free: NDArray[np.bool_]) -> Bounds:
    """The bounds of a program with all whole columns but the free ones kept at their values."""
    lower, upper = program.bounds
    kept = program.whole & ~free
    lower[kept] = upper[kept] = np.clip(np.round(values.values[kept]), lower[kept], upper[kept])
    return lower, upper


def _farthest(blocks: Blocks, found: Solution, relaxed: Solution, number: int) -> NDArray[np.bool_]:
    """The columns of those stocks whose counts lie farthest from the relaxed ones; each round takes the next of them.
    Columns of no stock are free.
    """
    free = np.ones(len(found.values), dtype=bool)
    away = np.array([float(np.abs(found.values[block] - relaxed.values[block]).sum()) for block in blocks])
    order = np.argsort(-away, kind="stable")
    each = max(1, NEAR_MOST // blocks[0].size)
    first = number * each if number * each < len(order) else 0
    chosen = set(order[first : first + each].tolist())
    for index, block in enumerate(blocks):
        if index not in chosen:
            free[block.ravel()] = False
    return free
