"""Which work is out when: the search for a timetable that carries a load.

The load is cut into segments of constant need. Segment by segment the cheapest pieces are taken whose machines can be
free in time; a piece that is out already goes first. When that fails and the case is small, every choice is tried, so
that a small case is refused only when there is no timetable. Rules, for each piece:

- out from ``start - drain`` of the first segment it serves, told ``notice`` before that, after its minimum run time;
- between two segments it runs (notice and minimum run time fit in between), or it is held out, which is allowed while
  the gap is within the promise of giving back;
- what its lane keeps running never falls below the lane's floor, also while pieces drain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from tidegate.planning.shift.model import Drain, Lane, NeedStep, amount_at
from tidegate.planning.shift.pieces import Piece
from tidegate.planning.shift.resources import NOTHING, Resources, total

EFFORT = 3_000
"""Choices tried for one plan before it stops being sure. Judgment: some tenths of a second."""
SMALL = 8
"""Pieces up to which every choice is tried. Judgment."""
SMALL_EDGES = 24
"""Instants at which the need changes up to which a case is cut finer. Judgment."""


class Segment(NamedTuple):
    """A stretch of constant need."""

    start: float
    end: float
    need: Resources
    lack: Resources
    """What must be freed for it; may be 0 or less."""


class Use(NamedTuple):
    """A piece serves a segment."""

    piece: int
    out_from: float
    """From when it is out in addition to before."""
    fresh: bool
    """It ran before: a new absence begins."""


@dataclass(frozen=True, slots=True)
class Absence:
    """A piece is out: stopped at ``stop_at``, free at ``free_by``, wanted until ``until``."""

    piece: Piece
    stop_at: float
    """The last moment; the time that it was stopped at, or now, for one that is out."""
    stop_from: float
    """The first moment; equal to ``stop_at`` for one that is out."""
    free_by: float
    until: float


@dataclass(frozen=True, slots=True)
class Shortfall:
    """No timetable was found."""

    segment: Segment
    still: Resources
    """What is missing there after all that could be freed in time."""
    sure: bool
    """Every choice was tried, or more would not help."""


def segments_of(load: Sequence[NeedStep], free: Resources, now: float, pieces: Sequence[Piece] = ()) -> list[Segment]:
    """Cut a load into segments from ``now`` on; ``free`` is what is free while nothing is lent.

    A small case is cut finer, where one piece may take over from another: when a piece can first be free (again), and
    when one must be back.
    """
    edges = {now, *(max(now, s.start) for s in load), *(max(now, s.end) for s in load)}
    if len(pieces) <= SMALL and len(edges) <= SMALL_EDGES:
        last = max(edges)
        finer = {p.stop_from + p.lane.drain.seconds if p.last is None else p.free_at for p in pieces}
        finer |= {p.out_until for p in pieces}
        for piece in pieces:
            drain = piece.lane.drain
            again = drain.seconds + max(drain.notice, drain.minimum_run)
            finer |= {edge + again for edge in edges}
        edges |= {edge for edge in finer if now < edge < last}
    cuts = sorted(edges)
    found: list[Segment] = []
    for start, end in pairwise(cuts):
        need = amount_at(load, start)
        if not need.nothing:
            found.append(Segment(start, end, need, need - free))
    return found


def _can_serve(piece: Piece, segment: Segment) -> bool:
    """Whether a piece could serve a segment if nothing else were asked of it."""
    ready = piece.stop_from + piece.lane.drain.seconds if piece.last is None else piece.free_at
    return ready <= segment.start and segment.end <= piece.out_until


class _Outside:
    """What of one lane is out over time, on the instants that matter."""

    def __init__(self, cuts: Iterable[float], limit: Resources) -> None:
        self.cuts = sorted(set(cuts))
        self.limit = limit
        self.cpu = [0] * len(self.cuts)
        self.memory = [0] * len(self.cuts)

    def cells(self, start: float, end: float) -> range:
        return range(bisect_left(self.cuts, start), bisect_left(self.cuts, end))

    def takes(self, start: float, end: float, size: Resources) -> bool:
        cpu, memory = self.limit.cpu - size.cpu, self.limit.memory - size.memory
        return all(self.cpu[k] <= cpu and self.memory[k] <= memory for k in self.cells(start, end))

    def add(self, start: float, end: float, size: Resources, sign: int) -> None:
        for k in self.cells(start, end):
            self.cpu[k] += sign * size.cpu
            self.memory[k] += sign * size.memory


class Search:
    """One search for a timetable; used once."""

    def __init__(
        self,
        segments: Sequence[Segment],
        pieces: Sequence[Piece],
        limits: dict[str, Resources],
        now: float,
        *,
        effort: int = EFFORT,
    ) -> None:
        self.now = now
        self.segments = [s for s in segments if not s.lack.nothing]
        self.within = {b.start for a, b in pairwise(segments) if a.end == b.start and a.need == b.need}
        self.pieces = pieces
        self.last = [piece.last for piece in pieces]
        self.uses: list[list[Use]] = [[] for _ in self.segments]
        lanes = {p.lane.name: p.lane for p in pieces}
        self.lanes = {name: self._outside(lane, limits[name]) for name, lane in lanes.items()}
        for piece in pieces:
            if piece.last is not None and piece.last > now:
                self.lanes[piece.lane.name].add(now, piece.last, piece.size, 1)
        self.effort = effort
        self.furthest = -1
        self.still = Resources()

    def run(self) -> Shortfall | None:
        """Find a timetable; ``absences`` tells it afterwards."""
        hopeless = self._hopeless()
        if hopeless is not None:
            return hopeless
        before = list(self.last)
        if all(self._cheapest(j) for j in range(len(self.segments))):
            return None
        for j in range(len(self.uses)):
            self._undo(j, before)
        self.last = before
        if len(self.pieces) <= SMALL and self.effort > 0 and self._every(0):
            return None
        sure = len(self.pieces) <= SMALL and self.effort > 0
        return Shortfall(self.segments[self.furthest], self.still, sure)

    def _hopeless(self) -> Shortfall | None:
        """A segment that all pieces which can be free by then would not serve: no choice needs to be tried."""
        for segment in self.segments:
            freed: dict[str, Resources] = {}
            for piece in self.pieces:
                if _can_serve(piece, segment):
                    freed[piece.lane.name] = freed.get(piece.lane.name, NOTHING) + piece.size
            most = total(amount.least(self.lanes[name].limit) for name, amount in freed.items())
            if not segment.lack.fits(most):
                return Shortfall(segment, (segment.lack - most).positive, True)
        return None

    def absences(self) -> list[Absence]:
        """Every absence of the timetable, piece by piece in time order."""
        found: list[Absence] = []
        open_: dict[int, Absence] = {}
        for j, uses in enumerate(self.uses):
            for use in uses:
                segment, piece, before = self.segments[j], self.pieces[use.piece], open_.get(use.piece)
                if before is None or use.fresh:
                    if before is not None:
                        found.append(before)
                    began = use.out_from if use.fresh else self.now
                    first = began
                    if use.fresh:
                        ran = (
                            before.until + max(piece.lane.drain.notice, piece.lane.drain.minimum_run) if before else 0.0
                        )
                        first = max(ran, self._first_stop(piece))
                    open_[use.piece] = Absence(piece, began, min(first, began), segment.start, segment.end)
                else:
                    open_[use.piece] = replace(before, until=segment.end)
        found.extend(open_.values())
        return sorted(found, key=lambda a: (a.piece.ref, -a.piece.index, a.stop_at))

    def _first_stop(self, piece: Piece) -> float:
        """Earliest stop of a piece that runs, or that is given back at once."""
        if piece.last is None:
            return piece.stop_from
        return max(piece.last, self.now) + max(piece.lane.drain.notice, piece.lane.drain.minimum_run)

    def _outside(self, lane: Lane, limit: Resources) -> _Outside:
        cuts = {self.now}
        for segment in self.segments:
            cuts |= {segment.start, segment.end, max(self.now, segment.start - lane.drain.seconds)}
        cuts |= {max(self.now, p.last) for p in self.pieces if p.lane.name == lane.name and p.last is not None}
        return _Outside(cuts, limit)

    def _entry(self, i: int, j: int) -> Use | None:
        """How a piece could come to serve a segment; None when it cannot."""
        piece, segment, last = self.pieces[i], self.segments[j], self.last[i]
        drain = piece.lane.drain
        if segment.end > piece.out_until:
            return None
        stop = segment.start - drain.seconds
        if last is None:
            return Use(i, stop, True) if stop >= piece.stop_from else None
        if last < segment.start and self._rerun(last, stop, drain):
            return Use(i, stop, True)
        if piece.free_at > segment.start or segment.start - last > piece.lane.give_back_within:
            return None
        if segment.start > last and last in self.within and last != piece.last:
            return None  # it was relieved under the same load: it goes home
        return Use(i, max(self.now, last), False)

    def _rerun(self, last: float, stop: float, drain: Drain) -> bool:
        """Whether a piece that is given back can be told, and have its minimum run, before it stops again."""
        return stop - max(last, self.now) >= max(drain.notice, drain.minimum_run) and stop > last

    def _candidates(self, j: int) -> list[Use]:
        """Who could serve a segment, cheapest first: who is out anyway, who was told, who loses least."""
        found = [use for i in range(len(self.pieces)) if (use := self._entry(i, j)) is not None]
        return sorted(found, key=self._cost)

    def _cost(self, use: Use) -> tuple[bool, bool, float, int, int]:
        piece = self.pieces[use.piece]
        if not use.fresh:
            return False, False, -piece.wanted_until, -(piece.size.cpu + piece.size.memory), use.piece
        lost = max(0.0, use.out_from - piece.lost_since) if self.last[use.piece] is None else 0.0
        return True, not piece.noticed, lost, -(piece.size.cpu + piece.size.memory), use.piece

    def _take(self, use: Use, j: int) -> bool:
        piece, end = self.pieces[use.piece], self.segments[j].end
        outside = self.lanes[piece.lane.name]
        if not outside.takes(use.out_from, end, piece.size):
            return False
        outside.add(use.out_from, end, piece.size, 1)
        last = self.last[use.piece]
        self.last[use.piece] = end if last is None else max(last, end)
        self.uses[j].append(use)
        return True

    def _drop(self, use: Use, j: int, last: float | None) -> None:
        piece = self.pieces[use.piece]
        self.lanes[piece.lane.name].add(use.out_from, self.segments[j].end, piece.size, -1)
        self.last[use.piece] = last
        self.uses[j].remove(use)

    def _undo(self, j: int, last: Sequence[float | None]) -> None:
        for use in list(self.uses[j]):
            self._drop(use, j, last[use.piece])

    def _cheapest(self, j: int) -> bool:
        """Serve a segment with the cheapest pieces, then let go of those that turn out superfluous."""
        before, lack = list(self.last), self.segments[j].lack
        for use in self._candidates(j):
            if lack.nothing:
                break
            size = self.pieces[use.piece].size
            helps = (lack.cpu > 0 and size.cpu > 0) or (lack.memory > 0 and size.memory > 0)
            if helps and self._take(use, j):
                lack = lack - size
        if not lack.nothing:
            self._note(j, lack)
            return False
        for use in reversed(list(self.uses[j])):
            size = self.pieces[use.piece].size
            if (lack + size).nothing:
                self._drop(use, j, before[use.piece])
                lack = lack + size
        return True

    def _note(self, j: int, lack: Resources) -> None:
        if j > self.furthest:
            self.furthest, self.still = j, lack.positive

    def _every(self, j: int) -> bool:
        """Try every choice for this and all later segments."""
        if j == len(self.segments):
            return True
        before = list(self.last)
        served = False
        for choice in self._choices(j):
            self.effort -= 1
            if self.effort <= 0:
                return False
            if all(self._take(use, j) for use in choice):
                served = True
                if self._every(j + 1):
                    return True
            self._undo(j, before)
        if not served:
            self._note(j, self.segments[j].lack)
        return False

    def _choices(self, j: int) -> Iterator[list[Use]]:
        """Every set of pieces that covers a segment and of which none is superfluous; equal pieces are one choice."""
        alike: dict[object, list[Use]] = {}
        for use in self._candidates(j):
            piece = self.pieces[use.piece]
            key = (piece.lane.name, piece.size, self.last[use.piece], use.out_from, use.fresh, piece.out_until)
            alike.setdefault(key, []).append(use)
        yield from self._covers(list(alike.values()), self.segments[j].lack, [])

    def _covers(self, groups: list[list[Use]], lack: Resources, chosen: list[Use]) -> Iterator[list[Use]]:
        if lack.nothing:
            if not any((lack + self.pieces[use.piece].size).nothing for use in chosen):
                yield list(chosen)
            return
        if not groups:
            return
        group, rest = groups[0], groups[1:]
        size = self.pieces[group[0].piece].size
        enough = next((n for n in range(len(group)) if (lack - size.times(n)).nothing), len(group))
        for count in range(enough, -1, -1):  # who comes first is preferred
            yield from self._covers(rest, lack - size.times(count), chosen + group[:count])
