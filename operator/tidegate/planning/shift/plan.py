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
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift import diagnose
from tidegate.planning.shift.asks import Ask, append, asks_of
from tidegate.planning.shift.grid import amounts, instants
from tidegate.planning.shift.lendings import lendings_of
from tidegate.planning.shift.model import Need, NeedStep, Pool, PoolFacts, amount_at, base_of, floor_of
from tidegate.planning.shift.outcome import Grant, Lending, PoolPlan, Promise, Refusal
from tidegate.planning.shift.pieces import stocks_of
from tidegate.planning.shift.timetable import EVERY, Problem, Rule, Timetable, solve

SECONDS = 5.0
"""Most real seconds for one timetable; then the best that was found counts. Judgment: a beat is 15 s."""
TOLERANCE = 1e-5
"""Unserved shares below this are none."""


def plan_pool(
    pool: Pool, facts: PoolFacts, needs: Iterable[Need], now: float, *, promises: Iterable[Promise] = ()
) -> PoolPlan:
    """Decide for all needs of a pool together.

    ``promises`` are those of the last plan (``PoolPlan.promises``): who was granted first keeps its place. Needs that
    are over are ignored. The order of needs, members and promises does not matter.
    """
    planning = _Planning(pool, facts, now)
    allowed = planning.allowed(need for need in needs if need.end > now)
    asks = planning.capped(asks_of(pool, facts, allowed, promises, now))
    lendings = planning.serve(asks) if asks else {}
    return PoolPlan(now, pool.name, tuple(planning.grants), tuple(planning.refusals), lendings)


class _Planning:
    """One planning of one pool."""

    def __init__(self, pool: Pool, facts: PoolFacts, now: float) -> None:
        self.pool, self.facts, self.now = pool, facts, now
        self.stocks = tuple(stocks_of(pool, facts, now))
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
        facts = self.facts
        times = instants(asks, self.stocks, facts.works.values(), self.now)
        bases = {lane.name: base_of(lane, facts) for lane in self.pool.lanes}
        limits = {lane.name: (bases[lane.name] - floor_of(lane, facts)).positive for lane in self.pool.lanes}
        problem = Problem(times, self.stocks, facts.capacity - total(bases.values()), limits, facts.works)
        profiles = [amounts(ask.steps, times) for ask in asks]
        loads = [total(profile[k] for profile in profiles) for k in range(problem.spans)]
        if all(load.fits(problem.free) for load in loads):
            self.grants = [_grant(ask, ask.steps) for ask in asks]
            return {}
        timetable = solve(problem, loads, seconds=SECONDS)
        if timetable is not None:
            self.grants = [_grant(ask, ask.steps) for ask in asks]
        else:
            loads = self._one_by_one(problem, asks, profiles)
            timetable = solve(problem, loads, seconds=SECONDS)
        if timetable is None:  # the time was over: nothing new is stopped, what is out stays as it is
            return {}
        return lendings_of(problem, timetable, [(g.owner, g.steps) for g in self.grants])

    def _one_by_one(
        self, problem: Problem, asks: Sequence[Ask], profiles: Sequence[Sequence[Resources]]
    ) -> list[Resources]:
        """What is served in each span, once everybody in line got what there was."""
        loads = [NOTHING] * problem.spans
        for ask, wish in zip(asks, profiles, strict=True):
            found = solve(problem, loads, wish, seconds=SECONDS)
            shares = found.unserved if found is not None else (1.0,) * problem.spans
            if max(shares) <= TOLERANCE:
                granted, steps = tuple(wish), ask.steps
            else:
                granted = tuple(_part(amount, 1.0 - share) for amount, share in zip(wish, shares, strict=True))
                steps = _within(ask.steps, problem.times, granted)
                self.refusals.append(self._refusal(problem, ask, loads, wish, granted, found))
            if steps:
                self.grants.append(_grant(ask, steps))
            loads = [have + more for have, more in zip(loads, granted, strict=True)]
        return loads

    def _refusal(
        self,
        problem: Problem,
        ask: Ask,
        loads: Sequence[Resources],
        wish: Sequence[Resources],
        granted: Sequence[Resources],
        found: Timetable | None,
    ) -> Refusal:
        short = [k for k in range(problem.spans) if granted[k] != wish[k]]
        reason = self._cause(problem, loads, wish)
        sure = found is not None and found.proven
        last = max(k for k in range(problem.spans) if not wish[k].nothing)
        earliest = problem.times[short[-1] + 1] if short[-1] < last else None
        first = short[0]
        return diagnose.short(
            ask, self.pool, reason,
            at=problem.times[first], needed=loads[first] + wish[first], available=loads[first] + granted[first],
            earliest=earliest, sure=sure,
        )  # fmt: skip

    def _cause(self, problem: Problem, loads: Sequence[Resources], wish: Sequence[Resources]) -> Reason:
        """The rule that stands against a need, or that there is nothing to be had at all."""

        def served(before: Sequence[Resources], rules: Rule) -> bool:
            found = solve(problem, before, wish, rules=rules, seconds=SECONDS)
            return found is not None and max(found.unserved) <= TOLERANCE

        nobody = [NOTHING] * problem.spans
        if not served(nobody, Rule(0)):
            return Reason.POOL_TOO_SMALL
        if served(nobody, EVERY):
            return Reason.OTHER_PROMISES
        for rule, reason in diagnose.CAUSES:
            if served(loads, EVERY & ~rule):
                return reason
        return Reason.SEVERAL_LIMITS if served(loads, Rule(0)) else Reason.OTHER_PROMISES


def _grant(ask: Ask, steps: tuple[NeedStep, ...]) -> Grant:
    return Grant(ask.need.key, ask.need.lane, ask.need.namespace, ask.guaranteed, steps)


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
