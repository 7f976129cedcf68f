"""The plan of a pool: which needs are granted, how much of them; which are not, and why; which work is out when.

All needs of the pool are planned together. First all at once; only if that cannot be, one after the other in the order
of ``asks``: each gets as much as the ones before it leave. A need that is cut is refused with the rule that stands
against it, found by leaving the rules out one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NAMES, NOTHING, Resources, total
from tidegate.planning.shift import diagnose
from tidegate.planning.shift.asks import Ask, append, asks_of
from tidegate.planning.shift.grid import amounts, instants
from tidegate.planning.shift.lendings import lendings_of
from tidegate.planning.shift.milp import OutOfTimeError
from tidegate.planning.shift.model import Need, NeedStep, Pool, PoolFacts, amount_at, base_of, floor_of
from tidegate.planning.shift.outcome import Grant, Lending, PoolPlan, Promise, Refusal
from tidegate.planning.shift.pieces import stocks_of
from tidegate.planning.shift.timetable import EVERY, Problem, Rule, Timetable, solve

SECONDS = 5.0
"""Most real seconds for one timetable; then the best that was found counts. Judgment: a beat is 15 s."""
TOLERANCE = 1e-5
"""Unserved shares below this are none."""


def plan_pool(
    pool: Pool,
    facts: PoolFacts,
    needs: Iterable[Need],
    now: float,
    *,
    promises: Iterable[Promise] = (),
    slack: float = 0.0,
) -> PoolPlan:
    """Decide for all needs of a pool together.

    ``promises`` are those of the last plan (``PoolPlan.promises``): who was granted first keeps its place. Needs that
    are over are ignored. The order of needs, members and promises does not matter. ``slack``: seconds that a return may
    take; what is promised back is planned back so much sooner.
    """
    planning = _Planning(pool, facts, now, slack)
    allowed = planning.allowed(need for need in needs if need.end > now)
    asks = planning.capped(asks_of(pool, facts, allowed, promises, now))
    lendings = planning.serve(asks) if asks else {}
    return PoolPlan(now, pool.name, tuple(planning.grants), tuple(planning.refusals), lendings)


class _Planning:
    """One planning of one pool."""

    def __init__(self, pool: Pool, facts: PoolFacts, now: float, slack: float) -> None:
        self.pool, self.facts, self.now = pool, facts, now
        self.stocks = tuple(stocks_of(pool, facts, now, slack=slack))
        self.grants: list[Grant] = []
        self.refusals: list[Refusal] = []

    # ---- who may ask

    def allowed(self, needs: Iterable[Need]) -> list[Need]:
        """Needs of lanes that exist and let their namespace in."""
        kept: list[Need] = []
        for need in sorted(needs, key=lambda n: n.key):
            lane = self.pool.lane(need.lane)
            if lane is None:
                self.refusals.append(diagnose.lane_unknown(need, self.pool))
            elif need.namespace not in lane.allowed_namespaces:
                self.refusals.append(diagnose.not_allowed(need, self.pool))
            else:
                kept.append(need)
        return kept

    def capped(self, asks: Sequence[Ask]) -> list[Ask]:
        """Asks cut to what their lane lets one namespace have, in their order."""
        taken: dict[tuple[str, str], list[NeedStep]] = defaultdict(list)
        kept: list[Ask] = []
        for ask in asks:
            lane = self.pool.lane(ask.need.lane)
            mine = taken[ask.need.lane, ask.need.namespace]
            steps = ask.steps
            if lane is not None and lane.cap is not None:
                cap = self.facts.capacity.percent(lane.cap)
                steps, over = _below(ask.steps, mine, cap)
                if over is not None:
                    self.refusals.append(diagnose.over_cap(ask, self.pool, over, amount_at(mine, over.start), cap))
            mine.extend(steps)
            if steps:
                kept.append(replace(ask, steps=steps))
        return kept

    # ---- who is served

    def serve(self, asks: Sequence[Ask]) -> dict[Ref, tuple[Lending, ...]]:
        """Grant all, or one after the other; the lendings that this takes."""
        problem, profiles, loads = self._problem(asks, turns=False)
        if all(load.fits(problem.free) for load in loads):
            self.grants = [_grant(ask, ask.steps) for ask in asks]
            return {}
        # First without taking turns: whoever is out stays out for its need, and nothing moves without need.
        timetable = _solve(problem, loads) if _ever(problem, loads) else None
        if timetable is None:
            problem, profiles, loads = self._problem(asks, turns=True)
            timetable = _solve(problem, loads) if _ever(problem, loads) else None
        if timetable is not None:
            self.grants = [_grant(ask, ask.steps) for ask in asks]
        else:
            lined = list(zip(asks, profiles, strict=True))
            loads, any_that_serves = self._in_line(problem, lined, [NOTHING] * problem.spans)
            timetable = _solve(problem, loads) or any_that_serves
        if timetable is None:  # the time was over before anything was found, and nothing is granted
            return {}
        return lendings_of(problem, timetable, [(g.owner, g.steps) for g in self.grants])

    def _problem(
        self, asks: Sequence[Ask], *, turns: bool
    ) -> tuple[Problem, list[tuple[Resources, ...]], Sequence[Resources]]:
        """(what a timetable is made out of, what each ask takes of its spans, all asks together)."""
        facts = self.facts
        times = instants(asks, self.stocks, facts.works.values(), self.now, turns=turns)
        bases = {lane.name: base_of(lane, facts) for lane in self.pool.lanes}
        limits = {lane.name: (bases[lane.name] - floor_of(lane, facts)).positive for lane in self.pool.lanes}
        free = facts.capacity - facts.reserve - total(bases.values())
        problem = Problem(times, self.stocks, free, limits, facts.works)
        profiles = [amounts(ask.steps, times) for ask in asks]
        return problem, profiles, [total(profile[k] for profile in profiles) for k in range(problem.spans)]

    def _in_line(
        self, problem: Problem, asks: Sequence[tuple[Ask, Sequence[Resources]]], loads: Sequence[Resources]
    ) -> tuple[Sequence[Resources], Timetable | None]:
        """Serve asks in line, beside loads: (all loads then, a timetable that serves them).

        As one after the other, but by halves: those that all can be served are not looked at one by one.
        """
        both = [total([have, *(wish[k] for _, wish in asks)]) for k, have in enumerate(loads)]
        found, sure = _served(problem, both)
        if found is not None:
            self.grants += [_grant(ask, ask.steps) for ask, _ in asks]
            return both, found
        if len(asks) == 1:
            return self._in_part(problem, *asks[0], loads, sure=sure)
        half = len(asks) // 2
        loads, first = self._in_line(problem, asks[:half], loads)
        loads, second = self._in_line(problem, asks[half:], loads)
        return loads, second or first

    def _in_part(
        self, problem: Problem, ask: Ask, wish: Sequence[Resources], loads: Sequence[Resources], *, sure: bool
    ) -> tuple[Sequence[Resources], Timetable | None]:
        """Serve as much of one ask as there is, and refuse it with the rule that stands against the rest."""
        found = _solve(problem, loads, wish)
        shares = found.unserved if found is not None else (1.0,) * problem.spans
        granted = tuple(_part(amount, 1.0 - share) for amount, share in zip(wish, shares, strict=True))
        if granted != tuple(wish):
            self.refusals.append(self._refusal(problem, ask, loads, wish, granted, sure=sure))
        if steps := _within(ask.steps, problem.times, granted):
            self.grants.append(_grant(ask, steps))
        return _both(loads, granted), found

    def _refusal(
        self,
        problem: Problem,
        ask: Ask,
        loads: Sequence[Resources],
        wish: Sequence[Resources],
        granted: Sequence[Resources],
        *,
        sure: bool,
    ) -> Refusal:
        short = [k for k in range(problem.spans) if granted[k] != wish[k]]
        reason = self._cause(problem, ask, loads, wish)
        last = max(k for k in range(problem.spans) if not wish[k].nothing)
        earliest = problem.times[short[-1] + 1] if short[-1] < last else None
        first = short[0]
        return diagnose.short(
            ask, self.pool, reason,
            at=problem.times[first], needed=loads[first] + wish[first], available=loads[first] + granted[first],
            earliest=earliest, sure=sure,
        )  # fmt: skip

    def _cause(self, problem: Problem, ask: Ask, loads: Sequence[Resources], wish: Sequence[Resources]) -> Reason:
        """The rule that stands against a need, or that there is nothing to be had at all. What the same need has in
        other parts is no other's promise.
        """

        def served(before: Sequence[Resources], rules: Rule) -> bool:
            return _served(problem, _both(before, wish), rules=rules)[0] is not None

        own = [amounts(g.steps, problem.times) for g in self.grants if g.key == ask.need.key]
        alone = [total(part[k] for part in own) for k in range(problem.spans)]
        if not _ever(problem, _both(alone, wish)):
            return Reason.POOL_TOO_SMALL
        if not _ever(problem, _both(loads, wish)) or (alone != list(loads) and served(alone, EVERY)):
            return Reason.OTHER_PROMISES
        for rule, reason in diagnose.CAUSES:
            if served(loads, EVERY & ~rule):
                return reason
        return Reason.SEVERAL_LIMITS


def _both(loads: Sequence[Resources], more: Sequence[Resources]) -> list[Resources]:
    """Sums, span by span."""
    return [one + other for one, other in zip(loads, more, strict=True)]


def _ever(problem: Problem, loads: Sequence[Resources]) -> bool:
    """Whether loads fit in once everything that may stop has stopped, whatever the rules say."""
    most = problem.free + total(stock.size.times(len(stock.pieces)) for stock in problem.stocks)
    return all(load.of(n) <= max(0, most.of(n)) for load in loads for n in NAMES)


def _solve(problem: Problem, loads: Sequence[Resources], soft: Sequence[Resources] | None = None) -> Timetable | None:
    """The timetable; None when there is none, or none was found in time."""
    try:
        return solve(problem, loads, soft, seconds=SECONDS)
    except OutOfTimeError:
        return None


def _served(problem: Problem, loads: Sequence[Resources], *, rules: Rule = EVERY) -> tuple[Timetable | None, bool]:
    """(any timetable that serves the loads, whether it is sure that there is none when there is none)."""
    if not _ever(problem, loads):
        return None, True
    try:
        return solve(problem, loads, rules=rules, cheapest=False, seconds=SECONDS), True
    except OutOfTimeError:
        return None, False


def _grant(ask: Ask, steps: tuple[NeedStep, ...]) -> Grant:
    return Grant(ask.need.key, ask.need.lane, ask.need.namespace, ask.guaranteed, steps, ask.promised)


def _part(amount: Resources, share: float) -> Resources:
    """A share, rounded down; one that a solver's tolerance keeps from the whole is the whole."""
    if share >= 1.0 - TOLERANCE:
        return amount
    share = max(0.0, share)
    return Resources(int(amount.cpu * share + 1e-6), int(amount.memory * share + 1e-6))


def _within(steps: Sequence[NeedStep], times: Sequence[float], granted: Sequence[Resources]) -> tuple[NeedStep, ...]:
    """Steps cut to what was granted in each span."""
    found: list[NeedStep] = []
    for step in steps:
        for k, most in enumerate(granted):
            start, end = max(step.start, times[k]), min(step.end, times[k + 1])
            if start < end:
                append(found, NeedStep(start, end, step.amount.part_in(most)))
    return tuple(found)


def _below(
    steps: Sequence[NeedStep], taken: Sequence[NeedStep], cap: Resources
) -> tuple[tuple[NeedStep, ...], NeedStep | None]:
    """(steps cut so that with what is taken they stay below a cap, the first that had to be cut)."""
    cuts = sorted({t for one in (*steps, *taken) for t in (one.start, one.end)})
    found: list[NeedStep] = []
    over: NeedStep | None = None
    for step in steps:
        inside = [step.start, *(t for t in cuts if step.start < t < step.end), step.end]
        for start, end in pairwise(inside):
            amount = step.amount.part_in((cap - amount_at(taken, start)).positive)
            if amount != step.amount and over is None:
                over = NeedStep(start, end, step.amount)
            append(found, NeedStep(start, end, amount))
    return tuple(found), over
