"""From counts to names: which piece is out when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tidegate.planning.model import Ref
from tidegate.planning.shift.model import NeedStep
from tidegate.planning.shift.outcome import Lending
from tidegate.planning.shift.pieces import EPSILON, Piece, Stock
from tidegate.planning.shift.timetable import Counts, Problem, Timetable

REACTION = 5.0
"""Seconds that a stop is planned before its last moment: the loop needs a moment, and a stop that comes late makes the
borrower late. Judgment."""
EARLY_NOTICE = 30.0
"""Seconds that a notice is given before its last moment: two beats of the loop. Judgment."""
WANTED_BY_MOST = 16
"""Owners of needs that a lending lists."""


@dataclass(slots=True)
class _Turn:
    """A piece as the counts are told off."""

    piece: Piece
    out: bool
    since: float
    """When it was free for the borrower, for one that is out."""
    due: float
    """Its promise, for one that was out before."""
    rested: float
    """When it can be free again at the earliest."""
    drain: float
    """Seconds from its next stop until it is free."""


def lendings_of(
    problem: Problem, timetable: Timetable, served: Sequence[tuple[str, Iterable[NeedStep]]]
) -> dict[Ref, tuple[Lending, ...]]:
    """The lendings of every member, by time. ``served`` are the (owner, steps) of what was granted."""
    found: dict[Ref, list[Lending]] = defaultdict(list)
    spans = [(owner, step.start, step.end) for owner, steps in served for step in steps]
    for stock, counts in zip(problem.stocks, timetable.counts, strict=True):
        for piece, lending in _told_off(problem, stock, counts, spans):
            found[piece.ref].append(lending)
    return {ref: tuple(sorted(ones, key=_by_time)) for ref, ones in found.items()}


def _by_time(lending: Lending) -> tuple[float, float, float]:
    return lending.free_by, lending.until, lending.return_by


def _told_off(
    problem: Problem, stock: Stock, counts: Counts, spans: Sequence[tuple[str, float, float]]
) -> Iterable[tuple[Piece, Lending]]:
    now, drain = problem.times[0], stock.lane.drain
    turns = [_Turn(p, p.out, now, p.return_by, p.stop_from + drain.seconds, drain.seconds) for p in stock.pieces]
    rest = max(drain.minimum_run, drain.notice) + drain.seconds
    for k, at in enumerate(problem.times):
        back = sorted((t for t in turns if t.out and _may_return(t, at)), key=lambda t: (t.due, t.since, t.piece.index))
        for turn in back[: counts.returns[k]]:
            yield turn.piece, _lending(stock, turn, at, now, spans)
            turn.out, turn.due, turn.rested, turn.drain = False, float("inf"), at + rest, drain.seconds
        at_once = k == 0 and stock.unplaced
        ready = [t for t in turns if not t.out and (at_once or t.rested <= at + EPSILON)]
        for turn in ready[: counts.stops[k]]:
            turn.out, turn.since = True, at
            if at_once:
                turn.rested, turn.drain = at, 0.0
    for turn in turns:
        if turn.out:  # still draining when everything is over: it comes back once it is free
            yield turn.piece, _lending(stock, turn, problem.times[-1], now, spans)


def _may_return(turn: _Turn, at: float) -> bool:
    return not turn.piece.out or turn.since > turn.piece.free_at or turn.piece.free_at <= at + EPSILON


def _lending(stock: Stock, turn: _Turn, until: float, now: float, spans: Sequence[tuple[str, float, float]]) -> Lending:
    drain = stock.lane.drain
    owners = sorted({owner for owner, start, end in spans if start < until and turn.since < end})
    promise = min(turn.due, until + stock.lane.give_back_within)
    if turn.since <= now and turn.piece.out:
        return Lending(now, now, now, until, promise, tuple(owners[:WANTED_BY_MOST]))
    earliest = turn.rested - turn.drain  # of this turn: notice and minimum run are over
    stop_at = max(earliest, turn.since - turn.drain - REACTION)
    notify_at = max(now, stop_at - drain.notice - EARLY_NOTICE)
    return Lending(notify_at, stop_at, turn.since, until, promise, tuple(owners[:WANTED_BY_MOST]))
