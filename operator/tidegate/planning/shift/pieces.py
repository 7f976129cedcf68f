"""Members as pieces: the smallest things that may stop by themselves, each with the times that bind it; and pieces that
are alike as one stock, because it does not matter which of them stops.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Lane, Member, MemberKind, Pool, PoolFacts

EPSILON = 1e-6
"""Seconds by which equal instants may differ."""
OVERDUE = 1.0
"""Seconds after now at which machines are expected that should have been seen free before: they are late, and said to
be, at each plan anew."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One Job, or one unit of a ``/scale``."""

    ref: Ref
    index: int
    """Which unit of its member: the highest goes first."""
    notice_over: float
    """When its notice is over, if it is given now or was given before; now at the earliest."""
    run_over: float
    """When it has had its minimum run time; now at the earliest."""
    told: bool
    """It has its notice already."""
    out: bool
    free_at: float
    """For a piece that is out: when its machines are expected to be free; -inf when they are seen free."""
    return_by: float
    """For a piece that is out: the promise; infinity else."""
    loss: float
    """Seconds of work that a stop now would lose."""
    due: float = math.inf
    """When it is planned back at the latest: its promise, less the time that the way back may take."""

    @property
    def stop_from(self) -> float:
        """Earliest stop."""
        return max(self.notice_over, self.run_over)


@dataclass(frozen=True, slots=True)
class Stock:
    """Pieces that are alike but for their times: of one lane and size, doing the same work."""

    lane: Lane
    size: Resources
    work: str
    """Key of ``PoolFacts.works``; empty for work without a deadline."""
    saved_at: float | None
    """Of work with a deadline: since when it is at risk; None when a stop loses nothing."""
    saved_every: float
    """Most seconds of it that are at risk at a time."""
    pieces: tuple[Piece, ...]
    """In the order in which they are stopped: what is out or told already, then what loses least."""
    whole_by: float = math.inf
    """When all of it is planned back, for a ``/scale`` that is out in part: which of its replicas run cannot be told,
    so that it is promised back as a whole.
    """
    unplaced: bool = False
    """No pod of it is on a machine: stopped now it gets no notice, and there is nothing to drain. What holds a minute
    from now is another matter: by then it may run.
    """

    @property
    def running(self) -> list[Piece]:
        """What is not out."""
        return [piece for piece in self.pieces if not piece.out]

    def draining(self, times: Sequence[float]) -> list[int]:
        """How many of the pieces that are out still hold their machines at each instant."""
        late = [piece.free_at for piece in self.pieces if piece.out and piece.free_at > times[0]]
        return [sum(free_at > at + EPSILON for free_at in late) for at in times]


def stocks_of(pool: Pool, facts: PoolFacts, now: float, *, slack: float = 0.0) -> list[Stock]:
    """All pieces of a pool, in a fixed order. ``slack``: seconds that a return may take, and is planned sooner."""
    found: dict[tuple[str, Resources, str, float | None, float, Ref | None, bool], list[Piece]] = defaultdict(list)
    whole_by: dict[Ref | None, float] = {}
    for member in sorted(facts.members, key=lambda m: m.ref):
        lane = pool.lane(member.lane)
        # Of none there is nothing to stop.
        if lane is not None and member.lends and not member.unit.nothing and member.original > 0:
            saved = _saved(member) if member.work else None
            every = math.inf if saved is None else member.saved_every
            apart = member.ref if member.kind is MemberKind.SCALE and member.mark and member.mark.promises else None
            if apart is not None and member.mark is not None:
                whole_by[apart] = member.mark.return_by - slack
            key = lane.name, member.unit, member.work, saved, every, apart, member.unplaced
            found[key].extend(_pieces(member, lane, now))
    lanes = {lane.name: lane for lane in pool.lanes}
    stocks = []
    for (name, size, work, saved, every, apart, unplaced), pieces in found.items():
        pieces = [replace(piece, due=piece.return_by - slack) for piece in pieces]
        pieces.sort(key=in_order)
        by = whole_by.get(apart, math.inf)
        stocks.append(Stock(lanes[name], size, work, saved, every, tuple(pieces), by, unplaced))
    return sorted(stocks, key=_place)


def in_order(piece: Piece) -> tuple[bool, bool, float, Ref, int]:
    """Sort key: pieces in the order in which they are stopped."""
    return not piece.out, not piece.told, piece.loss, piece.ref, -piece.index


def _place(stock: Stock) -> tuple[str, int, int, str, float, float, Ref]:
    size, saved, first = stock.size, stock.saved_at or -math.inf, min(piece.ref for piece in stock.pieces)
    return stock.lane.name, size.cpu, size.memory, stock.work, saved, stock.saved_every, first


def _saved(member: Member) -> float | None:
    return None if member.saved_at is None else max(member.saved_at, member.running_since)


def _pieces(member: Member, lane: Lane, now: float) -> list[Piece]:
    saved, draining = _saved(member), _draining(member)
    promises = [one.at for one in member.mark.promises for _ in range(one.units)] if member.mark else []
    return [_piece(member, lane, index, saved, draining, promises, now) for index in reversed(range(member.original))]


def _piece(
    member: Member, lane: Lane, index: int, saved: float | None, draining: int, promises: Sequence[float], now: float
) -> Piece:
    mark, drain = member.mark, lane.drain
    out = index >= member.asked and mark is not None
    free_at = -math.inf
    if out and mark is not None and index < member.asked + draining:
        stopped = min((one.at for one in mark.stops if one.level <= index), default=-math.inf)
        expected = stopped + drain.seconds
        free_at = expected if expected > now else now + OVERDUE
    told = min((n.at for n in mark.notices if n.level <= index), default=None) if mark else None
    return Piece(
        ref=member.ref,
        index=index,
        notice_over=max(now, (now if told is None else told) + drain.notice),
        run_over=max(now, member.running_since + drain.minimum_run),
        told=told is not None,
        out=out,
        free_at=free_at,
        # Which of a member's units an older promise was made for does not matter: they are alike.
        return_by=promises[index - member.asked] if out and index - member.asked < len(promises) else math.inf,
        loss=0.0 if saved is None or out else max(0.0, now - saved),
    )


def _draining(member: Member) -> int:
    """Units that were told to stop and still hold machines. Of what is on none, a stop that is under way is nothing to
    wait for: what is let in meanwhile follows the balance, which counts it until its object says that it is stopped.
    """
    if not member.seen:
        return member.original - member.asked
    if member.pods == 0:
        return 0
    return min(member.leaving, member.original - member.asked)
