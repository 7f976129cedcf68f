"""The plan of a pool: which needs are granted, how much of them; which are not, and why; which work is out when.

All needs of the pool are planned together. First all at once; only if that cannot be, one after the other in the order
of ``asks``: each gets as much as the ones before it leave. A need that is cut is refused with the rule that stands
against it, found by leaving the rules out one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift import diagnose
from tidegate.planning.shift.asks import Ask, asks_of
from tidegate.planning.shift.bounded import Solver, beside, ever
from tidegate.planning.shift.grid import EDGES_MOST, SPANS_LEAST, SPANS_MOST, amounts, instants
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.kept import kept_counts
from tidegate.planning.shift.lendings import lendings_of
from tidegate.planning.shift.merge import fewer
from tidegate.planning.shift.model import MEMBERS_MOST, Need, NeedStep, Pool, PoolFacts, amount_at, base_of, floor_of
from tidegate.planning.shift.outcome import Grant, Lending, PoolPlan, Promise, Refusal
from tidegate.planning.shift.pieces import Stock, stocks_of
from tidegate.planning.shift.present import present
from tidegate.planning.shift.shortage import can_be_there, shortage, within_grace
from tidegate.planning.shift.steps import ahead, append, cuts_of, sums, without
from tidegate.planning.shift.timetable import EVERY, KINDS, Problem, Rule, Timetable

COLUMNS_MOST = 9000
"""Whole columns of a program. A larger one gets fewer spans. ``bench/shift_scale.py`` prints what they cost."""
SERVING_MOST, EXPLAINING_MOST = 6e6, 2e6
"""Effort of all programs that are solved for one timetable (``milp.Effort``): to serve needs, and to explain refusals.
What comes after that gets what is free beside the timetable."""
NEEDS_MOST = 1000
"""Needs of a pool that are planned; of more the last ones are refused, in words. ``bench/shift_scale.py`` prints what
they cost."""
TOLERANCE = 1e-5
"""Unserved shares below this are none."""


def timetable(inputs: TimetableInputs) -> Timetabled:
    """The timetable of a pool: expensive, and a function of its inputs alone.

    Of a pool that is not planned exactly, a new search may find less than the last one. While nothing has changed, what
    was granted then is kept.
    """
    now, last = inputs.now, inputs.standing
    plan = plan_pool(
        inputs.pool, inputs.facts, inputs.needs, now,
        promises=inputs.promises, slack=inputs.slack, grace=inputs.grace, last=last.plan.lendings if last else {},
    )  # fmt: skip
    if last is not None and last.digest == inputs.digest and _loses(plan, last.plan, now):
        plan = present(inputs)
    return Timetabled(inputs.digest, now, inputs.needs, plan)


def _loses(plan: PoolPlan, last: PoolPlan, now: float) -> bool:
    """Whether anybody has less than by the last plan."""
    had: dict[str, list[NeedStep]] = defaultdict(list)
    for grant in last.grants:
        had[grant.owner] += ahead(grant.steps, now)
    has: dict[str, list[NeedStep]] = defaultdict(list)
    for grant in plan.grants:
        has[grant.owner] += grant.steps
    return any(without(tuple(steps), tuple(has[owner])) for owner, steps in had.items())


def plan_pool(
    pool: Pool,
    facts: PoolFacts,
    needs: Iterable[Need],
    now: float,
    *,
    promises: Iterable[Promise] = (),
    slack: float = 0.0,
    grace: float = 0.0,
    last: Mapping[Ref, Sequence[Lending]] = MappingProxyType({}),
) -> PoolPlan:
    """Decide for all needs of a pool together.

    ``promises`` are those of the last plan (``PoolPlan.promises``): who was granted first keeps its place. Needs that
    are over are ignored. The order of needs, members and promises does not matter. ``slack``: seconds that a return may
    take; what is promised back is planned back so much sooner. ``grace``: seconds after a rise of a need for which
    what is missing is not refused. ``last``: the lendings of the last timetable, which are kept among those that cost
    nearly the same.
    """
    promised = tuple(promises)
    planning = _Planning(pool, facts, now, slack, grace, last)
    allowed = planning.counted(planning.allowed(need for need in needs if need.end > now), promised)
    asks = planning.capped(asks_of(pool, facts, allowed, promised, now))
    lendings = planning.serve(asks) if asks else {}
    return PoolPlan(now, pool.name, tuple(planning.grants), tuple(planning.refusals), lendings)


@dataclass(frozen=True, slots=True)
class _Cut:
    """An ask that is not served in full."""

    ask: Ask
    loads: Sequence[Resources]
    """What those before it in line have."""
    wish: Sequence[Resources]
    granted: Sequence[Resources]
    alone: Sequence[Resources]
    """What other parts of the same need have."""
    sure: bool
    planned: bool
    """False: the work that one timetable may cost was used up before its turn came."""


class _Planning:
    """One planning of one pool."""

    def __init__(
        self,
        pool: Pool,
        facts: PoolFacts,
        now: float,
        slack: float,
        grace: float,
        last: Mapping[Ref, Sequence[Lending]],
    ) -> None:
        self.pool, self.facts, self.now, self.grace, self.last = pool, facts, now, grace, last
        self.too_large = facts.too_large
        whole = [] if self.too_large else stocks_of(pool, facts, now, slack=slack)
        self.stocks = fewer(whole)
        self.all_work = not self.too_large and _pieces(self.stocks) == _pieces(whole)
        self.bases = {lane.name: base_of(lane, facts) for lane in pool.lanes}
        self.free = facts.capacity - facts.reserve - total(self.bases.values())
        """What is free when nothing is lent and nothing is needed."""
        self.grants: list[Grant] = []
        self.refusals: list[Refusal] = []
        self.serving = Solver(SERVING_MOST)
        self.explaining = Solver(EXPLAINING_MOST)
        self.served: Timetable | None = None
        """A timetable that serves all grants so far."""
        self.cuts: list[_Cut] = []

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

    def counted(self, needs: Sequence[Need], promises: Sequence[Promise]) -> list[Need]:
        """No more needs than are planned: who was promised, then who begins first."""
        if len(needs) <= NEEDS_MOST:
            return list(needs)
        owners = {promise.owner for promise in promises}
        ordered = sorted(needs, key=lambda n: (n.owner not in owners, n.start, n.key))
        self.refusals += [diagnose.too_many(need, self.pool, len(needs), NEEDS_MOST) for need in ordered[NEEDS_MOST:]]
        return ordered[:NEEDS_MOST]

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
        steps = [step for ask in asks for step in ask.steps]
        if all(load.fits(self.free) for load in sums(steps, cuts_of(steps, self.now))):
            self.grants = [_grant(ask, ask.steps) for ask in asks]
            return {}
        problem, profiles, loads = self._problem(asks, turns=False)
        # First without taking turns: whoever is out stays out for its need, and nothing moves without need.
        timetable = self._cheapest(self.serving, problem, loads)
        if timetable is None:
            problem, profiles, loads = self._problem(asks, turns=True)
            timetable = self._cheapest(self.serving, problem, loads)
        if timetable is not None:
            self.grants = [_grant(ask, ask.steps) for ask in asks]
        else:
            lined = list(zip(asks, profiles, strict=True))
            loads = self._in_line(problem, lined, [NOTHING] * problem.spans)
            # The last program is paid for by what was kept to explain refusals: the work that stops has to be cheap.
            timetable = self._cheapest(self.explaining, problem, loads) or self.served
            self.refusals += [self._refusal(problem, cut) for cut in self.cuts if not self._comes_in_time(problem, cut)]
        if timetable is None:  # nothing was found that stops work: what is granted is free anyway
            return {}
        return lendings_of(problem, timetable, [(g.owner, g.steps) for g in self.grants])

    def _cheapest(self, solver: Solver, problem: Problem, loads: Sequence[Resources]) -> Timetable | None:
        kept = kept_counts(problem.stocks, problem.times, self.last) if self.last else ()
        return solver.cheapest(problem, loads, kept)

    def _problem(
        self, asks: Sequence[Ask], *, turns: bool
    ) -> tuple[Problem, list[tuple[Resources, ...]], Sequence[Resources]]:
        """(what a timetable is made out of, what each ask takes of its spans, all asks together)."""
        facts = self.facts
        most = EDGES_MOST
        if self.stocks:
            most = max(SPANS_LEAST, min(SPANS_MOST, COLUMNS_MOST // (KINDS * len(self.stocks)) - 1))
        times = instants(asks, self.stocks, facts.works.values(), self.now, turns=turns, most=most)
        limits = {lane.name: (self.bases[lane.name] - floor_of(lane, facts)).positive for lane in self.pool.lanes}
        problem = Problem(times, self.stocks, self.free, limits, facts.works)
        profiles = [amounts(ask.steps, times) for ask in asks]
        return problem, profiles, [total(profile[k] for profile in profiles) for k in range(problem.spans)]

    def _in_line(
        self, problem: Problem, asks: Sequence[tuple[Ask, Sequence[Resources]]], loads: Sequence[Resources]
    ) -> Sequence[Resources]:
        """Serve asks in line, beside loads; all loads then.

        Same result as serving asks one at a time, by bisection: only a half that cannot be served whole is split. What
        was promised before is tried as one, so that keeping it costs little.
        """
        both = [total([have, *(wish[k] for _, wish in asks)]) for k, have in enumerate(loads)]
        found, sure = self.serving.some(problem, both)
        if found is not None:
            self.served = found
            self.grants += [_grant(ask, ask.steps) for ask, _ in asks]
            return both
        if len(asks) == 1:
            return self._in_part(problem, *asks[0], loads, sure=sure)
        half = _split(asks)
        return self._in_line(problem, asks[half:], self._in_line(problem, asks[:half], loads))

    def _in_part(
        self, problem: Problem, ask: Ask, wish: Sequence[Resources], loads: Sequence[Resources], *, sure: bool
    ) -> Sequence[Resources]:
        """Serve as much of one ask as there is, and note what has to be refused."""
        found, told = self.serving.part(problem, loads, wish)
        if found is not None:
            self.served = found
            granted = [_part(amount, 1.0 - share) for amount, share in zip(wish, found.unserved, strict=True)]
        elif told:
            granted = [NOTHING] * problem.spans
        else:
            free = beside(problem, self.served, loads)
            granted = [amount.part_in(most) for amount, most in zip(wish, free, strict=True)]
        if granted != list(wish):
            own = [amounts(g.steps, problem.times) for g in self.grants if g.key == ask.need.key]
            alone = [total(part[k] for part in own) for k in range(problem.spans)]
            planned = told or not self.serving.spent
            self.cuts.append(_Cut(ask, loads, wish, granted, alone, sure=sure and told, planned=planned))
        if steps := _within(ask.steps, problem.times, granted):
            self.grants.append(_grant(ask, steps))
        return _both(loads, granted)

    def _comes_in_time(self, problem: Problem, cut: _Cut) -> bool:
        """Whether what was cut is there before the grace of the need's rises is over: nobody is late then."""
        return within_grace(problem.times, _short(cut), cut.ask.need.steps, grace=self.grace)

    def _refusal(self, problem: Problem, cut: _Cut) -> Refusal:
        """Refuse what was cut, with the rule that stands against the rest."""
        first = _short(cut)[0]
        lack = shortage(problem.times, _short(cut), amounts(cut.ask.need.steps, problem.times))
        cause = self._cause(problem, cut)
        return diagnose.short(
            cut.ask, self.pool, cause,
            at=lack.at, needed=cut.loads[first] + cut.wish[first],
            available=can_be_there(problem, cut.loads, cut.wish, first, self.explaining, self.served),
            earliest=lack.earliest, until=lack.until, sure=cut.sure,
            note=self._note(),
        )  # fmt: skip

    def _note(self) -> str:
        """What else has to be known of a refusal."""
        if self.too_large:
            return diagnose.too_much_work(self.facts.units, MEMBERS_MOST)
        return diagnose.left_out(self.facts)

    def _cause(self, problem: Problem, cut: _Cut) -> Reason:
        """The rule that stands against a need, or that there is nothing to be had at all. What the same need has in
        other parts is no other's promise.
        """

        def served(before: Sequence[Resources], rules: Rule) -> bool:
            return self.explaining.some(problem, _both(before, cut.wish), rules=rules)[0] is not None

        if not cut.planned or not self.all_work:
            return Reason.POOL_TOO_LARGE
        if not ever(problem, _both(cut.alone, cut.wish)):
            return Reason.POOL_TOO_SMALL
        if not ever(problem, _both(cut.loads, cut.wish)) or (cut.alone != list(cut.loads) and served(cut.alone, EVERY)):
            return Reason.OTHER_PROMISES
        for rule, reason in diagnose.CAUSES:
            if served(cut.loads, EVERY & ~rule):
                return reason
        return Reason.SEVERAL_LIMITS


def _split(asks: Sequence[tuple[Ask, Sequence[Resources]]]) -> int:
    """Where asks in line are split: where what is guaranteed, or promised, ends; else in the middle."""
    kinds = [(ask.guaranteed, ask.promised) for ask, _ in asks]
    return next((n for n in range(1, len(kinds)) if kinds[n] != kinds[0]), len(kinds) // 2)


def _short(cut: _Cut) -> list[int]:
    """The spans in which something is missing."""
    return [k for k, (wish, granted) in enumerate(zip(cut.wish, cut.granted, strict=True)) if granted != wish]


def _pieces(stocks: Iterable[Stock]) -> int:
    return sum(len(stock.pieces) for stock in stocks)


def _both(loads: Sequence[Resources], more: Sequence[Resources]) -> list[Resources]:
    """Sums, span by span."""
    return [one + other for one, other in zip(loads, more, strict=True)]


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
