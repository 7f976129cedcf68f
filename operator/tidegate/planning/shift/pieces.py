"""Members as pieces: the smallest things that may stop by themselves, each with the times that bind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.planning.model import Ref
from tidegate.planning.shift.model import Lane, Member, MemberKind, Pool, PoolFacts
from tidegate.planning.shift.resources import NAMES, Resources

OVERDUE = 1.0
"""Seconds after now at which machines are expected that should have been seen free before: they are late, and said to
be, at each plan anew."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One Job, or one unit of a ``/scale``."""

    ref: Ref
    index: int
    """Which unit of its member: the highest goes first."""
    lane: Lane
    size: Resources
    stop_from: float
    """Earliest stop, by notice and minimum run time."""
    run_binds: bool
    """The minimum run time, not the notice, sets ``stop_from``."""
    noticed: bool
    last: float | None
    """For a piece that is out: until when it was planned out, and at least until it is free; None while it runs."""
    wanted_until: float
    """Until when it was planned out; equal work keeps its turn from plan to plan."""
    free_at: float
    """For a piece that is out: from when its machines are free, as seen or expected."""
    lost_since: float
    """What it does after this instant is lost when it stops."""
    out_until: float
    """Latest end of an absence that still meets its own deadline."""


def pieces_of(pool: Pool, facts: PoolFacts, now: float) -> list[Piece]:
    """All pieces of a pool, in a fixed order."""
    found: list[Piece] = []
    for member in sorted(facts.members, key=lambda m: m.ref):
        lane = pool.lane(member.lane)
        if lane is not None and not member.unit.nothing:
            found.extend(_pieces(member, lane, now))
    return found


def _pieces(member: Member, lane: Lane, now: float) -> list[Piece]:
    draining = _draining(member)
    saved = member.running_since if member.checkpoint_at is None else max(member.checkpoint_at, member.running_since)
    return [_piece(member, lane, index, saved, draining, now) for index in reversed(range(member.original))]


def _piece(member: Member, lane: Lane, index: int, saved: float, draining: int, now: float) -> Piece:
    mark, drain = member.mark, lane.drain
    out = index >= member.asked
    last, free_at = None, -math.inf
    if out and mark is not None:
        last = min(mark.until, max(now, mark.free_by))
        if index < member.asked + draining:
            stopped = min((one.at for one in mark.stops if one.level <= index), default=-math.inf)
            expected = stopped + drain.seconds
            free_at = expected if expected > now else now + OVERDUE
            last = max(last, free_at)
    ran = member.running_since + drain.minimum_run
    told = min((n.at for n in mark.notices if n.level <= index), default=None) if mark else None
    return Piece(
        ref=member.ref,
        index=index,
        lane=lane,
        size=member.unit,
        stop_from=max(now, (now if told is None else told) + drain.notice, ran),
        run_binds=ran > max(now, (now if told is None else told) + drain.notice),
        noticed=told is not None,
        last=last,
        wanted_until=mark.until if mark else -math.inf,
        free_at=free_at,
        lost_since=saved,
        out_until=_out_until(member, lane, saved, now),
    )


def _draining(member: Member) -> int:
    """Units that were told to stop and still hold machines."""
    if not member.seen:
        return member.original - member.asked
    left = member.in_flight
    units = [math.ceil(left.of(n) / member.unit.of(n)) for n in NAMES if member.unit.of(n) > 0 and left.of(n) > 0]
    return min(max(units, default=0), member.original - member.asked)


def _out_until(member: Member, lane: Lane, saved: float, now: float) -> float:
    """A stop throws back to the last safe state: after the return all from there on is to be done."""
    if member.finish_by is None or member.kind is not MemberKind.JOB:
        return math.inf
    lost = max(0.0, now - saved) if member.asked > 0 else 0.0
    return member.finish_by - lane.give_back_within - member.remaining - lost
