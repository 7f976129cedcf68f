"""An exhaustive check of small pools, second by second: is there any timetable at all?

Written apart from the planner and by other means: not segments and intervals but all states that can be reached tick by
tick, whoever stops and starts when. It knows only the rules of a pool as they are promised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tidegate.planning.shift.pieces import Piece
from tidegate.planning.shift.resources import NOTHING, Resources, total

RUN, DRAIN, OUT, SERVES = "run", "drain", "out", "serves"
State = tuple[str, int]
"""(run, seconds until it may stop) | (drain, seconds until free) | (out, seconds for nothing) | (serves, 0)."""


@dataclass(frozen=True)
class Case:
    pieces: Sequence[Piece]
    limits: Mapping[str, Resources]
    """What each lane may have stopped or draining at most."""
    free: Resources
    loads: Sequence[Resources]
    """Need of each second from now on."""
    now: int


def timetable_exists(case: Case) -> bool:
    states = {tuple(_first(piece, case.now) for piece in case.pieces)}
    for tick in range(len(case.loads)):
        states = {after for state in states for moved in _moves(case, state) for after in _serve(case, moved, tick)}
        if not states:
            return False
        states = {tuple(_age(s) for s in state) for state in states}
    return True


def _first(piece: Piece, now: int) -> State:
    if piece.last is None:
        return (RUN, max(0, math.ceil(piece.stop_from - now)))
    if piece.free_at > now:
        return (DRAIN, math.ceil(piece.free_at - now))
    return (OUT, int(now - piece.last))


def _moves(case: Case, state: tuple[State, ...]) -> Iterator[tuple[State, ...]]:
    options: list[list[State]] = []
    for piece, (kind, count) in zip(case.pieces, state, strict=True):
        drain = piece.lane.drain
        mine: list[State] = [(kind, count)]
        if kind == RUN and count == 0:
            mine.append((DRAIN, int(drain.seconds)) if drain.seconds else (OUT, 0))
        if kind in (OUT, SERVES):
            mine.append((RUN, int(max(drain.minimum_run, drain.notice))))
        options.append(mine)
    for choice in product(*options):
        stopped: dict[str, Resources] = {}
        for piece, (kind, _) in zip(case.pieces, choice, strict=True):
            if kind != RUN:
                stopped[piece.lane.name] = stopped.get(piece.lane.name, NOTHING) + piece.size
        if all(amount.fits(case.limits[name]) for name, amount in stopped.items()):
            yield choice


def _serve(case: Case, state: tuple[State, ...], tick: int) -> Iterator[tuple[State, ...]]:
    """The states after this second, one for each set of free pieces that just carries its load."""
    load = case.loads[tick]
    same = tick > 0 and load == case.loads[tick - 1]
    lack = load - case.free if not load.nothing else NOTHING
    end = case.now + tick + 1
    free = [
        i
        for i, ((kind, idle), piece) in enumerate(zip(state, case.pieces, strict=True))
        if kind == SERVES or (kind == OUT and idle <= piece.lane.give_back_within)
        if lack.nothing or end <= piece.out_until
    ]
    for chosen in product((False, True), repeat=len(free)):
        serving = {i for i, taken in zip(free, chosen, strict=True) if taken}
        left = lack - total(case.pieces[i].size for i in serving)
        if not left.nothing or any((left + case.pieces[i].size).nothing for i in serving):
            continue
        # Under the same load who serves no longer goes home: turns taken by equal work would stretch every promise.
        if same and any(kind == SERVES and i not in serving for i, (kind, _) in enumerate(state)):
            continue
        after = list(state)
        for i, (kind, idle) in enumerate(state):
            if kind in (OUT, SERVES):
                after[i] = (SERVES, 0) if i in serving else (OUT, idle + 1)
        if all(k != OUT or idle <= p.lane.give_back_within for (k, idle), p in zip(after, case.pieces, strict=True)):
            yield tuple(after)


def _age(state: State) -> State:
    kind, count = state
    if kind == RUN:
        return (RUN, max(0, count - 1))
    if kind == DRAIN:
        return (OUT, 0) if count <= 1 else (DRAIN, count - 1)
    return state
