"""The timetable of a pool: how many pieces of each stock are out in each span of time.

A unit-commitment problem (Padhy 2004 surveys them; for alike units the counted form loses nothing): pieces are counted,
not named, and a row for each rule says what a count may be. HiGHS finds the cheapest timetable or proves that there is
none, exactly on the grid of ``Problem.times``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from itertools import pairwise

import numpy as np

from tidegate.planning.resources import NAMES, Resources
from tidegate.planning.shift.milp import Effort, OutOfWorkError, Program, Solution
from tidegate.planning.shift.model import Work
from tidegate.planning.shift.pieces import EPSILON, Piece, Stock
from tidegate.planning.shift.search import NODES_MOST, search

IDLE_COST = 1.0
"""Cost of a second that a unit is out, in seconds of work lost: a machine that waits for the next need does nothing
meanwhile. So work comes back between two needs, unless the gap is shorter than what a second stop costs."""
STOP_COST = 30.0
"""Seconds of work that any stop of work which was not told yet costs: plans do not change for little. Judgment."""
COST_GAP = 0.03
"""Share by which a timetable may cost more than the cheapest, of what is not the same in all. Judgment."""
PART_GAP = 0.02
"""Share by which what is refused may be more than it has to be, where a need is served in part. Judgment."""
COSTS_MOST = 16
"""Different costs of a stop that are told apart in a stock. Judgment: they only choose between alike pieces."""
NODES = 5
"""Most nodes of the search for a cheap timetable, or for a good part. Whether there is one at all is searched
longer (``search.NODES_MOST``)."""


KINDS = 3
"""Counts of a stock at an instant: pieces out, stops, returns."""


class Rule(Flag):
    """The rules that a timetable keeps; a refusal is explained by leaving one of them out."""

    WHOLE_UNITS = auto()
    KNOWN_WORK = auto()
    DEADLINE = auto()
    PROMISE = auto()
    GUARANTEE = auto()
    MINIMUM_RUN = auto()
    NOTICE = auto()


EVERY = ~Rule(0)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a timetable must serve, and out of what."""

    times: tuple[float, ...]
    """Instants at which counts may change: now first, last the end of all needs, when everything is back."""
    stocks: tuple[Stock, ...]
    free: Resources
    """What is free when nothing is lent; negative when the pool is too small for what stands on it."""
    limits: Mapping[str, Resources]
    """Most that each lane may have out."""
    works: Mapping[str, Work]

    @property
    def spans(self) -> int:
        """Spans of time between the instants."""
        return len(self.times) - 1

    @property
    def columns(self) -> int:
        """Whole columns of the program that this makes: what its solution costs is told by them."""
        return KINDS * len(self.stocks) * len(self.times)


@dataclass(frozen=True, slots=True)
class Counts:
    """One stock over time; one entry for each instant, the last for all the time after it."""

    out: tuple[int, ...]
    stops: tuple[int, ...]
    """Pieces that are free for the first time at the instant; they were stopped a drain earlier."""
    returns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timetable:
    """What the solver found."""

    counts: tuple[Counts, ...]
    """In the order of the problem's stocks."""
    unserved: tuple[float, ...]
    """Share of the soft need that is not served, by span; zeros without one."""
    proven: bool


def solve(
    problem: Problem,
    loads: Sequence[Resources],
    soft: Sequence[Resources] | None = None,
    *,
    rules: Rule = EVERY,
    cheapest: bool = True,
    kept: Sequence[Counts] = (),
    effort: Effort,
) -> Timetable | None:
    """The timetable that serves ``loads`` (by span) in full and, of ``soft``, as much as can be.

    Without ``soft`` it is the one that costs least work, or with ``cheapest=False`` the first that is found. ``kept``
    is taken instead while it keeps all rules and costs next to nothing more. None when there is none;
    ``OutOfWorkError`` when the bounded search ended before it could tell.
    """
    return _Solving(problem, rules, effort, costly=cheapest and soft is None).solve(loads, soft, kept)


class _Solving:
    """One program, built rule by rule."""

    def __init__(self, problem: Problem, rules: Rule, effort: Effort, *, costly: bool) -> None:
        self.problem, self.rules, self.costly, self.program = problem, rules, costly, Program(effort)
        self.scales = {name: _scale(problem.stocks, name) for name in NAMES}
        self.out: list[list[int]] = []
        self.stops: list[list[int]] = []
        self.returns: list[list[int]] = []
        self.draining: list[list[int]] = []
        """By stock and instant: pieces that still hold their machines after a stop before now."""

    def solve(
        self, loads: Sequence[Resources], soft: Sequence[Resources] | None, kept: Sequence[Counts] = ()
    ) -> Timetable | None:
        for stock in self.problem.stocks:
            self._variables(stock)
        for number, stock in enumerate(self.problem.stocks):
            self._flow(number, stock)
            if Rule.PROMISE in self.rules:
                self._promises(number, stock)
            if self.costly:
                self._costs(number, stock)
        if Rule.GUARANTEE in self.rules:
            self._guarantees()
        if Rule.DEADLINE in self.rules:
            for name, work in self.problem.works.items():
                self._deadline(name, work)
        shares = self._serve(loads, soft)
        best = self.costly or soft is not None
        found = search(
            self.program,
            [np.array(block) for block in zip(self.out, self.stops, self.returns, strict=True)],
            gap=COST_GAP if soft is None else PART_GAP,
            nodes=NODES if best else NODES_MOST,
            cheap=best,
        )
        if found is None:
            return None
        return self._timetable(self._kept(kept, found) if kept and self.costly else found, shares)

    def _kept(self, kept: Sequence[Counts], found: Solution) -> Solution:
        """The counts that were planned before, unless what was found is cheaper by more than the gap."""
        if found.cost <= 0.0:
            return found
        lower, upper = self.program.bounds
        columns = [n for block in zip(self.out, self.stops, self.returns, strict=True) for kind in block for n in kind]
        values = [float(n) for one in kept for kind in (one.out, one.stops, one.returns) for n in kind]
        if (np.array(values) < lower[columns]).any() or (np.array(values) > upper[columns]).any():
            return found
        lower[columns] = upper[columns] = values
        try:
            same = self.program.solve(gap=COST_GAP, nodes=NODES, within=(lower, upper))
        except OutOfWorkError:
            return found
        return same if same is not None and same.cost <= found.cost * (1.0 + COST_GAP) else found

    # ---- rules

    def _drain(self, stock: Stock) -> float:
        return stock.lane.drain.seconds if Rule.NOTICE in self.rules else 0.0

    def _free_from(self, stock: Stock) -> list[float]:
        """When each piece that runs can be free for the first time."""
        drain = self._drain(stock)
        times = []
        for piece in stock.pieces:
            if piece.out:
                continue
            bounds = [self.problem.times[0]]
            if Rule.NOTICE in self.rules:
                bounds.append(piece.notice_over)
            if Rule.MINIMUM_RUN in self.rules:
                bounds.append(piece.run_over)
            times.append(max(bounds) + drain)
        return times

    def _rest(self, stock: Stock) -> float:
        """Seconds from a return to the next time that the piece can be free: its notice may be given meanwhile."""
        drain = stock.lane.drain
        run = drain.minimum_run if Rule.MINIMUM_RUN in self.rules else 0.0
        return max(run, drain.notice if Rule.NOTICE in self.rules else 0.0) + self._drain(stock)

    def _variables(self, stock: Stock) -> None:
        times, many = self.problem.times, len(stock.pieces)
        whole = Rule.WHOLE_UNITS in self.rules
        notice = Rule.NOTICE in self.rules
        draining = stock.draining(times) if notice else [0] * len(times)
        last = len(times) - 1
        work = self.problem.works.get(stock.work)
        stuck = work is not None and work.remaining is None and Rule.KNOWN_WORK in self.rules
        add = self.program.variable
        self.draining.append(draining)
        idle = IDLE_COST * self._weight(stock) if self.costly else 0.0
        lengths = [*(end - start for start, end in pairwise(times)), 0.0]
        self.out.append(
            [
                add(draining[k], draining[k] if k == last else many, cost=idle * lengths[k], whole=whole)
                for k in range(len(times))
            ]
        )
        self.stops.append([add(0, 0 if stuck or k == last else many, whole=whole) for k in range(len(times))])
        self.returns.append([add(0, many, whole=whole) for k in range(len(times))])

    def _flow(self, number: int, stock: Stock) -> None:
        """Counts follow from stops and returns; nobody stops before notice, minimum run and rest allow it."""
        times, many = self.problem.times, len(stock.pieces)
        out, stops, returns = self.out[number], self.stops[number], self.returns[number]
        before = sum(p.out for p in stock.pieces)
        free_from, rest = sorted(self._free_from(stock)), self._rest(stock)
        for k, at in enumerate(times):
            flow = [(out[k], 1.0), (stops[k], -1.0), (returns[k], 1.0)]
            young = len(free_from) - bisect_right(free_from, at + EPSILON)
            resting = [(returns[m], 1.0) for m in range(k) if at - times[m] < rest - EPSILON]
            running = [(stops[k], 1.0), *resting]
            if k == 0:
                self.program.row(flow, least=before, most=before)
                self.program.row(running, most=many - before - (0 if stock.unplaced else young))
            else:
                self.program.row([*flow, (out[k - 1], -1.0)], least=0.0, most=0.0)
                at_once = [(stops[0], -1.0)] if stock.unplaced and young else []
                self.program.row([*running, *at_once, (out[k - 1], 1.0)], most=many - young)

    def _promises(self, number: int, stock: Stock) -> None:
        """What is out comes back by its promise; what still drains then comes back once it is free.

        Each has a window to return in. There is a return for each if, and only if, every stretch of time has as many
        returns as there are windows that lie inside it (Hall's theorem, for intervals).
        """
        if stock.whole_by < self.problem.times[-1]:
            self._whole(number, stock)
        windows = [w for p in stock.pieces if p.out and (w := self._window(p)) is not None]
        for first in {w[0] for w in windows}:
            for last in {w[1] for w in windows}:
                inside = sum(first <= w[0] and w[1] <= last for w in windows)
                if inside:
                    self.program.row([(self.returns[number][m], 1.0) for m in range(first, last + 1)], least=inside)

    def _whole(self, number: int, stock: Stock) -> None:
        """All of it is back at one instant, but for what drains from before; nothing leaves across that instant."""
        times, by = self.problem.times, stock.whole_by
        last = max(m for m, at in enumerate(times) if m == 0 or at <= by + EPSILON)
        self.program.row([(self.out[number][last], 1.0)], most=self.draining[number][last])
        for m, at in enumerate(times):
            if at > by + EPSILON and at - self._drain(stock) < by - EPSILON:
                self.program.row([(self.stops[number][m], 1.0)], most=0.0)

    def _window(self, piece: Piece) -> tuple[int, int] | None:
        """Numbers of the first and the last instant at which a piece that is out may come back; None: at any time."""
        times = self.problem.times
        if max(piece.due, piece.free_at) >= times[-1]:
            return None
        drains = Rule.NOTICE in self.rules
        first = next(m for m, at in enumerate(times) if not drains or at >= piece.free_at - EPSILON)
        last = max(m for m, at in enumerate(times) if m == 0 or at <= piece.due + EPSILON)
        return first, max(first, last)

    def _guarantees(self) -> None:
        for lane, limit in self.problem.limits.items():
            mine = [(n, s) for n, s in enumerate(self.problem.stocks) if s.lane.name == lane]
            for name in NAMES:
                scale = self.scales[name]
                for k in range(self.problem.spans):
                    still = sum(s.size.of(name) * self.draining[n][k] for n, s in mine)
                    terms = [(one, s.size.of(name) / scale) for n, s in mine for one in self._away(n, s, k)]
                    self.program.row(terms, most=max(limit.of(name), still) / scale)

    def _away(self, number: int, stock: Stock, k: int) -> Iterable[int]:
        """Variables whose sum is what does not run in a span: what is out, and what drains for a later instant."""
        times, drain = self.problem.times, self._drain(stock)
        yield self.out[number][k]
        for m in range(k + 1, len(times)):
            if times[m] - drain < times[k + 1] - EPSILON:
                yield self.stops[number][m]

    def _deadline(self, name: str, work: Work) -> None:
        """Enough unit-seconds before the deadline; of work that is late already, not one less than there could be."""
        if work.remaining is None or work.deadline <= self.problem.times[0]:
            return
        terms: list[tuple[int, float]] = []
        done = still = 0.0
        now, end = self.problem.times[0], self.problem.times[-1]
        drains = Rule.NOTICE in self.rules
        for number, stock in enumerate(self.problem.stocks):
            if stock.work != name:
                continue
            done += (work.deadline - now) * len(stock.pieces)
            done -= sum(max(0.0, min(p.free_at, work.deadline) - end) for p in stock.pieces if p.out and drains)
            for k, at in enumerate(self.problem.times):
                length = self._before(k, work.deadline)
                still += length * self.draining[number][k]
                terms.append((self.out[number][k], length))
                terms.append((self.stops[number][k], self._charge(stock, at, work.deadline)))
        self.program.row(terms, most=done - min(work.remaining, done - still))

    def _before(self, k: int, deadline: float) -> float:
        """Seconds of a span that lie before a deadline; 0 after the last instant, where all is back or still drains."""
        times = self.problem.times
        return max(0.0, min(times[k + 1], deadline) - times[k]) if k < self.problem.spans else 0.0

    def _charge(self, stock: Stock, free: float, deadline: float) -> float:
        """Seconds of work before the deadline that a stop costs: its drain, and what was not safe. A piece that
        returned in between is charged as if it had not.
        """
        stopped = free - self._drain(stock)
        if stopped >= deadline:
            return 0.0
        lost = 0.0 if stock.saved_at is None else max(0.0, stopped - stock.saved_at)
        return min(free, deadline) - stopped + min(lost, stock.saved_every)

    def _serve(self, loads: Sequence[Resources], soft: Sequence[Resources] | None) -> list[int | None]:
        """What needs ask for must be free, seen from what is out and no longer drains."""
        shares: list[int | None] = []
        times = self.problem.times
        for k in range(self.problem.spans):
            wish = soft[k] if soft is not None else Resources()
            share = None
            if not wish.nothing:
                share = self.program.variable(0.0, 1.0, cost=times[k + 1] - times[k], whole=False)
            shares.append(share)
            if self.costly:
                self.program.unavoidable += IDLE_COST * (times[k + 1] - times[k]) * self._least_out(loads[k])
            for name in NAMES:
                wanted = loads[k].of(name) + wish.of(name)
                if wanted <= 0:
                    continue
                scale = self.scales[name]
                terms = [(self.out[n][k], s.size.of(name) / scale) for n, s in enumerate(self.problem.stocks)]
                lack = min(0, self.problem.free.of(name)) if loads[k].of(name) <= 0 else 0
                if share is not None:
                    terms.append((share, wish.of(name) / scale))
                    if lack:
                        terms.append((self._nothing(share), -lack / scale))
                still = sum(s.size.of(name) * self.draining[n][k] for n, s in enumerate(self.problem.stocks))
                self.program.row(terms, least=(wanted - self.problem.free.of(name) + still) / scale)
        return shares

    def _nothing(self, share: int) -> int:
        """A variable that is 1 only where nothing at all is served: then a pool that shrank may stay too small."""
        nothing = self.program.variable(0, 1)
        self.program.row([(share, 1.0), (nothing, -1.0)], least=0.0)
        return nothing

    def _least_out(self, load: Resources) -> float:
        """What is out in a span at least, in the weight of pieces."""
        stocks, free = self.problem.stocks, self.problem.free
        lacks = ((load.of(n) - free.of(n)) / _scale(stocks, n) for n in NAMES if load.of(n) > 0)
        return max(0.0, *lacks, 0.0)

    # ---- cost, and the answer

    def _costs(self, number: int, stock: Stock) -> None:
        """First stops take what loses least; later ones lose what was done since the return."""
        weight, drain = self._weight(stock), stock.lane.drain
        chosen = []
        for cost, count in _few(drain.seconds + p.loss + (0.0 if p.told else STOP_COST) for p in stock.running):
            chosen.append(self.program.variable(0.0, float(count), cost=weight * cost, whole=False))
        again = weight * (2 * drain.seconds + STOP_COST + drain.minimum_run)
        chosen.append(self.program.variable(0.0, math.inf, cost=again, whole=False))
        stops = [(one, 1.0) for one in self.stops[number]]
        self.program.row([*stops, *((one, -1.0) for one in chosen)], most=0.0)

    def _weight(self, stock: Stock) -> float:
        """What a second of one piece counts, seen from the smallest piece."""
        return max(stock.size.of(name) / self.scales[name] for name in NAMES)

    def _timetable(self, found: Solution, shares: Sequence[int | None]) -> Timetable:
        def counts(columns: Sequence[int]) -> tuple[int, ...]:
            return tuple(round(float(found.values[column])) for column in columns)

        return Timetable(
            tuple(
                Counts(counts(out), counts(stops), counts(returns))
                for out, stops, returns in zip(self.out, self.stops, self.returns, strict=True)
            ),
            tuple(0.0 if share is None else float(found.values[share]) for share in shares),
            found.proven,
        )


def _few(costs: Iterable[float]) -> Iterable[tuple[float, int]]:
    """(cost, how many pieces have it); of many different ones neighbours are taken together, at their mean."""
    counted = sorted(Counter(costs).items())
    each = max(1, -(-len(counted) // COSTS_MOST))
    for first in range(0, len(counted), each):
        group = counted[first : first + each]
        many = sum(count for _, count in group)
        yield sum(cost * count for cost, count in group) / many, many


def _scale(stocks: Sequence[Stock], name: str) -> float:
    """The smallest piece: rows in its unit have factors near 1, and a tolerance far below one piece."""
    return float(min((s.size.of(name) for s in stocks if s.size.of(name) > 0), default=1))
