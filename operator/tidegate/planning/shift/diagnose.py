"""Why no timetable was found, in words and numbers that a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tidegate.planning.shift.asks import Ask
from tidegate.planning.shift.model import Need, NeedStep, Pool, PoolFacts
from tidegate.planning.shift.outcome import Refusal
from tidegate.planning.shift.pieces import Piece
from tidegate.planning.shift.reasons import ShiftReason
from tidegate.planning.shift.resources import Resources, binding, total, written
from tidegate.planning.shift.search import Segment, Shortfall


def unknown_lane(need: Need, pool: Pool) -> Refusal:
    """The need names a lane that the pool does not have."""
    message = f"{pool.name} has no lane {need.lane}; it has {', '.join(sorted(lane.name for lane in pool.lanes))}"
    return Refusal(need.key, need.lane, ShiftReason.UNKNOWN_LANE, message, at=need.start)


def not_allowed(need: Need, pool: Pool) -> Refusal:
    """The lane does not let the namespace in."""
    message = f"lane {need.lane} of {pool.name} does not list namespace {need.namespace} in allowedNamespaces"
    return Refusal(need.key, need.lane, ShiftReason.NAMESPACE_NOT_ALLOWED, message, at=need.start)


def over_cap(ask: Ask, pool: Pool, step: NeedStep, taken: Resources, cap: Resources) -> Refusal:
    """The namespace would take more of the pool than the lane lets one take."""
    need, wanted = ask.need, taken + step.amount
    name = binding(wanted, cap)
    message = (
        f"{need.namespace} would take {written(name, wanted.of(name))} {name} of {pool.name} at {clock(step.start)},"
        f" lane {need.lane} caps a namespace at {written(name, cap.of(name))}"
    )
    return Refusal(need.key, need.lane, ShiftReason.NAMESPACE_CAP, message, name, step.start, wanted, cap)


def short(
    ask: Ask,
    pool: Pool,
    facts: PoolFacts,
    shortfall: Shortfall,
    *,
    pieces: Sequence[Piece],
    limits: dict[str, Resources],
    free: Resources,
    granted: Resources,
    earliest: float | None,
) -> Refusal:
    """Machines are missing. ``granted`` is what earlier needs have at that instant, ``free`` what is free when nothing
    is lent, ``limits`` what each lane may lend at most.
    """
    segment = shortfall.segment
    reason, available, lender = _cause(segment, shortfall, pieces=pieces, limits=limits, free=free, granted=granted)
    name = binding(segment.need, available)
    message = (
        f"lane {ask.need.lane} of {pool.name}: {written(name, segment.need.of(name))} {name} needed at"
        f" {clock(segment.start)}, {written(name, max(0, available.of(name)))} can be there"
        f"{_because(reason, lender, pool, facts, name, granted)}"
    )
    if earliest is not None:
        message += f"; served from {clock(earliest)}"
    return Refusal(
        ask.need.key, ask.need.lane, reason, message, name, segment.start, segment.need, available, lender, earliest,
        shortfall.sure,
    )  # fmt: skip


def _cause(
    segment: Segment,
    shortfall: Shortfall,
    *,
    pieces: Sequence[Piece],
    limits: dict[str, Resources],
    free: Resources,
    granted: Resources,
) -> tuple[ShiftReason, Resources, str]:
    """(reason, what can be there for needs, the lane that stands against it)."""
    every = free + total(p.size for p in pieces)
    lanes = {p.lane.name: p.lane for p in pieces}
    stoppable = {name: total(p.size for p in pieces if p.lane.name == name) for name in lanes}
    within = {name: stoppable[name].least(limits[name]) for name in lanes}
    lawful = free + total(within.values())
    biggest = max(sorted(lanes), key=lambda n: (stoppable[n].cpu, stoppable[n].memory), default="")
    if not segment.need.fits(every):
        reason = ShiftReason.OTHER_PROMISES if (segment.need - granted).fits(every) else ShiftReason.POOL_TOO_SMALL
        return reason, every, ""
    if not segment.need.fits(lawful):
        if (segment.need - granted).fits(lawful) and not granted.nothing:
            return ShiftReason.OTHER_PROMISES, lawful, ""
        held = max(sorted(lanes), key=lambda n: (stoppable[n] - within[n]).cpu, default="")
        return ShiftReason.GUARANTEE, lawful, held
    ready = [p for p in pieces if _ready(p) <= segment.start and segment.end <= p.out_until]
    in_time = free + total(total(p.size for p in ready if p.lane.name == name).least(limits[name]) for name in lanes)
    if segment.need.fits(in_time):
        # Enough by the numbers of each piece: what stands against it is how they follow one another.
        reason = ShiftReason.INDIVISIBLE if not _follows(pieces, segment) else ShiftReason.GIVE_BACK_PROMISE
        return reason, segment.need - shortfall.still, biggest
    return _late_cause(segment, pieces), in_time, biggest


def _ready(piece: Piece) -> float:
    return piece.stop_from + piece.lane.drain.seconds if piece.last is None else piece.free_at


def _follows(pieces: Sequence[Piece], segment: Segment) -> bool:
    """Whether some lane could be caught between its promise and its minimum run time."""
    return any(p.lane.give_back_within < p.lane.drain.seconds + max(p.lane.drain.minimum_run, p.lane.drain.notice)
               for p in pieces)  # fmt: skip


def _late_cause(segment: Segment, pieces: Sequence[Piece]) -> ShiftReason:
    """What keeps most of the late pieces: their own deadline, their minimum run, or notice and drain."""
    late = [p for p in pieces if _ready(p) > segment.start or segment.end > p.out_until]
    if late and all(segment.end > p.out_until for p in late):
        return ShiftReason.WORK_DEADLINE
    by_run = sum(p.run_binds for p in late)
    return ShiftReason.MINIMUM_RUN if 2 * by_run > len(late) else ShiftReason.NOTICE_TOO_SHORT


def _because(reason: ShiftReason, lender: str, pool: Pool, facts: PoolFacts, name: str, granted: Resources) -> str:
    lane = pool.lane(lender)
    if reason is ShiftReason.POOL_TOO_SMALL:
        return f" when all work that may stop is stopped; the pool has {written(name, facts.capacity.of(name))}"
    if reason is ShiftReason.OTHER_PROMISES:
        return f", of which {written(name, granted.of(name))} is promised to earlier needs"
    if lane is None:
        return ""
    drain = lane.drain
    told = {
        ShiftReason.GUARANTEE: f": lane {lender} keeps its guarantee of {lane.guarantee} %"
        f" ({written(name, facts.capacity.percent(lane.guarantee).of(name))})",
        ShiftReason.NOTICE_TOO_SHORT: f" by then: lane {lender} has {drain.notice:g} s notice and"
        f" {drain.seconds:g} s drain",
        ShiftReason.MINIMUM_RUN: f" by then: lane {lender} runs its work for {drain.minimum_run:g} s at least",
        ShiftReason.WORK_DEADLINE: f": the work of lane {lender} would miss its own deadline",
        ShiftReason.GIVE_BACK_PROMISE: f": lane {lender} gets its machines back within {lane.give_back_within:g} s"
        f" and keeps them for {max(drain.minimum_run, drain.notice):g} s",
        ShiftReason.INDIVISIBLE: f": no choice of whole units of lane {lender} frees that and keeps its guarantee",
    }
    return told.get(reason, "")


def clock(instant: float) -> str:
    """An instant for people, UTC."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
